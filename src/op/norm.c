/* RMS norm, over whole rows or over each head. */
#include "op/ops.h"

#include "base/thread.h"
#include <math.h>

typedef struct job { const wt_kernels *k; const float *x, *w; float *y, eps; size_t n; } job;

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
    }
}

wt_status wt_op_norm(wt_run *r, const wt_tensor *x, const wt_tensor *w, float eps, wt_tensor **y)
{
    wt_assert(w->type == WT_F32 && x->n % w->n == 0);
    WT_TRY(wt_tensor_new(r->a, x->n_dim, x->shape, y));
    job j = { r->k, x->f32, w->data, (*y)->f32, eps, w->n };
    wt_parallel(r->cx, x->n / w->n, 8192 / w->n + 1, pieces, &j);
    return WITAN_OK;
}
