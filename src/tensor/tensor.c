/* Tensors in an arena, and their shapes as text. */
#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

wt_status wt_tensor_new(wt_arena *a, int32_t n_dim, const int64_t *shape, wt_tensor **out)
{
    wt_tensor *t = wt_take(a, sizeof *t);
    if (!t) return WITAN_ENOMEM;
    *t = (wt_tensor){ .name = "", .type = WT_F32, .n_dim = n_dim, .shape = { 1, 1, 1, 1 }, .n = 1 };
    for (int32_t i = 0; i < n_dim; i++) {
        t->shape[i] = shape[i];
        if (wt_mul_over(t->n, (size_t)shape[i], &t->n)) return wt_fail(a->cx, WT_ENOMEM, "out of memory: a tensor of impossible size");
    }
    t->f32 = wt_take_n(a, t->n, sizeof *t->f32);
    if (!t->f32) return WITAN_ENOMEM;
    t->data = t->f32;
    t->bytes = t->n * sizeof *t->f32;
    *out = t;
    return WITAN_OK;
}

const char *wt_shape_text(const wt_tensor *t, char buf[64])
{
    size_t at = 0;
    buf[0] = 0;
    for (int32_t i = 0; i < t->n_dim && at < 60; i++) {
        int n = snprintf(buf + at, 64 - at, "%s%lld", i ? ", " : "[", (long long)t->shape[i]);
        at += n > 0 ? (size_t)n : 0;
    }
    if (at < 63) strcpy(buf + at, "]");
    return buf;
}
