/* Taps: named places in the forward pass where observers look. Observers never change values and never select another
 * computation; with none attached a tap costs one comparison. */
#ifndef WT_OP_TAP_H
#define WT_OP_TAP_H

#include "op/route.h"

typedef enum wt_tap {
    WT_TAP_ROUTE,    /* after selection and weighing: logit, prob, route */
    WT_TAP_EXPERT,   /* after the experts: route and pair_y */
    WT_TAP_BLOCK,    /* after the MoE block: residual before it, what it adds */
    WT_N_TAP
} wt_tap;

typedef struct wt_tap_event {
    wt_tap tap;
    int32_t layer, n_tok, n_exp, d_model;
    const int32_t *token_id, *token_seq, *token_pos;   /* [n_tok] */
    const float *logit;      /* [n_tok, n_exp] ROUTE */
    const float *prob;       /* [n_tok, n_exp] ROUTE: after the activation, before selection */
    const wt_route *route;   /* ROUTE, EXPERT, BLOCK */
    const float *x;          /* [n_tok, d_model] EXPERT: input of the experts */
    const float *pair_y;     /* [n_pair, d_model] EXPERT: outputs before the gate, in pair order */
    const float *resid;      /* [n_tok, d_model] BLOCK: residual stream r before the block's output is added */
    const float *routed;     /* [n_tok, d_model] BLOCK: R, the routed output */
} wt_tap_event;

typedef struct wt_observer {
    uint32_t taps;           /* bit set of 1 << wt_tap */
    wt_status (*see)(void *user, wt_ctx *cx, const wt_tap_event *e);
    void *user;
} wt_observer;

#endif
