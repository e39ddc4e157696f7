/* The avx2 tier: element-wise steps of training. See ref_train.c; compiled with its own flags, static functions only. */
#include "kernel/kernel.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

INLINE __m256i first(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < 8 ? (int)n : 8), lane);
}

/* exp(x) as in avx2.c, kept within what a float can hold on either side: 1 / (1 + exp) needs no more. NaN stays NaN. */
INLINE __m256 exp8(__m256 x)
{
    x = _mm256_min_ps(_mm256_set1_ps(88.0f), _mm256_max_ps(_mm256_set1_ps(-105.0f), x));      /* in this order NaN passes */
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
    __m256 y = _mm256_mul_ps(_mm256_mul_ps(p, s1), s2);
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

INLINE float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

static float silu_mul_back(float *dg, float *du, float *h, const float *g, const float *u, const float *dh, float w, size_t n)
{
    const __m256 one = _mm256_set1_ps(1), weight = _mm256_set1_ps(w);
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += 8) {
        __m256i m = first(n - i);
        __m256 gv = _mm256_maskload_ps(g + i, m), uv = _mm256_maskload_ps(u + i, m), d = _mm256_maskload_ps(dh + i, m);
        __m256 s = _mm256_div_ps(one, _mm256_add_ps(one, exp8(_mm256_sub_ps(_mm256_setzero_ps(), gv))));
        __m256 a = _mm256_mul_ps(gv, s), hv = _mm256_mul_ps(a, uv), dw = _mm256_mul_ps(weight, d);
        sum = _mm256_fmadd_ps(hv, d, sum);               /* lanes behind the end are zero */
        _mm256_maskstore_ps(dg + i, m, _mm256_mul_ps(_mm256_mul_ps(dw, uv), _mm256_fmadd_ps(a, _mm256_sub_ps(one, s), s)));
        _mm256_maskstore_ps(du + i, m, _mm256_mul_ps(dw, a));
        if (h) _mm256_maskstore_ps(h + i, m, _mm256_mul_ps(weight, hv));
    }
    return sum8(sum);
}

static void add_mul(float *y, float s, const float *a, const float *b, size_t n)
{
    const __m256 k = _mm256_set1_ps(s);
    for (size_t i = 0; i < n; i += 8) {
        __m256i m = first(n - i);
        __m256 v = _mm256_mul_ps(k, _mm256_maskload_ps(a + i, m));
        _mm256_maskstore_ps(y + i, m, _mm256_fmadd_ps(v, _mm256_maskload_ps(b + i, m), _mm256_maskload_ps(y + i, m)));
    }
}

/* Eight floats to BF16 in the low halves of 32-bit lanes: to nearest even; NaN becomes a quiet one. */
INLINE __m256i round8(__m256 v)
{
    __m256i x = _mm256_castps_si256(v), up = _mm256_srli_epi32(x, 16);
    __m256i odd = _mm256_and_si256(up, _mm256_set1_epi32(1));
    __m256i y = _mm256_srli_epi32(_mm256_add_epi32(x, _mm256_add_epi32(_mm256_set1_epi32(0x7fff), odd)), 16);
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(y, _mm256_or_si256(up, _mm256_set1_epi32(0x40)), nan);
}

static void keep_bf16(uint16_t *dst, const float *src, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256i v = _mm256_packus_epi32(round8(_mm256_loadu_ps(src + i)), round8(_mm256_loadu_ps(src + i + 8)));
        _mm256_storeu_si256((__m256i *)(dst + i), _mm256_permute4x64_epi64(v, 0xD8));
    }
    for (; i < n; i += 8) {
        size_t some = n - i < 8 ? n - i : 8;
        __m256i v = round8(_mm256_maskload_ps(src + i, first(some)));
        __m128i low = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
        uint16_t part[8];
        _mm_storeu_si128((__m128i *)part, low);
        memcpy(dst + i, part, 2 * some);
    }
}

void wt_kernels_avx2_train(wt_kernels *k)
{
    k->silu_mul_back = silu_mul_back;
    k->add_mul = add_mul;
    k->keep_bf16 = keep_bf16;
}
