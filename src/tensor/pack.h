/* What the writers of blocks share: rounding, four values side by side, and values and weights that arithmetic cannot spoil. */
#ifndef WT_TENSOR_PACK_H
#define WT_TENSOR_PACK_H

#include "tensor/type.h"
#include <math.h>
#include <stddef.h>

/* ---- one value ----------------------------------------------------------------------------------------------------- */

static inline void half_put(uint8_t *p, float v)
{
    uint16_t h = wt_float_to_half(v);
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

/* To the nearest whole number, for |v| < 2^22: adding and taking away 1.5 * 2^23 leaves no room for a fraction. */
static inline float nearest(float v)
{
    float u = v + 12582912.0f;
    return u - 12582912.0f;
}

static inline float clamp(float v, float lo, float hi) { return v < lo ? lo : v > hi ? hi : v; }

/* ---- four values side by side: sums in one would wait for each addition ---------------------------------------------- */

typedef float v4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t i4 __attribute__((vector_size(16), aligned(4), may_alias));

static inline v4 v4_at(const float *p) { return *(const v4 *)p; }
static inline v4 v4_all(float v) { return (v4){ v, v, v, v }; }
static inline float v4_sum(v4 v) { return (v[0] + v[1]) + (v[2] + v[3]); }
static inline v4 v4_nearest(v4 v) { return v + 12582912.0f - 12582912.0f; }

/* Element by element, which compilers turn into one instruction each. */
static inline v4 v4_clamp(v4 v, float lo, float hi)
{
    v4 r;
    for (int k = 0; k < 4; k++) r[k] = v[k] < hi ? v[k] : hi;
    for (int k = 0; k < 4; k++) r[k] = r[k] > lo ? r[k] : lo;
    return r;
}

/* ---- values and weights ----------------------------------------------------------------------------------------------- */

enum { WT_SUPER = 256 };

/* Makes n values (a multiple of `part`, itself a multiple of 4) fit to compute with, and gives each its weight in the error:
 *     w = c (|x| + r),   r = root mean square of its part, c = weight / mean weight (1 without weights, at least 1e-4)
 * since errors of large values harm products more, though not so much more that small ones could be given up.
 * What is not finite becomes 0. Formats whose scales are halves hold multiples of 2^-24 up to about 3e8: less than 2^-26 becomes 0,
 * magnitudes are cut at 2^30. So squares and sums neither vanish nor overflow, and no quotient of two ranges is infinite. */
void wt_pack_clean(float *x, float *w, const float *src, const float *weight, int n, int part);

/* The half that is nearest to most / count; the next one up where `count` steps of it would miss `most` by over half a per cent, as
 * tiny halves do. most >= 0. */
float wt_pack_unit(float most, int count);

/* 256 values below 4 to 64 bytes, as Q2_K and Q3_K have them. */
void wt_pack_bit_pairs(uint8_t *p, const uint8_t q[WT_SUPER]);

#endif
