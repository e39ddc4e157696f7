/* RMS norm, over whole rows or over each head; rows that meet weights in blocks are rounded to bytes while they are at hand.
 *
 * With s = 1 / sqrt(mean(x^2) + eps): y = x s w; dx = s w dy - x s^3 (x . w dy) / n, dw = sum over pieces of dy x s. */
#include "op/ops.h"

#include "base/thread.h"
#include "op/tape.h"
#include <math.h>

typedef struct job { const wt_kernels *k; const float *x, *w; float *y, eps; wt_q8 *q; size_t n; float *s; } job;

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
        if (j->s) j->s[i] = s;
    }
}

/* ---- backward ------------------------------------------------------------------------------------------------------------ */

typedef struct back_job { const wt_kernels *k; const float *x, *w, *s, *dy; float *dx, *tmp; size_t n; bool add; } back_job;

static void back_pieces(void *arg, size_t begin, size_t end, int worker)
{
    const back_job *j = arg;
    size_t n = j->n;
    float *tmp = j->tmp + (size_t)worker * n;
    for (size_t i = begin; i < end; i++) {
        const float *x = j->x + i * n;
        float s = j->s[i], *dx = j->dx + i * n;
        j->k->mul(tmp, j->w, j->dy + i * n, n);
        float turn = -s * s * s * j->k->dot(x, tmp, n) / (float)n;
        if (j->add) j->k->axpy(dx, s, tmp, n); else j->k->scale(dx, tmp, s, n);
        j->k->axpy(dx, turn, x, n);
    }
}

static void weight_piece(void *arg, size_t i, float *sum)
{
    const back_job *j = arg;
    j->k->add_mul(sum, j->s[i], j->x + i * j->n, j->dy + i * j->n, j->n);
}

static wt_status back(wt_run *r, const wt_rec *e)
{
    const wt_tensor *x = e->in[0], *w = e->in[1];
    back_job j = { .k = r->k, .x = x->f32, .w = w->data, .s = e->op, .dy = wt_grad_out(e), .n = w->n };
    if (!j.dy) return WITAN_OK;
    if (w->grad) WT_TRY(wt_sum_rows(r, w->grad, j.n, x->n / j.n, weight_piece, &j));
    if (!wt_learns(x)) return WITAN_OK;
    j.dx = wt_grad(r, x, &j.add);
    wt_mark m = wt_mark_set(r->a);
    j.tmp = wt_take_n(r->a, (size_t)r->cx->threads * j.n, sizeof *j.tmp);
    if (!j.dx || !j.tmp) return WITAN_ENOMEM;
    wt_parallel(r->cx, x->n / j.n, 8192 / j.n + 1, back_pieces, &j);
    wt_rewind(r->a, m);
    return WITAN_OK;
}

wt_status wt_op_norm(wt_run *r, const wt_tensor *x, const wt_tensor *w, float eps, bool bytes, wt_tensor **y)
{
    wt_assert(w->type == WT_F32 && x->n % w->n == 0);
    wt_tensor *out;
    WT_TRY(wt_tensor_new(r->a, x->n_dim, x->shape, &out));
    if (bytes && r->k->quantize && w->n % 32 == 0 && !(out->q8 = wt_take_n(r->a, x->n / 32, sizeof *out->q8))) return WITAN_ENOMEM;
    job j = { r->k, x->f32, w->data, out->f32, eps, out->q8, w->n, NULL };
    if (wt_taping(r) && !(j.s = wt_take_n(r->a, x->n / w->n, sizeof *j.s))) return WITAN_ENOMEM;
    wt_parallel(r->cx, x->n / w->n, 16384 / w->n + 1, pieces, &j);
    WT_TRY(wt_record(r, &(wt_rec){ .back = back, .out = out, .in = { x, w }, .op = j.s }));
    *y = out;
    return WITAN_OK;
}
