/* A model whose weights can be trained: every weight of an opened model becomes a float copy with room for its gradient, and the model's own
 * pointers are turned to these copies, so that the one forward pass reads what the optimizer writes. */
#ifndef WT_MODEL_TRAINABLE_H
#define WT_MODEL_TRAINABLE_H

#include "model/model.h"

typedef struct wt_weight {
    const char *name;            /* GGUF tensor name, lives as long as the trainable */
    float *w, *grad;             /* [n]; grad NULL: frozen */
    size_t n;
    int32_t n_dim;
    int64_t shape[4];            /* slowest first; experts: [n_exp, rows, cols] */
    wt_part part;
    int32_t layer;               /* -1: none */
    bool frozen;                 /* grad is NULL; rope factors and selection biases are never trained by gradient */
} wt_weight;

typedef struct wt_trainable {
    wt_ctx *cx;
    wt_model *m;
    wt_weight *weight; size_t n_weight;      /* in the order of the file, then selection biases that were added. Tied weights appear once. */
    wt_tensor *tensor;                       /* [n_weight] the same, as the model sees them */
    float *data, *grad;                      /* all weights, all gradients: one block each, 64-byte aligned pieces; gradients zeroed at opening */
    size_t n_float;                          /* of either block; what lies between weights is 0 */
    void *block[2];
    char (*name)[64];                        /* [n_layer] of biases that were added */
} wt_trainable;

/* Copies all weights of m, which must be opened without resident or repack. biases: every layer with experts gets a selection bias
 * (blk.N.exp_probs_b.bias, zero) where it has none. m stays the caller's; after wt_trainable_free it may only be freed.
 * Errors: WT_ENOMEM, WT_EUNSUPPORTED. */
wt_status wt_trainable_open(wt_ctx *cx, wt_model *m, bool biases, wt_trainable **out);
void wt_trainable_free(wt_trainable *t);
/* Freezes or frees a weight; takes effect in the next pass. */
void wt_trainable_freeze(wt_trainable *t, size_t i, bool frozen);
void wt_trainable_zero_grad(wt_trainable *t);
/* The weight called name, or NULL. */
wt_weight *wt_trainable_find(const wt_trainable *t, const char *name);

#endif
