/* The expert store: where expert weights are. An expert is acquired and released; nothing above knows where it came from.
 * Policies now: mapped (views into the file), resident (copied to memory at opening) and repacked (copied, rows interleaved). */
#ifndef WT_MOE_STORE_H
#define WT_MOE_STORE_H

#include "op/expert.h"
#include "tensor/gguf.h"

typedef struct wt_expert_store wt_expert_store;
typedef enum wt_store_policy { WT_STORE_MAPPED, WT_STORE_RESIDENT, WT_STORE_REPACKED } wt_store_policy;

/* One layer's routed experts as views into the file, however the file groups them; n_exp 0: dense layer. */
typedef struct wt_expert_layer { int32_t n_exp; wt_expert *expert; /* [n_exp] */ } wt_expert_layer;

/* A matrix out of a stack: rows [row, row + n_row) of entry e of t [n, rows, cols]. */
wt_tensor wt_stack_view(const wt_tensor *t, int64_t e, int64_t row, int64_t n_row);

/* huge: ask for huge pages for copies. Shapes are checked: gate and up [d_ff, d_model], down [d_model, d_ff]; WT_ESHAPE. The layers are copied, the weights only by the
 * resident policy; for a mapped store they must outlive it. */
wt_status wt_expert_store_open(wt_ctx *cx, wt_store_policy policy, bool huge, int32_t n_layer, int32_t d_model, const wt_expert_layer *layer,
                               wt_expert_store **out);
void wt_expert_store_free(wt_expert_store *st);
wt_expert_source wt_expert_store_source(wt_expert_store *st);   /* what the expert op acquires from */
const wt_expert_layer *wt_expert_store_layer(const wt_expert_store *st, int32_t layer);

#endif
