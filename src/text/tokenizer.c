/* Text to ids and back. */
#include "text/vocab.h"

#include <string.h>

static wt_status piece(void *arg, const char *s, size_t n)
{
    wt_merger *w = arg;
    int32_t whole = w->v->split->whole_first ? wt_vocab_whole(w->v, s, n) : -1;
    return whole >= 0 ? wt_merge_push(w, whole) : wt_merge_bpe(w, s, n);
}

/* Text without literal tokens; nothing or a literal token stands before it. */
static wt_status plain(wt_merger *w, const char *s, size_t n)
{
    if (!n) return WITAN_OK;
    return w->v->spm ? wt_merge_spm(w, s, n, w->v->prefix) : wt_split(w->v->split, s, n, piece, w);
}

static bool ascii_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static wt_status encode(wt_merger *w, const char *text, size_t n, int flags)
{
    const wt_vocab *v = w->v;
    size_t from = 0, len;
    if ((flags & WITAN_TOK_BOS && v->add_bos) || (flags & WITAN_TOK_BEGIN && v->bos >= 0)) WT_TRY(wt_merge_push(w, v->bos));
    for (size_t at = 0; at < n;) {
        int32_t id = wt_literal_at(v, text + at, n - at, flags & WITAN_TOK_SPECIAL, &len);
        if (id < 0) { at++; continue; }
        WT_TRY(plain(w, text + from, at - from));
        WT_TRY(wt_merge_push(w, id));
        at += len;
        while (wt_vocab_strips(v, id) && at < n && ascii_space(text[at])) at++;
        from = at;
    }
    WT_TRY(plain(w, text + from, n - from));
    if (flags & WITAN_TOK_EOS && v->add_eos) return wt_merge_push(w, v->eos);
    return flags & WITAN_TOK_EOS && v->add_sep ? wt_merge_push(w, v->sep) : WITAN_OK;
}

wt_status wt_vocab_encode(wt_ctx *cx, const wt_vocab *v, const char *text, size_t len, int flags, int32_t **ids, size_t *n)
{
    wt_merger w = { .cx = cx, .v = v };
    wt_status st = encode(&w, text, len, flags);
    wt_merge_free(&w);
    if (st == WITAN_OK && !w.ids && !(w.ids = wt_alloc(cx, 1, sizeof *w.ids))) st = WT_ENOMEM;
    if (st != WITAN_OK) { wt_free(cx, w.ids); return st; }
    *ids = w.ids;
    *n = w.n_ids;
    return WITAN_OK;
}

/* drop: leave out a space at the beginning. */
static wt_status decode(wt_ctx *cx, const wt_vocab *v, int32_t id, bool skip_special, bool drop, wt_text *t)
{
    if (id < 0 || id >= v->n) return wt_fail(cx, WT_EARG, "token id %d is outside [0, %d)", id, v->n);
    const char *s = v->bytes + v->at[id];
    size_t n = v->at[id + 1] - v->at[id];
    drop = drop && n && *s == ' ';
    if (!skip_special || !wt_vocab_special(v, id)) wt_text_put(t, s + drop, n - drop);
    return WITAN_OK;
}

wt_status wt_vocab_decode(wt_ctx *cx, const wt_vocab *v, int32_t id, bool skip_special, wt_text *t)
{
    return decode(cx, v, id, skip_special, false, t);
}

wt_status wt_vocab_decode_all(wt_ctx *cx, const wt_vocab *v, const int32_t *ids, size_t n, bool skip_special, wt_text *t)
{
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        bool literal = ids[i] >= 0 && ids[i] < v->n && wt_vocab_literal(v, ids[i]);
        WT_TRY(decode(cx, v, ids[i], skip_special, first && !literal && v->prefix, t));
        first = literal && v->type[ids[i]] != WT_TOK_UNKNOWN;     /* which stands for characters, as a rule */
    }
    return WITAN_OK;
}
