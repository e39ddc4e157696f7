/* The load-balancing loss of Switch Transformer: E times the sum over experts of (share of the pairs) * (mean probability), so that experts which
 * get much are made less likely. Shares of pairs are F_j = c_j / sum c: they sum to 1 whatever the number k of experts per token, so the loss is
 * alpha where all is even (with c_j / T, as some write it, it would be alpha k). F is a count: no gradient flows through it; each token's
 * probability p_j gets alpha E F_j / T.
 *
 * scope micro takes F from this micro-batch; scope global from all micro-batches of the step so far (a running approximation of the whole step's,
 * as under gradient accumulation the later ones are not known yet), which lets experts specialise by domain. */
#include "op/method.h"

typedef enum scope { MICRO, GLOBAL } scope;

typedef struct opts { float alpha; int32_t scope; } opts;

static const char *const scopes[] = { "micro", "global", NULL };

static const wt_param param[] = {
    WT_NUM(opts, alpha, 0.01, 0, 100, "factor of the loss"),
    WT_CHOICE(opts, scope, MICRO, scopes, "what shares are counted over: this micro-batch, or the step so far"),
    { 0 }
};

static wt_status loss(wt_run *r, const void *opt, const float *state, const wt_balance_view *v, double *out)
{
    const opts *o = opt;
    const int64_t *count = o->scope == GLOBAL ? v->step_count : v->count;
    double total = 0, sum = 0;
    (void)r; (void)state;
    for (int32_t e = 0; e < v->n_exp; e++) total += (double)count[e];
    for (int32_t e = 0; e < v->n_exp; e++) {
        double f = total > 0 ? (double)count[e] / total : 0, factor = (double)o->alpha * v->n_exp * f;
        sum += factor * v->share_mean[e];
        v->d_share_all[e] += (float)(factor / v->n_tok * (double)v->scale);
    }
    *out = sum;
    return WITAN_OK;
}

const wt_method wt_balance_aux = {
    .name = "aux", .kind = WT_KIND_BALANCE,
    .title = "auxiliary load-balancing loss",
    .about = "Penalises experts by their share of pairs times their mean probability. Divides by k: even use costs alpha.",
    .cite = { "Switch Transformers: Scaling to Trillion Parameter Models with Simple and Efficient Sparsity", "Fedus et al.", "arXiv:2101.03961", 2021,
              "section 2.2, eq. 4 to 6; scope global: Qiu et al., arXiv:2501.11873" },
    .param = param, .opt_size = sizeof(opts),
    .ops = &(const wt_balance_ops){ .by_k = "divides by k", .loss = loss },
};
