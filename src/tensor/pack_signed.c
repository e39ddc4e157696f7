/* Writing blocks of parts with a signed scale and no minimum: Q3_K, Q6_K, IQ4_XS, IQ4_NL, MXFP4. Layouts as in blocks.c, blocks_k.c.
 *
 * What is read back is x' = d K l: a half d of the super-block, a whole K of the part, a level l of the value (evenly spaced, or of a
 * table). Wanted is the least sum of w (x - x')^2, with the weights of wt_pack_clean:
 *   1. d such that the part with the largest value has nearly the largest K, with room for a little more.
 *   2. Part by part, every K that puts the largest value between the levels `narrow` and `wide`, around the outermost one, has its values
 *      rounded; the least error wins. As K is whole these are few, and nothing else could be written.
 *   3. d again, by least squares for these K and l over the whole super-block: d = sum w x K l / sum w (K l)^2; kept where the error after
 *      rounding the values once more is less.
 * Levels reach one step further down than up, so the sign of K turns the largest value downwards; where the levels are uneven, both signs
 * are tried. */
#include "tensor/pack.h"

#include "tensor/blocks.h"
#include <string.h>

typedef struct form {
    int part, most;            /* values of a part; K lies in -most .. most - 1 */
    float top;                 /* levels: -top .. top - 1, or those of the table */
    float narrow, wide, room;
    bool table;
} form;

static const form q3_k = { 16, 32, 4, 3, 5, 1.33f, false }, q6_k = { 16, 128, 32, 30, 34, 1.06f, false }, iq4_xs = { 32, 32, 127, 100, 150, 1.1f, true },
                  iq4_nl = { 32, 40, 127, 100, 150, 1.3f, true };

typedef struct super {
    float x[WT_SUPER], w[WT_SUPER], d;
    int k[WT_SUPER / 16];
    uint8_t q[WT_SUPER];       /* number of the level, from the lowest */
} super;

/* ---- levels ----------------------------------------------------------------------------------------------------------------- */

/* Middles between the levels of IQ4, and how far apart the two are. */
static const float iq4_middle[15] = { -115.5f, -93.5f, -74, -57, -42, -28.5f, -16, -4.5f, 7, 19, 31.5f, 45.5f, 61, 79, 101 };
static const int32_t iq4_gap[15] = { 23, 21, 18, 16, 14, 13, 12, 11, 12, 12, 13, 15, 16, 20, 24 };

/* Nearest levels of sixteen values. In the table from the lowest one upwards, past every middle below the value: side by side that is faster
 * than looking them up. */
static void nearest_levels(const form *f, v4 v[4])
{
    if (!f->table) {
        for (int k = 0; k < 4; k++) v[k] = v4_nearest(v4_clamp(v[k], -f->top, f->top - 1));
        return;
    }
    i4 a = { -127, -127, -127, -127 }, b = a, c = a, d = a;
    for (int k = 0; k < 15; k++) {
        v4 middle = v4_all(iq4_middle[k]);
        i4 gap = (i4){ 0 } + iq4_gap[k];
        a += (v[0] > middle) & gap;
        b += (v[1] > middle) & gap;
        c += (v[2] > middle) & gap;
        d += (v[3] > middle) & gap;
    }
    v[0] = __builtin_convertvector(a, v4);
    v[1] = __builtin_convertvector(b, v4);
    v[2] = __builtin_convertvector(c, v4);
    v[3] = __builtin_convertvector(d, v4);
}

/* Number of the level nearest to v. */
static uint8_t number_of(const form *f, float v)
{
    if (!f->table) return (uint8_t)(nearest(clamp(v, -f->top, f->top - 1)) + f->top);
    uint8_t number = 0;
    for (int k = 0; k < 15; k++) number = (uint8_t)(number + (v > iq4_middle[k]));
    return number;
}

/* ---- the search --------------------------------------------------------------------------------------------------------------- */

static float inverse(float step) { return step != 0 ? 1 / step : 0; }

/* Levels of the sixteen values from x on the levels times 1 / inv. */
static void levels_at(const form *f, v4 l[4], const float *x, float inv)
{
    for (int k = 0; k < 4; k++) l[k] = v4_at(x + 4 * k) * inv;
    nearest_levels(f, l);
}

/* Weighted error of a part on the levels times `step`. */
static float error_on(const form *f, const float *x, const float *w, float step)
{
    v4 error = v4_all(0), l[4];
    float inv = inverse(step);
    for (int i = 0; i < f->part; i += 16) {
        levels_at(f, l, x + i, inv);
        for (int k = 0; k < 4; k++) {
            v4 off = step * l[k] - v4_at(x + i + 4 * k);
            error += v4_at(w + i + 4 * k) * off * off;
        }
    }
    return v4_sum(error);
}

/* Sums of w x l and w l^2. */
static void sums_on(const form *f, const float *x, const float *w, float step, float *xl, float *ll)
{
    v4 sxl = v4_all(0), sll = sxl, l[4];
    float inv = inverse(step);
    for (int i = 0; i < f->part; i += 16) {
        levels_at(f, l, x + i, inv);
        for (int k = 0; k < 4; k++) {
            v4 wl = v4_at(w + i + 4 * k) * l[k];
            sxl += wl * v4_at(x + i + 4 * k);
            sll += wl * l[k];
        }
    }
    *xl = v4_sum(sxl);
    *ll = v4_sum(sll);
}

/* The value of largest magnitude. */
static float peak_of(const float *x, int n)
{
    float low = 0, high = 0;
    for (int i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    return -low > high ? low : high;
}

/* K of a part for this d, and the error that remains. */
static int best_scale(const form *f, const float *x, const float *w, float d, float *error)
{
    float far = peak_of(x, f->part) * inverse(d), a = fabsf(far), most = (float)f->most;
    int k = 0, middle = (int)nearest(clamp(a / f->top, 0, most));
    int from = (int)clamp(ceilf(a / f->wide), 0, most), to = (int)clamp(floorf(a / f->narrow), 0, most);
    if (from > middle - 1) from = middle - 1;
    if (to < middle + 1) to = middle + 1;
    *error = error_on(f, x, w, 0);
    for (int i = from < 1 ? 1 : from; i <= to && far != 0; i++)
        for (int sign = -1; sign <= f->table; sign += 2) {
            int this = (far > 0 ? i : -i) * sign;
            if (this < -f->most || this >= f->most) continue;
            float e = error_on(f, x, w, d * (float)this);
            if (e < *error) { *error = e; k = this; }
        }
    return k;
}

/* d such that `peak` at the outermost level needs nearly the largest K. */
static float first_unit(const form *f, float peak)
{
    float d = wt_pack_unit(fabsf(peak) / f->top * f->room, f->most);
    return peak < 0 ? -d : d;
}

static void round_part(const form *f, uint8_t *q, const float *x, float step)
{
    float inv = inverse(step);
    for (int i = 0; i < f->part; i++) q[i] = number_of(f, x[i] * inv);
}

static void find(super *b, const form *f, const float *src, const float *weight)
{
    float error = 0, other = 0, e;
    double above = 0, below = 0;
    wt_pack_clean(b->x, b->w, src, weight, WT_SUPER, f->part);
    b->d = first_unit(f, peak_of(b->x, WT_SUPER));
    for (int j = 0, i = 0; i < WT_SUPER; j++, i += f->part) {
        float xl, ll;
        b->k[j] = best_scale(f, b->x + i, b->w + i, b->d, &e);
        sums_on(f, b->x + i, b->w + i, b->d * (float)b->k[j], &xl, &ll);
        above += (double)b->k[j] * (double)xl;
        below += (double)b->k[j] * (double)b->k[j] * (double)ll;
        error += e;
    }
    float d = below > 0 ? wt_half_to_float(wt_float_to_half((float)(above / below))) : b->d;
    for (int j = 0, i = 0; i < WT_SUPER; j++, i += f->part) other += error_on(f, b->x + i, b->w + i, d * (float)b->k[j]);
    if (other < error && isfinite(d)) b->d = d;
    for (int j = 0, i = 0; i < WT_SUPER; j++, i += f->part) round_part(f, b->q + i, b->x + i, b->d * (float)b->k[j]);
}

/* ---- bytes: super-blocks -------------------------------------------------------------------------------------------------------- */

void wt_pack_q6_k_weighted(void *dst, const float *src, const float *weight, size_t n)
{
    super b;
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i += WT_SUPER, p += 210) {
        find(&b, &q6_k, src + i, weight ? weight + i : NULL);
        for (int h = 0; h < 2; h++)
            for (int l = 0; l < 32; l++) {
                const uint8_t *q = b.q + 128 * h + l;
                p[64 * h + l] = (uint8_t)((q[0] & 15) | (q[64] & 15) << 4);
                p[64 * h + 32 + l] = (uint8_t)((q[32] & 15) | (q[96] & 15) << 4);
                p[128 + 32 * h + l] = (uint8_t)(q[0] >> 4 | (q[32] >> 4) << 2 | (q[64] >> 4) << 4 | (q[96] >> 4) << 6);
            }
        for (int j = 0; j < 16; j++) p[192 + j] = (uint8_t)b.k[j];
        half_put(p + 208, b.d);
    }
}

void wt_pack_q3_k_weighted(void *dst, const float *src, const float *weight, size_t n)
{
    super b;
    uint8_t *p = dst, low[WT_SUPER];
    for (size_t i = 0; i < n; i += WT_SUPER, p += 110) {
        find(&b, &q3_k, src + i, weight ? weight + i : NULL);
        memset(p, 0, 32);
        for (int k = 0; k < WT_SUPER; k++) {
            p[k % 32] |= (uint8_t)((b.q[k] >> 2) << k / 32);
            low[k] = b.q[k] & 3;
        }
        wt_pack_bit_pairs(p + 32, low);
        memset(p + 96, 0, 12);
        for (int j = 0; j < 16; j++) {
            int s = b.k[j] + 32;
            p[96 + j % 8] |= (uint8_t)((s & 15) << (j < 8 ? 0 : 4));
            p[104 + j % 4] |= (uint8_t)((s >> 4) << 2 * (j / 4));
        }
        half_put(p + 108, b.d);
    }
}

static void put_halves_of_32(uint8_t *p, const uint8_t *q) { for (int j = 0; j < 16; j++) p[j] = (uint8_t)(q[j] | q[j + 16] << 4); }

void wt_pack_iq4_xs_weighted(void *dst, const float *src, const float *weight, size_t n)
{
    super b;
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i += WT_SUPER, p += 136) {
        find(&b, &iq4_xs, src + i, weight ? weight + i : NULL);
        half_put(p, b.d);
        memset(p + 2, 0, 6);
        for (int j = 0; j < 8; j++) {
            int s = b.k[j] + 32;
            p[2 + j / 4] |= (uint8_t)((s >> 4) << 2 * (j % 4));
            p[4 + j / 2] |= (uint8_t)((s & 15) << 4 * (j % 2));
            put_halves_of_32(p + 8 + 16 * j, b.q + 32 * j);
        }
    }
}

/* ---- blocks of 32 ----------------------------------------------------------------------------------------------------------------- */

static float round_half(float v) { return wt_half_to_float(wt_float_to_half(clamp(v, -65504, 65504))); }

/* One part, so d K is one half: the best of the steps that K gives, or the one fitted to the levels on it, both rounded to a half. */
void wt_pack_iq4_nl_weighted(void *dst, const float *src, const float *weight, size_t n)
{
    const form *f = &iq4_nl;
    float x[32], w[32], xl, ll, unused;
    uint8_t *p = dst, q[32];
    for (size_t i = 0; i < n; i += 32, p += 18) {
        wt_pack_clean(x, w, src + i, weight ? weight + i : NULL, 32, 32);
        float unit = peak_of(x, 32) * f->room / (f->top * (float)f->most), step = unit * (float)best_scale(f, x, w, unit, &unused);
        sums_on(f, x, w, step, &xl, &ll);
        float d = round_half(step), fitted = ll > 0 ? round_half(xl / ll) : d;
        if (error_on(f, x, w, fitted) < error_on(f, x, w, d)) d = fitted;
        half_put(p, d);
        round_part(f, q, x, d);
        put_halves_of_32(p + 2, q);
    }
}

/* ---- MXFP4: the scale is a power of two ---------------------------------------------------------------------------------------------- */

/* Number of the level nearest to a >= 0 among 0, 1, 2, 3, 4, 6, 8, 12: twice those of the format. */
static int fp4(float a) { return (a > 0.5f) + (a > 1.5f) + (a > 2.5f) + (a > 3.5f) + (a > 5) + (a > 7) + (a > 10); }

static float fp4_error(const float *x, const float *w, float step)
{
    static const float level[8] = { 0, 1, 2, 3, 4, 6, 8, 12 };
    float error = 0;
    for (int i = 0; i < 32; i++) {
        float off = step * level[fp4(fabsf(x[i]) / step)] - fabsf(x[i]);
        error += w[i] * off * off;
    }
    return error;
}

/* With 2^k <= largest |x| < 2^(k+1), levels that end at 1.5 2^k (the largest may be cut, the grid is finer) or at 3 2^k: what errs less.
 * Values are divided by 2^k first, as the exponent has nearly the range of float. */
void wt_pack_mxfp4_weighted(void *dst, const float *src, const float *weight, size_t n)
{
    float x[32], w[32];
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i += 32, p += 17) {
        float most = 0;
        for (int j = 0; j < 32; j++) if (isfinite(src[i + j]) && fabsf(src[i + j]) > most) most = fabsf(src[i + j]);
        int k = most > 0 ? ilogbf(most) : 0, e = k < -125 ? 0 : k + 125;
        for (int j = 0; j < 32; j++) x[j] = ldexpf(src[i + j], -k);
        wt_pack_clean(x, w, x, weight ? weight + i : NULL, 32, 32);
        float step = ldexpf(1, e - 128 - k);
        if (fp4_error(x, w, 2 * step) < fp4_error(x, w, step)) { step *= 2; e++; }
        p[0] = (uint8_t)(most > 0 ? e : 0);
        for (int j = 0; j < 16; j++) {
            int low = fp4(fabsf(x[j]) / step), high = fp4(fabsf(x[j + 16]) / step);
            low |= low && x[j] < 0 ? 8 : 0;
            high |= high && x[j + 16] < 0 ? 8 : 0;
            p[1 + j] = (uint8_t)(low | high << 4);
        }
    }
}
