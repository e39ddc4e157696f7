/* EASY-EP: an expert counts by what it adds (gate times output norm) on tokens whose residual stream the experts really turn.
 * Shared experts are not part of the token weight, as in the authors' code. Sums are not divided by anything: an expert that works
 * often is worth more. */
#include "edit/record.h"
#include "op/method.h"

static wt_status score(wt_ctx *cx, const void *opt, const wt_record_view *v, int64_t seed, double *out)
{
    (void)cx; (void)opt; (void)seed;
    for (int32_t e = 0; e < v->n_exp; e++) out[e] = v->sum[e].cgm;
    return WITAN_OK;
}

const wt_method wt_importance_easy_ep = {
    .name = "easy-ep", .kind = WT_KIND_IMPORTANCE,
    .title = "EASY-EP, few-shot domain importance",
    .about = "Output of the expert times its gate, weighted by how much the layer changes each token.",
    .cite = { "Domain-Specific Pruning of Large Mixture-of-Experts Models with Few-shot Demonstrations", "Dong et al.", "arXiv:2504.06792", 2025,
              "expert score and token contribution; authors' code for the sums" },
    .ops = &(const wt_importance_ops){ .needs_data = true, .score = score },
};
