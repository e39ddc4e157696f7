/* Random: the floor that a score must beat. One number per expert from (seed, layer), independent of the data. */
#include "base/rng.h"
#include "edit/record.h"
#include "op/method.h"

static wt_status score(wt_ctx *cx, const void *opt, const wt_record_view *v, int64_t seed, double *out)
{
    wt_rng rng;
    (void)cx; (void)opt;
    wt_rng_seed(&rng, (uint64_t)seed, (uint64_t)v->layer);
    for (int32_t e = 0; e < v->n_exp; e++) out[e] = wt_rng_float(&rng);
    return WITAN_OK;
}

const wt_method wt_importance_random = {
    .name = "random", .kind = WT_KIND_IMPORTANCE,
    .title = "random choice",
    .about = "Baseline: which experts stay is drawn by seed.",
    .cite = { "Not All Experts are Equal: Efficient Expert Pruning and Skipping for Mixture-of-Experts Large Language Models", "Lu et al.",
              "arXiv:2402.14800", 2024, "random pruning as a baseline" },
    .ops = &(const wt_importance_ops){ .needs_data = false, .score = score },
};
