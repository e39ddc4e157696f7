/* Products of weights in blocks with activations as bytes, in plain C: what every tier must give to the last bit.
 *
 * Row times token is a sum over blocks of 32 values in their order. A block's products are added as integers, which is exact, and then
 *     acc = fma(sum, s d, acc)                     s: scale of the block, d: of the token's bytes
 *     acc = fma(-m, d (sum of the bytes), acc)     where the format subtracts a minimum
 * Where sixteen values share a scale (Q2_K, Q3_K, Q6_K) the scales are small integers and part of the integer sum; all of them stay below
 * 2^24, so a tier may also compute them as floats. */
#include "kernel/kernel.h"

#include <math.h>
#include <string.h>

typedef struct part { int16_t q[32]; int32_t scale[2], min[2]; float s, m; } part;   /* scale and min of each half */

static float half_at(const uint8_t *p) { return wt_half_to_float((uint16_t)(p[0] | p[1] << 8)); }

static void nibbles(int16_t *q, const uint8_t *p, int offset)
{
    for (int i = 0; i < 16; i++) {
        q[i] = (p[i] & 15) - offset;
        q[i + 16] = (p[i] >> 4) - offset;
    }
}

static void fifth_bits(int16_t *q, const uint8_t *p)
{
    for (int i = 0; i < 32; i++) q[i] += (p[i / 8] >> i % 8 & 1) << 4;
}

static void look_up(int16_t *q, const uint8_t *p, const int8_t table[16])
{
    nibbles(q, p, 0);
    for (int i = 0; i < 32; i++) q[i] = table[q[i]];
}

static const int8_t iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
static const int8_t fp4[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

/* Block b of a row whose blocks hold 32 values. */
static void simple(wt_type type, const uint8_t *p, part *o)
{
    if (type == WT_MXFP4) {
        o->s = ldexpf(1.0f, p[0] - 128);
        look_up(o->q, p + 1, fp4);
        return;
    }
    o->s = half_at(p);
    if (type == WT_Q4_1 || type == WT_Q5_1) o->m = -half_at(p + 2);
    if (type == WT_Q4_0) nibbles(o->q, p + 2, 8);
    if (type == WT_Q4_1) nibbles(o->q, p + 4, 0);
    if (type == WT_Q5_0) { nibbles(o->q, p + 6, 16); fifth_bits(o->q, p + 2); }
    if (type == WT_Q5_1) { nibbles(o->q, p + 8, 0); fifth_bits(o->q, p + 4); }
    if (type == WT_IQ4_NL) look_up(o->q, p + 2, iq4);
    if (type == WT_Q8_0) for (int i = 0; i < 32; i++) o->q[i] = (int8_t)p[2 + i];
}

/* Six-bit scale and minimum i of Q4_K and Q5_K. */
static void six_bits(const uint8_t *p, int i, float d, float dmin, part *o)
{
    int scale = i < 4 ? p[i] & 63 : (p[i + 4] & 15) | (p[i - 4] >> 6) << 4;
    int min = i < 4 ? p[i + 4] & 63 : p[i + 4] >> 4 | (p[i] >> 6) << 4;
    o->s = d * (float)scale;
    o->m = dmin * (float)min;
}

static int q3_scale(const uint8_t *p, int j) { return ((j < 8 ? p[j] & 15 : p[j - 8] >> 4) | (p[8 + j % 4] >> 2 * (j / 4) & 3) << 4) - 32; }

/* Block i of the super-block at p. */
static void super(wt_type type, const uint8_t *p, int i, part *o)
{
    int half = i / 4, quarter = i % 4;
    switch (type) {
    case WT_Q4_K: case WT_Q5_K:
        six_bits(p + 4, i, half_at(p), half_at(p + 2), o);
        for (int l = 0; l < 32; l++) o->q[l] = p[(type == WT_Q4_K ? 16 : 48) + 32 * (i / 2) + l] >> 4 * (i % 2) & 15;
        for (int l = 0; type == WT_Q5_K && l < 32; l++) o->q[l] |= (p[16 + l] >> i & 1) << 4;
        break;
    case WT_Q6_K:
        o->s = half_at(p + 208);
        for (int k = 0; k < 2; k++) o->scale[k] = (int8_t)p[192 + 2 * i + k];
        for (int l = 0; l < 32; l++)
            o->q[l] = ((p[64 * half + 32 * (quarter % 2) + l] >> 4 * (quarter / 2) & 15) | (p[128 + 32 * half + l] >> 2 * quarter & 3) << 4) - 32;
        break;
    case WT_Q3_K:
        o->s = half_at(p + 108);
        for (int k = 0; k < 2; k++) o->scale[k] = q3_scale(p + 96, 2 * i + k);
        for (int l = 0; l < 32; l++) o->q[l] = ((p[32 + 32 * half + l] >> 2 * quarter & 3) | (p[l] >> i & 1) << 2) - 4;
        break;
    case WT_Q2_K:
        o->s = half_at(p + 80);
        o->m = half_at(p + 82);
        for (int k = 0; k < 2; k++) { o->scale[k] = p[2 * i + k] & 15; o->min[k] = p[2 * i + k] >> 4; }
        for (int l = 0; l < 32; l++) o->q[l] = p[16 + 32 * half + l] >> 2 * quarter & 3;
        break;
    default:                                                                 /* IQ4_XS */
        o->s = half_at(p) * (float)(((p[4 + i / 2] >> 4 * (i % 2) & 15) | ((p[2] | p[3] << 8) >> 2 * i & 3) << 4) - 32);
        look_up(o->q, p + 8 + 16 * i, iq4);
    }
}

/* Sixteen products; in 16 bits each factor, which compilers make good use of also where vectors are as small as those of plain x86-64. */
static int32_t half_sum(const int16_t *q, const int8_t *x)
{
    int32_t sum = 0;
    for (int i = 0; i < 16; i++) sum += q[i] * x[i];
    return sum;
}

static float add_block(wt_type type, const part *w, const wt_q8 *x, float acc)
{
    int32_t sum[2] = { half_sum(w->q, x->q), half_sum(w->q + 16, x->q + 16) };
    bool halves = type == WT_Q2_K || type == WT_Q3_K || type == WT_Q6_K;
    int32_t all = halves ? w->scale[0] * sum[0] + w->scale[1] * sum[1] : sum[0] + sum[1];
    acc = fmaf((float)all, w->s * x->d, acc);
    if (type == WT_Q2_K) return fmaf((float)(w->min[0] * x->nhalf[0] + w->min[1] * x->nhalf[1]), w->m * x->d, acc);
    if (type == WT_Q4_1 || type == WT_Q5_1 || type == WT_Q4_K || type == WT_Q5_K) return fmaf(-w->m, x->ds, acc);
    return acc;
}

/* Parts of up to this many blocks of a row are taken apart once for all tokens. */
enum { AT_ONCE = 8 };

static void row_product(wt_type type, float *y, size_t ldy, const uint8_t *row, const wt_q8 *x, size_t n_tok, size_t n_block)
{
    const wt_type_info *t = wt_type_get(type);
    part w[AT_ONCE];
    for (size_t k = 0; k < n_tok; k++) y[k * ldy] = 0;
    for (size_t b = 0; b < n_block; b += AT_ONCE) {
        size_t n = n_block - b < AT_ONCE ? n_block - b : AT_ONCE;
        for (size_t i = 0; i < n; i++)
            if (t->block == 32) simple(type, row + (b + i) * t->bytes, w + i);
            else super(type, row + (b + i) / 8 * t->bytes, (int)((b + i) % 8), w + i);
        for (size_t k = 0; k < n_tok; k++) {
            const wt_q8 *xk = x + k * n_block + b;
            float acc = y[k * ldy];
            for (size_t i = 0; i < n; i++) acc = add_block(type, w + i, xk + i, acc);
            y[k * ldy] = acc;
        }
    }
}

static void qmul(wt_type type, float *y, size_t ldy, const void *w, size_t row_bytes, size_t n_row, const wt_q8 *x, size_t n_tok, size_t n_block,
                 void *scratch)
{
    const wt_type_info *t = wt_type_get(type);
    for (size_t r = 0; r < n_row; r++) {
        const uint8_t *row = (const uint8_t *)w + r * row_bytes;
        if (t->group) {
            if (r % WT_GROUP == 0) wt_ungroup(t, scratch, row, 32 * n_block);
            row = (const uint8_t *)scratch + r % WT_GROUP * row_bytes;
        }
        row_product(t->group ? t->base : type, y + r, ldy, row, x, n_tok, n_block);
    }
}

#define EACH(X) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0) X(IQ4_NL) X(MXFP4) X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) X(Q6_K) X(IQ4_XS)
#define ARGS float *y, size_t ldy, const void *w, size_t row_bytes, size_t n_row, const wt_q8 *x, size_t n_tok, size_t n_block, const void *next, void *scratch
#define DEFINE(T) \
    static void qmul_##T(ARGS) { (void)next; qmul(WT_##T, y, ldy, w, row_bytes, n_row, x, n_tok, n_block, scratch); } \
    static void qmul_##T##_X8(ARGS) { (void)next; qmul(WT_##T##_X8, y, ldy, w, row_bytes, n_row, x, n_tok, n_block, scratch); }
EACH(DEFINE)

/* ---- activations ------------------------------------------------------------------------------------------------------- */

static void quantize(wt_q8 *dst, const float *x, size_t n_block)
{
    for (size_t b = 0; b < n_block; b++, x += 32, dst++) {
        float most = 0;
        bool bad = false;
        for (int i = 0; i < 32; i++) {
            bad |= !isfinite(x[i]);
            most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
        }
        float d = bad ? NAN : most / 127.0f, inv = bad || !(most > 0) ? 0 : 127.0f / most;
        if (!(inv < INFINITY)) { inv = 0; d = 0; }                            /* smaller than any product could show */
        *dst = (wt_q8){ .d = d };
        for (int i = 0; i < 32; i++) {
            dst->q[i] = (int8_t)(bad ? 0 : rintf(x[i] * inv));
            dst->nhalf[i / 16] = (int16_t)(dst->nhalf[i / 16] - dst->q[i]);
        }
        dst->nsum = dst->nhalf[0] + dst->nhalf[1];
        dst->ds = d * (float)-dst->nsum;
    }
}

void wt_kernels_ref_q(wt_kernels *k)
{
    k->quantize = quantize;
#define FILL(T) k->qmul[WT_##T] = qmul_##T; k->qmul[WT_##T##_X8] = qmul_##T##_X8;
    EACH(FILL)
}
