/* The route pipeline backwards: gradients of weights and of balance losses to the logits; choices that are kept for layers that run again. */
#include "moe/router_back.h"

#include "base/thread.h"
#include "moe/balance.h"
#include "op/tape.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* ---- choices ------------------------------------------------------------------------------------------------------------- */

/* Choices of a layer that is going to run again: they are taken, not made anew, so that routers may draw and balance methods may learn. */
struct wt_kept_route { int32_t n_pair, cap, cap_tok, *tok_off, *expert; };

static struct wt_kept_route *kept_of(wt_tape *t, int32_t layer)
{
    size_t n = (size_t)layer + 1;
    if (n > t->cap_route) {
        struct wt_kept_route *p = wt_realloc(t->cx, t->route, n, sizeof *p);
        if (!p) return NULL;
        memset(p + t->cap_route, 0, (n - t->cap_route) * sizeof *p);
        t->route = p;
        t->cap_route = n;
    }
    return t->route + layer;
}

static wt_status grow(wt_ctx *cx, int32_t **p, int32_t *cap, int32_t n)
{
    if (n <= *cap) return WITAN_OK;
    int32_t *q = wt_realloc(cx, *p, (size_t)n, sizeof *q);
    if (!q) return WITAN_ENOMEM;
    *p = q;
    *cap = n;
    return WITAN_OK;
}

wt_status wt_route_keep_choice(wt_run *r, const wt_route *rt)
{
    struct wt_kept_route *k = kept_of(r->tape, r->layer);
    if (!k) return WITAN_ENOMEM;
    WT_TRY(grow(r->cx, &k->tok_off, &k->cap_tok, rt->n_tok + 1));
    WT_TRY(grow(r->cx, &k->expert, &k->cap, rt->n_pair));
    k->n_pair = rt->n_pair;
    memcpy(k->tok_off, rt->tok_off, ((size_t)rt->n_tok + 1) * sizeof *k->tok_off);
    memcpy(k->expert, rt->expert, (size_t)rt->n_pair * sizeof *k->expert);
    return WITAN_OK;
}

void wt_route_take_choice(const wt_run *r, wt_route *rt)
{
    const struct wt_kept_route *k = r->tape->route + r->layer;
    rt->n_pair = k->n_pair;
    rt->at = rt->n_tok;
    memcpy(rt->tok_off, k->tok_off, ((size_t)rt->n_tok + 1) * sizeof *k->tok_off);
    memcpy(rt->expert, k->expert, (size_t)rt->n_pair * sizeof *k->expert);
}

void wt_route_forget(wt_tape *t)
{
    for (size_t i = 0; i < t->cap_route; i++) {
        wt_free(t->cx, t->route[i].tok_off);
        wt_free(t->cx, t->route[i].expert);
    }
    wt_free(t->cx, t->route);
    t->route = NULL;
    t->cap_route = 0;
}

void wt_route_count(const wt_route *rt, int64_t *count) { for (int32_t i = 0; i < rt->n_pair; i++) count[rt->expert[i]]++; }

/* ---- shares -------------------------------------------------------------------------------------------------------------- */

typedef struct share_job { const wt_kernels *k; bool softmax; const float *from; float *to; size_t n; } share_job;

static void share_rows(void *arg, size_t begin, size_t end, int worker)
{
    const share_job *j = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        const float *x = j->from + t * j->n;
        float *y = j->to + t * j->n, sum = 0;
        if (j->softmax) { j->k->softmax(y, x, j->n); continue; }
        for (size_t e = 0; e < j->n; e++) sum += x[e];
        j->k->scale(y, x, 1 / (sum + FLT_MIN), j->n);
    }
}

wt_status wt_route_share(wt_run *r, wt_activation act, const float *prob, size_t n_tok, size_t n_exp, const float **share)
{
    *share = prob;
    if (act == WT_ACT_SOFTMAX) return WITAN_OK;
    float *y = wt_take_n(r->a, n_tok, n_exp * sizeof *y);
    if (!y) return WITAN_ENOMEM;
    share_job j = { r->k, act == WT_ACT_NONE, prob, y, n_exp };
    wt_parallel(r->cx, n_tok, 4096 / n_exp + 1, share_rows, &j);
    *share = y;
    return WITAN_OK;
}

typedef struct adding { const wt_kernels *k; const float *x; size_t n; } adding;

static void add_row(void *arg, size_t t, float *sum)
{
    const adding *j = arg;
    j->k->add(sum, sum, j->x + t * j->n, j->n);
}

wt_status wt_route_mean(wt_run *r, const float *x, size_t n_tok, size_t n_exp, double *mean)
{
    wt_mark m = wt_mark_set(r->a);
    float *sum = wt_take_n(r->a, n_exp, sizeof *sum);
    if (!sum) return WITAN_ENOMEM;
    memset(sum, 0, n_exp * sizeof *sum);
    WT_TRY(wt_sum_rows(r, sum, n_exp, n_tok, add_row, &(adding){ r->k, x, n_exp }));
    for (size_t e = 0; e < n_exp; e++) mean[e] = (double)sum[e] / (double)n_tok;
    wt_rewind(r->a, m);
    return WITAN_OK;
}

/* ---- backward ------------------------------------------------------------------------------------------------------------ *
 * From the gradients a of a token's weights, and those of balance losses, to the logits (card by card what the modes come to):
 *   w = scale p, or with p divided by S = sum of the chosen + eps: dp_i = scale / S (a_i - sum_j a_j w_j / scale)
 *   softmax over all: dz = p (dp - p . dp); softmax over the chosen the same among them; sigmoid: dz = dp p (1 - p);
 *   sqrt(softplus): dz = dp sigmoid(z) / (2 p). */

typedef struct kept { const wt_route_spec *spec; wt_route *rt; const wt_route *all; const int32_t *place; const wt_tensor *logit, *prob; } kept;

typedef struct back_job {
    wt_run *r;
    const kept *o;
    float *dz; bool add;
    const float *share, *d_share;                /* d_share [n_exp] for every token, NULL: none */
    const float *d_logit;                        /* [n_tok, n_exp] NULL: none */
    float *tmp; size_t n_tmp;                    /* per worker: rows for dp, dz, and the chosen's p and dp */
} back_job;

/* p of the chosen and its gradient, from that of the weights. */
static int32_t weights_back(const back_job *j, size_t t, float *p, float *dp)
{
    const kept *o = j->o;
    const wt_route *all = o->all;
    int32_t first = all->tok_off[t], n = all->tok_off[t + 1] - first;
    float sum = 0, mix = 0, scale = o->spec->scale;
    for (int32_t i = 0; i < n; i++) {
        int32_t at = o->place ? o->place[first + i] : first + i;
        p[i] = o->prob->f32[t * (size_t)all->n_exp + (size_t)all->expert[first + i]];
        dp[i] = at >= 0 && o->rt->grad ? o->rt->grad[at] : 0;
    }
    if (o->spec->activation == WT_ACT_NONE) j->r->k->softmax(p, p, (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        sum += p[i];
        mix += p[i] * dp[i];
    }
    sum += o->spec->renorm_eps;
    for (int32_t i = 0; i < n; i++) dp[i] = o->spec->renorm ? scale / sum * (dp[i] - mix / sum) : scale * dp[i];
    return n;
}

static float inner(const float *a, const float *b, size_t n)
{
    float s = 0;
    for (size_t i = 0; i < n; i++) s += a[i] * b[i];
    return s;
}

/* What balance losses put on a token's shares, back to its scores (softmax: dp) or logits (softmax over the chosen: dz). */
static void shares_back(const back_job *j, size_t t, float *dp, float *dz)
{
    size_t n = (size_t)j->o->all->n_exp;
    wt_activation act = j->o->spec->activation;
    const float *g = j->share + t * n, *q = j->d_share, *p = j->o->prob->f32 + t * n;
    float mix, sum = 0;
    if (act == WT_ACT_SOFTMAX) { j->r->k->add(dp, dp, q, n); return; }
    mix = inner(g, q, n);
    if (act == WT_ACT_NONE) {
        for (size_t e = 0; e < n; e++) dz[e] += g[e] * (q[e] - mix);
        return;
    }
    for (size_t e = 0; e < n; e++) sum += p[e];
    for (size_t e = 0; e < n; e++) dp[e] += (q[e] - mix) / (sum + FLT_MIN);
}

static void activation_back(const back_job *j, size_t t, const float *dp, float *dz)
{
    size_t n = (size_t)j->o->all->n_exp;
    const float *p = j->o->prob->f32 + t * n, *z = j->o->logit->f32 + t * n;
    switch (j->o->spec->activation) {
    case WT_ACT_SOFTMAX: {
        float mix = inner(p, dp, n);
        for (size_t e = 0; e < n; e++) dz[e] += p[e] * (dp[e] - mix);
        break;
    }
    case WT_ACT_SIGMOID: for (size_t e = 0; e < n; e++) dz[e] += dp[e] * p[e] * (1 - p[e]); break;
    case WT_ACT_SQRT_SOFTPLUS: for (size_t e = 0; e < n; e++) dz[e] += p[e] > 0 ? dp[e] / ((1 + expf(-z[e])) * 2 * p[e]) : 0; break;
    default: for (size_t e = 0; e < n; e++) dz[e] += dp[e];
    }
}

static void back_token(const back_job *j, size_t t, float *tmp)
{
    const wt_route *all = j->o->all;
    size_t n_exp = (size_t)all->n_exp;
    float *dp = tmp, *dz = dp + n_exp, *p = dz + n_exp, *dw = p + all->most;
    memset(tmp, 0, 2 * n_exp * sizeof *tmp);
    int32_t n = weights_back(j, t, p, dw);
    float mix = j->o->spec->activation == WT_ACT_NONE ? inner(p, dw, (size_t)n) : 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t e = all->expert[all->tok_off[t] + i];
        if (j->o->spec->activation == WT_ACT_NONE) dz[e] += p[i] * (dw[i] - mix); else dp[e] += dw[i];
    }
    if (j->d_share) shares_back(j, t, dp, dz);
    activation_back(j, t, dp, dz);
    if (j->d_logit) j->r->k->add(dz, dz, j->d_logit + t * n_exp, n_exp);
    if (j->add) j->r->k->add(j->dz + t * n_exp, j->dz + t * n_exp, dz, n_exp);
    else memcpy(j->dz + t * n_exp, dz, n_exp * sizeof *dz);
}

static void back_tokens(void *arg, size_t begin, size_t end, int worker)
{
    const back_job *j = arg;
    for (size_t t = begin; t < end; t++) back_token(j, t, j->tmp + (size_t)worker * j->n_tmp);
}

static void *zeroed(wt_arena *a, size_t n, size_t size)
{
    void *p = wt_take_n(a, n, size);
    return p ? memset(p, 0, n * size) : NULL;
}

/* The losses of balance methods, and their gradients on shares and logits. */
static wt_status balance_losses(wt_run *r, const kept *o, back_job *j)
{
    wt_balance_set *s = r->balance;
    size_t n_tok = (size_t)o->all->n_tok, n_exp = (size_t)o->all->n_exp;
    bool any = false, per_token = false;
    for (size_t i = 0; s && i < s->n; i++) {
        const wt_balance_ops *ops = s->b[i].method->ops;
        any |= ops->loss != NULL;
        per_token |= ops->loss && ops->per_token;
    }
    if (!any) return WITAN_OK;
    int64_t *count = zeroed(r->a, n_exp, sizeof *count);
    double *mean = zeroed(r->a, n_exp, sizeof *mean);
    float *d_share = zeroed(r->a, n_exp, sizeof *d_share), *d_logit = per_token ? zeroed(r->a, n_tok * n_exp, sizeof *d_logit) : NULL;
    if (!count || !mean || !d_share || (per_token && !d_logit)) return WITAN_ENOMEM;
    wt_route_count(o->all, count);
    WT_TRY(wt_route_share(r, o->spec->activation, o->prob->f32, n_tok, n_exp, &j->share));
    WT_TRY(wt_route_mean(r, j->share, n_tok, n_exp, mean));
    wt_balance_view v = { .n_tok = o->all->n_tok, .n_exp = o->all->n_exp, .n_used = o->spec->n_used, .logit = o->logit->f32, .share = j->share,
                          .share_mean = mean, .count = count, .step_count = s->count[r->layer], .scale = r->tape->balance_scale,
                          .d_share_all = d_share, .d_logit = d_logit };
    for (size_t i = 0; i < s->n; i++) {
        const wt_balance_ops *ops = s->b[i].method->ops;
        double loss = 0;
        if (!ops->loss) continue;
        WT_TRY(ops->loss(r, s->b[i].opt, s->b[i].state[r->layer], &v, &loss));
        s->b[i].loss += loss;
    }
    j->d_share = d_share;
    j->d_logit = d_logit;
    return WITAN_OK;
}

static wt_status back(wt_run *r, const wt_rec *e)
{
    const kept *o = e->op;
    back_job j = { .r = r, .o = o };
    j.dz = wt_grad(r, o->logit, &j.add);
    if (!j.dz) return WITAN_ENOMEM;
    wt_mark m = wt_mark_set(r->a);
    WT_TRY(balance_losses(r, o, &j));
    j.n_tmp = 2 * ((size_t)o->all->n_exp + (size_t)o->all->most) + 16;
    j.tmp = wt_take_n(r->a, (size_t)r->cx->threads, j.n_tmp * sizeof *j.tmp);
    if (!j.tmp) return WITAN_ENOMEM;
    wt_parallel(r->cx, (size_t)o->all->n_tok, 2048 / (size_t)o->all->n_exp + 1, back_tokens, &j);
    wt_rewind(r->a, m);
    return WITAN_OK;
}

wt_status wt_route_record(wt_run *r, const wt_route_spec *spec, wt_route *rt, const int32_t *place, const wt_tensor *logit, const wt_tensor *prob)
{
    wt_tensor *y;
    if (!wt_taping(r) || !wt_learns(logit)) return WITAN_OK;
    kept *o = wt_take(r->a, sizeof *o);
    if (!o) return WITAN_ENOMEM;
    *o = (kept){ spec, rt, rt->all ? rt->all : rt, place, logit, prob };
    rt->learns = logit;
    WT_TRY(wt_tensor_new(r->a, 1, (int64_t[]){ 1 }, &y));
    return wt_record(r, &(wt_rec){ .back = back, .out = y, .in = { logit }, .op = o });
}
