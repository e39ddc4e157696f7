/* Merging neighbours into tokens. Byte-level BPE begins with bytes and takes the pair of lowest rank; SentencePiece begins with
 * characters and takes the pair whose text is the token of highest score; of equals the leftmost. Symbols are a linked list, candidate
 * pairs a heap, so n symbols cost O(n log n) even when they are a megabyte of one letter. */
#include "text/chars.h"
#include "text/vocab.h"

#include <string.h>

enum { GONE = -1, NO_TOKEN = -2 };   /* ids of symbols: merged away; a character that is no token */

struct wt_bpe_sym { int32_t id, prev, next, at, n; };   /* prev, next: -1 at the ends; bytes at .. at + n of the text */
struct wt_bpe_cand { int32_t rank, left, right, left_id, right_id; };
typedef struct wt_bpe_sym sym;
typedef struct wt_bpe_cand cand;

static const wt_merge *find(const wt_vocab *v, int32_t a, int32_t b)
{
    uint64_t pair = ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) + 1;
    if (!v->n_slot) return NULL;
    for (size_t i = (size_t)(pair * 0x9E3779B97F4A7C15u >> 20) & (v->n_slot - 1); v->merge[i].pair; i = (i + 1) & (v->n_slot - 1))
        if (v->merge[i].pair == pair) return v->merge + i;
    return NULL;
}

/* The token that two neighbours make, -1: none. */
static int32_t join(const wt_merger *w, const sym *l, const sym *r, int32_t *rank)
{
    if (w->v->spm) {
        size_t n = (size_t)l->n + (size_t)r->n;
        int32_t id = n <= w->v->longest ? wt_vocab_whole(w->v, w->s + l->at, n) : -1;
        if (id >= 0) *rank = w->v->rank[id];
        return id;
    }
    const wt_merge *m = find(w->v, l->id, r->id);
    if (m) *rank = m->rank;
    return m ? m->to : -1;
}

static bool before(const cand *a, const cand *b) { return a->rank < b->rank || (a->rank == b->rank && a->left < b->left); }

static void heap_up(cand *h, size_t i)
{
    for (; i && before(h + i, h + (i - 1) / 2); i = (i - 1) / 2) { cand t = h[i]; h[i] = h[(i - 1) / 2]; h[(i - 1) / 2] = t; }
}

static cand heap_pop(wt_merger *w)
{
    cand *h = w->heap, top = h[0];
    size_t i = 0, n = --w->n_heap;
    h[0] = h[n];
    for (;;) {
        size_t l = 2 * i + 1, best = i;
        if (l < n && before(h + l, h + best)) best = l;
        if (l + 1 < n && before(h + l + 1, h + best)) best = l + 1;
        if (best == i) return top;
        cand t = h[i]; h[i] = h[best]; h[best] = t;
        i = best;
    }
}

static void offer(wt_merger *w, int32_t left, int32_t right)
{
    int32_t rank;
    if (left < 0 || right < 0 || join(w, w->sym + left, w->sym + right, &rank) < 0) return;
    w->heap[w->n_heap] = (cand){ rank, left, right, w->sym[left].id, w->sym[right].id };
    heap_up(w->heap, w->n_heap++);
}

/* Room for n symbols; every merge offers at most two pairs, so 3 n candidates suffice. */
static wt_status room(wt_merger *w, size_t n)
{
    if (n <= w->cap_sym) return WITAN_OK;
    if (n > INT32_MAX / 4) return wt_fail(w->cx, WT_ELIMIT, "text: a piece of %zu bytes without a break is too long", n);
    sym *s = wt_realloc(w->cx, w->sym, n, sizeof *s);
    if (!s) return WT_ENOMEM;
    w->sym = s;
    cand *h = wt_realloc(w->cx, w->heap, n * 3, sizeof *h);
    if (!h) return WT_ENOMEM;
    w->heap = h;
    w->cap_sym = n;
    return WITAN_OK;
}

static void merge_all(wt_merger *w, size_t n)
{
    w->n_heap = 0;
    for (size_t i = 0; i + 1 < n; i++) offer(w, (int32_t)i, (int32_t)i + 1);
    while (w->n_heap) {
        int32_t rank;
        cand c = heap_pop(w);
        sym *l = w->sym + c.left, *r = w->sym + c.right;
        if (l->id != c.left_id || r->id != c.right_id || l->next != c.right) continue;   /* one of them has changed since */
        l->id = join(w, l, r, &rank);
        l->n += r->n;
        r->id = GONE;
        l->next = r->next;
        if (r->next >= 0) w->sym[r->next].prev = c.left;
        offer(w, l->prev, c.left);
        offer(w, c.left, l->next);
    }
}

wt_status wt_merge_push(wt_merger *w, int32_t id)
{
    if (w->n_ids == w->cap_ids) {
        int32_t *p = wt_realloc(w->cx, w->ids, w->cap_ids * 2 + 64, sizeof *p);
        if (!p) return WT_ENOMEM;
        w->ids = p;
        w->cap_ids = w->cap_ids * 2 + 64;
    }
    w->ids[w->n_ids++] = id;
    return WITAN_OK;
}

/* Room for a copy of n bytes. */
static wt_status copy_room(wt_merger *w, size_t n)
{
    if (n <= w->cap_text) return WITAN_OK;
    char *t = wt_realloc(w->cx, w->text, n, 1);
    if (!t) return WT_ENOMEM;
    w->text = t;
    w->cap_text = n;
    return WITAN_OK;
}

static sym symbol(size_t i, size_t at, size_t n, int32_t id)
{
    return (sym){ id, (int32_t)i - 1, (int32_t)i + 1, (int32_t)at, (int32_t)n };
}

/* ---- byte-level BPE ------------------------------------------------------------------------------------------------- */

/* Bytes that have no token (those that never occur in UTF-8, in some vocabularies) become U+FFFD. */
static wt_status replace(wt_merger *w, const char **s, size_t *n)
{
    size_t k = 0, bad = 0;
    for (size_t i = 0; i < *n; i++) bad += w->v->byte_id[(uint8_t)(*s)[i]] < 0;
    if (!bad) return WITAN_OK;
    WT_TRY(copy_room(w, *n + 2 * bad));
    for (size_t i = 0; i < *n; i++) {
        if (w->v->byte_id[(uint8_t)(*s)[i]] >= 0) w->text[k++] = (*s)[i];
        else { memcpy(w->text + k, "\xEF\xBF\xBD", 3); k += 3; }
    }
    *s = w->text;
    *n = k;
    return WITAN_OK;
}

/* Bytes for which a vocabulary has no token are left out, as the tokenizers package does. */
wt_status wt_merge_bpe(wt_merger *w, const char *s, size_t n)
{
    size_t k = 0;
    if (!w->v->all_bytes) WT_TRY(replace(w, &s, &n));
    WT_TRY(room(w, n));
    for (size_t i = 0; i < n; i++) {
        int32_t id = w->v->byte_id[(uint8_t)s[i]];
        if (id < 0) continue;
        w->sym[k] = symbol(k, i, 1, id);
        k++;
    }
    if (!k) return WITAN_OK;
    w->sym[k - 1].next = -1;
    merge_all(w, k);
    for (int32_t i = 0; i >= 0; i = w->sym[i].next) WT_TRY(wt_merge_push(w, w->sym[i].id));
    return WITAN_OK;
}

/* ---- SentencePiece -------------------------------------------------------------------------------------------------- */

/* A character that is no token: its bytes, or else one unknown token for it and those that follow it directly. */
static wt_status fall_back(wt_merger *w, const sym *c)
{
    bool whole = true;
    for (int32_t i = 0; i < c->n; i++) whole &= w->v->byte_id[(uint8_t)w->s[c->at + i]] >= 0;
    if (whole) {
        for (int32_t i = 0; i < c->n; i++) WT_TRY(wt_merge_push(w, w->v->byte_id[(uint8_t)w->s[c->at + i]]));
        w->unknown = false;
        return WITAN_OK;
    }
    if (w->v->unk < 0)
        return wt_fail(w->cx, WT_EUNSUPPORTED, "vocabulary has neither a token for byte 0x%02x nor an unknown token",
                       (uint8_t)w->s[c->at]);
    if (!w->unknown) WT_TRY(wt_merge_push(w, w->v->unk));
    w->unknown = true;
    return WITAN_OK;
}

/* Text that no merge crosses the ends of. */
static wt_status spm_piece(wt_merger *w, const char *s, size_t n)
{
    size_t n_sym = 0;
    WT_TRY(room(w, n));
    w->s = s;
    for (size_t at = 0, k; at < n; at += k, n_sym++) {
        k = wt_char_at(s + at, n - at).len;
        int32_t id = wt_vocab_whole(w->v, s + at, k);
        w->sym[n_sym] = symbol(n_sym, at, k, id < 0 ? NO_TOKEN : id);
    }
    w->sym[n_sym - 1].next = -1;
    merge_all(w, n_sym);
    for (int32_t i = 0; i >= 0; i = w->sym[i].next) {
        if (w->sym[i].id == NO_TOKEN) { WT_TRY(fall_back(w, w->sym + i)); continue; }
        WT_TRY(wt_merge_push(w, w->sym[i].id));
        w->unknown = false;
    }
    return WITAN_OK;
}

/* Nearly all vocabularies have spaces only at the beginning of tokens; then words are merged one by one, which is the same and faster. */
wt_status wt_merge_spm(wt_merger *w, const char *s, size_t n, bool prefix)
{
    size_t k = 0, from = 0;
    WT_TRY(copy_room(w, n + 1));
    if (prefix) w->text[k++] = ' ';
    for (size_t i = 0; i < n; i++) {           /* U+2581 is how spaces are written in the vocabulary */
        bool space = n - i >= 3 && !memcmp(s + i, "\xE2\x96\x81", 3);
        w->text[k++] = space ? ' ' : s[i];
        if (space) i += 2;
    }
    w->unknown = false;
    for (size_t i = 1; w->v->words && i < k; i++)
        if (w->text[i] == ' ' && w->text[i - 1] != ' ') {
            WT_TRY(spm_piece(w, w->text + from, i - from));
            from = i;
        }
    return spm_piece(w, w->text + from, k - from);
}

void wt_merge_free(wt_merger *w)
{
    wt_free(w->cx, w->sym);
    wt_free(w->cx, w->heap);
    wt_free(w->cx, w->text);
    w->sym = NULL;
    w->heap = NULL;
    w->text = NULL;
    w->cap_sym = w->cap_text = 0;
}
