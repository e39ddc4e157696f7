/* Writing blocks: what all writers share, and the simple formats Q4_1, Q5_0, Q5_1. Layouts as in blocks.c. Any input is legal: what is no
 * number becomes the middle. */
#include "tensor/pack.h"

#include "tensor/blocks.h"
#include <string.h>

/* ---- shared ----------------------------------------------------------------------------------------------------------- */

/* Bits of |x|: 2^-26, 2^30, infinity. Magnitudes are ordered as their bits are. */
static void clean_values(float *x, const float *src, int n)
{
    for (int i = 0; i < n; i += 4) {
        i4 u = (i4)v4_at(src + i), a = u & 0x7fffffff, cut = a > 0x4e800000;
        a = (a & ~cut) | (0x4e800000 & cut & (a < 0x7f800000));
        *(i4 *)(x + i) = (a | (u & INT32_MIN)) & (a >= 0x32800000);
    }
}

/* 1 / mean of the weights; 0 where they say nothing. */
static double per_mean(const float *weight, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) if (weight[i] > 0 && isfinite(weight[i])) sum += (double)weight[i];
    return sum > 0 ? n / sum : 0;
}

void wt_pack_clean(float *x, float *w, const float *src, const float *weight, int n, int part)
{
    double scale = weight ? per_mean(weight, n) : 0;
    clean_values(x, src, n);
    for (int p = 0; p < n; p += part) {
        v4 squares = v4_all(0);
        for (int i = p; i < p + part; i += 4) squares += v4_at(x + i) * v4_at(x + i);
        float rms = sqrtf(v4_sum(squares) / (float)part);
        for (int i = p; i < p + part; i++) w[i] = fabsf(x[i]) + rms;
    }
    for (int i = 0; scale > 0 && i < n; i++) {
        float c = isfinite(weight[i]) ? (float)((double)weight[i] * scale) : 0;
        w[i] *= c > 1e-4f ? c : 1e-4f;
    }
}

float wt_pack_unit(float most, int count)
{
    uint16_t h = wt_float_to_half(fminf(most / (float)count, 65504));
    if (h < 0x7bff && wt_half_to_float(h) * (float)count < most * 0.995f) h++;
    return wt_half_to_float(h);
}

void wt_pack_bit_pairs(uint8_t *p, const uint8_t q[WT_SUPER])
{
    for (int h = 0; h < 2; h++, p += 32, q += 128)
        for (int i = 0; i < 32; i++) p[i] = (uint8_t)(q[i] | q[i + 32] << 2 | q[i + 64] << 4 | q[i + 96] << 6);
}

/* ---- simple formats ----------------------------------------------------------------------------------------------------- */

static void u32_put(uint8_t *p, uint32_t v) { for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i); }

/* Cut off; what is no number becomes `middle`. */
static int within(float v, int hi, int middle) { return v >= (float)hi ? hi : v > 0 ? (int)v : v <= 0 ? 0 : middle; }

/* 1 / d. Where there is none, or d is infinite, no q means anything: false, and all of them are 0. */
static bool steps_to_one(float d, float *inv, uint8_t q[32])
{
    *inv = d != 0 ? 1.0f / d : 0;
    if (isfinite(d) && isfinite(*inv)) return true;
    memset(q, 0, 32);
    return false;
}

/* Least and largest value; anything that is not a number is passed over. */
static void range(const float *x, float *lo, float *hi)
{
    *lo = INFINITY;
    *hi = -INFINITY;
    for (int i = 0; i < 32; i++) {
        if (x[i] < *lo) *lo = x[i];
        if (x[i] > *hi) *hi = x[i];
    }
    if (!(*lo <= *hi)) *lo = *hi = 0;
}

/* q of every value as (x - lo) / d + 0.5 cut off, d = (hi - lo) / top. Writes d and lo. */
static void from_range(uint8_t *head, const float *x, int top, uint8_t q[32])
{
    float lo, hi;
    range(x, &lo, &hi);
    float d = (hi - lo) / (float)top, inv;
    half_put(head, d);
    half_put(head + 2, lo);
    if (!steps_to_one(d, &inv, q)) return;
    for (int i = 0; i < 32; i++) q[i] = (uint8_t)within((x[i] - lo) * inv + 0.5f, top, top / 2);
}

static void nibbles(uint8_t *p, const uint8_t q[32])
{
    for (int i = 0; i < 16; i++) p[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
}

static uint32_t fifth_bits(const uint8_t q[32])
{
    uint32_t bits = 0;
    for (int i = 0; i < 32; i++) bits |= (uint32_t)(q[i] >> 4 & 1) << i;
    return bits;
}

void wt_pack_q4_1(void *dst, const float *src, size_t n)
{
    uint8_t *p = dst, q[32];
    for (size_t b = 0; b < n / 32; b++, p += 20, src += 32) {
        from_range(p, src, 15, q);
        nibbles(p + 4, q);
    }
}

void wt_pack_q5_1(void *dst, const float *src, size_t n)
{
    uint8_t *p = dst, q[32];
    for (size_t b = 0; b < n / 32; b++, p += 24, src += 32) {
        from_range(p, src, 31, q);
        u32_put(p + 4, fifth_bits(q));
        nibbles(p + 8, q);
    }
}

/* d = (the value of largest magnitude, with its sign) / -16, so that it becomes exactly -16; others as x / d + 16.5 cut off. */
void wt_pack_q5_0(void *dst, const float *src, size_t n)
{
    uint8_t *p = dst, q[32];
    for (size_t b = 0; b < n / 32; b++, p += 22, src += 32) {
        float top = 0, at = 0;
        for (int i = 0; i < 32; i++) if (fabsf(src[i]) > top) { top = fabsf(src[i]); at = src[i]; }
        float d = at / -16.0f, inv;
        half_put(p, d);
        if (steps_to_one(d, &inv, q))
            for (int i = 0; i < 32; i++) q[i] = (uint8_t)within(src[i] * inv + 16.5f, 31, 16);
        u32_put(p + 2, fifth_bits(q));
        nibbles(p + 6, q);
    }
}
