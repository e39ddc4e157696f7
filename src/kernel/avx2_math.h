/* What several files of the avx2 tier use: the first lanes, sums of lanes, the exponential. Static and inlined, so that nothing compiled with the
 * tier's flags can be linked into another. */
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

INLINE __m256i first(size_t n)                   /* the first n lanes, all from 8 on */
{
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i *)(ones + 8 - (n < 8 ? n : 8)));
}

INLINE float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));   /* 0+4 1+5 2+6 3+7 */
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));                                          /* (0+4)+(2+6) (1+5)+(3+7) */
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

/* exp(x) for x in [-105, 88.8]: x = k ln 2 + r with |r| <= ln 2 / 2, exp(r) by its Taylor polynomial to degree 7 (remainder below 4e-9
 * relative), times 2^k in two steps so that denormal results are reached. */
INLINE __m256 exp8_within(__m256 x)
{
    __m256 k = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(k, _mm256_set1_ps(0.693359375f), x);
    r = _mm256_fnmadd_ps(k, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.0f / 5040);
    const float c[7] = { 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1 };
#pragma GCC unroll 7
    for (int i = 0; i < 7; i++) p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(c[i]));
    __m256i e = _mm256_cvtps_epi32(k), half = _mm256_srai_epi32(e, 1), bias = _mm256_set1_epi32(127);
    __m256 s1 = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
    __m256 s2 = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(e, half), bias), 23));
    return _mm256_mul_ps(_mm256_mul_ps(p, s1), s2);
}

/* exp(x): -inf gives 0, NaN stays NaN. */
INLINE __m256 exp8(__m256 x)
{
    const __m256 lo = _mm256_set1_ps(-104.0f), hi = _mm256_set1_ps(88.8f);
    __m256 y = exp8_within(_mm256_min_ps(_mm256_max_ps(x, lo), hi));
    y = _mm256_andnot_ps(_mm256_cmp_ps(x, lo, _CMP_LT_OQ), y);
    y = _mm256_blendv_ps(y, _mm256_set1_ps(INFINITY), _mm256_cmp_ps(x, hi, _CMP_GT_OQ));
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

/* exp(x) for x <= 0, likewise; below -105 the result is 0. */
INLINE __m256 exp8_down(__m256 x)
{
    x = _mm256_max_ps(_mm256_set1_ps(-105.0f), x);            /* in this order NaN passes */
    return _mm256_blendv_ps(exp8_within(x), x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}
