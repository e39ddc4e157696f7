/* Products of quantized weights with activations as bytes, NEON. Compiled twice, with the dot product extension (ARMv8.2, nearly every CPU
 * since 2018) and without: static functions and a fill function only.
 *
 * Eight rows are computed side by side, one in each lane of two vectors. For every block of 32 values the products are added as integers, which
 * is exact in any order; then the lane of a row does what ref_q.c says: acc = fma(sum, scale d, acc), and so on. That order is a property of the
 * row alone, so all ways of computing the integers give the same bits:
 *   direct   few tokens: the blocks of a row are used as they lie, and the sums of four rows are folded into one vector
 *   tiled    many tokens: blocks of eight rows are unpacked to bytes once and interleaved, so that four bytes of a token meet four bytes of
 *            each row and nothing has to be folded; rows that are interleaved in the file need no more than that anyway
 * Every format is a set of small answers: its bytes, its scales, what to subtract. They are chosen at compile time. Bytes are the values
 * themselves, with their signs. */
#include "kernel/kernel.h"

#include <arm_neon.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* ---- products ---------------------------------------------------------------------------------------------------------- */

#ifdef __ARM_FEATURE_DOTPROD

/* Lane i: acc + the products of bytes 4i .. 4i + 3. */
INLINE int32x4_t dot_fours(int32x4_t acc, int8x16_t w, int8x16_t x) { return vdotq_s32(acc, w, x); }

/* The same with bytes 4j .. 4j + 3 of x in every lane. */
INLINE int32x4_t dot_piece(int32x4_t acc, int8x16_t w, int8x16_t x, const int j)
{
    switch (j) {                                 /* the instruction wants a constant */
    case 0: return vdotq_laneq_s32(acc, w, x, 0);
    case 1: return vdotq_laneq_s32(acc, w, x, 1);
    case 2: return vdotq_laneq_s32(acc, w, x, 2);
    default: return vdotq_laneq_s32(acc, w, x, 3);
    }
}

#else

/* Two products fit into 16 bits: bytes of weights are at least -128, those of activations at least -127. */
INLINE int32x4_t dot_fours(int32x4_t acc, int8x16_t w, int8x16_t x)
{
    return vpadalq_s16(acc, vpaddq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)), vmull_high_s8(w, x)));
}

INLINE int32x4_t dot_piece(int32x4_t acc, int8x16_t w, int8x16_t x, const int j)
{
    int32x4_t v = vreinterpretq_s32_s8(x);
    v = j == 0 ? vdupq_laneq_s32(v, 0) : j == 1 ? vdupq_laneq_s32(v, 1) : j == 2 ? vdupq_laneq_s32(v, 2) : vdupq_laneq_s32(v, 3);
    return dot_fours(acc, w, vreinterpretq_s8_s32(v));
}

#endif

/* ---- formats ----------------------------------------------------------------------------------------------------------- */

/* 16 values share a scale, not 32: scales are small integers there and multiply the integer sums. */
INLINE bool in_pairs(const int type) { return type == WT_Q6_K || type == WT_Q3_K || type == WT_Q2_K; }
INLINE bool has_min(const int type) { return type == WT_Q4_1 || type == WT_Q5_1 || type == WT_Q4_K || type == WT_Q5_K; }
INLINE bool super(const int type) { return in_pairs(type) || type == WT_Q4_K || type == WT_Q5_K || type == WT_IQ4_XS; }

INLINE size_t unit(const int type)               /* bytes of a block */
{
    switch (type) {
    case WT_Q4_0: case WT_IQ4_NL: return 18;
    case WT_Q4_1: return 20;
    case WT_Q5_0: return 22;
    case WT_Q5_1: return 24;
    case WT_Q8_0: return 34;
    case WT_MXFP4: return 17;
    case WT_Q2_K: return 84;
    case WT_Q3_K: return 110;
    case WT_Q4_K: return 144;
    case WT_Q5_K: return 176;
    case WT_Q6_K: return 210;
    default: return 136;
    }
}

/* The bytes of a block in order: two vectors of sixteen. */
typedef struct bytes { uint8x16_t a, b; } bytes;
typedef struct values { int8x16_t a, b; } values;

INLINE bytes load32(const uint8_t *p) { return (bytes){ vld1q_u8(p), vld1q_u8(p + 16) }; }
INLINE bytes either(bytes x, bytes y) { return (bytes){ vorrq_u8(x.a, y.a), vorrq_u8(x.b, y.b) }; }

INLINE bytes nibbles(const uint8_t *p)           /* low ones first, then high ones */
{
    uint8x16_t v = vld1q_u8(p);
    return (bytes){ vandq_u8(v, vdupq_n_u8(15)), vshrq_n_u8(v, 4) };
}

/* 32 bits to 32 bytes, 16 where the bit is set. */
INLINE bytes fifth_bits(const uint8_t *p)
{
    static const uint8_t spread[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1 };
    static const uint8_t bit[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
    uint8x16_t at = vld1q_u8(spread), mask = vld1q_u8(bit), sixteen = vdupq_n_u8(16);
    uint32_t bits;
    memcpy(&bits, p, 4);
    uint8x16_t v = vreinterpretq_u8_u32(vdupq_n_u32(bits));
    return (bytes){ vandq_u8(vtstq_u8(vqtbl1q_u8(v, at), mask), sixteen), vandq_u8(vtstq_u8(vqtbl1q_u8(v, vaddq_u8(at, vdupq_n_u8(2))), mask), sixteen) };
}

/* Bits [from, from + n) of every byte, moved to [to, to + n). */
INLINE bytes bits_at(bytes v, int from, int n, int to)
{
    int8x16_t shift = vdupq_n_s8((int8_t)(to - from));
    uint8x16_t mask = vdupq_n_u8((uint8_t)(((1 << n) - 1) << to));
    return (bytes){ vandq_u8(vshlq_u8(v.a, shift), mask), vandq_u8(vshlq_u8(v.b, shift), mask) };
}

INLINE values minus(bytes v, int offset)
{
    int8x16_t o = vdupq_n_s8((int8_t)offset);
    return (values){ vsubq_s8(vreinterpretq_s8_u8(v.a), o), vsubq_s8(vreinterpretq_s8_u8(v.b), o) };
}

static const int8_t iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
static const int8_t fp4[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

INLINE values look_up(const uint8_t *nib, const int8_t table[16])
{
    bytes v = nibbles(nib);
    int8x16_t t = vld1q_s8(table);
    return (values){ vqtbl1q_s8(t, v.a), vqtbl1q_s8(t, v.b) };
}

/* The 32 values of block b of a row, in order, without their scale. */
INLINE values values_of(const int type, const uint8_t *row, size_t b)
{
    const uint8_t *p = row + (super(type) ? b / 8 : b) * unit(type);
    int i = (int)(b % 8), half = i / 4, quarter = i % 4;
    switch (type) {
    case WT_Q4_0: return minus(nibbles(p + 2), 8);
    case WT_Q4_1: return minus(nibbles(p + 4), 0);
    case WT_Q5_0: return minus(either(nibbles(p + 6), fifth_bits(p + 2)), 16);
    case WT_Q5_1: return minus(either(nibbles(p + 8), fifth_bits(p + 4)), 0);
    case WT_Q8_0: return minus(load32(p + 2), 0);
    case WT_IQ4_NL: return look_up(p + 2, iq4);
    case WT_MXFP4: return look_up(p + 1, fp4);
    case WT_IQ4_XS: return look_up(p + 8 + 16 * i, iq4);
    case WT_Q4_K: return minus(bits_at(load32(p + 16 + 32 * (i / 2)), 4 * (i % 2), 4, 0), 0);
    case WT_Q5_K: return minus(either(bits_at(load32(p + 48 + 32 * (i / 2)), 4 * (i % 2), 4, 0), bits_at(load32(p + 16), i, 1, 4)), 0);
    case WT_Q6_K: return minus(either(bits_at(load32(p + 64 * half + 32 * (quarter % 2)), 4 * (quarter / 2), 4, 0),
                                      bits_at(load32(p + 128 + 32 * half), 2 * quarter, 2, 4)), 32);
    case WT_Q3_K: return minus(either(bits_at(load32(p + 32 + 32 * half), 2 * quarter, 2, 0), bits_at(load32(p), i, 1, 2)), 4);
    default: return minus(bits_at(load32(p + 16 + 32 * half), 2 * quarter, 2, 0), 0);   /* Q2_K */
    }
}

/* ---- scales ------------------------------------------------------------------------------------------------------------ */

/* Of eight rows, lane r for row r: what a block's integer sum is multiplied by, what its minimum is; where sixteen values share a scale, two
 * bytes in a lane: those of the halves of a block. */
typedef struct scale { float32x4_t s[2], m[2]; int16x8_t pair, mins; } scale;

INLINE uint16_t u16_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return h;
}

INLINE void from_halves(float32x4_t out[2], uint16x8_t h)
{
    out[0] = vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(h)));
    out[1] = vcvt_high_f32_f16(vreinterpretq_f16_u16(h));
}

INLINE void halves(float32x4_t out[2], const uint8_t *const p[8], size_t at)
{
    uint16_t h[8];
    for (int r = 0; r < 8; r++) h[r] = u16_at(p[r] + at);
    from_halves(out, vld1q_u16(h));
}

/* out = d times the integers of eight lanes. */
INLINE void scaled(float32x4_t out[2], const float32x4_t d[2], int16x8_t v)
{
    out[0] = vmulq_f32(d[0], vcvtq_f32_s32(vmovl_s16(vget_low_s16(v))));
    out[1] = vmulq_f32(d[1], vcvtq_f32_s32(vmovl_high_s16(v)));
}

/* Rows of eight 16-bit lanes become columns. */
INLINE void transpose8(int16x8_t v[8])
{
    int32x4_t a[8];
    int64x2_t b[8];
    for (int i = 0; i < 4; i++) {
        a[2 * i] = vreinterpretq_s32_s16(vtrn1q_s16(v[2 * i], v[2 * i + 1]));
        a[2 * i + 1] = vreinterpretq_s32_s16(vtrn2q_s16(v[2 * i], v[2 * i + 1]));
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            b[i + k] = vreinterpretq_s64_s32(vtrn1q_s32(a[i + k], a[i + k + 2]));
            b[i + k + 2] = vreinterpretq_s64_s32(vtrn2q_s32(a[i + k], a[i + k + 2]));
        }
    for (int i = 0; i < 4; i++) {
        v[i] = vreinterpretq_s16_s64(vtrn1q_s64(b[i], b[i + 4]));
        v[i + 4] = vreinterpretq_s16_s64(vtrn2q_s64(b[i], b[i + 4]));
    }
}

INLINE int16x8_t widened(uint32_t low, uint32_t high)    /* eight bytes */
{
    return vreinterpretq_s16_u16(vmovl_u8(vcreate_u8(low | (uint64_t)high << 32)));
}

/* Eight six-bit scales and minima out of twelve bytes, as Q4_K and Q5_K pack them. */
INLINE void six_bits(const uint8_t *p, int16x8_t *s, int16x8_t *m)
{
    uint32_t w[3];
    memcpy(w, p, 12);
    const uint32_t low = 0x3f3f3f3f, nib = 0x0f0f0f0f, top = 0x03030303;
    *s = widened(w[0] & low, (w[2] & nib) | (w[0] >> 6 & top) << 4);
    *m = widened(w[1] & low, (w[2] >> 4 & nib) | (w[1] >> 6 & top) << 4);
}

/* Of a super-block of Q4_K or Q5_K: its halves, and where the twelve bytes of row r stand. */
INLINE void scales_k45(scale out[8], const float32x4_t d[2], const float32x4_t dmin[2], const uint8_t *const packed[8])
{
    int16x8_t s[8], m[8];
    for (int r = 0; r < 8; r++) six_bits(packed[r], s + r, m + r);
    transpose8(s);
    transpose8(m);
    for (int i = 0; i < 8; i++) {
        scaled(out[i].s, d, s[i]);
        scaled(out[i].m, dmin, m[i]);
    }
}

/* Sixteen six-bit scales of Q3_K out of twelve bytes, minus 32. */
INLINE int8x16_t q3_scales(const uint8_t *p)
{
    uint32_t w[3];
    memcpy(w, p, 12);
    const uint32_t nib = 0x0f0f0f0f, two = 0x03030303;
    uint32_t v[4] = { (w[0] & nib) | (w[2] & two) << 4, (w[1] & nib) | (w[2] >> 2 & two) << 4,
                      (w[0] >> 4 & nib) | (w[2] >> 4 & two) << 4, (w[1] >> 4 & nib) | (w[2] >> 6 & two) << 4 };
    return vsubq_s8(vreinterpretq_s8_u32(vld1q_u32(v)), vdupq_n_s8(32));
}

INLINE void scales_paired(const int type, scale out[8], const uint8_t *const p[8])
{
    int16x8_t s[8], m[8];
    float32x4_t d[2], dmin[2] = { vdupq_n_f32(0), vdupq_n_f32(0) };
    halves(d, p, type == WT_Q6_K ? 208 : type == WT_Q3_K ? 108 : 80);
    if (type == WT_Q2_K) halves(dmin, p, 82);
    for (int r = 0; r < 8; r++) {
        uint8x16_t v = vld1q_u8(p[r] + (type == WT_Q6_K ? 192 : 0));
        m[r] = vreinterpretq_s16_u8(vshrq_n_u8(v, 4));                       /* Q2_K: minimum above, scale below */
        if (type == WT_Q2_K) v = vandq_u8(v, vdupq_n_u8(15));
        s[r] = type == WT_Q3_K ? vreinterpretq_s16_s8(q3_scales(p[r] + 96)) : vreinterpretq_s16_u8(v);
    }
    transpose8(s);
    transpose8(m);
    for (int i = 0; i < 8; i++) out[i] = (scale){ .s = { d[0], d[1] }, .m = { dmin[0], dmin[1] }, .pair = s[i], .mins = m[i] };
}

INLINE void scales_iq4_xs(scale out[8], const uint8_t *const p[8])
{
    static const int16_t by4[8] = { 0, -4, -8, -12, 0, -4, -8, -12 }, by2[8] = { 0, -2, -4, -6, -8, -10, -12, -14 };
    int16x8_t s[8];
    float32x4_t d[2];
    halves(d, p, 0);
    for (int r = 0; r < 8; r++) {
        uint16x8_t low = vcombine_u16(vdup_n_u16(u16_at(p[r] + 4)), vdup_n_u16(u16_at(p[r] + 6))), high = vdupq_n_u16(u16_at(p[r] + 2));
        low = vandq_u16(vshlq_u16(low, vld1q_s16(by4)), vdupq_n_u16(15));
        high = vandq_u16(vshlq_u16(high, vld1q_s16(by2)), vdupq_n_u16(3));
        s[r] = vsubq_s16(vreinterpretq_s16_u16(vorrq_u16(low, vshlq_n_u16(high, 4))), vdupq_n_s16(32));
    }
    transpose8(s);
    for (int i = 0; i < 8; i++) scaled(out[i].s, d, s[i]);
}

INLINE float power(uint8_t e)                    /* 2^(e - 128), with denormals below */
{
    uint32_t u = e >= 2 ? (uint32_t)(e - 1) << 23 : e ? 0x400000 : 0x200000;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* A block of 32 values whose scale stands in its first bytes. */
INLINE void scale_of(const int type, scale *out, const uint8_t *const p[8], size_t at)
{
    if (type == WT_MXFP4) {
        float s[8];
        for (int r = 0; r < 8; r++) s[r] = power(p[r][at]);
        out->s[0] = vld1q_f32(s);
        out->s[1] = vld1q_f32(s + 4);
    } else halves(out->s, p, at);
    if (!has_min(type)) return;
    halves(out->m, p, at + 2);
    for (int g = 0; g < 2; g++) out->m[g] = vnegq_f32(out->m[g]);            /* the format adds */
}

/* Scales of blocks [b, b + n), n <= 8; b is a multiple of 8. */
INLINE void scales_of(const int type, scale out[8], const uint8_t *const row[8], size_t b, size_t n)
{
    const uint8_t *p[8], *packed[8];
    for (int r = 0; r < 8; r++) p[r] = row[r] + (super(type) ? b / 8 : b) * unit(type);
    if (type == WT_Q4_K || type == WT_Q5_K) {
        float32x4_t d[2], dmin[2];
        halves(d, p, 0);
        halves(dmin, p, 2);
        for (int r = 0; r < 8; r++) packed[r] = p[r] + 4;
        scales_k45(out, d, dmin, packed);
    } else if (in_pairs(type)) scales_paired(type, out, p);
    else if (type == WT_IQ4_XS) scales_iq4_xs(out, p);
    else
        for (size_t i = 0; i < n; i++) scale_of(type, out + i, p, i * unit(type));
}

/* ---- one block --------------------------------------------------------------------------------------------------------- */

/* The integer sums of a block: rows 0 .. 3 and 4 .. 7. In formats with pairs of scales, those of its halves apart. */
typedef struct sums { int32x4_t first[2], second[2]; } sums;

INLINE int32x4_t widen(int16x8_t v, const int g) { return g ? vmovl_high_s16(v) : vmovl_s16(vget_low_s16(v)); }
INLINE int16x8_t low_bytes(int16x8_t v) { return vshrq_n_s16(vshlq_n_s16(v, 8), 8); }

/* What a block of a token adds to eight rows. */
INLINE void finish(const int type, float32x4_t acc[2], const sums *sum, const scale *w, const wt_q8 *x)
{
#pragma GCC unroll 2
    for (int g = 0; g < 2; g++) {
        int32x4_t all = sum->first[g];
        if (in_pairs(type)) all = vmlaq_s32(vmulq_s32(all, widen(low_bytes(w->pair), g)), sum->second[g], widen(vshrq_n_s16(w->pair, 8), g));
        acc[g] = vfmaq_f32(acc[g], vcvtq_f32_s32(all), vmulq_n_f32(w->s[g], x->d));
        if (has_min(type)) acc[g] = vfmsq_f32(acc[g], w->m[g], vdupq_n_f32(x->ds));
        if (type == WT_Q2_K) {
            int32x4_t min = vmlaq_n_s32(vmulq_n_s32(widen(low_bytes(w->mins), g), x->half[0]), widen(vshrq_n_s16(w->mins, 8), g), x->half[1]);
            acc[g] = vfmsq_f32(acc[g], vcvtq_f32_s32(min), vmulq_n_f32(w->m[g], x->d));
        }
    }
}

INLINE void store(float *y, const float32x4_t acc[2], size_t n)
{
    float v[8];
    float *to = n == 8 ? y : v;
    vst1q_f32(to, acc[0]);
    vst1q_f32(to + 4, acc[1]);
    for (size_t i = 0; n < 8 && i < n; i++) y[i] = v[i];
}

/* ---- direct ------------------------------------------------------------------------------------------------------------ */

INLINE int32x4_t fold(const int32x4_t v[4]) { return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3])); }

INLINE void direct(const int type, float *y, const uint8_t *const row[8], size_t n_row, const wt_q8 *x, size_t n_block)
{
    scale s[8];
    float32x4_t acc[2] = { vdupq_n_f32(0), vdupq_n_f32(0) };
    const int32x4_t zero = vdupq_n_s32(0);
    for (size_t b = 0; b < n_block; b++, x++) {
        if (b % 8 == 0) scales_of(type, s, row, b, n_block - b < 8 ? n_block - b : 8);
        int8x16_t xa = vld1q_s8(x->q), xb = vld1q_s8(x->q + 16);
        int32x4_t first[8], second[8];
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            values w = values_of(type, row[r], b);
            first[r] = dot_fours(zero, w.a, xa);
            if (in_pairs(type)) second[r] = dot_fours(zero, w.b, xb);
            else first[r] = dot_fours(first[r], w.b, xb);
        }
        sums sum = { .first = { fold(first), fold(first + 4) } };
        if (in_pairs(type)) { sum.second[0] = fold(second); sum.second[1] = fold(second + 4); }
        finish(type, acc, &sum, s + b % 8, x);
    }
    store(y, acc, n_row);
}

/* ---- tiled ------------------------------------------------------------------------------------------------------------- */

typedef struct block8 { int8x16_t w[8][2]; scale s; } block8;   /* w[j]: bytes 4j .. 4j + 3 of each row */

_Static_assert(sizeof(block8) <= WT_QMUL_SCRATCH, "scratch of a block");

/* Sixteen bytes of four rows: afterwards v[j] has bytes 4j .. 4j + 3 of each. */
INLINE void transpose4(int8x16_t v[4])
{
    int64x2_t a[4];
    for (int i = 0; i < 2; i++) {
        int32x4_t p = vreinterpretq_s32_s8(v[2 * i]), q = vreinterpretq_s32_s8(v[2 * i + 1]);
        a[2 * i] = vreinterpretq_s64_s32(vtrn1q_s32(p, q));
        a[2 * i + 1] = vreinterpretq_s64_s32(vtrn2q_s32(p, q));
    }
    for (int i = 0; i < 2; i++) {
        v[i] = vreinterpretq_s8_s64(vtrn1q_s64(a[i], a[i + 2]));
        v[i + 2] = vreinterpretq_s8_s64(vtrn2q_s64(a[i], a[i + 2]));
    }
}

INLINE void interleave(const int type, block8 *out, const uint8_t *const row[8], size_t n_block)
{
    scale s[8];
    for (size_t b = 0; b < n_block; b++, out++) {
        if (b % 8 == 0) scales_of(type, s, row, b, n_block - b < 8 ? n_block - b : 8);
        out->s = s[b % 8];
#pragma GCC unroll 2
        for (int g = 0; g < 2; g++) {
            int8x16_t first[4], second[4];
            for (int r = 0; r < 4; r++) {
                values v = values_of(type, row[4 * g + r], b);
                first[r] = v.a;
                second[r] = v.b;
            }
            transpose4(first);
            transpose4(second);
            for (int j = 0; j < 4; j++) { out->w[j][g] = first[j]; out->w[j + 4][g] = second[j]; }
        }
    }
}

/* One block of eight rows with T tokens. */
INLINE void step(const int type, float32x4_t acc[4][2], const int8x16_t w[8][2], const scale *s, const wt_q8 *const x[4], size_t b, const int T)
{
    sums sum[4];
    int8x16_t xv[4][2];
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) {
        for (int g = 0; g < 2; g++) sum[t].first[g] = sum[t].second[g] = vdupq_n_s32(0);
        xv[t][0] = vld1q_s8(x[t][b].q);
        xv[t][1] = vld1q_s8(x[t][b].q + 16);
    }
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++)
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) {
            int32x4_t *to = in_pairs(type) && j >= 4 ? sum[t].second : sum[t].first;
            to[0] = dot_piece(to[0], w[j][0], xv[t][j / 4], j % 4);
            to[1] = dot_piece(to[1], w[j][1], xv[t][j / 4], j % 4);
        }
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) finish(type, acc[t], sum + t, s, x[t] + b);
}

INLINE void tile(const int type, float *const y[4], size_t n_row, const block8 *w, const wt_q8 *const x[4], size_t n_block, const int T)
{
    float32x4_t acc[4][2];
    for (int t = 0; t < T; t++) acc[t][0] = acc[t][1] = vdupq_n_f32(0);
    for (size_t b = 0; b < n_block; b++) step(type, acc, w[b].w, &w[b].s, x, b, T);
    for (int t = 0; t < T; t++) store(y[t], acc[t], n_row);
}

/* ---- interleaved on disk ------------------------------------------------------------------------------------------------ */

INLINE bytes bytes_of_group(const uint8_t *p, int j) { return load32(p + 32 * j); }

/* Block b of a group, as interleave() would make it. */
INLINE void fetch(const int type, const uint8_t *group, size_t b, int8x16_t w[8][2])
{
    const uint8_t *p = group + (type == WT_Q8_0 ? b * 272 + 16 : type == WT_Q4_0 ? b * 144 + 16 : b / 8 * 1152 + 128 + 256 * (b % 8 / 2));
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) {
        values v;
        if (type == WT_Q8_0) v = minus(bytes_of_group(p, j), 0);
        else if (type == WT_Q4_0) v = minus(bits_at(bytes_of_group(p, j % 4), 4 * (j / 4), 4, 0), 8);
        else v = minus(bits_at(bytes_of_group(p, j), 4 * (int)(b % 2), 4, 0), 0);
        w[j][0] = v.a;
        w[j][1] = v.b;
    }
}

INLINE void halves_of_group(float32x4_t out[2], const uint8_t *p) { from_halves(out, vreinterpretq_u16_u8(vld1q_u8(p))); }

/* Scales of blocks [b, b + n), n <= 8; b is a multiple of 8. */
INLINE void group_scales(const int type, scale out[8], const uint8_t *group, size_t b, size_t n)
{
    if (type == WT_Q4_K) {
        const uint8_t *p = group + b / 8 * 1152, *packed[8];
        float32x4_t d[2], dmin[2];
        halves_of_group(d, p);
        halves_of_group(dmin, p + 16);
        for (int r = 0; r < 8; r++) packed[r] = p + 32 + 12 * r;
        scales_k45(out, d, dmin, packed);
    } else
        for (size_t i = 0; i < n; i++) halves_of_group(out[i].s, group + (b + i) * (type == WT_Q4_0 ? 144 : 272));
}

/* Few tokens: blocks are used as they are fetched. */
INLINE void tile_group(const int type, float *const y[4], const uint8_t *group, const wt_q8 *const x[4], size_t n_block, const int T)
{
    scale s[8];
    float32x4_t acc[4][2];
    for (int t = 0; t < T; t++) acc[t][0] = acc[t][1] = vdupq_n_f32(0);
    for (size_t b = 0; b < n_block; b++) {
        int8x16_t w[8][2];
        if (b % 8 == 0) group_scales(type, s, group, b, n_block - b < 8 ? n_block - b : 8);
        fetch(type, group, b, w);
        step(type, acc, w, s + b % 8, x, b, T);
    }
    for (int t = 0; t < T; t++) store(y[t], acc[t], 8);
}

INLINE void unfold(const int type, block8 *out, const uint8_t *group, size_t n_block)
{
    scale s[8];
    for (size_t b = 0; b < n_block; b++, out++) {
        if (b % 8 == 0) group_scales(type, s, group, b, n_block - b < 8 ? n_block - b : 8);
        out->s = s[b % 8];
        fetch(type, group, b, out->w);
    }
}

/* ---- all rows, all tokens ---------------------------------------------------------------------------------------------- */

/* Eight rows with all tokens, four at a time: either the unpacked blocks w, or the group as it lies. */
INLINE void tiles(const int type, float *y, size_t ldy, size_t n_row, const block8 *w, const uint8_t *group, const wt_q8 *x, const int32_t *pick, size_t n_tok,
                  size_t n_block)
{
    for (size_t t = 0, n; t < n_tok; t += n) {
        const wt_q8 *xt[4];
        float *yt[4];
        n = n_tok - t < 4 ? 1 : 4;
        for (size_t k = 0; k < n; k++) {
            xt[k] = x + (pick ? (size_t)pick[t + k] : t + k) * n_block;
            yt[k] = y + (t + k) * ldy;
        }
        if (group && n == 4) tile_group(type, yt, group, xt, n_block, 4);
        else if (group) tile_group(type, yt, group, xt, n_block, 1);
        else if (n == 4) tile(type, yt, n_row, w, xt, n_block, 4);
        else tile(type, yt, n_row, w, xt, n_block, 1);
    }
}

enum { FEW = 3 };                /* up to so many tokens are computed directly */

INLINE void qmul(const int type, float *y, size_t ldy, const void *w, size_t row_bytes, size_t n_row, const wt_q8 *x, const int32_t *pick, size_t n_tok,
                 size_t n_block, void *scratch)
{
    for (size_t r0 = 0; r0 < n_row; r0 += 8) {
        const uint8_t *row[8];
        size_t n = n_row - r0 < 8 ? n_row - r0 : 8;
        for (size_t r = 0; r < 8; r++) row[r] = (const uint8_t *)w + (r0 + (r < n ? r : n - 1)) * row_bytes;   /* the last row stands in for rows that are not there */
        if (n_tok > FEW) {
            interleave(type, scratch, row, n_block);
            tiles(type, y + r0, ldy, n, scratch, NULL, x, pick, n_tok, n_block);
            continue;
        }
        for (size_t t = 0; t < n_tok; t++) direct(type, y + t * ldy + r0, row, n, x + (pick ? (size_t)pick[t] : t) * n_block, n_block);
    }
}

enum { MANY = 12 };              /* from so many tokens on a group is unpacked once for all of them */

/* n_row is a multiple of eight. */
INLINE void qmul_group(const int type, float *y, size_t ldy, const void *w, size_t row_bytes, size_t n_row, const wt_q8 *x, const int32_t *pick, size_t n_tok,
                       size_t n_block, void *scratch)
{
    for (size_t r0 = 0; r0 < n_row; r0 += 8) {
        const uint8_t *group = (const uint8_t *)w + r0 * row_bytes;
        if (n_tok >= MANY) unfold(type, scratch, group, n_block);
        tiles(type, y + r0, ldy, 8, scratch, n_tok >= MANY ? NULL : group, x, pick, n_tok, n_block);
    }
}

#define PARAMETERS float *y, size_t ldy, const void *w, size_t row_bytes, size_t n_row, const wt_q8 *x, const int32_t *pick, size_t n_tok, size_t n_block, \
                   void *scratch
#define EACH(X) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0) X(IQ4_NL) X(MXFP4) X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) X(Q6_K) X(IQ4_XS)
#define EACH_GROUP(X) X(Q4_0) X(Q8_0) X(Q4_K)
#define DEFINE(T) static void qmul_##T(PARAMETERS) { qmul(WT_##T, y, ldy, w, row_bytes, n_row, x, pick, n_tok, n_block, scratch); }
#define DEFINE_GROUP(T) static void qmul_##T##_x8(PARAMETERS) { qmul_group(WT_##T, y, ldy, w, row_bytes, n_row, x, pick, n_tok, n_block, scratch); }
EACH(DEFINE)
EACH_GROUP(DEFINE_GROUP)

/* ---- activations ------------------------------------------------------------------------------------------------------- */

INLINE int8x16_t round16(const float32x4_t v[4], float inv)
{
    int16x4_t q[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) q[i] = vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(v[i], inv)));
    return vcombine_s8(vqmovn_s16(vcombine_s16(q[0], q[1])), vqmovn_s16(vcombine_s16(q[2], q[3])));
}

static void quantize(wt_q8 *dst, const float *x, size_t n_block)
{
    for (size_t b = 0; b < n_block; b++, x += 32, dst++) {
        float32x4_t v[8], top = vdupq_n_f32(0);
        uint32x4_t finite = vdupq_n_u32(~0u);
        for (int i = 0; i < 8; i++) {
            v[i] = vld1q_f32(x + 4 * i);
            top = vmaxnmq_f32(top, vabsq_f32(v[i]));
            finite = vandq_u32(finite, vcaltq_f32(v[i], vdupq_n_f32(__builtin_inff())));
        }
        bool bad = vminvq_u32(finite) == 0;
        float most = vmaxnmvq_f32(top), d = bad ? __builtin_nanf("") : most / 127.0f, inv = bad || !(most > 0) ? 0 : 127.0f / most;
        if (!(inv < __builtin_inff())) { inv = 0; d = 0; }                    /* smaller than any product could show */
        for (int i = 0; bad && i < 8; i++) v[i] = vdupq_n_f32(0);
        int8x16_t q[2] = { round16(v, inv), round16(v + 4, inv) };
        for (int k = 0; k < 2; k++) {
            vst1q_s8(dst->q + 16 * k, q[k]);
            dst->half[k] = vaddlvq_s8(q[k]);
        }
        dst->sum = dst->half[0] + dst->half[1];
        dst->d = d;
        dst->ds = d * (float)dst->sum;
    }
}

#ifdef __ARM_FEATURE_DOTPROD
void wt_kernels_neon_dot_q(wt_kernels *k)
#else
void wt_kernels_neon_q(wt_kernels *k)
#endif
{
    k->quantize = quantize;
#define FILL(T) k->qmul[WT_##T] = qmul_##T;
#define FILL_GROUP(T) k->qmul[WT_##T##_X8] = qmul_##T##_x8;
    EACH(FILL)
    EACH_GROUP(FILL_GROUP)
}
