/* The avx512 tier: attention, and keeping keys and values. See ref_attn.c; compiled with its own flags, static functions only.
 *
 * Products run in tiles of rows by vectors whose sums stay in registers. A sum starts at keep * y or 0 and adds in order of i with FMA: the
 * same in every tile. */
#include "kernel/kernel.h"

#include "kernel/avx512_math.h"
#include <string.h>

enum { FLOATS, HALVES, BYTES, SPREAD };          /* b: rows of floats, of halves, of blocks of Q8_0; blocks of Q8_0 side by side */

/* Sixteen bytes times their scales, which is exact. */
INLINE __m512 bytes16(__m512 scale, const void *q)
{
    return _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)q))));
}

/* The vector at column col of step i of b. Memory that no cache has: no mask where V says that all are whole, nor for blocks (avx512.c). */
INLINE __m512 b_at(const void *b, size_t i, size_t ldb, size_t col, __mmask16 m, const int V, const int kind)
{
    if (kind == FLOATS) return _mm512_maskz_loadu_ps(m, (const float *)b + i * ldb + col);
    if (kind == BYTES) {
        const uint8_t *p = (const uint8_t *)b + i * ldb + col / 32 * 34;
        uint16_t d;
        memcpy(&d, p, 2);
        return bytes16(_mm512_set1_ps(_cvtsh_ss(d)), p + 2 + col % 32);
    }
    if (kind == SPREAD) {
        const uint8_t *p = (const uint8_t *)b + i / 32 * 34 * ldb;
        return bytes16(_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p + 2 * col))), p + (2 + i % 32) * ldb + col);
    }
    const uint16_t *p = (const uint16_t *)b + i * ldb + col;
    return _mm512_cvtph_ps(V > 1 ? _mm256_loadu_si256((const __m256i *)p) : _mm256_maskz_loadu_epi16(m, p));
}

/* Asks early for it, once for the vectors of a line. */
INLINE void ask(const void *b, size_t i, size_t ldb, size_t col, const int v, const int kind)
{
    const uint8_t *p = b;
    if (kind == HALVES && v % 2 == 0) _mm_prefetch((const char *)(p + 2 * (i * ldb + col) + 4096), _MM_HINT_T0);
    if (kind == BYTES && v % 4 == 0) _mm_prefetch((const char *)(p + i * ldb + col / 32 * 34 + 4096), _MM_HINT_T0);
    if (kind == SPREAD && v % 4 == 0) _mm_prefetch((const char *)(p + (i / 32 * 34 + 2 + i % 32) * ldb + col + 4096), _MM_HINT_T0);
}

/* R rows by V vectors; where V is 1 it may be cut off by m. Rows share steps as long as all of them have any, then go on alone. */
INLINE void tile(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, const void *b, size_t ldb, size_t col, __mmask16 m,
                 const int R, const int V, const int kind)
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
            ask(b, i, ldb, col + 16 * (size_t)v, v, kind);
            bv[v] = b_at(b, i, ldb, col + 16 * (size_t)v, m, V, kind);
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
            for (int v = 0; v < V; v++) acc[r][v] = _mm512_fmadd_ps(av, b_at(b, k, ldb, col + 16 * (size_t)v, m, V, kind), acc[r][v]);
        }
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) _mm512_mask_storeu_ps(y + (size_t)r * ldy + 16 * v, m, acc[r][v]);
    }
}

#define TILE(R, V, kind) tile(y + r * ldy + j, ldy, keep ? keep + r : NULL, a + r * lda, lda, n + r, b, ldb, j, m, R, V, kind)
#define ROWS(R, V, kind) for (; r + R <= n_row; r += R) TILE(R, V, kind);
#define COLUMN(V, kind) { r = 0; ROWS(6, V, kind) ROWS(4, V, kind) ROWS(2, V, kind) ROWS(1, V, kind) }

INLINE void mix_of(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const void *b, size_t ldb,
                   size_t width, const int kind)
{
    __mmask16 m = 0xffff;
    size_t j = 0, r = 0;
    for (; n_row == 1 && j + 128 <= width; j += 128) TILE(1, 8, kind);      /* four sums alone would not hide the latency of FMA */
    for (; j + 64 <= width; j += 64) COLUMN(4, kind)
    for (; j + 32 <= width; j += 32) COLUMN(2, kind)
    for (; j < width; j += 16) {
        m = first(width - j);
        COLUMN(1, kind)
    }
}

static void mix(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const float *b, size_t ldb,
                size_t width)
{
    mix_of(y, ldy, keep, a, lda, n, n_row, b, ldb, width, FLOATS);
}

static void mix_half(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const uint16_t *b, size_t ldb,
                     size_t width)
{
    mix_of(y, ldy, keep, a, lda, n, n_row, b, ldb, width, HALVES);
}

static void mix_byte(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const void *b, size_t ldb,
                     size_t width)
{
    mix_of(y, ldy, keep, a, lda, n, n_row, b, ldb, width, BYTES);
}

static void mix_spread(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const void *b, size_t ldb,
                       size_t width)
{
    mix_of(y, ldy, keep, a, lda, n, n_row, b, ldb, width, SPREAD);
}

INLINE float max16(__m512 v)
{
    __m256 a = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
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
            __m512 e = exp16_down(_mm512_sub_ps(_mm512_maskz_loadu_ps(m, s + i), most));
            _mm512_mask_storeu_ps(s + i, m, e);
            part = _mm512_mask_add_ps(part, m, part, e);
        }
        keep[r] = _mm512_cvtss_f32(exp16_down(_mm512_sub_ps(old, most)));
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
    k->mix_byte = mix_byte;
    k->mix_spread = mix_spread;
    k->soften = soften;
    k->turn = turn;
    k->spread_byte = spread_byte;
}
