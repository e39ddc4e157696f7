/* The row-block product that linear and the expert op share. */
#ifndef WT_OP_LINEAR_H
#define WT_OP_LINEAR_H

#include "op/ops.h"

enum { WT_ROW_BLOCK = 32 };      /* rows are handed out in multiples of so many: outputs of one block of 32 values */

/* Floats of scratch for rows of n_in values: a block of rows unpacked, and a group of rows in any block type; or what products of bytes need. */
enum { WT_SCRATCH_ROWS = WT_ROW_BLOCK + 16 };
#define WT_SCRATCH(n_in) (WT_QMUL_PARTS / sizeof(float) + ((n_in) + 15) / 16 * 16 * WT_SCRATCH_ROWS)

/* Whether the tier multiplies this matrix with bytes; else blocks are unpacked to float. */
static inline bool wt_uses_bytes(const wt_kernels *k, const wt_tensor *w) { return k->qmul[w->type] && w->shape[w->n_dim - 1] % 32 == 0; }

/* The tokens of a product: float rows f [n_tok], ldf apart, or the same as bytes q [n_tok, n_in / 32]. */
typedef struct wt_rows_x { const float *f; size_t ldf; const wt_q8 *q; } wt_rows_x;

/* y[t*ldy + i] = row (row + i) of w times token t, i < n_row, t < n_tok. next: where rows like these will be read afterwards, or NULL. scratch holds WT_SCRATCH(n_in) floats, 64-byte aligned. */
static inline const void *wt_row_at(const wt_tensor *w, size_t row) { return wt_row(w, (int64_t)row, w->bytes / (w->n / (size_t)w->shape[w->n_dim - 1])); }
void wt_rows_matmul(const wt_kernels *k, const wt_tensor *w, int64_t row, int64_t n_row, const wt_rows_x *x, size_t n_tok, float *y, size_t ldy,
                    const void *next, float *scratch);

/* Blocks of WT_ROW_BLOCK rows that make a piece of work worth handing to another thread: about two microseconds of reading or computing. */
size_t wt_block_grain(const wt_kernels *k, const wt_tensor *w, size_t n_tok);

/* Makes x->q8, once. Its memory lives as long as what is taken from the arena now. */
wt_status wt_as_bytes(wt_run *r, wt_tensor *x);

#endif
