/* Perplexity: every document alone, begin token first, cut at n_ctx ids, all predictions counted. Several documents are fed side by
 * side as sequences of their own, which changes no bit of any of them. */
#include "eval/eval.h"

#include "base/thread.h"
#include <math.h>

enum { PIECE = 128 };

typedef struct text { int32_t *ids; size_t n; const char *domain; double nll; } text;

typedef struct pass {
    wt_ctx *cx;
    const wt_model *m;
    witan_session *s;
    int32_t n_seq;
    text *t; size_t n_text;
    witan_token tok[PIECE];
    int32_t target[PIECE], owner[PIECE];         /* next id and text of each token of the piece */
    double nll[PIECE];
    float *scratch;                              /* [threads, n_vocab] */
} pass;

/* -log softmax(x)[target]. With y = softmax(x), the largest y is 1 / sum exp(x - max), so nothing small is divided. */
static void row_nll(void *arg, size_t begin, size_t end, int worker)
{
    pass *p = arg;
    size_t n = (size_t)p->m->cfg.n_vocab;
    float *y = p->scratch + (size_t)worker * n;
    for (size_t i = begin; i < end; i++) {
        const float *x = witan_logits(p->s, i);
        size_t top = 0;
        for (size_t v = 1; v < n; v++) if (x[v] > x[top]) top = v;
        p->m->k.softmax(y, x, n);
        p->nll[i] = -log((double)y[top]) + ((double)x[top] - (double)x[p->target[i]]);
    }
}

static wt_status flush(pass *p, size_t *n)
{
    WT_TRY(witan_feed_batch(p->s, p->tok, *n));
    wt_parallel(p->cx, *n, 4, row_nll, p);
    for (size_t i = 0; i < *n; i++) p->t[p->owner[i]].nll += p->nll[i];   /* in token order */
    *n = 0;
    return WITAN_OK;
}

/* Feeds texts [from, to), each as a sequence; the last id is only predicted. */
static wt_status group(pass *p, size_t from, size_t to)
{
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        int32_t seq = (int32_t)(i - from);
        witan_seq_clear(p->s, seq);
        for (size_t k = 0; k + 1 < p->t[i].n; k++) {
            p->tok[n] = (witan_token){ p->t[i].ids[k], seq, true };
            p->target[n] = p->t[i].ids[k + 1];
            p->owner[n++] = (int32_t)i;
            if (n == PIECE) WT_TRY(flush(p, &n));
        }
    }
    return n ? flush(p, &n) : WITAN_OK;
}

static wt_status tokenize(pass *p, const wt_docs *docs, int32_t n_ctx, size_t *longest)
{
    size_t cut = 0;
    *longest = 0;
    for (; p->n_text < docs->n; p->n_text++) {
        text *t = p->t + p->n_text;
        const wt_doc *d = docs->doc + p->n_text;
        t->domain = d->domain;
        WT_TRY(wt_vocab_encode(p->cx, p->m->vocab, d->text, d->n_text, WITAN_TOK_BEGIN, &t->ids, &t->n));
        if (t->n > (size_t)n_ctx) { t->n = (size_t)n_ctx; cut++; }
        if (t->n > *longest) *longest = t->n;
    }
    if (cut) wt_log(p->cx, WITAN_INFO, "%zu of %zu documents were cut at %d tokens", cut, docs->n, n_ctx);
    return *longest > 1 ? WITAN_OK : wt_fail(p->cx, WT_ELIMIT, "every document is too short: expected at least two tokens in one");
}

static wt_status tally(wt_tallies *ts, const text *t)
{
    if (t->n < 2) return WITAN_OK;
    wt_tally *d = wt_tally_of(ts, t->domain);
    if (!d) return WT_ENOMEM;
    double b = (double)t->n - 1;
    d->n_doc++;
    d->nll += t->nll;
    d->tok += b;
    d->nll2 += t->nll * t->nll;
    d->nll_tok += t->nll * b;
    d->tok2 += b * b;
    ts->computed += (int64_t)b;
    return WITAN_OK;
}

wt_status wt_eval_perplexity(wt_ctx *cx, const wt_model *m, const wt_docs *docs, int32_t n_ctx, const witan_eval_options *o, wt_tallies *ts)
{
    size_t longest;
    wt_status st;
    pass *p = wt_alloc(cx, 1, sizeof *p);
    if (!p) return WT_ENOMEM;
    p->cx = cx;
    p->m = m;
    p->t = wt_alloc(cx, docs->n, sizeof *p->t);
    p->scratch = wt_alloc(cx, (size_t)cx->threads * (size_t)m->cfg.n_vocab, sizeof *p->scratch);
    WT_GO(p->t && p->scratch ? WITAN_OK : WT_ENOMEM);
    WT_GO(tokenize(p, docs, n_ctx, &longest));
    p->n_seq = wt_eval_seqs(cx, m, o, (int32_t)longest);
    witan_session_options so = { .n_ctx = (int32_t)longest, .n_seq = p->n_seq, .plan = o->plan, .kv_type = o->kv_type };
    WT_GO(witan_session_new(cx, m, &so, &p->s));
    for (size_t i = 0; i < docs->n; i += (size_t)p->n_seq) {
        size_t to = i + (size_t)p->n_seq < docs->n ? i + (size_t)p->n_seq : docs->n;
        WT_GO(wt_progress(cx, "perplexity", (double)i, (double)docs->n, "documents"));
        WT_GO(group(p, i, to));
    }
    for (size_t i = 0; i < docs->n; i++) WT_GO(tally(ts, p->t + i));
    st = wt_progress(cx, "perplexity", (double)docs->n, (double)docs->n, "documents");
done:
    for (size_t i = 0; p->t && i < p->n_text; i++) wt_free(cx, p->t[i].ids);
    witan_session_free(p->s);
    wt_free(cx, p->t);
    wt_free(cx, p->scratch);
    wt_free(cx, p);
    return st;
}
