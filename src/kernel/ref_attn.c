/* The ref tier: attention, and keeping keys and values.
 *
 * Scores are a mix of a page's keys (query times keys with positions side by side), the result is a mix of its values (probabilities times
 * values): both are the same product. Each element is one chain of additions that ends where its row's n says, so neither the rows beside it
 * nor positions that a token must not see can change it. */
#include "kernel/kernel.h"

#include <math.h>
#include <string.h>

static float half_at(const uint8_t *p) { return wt_half_to_float((uint16_t)(p[0] | p[1] << 8)); }

static void mix(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const float *b, size_t ldb,
                size_t width)
{
    for (size_t r = 0; r < n_row; r++, y += ldy, a += lda) {
        for (size_t j = 0; j < width; j++) y[j] = keep ? keep[r] * y[j] : 0;
        for (size_t i = 0; i < (size_t)n[r]; i++)
            for (size_t j = 0; j < width; j++) y[j] += a[i] * b[i * ldb + j];
    }
}

static void mix_half(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const uint16_t *b, size_t ldb,
                     size_t width)
{
    for (size_t r = 0; r < n_row; r++, y += ldy, a += lda) {
        for (size_t j = 0; j < width; j++) y[j] = keep ? keep[r] * y[j] : 0;
        for (size_t i = 0; i < (size_t)n[r]; i++)
            for (size_t j = 0; j < width; j++) y[j] += a[i] * wt_half_to_float(b[i * ldb + j]);
    }
}

static void mix_byte(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const void *b, size_t ldb,
                     size_t width)
{
    for (size_t r = 0; r < n_row; r++, y += ldy, a += lda) {
        const uint8_t *p = b;
        for (size_t j = 0; j < width; j++) y[j] = keep ? keep[r] * y[j] : 0;
        for (size_t i = 0; i < (size_t)n[r]; i++, p += ldb)
            for (size_t j = 0; j < width; j++) y[j] += a[i] * (half_at(p + j / 32 * 34) * (float)(int8_t)p[j / 32 * 34 + 2 + j % 32]);
    }
}

static void mix_spread(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const void *b, size_t ldb,
                       size_t width)
{
    for (size_t r = 0; r < n_row; r++, y += ldy, a += lda) {
        for (size_t j = 0; j < width; j++) y[j] = keep ? keep[r] * y[j] : 0;
        for (size_t i = 0; i < (size_t)n[r]; i++) {
            const uint8_t *p = (const uint8_t *)b + i / 32 * 34 * ldb, *q = p + (2 + i % 32) * ldb;
            for (size_t j = 0; j < width; j++) y[j] += a[i] * (half_at(p + 2 * j) * (float)(int8_t)q[j]);
        }
    }
}

static void soften(float *s, size_t lds, const int32_t *n, size_t n_row, float *top, float *sum, float *keep)
{
    for (size_t r = 0; r < n_row; r++, s += lds) {
        float most = top[r], part = 0;
        for (int32_t i = 0; i < n[r]; i++) if (s[i] > most) most = s[i];
        for (int32_t i = 0; i < n[r]; i++) part += s[i] = expf(s[i] - most);
        keep[r] = expf(top[r] - most);
        sum[r] = keep[r] * sum[r] + part;
        top[r] = most;
    }
}

static void turn(float *x, const float *cs, size_t half, bool halves)
{
    size_t step = halves ? 1 : 2, other = halves ? half : 1;
    for (size_t i = 0; i < half; i++) {
        float a = x[i * step], b = x[i * step + other], c = cs[i], s = cs[half + i];
        x[i * step] = a * c - b * s;
        x[i * step + other] = b * c + a * s;
    }
}

static const float MOST_HALF = 65504;

static float within(float x, float most) { return x > most ? most : x < -most ? -most : x; }

static void keep_half(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = wt_float_to_half(within(src[i], MOST_HALF));
}

static void keep_byte(void *dst, const float *src, size_t n)
{
    uint8_t *p = dst;
    for (; n >= 32; n -= 32, p += 34, src += 32) {
        float most = 0;
        for (int i = 0; i < 32; i++) if (!isnan(most) && !(fabsf(src[i]) <= most)) most = fabsf(src[i]);   /* NaN is larger than all */
        uint16_t h = wt_float_to_half(within(most / 127, MOST_HALF));
        float d = wt_half_to_float(h), inverse = d > 0 ? 1 / d : 0;
        memcpy(p, &h, 2);
        for (int i = 0; i < 32; i++) p[2 + i] = (uint8_t)(int8_t)(isnan(d) ? 0 : lrintf(within(src[i] * inverse, 127)));
    }
}

static void spread_byte(float *dst, const void *src, size_t many, size_t n)
{
    const uint16_t *d = src;
    const int8_t *q = (const int8_t *)(d + many);
    for (size_t i = 0; i < 32; i++, dst += many, q += many)
        for (size_t j = 0; j < n; j++) dst[j] = wt_half_to_float(d[j]) * (float)q[j];
}

void wt_kernels_ref_attn(wt_kernels *k)
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
