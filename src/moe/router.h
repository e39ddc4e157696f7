/* The route pipeline: view -> logits -> activation -> bias -> mask -> select -> weight -> renormalise/scale. Selection
 * score and combine weight are separate; arithmetic is float. A spec describes the pipeline as data. */
#ifndef WT_MOE_ROUTER_H
#define WT_MOE_ROUTER_H

#include "moe/mask.h"
#include "op/method.h"

typedef enum wt_activation { WT_ACT_SOFTMAX = 1, WT_ACT_SIGMOID = 2, WT_ACT_NONE = 3, WT_ACT_SQRT_SOFTPLUS = 4 } wt_activation;   /* numbers of expert_gating_func; 3: softmax over the chosen */

typedef struct wt_route_spec {
    wt_activation activation;
    const wt_method *select; const void *select_opt;     /* kind router */
    const wt_method *filter; const void *filter_opt;     /* kind filter, NULL: none; only in passes that train */
    int32_t n_used;                                      /* most experts per token */
    bool renorm; float renorm_eps;                       /* divide the chosen weights by sum + eps */
    float scale;                                         /* 1: none */
} wt_route_spec;

/* x [n_tok, d_model], w_router [n_exp, d_model], bias [n_exp] for selection only or NULL, mask NULL: all. The route lives in r->a. */
wt_status wt_route_run(wt_run *r, const wt_route_spec *spec, wt_tensor *x, const wt_tensor *w_router, const wt_tensor *bias,
                       const wt_mask *mask, wt_route **out);

/* The scores of tokens as distributions over the experts (method.h: wt_balance_view.share), prob itself or in r->a; and the mean over tokens
 * of such rows. */
wt_status wt_route_share(wt_run *r, wt_activation act, const float *prob, size_t n_tok, size_t n_exp, const float **share);
wt_status wt_route_mean(wt_run *r, const float *x, size_t n_tok, size_t n_exp, double *mean);
void wt_route_forget(wt_tape *t);                        /* frees the choices that a tape keeps; before wt_tape_free */

#endif
