/* Element-wise ops, gates and softmax of rows. */
#include "op/ops.h"

#include <math.h>

wt_status wt_op_add(wt_run *r, const wt_tensor *a, const wt_tensor *b, wt_tensor **y)
{
    wt_assert(a->n == b->n);
    WT_TRY(wt_tensor_new(r->a, a->n_dim, a->shape, y));
    r->k->add((*y)->f32, a->f32, b->f32, a->n);
    return WITAN_OK;
}

wt_status wt_op_bias(wt_run *r, const wt_tensor *x, const wt_tensor *b, wt_tensor **y)
{
    wt_assert(b->type == WT_F32 && x->n % b->n == 0);
    WT_TRY(wt_tensor_new(r->a, x->n_dim, x->shape, y));
    for (size_t i = 0; i < x->n; i += b->n) r->k->add((*y)->f32 + i, x->f32 + i, b->data, b->n);
    return WITAN_OK;
}

wt_status wt_op_silu_mul(wt_run *r, const wt_tensor *gate, const wt_tensor *up, wt_tensor **y)
{
    wt_assert(gate->n == up->n);
    size_t w = (size_t)gate->shape[gate->n_dim - 1];
    WT_TRY(wt_tensor_new(r->a, gate->n_dim, gate->shape, y));
    for (size_t i = 0; i < gate->n; i += w) r->k->silu_mul((*y)->f32 + i, gate->f32 + i, up->f32 + i, w);   /* by rows: no value depends on the batch */
    return WITAN_OK;
}

wt_status wt_op_gate_rows(wt_run *r, const wt_tensor *x, const wt_tensor *w, const wt_tensor *v, wt_tensor **y)
{
    size_t d = w->n, m = (size_t)v->shape[v->n_dim - 1];
    wt_assert(w->type == WT_F32 && x->n / d == v->n / m);
    WT_TRY(wt_tensor_new(r->a, v->n_dim, v->shape, y));
    for (size_t t = 0; t < x->n / d; t++) {
        float z = r->k->dot(x->f32 + t * d, w->data, d);
        r->k->scale((*y)->f32 + t * m, v->f32 + t * m, 1.0f / (1.0f + expf(-z)), m);
    }
    return WITAN_OK;
}

wt_status wt_op_softmax(wt_run *r, const wt_tensor *x, wt_tensor **y)
{
    size_t w = (size_t)x->shape[x->n_dim - 1];
    WT_TRY(wt_tensor_new(r->a, x->n_dim, x->shape, y));
    for (size_t i = 0; i < x->n; i += w) r->k->softmax((*y)->f32 + i, x->f32 + i, w);
    return WITAN_OK;
}
