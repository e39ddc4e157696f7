/* One run of the forward pass: what ops need and nothing about the model. Ops are eager: calling one computes now. With a
 * tape they also record what backward needs (wt_record does nothing without one). */
#ifndef WT_OP_RUN_H
#define WT_OP_RUN_H

#include "kernel/kernel.h"
#include "op/tap.h"
#include "tensor/tensor.h"

typedef struct wt_tape wt_tape;                  /* op/tape.h */
typedef struct wt_balance_set wt_balance_set;    /* moe/balance.h */

typedef struct wt_run {
    wt_ctx *cx;
    const wt_kernels *k;
    wt_arena *a;
    wt_tape *tape;                                       /* NULL: nothing is going to be trained */
    wt_balance_set *balance;                             /* what keeps experts evenly used in training, or NULL */
    uint64_t seed;                                       /* of routers that draw in training; another for every micro-batch */
    const wt_observer *obs; size_t n_obs;
    int32_t layer;                                       /* being computed */
    const int32_t *token_id, *token_seq, *token_pos;     /* [n_tok] of this batch */
} wt_run;

static inline wt_status wt_tap_send(wt_run *r, wt_tap_event e)
{
    for (size_t i = 0; i < r->n_obs; i++)
        if (r->obs[i].taps >> e.tap & 1) {
            e.layer = r->layer;
            e.token_id = r->token_id;
            e.token_seq = r->token_seq;
            e.token_pos = r->token_pos;
            WT_TRY(r->obs[i].see(r->obs[i].user, r->cx, &e));
        }
    return WITAN_OK;
}

#endif
