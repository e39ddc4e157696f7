/* Frequency: how often an expert is chosen, or (soft) the sum of its gates. The baseline that every pruning paper compares with. */
#include "edit/record.h"
#include "op/method.h"

typedef struct opts { bool soft; } opts;

static const wt_param param[] = {
    WT_FLAG(opts, soft, "add gates instead of counting choices"),
    { 0 }
};

static wt_status score(wt_ctx *cx, const void *opt, const wt_record_view *v, int64_t seed, double *out)
{
    const opts *o = opt;
    (void)cx; (void)seed;
    for (int32_t e = 0; e < v->n_exp; e++) out[e] = o->soft ? v->sum[e].g : v->sum[e].n;
    return WITAN_OK;
}

const wt_method wt_importance_freq = {
    .name = "freq", .kind = WT_KIND_IMPORTANCE,
    .title = "expert frequency",
    .about = "How often the router chooses the expert on the demonstrations.",
    .cite = { "SEER-MoE: Sparse Expert Efficiency through Regularization for Mixture-of-Experts", "Muzio et al.", "arXiv:2404.05089", 2024,
              "hard and soft heavy-hitter counts" },
    .param = param, .opt_size = sizeof(opts),
    .ops = &(const wt_importance_ops){ .needs_data = true, .score = score },
};
