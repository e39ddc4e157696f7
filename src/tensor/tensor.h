/* A tensor: name, type, shape (slowest dimension first), and where its data is. It never owns the data: weights lie in
 * a mapped file or a store, results in an arena. */
#ifndef WT_TENSOR_TENSOR_H
#define WT_TENSOR_TENSOR_H

#include "base/arena.h"
#include "tensor/type.h"

enum { WT_MAX_DIM = 4 };

typedef struct wt_tensor {
    const char *name;
    wt_type type;
    int32_t n_dim;
    int64_t shape[WT_MAX_DIM];   /* slowest first; unused: 1 */
    size_t n, bytes;             /* elements; bytes of data */
    const void *data;
    float *f32;                  /* the same data where it is float and ours to write, else NULL */
    float *grad;                 /* [n] or NULL */
    bool tracked, grad_set;      /* an activation that gradients flow through (op/tape.h); its gradient holds something */
    struct wt_q8 *q8;            /* the same rows as bytes (kernel/kernel.h), once an op has needed them, else NULL */
} wt_tensor;

/* Row r of a matrix (the last dimension is the row; all others count rows). */
static inline const void *wt_row(const wt_tensor *w, int64_t r, size_t row_bytes) { return (const uint8_t *)w->data + (size_t)r * row_bytes; }
/* A new float tensor in the arena, not zeroed. */
wt_status wt_tensor_new(wt_arena *a, int32_t n_dim, const int64_t *shape, wt_tensor **out);
/* Whether a matrix has an interleaved form (type.h), and which. */
bool wt_can_interleave(const wt_tensor *t, wt_type *as);
/* Copies it there in that form, t->bytes bytes, with the context's threads; t becomes the copy. */
void wt_interleave(wt_ctx *cx, wt_tensor *t, wt_type as, void *dst);
/* "[32, 256, 128]" into buf; for messages. */
const char *wt_shape_text(const wt_tensor *t, char buf[64]);

#endif
