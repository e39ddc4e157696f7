/* The avx2 tier (AVX2, FMA, F16C): compiled with its own flags, so it holds only static functions and the fill function, and
 * uses no inline function of a header that other tiers share.
 *
 * Every dot product is one 8-lane accumulator walked from 0 to n in steps of 8 with FMA, a masked last step, and one fixed
 * tree at the end. Tiles of rows and tokens run many such accumulators side by side, which hides the latency of FMA without
 * changing any sum: a (row, token) result is the same in every tile. */
#include "kernel/kernel.h"

#include "kernel/avx2_math.h"
#include <string.h>

/* R rows by T tokens; R and T are constants at every call, so the accumulators stay in registers. */
INLINE void tile(float *y, size_t ldy, const float *w, size_t ldw, const float *x, size_t ldx, size_t n, const int R, const int T)
{
    __m256 acc[8][4];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) acc[r][t] = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 xv[4];
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) xv[t] = _mm256_loadu_ps(x + (size_t)t * ldx + i);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            __m256 wv = _mm256_loadu_ps(w + (size_t)r * ldw + i);
#pragma GCC unroll 4
            for (int t = 0; t < T; t++) acc[r][t] = _mm256_fmadd_ps(wv, xv[t], acc[r][t]);
        }
    }
    if (i < n) {
        __m256i m = first(n - i);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            __m256 wv = _mm256_maskload_ps(w + (size_t)r * ldw + i, m);
#pragma GCC unroll 4
            for (int t = 0; t < T; t++)
                acc[r][t] = _mm256_fmadd_ps(wv, _mm256_maskload_ps(x + (size_t)t * ldx + i, m), acc[r][t]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) y[(size_t)t * ldy + (size_t)r] = sum8(acc[r][t]);
}

static void matmul(float *y, size_t ldy, const float *w, size_t ldw, const float *x, size_t ldx, size_t n_row, size_t n_tok, size_t n_in)
{
    size_t t = 0;
    for (; t + 3 <= n_tok; t += 3) {
        size_t r = 0;
        for (; r + 4 <= n_row; r += 4) tile(y + t * ldy + r, ldy, w + r * ldw, ldw, x + t * ldx, ldx, n_in, 4, 3);
        for (; r < n_row; r++) tile(y + t * ldy + r, ldy, w + r * ldw, ldw, x + t * ldx, ldx, n_in, 1, 3);
    }
    for (; t < n_tok; t++) {
        size_t r = 0;
        for (; r + 8 <= n_row; r += 8) tile(y + t * ldy + r, ldy, w + r * ldw, ldw, x + t * ldx, ldx, n_in, 8, 1);
        for (; r < n_row; r++) tile(y + t * ldy + r, ldy, w + r * ldw, ldw, x + t * ldx, ldx, n_in, 1, 1);
    }
}

static float dot(const float *a, const float *b, size_t n)
{
    float y;
    tile(&y, 1, a, 0, b, 0, n, 1, 1);
    return y;
}

/* Element-wise loops: whole vectors, then one masked step. */
#define EACH8(body, last) \
    size_t i = 0; \
    for (; i + 8 <= n; i += 8) body \
    if (i < n) { __m256i m = first(n - i); last }

static void axpy(float *y, float s, const float *x, size_t n)
{
    __m256 k = _mm256_set1_ps(s);
    EACH8({ _mm256_storeu_ps(y + i, _mm256_fmadd_ps(k, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i))); },
          _mm256_maskstore_ps(y + i, m, _mm256_fmadd_ps(k, _mm256_maskload_ps(x + i, m), _mm256_maskload_ps(y + i, m)));)
}

static void add(float *y, const float *a, const float *b, size_t n)
{
    EACH8({ _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i))); },
          _mm256_maskstore_ps(y + i, m, _mm256_add_ps(_mm256_maskload_ps(a + i, m), _mm256_maskload_ps(b + i, m)));)
}

static void mul(float *y, const float *a, const float *b, size_t n)
{
    EACH8({ _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i))); },
          _mm256_maskstore_ps(y + i, m, _mm256_mul_ps(_mm256_maskload_ps(a + i, m), _mm256_maskload_ps(b + i, m)));)
}

static void scale(float *y, const float *x, float s, size_t n)
{
    __m256 k = _mm256_set1_ps(s);
    EACH8({ _mm256_storeu_ps(y + i, _mm256_mul_ps(k, _mm256_loadu_ps(x + i))); },
          _mm256_maskstore_ps(y + i, m, _mm256_mul_ps(k, _mm256_maskload_ps(x + i, m)));)
}

INLINE __m256 silu8(__m256 g, __m256 u)
{
    __m256 one = _mm256_set1_ps(1.0f), e = exp8(_mm256_sub_ps(_mm256_setzero_ps(), g));
    return _mm256_mul_ps(_mm256_div_ps(g, _mm256_add_ps(one, e)), u);
}

static void silu_mul(float *y, const float *g, const float *u, size_t n)
{
    EACH8({ _mm256_storeu_ps(y + i, silu8(_mm256_loadu_ps(g + i), _mm256_loadu_ps(u + i))); },
          _mm256_maskstore_ps(y + i, m, silu8(_mm256_maskload_ps(g + i, m), _mm256_maskload_ps(u + i, m)));)
}

static void softmax(float *y, const float *x, size_t n)
{
    float top = -INFINITY;
    for (size_t j = 0; j < n; j++) if (x[j] > top) top = x[j];
    __m256 t = _mm256_set1_ps(top), sum = _mm256_setzero_ps();
    EACH8({ __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), t)); _mm256_storeu_ps(y + i, e); sum = _mm256_add_ps(sum, e); },
          __m256 e = exp8(_mm256_sub_ps(_mm256_maskload_ps(x + i, m), t));
          _mm256_maskstore_ps(y + i, m, e); sum = _mm256_add_ps(sum, _mm256_and_ps(e, _mm256_castsi256_ps(m)));)
    scale(y, y, 1.0f / sum8(sum), n);
}

/* ---- blocks to float ------------------------------------------------------------------------------------------- */

static void unpack_f32(float *dst, const void *src, size_t n) { memcpy(dst, src, n * sizeof *dst); }

INLINE float half1(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return _cvtsh_ss(h);
}

/* Memory that no cache has is asked for early: half as fast again from 4 KiB on. */
enum { AHEAD = 4096 };

INLINE void ask(const uint8_t *p) { _mm_prefetch((const char *)(p + AHEAD), _MM_HINT_T0); }

static void unpack_f16(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        ask(p + 2 * i);
#pragma GCC unroll 4
        for (size_t j = i; j < i + 32; j += 8) _mm256_storeu_ps(dst + j, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 2 * j))));
    }
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 2 * i))));
    for (; i < n; i++) dst[i] = half1(p + 2 * i);
}

static void unpack_bf16(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + 2 * i)));
        _mm256_storeu_ps(dst + i, _mm256_castsi256_ps(_mm256_slli_epi32(v, 16)));
    }
    for (; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, 2);
        uint32_t u = (uint32_t)h << 16;
        memcpy(dst + i, &u, 4);
    }
}

/* Sixteen signed bytes times d. */
INLINE void store16(float *dst, __m128i q, __m256 d)
{
    _mm256_storeu_ps(dst, _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q))));
    _mm256_storeu_ps(dst + 8, _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(q, 8)))));
}

static void unpack_q8_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 34, dst += 32) {
        __m256 d = _mm256_set1_ps(half1(p));
        ask(p);
        store16(dst, _mm_loadu_si128((const __m128i *)(p + 2)), d);
        store16(dst + 16, _mm_loadu_si128((const __m128i *)(p + 18)), d);
    }
}

static void unpack_q4_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    const __m128i low = _mm_set1_epi8(15), off = _mm_set1_epi8(8);
    for (size_t b = 0; b < n / 32; b++, p += 18, dst += 32) {
        __m256 d = _mm256_set1_ps(half1(p));
        __m128i q = _mm_loadu_si128((const __m128i *)(p + 2));
        store16(dst, _mm_sub_epi8(_mm_and_si128(q, low), off), d);
        store16(dst + 16, _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(q, 4), low), off), d);
    }
}

void wt_kernels_avx2(wt_kernels *k)
{
    k->matmul = matmul;
    k->dot = dot;
    k->axpy = axpy;
    k->add = add;
    k->mul = mul;
    k->scale = scale;
    k->silu_mul = silu_mul;
    k->softmax = softmax;
    k->unpack[WT_F32] = unpack_f32;
    k->unpack[WT_F16] = unpack_f16;
    k->unpack[WT_BF16] = unpack_bf16;
    k->unpack[WT_Q8_0] = unpack_q8_0;
    k->unpack[WT_Q4_0] = unpack_q4_0;
}
