/* Specialising: does the written file compute what was planned, and how fast is it? */
#include "api/specialize.h"

#include "model/model.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the written file against the worn plan --------------------------------------------------------------------------- */

static wt_status same_counts(const wt_specialize *s)
{
    for (int32_t i = 0; i < s->model->cfg.n_layer; i++)
        if (witan_model_experts(s->small, i) != witan_plan_count(s->plan, i))
            return wt_fail(s->cx, WT_EMISMATCH, "%s: what was written holds %d experts in layer %d, planned were %d", s->o->out,
                           witan_model_experts(s->small, i), i, witan_plan_count(s->plan, i));
    return WITAN_OK;
}

/* RENORM: a softmax over the kept experts alone is the same arithmetic either way, so every bit agrees. KEEP on a router that
 * renormalises over the chosen is the same number by another route, so only rounding may differ. */
static wt_status same_logits(wt_specialize *s, const float *worn, const float *file, int64_t at)
{
    float most = 0, apart = 0;
    for (int32_t v = 0; v < s->model->cfg.n_vocab; v++) {
        most = fmaxf(most, fabsf(worn[v]));
        float d = fabsf(worn[v] - file[v]);
        if (!(d <= apart)) apart = d;
    }
    float allowed = s->plan->mask.gate == WITAN_GATE_RENORM ? 0 : 1e-4f * most;
    if (apart <= allowed) return WITAN_OK;
    return wt_fail(s->cx, WT_EMISMATCH, "%s: what was written does not compute what the worn plan computes (logits of token %lld differ by %g, "
                   "largest logit %g); it was removed", s->o->out, (long long)at, (double)apart, (double)most);
}

static wt_status compare(wt_specialize *s, witan_session *worn, witan_session *file, const int32_t *ids, size_t n)
{
    enum { PIECE = 32 };
    witan_token tok[PIECE];
    for (size_t at = 0; at < n; at += PIECE) {
        size_t k = n - at < PIECE ? n - at : PIECE;
        for (size_t i = 0; i < k; i++) tok[i] = (witan_token){ ids[at + i], 0, true };
        WT_TRY(wt_progress(s->cx, "verify", (double)at, (double)n, "tokens"));
        WT_TRY(witan_feed_batch(worn, tok, k));
        WT_TRY(witan_feed_batch(file, tok, k));
        for (size_t i = 0; i < k; i++) WT_TRY(same_logits(s, witan_logits(worn, i), witan_logits(file, i), (int64_t)(at + i)));
    }
    s->n_same = (int64_t)n;
    return wt_progress(s->cx, "verify", (double)n, (double)n, "tokens");
}

/* Ids of the first demonstration, at most n_ctx. */
static wt_status first_demo(const wt_specialize *s, int32_t n_ctx, int32_t **ids, size_t *n)
{
    const wt_doc *d = s->demos.doc;
    WT_TRY(witan_tokenize(s->cx, s->model, d->text, d->n_text, WITAN_TOK_BOS, ids, n));
    if (*n > (size_t)n_ctx) *n = (size_t)n_ctx;
    return WITAN_OK;
}

wt_status wt_specialize_verify(wt_specialize *s)
{
    int32_t n_ctx = s->o->n_ctx > 0 ? s->o->n_ctx : s->model->cfg.n_ctx_train, *ids = NULL;
    size_t n;
    witan_session *worn = NULL, *file = NULL;
    wt_status st;
    WT_TRY(same_counts(s));
    WT_GO(first_demo(s, n_ctx, &ids, &n));
    WT_GO(witan_session_new(s->cx, s->model, &(witan_session_options){ .n_ctx = n_ctx, .plan = s->plan }, &worn));
    WT_GO(witan_session_new(s->cx, s->small, &(witan_session_options){ .n_ctx = n_ctx }, &file));
    st = compare(s, worn, file, ids, n);
done:
    wt_free(s->cx, ids);
    witan_session_free(worn);
    witan_session_free(file);
    return st;
}

/* ---- speed ------------------------------------------------------------------------------------------------------------ */

enum { N_PROMPT = 16, N_DECODE = 48, MOST_REPEATS = 8 };
static const double LONG_ENOUGH = 0.05;   /* seconds a round should take, so that one interruption does not decide it */

typedef struct text { const int32_t *ids; size_t n; int32_t n_prompt, n_decode; } text;

/* Seconds of one decode after a short prompt. Fixed tokens, so that both models do the same work. */
static wt_status decode(witan_session *x, const text *t, double *seconds)
{
    witan_seq_clear(x, 0);
    for (int32_t i = 0; i < t->n_prompt; i++) WT_TRY(witan_feed(x, 0, t->ids + (size_t)i % t->n, 1));
    double t0 = wt_now();
    for (int32_t i = 0; i < t->n_decode; i++) WT_TRY(witan_feed(x, 0, t->ids + (size_t)(t->n_prompt + i) % t->n, 1));
    *seconds = wt_now() - t0;
    return WITAN_OK;
}

/* Tokens per second over several decodes. */
static wt_status one_round(witan_session *x, const text *t, int32_t repeats, double *toks)
{
    double sum = 0, seconds;
    for (int32_t i = 0; i < repeats; i++) {
        WT_TRY(decode(x, t, &seconds));
        sum += seconds;
    }
    *toks = repeats * t->n_decode / fmax(sum, 1e-9);
    return WITAN_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* By turns, so that a machine that slows down slows both. A first decode that does not count warms up and tells how often to repeat. */
static wt_status rounds(wt_specialize *s, witan_session *const x[2], const int32_t *ids, size_t n)
{
    int32_t room = s->model->cfg.n_ctx_train, n_prompt = room < 4 * N_PROMPT ? 0 : N_PROMPT;
    text t = { ids, n, n_prompt, room - n_prompt < N_DECODE ? room - n_prompt : N_DECODE };
    double first;
    WT_TRY(decode(x[1], &t, &first));
    WT_TRY(decode(x[0], &t, &first));
    int32_t repeats = (int32_t)fmin(ceil(LONG_ENOUGH / fmax(first, 1e-9)), MOST_REPEATS);
    for (int i = 0; i < WT_N_SPEED; i++) {
        WT_TRY(wt_progress(s->cx, "speed", i, WT_N_SPEED, "rounds"));
        for (int k = 0; k < 2; k++) WT_TRY(one_round(x[k], &t, repeats, &s->speed[k][i]));
    }
    for (int k = 0; k < 2; k++) qsort(s->speed[k], WT_N_SPEED, sizeof(double), by_value);
    s->res->toks_before = s->speed[0][WT_N_SPEED / 2];
    s->res->toks_after = s->speed[1][WT_N_SPEED / 2];
    return wt_progress(s->cx, "speed", WT_N_SPEED, WT_N_SPEED, "rounds");
}

wt_status wt_specialize_speed(wt_specialize *s)
{
    int32_t n_ctx = s->model->cfg.n_ctx_train, *ids = NULL;
    size_t n;
    witan_session *x[2] = { NULL, NULL };
    witan_session_options o = { .n_ctx = n_ctx < N_PROMPT + N_DECODE ? n_ctx : N_PROMPT + N_DECODE };
    wt_status st;
    WT_GO(first_demo(s, n_ctx, &ids, &n));
    WT_GO(witan_session_new(s->cx, s->model, &o, &x[0]));
    WT_GO(witan_session_new(s->cx, s->small, &o, &x[1]));
    st = n ? rounds(s, x, ids, n) : WITAN_OK;
done:
    wt_free(s->cx, ids);
    witan_session_free(x[0]);
    witan_session_free(x[1]);
    return st;
}
