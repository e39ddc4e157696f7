/* Router z-loss: the mean over tokens of the square of log(sum of exp(logits)), which keeps logits small. Its gradient on a logit is
 * 2 c / T * lse * softmax. */
#include "op/method.h"

#include "base/thread.h"
#include <math.h>

typedef struct opts { float c; } opts;

static const wt_param param[] = {
    WT_NUM(opts, c, 0.001, 0, 100, "factor of the loss"),
    { 0 }
};

typedef struct job { wt_run *r; const wt_balance_view *v; float factor, *lse, *tmp; } job;

static void tokens(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    size_t n = (size_t)j->v->n_exp;
    float *g = j->tmp + (size_t)worker * n;
    for (size_t t = begin; t < end; t++) {
        const float *z = j->v->logit + t * n;
        size_t best = 0;
        for (size_t e = 1; e < n; e++) if (z[e] > z[best]) best = e;
        j->r->k->softmax(g, z, n);
        j->lse[t] = z[best] - logf(g[best]);
        j->r->k->axpy(j->v->d_logit + t * n, j->factor * j->lse[t], g, n);
    }
}

static wt_status loss(wt_run *r, const void *opt, const float *state, const wt_balance_view *v, double *out)
{
    const opts *o = opt;
    size_t n_tok = (size_t)v->n_tok;
    job j = { r, v, 2 * o->c / (float)v->n_tok * v->scale, wt_take_n(r->a, n_tok, sizeof *j.lse),
              wt_take_n(r->a, (size_t)r->cx->threads * (size_t)v->n_exp, sizeof *j.tmp) };
    (void)state;
    if (!j.lse || !j.tmp) return WITAN_ENOMEM;
    wt_parallel(r->cx, n_tok, 2048 / (size_t)v->n_exp + 1, tokens, &j);
    double sum = 0;
    for (size_t t = 0; t < n_tok; t++) sum += (double)j.lse[t] * (double)j.lse[t];
    *out = (double)o->c * sum / v->n_tok;
    return WITAN_OK;
}

const wt_method wt_balance_z_loss = {
    .name = "z-loss", .kind = WT_KIND_BALANCE,
    .title = "router z-loss",
    .about = "Keeps the router's logits small, so that float arithmetic serves it well. Has nothing to do with k.",
    .cite = { "ST-MoE: Designing Stable and Transferable Sparse Expert Models", "Zoph et al.", "arXiv:2202.08906", 2022, "section 3.2, eq. 5" },
    .param = param, .opt_size = sizeof(opts),
    .ops = &(const wt_balance_ops){ .per_token = true, .by_k = "does not depend on k", .loss = loss },
};
