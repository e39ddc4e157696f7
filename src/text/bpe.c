/* Byte-pair merging of one piece: always the pair of lowest rank, the leftmost of equals. Symbols are a linked list, candidate pairs
 * a heap, so a piece of n bytes costs O(n log n) even when it is a megabyte of one letter. */
#include "text/vocab.h"

struct wt_bpe_sym { int32_t id, prev, next; };                    /* prev, next: -1 at the ends; id -1: merged away */
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

static bool before(const cand *a, const cand *b) { return a->rank < b->rank || (a->rank == b->rank && a->left < b->left); }

static void heap_up(cand *h, size_t i)
{
    for (; i && before(h + i, h + (i - 1) / 2); i = (i - 1) / 2) { cand t = h[i]; h[i] = h[(i - 1) / 2]; h[(i - 1) / 2] = t; }
}

static cand heap_pop(wt_bpe_work *w)
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

static void offer(const wt_vocab *v, wt_bpe_work *w, int32_t left, int32_t right)
{
    if (left < 0 || right < 0) return;
    const wt_merge *m = find(v, w->sym[left].id, w->sym[right].id);
    if (!m) return;
    w->heap[w->n_heap] = (cand){ m->rank, left, right, w->sym[left].id, w->sym[right].id };
    heap_up(w->heap, w->n_heap++);
}

/* Room for n symbols; every merge offers at most two pairs, so 3 n candidates suffice. */
static wt_status room(wt_bpe_work *w, size_t n)
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

static void merge_all(const wt_vocab *v, wt_bpe_work *w)
{
    while (w->n_heap) {
        cand c = heap_pop(w);
        sym *l = w->sym + c.left, *r = w->sym + c.right;
        if (l->id != c.left_id || r->id != c.right_id || l->next != c.right) continue;   /* one of them has changed since */
        l->id = find(v, c.left_id, c.right_id)->to;
        r->id = -1;
        l->next = r->next;
        if (r->next >= 0) w->sym[r->next].prev = c.left;
        offer(v, w, l->prev, c.left);
        offer(v, w, c.left, l->next);
    }
}

wt_status wt_bpe_piece(const wt_vocab *v, wt_bpe_work *w, const char *s, size_t n, int32_t **ids, size_t *n_ids, size_t *cap)
{
    WT_TRY(room(w, n));
    for (size_t i = 0; i < n; i++) {
        int32_t id = v->byte_id[(uint8_t)s[i]];
        if (id < 0) return wt_fail(w->cx, WT_EUNSUPPORTED, "vocabulary has no token for byte 0x%02x", (uint8_t)s[i]);
        w->sym[i] = (sym){ id, (int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1 };
    }
    w->n_heap = 0;
    for (size_t i = 0; i + 1 < n; i++) offer(v, w, (int32_t)i, (int32_t)i + 1);
    merge_all(v, w);
    for (int32_t i = 0; i >= 0; i = w->sym[i].next) {
        if (*n_ids == *cap) {
            int32_t *p = wt_realloc(w->cx, *ids, *cap * 2 + 64, sizeof *p);
            if (!p) return WT_ENOMEM;
            *ids = p;
            *cap = *cap * 2 + 64;
        }
        (*ids)[(*n_ids)++] = w->sym[i].id;
    }
    return WITAN_OK;
}

void wt_bpe_free(wt_bpe_work *w)
{
    wt_free(w->cx, w->sym);
    wt_free(w->cx, w->heap);
    *w = (wt_bpe_work){ .cx = w->cx };
}
