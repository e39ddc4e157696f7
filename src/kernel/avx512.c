/* The avx512 tier (AVX-512 F, BW, DQ, VL): floats. Compiled with its own flags, so it holds only static functions and the fill function, and
 * uses no inline function of a header that other tiers share.
 *
 * Every dot product is one 16-lane accumulator walked from 0 to n in steps of 16 with FMA, a masked last step, and one fixed tree at the end:
 * a (row, token) result is the same in every tile. */
#include "kernel/kernel.h"

#include "kernel/avx512_math.h"
#include <string.h>

/* R rows by T tokens; R and T are constants at every call, so the accumulators stay in registers. */
INLINE void tile(float *y, size_t ldy, const float *w, size_t ldw, const float *x, size_t ldx, size_t n, const int R, const int T)
{
    __m512 acc[8][4];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) acc[r][t] = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += 16) {
        __m512 xv[4];
        __mmask16 m = first(n - i);
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) xv[t] = _mm512_maskz_loadu_ps(m, x + (size_t)t * ldx + i);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            __m512 wv = _mm512_maskz_loadu_ps(m, w + (size_t)r * ldw + i);
#pragma GCC unroll 4
            for (int t = 0; t < T; t++) acc[r][t] = _mm512_fmadd_ps(wv, xv[t], acc[r][t]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) y[(size_t)t * ldy + (size_t)r] = sum16(acc[r][t]);
}

static void matmul(float *y, size_t ldy, const float *w, size_t ldw, const float *x, size_t ldx, size_t n_row, size_t n_tok, size_t n_in)
{
    size_t t = 0;
    for (; t + 3 <= n_tok; t += 3) {
        size_t r = 0;
        for (; r + 8 <= n_row; r += 8) tile(y + t * ldy + r, ldy, w + r * ldw, ldw, x + t * ldx, ldx, n_in, 8, 3);
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

/* Element-wise loops: vectors under a mask that is full but for the last. */
#define EACH16(...) \
    for (size_t i = 0; i < n; i += 16) { __mmask16 m = first(n - i); __VA_ARGS__ }
#define LOAD(p) _mm512_maskz_loadu_ps(m, (p) + i)
#define STORE(p, v) _mm512_mask_storeu_ps((p) + i, m, v)

static void axpy(float *y, float s, const float *x, size_t n)
{
    __m512 k = _mm512_set1_ps(s);
    EACH16(STORE(y, _mm512_fmadd_ps(k, LOAD(x), LOAD(y)));)
}

static void add(float *y, const float *a, const float *b, size_t n) { EACH16(STORE(y, _mm512_add_ps(LOAD(a), LOAD(b)));) }
static void mul(float *y, const float *a, const float *b, size_t n) { EACH16(STORE(y, _mm512_mul_ps(LOAD(a), LOAD(b)));) }

static void scale(float *y, const float *x, float s, size_t n)
{
    __m512 k = _mm512_set1_ps(s);
    EACH16(STORE(y, _mm512_mul_ps(k, LOAD(x)));)
}

static void silu_mul(float *y, const float *g, const float *u, size_t n)
{
    __m512 one = _mm512_set1_ps(1.0f);
    EACH16({
        __m512 gv = LOAD(g), e = exp16(_mm512_sub_ps(_mm512_setzero_ps(), gv));
        STORE(y, _mm512_mul_ps(_mm512_div_ps(gv, _mm512_add_ps(one, e)), LOAD(u)));
    })
}

static void softmax(float *y, const float *x, size_t n)
{
    float top = -INFINITY;
    for (size_t j = 0; j < n; j++) if (x[j] > top) top = x[j];
    __m512 t = _mm512_set1_ps(top), sum = _mm512_setzero_ps();
    EACH16({ __m512 e = exp16(_mm512_sub_ps(LOAD(x), t)); STORE(y, e); sum = _mm512_mask_add_ps(sum, m, sum, e); })
    scale(y, y, 1.0f / sum16(sum), n);
}

/* ---- to float ---------------------------------------------------------------------------------------------------------- */

static void unpack_f32(float *dst, const void *src, size_t n) { memcpy(dst, src, n * sizeof *dst); }

INLINE __m512 from_half(__m256i h) { return _mm512_cvtph_ps(h); }
INLINE __m512 from_bfloat(__m256i h) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16)); }

/* Reads memory that no cache has: what stands AHEAD is asked for early, and whole vectors are loaded without a mask, because masked loads of words
 * that miss the cache stall (measured, GB/s of one core: 9 with masks, 20 without, 32 with AHEAD; memcpy 39). */
enum { AHEAD = 4096 };

INLINE void ask(const uint8_t *p) { _mm_prefetch((const char *)(p + AHEAD), _MM_HINT_T0); }

#define HALVES(from) \
    const uint8_t *p = src; \
    size_t i = 0; \
    for (; i + 32 <= n; i += 32) { \
        ask(p + 2 * i); \
        _mm512_storeu_ps(dst + i, from(_mm256_loadu_si256((const __m256i *)(p + 2 * i)))); \
        _mm512_storeu_ps(dst + i + 16, from(_mm256_loadu_si256((const __m256i *)(p + 2 * i + 32)))); \
    } \
    for (; i < n; i += 16) { \
        __mmask16 m = first(n - i); \
        _mm512_mask_storeu_ps(dst + i, m, from(_mm256_maskz_loadu_epi16(m, p + 2 * i))); \
    }

static void unpack_f16(float *dst, const void *src, size_t n) { HALVES(from_half) }
static void unpack_bf16(float *dst, const void *src, size_t n) { HALVES(from_bfloat) }

static void unpack_q8_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 34, dst += 32) {
        uint16_t h;
        memcpy(&h, p, 2);
        ask(p);
        __m512 d = _mm512_set1_ps(_cvtsh_ss(h));
        _mm512_storeu_ps(dst, _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(p + 2))))));
        _mm512_storeu_ps(dst + 16, _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(p + 18))))));
    }
}

void wt_kernels_avx512(wt_kernels *k)
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
}
