/* The neon tier (AArch64, whose vectors every such CPU has): only static functions and the fill function, and no inline function of a header that
 * other tiers share.
 *
 * Every dot product is eight running sums in two vectors, walked from 0 to n in steps of 8 with FMA, zeros behind the end, and one fixed tree
 * at the end: the order of avx2, so both give the same bits. Tiles of rows and tokens run many such sums side by side, which hides the latency
 * of FMA without changing any: a (row, token) result is the same in every tile. */
#include "kernel/kernel.h"

#include "kernel/neon_math.h"
#include <string.h>

typedef struct eight { float32x4_t a, b; } eight;    /* lanes 0..3, 4..7 */

INLINE eight load8(const float *p) { return (eight){ vld1q_f32(p), vld1q_f32(p + 4) }; }

INLINE eight load8_some(const float *p, size_t n)    /* n in 0..7, the rest is zero */
{
    float v[8] = { 0 };
    for (size_t i = 0; i < n; i++) v[i] = p[i];
    return load8(v);
}

INLINE float sum8(eight v)
{
    float32x4_t s = vaddq_f32(v.a, v.b);                                     /* 0+4 1+5 2+6 3+7 */
    float32x2_t t = vadd_f32(vget_low_f32(s), vget_high_f32(s));             /* (0+4)+(2+6) (1+5)+(3+7) */
    return vget_lane_f32(t, 0) + vget_lane_f32(t, 1);
}

INLINE eight fma8(eight acc, eight x, eight y) { return (eight){ vfmaq_f32(acc.a, x.a, y.a), vfmaq_f32(acc.b, x.b, y.b) }; }

/* R rows by T tokens; R and T are constants at every call, so the sums stay in registers. */
INLINE void tile(float *y, size_t ldy, const float *w, size_t ldw, const float *x, size_t ldx, size_t n, const int R, const int T)
{
    eight acc[8][4], xv[4];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) acc[r][t] = (eight){ vdupq_n_f32(0), vdupq_n_f32(0) };
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) xv[t] = load8(x + (size_t)t * ldx + i);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            eight wv = load8(w + (size_t)r * ldw + i);
#pragma GCC unroll 4
            for (int t = 0; t < T; t++) acc[r][t] = fma8(acc[r][t], wv, xv[t]);
        }
    }
    if (i < n) {
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) xv[t] = load8_some(x + (size_t)t * ldx + i, n - i);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            eight wv = load8_some(w + (size_t)r * ldw + i, n - i);
#pragma GCC unroll 4
            for (int t = 0; t < T; t++) acc[r][t] = fma8(acc[r][t], wv, xv[t]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) y[(size_t)t * ldy + (size_t)r] = sum8(acc[r][t]);
}

static void matmul(float *y, size_t ldy, const float *w, size_t ldw, const float *x, size_t ldx, size_t n_row, size_t n_tok, size_t n_in)
{
    size_t t = 0;
    for (; t + 3 <= n_tok; t += 3) {
        size_t r = 0;
        for (; r + 4 <= n_row; r += 4) tile(y + t * ldy + r, ldy, w + r * ldw, ldw, x + t * ldx, ldx, n_in, 4, 3);
        for (; r < n_row; r++) tile(y + t * ldy + r, ldy, w + r * ldw, ldw, x + t * ldx, ldx, n_in, 1, 3);
    }
    for (; t < n_tok; t++) {
        size_t r = 0;
        for (; r + 8 <= n_row; r += 8) tile(y + t * ldy + r, ldy, w + r * ldw, ldw, x + t * ldx, ldx, n_in, 8, 1);
        for (; r < n_row; r++) tile(y + t * ldy + r, ldy, w + r * ldw, ldw, x + t * ldx, ldx, n_in, 1, 1);
    }
}

static float dot(const float *a, const float *b, size_t n)
{
    float y;
    tile(&y, 1, a, 0, b, 0, n, 1, 1);
    return y;
}

/* ---- element by element ------------------------------------------------------------------------------------------------ */

/* y[i] = value, where value may use A and B: four elements of a and b. Whole vectors, then one that is partly there. */
#define EACH4(y, a, b, n, value) \
    size_t i_ = 0; \
    for (; i_ + 4 <= n; i_ += 4) { float32x4_t A = vld1q_f32((a) + i_), B = vld1q_f32((b) + i_); (void)B; vst1q_f32((y) + i_, value); } \
    if (i_ < n) { float32x4_t A = load_some((a) + i_, n - i_, 0), B = load_some((b) + i_, n - i_, 0); (void)B; store_some((y) + i_, value, n - i_); }

static void axpy(float *y, float s, const float *x, size_t n) { EACH4(y, x, y, n, vfmaq_n_f32(B, A, s)) }
static void add(float *y, const float *a, const float *b, size_t n) { EACH4(y, a, b, n, vaddq_f32(A, B)) }
static void mul(float *y, const float *a, const float *b, size_t n) { EACH4(y, a, b, n, vmulq_f32(A, B)) }
static void scale(float *y, const float *x, float s, size_t n) { EACH4(y, x, x, n, vmulq_n_f32(A, s)) }

INLINE float32x4_t silu4(float32x4_t g, float32x4_t u)
{
    return vmulq_f32(vdivq_f32(g, vaddq_f32(vdupq_n_f32(1), exp4(vnegq_f32(g)))), u);
}

static void silu_mul(float *y, const float *g, const float *u, size_t n) { EACH4(y, g, u, n, silu4(A, B)) }

static void softmax(float *y, const float *x, size_t n)
{
    float top = -INFINITY;
    for (size_t j = 0; j < n; j++) if (x[j] > top) top = x[j];
    float32x4_t t = vdupq_n_f32(top), sum = vdupq_n_f32(0);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t e = exp4(vsubq_f32(vld1q_f32(x + i), t));
        vst1q_f32(y + i, e);
        sum = vaddq_f32(sum, e);
    }
    if (i < n) {
        float32x4_t e = exp4(vsubq_f32(load_some(x + i, n - i, -INFINITY), t));
        store_some(y + i, e, n - i);
        sum = vaddq_f32(sum, e);
    }
    scale(y, y, 1.0f / vaddvq_f32(sum), n);
}

/* ---- blocks to float ------------------------------------------------------------------------------------------------ */

static void unpack_f32(float *dst, const void *src, size_t n) { memcpy(dst, src, n * sizeof *dst); }

INLINE uint16x4_t load_4_halves(const uint8_t *p) { return vreinterpret_u16_u8(vld1_u8(p)); }
INLINE float32x4_t from_f16(uint16x4_t h) { return vcvt_f32_f16(vreinterpret_f16_u16(h)); }
INLINE float32x4_t from_bf16(uint16x4_t h) { return vreinterpretq_f32_u32(vshll_n_u16(h, 16)); }

INLINE uint16_t u16_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return h;
}

static void unpack_f16(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) vst1q_f32(dst + i, from_f16(load_4_halves(p + 2 * i)));
    for (; i < n; i++) dst[i] = vgetq_lane_f32(from_f16(vdup_n_u16(u16_at(p + 2 * i))), 0);
}

static void unpack_bf16(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) vst1q_f32(dst + i, from_bf16(load_4_halves(p + 2 * i)));
    for (; i < n; i++) dst[i] = vgetq_lane_f32(from_bf16(vdup_n_u16(u16_at(p + 2 * i))), 0);
}

/* Sixteen signed bytes times d. */
INLINE void store16(float *dst, int8x16_t q, float32x4_t d)
{
    int16x8_t a = vmovl_s8(vget_low_s8(q)), b = vmovl_s8(vget_high_s8(q));
    vst1q_f32(dst, vmulq_f32(d, vcvtq_f32_s32(vmovl_s16(vget_low_s16(a)))));
    vst1q_f32(dst + 4, vmulq_f32(d, vcvtq_f32_s32(vmovl_s16(vget_high_s16(a)))));
    vst1q_f32(dst + 8, vmulq_f32(d, vcvtq_f32_s32(vmovl_s16(vget_low_s16(b)))));
    vst1q_f32(dst + 12, vmulq_f32(d, vcvtq_f32_s32(vmovl_s16(vget_high_s16(b)))));
}

static void unpack_q8_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 34, dst += 32) {
        float32x4_t d = from_f16(vdup_n_u16(u16_at(p)));
        store16(dst, vreinterpretq_s8_u8(vld1q_u8(p + 2)), d);
        store16(dst + 16, vreinterpretq_s8_u8(vld1q_u8(p + 18)), d);
    }
}

static void unpack_q4_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    const int8x16_t offset = vdupq_n_s8(8);
    for (size_t b = 0; b < n / 32; b++, p += 18, dst += 32) {
        float32x4_t d = from_f16(vdup_n_u16(u16_at(p)));
        uint8x16_t q = vld1q_u8(p + 2);
        store16(dst, vsubq_s8(vreinterpretq_s8_u8(vandq_u8(q, vdupq_n_u8(15))), offset), d);
        store16(dst + 16, vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8(q, 4)), offset), d);
    }
}

void wt_kernels_neon(wt_kernels *k)
{
    k->matmul = matmul;
    k->dot = dot;
    k->axpy = axpy;
    k->add = add;
    k->mul = mul;
    k->scale = scale;
    k->silu_mul = silu_mul;
    k->softmax = softmax;
    k->unpack[WT_F32] = unpack_f32;
    k->unpack[WT_F16] = unpack_f16;
    k->unpack[WT_BF16] = unpack_bf16;
    k->unpack[WT_Q8_0] = unpack_q8_0;
    k->unpack[WT_Q4_0] = unpack_q4_0;
}
