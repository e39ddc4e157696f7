/* The ref tier: element-wise steps of training. */
#include "kernel/kernel.h"

#include <math.h>

static float silu_mul_back(float *dg, float *du, float *h, const float *g, const float *u, const float *dh, float w, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) {
        float s = 1.0f / (1.0f + expf(-g[i])), a = g[i] * s, up = u[i], hv = a * up, d = w * dh[i];
        sum += hv * dh[i];
        dg[i] = d * up * (s + a * (1.0f - s));
        du[i] = d * a;
        if (h) h[i] = w * hv;
    }
    return sum;
}

static void add_mul(float *y, float s, const float *a, const float *b, size_t n) { for (size_t i = 0; i < n; i++) y[i] += s * a[i] * b[i]; }

static void keep_bf16(uint16_t *dst, const float *src, size_t n) { for (size_t i = 0; i < n; i++) dst[i] = wt_float_to_bf16(src[i]); }

void wt_kernels_ref_train(wt_kernels *k)
{
    k->silu_mul_back = silu_mul_back;
    k->add_mul = add_mul;
    k->keep_bf16 = keep_bf16;
}
