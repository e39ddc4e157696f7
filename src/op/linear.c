/* y = x W^T for weights of any readable block type, for one matrix or for several that share x.
 *
 * Workers take blocks of rows. Where the tier has a product for the type, weights stay in their blocks and tokens are bytes; else a block of
 * rows is unpacked to float once and multiplied with all tokens. Float weights are used where they lie; in training their products are gemms,
 * forward (y = x W^T) as backward (dx = dy W, dW = dy^T x). */
#include "op/linear.h"

#include "base/thread.h"
#include "op/tape.h"

_Static_assert(WT_QMUL_ROWS <= 32 * WT_SCRATCH_ROWS * sizeof(float), "scratch serves products of bytes too");

/* n_row <= WT_ROW_BLOCK rows of w as floats. */
static const float *as_floats(const wt_kernels *k, const wt_tensor *w, const uint8_t *from, size_t row_bytes, size_t n_row, size_t n_in, float *scratch)
{
    const wt_type_info *ti = wt_type_get(w->type);
    if (w->type == WT_F32) return (const float *)from;
    if (!ti->group) {
        k->unpack[w->type](scratch, from, n_row * n_in);
        return scratch;
    }
    uint8_t *plain = (uint8_t *)(scratch + WT_ROW_BLOCK * n_in);      /* a group as it was before it was interleaved */
    for (size_t r = 0; r < n_row; r += WT_GROUP) {
        wt_ungroup(ti, plain, from + r * row_bytes, n_in);
        k->unpack[ti->base](scratch + r * n_in, plain, WT_GROUP * n_in);
    }
    return scratch;
}

void wt_rows_matmul(const wt_kernels *k, const wt_tensor *w, int64_t row, int64_t n_row, const wt_rows_x *x, size_t n_tok, float *y, size_t ldy,
                    const void *next, float *scratch)
{
    size_t n_in = (size_t)w->shape[w->n_dim - 1], row_bytes = w->bytes / (w->n / n_in);
    const uint8_t *from = wt_row(w, row, row_bytes);
    if (wt_uses_bytes(k, w)) {
        k->qmul[w->type](y, ldy, from, row_bytes, (size_t)n_row, x->q, n_tok, n_in / 32, next, scratch);
        return;
    }
    for (size_t i = 0, n; i < (size_t)n_row; i += n) {
        n = (size_t)n_row - i < WT_ROW_BLOCK ? (size_t)n_row - i : WT_ROW_BLOCK;
        k->matmul(y + i, ldy, as_floats(k, w, from + i * row_bytes, row_bytes, n, n_in, scratch), n_in, x->f, x->ldf, n, n_tok, n_in);
    }
}

/* At some 8 bytes read and 64 byte products or 16 float products in a cycle of a few GHz. */
size_t wt_block_grain(const wt_kernels *k, const wt_tensor *w, size_t n_tok)
{
    size_t values = WT_ROW_BLOCK * (size_t)w->shape[w->n_dim - 1], bytes = w->bytes / (w->n / values + 1);
    size_t read = bytes / 8, compute = values * n_tok / (wt_uses_bytes(k, w) ? 64 : 16);
    return 6000 / ((read > compute ? read : compute) + 1) + 1;
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

enum { MOST_MATRICES = 4, FEW = 16 /* tokens */ };

typedef struct job {
    const wt_kernels *k;
    wt_rows_x x;
    size_t n_tok, n_in, n, rows;                 /* rows of one task */
    const wt_tensor *w[MOST_MATRICES];
    float *y[MOST_MATRICES], *scratch; size_t n_scratch;      /* of each worker; floats are used where they lie */
    size_t task[MOST_MATRICES + 1];              /* first task of each matrix */
} job;

/* Tasks of one matrix that follow each other are one call where tokens are few: it then reads straight on. */
static void tasks(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    float *scratch = j->scratch + (size_t)worker * j->n_scratch;
    for (size_t i = begin, m = 0, n; i < end; i += n) {
        while (i >= j->task[m + 1]) m++;
        size_t last = end < j->task[m + 1] ? end : j->task[m + 1], n_out = (size_t)j->w[m]->shape[0], row = (i - j->task[m]) * j->rows;
        n = j->n_tok > FEW ? 1 : last - i;
        size_t n_row = n_out - row < n * j->rows ? n_out - row : n * j->rows;
        const void *next = i + n >= end ? NULL : i + n < j->task[m + 1] ? wt_row_at(j->w[m], row + n_row) : j->w[m + 1]->type == j->w[m]->type ? j->w[m + 1]->data : NULL;
        wt_rows_matmul(j->k, j->w[m], (int64_t)row, (int64_t)n_row, &j->x, j->n_tok, j->y[m] + row, n_out, next, scratch);
    }
}

/* Many tokens are read again for every task, so tasks are as large as leaves several for each thread. */
static size_t rows_of_a_task(const wt_run *r, size_t n_out, size_t n_tok)
{
    size_t rows = WT_ROW_BLOCK;
    while (n_tok > FEW && rows < 256 && n_out / (2 * rows) >= 8 * (size_t)r->cx->threads) rows *= 2;
    return rows;
}

static wt_status back(wt_run *r, const wt_rec *e)
{
    const wt_tensor *x = e->in[0], *w = e->in[1];
    size_t n_out = (size_t)w->shape[0], n_in = (size_t)w->shape[1], n_tok = x->n / n_in, n = 0;
    const float *dy = wt_grad_out(e);
    wt_gemm g[2];
    if (!dy) return WITAN_OK;
    if (w->grad) g[n++] = (wt_gemm){ .c = w->grad, .ldc = n_in, .a = dy, .lda = n_out, .ta = true, .b = x->f32, .ldb = n_in, .m = n_out, .n = n_in, .k = n_tok, .add = true };
    if (wt_learns(x)) {
        g[n] = (wt_gemm){ .ldc = n_in, .a = dy, .lda = n_out, .b = w->data, .ldb = n_in, .m = n_tok, .n = n_in, .k = n_out };
        g[n].c = wt_grad(r, x, &g[n].add);
        if (!g[n++].c) return WITAN_ENOMEM;
    }
    return wt_gemm_run(r, g, n);
}

/* Float matrices in training. */
static wt_status products(wt_run *r, wt_tensor *x, size_t n, const wt_tensor *const w[], wt_tensor **y[])
{
    size_t n_in = (size_t)w[0]->shape[1], n_tok = x->n / n_in;
    wt_gemm g[MOST_MATRICES];
    for (size_t m = 0; m < n; m++) {
        size_t n_out = (size_t)w[m]->shape[0];
        WT_TRY(wt_tensor_new(r->a, 2, (int64_t[]){ (int64_t)n_tok, w[m]->shape[0] }, y[m]));
        g[m] = (wt_gemm){ .c = (*y[m])->f32, .ldc = n_out, .a = x->f32, .lda = n_in, .b = w[m]->data, .ldb = n_in, .tb = true, .m = n_tok, .n = n_out, .k = n_in };
    }
    WT_TRY(wt_gemm_run(r, g, n));
    for (size_t m = 0; m < n; m++) WT_TRY(wt_record(r, &(wt_rec){ .back = back, .out = *y[m], .in = { x, w[m] } }));
    return WITAN_OK;
}

wt_status wt_op_linear_n(wt_run *r, wt_tensor *x, size_t n, const wt_tensor *const w[], wt_tensor **y[])
{
    size_t n_in = (size_t)w[0]->shape[1], total = 0, grain = 1;
    job j = { .k = r->k, .n = n, .n_in = n_in, .n_tok = x->n / n_in };
    bool floats = true;
    wt_assert(n && n <= MOST_MATRICES);
    for (size_t m = 0; m < n; m++) floats &= w[m]->type == WT_F32;
    if (r->tape && floats) return products(r, x, n, w, y);
    wt_assert(!wt_taping(r));
    for (size_t m = 0; m < n; m++) {
        wt_assert(w[m]->n_dim == 2 && x->shape[x->n_dim - 1] == w[m]->shape[1]);
        if (wt_uses_bytes(r->k, w[m])) WT_TRY(wt_as_bytes(r, x));
        WT_TRY(wt_tensor_new(r->a, 2, (int64_t[]){ (int64_t)j.n_tok, w[m]->shape[0] }, y[m]));
        j.w[m] = w[m];
        j.y[m] = (*y[m])->f32;
        total += (size_t)w[m]->shape[0];
        size_t g = wt_block_grain(r->k, w[m], j.n_tok);
        if (g > grain) grain = g;
        if (w[m]->type != WT_F32) j.n_scratch = WT_SCRATCH(n_in);
    }
    j.x = (wt_rows_x){ x->f32, n_in, x->q8 };
    j.rows = rows_of_a_task(r, total, j.n_tok);
    for (size_t m = 0; m < n; m++) j.task[m + 1] = j.task[m] + ((size_t)w[m]->shape[0] + j.rows - 1) / j.rows;
    wt_mark mark = wt_mark_set(r->a);
    j.scratch = wt_take_n(r->a, (size_t)r->cx->threads * j.n_scratch + 1, sizeof *j.scratch);
    if (!j.scratch) return WITAN_ENOMEM;
    wt_parallel(r->cx, j.task[n], grain, tasks, &j);
    wt_rewind(r->a, mark);
    return WITAN_OK;
}

wt_status wt_op_linear(wt_run *r, wt_tensor *x, const wt_tensor *w, wt_tensor **y) { return wt_op_linear_n(r, x, 1, &w, (wt_tensor **[]){ y }); }
