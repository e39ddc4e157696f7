/* Text to ids and back. */
#include "text/vocab.h"

#include <string.h>

typedef struct job { const wt_vocab *v; wt_bpe_work w; int32_t *ids; size_t n, cap; } job;

static wt_status push(job *j, int32_t id)
{
    if (j->n == j->cap) {
        int32_t *p = wt_realloc(j->w.cx, j->ids, j->cap * 2 + 64, sizeof *p);
        if (!p) return WT_ENOMEM;
        j->ids = p;
        j->cap = j->cap * 2 + 64;
    }
    j->ids[j->n++] = id;
    return WITAN_OK;
}

/* Longest special token that begins at s, -1: none. */
static int32_t special_at(const wt_vocab *v, const char *s, size_t n, size_t *len)
{
    if (!v->special_first[(uint8_t)*s]) return -1;
    for (size_t i = 0; i < v->n_special; i++) {
        int32_t id = v->special[i];
        *len = v->at[id + 1] - v->at[id];
        if (*len <= n && !memcmp(s, v->bytes + v->at[id], *len)) return id;
    }
    return -1;
}

static wt_status piece(void *job_, const char *s, size_t n)
{
    job *j = job_;
    int32_t whole = j->v->split->whole_first ? wt_vocab_whole(j->v, s, n) : -1;
    return whole >= 0 ? push(j, whole) : wt_bpe_piece(j->v, &j->w, s, n, &j->ids, &j->n, &j->cap);
}

static wt_status plain(job *j, const char *s, size_t n) { return n ? wt_split(j->v->split, s, n, piece, j) : WITAN_OK; }

static wt_status encode(job *j, const char *text, size_t n, int flags)
{
    size_t from = 0, len;
    bool begin = (flags & WITAN_TOK_BOS && j->v->add_bos) || (flags & WITAN_TOK_BEGIN && j->v->bos >= 0);
    if (begin) WT_TRY(push(j, j->v->bos));
    for (size_t at = 0; (flags & WITAN_TOK_SPECIAL) && at < n;) {
        int32_t id = special_at(j->v, text + at, n - at, &len);
        if (id < 0) { at++; continue; }
        WT_TRY(plain(j, text + from, at - from));
        WT_TRY(push(j, id));
        from = at += len;
    }
    return plain(j, text + from, n - from);
}

wt_status wt_vocab_encode(wt_ctx *cx, const wt_vocab *v, const char *text, size_t len, int flags, int32_t **ids, size_t *n)
{
    job j = { .v = v, .w = { .cx = cx } };
    wt_status st = encode(&j, text, len, flags);
    wt_bpe_free(&j.w);
    if (st == WITAN_OK && !j.ids && !(j.ids = wt_alloc(cx, 1, sizeof *j.ids))) st = WT_ENOMEM;
    if (st != WITAN_OK) { wt_free(cx, j.ids); return st; }
    *ids = j.ids;
    *n = j.n;
    return WITAN_OK;
}

wt_status wt_vocab_decode(wt_ctx *cx, const wt_vocab *v, int32_t id, bool skip_special, wt_text *t)
{
    if (id < 0 || id >= v->n) return wt_fail(cx, WT_EARG, "token id %d is outside [0, %d)", id, v->n);
    if (!skip_special || v->type[id] != WT_TOK_CONTROL) wt_text_put(t, v->bytes + v->at[id], v->at[id + 1] - v->at[id]);
    return WITAN_OK;
}
