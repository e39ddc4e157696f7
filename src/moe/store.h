/* The expert store: where expert weights are. An expert is acquired and released; nothing above knows where it came from.
 * Policies now: resident (copied to memory at opening) and mapped (views into the file). */
#ifndef WT_MOE_STORE_H
#define WT_MOE_STORE_H

#include "op/expert.h"
#include "tensor/gguf.h"

typedef struct wt_expert_store wt_expert_store;
typedef enum wt_store_policy { WT_STORE_MAPPED, WT_STORE_RESIDENT } wt_store_policy;

/* Stacked tensors of one layer: gate and up [n_exp, d_ff, d_model], down [n_exp, d_model, d_ff]; n_exp 0: dense layer. */
typedef struct wt_expert_tensors { int32_t n_exp; const wt_tensor *gate, *up, *down; } wt_expert_tensors;

/* Shapes are checked against d_model and each other: WT_ESHAPE. The tensors must outlive a mapped store. */
wt_status wt_expert_store_open(wt_ctx *cx, wt_store_policy policy, int32_t n_layer, int32_t d_model, const wt_expert_tensors *layer,
                               wt_expert_store **out);
void wt_expert_store_free(wt_expert_store *st);
wt_expert_source wt_expert_store_source(wt_expert_store *st);   /* what the expert op acquires from */

#endif
