/* Models of random weights with the true dimensions of known checkpoints. */
#ifndef WT_EDIT_RANDOM_MODEL_H
#define WT_EDIT_RANDOM_MODEL_H

#include "tensor/gguf.h"

typedef struct wt_dims {
    const char *name, *arch, *pre;       /* "olmoe-1b-7b", general.architecture, splitting rule */
    int32_t n_layer, d_model, n_head, n_head_kv, d_head;
    int32_t d_ff;                        /* of dense layers, 0: none */
    int32_t n_exp, n_used, d_ff_exp, d_ff_shared;
    int32_t n_vocab, n_ctx;
    float rope_base, eps;
    bool tied, bias, qk_full, qk_head;   /* head = embedding; biases on q, k, v; norms on q and k over all heads, within heads */
} wt_dims;

extern const wt_dims wt_random_dims[];   /* ends with a row whose name is NULL */

#endif
