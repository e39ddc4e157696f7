/* The row-block product that linear and the expert op share. */
#ifndef WT_OP_LINEAR_H
#define WT_OP_LINEAR_H

#include "op/ops.h"

enum { WT_ROW_BLOCK = 16 };   /* rows a worker takes at once; unpacked rows of usual widths stay in its cache */

/* y[t*ldy + i] = row (row + i) of w times x_t, i < n_row, t < n_tok. scratch holds n_row * n_in floats. */
void wt_rows_matmul(const wt_kernels *k, const wt_tensor *w, int64_t row, int64_t n_row, const float *x, size_t ldx, size_t n_tok,
                    float *y, size_t ldy, float *scratch);

#endif
