/* The avx512 tier: attention, and keeping keys and values. See ref_attn.c; compiled with its own flags, static functions only.
 *
 * Products run in tiles of rows by vectors whose sums stay in registers. A sum starts at keep * y or 0 and adds in order of i with FMA: the
 * same in every tile. */
#include "kernel/kernel.h"

#include <float.h>
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

INLINE __mmask16 first(size_t n) { return n < 16 ? (__mmask16)((1u << n) - 1) : (__mmask16)0xffff; }

/* Vector v of a row of b, floats or halves. Memory that no cache has: no mask where V says that all are whole, and ahead of use (avx512.c). */
INLINE __m512 b_at(const void *b, size_t at, __mmask16 m, const int V, const bool half)
{
    if (!half) return _mm512_maskz_loadu_ps(m, (const float *)b + at);
    const uint16_t *p = (const uint16_t *)b + at;
    return _mm512_cvtph_ps(V > 1 ? _mm256_loadu_si256((const __m256i *)p) : _mm256_maskz_loadu_epi16(m, p));
}

/* R rows by V vectors; where V is 1 it may be cut off by m. Rows share steps as long as all of them have any, then go on alone. */
INLINE void tile(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, const void *b, size_t ldb, __mmask16 m,
                 const int R, const int V, const bool half)
{
    __m512 acc[6][8];
    size_t i = 0;
#pragma GCC unroll 6
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int v = 0; v < V; v++)
            acc[r][v] = keep ? _mm512_mul_ps(_mm512_set1_ps(keep[r]), _mm512_maskz_loadu_ps(m, y + (size_t)r * ldy + 16 * v)) : _mm512_setzero_ps();
    for (; i < (size_t)n[0]; i++) {
        __m512 bv[8];
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) {
            if (half && v % 2 == 0) _mm_prefetch((const char *)((const uint16_t *)b + i * ldb + 16 * v) + 4096, _MM_HINT_T0);
            bv[v] = b_at(b, i * ldb + 16 * (size_t)v, m, V, half);
        }
#pragma GCC unroll 6
        for (int r = 0; r < R; r++) {
            __m512 av = _mm512_set1_ps(a[(size_t)r * lda + i]);
#pragma GCC unroll 8
            for (int v = 0; v < V; v++) acc[r][v] = _mm512_fmadd_ps(av, bv[v], acc[r][v]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
        for (size_t k = i; k < (size_t)n[r]; k++) {
            __m512 av = _mm512_set1_ps(a[(size_t)r * lda + k]);
#pragma GCC unroll 8
            for (int v = 0; v < V; v++) acc[r][v] = _mm512_fmadd_ps(av, b_at(b, k * ldb + 16 * (size_t)v, m, V, half), acc[r][v]);
        }
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) _mm512_mask_storeu_ps(y + (size_t)r * ldy + 16 * v, m, acc[r][v]);
    }
}

#define TILE(R, V, half) tile(y + r * ldy + j, ldy, keep ? keep + r : NULL, a + r * lda, lda, n + r, (const char *)b + j * (half ? 2 : 4), ldb, m, R, V, half)
#define ROWS(R, V, half) for (; r + R <= n_row; r += R) TILE(R, V, half);
#define COLUMN(V, half) { r = 0; ROWS(6, V, half) ROWS(4, V, half) ROWS(2, V, half) ROWS(1, V, half) }

INLINE void mix_of(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const void *b, size_t ldb,
                   size_t width, const bool half)
{
    __mmask16 m = 0xffff;
    size_t j = 0, r = 0;
    for (; n_row == 1 && j + 128 <= width; j += 128) TILE(1, 8, half);      /* four sums alone would not hide the latency of FMA */
    for (; j + 64 <= width; j += 64) COLUMN(4, half)
    for (; j + 32 <= width; j += 32) COLUMN(2, half)
    for (; j < width; j += 16) {
        m = first(width - j);
        COLUMN(1, half)
    }
}

static void mix(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const float *b, size_t ldb,
                size_t width)
{
    mix_of(y, ldy, keep, a, lda, n, n_row, b, ldb, width, false);
}

static void mix_half(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const uint16_t *b, size_t ldb,
                     size_t width)
{
    mix_of(y, ldy, keep, a, lda, n, n_row, b, ldb, width, true);
}

/* exp(x) for x <= 0: as in avx512.c. Below -105 the result is 0, also for -inf; NaN stays NaN. */
INLINE __m512 exp16(__m512 x)
{
    x = _mm512_max_ps(_mm512_set1_ps(-105.0f), x);            /* in this order NaN passes */
    __m512 k = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(k, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(k, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.0f / 5040);
    const float c[7] = { 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1 };
#pragma GCC unroll 7
    for (int i = 0; i < 7; i++) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c[i]));
    return _mm512_scalef_ps(p, k);
}

INLINE __m256 folded_max(__m512 v) { return _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)); }
INLINE __m256 folded_sum(__m512 v) { return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)); }

INLINE float max16(__m512 v)
{
    __m256 a = folded_max(v);
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

INLINE float sum16(__m512 v)
{
    __m256 a = folded_sum(v);
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

static void soften(float *s, size_t lds, const int32_t *n, size_t n_row, float *top, float *sum, float *keep)
{
    for (size_t r = 0; r < n_row; r++, s += lds) {
        size_t len = (size_t)n[r];
        __m512 old = _mm512_set1_ps(top[r]), most = old, part = _mm512_setzero_ps();
        for (size_t i = 0; i < len; i += 16) {
            __mmask16 m = first(len - i);
            most = _mm512_mask_max_ps(most, m, _mm512_maskz_loadu_ps(m, s + i), most);
        }
        top[r] = max16(most);
        most = _mm512_set1_ps(top[r]);
        for (size_t i = 0; i < len; i += 16) {
            __mmask16 m = first(len - i);
            __m512 e = exp16(_mm512_sub_ps(_mm512_maskz_loadu_ps(m, s + i), most));
            _mm512_mask_storeu_ps(s + i, m, e);
            part = _mm512_mask_add_ps(part, m, part, e);
        }
        keep[r] = _mm512_cvtss_f32(exp16(_mm512_sub_ps(old, most)));
        sum[r] = keep[r] * sum[r] + sum16(part);
    }
}

/* Sines and cosines twice each; the partner of every value beside it; subtract in even lanes, add in odd ones. */
static void turn_pairs(float *x, const float *cs, size_t half)
{
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    for (size_t i = 0; i < half; i += 8) {
        size_t some = half - i < 8 ? half - i : 8;
        __mmask16 m = first(some), m2 = first(2 * some);
        __m512 v = _mm512_maskz_loadu_ps(m2, x + 2 * i), c = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(m, cs + i));
        __m512 s = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(m, cs + half + i));
        _mm512_mask_storeu_ps(x + 2 * i, m2, _mm512_fmaddsub_ps(v, c, _mm512_mul_ps(_mm512_permute_ps(v, 0xB1), s)));
    }
}

static void turn(float *x, const float *cs, size_t half, bool halves)
{
    if (!halves) { turn_pairs(x, cs, half); return; }
    for (size_t i = 0; i < half; i += 16) {
        __mmask16 m = first(half - i);
        __m512 a = _mm512_maskz_loadu_ps(m, x + i), b = _mm512_maskz_loadu_ps(m, x + half + i);
        __m512 c = _mm512_maskz_loadu_ps(m, cs + i), s = _mm512_maskz_loadu_ps(m, cs + half + i);
        _mm512_mask_storeu_ps(x + i, m, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
        _mm512_mask_storeu_ps(x + half + i, m, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)));
    }
}

/* V vectors of 16 side by side, which is what a line of the cache holds for V = 4. No masks, and ahead of use: see avx512.c. */
INLINE void spread(float *dst, const uint16_t *d, const int8_t *q, size_t many, const int V)
{
    __m512 scale[4];
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) scale[v] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(d + 16 * v)));
    for (size_t i = 0; i < 32; i++, dst += many, q += many) {
        _mm_prefetch((const char *)(q + 4096), _MM_HINT_T0);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            __m512 x = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(q + 16 * v))));
            _mm512_storeu_ps(dst + 16 * v, _mm512_mul_ps(scale[v], x));
        }
    }
}

static void spread_byte(float *dst, const void *src, size_t many, size_t n)
{
    const uint16_t *d = src;
    const int8_t *q = (const int8_t *)(d + many);
    size_t j = 0;
    for (; j + 64 <= many && j + 48 < n; j += 64) spread(dst + j, d + j, q + j, many, 4);
    for (; j + 16 <= many && j < n; j += 16) spread(dst + j, d + j, q + j, many, 1);
    for (; j < n; j++)
        for (size_t i = 0; i < 32; i++) dst[i * many + j] = _cvtsh_ss(d[j]) * (float)q[i * many + j];
}

void wt_kernels_avx512_attn(wt_kernels *k)
{
    k->mix = mix;
    k->mix_half = mix_half;
    k->soften = soften;
    k->turn = turn;
    k->spread_byte = spread_byte;
}
