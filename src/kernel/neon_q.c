/* Products of weights in blocks with activations as bytes, NEON: eight rows in the lanes of two vectors, up to four tokens at once. The body is
 * rows_q.h. Compiled twice, with the dot product extension (ARMv8.2, nearly every CPU since 2018) and without. */
#include "kernel/kernel.h"

#include <arm_neon.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { N_LANE = 8, MOST_ROWS = 1, MOST_TOK = 4, SIGNED_BITS = 0 };

typedef struct vi { int32x4_t a, b; } vi;        /* rows 0 .. 3, 4 .. 7 */
typedef struct vf { float32x4_t a, b; } vf;
typedef vi vp;

/* ---- vectors ----------------------------------------------------------------------------------------------------------- */

INLINE vi v_set(int32_t x) { return (vi){ vdupq_n_s32(x), vdupq_n_s32(x) }; }
INLINE vi v_and(vi x, vi y) { return (vi){ vandq_s32(x.a, y.a), vandq_s32(x.b, y.b) }; }
INLINE vi v_or(vi x, vi y) { return (vi){ vorrq_s32(x.a, y.a), vorrq_s32(x.b, y.b) }; }
INLINE vi v_xor(vi x, vi y) { return (vi){ veorq_s32(x.a, y.a), veorq_s32(x.b, y.b) }; }
INLINE vi v_sub(vi x, vi y) { return (vi){ vsubq_s32(x.a, y.a), vsubq_s32(x.b, y.b) }; }
INLINE vi v_mul(vi x, vi y) { return (vi){ vmulq_s32(x.a, y.a), vmulq_s32(x.b, y.b) }; }
INLINE vi v_mul_add(vi x, vi y, vi z) { return (vi){ vmlaq_s32(z.a, x.a, y.a), vmlaq_s32(z.b, x.b, y.b) }; }
/* Shifts by what is a constant once this is compiled: not the intrinsics, which want one before. */
INLINE vi v_shl(vi x, int n) { int32x4_t k = vdupq_n_s32(n); return (vi){ x.a << k, x.b << k }; }
INLINE vi v_sar(vi x, int n) { int32x4_t k = vdupq_n_s32(n); return (vi){ x.a >> k, x.b >> k }; }
INLINE int32x4_t shr(int32x4_t x, int n) { return vreinterpretq_s32_u32(vreinterpretq_u32_s32(x) >> vdupq_n_u32((uint32_t)n)); }
INLINE vi v_shr(vi x, int n) { return (vi){ shr(x.a, n), shr(x.b, n) }; }
INLINE vf v_to_float(vi x) { return (vf){ vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b) }; }
INLINE vp p_scale(vi x) { return x; }
INLINE vf f_set(float x) { return (vf){ vdupq_n_f32(x), vdupq_n_f32(x) }; }
INLINE vf f_sub(vf x, vf y) { return (vf){ vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b) }; }
INLINE vf f_mul(vf x, vf y) { return (vf){ vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b) }; }
INLINE vf f_fma(vf x, vf y, vf z) { return (vf){ vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b) }; }
INLINE vf f_fnma(vf x, vf y, vf z) { return (vf){ vfmsq_f32(z.a, x.a, y.a), vfmsq_f32(z.b, x.b, y.b) }; }
INLINE float32x4_t from_halves(uint16x4_t h) { return vcvt_f32_f16(vreinterpret_f16_u16(h)); }
INLINE float32x4_t low_half(int32x4_t x) { return from_halves(vmovn_u32(vreinterpretq_u32_s32(x))); }
INLINE vf f_low_half(vi x) { return (vf){ low_half(x.a), low_half(x.b) }; }
INLINE vf f_high_half(vi x) { return f_low_half(v_shr(x, 16)); }

INLINE vi v_byte_table(vi i, const int8_t table[16])
{
    int8x16_t t = vld1q_s8(table);
    return (vi){ vreinterpretq_s32_s8(vqtbl1q_s8(t, vreinterpretq_u8_s32(i.a))), vreinterpretq_s32_s8(vqtbl1q_s8(t, vreinterpretq_u8_s32(i.b))) };
}

/* 2^(e - 128), denormals below. */
INLINE float32x4_t power(int32x4_t e)
{
    int32x4_t usual = vshlq_n_s32(vsubq_s32(e, vdupq_n_s32(1)), 23), small = vshlq_s32(vdupq_n_s32(0x200000), e);
    return vreinterpretq_f32_s32(vbslq_s32(vcltq_s32(e, vdupq_n_s32(2)), small, usual));
}

INLINE vf f_power(vi e) { return (vf){ power(e.a), power(e.b) }; }

INLINE void row_store(float *y, vf v, size_t n)
{
    float some[8];
    float *to = n >= 8 ? y : some;
    vst1q_f32(to, v.a);
    vst1q_f32(to + 4, v.b);
    for (size_t i = 0; n < 8 && i < n; i++) y[i] = some[i];
}

INLINE vf row_load(const float *y, size_t n)
{
    float some[8] = { 0 };
    for (size_t i = 0; n < 8 && i < n; i++) some[i] = y[i];
    if (n < 8) y = some;
    return (vf){ vld1q_f32(y), vld1q_f32(y + 4) };
}

/* ---- rows -------------------------------------------------------------------------------------------------------------- */

typedef struct rows { const uint8_t *p; size_t stride; } rows;

INLINE int32x4_t load16(const uint8_t *p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
INLINE vi load32(const uint8_t *p) { return (vi){ load16(p), load16(p + 16) }; }

INLINE int32x4_t low_pair(int32x4_t x, int32x4_t y) { return vreinterpretq_s32_s64(vtrn1q_s64(vreinterpretq_s64_s32(x), vreinterpretq_s64_s32(y))); }
INLINE int32x4_t high_pair(int32x4_t x, int32x4_t y) { return vreinterpretq_s32_s64(vtrn2q_s64(vreinterpretq_s64_s32(x), vreinterpretq_s64_s32(y))); }

/* 16 bytes of four rows: out[j] gets bytes 4j .. 4j + 3 of each. */
INLINE void take4(const uint8_t *p, size_t stride, int32x4_t out[4])
{
    int32x4_t a = load16(p), b = load16(p + stride), c = load16(p + 2 * stride), d = load16(p + 3 * stride);
    int32x4_t e = vtrn1q_s32(a, b), f = vtrn2q_s32(a, b), g = vtrn1q_s32(c, d), h = vtrn2q_s32(c, d);
    out[0] = low_pair(e, g);
    out[1] = low_pair(f, h);
    out[2] = high_pair(e, g);
    out[3] = high_pair(f, h);
}

INLINE void take(const bool x8, rows r, size_t at, vi out[4])
{
    int32x4_t a[4], b[4];
    if (!x8) {
        take4(r.p + at, r.stride, a);
        take4(r.p + 4 * r.stride + at, r.stride, b);
    }
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) out[j] = x8 ? load32(r.p + 8 * (at + 4 * j)) : (vi){ a[j], b[j] };
}

/* `bytes` bytes of each row, side by side as interleaved rows have them. */
INLINE const uint8_t *gather(const bool x8, rows r, size_t at, const size_t bytes, uint8_t *room)
{
    if (x8) return r.p + 8 * at;
    for (size_t i = 0; i < 8; i++) memcpy(room + i * bytes, r.p + i * r.stride + at, bytes);
    return room;
}

INLINE vi word(const bool x8, rows r, size_t at)
{
    uint8_t room[32];
    return load32(gather(x8, r, at, 4, room));
}

INLINE vf half_of(const bool x8, rows r, size_t at)
{
    uint8_t room[16];
    uint16x8_t h = vreinterpretq_u16_u8(vld1q_u8(gather(x8, r, at, 2, room)));
    return (vf){ from_halves(vget_low_u16(h)), from_halves(vget_high_u16(h)) };
}

INLINE vi byte_of(const bool x8, rows r, size_t at)
{
    uint8_t room[8];
    uint16x8_t v = vmovl_u8(vld1_u8(gather(x8, r, at, 1, room)));
    return (vi){ vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(v))), vreinterpretq_s32_u32(vmovl_high_u16(v)) };
}

/* Part i of eight of `bytes` bytes of the rows that stand `ahead` behind these. */
INLINE void ask_for(const bool x8, const bool soon, rows r, size_t at, size_t bytes, size_t ahead, size_t i)
{
    const uintptr_t p = (uintptr_t)r.p + ahead + (x8 ? 8 * at + i * bytes : i * r.stride + at);
    for (size_t k = 0; k < bytes; k += 64)
        if (soon) __builtin_prefetch((const void *)(p + k), 0, 0);
        else __builtin_prefetch((const void *)(p + k), 0, 2);
}

#include "kernel/rows_q.h"

/* ---- products ---------------------------------------------------------------------------------------------------------- */

/* Lane i: acc + the products of bytes 4i .. 4i + 3 of w with bytes 4j .. 4j + 3 of x. */
#ifdef __ARM_FEATURE_DOTPROD
INLINE int32x4_t dot4(int32x4_t acc, int32x4_t w_, int8x16_t x, const int j)
{
    int8x16_t w = vreinterpretq_s8_s32(w_);
    switch (j) {                                 /* the instruction wants a constant */
    case 0: return vdotq_laneq_s32(acc, w, x, 0);
    case 1: return vdotq_laneq_s32(acc, w, x, 1);
    case 2: return vdotq_laneq_s32(acc, w, x, 2);
    default: return vdotq_laneq_s32(acc, w, x, 3);
    }
}
#else
/* Two products fit into 16 bits: bytes of weights are at least -128, those of activations at least -127. */
INLINE int32x4_t dot4(int32x4_t acc, int32x4_t w_, int8x16_t x_, const int j)
{
    int32x4_t v = vreinterpretq_s32_s8(x_);
    v = j == 0 ? vdupq_laneq_s32(v, 0) : j == 1 ? vdupq_laneq_s32(v, 1) : j == 2 ? vdupq_laneq_s32(v, 2) : vdupq_laneq_s32(v, 3);
    int8x16_t w = vreinterpretq_s8_s32(w_), x = vreinterpretq_s8_s32(v);
    return vpadalq_s16(acc, vpaddq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)), vmull_high_s8(w, x)));
}
#endif

INLINE void dot_bytes(const int type, vf out[MOST_ROWS][MOST_TOK], const part *w, const tokens *x, const int R, const int T)
{
    (void)R;
    const int bits = offset_bits(type);
    vi sum[MOST_TOK];
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++)                          /* sixteen values each */
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) {
            const wt_q8 *xt = token(x, t);
            int8x16_t q = vld1q_s8(xt->q + 16 * h);
            vi s = in_pairs(type) ? v_set(bits ? xt->nhalf[h] * (1 << bits) : 0) : h ? sum[t] : v_set(bits ? xt->nsum * (1 << bits) : 0);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) {
                s.a = dot4(s.a, w->w[4 * h + j].a, q, j);
                s.b = dot4(s.b, w->w[4 * h + j].b, q, j);
            }
            if (!in_pairs(type)) sum[t] = s;
            else sum[t] = h ? v_mul_add(s, w->scale[1], sum[t]) : v_mul(s, w->scale[0]);
        }
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) out[0][t] = v_to_float(sum[t]);
}

INLINE vf dot_mins(const part *w, const wt_q8 *x)
{
    return v_to_float(v_mul_add(w->min[1], v_set(x->nhalf[1]), v_mul(w->min[0], v_set(x->nhalf[0]))));
}

EACH_LIKE(DEFINE_TILES)
EACH(DEFINE)

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
#pragma GCC unroll 8
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
            dst->nhalf[k] = (int16_t)-vaddlvq_s8(q[k]);
        }
        dst->nsum = dst->nhalf[0] + dst->nhalf[1];
        dst->d = d;
        dst->ds = d * (float)-dst->nsum;
    }
}

#ifdef __ARM_FEATURE_DOTPROD
void wt_kernels_neon_dot_q(wt_kernels *k)
#else
void wt_kernels_neon_q(wt_kernels *k)
#endif
{
    k->quantize = quantize;
    EACH(FILL)
}
