/* y = x W^T for weights of any readable block type.
 *
 * Workers take blocks of rows: a block is unpacked to float once and multiplied with all tokens, so prefill unpacks each weight
 * once and decode reads it once. Float weights are used where they lie. */
#include "op/linear.h"

#include "base/thread.h"

void wt_rows_matmul(const wt_kernels *k, const wt_tensor *w, int64_t row, int64_t n_row, const float *x, size_t ldx, size_t n_tok,
                    float *y, size_t ldy, float *scratch)
{
    size_t n_in = (size_t)w->shape[w->n_dim - 1], row_bytes = w->bytes / (w->n / n_in);
    const float *wf = (const float *)wt_row(w, row, row_bytes);
    if (w->type != WT_F32) {
        k->unpack[w->type](scratch, wf, (size_t)n_row * n_in);
        wf = scratch;
    }
    k->matmul(y, ldy, wf, n_in, x, ldx, (size_t)n_row, n_tok, n_in);
}

typedef struct job { const wt_kernels *k; const wt_tensor *x, *w; float *y, *scratch; int64_t n_out; } job;

static void blocks(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    size_t n_in = (size_t)j->w->shape[1], n_tok = j->x->n / n_in;
    for (size_t b = begin; b < end; b++) {
        int64_t row = (int64_t)b * WT_ROW_BLOCK, left = j->n_out - row;
        wt_rows_matmul(j->k, j->w, row, left < WT_ROW_BLOCK ? left : WT_ROW_BLOCK, j->x->f32, n_in, n_tok, j->y + row,
                       (size_t)j->n_out, j->scratch + (size_t)worker * WT_ROW_BLOCK * n_in);
    }
}

wt_status wt_op_linear(wt_run *r, const wt_tensor *x, const wt_tensor *w, wt_tensor **y)
{
    int64_t n_out = w->shape[0], n_in = w->shape[1], n_tok = (int64_t)x->n / n_in;
    wt_assert(w->n_dim == 2 && x->shape[x->n_dim - 1] == n_in);
    WT_TRY(wt_tensor_new(r->a, 2, (int64_t[]){ n_tok, n_out }, y));
    wt_mark m = wt_mark_set(r->a);
    float *scratch = wt_take_n(r->a, (size_t)r->cx->threads * WT_ROW_BLOCK * (size_t)n_in, sizeof *scratch);
    if (!scratch) return WITAN_ENOMEM;
    job j = { r->k, x, w, (*y)->f32, scratch, n_out };
    wt_parallel(r->cx, (size_t)((n_out + WT_ROW_BLOCK - 1) / WT_ROW_BLOCK), wt_block_grain((size_t)n_in, (size_t)n_tok), blocks, &j);
    wt_rewind(r->a, m);
    return WITAN_OK;
}
