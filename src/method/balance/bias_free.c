/* Balancing without a loss: each expert has a bias that is added to its score for selection only, and that moves by a fixed step after each step of
 * the optimizer: up where the expert got less than its part of the pairs, down where it got more. Counts of a batch never change that batch's own
 * routes. The bias is the state; a trained model carries it as exp_probs_b. */
#include "op/method.h"

#include <string.h>

typedef struct opts { float u; } opts;

static const wt_param param[] = {
    WT_NUM(opts, u, 0.001, 0, 1, "how far a bias moves in a step"),
    { 0 }
};

static wt_status before(wt_run *r, const void *opt, float *state, const wt_tensor *score, int32_t n_used, bool learn, const float **bias)
{
    (void)r; (void)opt; (void)score; (void)n_used; (void)learn;
    *bias = state;
    return WITAN_OK;
}

static void after(const void *opt, float *state, int32_t n_exp, const int64_t *count)
{
    const opts *o = opt;
    int64_t total = 0;
    for (int32_t e = 0; e < n_exp; e++) total += count[e];
    for (int32_t e = 0; e < n_exp; e++) {
        int64_t over = count[e] * n_exp - total;         /* n_exp times what it has above the mean */
        state[e] -= over > 0 ? o->u : over < 0 ? -o->u : 0;
    }
}

static void bias_of(const void *opt, const float *state, int32_t n_exp, float *bias)
{
    (void)opt;
    for (int32_t e = 0; e < n_exp; e++) bias[e] += state[e];
}

static void take_bias(const void *opt, float *state, int32_t n_exp, const float *bias)
{
    (void)opt;
    memcpy(state, bias, (size_t)n_exp * sizeof *state);
}

const wt_method wt_balance_bias_free = {
    .name = "bias-free", .kind = WT_KIND_BALANCE,
    .title = "auxiliary-loss-free balancing",
    .about = "A bias per expert, for selection only, moved after each step towards even use. No gradient is touched.",
    .cite = { "Auxiliary-Loss-Free Load Balancing Strategy for Mixture-of-Experts", "Wang et al.", "arXiv:2408.15664", 2024, "algorithm 1" },
    .param = param, .opt_size = sizeof(opts),
    .ops = &(const wt_balance_ops){ .n_state = 1, .by_k = "", .before = before, .after = after, .bias = bias_of, .take_bias = take_bias },
};
