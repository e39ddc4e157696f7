/* Top-k routing: the k experts with the largest selection score, ties to the lower id. The choice of nearly every released
 * MoE; which score is ranked and how the chosen are weighted are other stages of the pipeline. */
#include "op/method.h"

typedef struct opts { int32_t k; } opts;

static const wt_param param[] = {
    WT_NUM(opts, k, 0, 0, 4096, "experts per token; 0: as many as the model was trained with"),
    { 0 }
};

static wt_status pick(wt_run *r, const void *opt, const wt_tensor *score, wt_route *rt)
{
    const opts *o = opt;
    int32_t k = o->k && o->k < rt->most ? o->k : rt->most;
    (void)r;
    for (int32_t t = 0; t < rt->n_tok; t++) {
        const float *row = score->f32 + (size_t)t * (size_t)rt->n_exp;
        for (int32_t i = 0; i < k; i++) wt_route_take_best(rt, row);
        wt_route_next(rt);
    }
    return WITAN_OK;
}

const wt_method wt_router_topk = {
    .name = "topk", .kind = WT_KIND_ROUTER,
    .title = "top-k routing",
    .about = "Every token uses the k experts that score highest.",
    .cite = { "Outrageously Large Neural Networks: The Sparsely-Gated Mixture-of-Experts Layer", "Shazeer et al.", "arXiv:1701.06538", 2017,
              "section 2.1, eq. 5, without the noise" },
    .param = param, .opt_size = sizeof(opts),
    .ops = &(const wt_router_ops){ .causal = true, .batch_independent = true, .side_by_side = true, .select = pick },
};
