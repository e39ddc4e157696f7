/* What this machine can do at most with NEON: loops that do nothing but read, multiply floats, or multiply bytes. For measuring only.
 * Compiled twice, with the dot product extension and without, as neon_q.c. */
#include "kernel/kernel.h"

#include <arm_neon.h>

/* Sixteen registers at once, so that no addition waits for another. */
#define SIXTEEN(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define KEEP(i) __asm__ volatile("" : "+w"(a##i));   /* else the compiler sees that all are equal, and keeps one */

static uint64_t peak_read(const void *p, size_t n)
{
    const uint8_t *at = p, *end = at + n / 256 * 256;
#define ZERO(i) uint64x2_t a##i = vdupq_n_u64(0);
#define READ(i) a##i = veorq_u64(a##i, vreinterpretq_u64_u8(vld1q_u8(at + 16 * i)));
#define ADD(i) all = veorq_u64(all, a##i);
    uint64x2_t all = vdupq_n_u64(0);
    SIXTEEN(ZERO)
    for (; at < end; at += 256) { SIXTEEN(READ) }
    SIXTEEN(ADD)
    return vgetq_lane_u64(all, 0) ^ vgetq_lane_u64(all, 1);
#undef ZERO
}

static double peak_f32(size_t rounds)
{
#define ZERO(i) float32x4_t a##i = vdupq_n_f32(1);
#define FMA(i) a##i = vfmaq_f32(a##i, x, y); KEEP(i)
    float32x4_t x = vdupq_n_f32(0.999f), y = vdupq_n_f32(0.001f);
    SIXTEEN(ZERO)
    for (size_t i = 0; i < rounds; i++) { SIXTEEN(FMA) }
    return (double)rounds * 16 * 4 * 2;
#undef ZERO
}

/* A product of 16 bytes with 16 bytes, added in fours. Operands pass through registers each time, as weights and activations would. */
static inline __attribute__((always_inline)) int32x4_t product(int32x4_t acc, int8x16_t x, int8x16_t y)
{
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_s32(acc, x, y);
#else
    return vpadalq_s16(vpadalq_s16(acc, vmull_s8(vget_low_s8(x), vget_low_s8(y))), vmull_high_s8(x, y));
#endif
}

static double peak_i8(size_t rounds)
{
#define ZERO(i) int32x4_t a##i = vdupq_n_s32(0);
#define DOT(i) __asm__ volatile("" : "+w"(x)); a##i = product(a##i, x, y); KEEP(i)
    int8x16_t x = vdupq_n_s8(3), y = vdupq_n_s8(5);
    SIXTEEN(ZERO)
    for (size_t i = 0; i < rounds; i++) { SIXTEEN(DOT) }
    return (double)rounds * 16 * 16 * 2;
#undef ZERO
}

#ifdef __ARM_FEATURE_DOTPROD
void wt_peaks_neon_dot(wt_kernels *k)
#else
void wt_peaks_neon(wt_kernels *k)
#endif
{
    k->peak_read = peak_read;
    k->peak_f32 = peak_f32;
    k->peak_i8 = peak_i8;
}
