/* The avx2 tier: attention, and keeping keys and values. See ref_attn.c; compiled with its own flags, static functions only.
 *
 * Products run in tiles of rows by vectors whose sums stay in registers. A sum starts at keep * y or 0 and adds in order of i with FMA: the
 * same in every tile. */
#include "kernel/kernel.h"

#include "kernel/avx2_math.h"
#include <string.h>

INLINE __m256 load(const float *p, __m256i m, bool all) { return all ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, m); }

INLINE void store(float *p, __m256i m, bool all, __m256 v)
{
    if (all) _mm256_storeu_ps(p, v); else _mm256_maskstore_ps(p, m, v);
}

enum { FLOATS, HALVES, BYTES, SPREAD };          /* b: rows of floats, of halves, of blocks of Q8_0; blocks of Q8_0 side by side */

INLINE __m256 halves8_at(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }

/* Eight bytes times their scales, which is exact. */
INLINE __m256 bytes8(__m256 scale, const void *q)
{
    return _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)q))));
}

/* The vector at column col of step i of b; masked where V is 1, which blocks need not be. */
INLINE __m256 b_at(const void *b, size_t i, size_t ldb, size_t col, __m256i m, size_t some, const int V, const int kind)
{
    if (kind == FLOATS) return load((const float *)b + i * ldb + col, m, V > 1);
    if (kind == BYTES) {
        const uint8_t *p = (const uint8_t *)b + i * ldb + col / 32 * 34;
        uint16_t d;
        memcpy(&d, p, 2);
        return bytes8(_mm256_set1_ps(_cvtsh_ss(d)), p + 2 + col % 32);
    }
    if (kind == SPREAD) {
        const uint8_t *p = (const uint8_t *)b + i / 32 * 34 * ldb;
        return bytes8(halves8_at(p + 2 * col), p + (2 + i % 32) * ldb + col);
    }
    const uint16_t *p = (const uint16_t *)b + i * ldb + col;
    if (V > 1 || some >= 8) return halves8_at(p);
    uint16_t few[8] = { 0 };
    memcpy(few, p, some * sizeof *few);
    return halves8_at(few);
}

/* Memory that no cache has is asked for early (avx2.c): once for the vectors of a line. */
INLINE void ask(const void *b, size_t i, size_t ldb, size_t col, const int v, const int kind)
{
    const uint8_t *p = b;
    if (kind == HALVES && v % 4 == 0) _mm_prefetch((const char *)(p + 2 * (i * ldb + col) + 4096), _MM_HINT_T0);
    if (kind == BYTES && v % 8 == 0) _mm_prefetch((const char *)(p + i * ldb + col / 32 * 34 + 4096), _MM_HINT_T0);
    if (kind == SPREAD && v % 8 == 0) _mm_prefetch((const char *)(p + (i / 32 * 34 + 2 + i % 32) * ldb + col + 4096), _MM_HINT_T0);
}

/* R rows by V vectors; where V is 1 it has the first `some` lanes. Rows share steps as long as all of them have any, then go on alone. */
INLINE void tile(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, const void *b, size_t ldb, size_t col, size_t some,
                 const int R, const int V, const int kind)
{
    __m256 acc[3][8];
    __m256i m = first(some);
    size_t i = 0;
#pragma GCC unroll 3
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int v = 0; v < V; v++)
            acc[r][v] = keep ? _mm256_mul_ps(_mm256_set1_ps(keep[r]), load(y + (size_t)r * ldy + 8 * v, m, V > 1)) : _mm256_setzero_ps();
    for (; i < (size_t)n[0]; i++) {
        __m256 av[3];
#pragma GCC unroll 3
        for (int r = 0; r < R; r++) av[r] = _mm256_set1_ps(a[(size_t)r * lda + i]);
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) {
            ask(b, i, ldb, col + 8 * (size_t)v, v, kind);
            __m256 bv = b_at(b, i, ldb, col + 8 * (size_t)v, m, some, V, kind);
#pragma GCC unroll 3
            for (int r = 0; r < R; r++) acc[r][v] = _mm256_fmadd_ps(av[r], bv, acc[r][v]);
        }
    }
#pragma GCC unroll 3
    for (int r = 0; r < R; r++) {
        for (size_t k = i; k < (size_t)n[r]; k++) {
            __m256 av = _mm256_set1_ps(a[(size_t)r * lda + k]);
#pragma GCC unroll 8
            for (int v = 0; v < V; v++) acc[r][v] = _mm256_fmadd_ps(av, b_at(b, k, ldb, col + 8 * (size_t)v, m, some, V, kind), acc[r][v]);
        }
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) store(y + (size_t)r * ldy + 8 * v, m, V > 1, acc[r][v]);
    }
}

#define TILE(R, V) tile(y + r * ldy + j, ldy, keep ? keep + r : NULL, a + r * lda, lda, n + r, b, ldb, j, width - j, R, V, kind)

INLINE void mix_of(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const void *b, size_t ldb,
                   size_t width, const int kind)
{
    size_t r = 0, j;
    for (; r + 3 <= n_row; r += 3) {
        for (j = 0; j + 32 <= width; j += 32) TILE(3, 4);
        for (; j < width; j += 8) TILE(3, 1);
    }
    for (; r < n_row; r++) {                     /* four sums alone would not hide the latency of FMA */
        for (j = 0; j + 64 <= width; j += 64) TILE(1, 8);
        for (; j + 16 <= width; j += 16) TILE(1, 2);
        for (; j < width; j += 8) TILE(1, 1);
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

INLINE float max8(__m256 v)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

static void soften(float *s, size_t lds, const int32_t *n, size_t n_row, float *top, float *sum, float *keep)
{
    for (size_t r = 0; r < n_row; r++, s += lds) {
        size_t len = (size_t)n[r];
        __m256 old = _mm256_set1_ps(top[r]), most = old, part = _mm256_setzero_ps();
        for (size_t i = 0; i < len; i += 8) {
            __m256i m = first(len - i);
            __m256 x = _mm256_blendv_ps(most, _mm256_maskload_ps(s + i, m), _mm256_castsi256_ps(m));
            most = _mm256_max_ps(x, most);
        }
        top[r] = max8(most);
        most = _mm256_set1_ps(top[r]);
        for (size_t i = 0; i < len; i += 8) {
            __m256i m = first(len - i);
            __m256 e = exp8_down(_mm256_sub_ps(_mm256_maskload_ps(s + i, m), most));
            _mm256_maskstore_ps(s + i, m, e);
            part = _mm256_add_ps(part, _mm256_and_ps(e, _mm256_castsi256_ps(m)));
        }
        keep[r] = _mm256_cvtss_f32(exp8_down(_mm256_sub_ps(old, most)));
        sum[r] = keep[r] * sum[r] + sum8(part);
    }
}

/* Four pairs: cosines and sines twice each, the partner of every value beside it; subtract in even lanes, add in odd ones. */
static void turn_pairs(float *x, const float *cs, size_t half)
{
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    for (size_t i = 0; i < half; i += 4) {
        size_t some = half - i < 4 ? half - i : 4;
        __m256i m = first(some), m2 = first(2 * some);
        __m256 v = _mm256_maskload_ps(x + 2 * i, m2), c = _mm256_permutevar8x32_ps(_mm256_maskload_ps(cs + i, m), twice);
        __m256 s = _mm256_permutevar8x32_ps(_mm256_maskload_ps(cs + half + i, m), twice);
        _mm256_maskstore_ps(x + 2 * i, m2, _mm256_fmaddsub_ps(v, c, _mm256_mul_ps(_mm256_permute_ps(v, 0xB1), s)));
    }
}

static void turn(float *x, const float *cs, size_t half, bool halves)
{
    if (!halves) { turn_pairs(x, cs, half); return; }
    for (size_t i = 0; i < half; i += 8) {
        __m256i m = first(half - i);
        __m256 a = _mm256_maskload_ps(x + i, m), b = _mm256_maskload_ps(x + half + i, m);
        __m256 c = _mm256_maskload_ps(cs + i, m), s = _mm256_maskload_ps(cs + half + i, m);
        _mm256_maskstore_ps(x + i, m, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
        _mm256_maskstore_ps(x + half + i, m, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
    }
}

INLINE __m256 within(__m256 x, float most)       /* in this order NaN passes */
{
    return _mm256_max_ps(_mm256_set1_ps(-most), _mm256_min_ps(_mm256_set1_ps(most), x));
}

INLINE __m128i halves8(__m256 x) { return _mm256_cvtps_ph(within(x, 65504), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

static void keep_half(uint16_t *dst, const float *src, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm_storeu_si128((__m128i *)(dst + i), halves8(_mm256_loadu_ps(src + i)));
    if (i == n) return;
    __m128i h = halves8(_mm256_maskload_ps(src + i, first(n - i)));
    memcpy(dst + i, &h, (n - i) * sizeof *dst);
}

/* The largest magnitude of 32 values; NaN, whose bits are larger than all others, if there is one. */
INLINE float largest(const __m256 x[4])
{
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i most = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) most = _mm256_max_epi32(most, _mm256_and_si256(_mm256_castps_si256(x[i]), magnitude));
    __m128i s = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0x4E));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0xB1));
    return _mm_cvtss_f32(_mm_castsi128_ps(s));
}

INLINE __m256i rounded(__m256 x, __m256 inverse) { return _mm256_cvtps_epi32(within(_mm256_mul_ps(x, inverse), 127)); }

static void keep_byte(void *dst, const float *src, size_t n)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    uint8_t *p = dst;
    for (; n >= 32; n -= 32, p += 34, src += 32) {
        __m256 x[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) x[i] = _mm256_loadu_ps(src + 8 * i);
        __m128i h = halves8(_mm256_set1_ps(largest(x) / 127));
        float d = _mm_cvtss_f32(_mm_cvtph_ps(h));
        __m256 inverse = _mm256_set1_ps(d > 0 ? 1 / d : 0);
        __m256i low = _mm256_packs_epi32(rounded(x[0], inverse), rounded(x[1], inverse));
        __m256i high = _mm256_packs_epi32(rounded(x[2], inverse), rounded(x[3], inverse));
        memcpy(p, &h, 2);
        _mm256_storeu_si256((__m256i *)(p + 2), _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order));
    }
}

static void spread_byte(float *dst, const void *src, size_t many, size_t n)
{
    const uint16_t *d = src;
    const int8_t *q = (const int8_t *)(d + many);
    size_t j = 0;
    for (; j < n && j + 8 <= many; j += 8) {
        __m256 scale = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(d + j)));
        for (size_t i = 0; i < 32; i++) {
            __m256 v = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(q + i * many + j))));
            _mm256_storeu_ps(dst + i * many + j, _mm256_mul_ps(scale, v));
        }
    }
    for (; j < n; j++)
        for (size_t i = 0; i < 32; i++) dst[i * many + j] = _cvtsh_ss(d[j]) * (float)q[i * many + j];
}

void wt_kernels_avx2_attn(wt_kernels *k)
{
    k->mix = mix;
    k->mix_half = mix_half;
    k->mix_byte = mix_byte;
    k->mix_spread = mix_spread;
    k->soften = soften;
    k->turn = turn;
    k->keep_half = keep_half;
    k->keep_byte = keep_byte;
    k->spread_byte = spread_byte;
}
