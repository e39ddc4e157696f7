/* y = x W^T for weights of any readable block type.
 *
 * Workers take blocks of rows. Where the tier has a product for the type, weights stay in their blocks and tokens are bytes; else a block of
 * rows is unpacked to float once and multiplied with all tokens. Float weights are used where they lie. */
#include "op/linear.h"

#include "base/thread.h"

void wt_rows_matmul(const wt_kernels *k, const wt_tensor *w, int64_t row, int64_t n_row, const wt_rows_x *x, size_t n_tok, float *y, size_t ldy,
                    float *scratch)
{
    size_t n_in = (size_t)w->shape[w->n_dim - 1], row_bytes = w->bytes / (w->n / n_in);
    const void *from = wt_row(w, row, row_bytes);
    if (wt_uses_bytes(k, w)) {
        k->qmul[w->type](y, ldy, from, row_bytes, (size_t)n_row, x->q, x->pick, n_tok, n_in / 32, scratch);
        return;
    }
    const float *wf = from;
    const wt_type_info *ti = wt_type_get(w->type);
    if (ti->group) {
        uint8_t *plain = (uint8_t *)(scratch + WT_ROW_BLOCK * n_in);      /* a group as it was before it was interleaved */
        for (int64_t r = 0; r < n_row; r += WT_GROUP) {
            ti->ungroup(plain, (const uint8_t *)from + (size_t)r * row_bytes, n_in);
            k->unpack[ti->base](scratch + (size_t)r * n_in, plain, WT_GROUP * n_in);
        }
        wf = scratch;
    } else if (w->type != WT_F32) {
        k->unpack[w->type](scratch, from, (size_t)n_row * n_in);
        wf = scratch;
    }
    k->matmul(y, ldy, wf, n_in, x->f, x->ldf, (size_t)n_row, n_tok, n_in);
}

/* ---- activations as bytes ----------------------------------------------------------------------------------------------- */

typedef struct rounding { const wt_kernels *k; const float *x; wt_q8 *q; } rounding;

static void some_blocks(void *arg, size_t begin, size_t end, int worker)
{
    const rounding *j = arg;
    (void)worker;
    j->k->quantize(j->q + begin, j->x + 32 * begin, end - begin);
}

wt_status wt_as_bytes(wt_run *r, wt_tensor *x)
{
    if (x->q8) return WITAN_OK;
    x->q8 = wt_take_n(r->a, x->n / 32, sizeof *x->q8);
    if (!x->q8) return WITAN_ENOMEM;
    wt_parallel(r->cx, x->n / 32, 512, some_blocks, &(rounding){ r->k, x->f32, x->q8 });
    return WITAN_OK;
}

/* ---- the op ------------------------------------------------------------------------------------------------------------- */

typedef struct job { const wt_kernels *k; wt_rows_x x; const wt_tensor *w; float *y, *scratch; int64_t n_out; size_t n_tok; } job;

static void blocks(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    size_t n_in = (size_t)j->w->shape[1];
    for (size_t b = begin; b < end; b++) {
        int64_t row = (int64_t)b * WT_ROW_BLOCK, left = j->n_out - row;
        wt_rows_matmul(j->k, j->w, row, left < WT_ROW_BLOCK ? left : WT_ROW_BLOCK, &j->x, j->n_tok, j->y + row, (size_t)j->n_out,
                       j->scratch + (j->w->type == WT_F32 ? 0 : (size_t)worker * WT_SCRATCH_ROWS * n_in));
    }
}

wt_status wt_op_linear(wt_run *r, wt_tensor *x, const wt_tensor *w, wt_tensor **y)
{
    int64_t n_out = w->shape[0], n_in = w->shape[1], n_tok = (int64_t)x->n / n_in;
    wt_assert(w->n_dim == 2 && x->shape[x->n_dim - 1] == n_in);
    if (wt_uses_bytes(r->k, w)) WT_TRY(wt_as_bytes(r, x));
    WT_TRY(wt_tensor_new(r->a, 2, (int64_t[]){ n_tok, n_out }, y));
    wt_mark m = wt_mark_set(r->a);
    size_t rows = w->type == WT_F32 ? 0 : WT_SCRATCH_ROWS;          /* floats are used where they lie */
    float *scratch = wt_take_n(r->a, (size_t)r->cx->threads * rows * (size_t)n_in + 1, sizeof *scratch);
    if (!scratch) return WITAN_ENOMEM;
    job j = { r->k, { x->f32, (size_t)n_in, x->q8, NULL }, w, (*y)->f32, scratch, n_out, (size_t)n_tok };
    wt_parallel(r->cx, (size_t)((n_out + WT_ROW_BLOCK - 1) / WT_ROW_BLOCK), wt_block_grain((size_t)n_in, (size_t)n_tok), blocks, &j);
    wt_rewind(r->a, m);
    return WITAN_OK;
}
