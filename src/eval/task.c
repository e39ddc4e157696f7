/* Tasks: greedy answers compared with the expected ones, after trimming white space at both ends.
 *
 * An answer ends at the end token, after max_new tokens, at a newline when the expected answer has none, or as soon as it can no longer
 * match. Questions run side by side as sequences of their own; each gives the same bits as alone. */
#include "eval/eval.h"

#include <string.h>

enum { MOST_SEQ = 16 };

typedef struct slot {
    const wt_doc *doc;
    int32_t *ids; size_t n;                      /* prompt */
    const char *want; size_t n_want;             /* expected answer, trimmed */
    wt_text got;
    int32_t made, row;                           /* tokens of the answer; row of its logits */
    bool running, right;
} slot;

typedef struct pass { wt_ctx *cx; const wt_model *m; witan_session *s; int32_t n_ctx, max_new; slot slot[MOST_SEQ]; witan_token *tok; wt_tallies *ts; } pass;

static bool blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static const char *trimmed(const char *s, size_t n, size_t *len)
{
    while (n && blank(*s)) { s++; n--; }
    while (n && blank(s[n - 1])) n--;
    *len = n;
    return s;
}

static bool matches(const slot *q)
{
    size_t n;
    const char *s = trimmed(q->got.s ? q->got.s : "", q->got.n, &n);
    return n == q->n_want && !memcmp(s, q->want, n);
}

/* Can text that begins like this still become the answer? */
static bool hopeless(const slot *q)
{
    size_t n = q->got.n;
    const char *s = q->got.s ? q->got.s : "";
    while (n && blank(*s)) { s++; n--; }
    size_t k = n < q->n_want ? n : q->n_want;
    if (memcmp(s, q->want, k)) return true;
    for (size_t i = q->n_want; i < n; i++) if (!blank(s[i])) return true;
    return false;
}

static void end(slot *q)
{
    q->running = false;
    q->right = matches(q);
}

/* Takes the next greedy token of a slot; true if it must be fed. */
static wt_status advance(pass *p, slot *q, int32_t seq, int32_t *id, bool *more)
{
    const float *x = witan_logits(p->s, (size_t)q->row);
    int32_t best = 0;
    for (int32_t v = 1; v < p->m->cfg.n_vocab; v++) if (x[v] > x[best]) best = v;
    *id = best;
    *more = false;
    if (best == p->m->info.eos) { end(q); return WITAN_OK; }
    size_t before = q->got.n;
    if (best < wt_vocab_size(p->m->vocab)) WT_TRY(wt_vocab_decode(p->cx, p->m->vocab, best, true, &q->got));
    if (q->got.failed) return wt_fail(p->cx, WT_ENOMEM, "out of memory while answering");
    bool line = q->got.n > before && memchr(q->got.s + before, '\n', q->got.n - before) && !memchr(q->want, '\n', q->n_want);
    if (++q->made >= p->max_new || line || hopeless(q) || witan_seq_len(p->s, seq) >= p->n_ctx) { end(q); return WITAN_OK; }
    *more = true;
    return WITAN_OK;
}

static wt_status prefill(pass *p, int32_t n)
{
    size_t k = 0;
    for (int32_t i = 0; i < n; i++) {
        slot *q = p->slot + i;
        witan_seq_clear(p->s, i);
        for (size_t j = 0; j < q->n; j++) p->tok[k++] = (witan_token){ q->ids[j], i, j + 1 == q->n };
        q->running = true;
        q->row = i;
    }
    p->ts->computed += (int64_t)k;
    return witan_feed_batch(p->s, p->tok, k);
}

static wt_status answer(pass *p, int32_t n)
{
    WT_TRY(prefill(p, n));
    for (size_t k = 1; k;) {
        k = 0;
        for (int32_t i = 0; i < n; i++) {
            slot *q = p->slot + i;
            int32_t id;
            bool more;
            if (!q->running) continue;
            WT_TRY(advance(p, q, i, &id, &more));
            if (!more) continue;
            q->row = (int32_t)k;
            p->tok[k++] = (witan_token){ id, i, true };
        }
        p->ts->computed += (int64_t)k;
        if (k) WT_TRY(witan_feed_batch(p->s, p->tok, k));
    }
    return WITAN_OK;
}

static wt_status set_up(pass *p, slot *q, const wt_doc *d)
{
    *q = (slot){ .doc = d };
    wt_text_init(&q->got, p->cx);
    q->want = trimmed(d->answer, strlen(d->answer), &q->n_want);
    WT_TRY(wt_vocab_encode(p->cx, p->m->vocab, d->prompt, strlen(d->prompt), WITAN_TOK_BOS, &q->ids, &q->n));
    if (!q->n) return wt_fail(p->cx, WT_ELIMIT, "a question is empty, and the model has no begin token to start from");
    if (q->n >= (size_t)p->n_ctx)
        return wt_fail(p->cx, WT_ELIMIT, "a question has %zu tokens, but the context is %d: raise --ctx", q->n, p->n_ctx);
    return WITAN_OK;
}

static wt_status tally(pass *p, const slot *q)
{
    wt_tally *d = wt_tally_of(p->ts, q->doc->domain);
    if (!d) return WT_ENOMEM;
    d->asked++;
    d->right += q->right;
    return WITAN_OK;
}

static wt_status group(pass *p, const wt_doc *doc, int32_t n)
{
    wt_status st = WITAN_OK;
    int32_t made = 0;
    for (; st == WITAN_OK && made < n; made++) st = set_up(p, p->slot + made, doc + made);
    if (st == WITAN_OK) st = answer(p, n);
    for (int32_t i = 0; i < made; i++) {
        if (st == WITAN_OK) st = tally(p, p->slot + i);
        wt_free(p->cx, p->slot[i].ids);
        wt_text_free(&p->slot[i].got);
    }
    return st;
}

wt_status wt_eval_task(wt_ctx *cx, const wt_model *m, const wt_docs *docs, int32_t n_ctx, const witan_eval_options *o, wt_tallies *ts)
{
    pass p = { .cx = cx, .m = m, .n_ctx = n_ctx, .max_new = o->max_new > 0 ? o->max_new : 64, .ts = ts };
    int32_t n_seq = wt_eval_seqs(cx, m, o, n_ctx);
    witan_session_options so = { .n_ctx = n_ctx, .n_seq = n_seq, .plan = o->plan, .kv_type = o->kv_type };
    wt_status st;
    p.tok = wt_alloc(cx, (size_t)n_seq * (size_t)n_ctx, sizeof *p.tok);
    if (!p.tok) return WT_ENOMEM;
    WT_GO(witan_session_new(cx, m, &so, &p.s));
    for (size_t i = 0; i < docs->n; i += (size_t)n_seq) {
        size_t left = docs->n - i;
        WT_GO(wt_progress(cx, "answer", (double)i, (double)docs->n, "questions"));
        WT_GO(group(&p, docs->doc + i, left < (size_t)n_seq ? (int32_t)left : n_seq));
    }
    st = wt_progress(cx, "answer", (double)docs->n, (double)docs->n, "questions");
done:
    witan_session_free(p.s);
    wt_free(cx, p.tok);
    return st;
}
