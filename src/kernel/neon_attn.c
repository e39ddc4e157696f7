/* The neon tier: attention, and keeping keys and values. See ref_attn.c; static functions only.
 *
 * Products run in tiles of rows by vectors whose sums stay in registers. A sum starts at keep * y or 0 and adds in order of i with FMA: the
 * same in every tile. */
#include "kernel/kernel.h"

#include "kernel/neon_math.h"
#include <string.h>

enum { FLOATS, HALVES, BYTES, SPREAD };          /* b: rows of floats, of halves, of blocks of Q8_0; blocks of Q8_0 side by side */

INLINE float32x4_t from_f16(uint16x4_t h) { return vcvt_f32_f16(vreinterpret_f16_u16(h)); }

INLINE uint16_t u16_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return h;
}

/* Four bytes times their scales, which is exact. */
INLINE float32x4_t bytes4(float32x4_t scale, const uint8_t *q)
{
    uint32_t four;
    memcpy(&four, q, 4);
    int16x8_t wide = vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four)));
    return vmulq_f32(scale, vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))));
}

/* The vector at column col of step i of b, or its first `some` values where V is 1; blocks are always whole. */
INLINE float32x4_t b_at(const void *b, size_t i, size_t ldb, size_t col, size_t some, const int V, const int kind)
{
    if (kind == FLOATS) {
        const float *p = (const float *)b + i * ldb + col;
        return V > 1 || some >= 4 ? vld1q_f32(p) : load_some(p, some, 0);
    }
    if (kind == BYTES) {
        const uint8_t *p = (const uint8_t *)b + i * ldb + col / 32 * 34;
        return bytes4(from_f16(vdup_n_u16(u16_at(p))), p + 2 + col % 32);
    }
    if (kind == SPREAD) {
        const uint8_t *p = (const uint8_t *)b + i / 32 * 34 * ldb;
        return bytes4(from_f16(vreinterpret_u16_u8(vld1_u8(p + 2 * col))), p + (2 + i % 32) * ldb + col);
    }
    const uint16_t *p = (const uint16_t *)b + i * ldb + col;
    if (V > 1 || some >= 4) return from_f16(vld1_u16(p));
    uint16_t few[4] = { 0 };
    for (size_t k = 0; k < some; k++) few[k] = p[k];
    return from_f16(vld1_u16(few));
}

/* R rows by V vectors; where V is 1 it has the first `some` values. Rows share steps as long as all of them have any, then go on alone. */
INLINE void tile(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, const void *b, size_t ldb, size_t col, size_t some,
                 const int R, const int V, const int kind)
{
    float32x4_t acc[4][8];
    const bool all = V > 1 || some >= 4;
    size_t i = 0;
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) {
            const float *p = y + (size_t)r * ldy + 4 * v;
            acc[r][v] = !keep ? vdupq_n_f32(0) : vmulq_n_f32(all ? vld1q_f32(p) : load_some(p, some, 0), keep[r]);
        }
    for (; i < (size_t)n[0]; i++)
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) {
            float32x4_t bv = b_at(b, i, ldb, col + 4 * (size_t)v, some, V, kind);
#pragma GCC unroll 4
            for (int r = 0; r < R; r++) acc[r][v] = vfmaq_n_f32(acc[r][v], bv, a[(size_t)r * lda + i]);
        }
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
        for (size_t k = i; k < (size_t)n[r]; k++)
#pragma GCC unroll 8
            for (int v = 0; v < V; v++) acc[r][v] = vfmaq_n_f32(acc[r][v], b_at(b, k, ldb, col + 4 * (size_t)v, some, V, kind), a[(size_t)r * lda + k]);
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) {
            float *p = y + (size_t)r * ldy + 4 * v;
            if (all) vst1q_f32(p, acc[r][v]); else store_some(p, acc[r][v], some);
        }
    }
}

#define TILE(R, V) tile(y + r * ldy + j, ldy, keep ? keep + r : NULL, a + r * lda, lda, n + r, b, ldb, j, width - j, R, V, kind)

INLINE void mix_of(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const void *b, size_t ldb,
                   size_t width, const int kind)
{
    size_t r = 0, j;
    for (; r + 4 <= n_row; r += 4) {
        for (j = 0; j + 16 <= width; j += 16) TILE(4, 4);
        for (; j < width; j += 4) TILE(4, 1);
    }
    for (; r < n_row; r++) {                     /* four sums alone would not hide the latency of FMA */
        for (j = 0; j + 32 <= width; j += 32) TILE(1, 8);
        for (; j < width; j += 4) TILE(1, 1);
    }
}

static void mix(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const float *b, size_t ldb,
                size_t width)
{
    mix_of(y, ldy, keep, a, lda, n, n_row, b, ldb, width, FLOATS);
}

static void mix_half(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const uint16_t *b, size_t ldb,
                     size_t width)
{
    mix_of(y, ldy, keep, a, lda, n, n_row, b, ldb, width, HALVES);
}

static void mix_byte(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const void *b, size_t ldb,
                     size_t width)
{
    mix_of(y, ldy, keep, a, lda, n, n_row, b, ldb, width, BYTES);
}

static void mix_spread(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const void *b, size_t ldb,
                       size_t width)
{
    mix_of(y, ldy, keep, a, lda, n, n_row, b, ldb, width, SPREAD);
}

/* ---- softmax and rotation -------------------------------------------------------------------------------------------------- */

static void soften(float *s, size_t lds, const int32_t *n, size_t n_row, float *top, float *sum, float *keep)
{
    for (size_t r = 0; r < n_row; r++, s += lds) {
        size_t len = (size_t)n[r], i = 0;
        float old = top[r];
        float32x4_t most = vdupq_n_f32(old), part = vdupq_n_f32(0);
        for (; i + 4 <= len; i += 4) most = vmaxnmq_f32(most, vld1q_f32(s + i));         /* numbers win over NaN */
        if (i < len) most = vmaxnmq_f32(most, load_some(s + i, len - i, old));
        top[r] = vmaxnmvq_f32(most);
        most = vdupq_n_f32(top[r]);
        for (i = 0; i + 4 <= len; i += 4) {
            float32x4_t e = exp4(vsubq_f32(vld1q_f32(s + i), most));
            vst1q_f32(s + i, e);
            part = vaddq_f32(part, e);
        }
        if (i < len) {
            float32x4_t e = exp4(vsubq_f32(load_some(s + i, len - i, -INFINITY), most));
            store_some(s + i, e, len - i);
            part = vaddq_f32(part, e);
        }
        keep[r] = vgetq_lane_f32(exp4(vsubq_f32(vdupq_n_f32(old), most)), 0);
        sum[r] = keep[r] * sum[r] + vaddvq_f32(part);
    }
}

/* (a, b) by the angle of (c, s). */
INLINE float32x4x2_t turned(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t s)
{
    return (float32x4x2_t){ { vfmaq_f32(vnegq_f32(vmulq_f32(b, s)), a, c), vfmaq_f32(vmulq_f32(a, s), b, c) } };
}

static void turn(float *x, const float *cs, size_t half, bool halves)
{
    size_t i = 0, step = halves ? 1 : 2, other = halves ? half : 1;
    for (; i + 4 <= half; i += 4) {
        float32x4_t c = vld1q_f32(cs + i), s = vld1q_f32(cs + half + i);
        if (halves) {
            float32x4x2_t v = turned(vld1q_f32(x + i), vld1q_f32(x + half + i), c, s);
            vst1q_f32(x + i, v.val[0]);
            vst1q_f32(x + half + i, v.val[1]);
        } else {
            float32x4x2_t v = vld2q_f32(x + 2 * i);
            vst2q_f32(x + 2 * i, turned(v.val[0], v.val[1], c, s));
        }
    }
    for (; i < half; i++) {
        float32x4x2_t v = turned(vdupq_n_f32(x[i * step]), vdupq_n_f32(x[i * step + other]), vdupq_n_f32(cs[i]), vdupq_n_f32(cs[half + i]));
        x[i * step] = vgetq_lane_f32(v.val[0], 0);
        x[i * step + other] = vgetq_lane_f32(v.val[1], 0);
    }
}

/* ---- keeping --------------------------------------------------------------------------------------------------------------- */

INLINE float32x4_t within(float32x4_t x, float most) { return vmaxq_f32(vminq_f32(x, vdupq_n_f32(most)), vdupq_n_f32(-most)); }      /* NaN passes */
INLINE uint16x4_t halves4(float32x4_t x) { return vreinterpret_u16_f16(vcvt_f16_f32(within(x, 65504))); }

static void keep_half(uint16_t *dst, const float *src, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) vst1_u16(dst + i, halves4(vld1q_f32(src + i)));
    if (i == n) return;
    uint16_t few[4];
    vst1_u16(few, halves4(load_some(src + i, n - i, 0)));
    memcpy(dst + i, few, (n - i) * sizeof *dst);
}

/* The largest magnitude of 32 values; NaN, whose bits are larger than all others, if there is one. */
INLINE float largest(const float *x)
{
    uint32x4_t most = vdupq_n_u32(0);
    for (int i = 0; i < 32; i += 4) most = vmaxq_u32(most, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + i)), vdupq_n_u32(0x7fffffff)));
    return vgetq_lane_f32(vreinterpretq_f32_u32(vdupq_n_u32(vmaxvq_u32(most))), 0);
}

INLINE int16x4_t rounded(const float *x, float inverse) { return vqmovn_s32(vcvtnq_s32_f32(within(vmulq_n_f32(vld1q_f32(x), inverse), 127))); }

static void keep_byte(void *dst, const float *src, size_t n)
{
    uint8_t *p = dst;
    for (; n >= 32; n -= 32, p += 34, src += 32) {
        uint16x4_t h = halves4(vdupq_n_f32(largest(src) / 127));
        float d = vgetq_lane_f32(from_f16(h), 0), inverse = d > 0 ? 1 / d : 0;
        uint16_t bits = vget_lane_u16(h, 0);
        memcpy(p, &bits, 2);
        for (int i = 0; i < 32; i += 8)
            vst1_s8((int8_t *)p + 2 + i, vqmovn_s16(vcombine_s16(rounded(src + i, inverse), rounded(src + i + 4, inverse))));
    }
}

static void spread_byte(float *dst, const void *src, size_t many, size_t n)
{
    const uint8_t *d = src, *q = d + 2 * many;
    size_t j = 0;
    for (; j < n && j + 4 <= many; j += 4) {
        float32x4_t scale = from_f16(vreinterpret_u16_u8(vld1_u8(d + 2 * j)));
        for (size_t i = 0; i < 32; i++) vst1q_f32(dst + i * many + j, bytes4(scale, q + i * many + j));
    }
    for (; j < n; j++) {
        float scale = vgetq_lane_f32(from_f16(vdup_n_u16(u16_at(d + 2 * j))), 0);
        for (size_t i = 0; i < 32; i++) dst[i * many + j] = scale * (float)(int8_t)q[i * many + j];
    }
}

void wt_kernels_neon_attn(wt_kernels *k)
{
    k->mix = mix;
    k->mix_half = mix_half;
    k->mix_byte = mix_byte;
    k->mix_spread = mix_spread;
    k->soften = soften;
    k->turn = turn;
    k->keep_half = keep_half;
    k->keep_byte = keep_byte;
    k->spread_byte = spread_byte;
}
