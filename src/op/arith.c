/* Element-wise ops and softmax of rows. */
#include "op/ops.h"

wt_status wt_op_add(wt_run *r, const wt_tensor *a, const wt_tensor *b, wt_tensor **y)
{
    wt_assert(a->n == b->n);
    WT_TRY(wt_tensor_new(r->a, a->n_dim, a->shape, y));
    r->k->add((*y)->f32, a->f32, b->f32, a->n);
    return WITAN_OK;
}

wt_status wt_op_softmax(wt_run *r, const wt_tensor *x, wt_tensor **y)
{
    size_t w = (size_t)x->shape[x->n_dim - 1];
    WT_TRY(wt_tensor_new(r->a, x->n_dim, x->shape, y));
    for (size_t i = 0; i < x->n; i += w) r->k->softmax((*y)->f32 + i, x->f32 + i, w);
    return WITAN_OK;
}
