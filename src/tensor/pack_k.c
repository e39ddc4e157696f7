/* Writing super-blocks of 256 values: Q4_K, Q5_K, Q6_K. Layouts as in blocks_k.c.
 *
 * A part is 32 (Q6_K: 16) values with a scale of its own. For each part, grids a little wider and narrower than the range are tried; on each,
 * values are rounded and the line x = s q - m (Q6_K: x = s q) through them is fitted by least squares weighted with w = |x| + rms(x), since large
 * values matter more to a product; the grid with the least weighted error wins. Then the parts' scales and minima are rounded to six (eight) bits of
 * the super-block's halves, and the values are rounded once more on the grid that will be read back.
 * Values that are not finite count as zero. */
#include "tensor/blocks.h"

#include "tensor/type.h"
#include <math.h>
#include <string.h>

enum { SUPER = 256 };

static void half_put(uint8_t *p, float v)
{
    uint16_t h = wt_float_to_half(v);
    p[0] = (uint8_t)h;
    p[1] = (uint8_t)(h >> 8);
}

static float half_of(float v) { return wt_half_to_float(wt_float_to_half(v)); }

/* To the nearest whole number, for |v| < 2^22: adding and taking away 1.5 * 2^23 leaves no room for a fraction. */
static float nearest(float v)
{
    float u = v + 12582912.0f;
    return u - 12582912.0f;
}

static float clamp(float v, float lo, float hi) { return v < lo ? lo : v > hi ? hi : v; }

/* Four values side by side: the sums below would otherwise wait for each addition. */
typedef float v4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t i4 __attribute__((vector_size(16), aligned(4), may_alias));

static v4 at(const float *p) { return *(const v4 *)p; }
static v4 all(float v) { return (v4){ v, v, v, v }; }
static v4 pick(i4 mask, v4 a, v4 b) { return (v4)((mask & (i4)a) | (~mask & (i4)b)); }
static float sum(v4 v) { return (v[0] + v[1]) + (v[2] + v[3]); }
static v4 clamp4(v4 v, float lo, float hi) { v = pick(v < all(lo), all(lo), v); return pick(v > all(hi), all(hi), v); }
static v4 nearest4(v4 v) { return v + all(12582912.0f) - all(12582912.0f); }

/* Finite copies, and the weights of the fit. */
static void take(float *x, float *w, const float *src, int n)
{
    double squares = 0;
    for (int i = 0; i < n; i++) {
        x[i] = isfinite(src[i]) ? src[i] : 0;
        squares += (double)x[i] * (double)x[i];
    }
    float rms = (float)sqrt(squares / n);
    for (int i = 0; i < n; i++) w[i] = fabsf(x[i]) + rms;
}

/* ---- scale and minimum: Q4_K, Q5_K ----------------------------------------------------------------------------------------- */

typedef struct fit { float s, m, error; } fit;   /* x = s q - m, m >= 0 */

/* Sums over a part for whole q on the grid that begins at -lo and has `inv` steps to one. */
static fit try_grid(const float *x, const float *w, int n, float lo, float inv, float top)
{
    v4 aw = all(0), ax = aw, aq = aw, aqq = aw, axq = aw, axx = aw;
    for (int i = 0; i < n; i += 4) {
        v4 xi = at(x + i), wi = at(w + i), q = clamp4(nearest4((xi - all(lo)) * all(inv)), 0, top), wq = wi * q, wx = wi * xi;
        aw += wi;
        ax += wx;
        aq += wq;
        aqq += wq * q;
        axq += wx * q;
        axx += wx * xi;
    }
    float sw = sum(aw), sx = sum(ax), sq = sum(aq), sqq = sum(aqq), sxq = sum(axq), sxx = sum(axx);
    float det = sw * sqq - sq * sq;
    fit f = { 0, 0, INFINITY };
    if (det > 0) {
        f.s = (sw * sxq - sx * sq) / det;
        f.m = (sq * sxq - sqq * sx) / det;
    }
    if (!(det > 0) || f.m < 0) {                   /* the line must not begin above zero */
        f.m = 0;
        f.s = sqq > 0 ? sxq / sqq : 0;
    }
    if (!(f.s > 0)) return (fit){ 0, 0, INFINITY };
    f.error = sxx - 2 * f.s * sxq + 2 * f.m * sx + f.s * f.s * sqq - 2 * f.s * f.m * sq + f.m * f.m * sw;
    return f;
}

static fit best_fit(const float *x, const float *w, float top)
{
    float lo = 0, hi = x[0];                       /* minima can only be taken away: the grid reaches zero */
    for (int i = 0; i < 32; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    if (!(hi > lo)) return (fit){ 0, -lo, 0 };
    fit best = { (hi - lo) / top, -lo, INFINITY };
    for (int step = -5; step <= 6; step++) {
        float inv = (top + 0.2f * (float)step) / (hi - lo);
        if (!isfinite(inv)) continue;
        fit f = try_grid(x, w, 32, lo, inv, top);
        if (f.error < best.error) best = f;
    }
    return best;
}

static int to_bits(float v, float unit, int top) { return unit > 0 ? (int)clamp(nearest(v / unit), 0, (float)top) : 0; }

static void put_six_bits(uint8_t b[12], const int s[8], const int m[8])
{
    memset(b, 0, 12);
    for (int j = 0; j < 4; j++) {
        b[j] = (uint8_t)(s[j] | (s[j + 4] >> 4) << 6);
        b[j + 4] = (uint8_t)(m[j] | (m[j + 4] >> 4) << 6);
        b[j + 8] = (uint8_t)((s[j + 4] & 15) | (m[j + 4] & 15) << 4);
    }
}

/* Weighted error of a part on the grid that is read back, step q - low; the rounded values go to q where it is not NULL. */
static float on_grid(const float *x, const float *w, float step, float low, float top, uint8_t *q)
{
    float inv = step > 0 ? 1 / step : 0;
    if (!isfinite(inv)) inv = 0;
    v4 error = all(0);
    for (int i = 0; i < 32; i += 4) {
        v4 v = clamp4(nearest4(clamp4((at(x + i) + all(low)) * all(inv), -1, 64)), 0, top), e = all(step) * v - all(low) - at(x + i);
        error += at(w + i) * e * e;
        for (int k = 0; q && k < 4; k++) q[i + k] = (uint8_t)v[k];
    }
    return sum(error);
}

/* Six bits for a scale and a minimum: the nearest, or neighbours that suit each other better. */
static void nearby(const float *x, const float *w, float d, float dmin, float top, int *s, int *m)
{
    int s0 = *s, m0 = *m;
    float best = on_grid(x, w, d * (float)s0, dmin * (float)m0, top, NULL);
    for (int k = 0; k < 9; k++) {
        int si = s0 + k / 3 - 1, mi = m0 + k % 3 - 1;
        if (k == 4 || si < 0 || mi < 0 || si > 63 || mi > 63) continue;
        float e = on_grid(x, w, d * (float)si, dmin * (float)mi, top, NULL);
        if (e < best) { best = e; *s = si; *m = mi; }
    }
}

/* Eight parts of 32: halves d and dmin and the 12 bytes of scales to p, values 0 .. top to q. */
static void scale_and_min(uint8_t *p, const float *src, int top, uint8_t q[SUPER])
{
    float x[SUPER], w[SUPER], d = 0, dmin = 0;
    fit f[8];
    int s[8], m[8];
    for (int j = 0; j < 8; j++) {
        take(x + 32 * j, w + 32 * j, src + 32 * j, 32);
        f[j] = best_fit(x + 32 * j, w + 32 * j, (float)top);
        d = fmaxf(d, f[j].s);
        dmin = fmaxf(dmin, f[j].m);
    }
    d = half_of(fminf(d / 63, 65504));
    dmin = half_of(fminf(dmin / 63, 65504));
    half_put(p, d);
    half_put(p + 2, dmin);
    for (int j = 0; j < 8; j++) {
        s[j] = to_bits(f[j].s, d, 63);
        m[j] = to_bits(f[j].m, dmin, 63);
        nearby(x + 32 * j, w + 32 * j, d, dmin, (float)top, s + j, m + j);
        on_grid(x + 32 * j, w + 32 * j, d * (float)s[j], dmin * (float)m[j], (float)top, q + 32 * j);
    }
    put_six_bits(p + 4, s, m);
}

static void low_nibbles(uint8_t *p, const uint8_t q[SUPER])
{
    for (int g = 0; g < 4; g++)
        for (int i = 0; i < 32; i++) p[32 * g + i] = (uint8_t)((q[64 * g + i] & 15) | (q[64 * g + 32 + i] & 15) << 4);
}

void wt_pack_q4_k(void *dst, const float *src, size_t n)
{
    uint8_t *p = dst, q[SUPER];
    for (size_t b = 0; b < n / SUPER; b++, p += 144, src += SUPER) {
        scale_and_min(p, src, 15, q);
        low_nibbles(p + 16, q);
    }
}

void wt_pack_q5_k(void *dst, const float *src, size_t n)
{
    uint8_t *p = dst, q[SUPER];
    for (size_t b = 0; b < n / SUPER; b++, p += 176, src += SUPER) {
        scale_and_min(p, src, 31, q);
        memset(p + 16, 0, 32);
        for (int j = 0; j < 8; j++)
            for (int i = 0; i < 32; i++) p[16 + i] |= (uint8_t)((q[32 * j + i] >> 4) << j);
        low_nibbles(p + 48, q);
    }
}

/* ---- scale alone: Q6_K ---------------------------------------------------------------------------------------------------- */

/* The scale of 16 values in -32 .. 31 with the least weighted error; its sign puts the largest value at -32. */
static float best_scale(const float *x, const float *w)
{
    float top = 0, peak = 0, best = 0, gain = -1;
    for (int i = 0; i < 16; i++) if (fabsf(x[i]) > top) { top = fabsf(x[i]); peak = x[i]; }
    if (!(top > 0)) return 0;
    for (int step = -9; step <= 9; step++) {
        float inv = -(32 + 0.1f * (float)step) / peak;
        v4 axq = all(0), aqq = axq;
        if (!isfinite(inv)) continue;
        for (int i = 0; i < 16; i += 4) {
            v4 q = clamp4(nearest4(at(x + i) * all(inv)), -32, 31), wq = at(w + i) * q;
            axq += wq * at(x + i);
            aqq += wq * q;
        }
        float sxq = sum(axq), sqq = sum(aqq);
        if (sqq > 0 && sxq * sxq > gain * sqq) {   /* least error: the largest sxq^2 / sqq */
            gain = sxq * sxq / sqq;
            best = sxq / sqq;
        }
    }
    return best;
}

void wt_pack_q6_k(void *dst, const float *src, size_t n)
{
    uint8_t *p = dst, q[SUPER];
    for (size_t b = 0; b < n / SUPER; b++, p += 210, src += SUPER) {
        float x[SUPER], w[16], s[16], most = 0;
        for (int j = 0; j < 16; j++) {
            take(x + 16 * j, w, src + 16 * j, 16);
            s[j] = best_scale(x + 16 * j, w);
            if (fabsf(s[j]) > fabsf(most)) most = s[j];
        }
        float d = half_of(clamp(most / -128, -65504, 65504)), inv = d != 0 ? 1 / d : 0;
        for (int j = 0; j < 16; j++) {
            int k = isfinite(inv) ? (int)clamp(nearest(clamp(s[j] * inv, -129, 128)), -128, 127) : 0;
            float step = d * (float)k, to = step != 0 ? 1 / step : 0;
            if (!isfinite(to)) to = 0;
            p[192 + j] = (uint8_t)k;
            for (int i = 0; i < 16; i++) q[16 * j + i] = (uint8_t)(32 + (int)clamp(nearest(clamp(x[16 * j + i] * to, -64, 64)), -32, 31));
        }
        for (int h = 0; h < 2; h++)
            for (int l = 0; l < 32; l++) {
                const uint8_t *v = q + 128 * h + l;
                p[64 * h + l] = (uint8_t)((v[0] & 15) | (v[64] & 15) << 4);
                p[64 * h + 32 + l] = (uint8_t)((v[32] & 15) | (v[96] & 15) << 4);
                p[128 + 32 * h + l] = (uint8_t)(v[0] >> 4 | (v[32] >> 4) << 2 | (v[64] >> 4) << 4 | (v[96] >> 4) << 6);
            }
        half_put(p + 208, d);
    }
}
