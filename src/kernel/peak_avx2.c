/* What this machine can do at most with AVX2: loops that do nothing but read, multiply floats, or multiply bytes. For measuring only. */
#include "kernel/kernel.h"

#include <immintrin.h>

/* Eight registers at once, so that no addition waits for another. */
#define EIGHT(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define KEEP(i) __asm__ volatile("" : "+x"(a##i));   /* else the compiler sees that all are equal, and keeps one */

static uint64_t peak_read(const void *p, size_t n)
{
    const uint8_t *at = p, *end = at + n / 256 * 256;
#define ZERO(i) __m256i a##i = _mm256_setzero_si256();
#define READ(i) a##i = _mm256_xor_si256(a##i, _mm256_loadu_si256((const __m256i *)(at + 32 * i)));
    EIGHT(ZERO)
    for (; at < end; at += 256) { EIGHT(READ) }
    a0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_xor_si256(a0, a1), _mm256_xor_si256(a2, a3)),
                          _mm256_xor_si256(_mm256_xor_si256(a4, a5), _mm256_xor_si256(a6, a7)));
    return (uint64_t)_mm256_extract_epi64(a0, 0) ^ (uint64_t)_mm256_extract_epi64(a0, 1) ^ (uint64_t)_mm256_extract_epi64(a0, 2) ^ (uint64_t)_mm256_extract_epi64(a0, 3);
#undef ZERO
}

static double peak_f32(size_t rounds)
{
#define ZERO(i) __m256 a##i = _mm256_set1_ps(1);
#define FMA(i) a##i = _mm256_fmadd_ps(a##i, x, y); KEEP(i)
    __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
    EIGHT(ZERO)
    __m256 a8 = x, a9 = y;
    for (size_t i = 0; i < rounds; i++) { EIGHT(FMA) FMA(8) FMA(9) }
    return (double)rounds * 10 * 8 * 2;
#undef ZERO
}

/* A product of 32 bytes with 32 bytes: pairs to 16 bits, pairs to 32 bits, added. Both operands pass through registers each time, as
 * weights and activations would. */
static double peak_i8(size_t rounds)
{
#define ZERO(i) __m256i a##i = _mm256_setzero_si256();
#define DOT(i) { __m256i v = _mm256_maddubs_epi16(x, y); __asm__ volatile("" : "+x"(v)); a##i = _mm256_add_epi32(a##i, _mm256_madd_epi16(v, one)); KEEP(i) }
    __m256i x = _mm256_set1_epi8(3), y = _mm256_set1_epi8(5), one = _mm256_set1_epi16(1);
    EIGHT(ZERO)
    for (size_t i = 0; i < rounds; i++) { EIGHT(DOT) }
    return (double)rounds * 8 * 32 * 2;
#undef ZERO
}

void wt_peaks_avx2(wt_kernels *k)
{
    k->peak_read = peak_read;
    k->peak_f32 = peak_f32;
    k->peak_i8 = peak_i8;
}
