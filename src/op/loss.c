/* The head and its cross-entropy, in blocks of rows: of each block the logits, what they cost, their gradient in their place (softmax minus target), and
 * at once the products that carry it on. So logits of all rows never exist side by side, and each is computed once. */
#include "op/ops.h"

#include "base/thread.h"
#include "op/tape.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 4 << 20 /* logits of a block, about */, FEWEST = 192 /* rows */ };

typedef struct job { const wt_kernels *k; float *z; const int32_t *target; const float *weight; float *row, factor; size_t n; bool learn; } job;

static void rows(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *z = j->z + t * j->n, top = -FLT_MAX, sum = 0, keep, w = j->factor * (j->weight ? j->weight[t] : 1);
        int32_t n = (int32_t)j->n, y = j->target[t];
        j->row[t] = 0;
        if (y < 0) {
            if (j->learn) memset(z, 0, j->n * sizeof *z);
            continue;
        }
        float score = z[y];
        j->k->soften(z, j->n, &n, 1, &top, &sum, &keep);      /* z = exp(z - top) */
        j->row[t] = top - score + logf(sum);
        if (!j->learn) continue;
        j->k->scale(z, z, w / sum, j->n);
        z[y] -= w;
    }
}

/* One block of m rows, whose logits become their gradient in z. */
static wt_status block(wt_run *r, const wt_tensor *w, const float *x, size_t m, float *dx, bool add, job *j)
{
    size_t n_in = (size_t)w->shape[1], n = 0;
    wt_gemm g[2] = { { .c = j->z, .ldc = j->n, .a = x, .lda = n_in, .b = w->data, .ldb = n_in, .tb = true, .m = m, .n = j->n, .k = n_in } };
    WT_TRY(wt_gemm_run(r, g, 1));
    wt_parallel(r->cx, m, 16384 / j->n + 1, rows, j);
    if (!j->learn) return WITAN_OK;
    if (w->grad) g[n++] = (wt_gemm){ .c = w->grad, .ldc = n_in, .a = j->z, .lda = j->n, .ta = true, .b = x, .ldb = n_in, .m = j->n, .n = n_in, .k = m, .add = true };
    if (dx) g[n++] = (wt_gemm){ .c = dx, .ldc = n_in, .a = j->z, .lda = j->n, .b = w->data, .ldb = n_in, .m = m, .n = n_in, .k = j->n, .add = add };
    return wt_gemm_run(r, g, n);
}

wt_status wt_op_head_loss(wt_run *r, const wt_tensor *x, const wt_tensor *w, wt_loss *loss)
{
    size_t n_row = (size_t)x->shape[0], n_in = (size_t)x->shape[1], n_vocab = (size_t)w->shape[0], most = BLOCK / n_vocab;
    bool add = false, learn = wt_taping(r) && (wt_learns(x) || w->grad);
    float *dx = NULL;
    wt_assert(r->tape && w->type == WT_F32 && w->shape[1] == x->shape[1]);
    if (most < FEWEST) most = FEWEST;
    if (most > n_row) most = n_row;
    loss->row = wt_take_n(r->a, n_row, sizeof *loss->row);
    if (!loss->row) return WITAN_ENOMEM;
    if (learn && wt_learns(x) && !(dx = wt_grad(r, x, &add))) return WITAN_ENOMEM;
    wt_mark mark = wt_mark_set(r->a);
    float *z = wt_take_n(r->a, most, n_vocab * sizeof *z);
    if (!z) return WITAN_ENOMEM;
    for (size_t at = 0, m; at < n_row; at += m) {
        m = n_row - at < most ? n_row - at : most;
        job j = { r->k, z, loss->target + at, loss->weight ? loss->weight + at : NULL, loss->row + at, r->tape->seed_grad, n_vocab, learn };
        WT_TRY(block(r, w, x->f32 + at * n_in, m, dx ? dx + at * n_in : NULL, add, &j));
    }
    wt_rewind(r->a, mark);
    return WITAN_OK;
}
