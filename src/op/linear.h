/* The row-block product that linear and the expert op share. */
#ifndef WT_OP_LINEAR_H
#define WT_OP_LINEAR_H

#include "op/ops.h"

enum { WT_ROW_BLOCK = 16 };   /* rows a worker takes at once; unpacked rows of usual widths stay in its cache */

/* Row blocks that make a piece worth handing to another thread: about 2^17 products. Less is done faster alone. */
static inline size_t wt_block_grain(size_t n_in, size_t n_tok) { return ((size_t)1 << 17) / (WT_ROW_BLOCK * n_in * n_tok + 1) + 1; }

/* y[t*ldy + i] = row (row + i) of w times x_t, i < n_row, t < n_tok. scratch holds n_row * n_in floats. */
void wt_rows_matmul(const wt_kernels *k, const wt_tensor *w, int64_t row, int64_t n_row, const float *x, size_t ldx, size_t n_tok,
                    float *y, size_t ldy, float *scratch);

#endif
