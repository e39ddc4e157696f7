/* The K formats: super-blocks of 256 values, with small scales (and minima) per 16 or 32 values over one half. */
#include "tensor/blocks.h"

#include "tensor/type.h"

static float half_at(const uint8_t *p) { return wt_half_to_float((uint16_t)(p[0] | p[1] << 8)); }

/* 16 bytes of scale (low nibble) and minimum (high), 64 bytes of 2-bit values, two halves. Per 128 values: four shifts over 32 bytes. */
void wt_unpack_q2_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 256; b++, p += 84, dst += 256) {
        float d = half_at(p + 80), dmin = half_at(p + 82);
        for (int g = 0; g < 16; g++) {            /* sixteen values share a scale */
            const uint8_t *q = p + 16 + 32 * (g / 8) + 16 * (g % 2);
            int shift = 2 * (g % 8 / 2);
            float s = d * (float)(p[g] & 15), m = dmin * (float)(p[g] >> 4);
            for (int l = 0; l < 16; l++) dst[16 * g + l] = s * (float)(q[l] >> shift & 3) - m;
        }
    }
}

/* Scale j of Q3_K: six bits from twelve bytes, minus 32. */
static int q3_scale(const uint8_t *s, int j)
{
    int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4, high = s[8 + j % 4] >> 2 * (j / 4) & 3;
    return (low | high << 4) - 32;
}

/* 32 bytes of third bits (0 means minus 4), 64 bytes of 2-bit values, 12 bytes of scales, a half. Order as Q2_K. */
void wt_unpack_q3_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 256; b++, p += 110, dst += 256) {
        float d = half_at(p + 108);
        for (int g = 0; g < 16; g++) {
            const uint8_t *q = p + 32 + 32 * (g / 8) + 16 * (g % 2), *h = p + 16 * (g % 2);
            int shift = 2 * (g % 8 / 2), bit = g / 2;
            float s = d * (float)q3_scale(p + 96, g);
            for (int l = 0; l < 16; l++) dst[16 * g + l] = s * (float)((q[l] >> shift & 3) - (h[l] >> bit & 1 ? 0 : 4));
        }
    }
}

/* Scale and minimum j of Q4_K and Q5_K: six bits each, twelve bytes for eight of both. */
static void six_bits(const uint8_t *b, int j, int *scale, int *min)
{
    if (j < 4) { *scale = b[j] & 63; *min = b[j + 4] & 63; return; }
    *scale = (b[j + 4] & 15) | (b[j - 4] >> 6) << 4;
    *min = b[j + 4] >> 4 | (b[j] >> 6) << 4;
}

void wt_unpack_q4_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 256; b++, p += 144, dst += 256) {
        float d = half_at(p), dmin = half_at(p + 2);
        for (int j = 0; j < 8; j++) {             /* 32 values; two share 32 bytes, the first has the low nibbles */
            const uint8_t *q = p + 16 + 32 * (j / 2);
            int scale, min, shift = 4 * (j % 2);
            six_bits(p + 4, j, &scale, &min);
            float s = d * (float)scale, m = dmin * (float)min;
            for (int l = 0; l < 32; l++) dst[32 * j + l] = s * (float)(q[l] >> shift & 15) - m;
        }
    }
}

/* As Q4_K, with 32 bytes of fifth bits before the nibbles: bit j of byte l belongs to value l of block j. */
void wt_unpack_q5_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 256; b++, p += 176, dst += 256) {
        float d = half_at(p), dmin = half_at(p + 2);
        for (int j = 0; j < 8; j++) {
            const uint8_t *h = p + 16, *q = p + 48 + 32 * (j / 2);
            int scale, min, shift = 4 * (j % 2);
            six_bits(p + 4, j, &scale, &min);
            float s = d * (float)scale, m = dmin * (float)min;
            for (int l = 0; l < 32; l++) dst[32 * j + l] = s * (float)((q[l] >> shift & 15) | (h[l] >> j & 1) << 4) - m;
        }
    }
}

/* 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales, a half. Per 128 values, block k of 32: nibbles from bytes
 * 32 (k mod 2), low for k < 2, bit pair k. */
void wt_unpack_q6_k(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 256; b++, p += 210, dst += 256) {
        float d = half_at(p + 208);
        for (int k = 0; k < 8; k++) {
            const uint8_t *low = p + 64 * (k / 4) + 32 * (k % 2), *high = p + 128 + 32 * (k / 4);
            int shift = k % 4 < 2 ? 0 : 4, pair = 2 * (k % 4);
            for (int l = 0; l < 32; l++) {
                int q = ((low[l] >> shift & 15) | (high[l] >> pair & 3) << 4) - 32;
                dst[32 * k + l] = d * (float)(int8_t)p[192 + 2 * k + l / 16] * (float)q;
            }
        }
    }
}
