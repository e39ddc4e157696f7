/* Writing blocks of 32 values: Q4_1, Q5_0, Q5_1. Layouts as in blocks.c. Any input is legal: what is no number becomes the middle. */
#include "tensor/blocks.h"

#include "tensor/type.h"
#include <math.h>

static void half_put(uint8_t *p, float v)
{
    uint16_t h = wt_float_to_half(v);
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

static void u32_put(uint8_t *p, uint32_t v) { for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i); }

static int within(float v, int lo, int hi, int zero) { return v >= (float)hi ? hi : v > (float)lo ? (int)v : v <= (float)lo ? lo : zero; }

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
    float d = (hi - lo) / (float)top, inv = d != 0 ? 1.0f / d : 0;
    half_put(head, d);
    half_put(head + 2, lo);
    for (int i = 0; i < 32; i++) q[i] = (uint8_t)within((x[i] - lo) * inv + 0.5f, 0, top, top / 2);
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
        float d = at / -16.0f, inv = d != 0 ? 1.0f / d : 0;
        half_put(p, d);
        for (int i = 0; i < 32; i++) q[i] = (uint8_t)within(src[i] * inv + 16.5f, 0, 31, 16);
        u32_put(p + 2, fifth_bits(q));
        nibbles(p + 6, q);
    }
}
