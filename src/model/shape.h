/* The shape of a model that is yet to be written: its dimensions, the keys that state them, and the list of its tensors. What makes models,
 * random ones to measure with and fresh ones to train, describes them through here, so that both have the names and layouts that opening
 * expects. */
#ifndef WT_MODEL_SHAPE_H
#define WT_MODEL_SHAPE_H

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

/* Puts general.architecture, general.name and the family's keys: all that stands before the vocabulary. file_type: as general.file_type
 * wants it; -1: unknown. */
wt_status wt_shape_keys(wt_gguf_out *out, const wt_dims *d, const char *name, int32_t file_type);

/* A vocabulary that knows bytes only: one end token, the 256 bytes in gpt-2's alphabet, and unused tokens up to n_vocab. */
wt_status wt_shape_vocabulary(wt_ctx *cx, wt_gguf_out *out, int32_t n_vocab, const char *pre);

/* One tensor: name (valid during the call), shape slowest first. */
typedef wt_status (*wt_shape_fn)(void *arg, const char *name, int32_t n_dim, const int64_t *shape);
/* Calls see for every tensor, always in the same order: embedding, last norm, head, then layer by layer. Stops at an error and returns it. */
wt_status wt_shape_walk(const wt_dims *d, wt_shape_fn see, void *arg);

#endif
