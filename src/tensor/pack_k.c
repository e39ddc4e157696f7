/* Writing super-blocks of parts with a scale and a minimum: Q2_K, Q4_K, Q5_K. Layouts as in blocks_k.c.
 *
 * What is read back is x' = d S q - e M: halves d and e of the super-block, whole S and M of the part, whole q of the value. Wanted is the
 * least sum of w (x - x')^2, with the weights of wt_pack_clean. All of them at once is a hard problem; here, in turn:
 *   1. Part by part, a line x = s q - m, m >= 0, in real numbers. Grids with (top + t) / (high - low) steps to one are tried,
 *      t = -1 .. 1.2; values rounded on one give q, and the line through them by least squares,
 *          s = (W P - X Q) / D,  m = (Q P - R X) / D,  D = W R - Q^2,
 *      where W, X, Q, R, P are the sums of w, w x, w q, w q^2, w x q. The one with the least error wins, and is rounded on and fitted
 *      again while that helps.
 *   2. d = largest s / most S, e likewise, rounded to halves; S and M are the nearest, or neighbours of them that suit each other better
 *      once the values are rounded on the grid that they make.
 *   3. For these S, M and q the best d and e, again by least squares, over the whole super-block; kept where the error after rounding
 *      the values once more is less. */
#include "tensor/pack.h"

#include "tensor/blocks.h"
#include <string.h>

typedef struct shape { int part, top, most; } shape;       /* values of a part; largest q; largest S and M */
typedef struct line { float s, m, error; } line;

/* One super-block: cleaned values, weights; what is to be found. */
typedef struct super {
    float x[WT_SUPER], w[WT_SUPER];
    float d, e;
    int s[WT_SUPER / 16], m[WT_SUPER / 16];
    uint8_t q[WT_SUPER];
} super;

/* ---- 1. a line through a part --------------------------------------------------------------------------------------------- */

/* Sums over a part with y = x - low instead of x: the values may lie far from zero, and close together. */
typedef struct sums { float w, y, yy, q, qq, yq; } sums;

static void sums_of_values(sums *a, const float *x, const float *w, int n, float low)
{
    v4 sw = v4_all(0), sy = sw, syy = sw;
    for (int i = 0; i < n; i += 4) {
        v4 y = v4_at(x + i) - low, wi = v4_at(w + i), wy = wi * y;
        sw += wi;
        sy += wy;
        syy += wy * y;
    }
    a->w = v4_sum(sw);
    a->y = v4_sum(sy);
    a->yy = v4_sum(syy);
}

/* q on the grid that begins at `begin` and has `inv` steps to one. */
static void sums_of_steps(sums *a, const float *x, const float *w, int n, float low, float begin, float inv, float top)
{
    v4 sq = v4_all(0), sqq = sq, syq = sq;
    for (int i = 0; i < n; i += 4) {
        v4 xi = v4_at(x + i), q = v4_nearest(v4_clamp((xi - begin) * inv, 0, top)), wq = v4_at(w + i) * q;
        sq += wq;
        sqq += wq * q;
        syq += wq * (xi - low);
    }
    a->q = v4_sum(sq);
    a->qq = v4_sum(sqq);
    a->yq = v4_sum(syq);
}

/* The line of least squares; where it would begin above zero, the best one that begins at zero. An infinite error: there is none. */
static line fit(const sums *a, float low)
{
    float det = a->w * a->qq - a->q * a->q, s = 0, m = -1;      /* y = s q - m */
    if (det > 0) {
        s = (a->w * a->yq - a->y * a->q) / det;
        m = (a->q * a->yq - a->qq * a->y) / det;
    }
    if (!(m >= low)) {
        m = low;
        s = a->qq > 0 ? (a->yq + low * a->q) / a->qq : 0;
    }
    if (!(s > 0)) return (line){ 0, 0, INFINITY };
    return (line){ s, m - low, a->yy - 2 * s * a->yq + 2 * m * a->y + s * s * a->qq - 2 * s * m * a->q + m * m * a->w };
}

static line best_line(const float *x, const float *w, int n, float top)
{
    float low = 0, high = x[0];                    /* minima are only taken away: the grid reaches down to zero */
    for (int i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    if (!(high > low)) return (line){ 0, -low, 0 };
    sums a;
    line best = { (high - low) / top, -low, INFINITY }, l;
    sums_of_values(&a, x, w, n, low);
    for (int t = -5; t <= 6; t++) {
        sums_of_steps(&a, x, w, n, low, low, (top + 0.2f * (float)t) / (high - low), top);
        l = fit(&a, low);
        if (l.error < best.error) best = l;
    }
    for (int again = 0; again < 2; again++) {
        sums_of_steps(&a, x, w, n, low, -best.m, 1 / best.s, top);
        l = fit(&a, low);
        if (!(l.error < best.error)) break;
        best = l;
    }
    return best;
}

/* ---- 2. whole scales and minima -------------------------------------------------------------------------------------------- */

/* Weighted error of a part on the grid step q - low. */
static float error_on(const float *x, const float *w, int n, float step, float low, float top)
{
    v4 error = v4_all(0);
    float inv = step > 0 ? 1 / step : 0;
    for (int i = 0; i < n; i += 4) {
        v4 y = v4_at(x + i) + low, off = step * v4_nearest(v4_clamp(y * inv, 0, top)) - y;
        error += v4_at(w + i) * off * off;
    }
    return v4_sum(error);
}

static int whole(float v, float unit, int most) { return unit > 0 ? (int)nearest(clamp(v / unit, 0, (float)most)) : 0; }

/* S and M of part j: the nearest, or neighbours that suit each other better. The error that remains. */
static float choose(super *b, const shape *f, int j, const line *l)
{
    const float *x = b->x + j * f->part, *w = b->w + j * f->part;
    int s0 = whole(l->s, b->d, f->most), m0 = whole(l->m, b->e, f->most);
    float best = INFINITY;
    for (int k = 0; k < 9; k++) {
        int s = s0 + (k + 1) % 3 - 1, m = m0 + (k / 3 + 1) % 3 - 1;         /* the nearest first */
        if (s < 0 || m < 0 || s > f->most || m > f->most) continue;
        float error = error_on(x, w, f->part, b->d * (float)s, b->e * (float)m, (float)f->top);
        if (error < best) { best = error; b->s[j] = s; b->m[j] = m; }
    }
    return best;
}

/* ---- 3. halves for the whole ------------------------------------------------------------------------------------------------ */

static void round_values(super *b, const shape *f)
{
    for (int j = 0; j < WT_SUPER / f->part; j++) {
        float step = b->d * (float)b->s[j], low = b->e * (float)b->m[j], inv = step > 0 ? 1 / step : 0;
        for (int i = j * f->part; i < (j + 1) * f->part; i += 4) {
            i4 q = __builtin_convertvector(v4_nearest(v4_clamp((v4_at(b->x + i) + low) * inv, 0, (float)f->top)), i4);
            for (int k = 0; k < 4; k++) b->q[i + k] = (uint8_t)q[k];
        }
    }
}

static float round_half(double v) { return wt_half_to_float(wt_float_to_half((float)v)); }

/* d and e by least squares for the S, M and q at hand; false where they are not determined. */
static bool fit_halves(const super *b, const shape *f, float *d, float *e)
{
    double ss = 0, sm = 0, mm = 0, xs = 0, xm = 0;         /* of S q and M, weighted */
    for (int j = 0; j < WT_SUPER / f->part; j++) {
        const float *x = b->x + j * f->part, *w = b->w + j * f->part;
        float step = b->d * (float)b->s[j], low = b->e * (float)b->m[j];
        double s = b->s[j], m = b->m[j];
        sums a;
        sums_of_values(&a, x, w, f->part, 0);
        sums_of_steps(&a, x, w, f->part, 0, -low, step > 0 ? 1 / step : 0, (float)f->top);
        ss += s * s * (double)a.qq;
        sm += s * m * (double)a.q;
        mm += m * m * (double)a.w;
        xs += s * (double)a.yq;
        xm += m * (double)a.y;
    }
    double det = ss * mm - sm * sm;
    if (!(det > 1e-6 * ss * mm)) return false;
    *d = round_half((mm * xs - sm * xm) / det);
    *e = round_half((sm * xs - ss * xm) / det);
    return isfinite(*d) && isfinite(*e) && *d > 0 && *e >= 0 && (*d != b->d || *e != b->e);
}

static void find(super *b, const shape *f, const float *src, const float *weight)
{
    line l[WT_SUPER / 16];
    float s = 0, m = 0, d, e, error = 0, other = 0;
    int parts = WT_SUPER / f->part;
    wt_pack_clean(b->x, b->w, src, weight, WT_SUPER, f->part);
    for (int j = 0; j < parts; j++) {
        l[j] = best_line(b->x + j * f->part, b->w + j * f->part, f->part, (float)f->top);
        s = l[j].s > s ? l[j].s : s;
        m = l[j].m > m ? l[j].m : m;
    }
    b->d = wt_pack_unit(s, f->most);
    b->e = wt_pack_unit(m, f->most);
    for (int j = 0; j < parts; j++) error += choose(b, f, j, l + j);
    if (fit_halves(b, f, &d, &e)) {
        for (int j = 0; j < parts; j++)
            other += error_on(b->x + j * f->part, b->w + j * f->part, f->part, d * (float)b->s[j], e * (float)b->m[j], (float)f->top);
        if (other < error) { b->d = d; b->e = e; }
    }
    round_values(b, f);
}

/* ---- bytes -------------------------------------------------------------------------------------------------------------------- */

static void put_six_bits(uint8_t p[12], const int s[8], const int m[8])
{
    for (int j = 0; j < 4; j++) {
        p[j] = (uint8_t)(s[j] | (s[j + 4] >> 4) << 6);
        p[j + 4] = (uint8_t)(m[j] | (m[j + 4] >> 4) << 6);
        p[j + 8] = (uint8_t)((s[j + 4] & 15) | (m[j + 4] & 15) << 4);
    }
}

static void put_nibbles(uint8_t *p, const uint8_t q[WT_SUPER])
{
    for (int g = 0; g < 4; g++)
        for (int i = 0; i < 32; i++) p[32 * g + i] = (uint8_t)((q[64 * g + i] & 15) | (q[64 * g + 32 + i] & 15) << 4);
}

void wt_pack_q2_k_weighted(void *dst, const float *src, const float *weight, size_t n)
{
    static const shape f = { 16, 3, 15 };
    super b;
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i += WT_SUPER, p += 84) {
        find(&b, &f, src + i, weight ? weight + i : NULL);
        for (int j = 0; j < 16; j++) p[j] = (uint8_t)(b.s[j] | b.m[j] << 4);
        wt_pack_bit_pairs(p + 16, b.q);
        half_put(p + 80, b.d);
        half_put(p + 82, b.e);
    }
}

void wt_pack_q4_k_weighted(void *dst, const float *src, const float *weight, size_t n)
{
    static const shape f = { 32, 15, 63 };
    super b;
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i += WT_SUPER, p += 144) {
        find(&b, &f, src + i, weight ? weight + i : NULL);
        half_put(p, b.d);
        half_put(p + 2, b.e);
        put_six_bits(p + 4, b.s, b.m);
        put_nibbles(p + 16, b.q);
    }
}

void wt_pack_q5_k_weighted(void *dst, const float *src, const float *weight, size_t n)
{
    static const shape f = { 32, 31, 63 };
    super b;
    uint8_t *p = dst;
    for (size_t i = 0; i < n; i += WT_SUPER, p += 176) {
        find(&b, &f, src + i, weight ? weight + i : NULL);
        half_put(p, b.d);
        half_put(p + 2, b.e);
        put_six_bits(p + 4, b.s, b.m);
        memset(p + 16, 0, 32);
        for (int j = 0; j < 8; j++)
            for (int k = 0; k < 32; k++) p[16 + k] |= (uint8_t)((b.q[32 * j + k] >> 4) << j);
        put_nibbles(p + 48, b.q);
    }
}
