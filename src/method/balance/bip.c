/* Balancing by a binary integer program: the assignment of tokens to experts with the largest sum of scores, at most k experts a token and kn/E tokens
 * an expert. Its linear relaxation's dual is minimised by turns: for each token p_t = max(0, (k+1)-th largest of s_tj - q_j), for each expert
 * q_j = max(0, (m+1)-th largest of s_tj - p_t), m = kn/E; each half-step is exact in its block. Routes are the top k of s - q. q is the state, kept
 * from batch to batch; each micro-batch is a batch of its own. Weights come from s alone.
 *
 * An exported model carries -q of the last batch as its selection bias (ours: the paper routes without it outside training). */
#include "op/method.h"

#include "base/thread.h"
#include <math.h>
#include <stddef.h>

typedef struct opts { int32_t rounds; } opts;

static const wt_param param[] = {
    WT_NUM(opts, rounds, 4, 1, 64, "alternations per batch; 4 for 16 experts, 14 for 64"),
    { 0 }
};

/* The rank-th largest (from 0) of x [n], which is reordered (Hoare's FIND). No NaN. */
static float largest(float *x, size_t n, size_t rank)
{
    ptrdiff_t lo = 0, hi = (ptrdiff_t)n - 1, k = (ptrdiff_t)rank;
    while (lo < hi) {
        float pivot = x[k];
        ptrdiff_t i = lo, j = hi;
        do {
            while (x[i] > pivot) i++;
            while (x[j] < pivot) j--;
            if (i > j) break;
            float t = x[i];
            x[i++] = x[j];
            x[j--] = t;
        } while (i <= j);
        if (j < k) lo = i;
        if (k < i) hi = j;
    }
    return x[k];
}

typedef struct job { const float *s; float *p, *q, *tmp; size_t n_tok, n_exp, k, m, n_tmp; } job;

static void tokens(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    float *x = j->tmp + (size_t)worker * j->n_tmp;
    for (size_t t = begin; t < end; t++) {
        for (size_t e = 0; e < j->n_exp; e++) x[e] = j->s[t * j->n_exp + e] - j->q[e];
        float v = j->k < j->n_exp ? largest(x, j->n_exp, j->k) : 0;
        j->p[t] = v > 0 ? v : 0;
    }
}

static void experts(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    float *x = j->tmp + (size_t)worker * j->n_tmp;
    for (size_t e = begin; e < end; e++) {
        for (size_t t = 0; t < j->n_tok; t++) x[t] = j->s[t * j->n_exp + e] - j->p[t];
        float v = j->m < j->n_tok ? largest(x, j->n_tok, j->m) : 0;
        j->q[e] = v > 0 ? v : 0;
    }
}

static wt_status before(wt_run *r, const void *opt, float *state, const wt_tensor *score, int32_t n_used, bool learn, const float **bias)
{
    const opts *o = opt;
    job j = { .s = score->f32, .q = state, .n_tok = (size_t)score->shape[0], .n_exp = (size_t)score->shape[1], .k = (size_t)n_used };
    float *b = wt_take_n(r->a, j.n_exp, sizeof *b);
    if (!b) return WITAN_ENOMEM;
    wt_mark mark = wt_mark_set(r->a);
    j.m = j.k * j.n_tok / j.n_exp;
    j.n_tmp = ((j.n_tok > j.n_exp ? j.n_tok : j.n_exp) + 15) / 16 * 16;
    j.p = wt_take_n(r->a, j.n_tok, sizeof *j.p);
    j.tmp = wt_take_n(r->a, (size_t)r->cx->threads, j.n_tmp * sizeof *j.tmp);
    if (!j.p || !j.tmp) return WITAN_ENOMEM;
    for (size_t i = 0; i < score->n; i++) if (isnan(score->f32[i])) learn = false;      /* refused soon */
    for (int32_t i = 0; learn && i < o->rounds; i++) {
        wt_parallel(r->cx, j.n_tok, 64, tokens, &j);
        wt_parallel(r->cx, j.n_exp, 1, experts, &j);
    }
    wt_rewind(r->a, mark);
    for (size_t e = 0; e < j.n_exp; e++) b[e] = -state[e];
    *bias = b;
    return WITAN_OK;
}

static void bias_of(const void *opt, const float *state, int32_t n_exp, float *bias)
{
    (void)opt;
    for (int32_t e = 0; e < n_exp; e++) bias[e] -= state[e];
}

static void take_bias(const void *opt, float *state, int32_t n_exp, const float *bias)
{
    float top = 0;
    (void)opt;
    for (int32_t e = 0; e < n_exp; e++) if (bias[e] > top) top = bias[e];
    for (int32_t e = 0; e < n_exp; e++) state[e] = top - bias[e];        /* q >= 0: a constant changes no choice */
}

const wt_method wt_balance_bip = {
    .name = "bip", .kind = WT_KIND_BALANCE,
    .title = "BIP-based balancing",
    .about = "Solves for prices of experts on every batch, so that its use is nearly even from the first step. No gradient is touched.",
    .cite = { "Binary-Integer-Programming Based Algorithm for Expert Load Balancing in Mixture-of-Experts Models", "Sun", "arXiv:2502.15451", 2025,
              "algorithm 1; the alternation derived from the dual" },
    .param = param, .opt_size = sizeof(opts),
    .ops = &(const wt_balance_ops){ .n_state = 1, .by_k = "", .before = before, .bias = bias_of, .take_bias = take_bias },
};
