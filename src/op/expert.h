/* The expert op: evaluates the pairs of a route, grouped by expert, and adds them up in a fixed order. */
#ifndef WT_OP_EXPERT_H
#define WT_OP_EXPERT_H

#include "op/run.h"

/* One expert's weights. Rows are outputs. */
typedef struct wt_expert {
    wt_tensor gate, up;      /* [d_ff, d_model] */
    wt_tensor down;          /* [d_model, d_ff] */
} wt_expert;

/* Where experts come from. acquire may be called from several workers at once; each acquire is matched by a release. */
typedef struct wt_expert_source {
    void *self;
    wt_status (*acquire)(void *self, wt_ctx *cx, int32_t layer, int32_t expert, wt_expert *out);
    void (*release)(void *self, int32_t layer, int32_t expert);
} wt_expert_source;

/* out[t] = sum over the pairs of t, in order of their experts, of weight * down(silu(gate x_t) * (up x_t)).
 *
 * rt       grouped here if it is not yet
 * x, out   [n_tok, d_model]
 * *pair_y  [n_pair, d_model] outputs before the gate, in pair order; lives in r->a (the EXPERT tap sends it)
 */
wt_status wt_op_experts(wt_run *r, const wt_expert_source *src, wt_route *rt, wt_tensor *x, wt_tensor **out, const float **pair_y);

#endif
