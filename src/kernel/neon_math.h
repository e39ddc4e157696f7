/* What several files of the neon tier use: vectors that are partly there, and the exponential. Static and inlined, so that nothing compiled with a
 * tier's flags can be linked into another. */
#include <arm_neon.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

INLINE float32x4_t load_some(const float *p, size_t n, float rest)     /* n in 0..3 */
{
    float v[4] = { rest, rest, rest, rest };
    for (size_t i = 0; i < n; i++) v[i] = p[i];
    return vld1q_f32(v);
}

INLINE void store_some(float *p, float32x4_t v, size_t n)
{
    float w[4];
    vst1q_f32(w, v);
    for (size_t i = 0; i < n; i++) p[i] = w[i];
}

/* exp(x): x = k ln 2 + r with |r| <= ln 2 / 2, exp(r) by its Taylor polynomial to degree 7 (remainder below 4e-9 relative),
 * times 2^k in two steps so that denormal results are reached. -inf gives 0, NaN stays NaN. */
INLINE float32x4_t exp4(float32x4_t x)
{
    const float32x4_t lo = vdupq_n_f32(-104.0f), hi = vdupq_n_f32(88.8f);
    float32x4_t keep = x;
    x = vminq_f32(vmaxq_f32(x, lo), hi);
    float32x4_t k = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
    float32x4_t r = vfmsq_f32(x, k, vdupq_n_f32(0.693359375f));
    r = vfmsq_f32(r, k, vdupq_n_f32(-2.12194440e-4f));
    float32x4_t p = vdupq_n_f32(1.0f / 5040);
    const float c[7] = { 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1 };
#pragma GCC unroll 7
    for (int i = 0; i < 7; i++) p = vfmaq_f32(vdupq_n_f32(c[i]), p, r);
    int32x4_t e = vcvtq_s32_f32(k), half = vshrq_n_s32(e, 1), bias = vdupq_n_s32(127);
    float32x4_t s1 = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
    float32x4_t s2 = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vsubq_s32(e, half), bias), 23));
    float32x4_t y = vmulq_f32(vmulq_f32(p, s1), s2);
    y = vbslq_f32(vcltq_f32(keep, lo), vdupq_n_f32(0), y);
    y = vbslq_f32(vcgtq_f32(keep, hi), vdupq_n_f32(INFINITY), y);
    return vbslq_f32(vceqq_f32(keep, keep), y, keep);
}
