/* Learning merges. See bpe.h. */
#include "train/bpe.h"

#include "base/hash.h"
#include <string.h>

typedef struct word { size_t at; uint32_t n; int64_t count; } word;                 /* symbols sym[at] .. sym[at + n] */
typedef struct pair { uint64_t key; int64_t count; uint32_t first, turn; } pair;    /* key 0: empty; first: place + 1; turn: of the last rise */
typedef struct place { uint32_t word, next; } place;                                /* a word that holds, or has held, the pair */
typedef struct offer { int64_t count; uint64_t key; } offer;                        /* what the pair counted when it was offered */

typedef struct learner {
    wt_ctx *cx;
    const wt_bpe_options *o;
    wt_bpe *b;
    word *word; size_t n_word;
    int32_t *sym;
    pair *pair; size_t n_slot, n_pair;
    place *place; size_t n_place, cap_place;
    offer *heap; size_t n_heap, cap_heap;
    uint64_t *risen; size_t n_risen, cap_risen;   /* pairs that became more frequent in this turn */
    uint32_t turn;
    bool *digit;                                  /* [n_token wanted] holds a digit */
    int32_t *by_text; size_t n_text_slot;         /* ids + 1 by the hash of their text */
} learner;

/* Room for one more. */
static wt_status room(wt_ctx *cx, void *p, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return WITAN_OK;
    void *q = wt_realloc(cx, *(void **)p, *cap * 2 + 1024, size);
    if (!q) return WT_ENOMEM;
    *(void **)p = q;
    *cap = *cap * 2 + 1024;
    return WITAN_OK;
}

/* ---- tokens --------------------------------------------------------------------------------------------------------- */

static wt_status add_token(learner *l, const char *s, size_t n, const char *t, size_t m)
{
    wt_bpe *b = l->b;
    size_t at = b->at[b->n_token];
    if (b->cap_text - at < n + m) {
        size_t cap = b->cap_text * 2 + n + m;
        char *p = wt_realloc(l->cx, b->text, cap, 1);
        if (!p) return WT_ENOMEM;
        if (n) s = p + (s - b->text);             /* the two parts are tokens themselves */
        if (m) t = p + (t - b->text);
        b->text = p;
        b->cap_text = cap;
    }
    memcpy(b->text + at, s, n);
    memcpy(b->text + at + n, t, m);
    for (size_t i = at; i < at + n + m; i++) l->digit[b->n_token] |= b->text[i] >= '0' && b->text[i] <= '9';
    b->at[++b->n_token] = at + n + m;
    return WITAN_OK;
}

static size_t length(const wt_bpe *b, int32_t id) { return b->at[id + 1] - b->at[id]; }

/* Slot of the text of tokens x and y joined: the token's, or the free one where it would go. */
static int32_t *find_text(const learner *l, int32_t x, int32_t y)
{
    const wt_bpe *b = l->b;
    const char *s = b->text + b->at[x], *t = b->text + b->at[y];
    size_t n = length(b, x), m = length(b, y), i = wt_hash_slot(wt_name_hash(wt_name_hash(0, s, n), t, m), l->n_text_slot);
    for (; l->by_text[i]; i = (i + 1) & (l->n_text_slot - 1)) {
        int32_t id = l->by_text[i] - 1;
        if (length(b, id) == n + m && !memcmp(b->text + b->at[id], s, n) && !memcmp(b->text + b->at[id] + n, t, m)) break;
    }
    return l->by_text + i;
}

/* GPT-2's order of bytes: those that are printable, then the rest. */
static void alphabet(uint8_t byte[256])
{
    int n = 0;
    for (int hidden = 0; hidden < 2; hidden++)
        for (int c = 0; c < 256; c++) {
            bool printable = (c >= 33 && c <= 126) || (c >= 161 && c <= 172) || c >= 174;
            if (printable != hidden) byte[n++] = (uint8_t)c;
        }
}

static wt_status first_tokens(learner *l, int32_t id_of[256])
{
    uint8_t byte[256];
    size_t n = (size_t)l->o->n_token;
    wt_bpe *b = l->b;
    b->at = wt_alloc(l->cx, n + 1, sizeof *b->at);
    b->text = wt_alloc(l->cx, b->cap_text = 4096, 1);
    b->merge = wt_alloc(l->cx, n, sizeof *b->merge);
    l->digit = wt_alloc(l->cx, n, sizeof *l->digit);
    for (l->n_text_slot = 1024; l->n_text_slot < 2 * n;) l->n_text_slot *= 2;
    l->by_text = wt_alloc(l->cx, l->n_text_slot, sizeof *l->by_text);
    if (!b->at || !b->text || !b->merge || !l->digit || !l->by_text) return WT_ENOMEM;
    alphabet(byte);
    b->n_token = l->o->n_special;
    for (int i = 0; i < 256; i++) {
        id_of[byte[i]] = b->n_token;
        b->text[i] = (char)byte[i];
        l->digit[b->n_token] = byte[i] >= '0' && byte[i] <= '9';
        b->at[++b->n_token] = (size_t)i + 1;
    }
    return WITAN_OK;
}

/* ---- pairs ---------------------------------------------------------------------------------------------------------- */

static uint64_t key_of(int32_t left, int32_t right) { return ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) + 1; }

static pair *find(const learner *l, uint64_t key)
{
    size_t i = (size_t)(key * 0x9E3779B97F4A7C15u >> 20) & (l->n_slot - 1);
    while (l->pair[i].key && l->pair[i].key != key) i = (i + 1) & (l->n_slot - 1);
    return l->pair + i;
}

static wt_status grow_pairs(learner *l)
{
    pair *old = l->pair;
    size_t n = l->n_slot, bigger = n ? n * 2 : 1 << 12;
    pair *p = wt_alloc(l->cx, bigger, sizeof *p);
    if (!p) return WT_ENOMEM;
    l->pair = p;
    l->n_slot = bigger;
    for (size_t i = 0; i < n; i++) if (old[i].key) *find(l, old[i].key) = old[i];
    wt_free(l->cx, old);
    return WITAN_OK;
}

/* `count` more occurrences of a pair, in word w. */
static wt_status rise(learner *l, int32_t left, int32_t right, int64_t count, uint32_t w)
{
    if (l->o->digits && (l->digit[left] || l->digit[right])) return WITAN_OK;
    if (l->n_pair * 2 >= l->n_slot) WT_TRY(grow_pairs(l));
    pair *p = find(l, key_of(left, right));
    if (!p->key) {
        *p = (pair){ .key = key_of(left, right), .turn = UINT32_MAX };
        l->n_pair++;
    }
    p->count += count;
    if (p->turn != l->turn) {
        WT_TRY(room(l->cx, &l->risen, l->n_risen, &l->cap_risen, sizeof *l->risen));
        l->risen[l->n_risen++] = p->key;
        p->turn = l->turn;
    }
    if (p->first && l->place[p->first - 1].word == w) return WITAN_OK;
    if (l->n_place >= UINT32_MAX) return wt_fail(l->cx, WT_ELIMIT, "too many different words to learn from; keep fewer");
    WT_TRY(room(l->cx, &l->place, l->n_place, &l->cap_place, sizeof *l->place));
    l->place[l->n_place++] = (place){ w, p->first };
    p->first = (uint32_t)l->n_place;
    return WITAN_OK;
}

static void fall(learner *l, int32_t left, int32_t right, int64_t count)
{
    pair *p = find(l, key_of(left, right));
    if (p->key) p->count -= count;
}

/* ---- the most frequent pair ------------------------------------------------------------------------------------------ */

static bool before(const offer *x, const offer *y) { return x->count > y->count || (x->count == y->count && x->key < y->key); }

static wt_status push(learner *l, offer x)
{
    WT_TRY(room(l->cx, &l->heap, l->n_heap, &l->cap_heap, sizeof *l->heap));
    size_t i = l->n_heap++;
    for (; i && before(&x, l->heap + (i - 1) / 2); i = (i - 1) / 2) l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = x;
    return WITAN_OK;
}

static offer pop(learner *l)
{
    offer top = l->heap[0], x = l->heap[--l->n_heap];
    size_t i = 0, k;
    while ((k = 2 * i + 1) < l->n_heap) {
        if (k + 1 < l->n_heap && before(l->heap + k + 1, l->heap + k)) k++;
        if (!before(l->heap + k, &x)) break;
        l->heap[i] = l->heap[k];
        i = k;
    }
    l->heap[i] = x;
    return top;
}

static wt_status offer_risen(learner *l)
{
    for (size_t i = 0; i < l->n_risen; i++) {
        int64_t count = find(l, l->risen[i])->count;
        if (count >= l->o->min_count) WT_TRY(push(l, (offer){ count, l->risen[i] }));
    }
    l->n_risen = 0;
    l->turn++;
    return WITAN_OK;
}

/* An offer never counts less than its pair does: rises are offered anew. So the first one that is up to date is the best. */
static wt_status best(learner *l, uint64_t *key)
{
    *key = 0;
    while (l->n_heap) {
        offer x = pop(l);
        int64_t now = find(l, x.key)->count;
        if (now == x.count) { *key = x.key; return WITAN_OK; }
        if (now >= l->o->min_count) WT_TRY(push(l, (offer){ now, x.key }));
    }
    return WITAN_OK;
}

/* ---- words ---------------------------------------------------------------------------------------------------------- */

static wt_status load(learner *l, const wt_words *w, const int32_t id_of[256])
{
    size_t total = 0;
    l->word = wt_alloc(l->cx, w->n, sizeof *l->word);
    l->sym = wt_alloc(l->cx, w->n_text, sizeof *l->sym);
    if (!l->word || !l->sym) return WT_ENOMEM;
    WT_TRY(grow_pairs(l));
    for (size_t i = 0; i < w->n_slot; i++) {
        const wt_word *x = w->slot + i;
        if (!x->count) continue;
        for (uint32_t k = 0; k < x->n; k++) l->sym[total + k] = id_of[(uint8_t)w->text[x->at + k]];
        for (uint32_t k = 0; k + 1 < x->n; k++) WT_TRY(rise(l, l->sym[total + k], l->sym[total + k + 1], x->count, (uint32_t)l->n_word));
        l->word[l->n_word++] = (word){ total, x->n, x->count };
        total += x->n;
    }
    return offer_risen(l);
}

/* Joins all (a, b) of one word; the counts of the pairs at both sides follow. */
static wt_status join(learner *l, uint32_t w, int32_t a, int32_t b, int32_t to)
{
    word *x = l->word + w;
    int32_t *s = l->sym + x->at;
    uint32_t k = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        if (s[i] != a || i + 1 == x->n || s[i + 1] != b) { s[k++] = s[i]; continue; }
        fall(l, a, b, x->count);
        if (k) {
            fall(l, s[k - 1], a, x->count);
            WT_TRY(rise(l, s[k - 1], to, x->count, w));
        }
        if (i + 2 < x->n) {
            fall(l, b, s[i + 2], x->count);
            WT_TRY(rise(l, to, s[i + 2], x->count, w));
        }
        s[k++] = to;
        i++;
    }
    x->n = k;
    return WITAN_OK;
}

static wt_status merge(learner *l, uint64_t key)
{
    wt_bpe *b = l->b;
    int32_t left = (int32_t)((key - 1) >> 32), right = (int32_t)(uint32_t)(key - 1), *slot = find_text(l, left, right), to = *slot - 1;
    if (to < 0) {
        to = b->n_token;
        WT_TRY(add_token(l, b->text + b->at[left], length(b, left), b->text + b->at[right], length(b, right)));
        *slot = to + 1;
    }
    b->merge[b->n_merge++] = (wt_bpe_pair){ left, right, to };
    uint32_t at = find(l, key)->first;
    find(l, key)->first = 0;
    while (at) {
        place p = l->place[at - 1];
        WT_TRY(join(l, p.word, left, right, to));
        at = p.next;
    }
    return offer_risen(l);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------ */

static wt_status learn(learner *l, const wt_words *w)
{
    int32_t id_of[256];
    uint64_t key;
    WT_TRY(first_tokens(l, id_of));
    WT_TRY(load(l, w, id_of));
    int32_t first = l->b->n_token, most = l->o->n_token;
    while (l->b->n_token < most && l->b->n_merge < (size_t)most) {
        if (l->b->n_merge % 32 == 0) WT_TRY(wt_progress(l->cx, "merge", l->b->n_token - first, most - first, "merges"));
        WT_TRY(best(l, &key));
        if (!key) break;
        WT_TRY(merge(l, key));
    }
    for (size_t i = 0; i < l->n_word; i++) l->b->n_left += l->word[i].count * l->word[i].n;
    return wt_progress(l->cx, "merge", most - first, most - first, "merges");
}

wt_status wt_bpe_learn(wt_ctx *cx, const wt_words *w, const wt_bpe_options *o, wt_bpe *out)
{
    learner l = { .cx = cx, .o = o, .b = out };
    *out = (wt_bpe){ .cx = cx };
    wt_assert(o->n_special >= 0 && o->n_token >= o->n_special + 256 && o->min_count >= 1);
    wt_status st = learn(&l, w);
    wt_free(cx, l.word);
    wt_free(cx, l.sym);
    wt_free(cx, l.pair);
    wt_free(cx, l.place);
    wt_free(cx, l.heap);
    wt_free(cx, l.risen);
    wt_free(cx, l.digit);
    wt_free(cx, l.by_text);
    if (st != WITAN_OK) wt_bpe_free(out);
    return st;
}

void wt_bpe_free(wt_bpe *b)
{
    wt_free(b->cx, b->text);
    wt_free(b->cx, b->at);
    wt_free(b->cx, b->merge);
    *b = (wt_bpe){ .cx = b->cx };
}
