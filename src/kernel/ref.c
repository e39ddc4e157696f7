/* The ref tier: plain C for every slot. It is the fallback on any machine and the judge of the other tiers. */
#include "kernel/kernel.h"

#include <math.h>

static float dot(const float *a, const float *b, size_t n)
{
    float lane[8] = { 0 };                       /* eight running sums, as a vector unit has: shorter chains of rounding */
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++) lane[j] += a[i + j] * b[i + j];
    for (int j = 0; i < n; i++, j++) lane[j] += a[i] * b[i];
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static void matmul(float *y, size_t ldy, const float *w, size_t ldw, const float *x, size_t ldx, size_t n_row, size_t n_tok, size_t n_in)
{
    for (size_t t = 0; t < n_tok; t++)
        for (size_t r = 0; r < n_row; r++) y[t * ldy + r] = dot(w + r * ldw, x + t * ldx, n_in);
}

static void axpy(float *y, float s, const float *x, size_t n) { for (size_t i = 0; i < n; i++) y[i] += s * x[i]; }
static void add(float *y, const float *a, const float *b, size_t n) { for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i]; }
static void mul(float *y, const float *a, const float *b, size_t n) { for (size_t i = 0; i < n; i++) y[i] = a[i] * b[i]; }
static void scale(float *y, const float *x, float s, size_t n) { for (size_t i = 0; i < n; i++) y[i] = s * x[i]; }

static void silu_mul(float *y, const float *g, const float *u, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] = g[i] / (1.0f + expf(-g[i])) * u[i];
}

static void softmax(float *y, const float *x, size_t n)
{
    float top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++) if (x[i] > top) top = x[i];
    for (size_t i = 0; i < n; i++) sum += y[i] = expf(x[i] - top);
    for (size_t i = 0; i < n; i++) y[i] /= sum;
}

void wt_kernels_ref(wt_kernels *k)
{
    *k = (wt_kernels){ .tier = WT_TIER_REF, .matmul = matmul, .dot = dot, .axpy = axpy, .add = add, .mul = mul, .scale = scale,
                       .silu_mul = silu_mul, .softmax = softmax };
    for (uint32_t t = 0; t < WT_N_TYPE; t++) k->unpack[t] = wt_type_get(t)->unpack;
}
