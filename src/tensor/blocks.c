/* Blocks of 32 values: Q4_1, Q5_0, Q5_1, IQ4_NL, MXFP4. In all of them byte j of the nibbles holds value j (low) and value j + 16 (high). */
#include "tensor/blocks.h"

#include "tensor/type.h"
#include <math.h>

static float half_at(const uint8_t *p) { return wt_half_to_float((uint16_t)(p[0] | p[1] << 8)); }
static uint32_t u32_at(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

void wt_unpack_q4_1(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 20, dst += 32) {
        float d = half_at(p), m = half_at(p + 2);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)(p[4 + j] & 15) + m;
            dst[j + 16] = d * (float)(p[4 + j] >> 4) + m;
        }
    }
}

void wt_unpack_q5_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 22, dst += 32) {
        float d = half_at(p);
        uint32_t high = u32_at(p + 2);
        for (int j = 0; j < 16; j++) {
            int lo = (p[6 + j] & 15) | (int)(high >> j & 1) << 4, hi = p[6 + j] >> 4 | (int)(high >> (j + 16) & 1) << 4;
            dst[j] = d * (float)(lo - 16);
            dst[j + 16] = d * (float)(hi - 16);
        }
    }
}

void wt_unpack_q5_1(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 24, dst += 32) {
        float d = half_at(p), m = half_at(p + 2);
        uint32_t high = u32_at(p + 4);
        for (int j = 0; j < 16; j++) {
            int lo = (p[8 + j] & 15) | (int)(high >> j & 1) << 4, hi = p[8 + j] >> 4 | (int)(high >> (j + 16) & 1) << 4;
            dst[j] = d * (float)lo + m;
            dst[j + 16] = d * (float)hi + m;
        }
    }
}

static const int8_t iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

void wt_unpack_iq4_nl(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 18, dst += 32) {
        float d = half_at(p);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)iq4[p[2 + j] & 15];
            dst[j + 16] = d * (float)iq4[p[2 + j] >> 4];
        }
    }
}

/* Values 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, kept doubled, times 2^(e - 127). */
void wt_unpack_mxfp4(float *dst, const void *src, size_t n)
{
    static const int8_t twice[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 17, dst += 32) {
        float d = ldexpf(1.0f, p[0] - 128);
        for (int j = 0; j < 16; j++) {
            dst[j] = d * (float)twice[p[1 + j] & 15];
            dst[j + 16] = d * (float)twice[p[1 + j] >> 4];
        }
    }
}

/* Eight blocks of 32 with six-bit scales over one half. */
void wt_unpack_iq4_xs(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 256; b++, p += 136) {
        float d = half_at(p);
        int high = p[2] | p[3] << 8;
        for (int i = 0; i < 8; i++, dst += 32) {
            int scale = (p[4 + i / 2] >> 4 * (i % 2) & 15) | (high >> 2 * i & 3) << 4;
            float s = d * (float)(scale - 32);
            const uint8_t *q = p + 8 + 16 * i;
            for (int j = 0; j < 16; j++) {
                dst[j] = s * (float)iq4[q[j] & 15];
                dst[j + 16] = s * (float)iq4[q[j] >> 4];
            }
        }
    }
}
