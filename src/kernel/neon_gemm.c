/* The neon tier: products of matrices of floats. The body is gemm.h. */
#include "kernel/kernel.h"

#include <arm_neon.h>
#include <string.h>

enum { N_LANE = 4, MOST_ROWS = 12, PAIR = 1 };
#define LANES 1
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

#define F static inline __attribute__((always_inline))

typedef float32x4_t vf, vw;

F vf f_zero(void) { return vdupq_n_f32(0); }
F vf f_load(const float *p) { return vld1q_f32(p); }
F void f_store(float *p, vf v) { vst1q_f32(p, v); }
F vf f_add(vf a, vf b) { return vaddq_f32(a, b); }

F vf f_load_n(const float *p, size_t n)
{
    float v[4] = { 0 };
    for (size_t i = 0; i < n; i++) v[i] = p[i];
    return vld1q_f32(v);
}

F void f_store_n(float *p, vf v, size_t n)
{
    float t[4];
    vst1q_f32(t, v);
    for (size_t i = 0; i < n; i++) p[i] = t[i];
}

F vw w_load(const uint32_t *p) { return vreinterpretq_f32_u32(vld1q_u32(p)); }
F void w_store(uint32_t *p, vw v) { vst1q_u32(p, vreinterpretq_u32_f32(v)); }
F vw w_set(uint32_t x) { return vreinterpretq_f32_u32(vdupq_n_u32(x)); }

F vf w_fma_lane(vw a, const int lane, vw b, vf sum)
{
    switch (lane) {
    case 0: return vfmaq_laneq_f32(sum, b, a, 0);
    case 1: return vfmaq_laneq_f32(sum, b, a, 1);
    case 2: return vfmaq_laneq_f32(sum, b, a, 2);
    default: return vfmaq_laneq_f32(sum, b, a, 3);
    }
}

F vw w_along(const float *p, size_t n) { return n < 4 ? f_load_n(p, n) : f_load(p); }
F vw w_across(const float *p, size_t ld, size_t n, size_t k) { (void)ld; (void)k; return n < 4 ? f_load_n(p, n) : f_load(p); }

F vf halves(float32x2_t low, float32x2_t high) { return vcombine_f32(low, high); }

F void w_flip(vw v[4])
{
    float32x4x2_t a = vtrnq_f32(v[0], v[1]), b = vtrnq_f32(v[2], v[3]);      /* 00 10 02 12, 01 11 03 13; 20 30 .. */
    v[0] = halves(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    v[1] = halves(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    v[2] = halves(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    v[3] = halves(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

#include "kernel/gemm.h"

void wt_kernels_neon_gemm(wt_kernels *k) { k->gemm = gemm; }
