/* What this machine can do at most with AVX-512: as peak_avx2.c. Reading is not faster than there. */
#include "kernel/kernel.h"

#include <immintrin.h>

#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define KEEP(i) __asm__ volatile("" : "+v"(a##i));   /* else the compiler sees that all are equal, and keeps one */

static double peak_f32(size_t rounds)
{
#define ONE(i) __m512 a##i = _mm512_set1_ps(1);
#define FMA(i) a##i = _mm512_fmadd_ps(a##i, x, y); KEEP(i)
    __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
    TWELVE(ONE)
    for (size_t i = 0; i < rounds; i++) { TWELVE(FMA) }
    return (double)rounds * 12 * 16 * 2;
}

#define ZERO(i) __m512i a##i = _mm512_setzero_si512();

/* As in peak_avx2.c. */
static double peak_i8(size_t rounds)
{
#define DOT(i) { __m512i v = _mm512_maddubs_epi16(x, y); __asm__ volatile("" : "+v"(v)); a##i = _mm512_add_epi32(a##i, _mm512_madd_epi16(v, one)); KEEP(i) }
    __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(5), one = _mm512_set1_epi16(1);
    TWELVE(ZERO)
    for (size_t i = 0; i < rounds; i++) { TWELVE(DOT) }
    return (double)rounds * 12 * 64 * 2;
#undef DOT
}

__attribute__((target("avx512vnni"))) static double peak_vnni(size_t rounds)
{
#define DOT(i) a##i = _mm512_dpbusd_epi32(a##i, x, y); KEEP(i)
    __m512i x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(5);
    TWELVE(ZERO)
    for (size_t i = 0; i < rounds; i++) { TWELVE(DOT) }
    return (double)rounds * 12 * 64 * 2;
}

#undef ZERO
#undef DOT

__attribute__((target("avx512bf16"))) static double peak_bf16(size_t rounds)
{
#define ZERO(i) __m512 a##i = _mm512_setzero_ps();
#define DOT(i) a##i = _mm512_dpbf16_ps(a##i, x, y); KEEP(i)
    __m512bh x = (__m512bh)_mm512_set1_epi16(0x3f80), y = (__m512bh)_mm512_set1_epi16(0x3c00);     /* 1 and 2^-7 */
    TWELVE(ZERO)
    ZERO(12) ZERO(13) ZERO(14) ZERO(15)              /* these take longer than FMA */
    for (size_t i = 0; i < rounds; i++) { TWELVE(DOT) DOT(12) DOT(13) DOT(14) DOT(15) }
    return (double)rounds * 16 * 32 * 2;
}

void wt_peaks_avx512(wt_kernels *k)
{
    k->peak_f32 = peak_f32;
    k->peak_i8 = peak_i8;
}

void wt_peaks_vnni(wt_kernels *k) { k->peak_i8 = peak_vnni; }
void wt_peaks_bf16(wt_kernels *k) { k->peak_bf16 = peak_bf16; }
