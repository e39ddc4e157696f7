/* Rotary position embedding (RoFormer, arXiv 2104.09864, eq. 34), with the angles of a batch computed once. */
#include "op/ops.h"

#include <math.h>
#include <string.h>

wt_status wt_op_rope_table(wt_run *r, const int32_t *pos, int32_t n_tok, const double *freq, int32_t n_rot, float size, wt_tensor **table)
{
    int32_t half = n_rot / 2;
    WT_TRY(wt_tensor_new(r->a, 3, (int64_t[]){ n_tok, half, 2 }, table));
    float *out = (*table)->f32;
    for (int32_t t = 0; t < n_tok; t++)
        for (int32_t i = 0; i < half; i++, out += 2) {
            double angle = pos[t] * freq[i];
            out[0] = size * (float)cos(angle);
            out[1] = size * (float)sin(angle);
        }
    return WITAN_OK;
}

wt_status wt_op_rope(wt_run *r, const wt_tensor *x, const wt_tensor *table, int32_t d_head, bool halves, wt_tensor **y)
{
    size_t n_tok = (size_t)table->shape[0], half = (size_t)table->shape[1], width = x->n / n_tok;
    size_t step = halves ? 1 : 2, other = halves ? half : 1;
    WT_TRY(wt_tensor_new(r->a, x->n_dim, x->shape, y));
    for (size_t t = 0; t < n_tok; t++) {
        const float *cs = table->f32 + t * half * 2;
        for (size_t h = 0; h < width; h += (size_t)d_head) {
            const float *in = x->f32 + t * width + h;
            float *out = (*y)->f32 + t * width + h;
            for (size_t i = 0; i < half; i++) {
                float a = in[i * step], b = in[i * step + other], c = cs[2 * i], s = cs[2 * i + 1];
                out[i * step] = a * c - b * s;
                out[i * step + other] = b * c + a * s;
            }
            memcpy(out + 2 * half, in + 2 * half, ((size_t)d_head - 2 * half) * sizeof *out);
        }
    }
    return WITAN_OK;
}
