/* Switch routing: each token goes to one expert, the best. Weights and gradients are those of the pipeline: the expert's output times its probability,
 * not renormalised (a weight that is always 1 would give the router no gradient; wt_route_spec.renorm must be off). Capacity is a filter. */
#include "op/method.h"

static wt_status pick(wt_run *r, const void *opt, const wt_tensor *score, wt_route *rt)
{
    (void)r; (void)opt;
    for (int32_t t = 0; t < rt->n_tok; t++) {
        wt_route_take_best(rt, score->f32 + (size_t)t * (size_t)rt->n_exp);
        wt_route_next(rt);
    }
    return WITAN_OK;
}

const wt_method wt_router_switch = {
    .name = "switch", .kind = WT_KIND_ROUTER,
    .title = "switch routing",
    .about = "Every token uses the one expert that scores highest.",
    .cite = { "Switch Transformers: Scaling to Trillion Parameter Models with Simple and Efficient Sparsity", "Fedus et al.", "arXiv:2101.03961", 2021,
              "section 2.1" },
    .ops = &(const wt_router_ops){ .causal = true, .batch_independent = true, .side_by_side = true, .select = pick },
};
