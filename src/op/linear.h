/* The row-block product that linear and the expert op share. */
#ifndef WT_OP_LINEAR_H
#define WT_OP_LINEAR_H

#include "op/ops.h"

enum { WT_ROW_BLOCK = 32 };   /* rows a worker takes at once; unpacked rows of usual widths stay in its cache */

enum { WT_SCRATCH_ROWS = WT_ROW_BLOCK + 16 };   /* of scratch for wt_rows_matmul: the block unpacked, and a group of rows in any block type */

/* Row blocks that make a piece worth handing to another thread: about 2^18 products. Less is done faster alone. */
static inline size_t wt_block_grain(size_t n_in, size_t n_tok) { return ((size_t)1 << 18) / (WT_ROW_BLOCK * n_in * n_tok + 1) + 1; }

/* Whether the tier multiplies this matrix with bytes; else blocks are unpacked to float. */
static inline bool wt_uses_bytes(const wt_kernels *k, const wt_tensor *w) { return k->qmul[w->type] && w->shape[w->n_dim - 1] % 32 == 0; }

/* The tokens of a product: float rows f [n_tok], ldf apart, or the same as bytes, row pick[t] of q (t where pick is NULL). */
typedef struct wt_rows_x { const float *f; size_t ldf; const wt_q8 *q; const int32_t *pick; } wt_rows_x;

/* y[t*ldy + i] = row (row + i) of w times token t, i < n_row <= WT_ROW_BLOCK, t < n_tok. scratch holds WT_SCRATCH_ROWS * n_in floats. */
void wt_rows_matmul(const wt_kernels *k, const wt_tensor *w, int64_t row, int64_t n_row, const wt_rows_x *x, size_t n_tok, float *y, size_t ldy,
                    float *scratch);

/* Makes x->q8, once. Its memory lives as long as what is taken from the arena now. */
wt_status wt_as_bytes(wt_run *r, wt_tensor *x);

#endif
