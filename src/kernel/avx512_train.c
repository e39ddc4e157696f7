/* The avx512 tier: element-wise steps of training. See ref_train.c; compiled with its own flags, static functions only. */
#include "kernel/kernel.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

INLINE __mmask16 first(size_t n) { return n < 16 ? (__mmask16)((1u << n) - 1) : (__mmask16)0xffff; }

/* exp(x) as in avx512.c, kept within what a float can hold on either side: 1 / (1 + exp) needs no more. NaN stays NaN. */
INLINE __m512 exp16(__m512 x)
{
    x = _mm512_min_ps(_mm512_set1_ps(88.0f), _mm512_max_ps(_mm512_set1_ps(-105.0f), x));      /* in this order NaN passes */
    __m512 k = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(k, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(k, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.0f / 5040);
    const float c[7] = { 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1 };
#pragma GCC unroll 7
    for (int i = 0; i < 7; i++) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c[i]));
    return _mm512_scalef_ps(p, k);
}

INLINE float sum16(__m512 v)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

static float silu_mul_back(float *dg, float *du, float *h, const float *g, const float *u, const float *dh, float w, size_t n)
{
    const __m512 one = _mm512_set1_ps(1), weight = _mm512_set1_ps(w);
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = first(n - i);
        __m512 gv = _mm512_maskz_loadu_ps(m, g + i), uv = _mm512_maskz_loadu_ps(m, u + i), d = _mm512_maskz_loadu_ps(m, dh + i);
        __m512 s = _mm512_div_ps(one, _mm512_add_ps(one, exp16(_mm512_sub_ps(_mm512_setzero_ps(), gv))));
        __m512 a = _mm512_mul_ps(gv, s), hv = _mm512_mul_ps(a, uv), dw = _mm512_mul_ps(weight, d);
        sum = _mm512_mask3_fmadd_ps(hv, d, sum, m);
        _mm512_mask_storeu_ps(dg + i, m, _mm512_mul_ps(_mm512_mul_ps(dw, uv), _mm512_fmadd_ps(a, _mm512_sub_ps(one, s), s)));
        _mm512_mask_storeu_ps(du + i, m, _mm512_mul_ps(dw, a));
        if (h) _mm512_mask_storeu_ps(h + i, m, _mm512_mul_ps(weight, hv));
    }
    return sum16(sum);
}

static void add_mul(float *y, float s, const float *a, const float *b, size_t n)
{
    const __m512 k = _mm512_set1_ps(s);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = first(n - i);
        __m512 v = _mm512_mul_ps(k, _mm512_maskz_loadu_ps(m, a + i));
        _mm512_mask_storeu_ps(y + i, m, _mm512_fmadd_ps(v, _mm512_maskz_loadu_ps(m, b + i), _mm512_maskz_loadu_ps(m, y + i)));
    }
}

/* To nearest even; NaN becomes a quiet one. */
static void keep_bf16(uint16_t *dst, const float *src, size_t n)
{
    const __m512i half = _mm512_set1_epi32(0x7fff), one = _mm512_set1_epi32(1), quiet = _mm512_set1_epi32(0x40);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = first(n - i);
        __m512 v = _mm512_maskz_loadu_ps(m, src + i);
        __m512i x = _mm512_castps_si512(v), up = _mm512_srli_epi32(x, 16);
        __m512i y = _mm512_srli_epi32(_mm512_add_epi32(x, _mm512_add_epi32(half, _mm512_and_si512(up, one))), 16);
        y = _mm512_mask_or_epi32(y, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), up, quiet);
        _mm256_mask_storeu_epi16(dst + i, m, _mm512_cvtepi32_epi16(y));
    }
}

void wt_kernels_avx512_train(wt_kernels *k)
{
    k->silu_mul_back = silu_mul_back;
    k->add_mul = add_mul;
    k->keep_bf16 = keep_bf16;
}
