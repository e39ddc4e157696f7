/* RMS norm, over whole rows or over each head; rows that meet weights in blocks are rounded to bytes while they are at hand. */
#include "op/ops.h"

#include "base/thread.h"
#include <math.h>

typedef struct job { const wt_kernels *k; const float *x, *w; float *y, eps; wt_q8 *q; size_t n; } job;

static void pieces(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        const float *x = j->x + i * j->n;
        float *y = j->y + i * j->n;
        float s = 1.0f / sqrtf(j->k->dot(x, x, j->n) / (float)j->n + j->eps);
        j->k->scale(y, x, s, j->n);
        j->k->mul(y, y, j->w, j->n);
        if (j->q) j->k->quantize(j->q + i * (j->n / 32), y, j->n / 32);
    }
}

wt_status wt_op_norm(wt_run *r, const wt_tensor *x, const wt_tensor *w, float eps, bool bytes, wt_tensor **y)
{
    wt_assert(w->type == WT_F32 && x->n % w->n == 0);
    wt_tensor *out;
    WT_TRY(wt_tensor_new(r->a, x->n_dim, x->shape, &out));
    if (bytes && r->k->quantize && w->n % 32 == 0 && !(out->q8 = wt_take_n(r->a, x->n / 32, sizeof *out->q8))) return WITAN_ENOMEM;
    job j = { r->k, x->f32, w->data, out->f32, eps, out->q8, w->n };
    wt_parallel(r->cx, x->n / w->n, 16384 / w->n + 1, pieces, &j);
    *y = out;
    return WITAN_OK;
}
