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

static uint64_t peak_read(const void *p, size_t n)
{
    const uint64_t *x = p;
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i + 4 <= n / 8; i += 4) { a ^= x[i]; b ^= x[i + 1]; c ^= x[i + 2]; d ^= x[i + 3]; }
    return a ^ b ^ c ^ d;
}

static double peak_f32(size_t rounds)
{
    volatile float sink;
    float a[16];
    for (int j = 0; j < 16; j++) a[j] = 1;
    for (size_t i = 0; i < rounds; i++)
        for (int j = 0; j < 16; j++) a[j] = a[j] * 0.999f + 0.001f;
    sink = a[0] + a[7] + a[15];
    (void)sink;
    return (double)rounds * 16 * 2;
}

static double peak_i8(size_t rounds)
{
    volatile int32_t sink;
    int32_t a[16] = { 0 };
    for (size_t i = 0; i < rounds; i++)
        for (int j = 0; j < 16; j++) a[j] += (int8_t)(i + (size_t)j) * (int8_t)(i >> 1);
    sink = a[0] + a[7] + a[15];
    (void)sink;
    return (double)rounds * 16 * 2;
}

void wt_kernels_ref(wt_kernels *k)
{
    *k = (wt_kernels){ .matmul = matmul, .dot = dot, .axpy = axpy, .add = add, .mul = mul, .scale = scale,
                       .silu_mul = silu_mul, .softmax = softmax,
                       .peak_read = peak_read, .peak_f32 = peak_f32, .peak_i8 = peak_i8 };
    for (uint32_t t = 0; t < WT_N_TYPE; t++) k->unpack[t] = wt_type_get(t)->unpack;
}
