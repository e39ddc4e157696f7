/* The route pipeline, stage by stage. */
#include "moe/router.h"

#include "op/ops.h"
#include <math.h>
#include <string.h>

static const wt_mask_layer *mask_of(const wt_mask *m, int32_t layer)
{
    if (!m || layer >= m->n_layer) return NULL;
    const wt_mask_layer *l = m->layer + layer;
    return l->n_keep < l->n_exp ? l : NULL;
}

/* Experts that are masked get -inf. */
static void hide(wt_tensor *t, const wt_mask_layer *l)
{
    size_t n_exp = (size_t)t->shape[1];
    for (size_t i = 0; i < t->n; i++) if (!l->keep[i % n_exp]) t->f32[i] = -INFINITY;
}

static float sqrt_softplus(float z) { return sqrtf(z > 20 ? z : log1pf(expf(z))); }

/* Softmax over the experts that stay, exactly as a file without the others computes it: their logits are moved together first, because
 * the order of the sum decides its last bit. */
static wt_status softmax_of_kept(wt_run *r, const wt_tensor *logit, const wt_mask_layer *l, wt_tensor **prob)
{
    size_t n_exp = (size_t)logit->shape[1];
    float *kept = wt_take_n(r->a, n_exp, sizeof *kept);
    if (!kept) return WITAN_ENOMEM;
    WT_TRY(wt_tensor_new(r->a, 2, logit->shape, prob));
    for (size_t i = 0; i < logit->n; i += n_exp) {
        size_t n = 0;
        for (size_t e = 0; e < n_exp; e++) if (l->keep[e]) kept[n++] = logit->f32[i + e];
        r->k->softmax(kept, kept, n);
        n = 0;
        for (size_t e = 0; e < n_exp; e++) (*prob)->f32[i + e] = l->keep[e] ? kept[n++] : 0;
    }
    return WITAN_OK;
}

/* worn: router rows of masked experts count as deleted; NULL: none. */
static wt_status activate(wt_run *r, wt_activation act, const wt_tensor *logit, const wt_mask_layer *worn, wt_tensor **prob)
{
    if (act == WT_ACT_SOFTMAX) return worn ? softmax_of_kept(r, logit, worn, prob) : wt_op_softmax(r, logit, prob);
    WT_TRY(wt_tensor_new(r->a, 2, logit->shape, prob));
    float *p = (*prob)->f32;
    for (size_t i = 0; i < logit->n; i++) {
        float z = logit->f32[i];
        p[i] = act == WT_ACT_SIGMOID ? 1.0f / (1.0f + expf(-z)) : act == WT_ACT_SQRT_SOFTPLUS ? sqrt_softplus(z) : z;
    }
    return WITAN_OK;
}

/* What is ranked: the activation plus the selection bias, masked. The combine weight never sees the bias. */
static wt_status selection_score(wt_run *r, wt_tensor *prob, const wt_tensor *bias, const wt_mask_layer *mask, wt_tensor **score)
{
    if (!bias && !mask) { *score = prob; return WITAN_OK; }
    size_t n_exp = (size_t)prob->shape[1];
    WT_TRY(wt_tensor_new(r->a, 2, prob->shape, score));
    memcpy((*score)->f32, prob->f32, prob->n * sizeof *prob->f32);
    if (bias)
        for (size_t i = 0; i < prob->n; i += n_exp) r->k->add((*score)->f32 + i, prob->f32 + i, bias->data, n_exp);
    if (mask) hide(*score, mask);
    return WITAN_OK;
}

static void softmax_of_chosen(wt_run *r, float *w, int32_t n) { r->k->softmax(w, w, (size_t)n); }

/* Combine weights: gathered activation (or softmax over the chosen), renormalised, scaled. Sums run in route order. */
static void weigh(wt_run *r, const wt_route_spec *spec, const wt_tensor *prob, wt_route *rt)
{
    for (int32_t t = 0; t < rt->n_tok; t++) {
        int32_t begin = rt->tok_off[t], n = rt->tok_off[t + 1] - begin;
        float *w = rt->weight + begin, sum = 0;
        for (int32_t i = 0; i < n; i++) w[i] = prob->f32[(size_t)t * (size_t)rt->n_exp + (size_t)rt->expert[begin + i]];
        if (spec->activation == WT_ACT_NONE) softmax_of_chosen(r, w, n);
        for (int32_t i = 0; i < n; i++) sum += w[i];
        float s = (spec->renorm ? 1.0f / (sum + spec->renorm_eps) : 1.0f) * spec->scale;
        if (s != 1.0f) for (int32_t i = 0; i < n; i++) w[i] *= s;
    }
}

/* A router that yields something that is no number must not reach the experts, also where other experts could still be chosen. */
static wt_status check(wt_run *r, const wt_tensor *prob, const wt_route *rt)
{
    bool bad = false;
    for (size_t i = 0; i < prob->n; i++) bad |= isnan(prob->f32[i]);
    for (int32_t t = 0; t < rt->n_tok; t++) bad |= rt->tok_off[t + 1] == rt->tok_off[t];
    for (int32_t i = 0; i < rt->n_pair; i++) bad |= !isfinite(rt->weight[i]);
    if (!bad) return WITAN_OK;
    return wt_fail(r->cx, WT_EFORMAT, "layer %d: the router gives no finite weights (damaged weights, or activations that overflowed)", r->layer);
}

wt_status wt_route_run(wt_run *r, const wt_route_spec *spec, wt_tensor *x, const wt_tensor *w_router, const wt_tensor *bias,
                       const wt_mask *mask, wt_route **out)
{
    int32_t n_tok = (int32_t)x->shape[0], n_exp = (int32_t)w_router->shape[0];
    const wt_mask_layer *worn = mask_of(mask, r->layer);
    wt_tensor *logit, *prob, *score;
    WT_TRY(wt_op_linear(r, x, w_router, &logit));
    WT_TRY(activate(r, spec->activation, logit, worn && mask->gate == WITAN_GATE_RENORM ? worn : NULL, &prob));
    WT_TRY(selection_score(r, prob, bias, worn, &score));

    int32_t allowed = worn ? worn->n_keep : n_exp;
    WT_TRY(wt_route_new(r->a, n_tok, n_exp, spec->n_used < allowed ? spec->n_used : allowed, out));
    const wt_router_ops *ops = spec->select->ops;
    WT_TRY(ops->select(r, spec->select_opt, score, *out));
    weigh(r, spec, prob, *out);
    WT_TRY(check(r, prob, *out));
    return wt_tap_send(r, (wt_tap_event){ .tap = WT_TAP_ROUTE, .n_tok = n_tok, .n_exp = n_exp, .d_model = (int32_t)x->shape[1],
                                          .logit = logit->f32, .prob = prob->f32, .route = *out });
}
