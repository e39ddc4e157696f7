/* Attention and the cache of keys and values: kernels of every tier against plain C; the op against a direct computation in double for every type
 * of the cache; and the promise that batches rest on: a token gets the same bits alone, in a prompt, in pieces, beside any neighbours, with any
 * number of threads. The cache's memory is full of NaN before it is used, so whatever is read but was not written shows. */
#include "base/rng.h"
#include "fault.h"
#include "model/kv.h"
#include "op/ops.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static wt_rng rng;
static witan_ctx *cx;
static fault f;

static int set_up(void **state)
{
    (void)state;
    wt_rng_seed(&rng, 30, 0);
    f = (fault){ 0 };
    cx = fault_ctx(&f);
    return !cx;
}

static int tear_down(void **state)
{
    (void)state;
    witan_ctx_free(cx);
    if (f.live) print_error("%ld blocks leaked\n", f.live);
    return f.live != 0;
}

static float draw(void) { return 4 * wt_rng_float(&rng) - 2; }
static void fill(float *x, size_t n) { for (size_t i = 0; i < n; i++) x[i] = draw(); }
static void spoil(float *x, size_t n) { for (size_t i = 0; i < n; i++) x[i] = NAN; }

static const wt_type types[] = { WT_F32, WT_F16, WT_Q8_0 };
enum { N_TYPE = sizeof types / sizeof *types };
static const int32_t head_sizes[] = { 2, 8, 16, 18, 30, 32, 34, 40, 64, 80, 96, 128, 192, 256 };
enum { N_HEAD_SIZE = sizeof head_sizes / sizeof *head_sizes };

/* ---- kernels ------------------------------------------------------------------------------------------------------------- */

static void each_tier(void (*what)(const wt_kernels *ref, const wt_kernels *k, const char *tier))
{
    wt_kernels ref, k;
    wt_kernels_init(&ref, WT_TIER_REF, false);
    for (int t = 0; t < WT_N_TIER; t++) {
        if (!wt_tier_here((wt_tier)t)) continue;
        wt_kernels_init(&k, (wt_tier)t, false);
        what(&ref, &k, wt_tier_name((wt_tier)t));
    }
}

enum { MIX_ROWS = 14, MIX_STEPS = 70, MIX_WIDTH = 200 };

/* Every row as it is alone, whatever the rows beside it; near the sum in double; nothing behind its n counts, nothing else is written. */
static void mix_rows(const wt_kernels *k, const char *tier, size_t n_row, size_t width, bool keeps, int32_t rise)
{
    static float a[MIX_ROWS * MIX_STEPS], b[MIX_STEPS * MIX_WIDTH], y[MIX_ROWS * (MIX_WIDTH + 1)], alone[MIX_WIDTH], before[MIX_ROWS * (MIX_WIDTH + 1)];
    float keep[MIX_ROWS];
    int32_t n[MIX_ROWS];
    size_t ldy = width + 1;
    fill(keep, MIX_ROWS);
    for (size_t r = 0; r < n_row; r++) n[r] = (int32_t)wt_rng_below(&rng, 3) + 1 + (int32_t)r * rise;
    for (size_t r = 1; r < n_row; r++) if (n[r] < n[r - 1]) n[r] = n[r - 1];
    spoil(a, MIX_ROWS * MIX_STEPS);
    spoil(b, MIX_STEPS * MIX_WIDTH);
    spoil(y, MIX_ROWS * (MIX_WIDTH + 1));
    for (size_t r = 0; r < n_row; r++) fill(a + r * MIX_STEPS, (size_t)n[r]);
    for (int32_t i = 0; i < n[n_row - 1]; i++) fill(b + i * MIX_WIDTH, width);
    for (size_t r = 0; keeps && r < n_row; r++) fill(y + r * ldy, width);
    memcpy(before, y, sizeof y);
    k->mix(y, ldy, keeps ? keep : NULL, a, MIX_STEPS, n, n_row, b, MIX_WIDTH, width);
    for (size_t r = 0; r < n_row; r++) {
        memcpy(alone, before + r * ldy, width * sizeof *alone);
        k->mix(alone, ldy, keeps ? keep + r : NULL, a + r * MIX_STEPS, MIX_STEPS, n + r, 1, b, MIX_WIDTH, width);
        if (memcmp(alone, y + r * ldy, width * sizeof *alone)) fail_msg("%s, %zu rows of %zu: row %zu has other bits than alone", tier, n_row, width, r);
        assert_true(isnan(y[r * ldy + width]));
        for (size_t j = 0; j < width; j++) {
            double sum = keeps ? (double)keep[r] * before[r * ldy + j] : 0, size = fabs(sum);
            for (int32_t i = 0; i < n[r]; i++) {
                sum += (double)a[r * MIX_STEPS + (size_t)i] * b[(size_t)i * MIX_WIDTH + j];
                size += fabs((double)a[r * MIX_STEPS + (size_t)i] * b[(size_t)i * MIX_WIDTH + j]);
            }
            if (!(fabs(y[r * ldy + j] - sum) <= 2e-6 * size)) fail_msg("%s, %zu rows of %zu: (%zu, %zu) is %.9g, exact %.9g", tier, n_row, width, r, j, y[r * ldy + j], sum);
        }
    }
}

/* Halves give the bits of the floats that they stand for. */
static void mix_halves(const wt_kernels *k, const char *tier, size_t n_row, size_t width, bool keeps)
{
    static float a[MIX_ROWS * MIX_STEPS], b[MIX_STEPS * MIX_WIDTH], y[MIX_ROWS * MIX_WIDTH], z[MIX_ROWS * MIX_WIDTH];
    static uint16_t h[MIX_STEPS * MIX_WIDTH];
    float keep[MIX_ROWS];
    int32_t n[MIX_ROWS];
    for (size_t r = 0; r < n_row; r++) n[r] = (int32_t)(1 + r * 3 + width % 20);
    fill(a, MIX_ROWS * MIX_STEPS);
    fill(keep, MIX_ROWS);
    fill(y, MIX_ROWS * MIX_WIDTH);
    memcpy(z, y, sizeof y);
    memset(h, 0xff, sizeof h);
    for (int32_t i = 0; i < n[n_row - 1]; i++)
        for (size_t j = 0; j < width; j++) h[(size_t)i * width + j] = wt_float_to_half(draw());
    k->unpack[WT_F16](b, h, (size_t)n[n_row - 1] * width);
    k->mix(y, MIX_WIDTH, keeps ? keep : NULL, a, MIX_STEPS, n, n_row, b, width, width);
    k->mix_half(z, MIX_WIDTH, keeps ? keep : NULL, a, MIX_STEPS, n, n_row, h, width, width);
    if (memcmp(y, z, sizeof y)) fail_msg("%s, %zu rows of %zu: halves give other bits than floats", tier, n_row, width);
}

/* So do blocks of Q8_0, in rows and side by side. Scales of those that do not count are NaN. */
static void mix_blocks(const wt_kernels *k, const char *tier, size_t n_row, size_t width, bool keeps)
{
    enum { LD = (MIX_WIDTH + 31) / 32 * 32, ROW = LD / 32 * 34, DEEP = (MIX_STEPS + 31) / 32 };
    static float a[MIX_ROWS * MIX_STEPS], b[DEEP * 32 * LD], y[MIX_ROWS * MIX_WIDTH], z[MIX_ROWS * MIX_WIDTH], was[MIX_ROWS * MIX_WIDTH];
    static uint8_t rows[MIX_STEPS * ROW], side[DEEP * 34 * LD];
    size_t blocks = (width + 31) / 32, many = (width + 15) / 16 * 16, deep;
    float keep[MIX_ROWS];
    int32_t n[MIX_ROWS];
    for (size_t r = 0; r < n_row; r++) n[r] = (int32_t)(1 + r * 3 + width % 20);
    deep = ((size_t)n[n_row - 1] + 31) / 32;
    fill(a, MIX_ROWS * MIX_STEPS);
    fill(keep, MIX_ROWS);
    fill(was, MIX_ROWS * MIX_WIDTH);
    memset(rows, 0xff, sizeof rows);
    memset(side, 0xff, sizeof side);
    for (size_t i = 0; i < (size_t)n[n_row - 1] * blocks; i++) {
        float x[32];
        fill(x, 32);
        k->keep_byte(rows + i * 34, x, 32);
    }
    k->unpack[WT_Q8_0](b, rows, (size_t)n[n_row - 1] * blocks * 32);
    memcpy(y, was, sizeof y);
    memcpy(z, was, sizeof z);
    k->mix(y, MIX_WIDTH, keeps ? keep : NULL, a, MIX_STEPS, n, n_row, b, blocks * 32, width);
    k->mix_byte(z, MIX_WIDTH, keeps ? keep : NULL, a, MIX_STEPS, n, n_row, rows, blocks * 34, width);
    if (memcmp(y, z, sizeof y)) fail_msg("%s, %zu rows of %zu: blocks give other bits than floats", tier, n_row, width);

    for (size_t s = 0; s < deep; s++)
        for (size_t j = 0; j < width; j++) {
            uint16_t d = wt_float_to_half(draw());
            memcpy(side + s * 34 * many + 2 * j, &d, 2);
            for (size_t i = 0; i < 32; i++) side[(s * 34 + 2 + i) * many + j] = (uint8_t)wt_rng_below(&rng, 256);
        }
    for (size_t s = 0; s < deep; s++) k->spread_byte(b + s * 32 * many, side + s * 34 * many, many, width);
    memcpy(y, was, sizeof y);
    memcpy(z, was, sizeof z);
    k->mix(y, MIX_WIDTH, keeps ? keep : NULL, a, MIX_STEPS, n, n_row, b, many, width);
    k->mix_spread(z, MIX_WIDTH, keeps ? keep : NULL, a, MIX_STEPS, n, n_row, side, many, width);
    if (memcmp(y, z, sizeof y)) fail_msg("%s, %zu rows of %zu: blocks side by side give other bits than floats", tier, n_row, width);
}

static void mix_of_tier(const wt_kernels *ref, const wt_kernels *k, const char *tier)
{
    (void)ref;
    for (size_t width = 1; width < MIX_WIDTH; width += width < 70 ? 1 : 17)
        for (size_t n_row = 1; n_row <= MIX_ROWS; n_row++)
            for (int way = 0; way < 4; way++) {
                mix_rows(k, tier, n_row, width, way % 2, way / 2 * 4);
                if (way < 2) mix_halves(k, tier, n_row, width, way);
                if (way < 2) mix_blocks(k, tier, n_row, width, way);
            }
}

static void a_mixed_row_does_not_depend_on_the_rows_beside_it(void **state) { (void)state; each_tier(mix_of_tier); }

static void soften_of_tier(const wt_kernels *ref, const wt_kernels *k, const char *tier)
{
    float x[WT_PAGE + 1], y[WT_PAGE + 1], top, sum, keep, rtop, rsum, rkeep;
    for (int32_t n = 1; n <= WT_PAGE; n++)
        for (int way = 0; way < 3; way++) {
            spoil(x, WT_PAGE + 1);
            for (int32_t i = 0; i < n; i++) x[i] = draw() * (way == 2 ? 1000 : 5);
            if (way == 1) x[n / 2] = -INFINITY;
            memcpy(y, x, sizeof x);
            rtop = top = n % 2 ? -FLT_MAX : draw();
            rsum = sum = n % 2 ? 0 : 1;
            ref->soften(x, WT_PAGE, &n, 1, &rtop, &rsum, &rkeep);
            k->soften(y, WT_PAGE, &n, 1, &top, &sum, &keep);
            assert_true(top == rtop);
            if (!(fabsf(sum - rsum) <= 2e-6f * rsum && fabsf(keep - rkeep) <= 1e-6f)) fail_msg("%s, n %d: sum %.9g, keep %.9g, ref has %.9g, %.9g", tier, n, sum, keep, rsum, rkeep);
            for (int32_t i = 0; i < n; i++) if (!(fabsf(y[i] - x[i]) <= 1e-6f)) fail_msg("%s, n %d: value %d is %.9g, ref has %.9g", tier, n, i, y[i], x[i]);
            assert_true(isnan(y[n]));
        }
}

static void a_piece_of_a_softmax_equals_ref_at_every_length(void **state) { (void)state; each_tier(soften_of_tier); }

static void turn_of_tier(const wt_kernels *ref, const wt_kernels *k, const char *tier)
{
    float x[131], y[131], cs[130];
    for (size_t half = 0; half <= 64; half++)
        for (int halves = 0; halves < 2; halves++) {
            fill(x, 131);
            fill(cs, 130);
            memcpy(y, x, sizeof x);
            ref->turn(x, cs, half, halves);
            k->turn(y, cs, half, halves);
            for (size_t i = 0; i < 131; i++)
                if (!(fabsf(x[i] - y[i]) <= (i < 2 * half ? 2e-6f : 0))) fail_msg("%s, half %zu, halves %d: value %zu is %.9g, ref has %.9g", tier, half, halves, i, y[i], x[i]);
        }
}

static void pairs_turn_as_in_ref_at_every_length(void **state) { (void)state; each_tier(turn_of_tier); }

static const float odd_values[] = { 0, -0.0f, 1e-9f, -1e-7f, 6e-5f, 1, 65504, -65504, 65519, 65520, 1e6f, -1e6f, 1e30f, -3e38f, INFINITY, -INFINITY, NAN };
enum { N_ODD = sizeof odd_values / sizeof *odd_values };

static void halves_of_tier(const wt_kernels *ref, const wt_kernels *k, const char *tier)
{
    float x[80];
    uint16_t a[81], b[81];
    for (size_t n = 1; n <= 80; n++) {
        for (size_t i = 0; i < n; i++) x[i] = i % 3 ? draw() : odd_values[wt_rng_below(&rng, N_ODD)];
        memset(a, 0xee, sizeof a);
        memset(b, 0xee, sizeof b);
        ref->keep_half(a, x, n);
        k->keep_half(b, x, n);
        for (size_t i = 0; i <= 80; i++) {
            bool nan = i < n && isnan(x[i]);
            if (nan ? !isnan(wt_half_to_float(b[i])) : a[i] != b[i]) fail_msg("%s, n %zu: half of %g is %04x, ref has %04x", tier, n, x[i], b[i], a[i]);
            if (i < n && !nan) assert_true(fabsf(wt_half_to_float(b[i])) <= 65504);
        }
    }
}

static void halves_are_finite_and_nan_stays(void **state) { (void)state; each_tier(halves_of_tier); }

static void bytes_of_tier(const wt_kernels *ref, const wt_kernels *k, const char *tier)
{
    enum { B = 5 };
    float x[32 * B], y[32 * B], r[32 * B];
    uint8_t a[34 * B + 1], b[34 * B + 1];
    for (int round = 0; round < 400; round++) {
        bool nan[B] = { false };
        for (size_t i = 0; i < 32 * B; i++) x[i] = round % 2 || wt_rng_below(&rng, 20) ? draw() * powf(10, (float)(i / 32) * 2 - 6) : odd_values[wt_rng_below(&rng, N_ODD)];
        for (size_t i = 0; i < 32 * B; i++) nan[i / 32] |= isnan(x[i]);
        memset(b, 0xee, sizeof b);
        ref->keep_byte(a, x, 32 * B);
        k->keep_byte(b, x, 32 * B);
        assert_int_equal(b[34 * B], 0xee);
        k->unpack[WT_Q8_0](y, b, 32 * B);
        ref->unpack[WT_Q8_0](r, a, 32 * B);
        for (size_t i = 0; i < 32 * B; i++)
            if (nan[i / 32] ? !isnan(y[i]) : y[i] != r[i] || !isfinite(y[i])) fail_msg("%s: %g became %g, ref has %g", tier, x[i], y[i], r[i]);
        for (size_t i = 0; round % 2 && i < 32 * B; i++) {
            float most = 0;
            for (size_t j = i / 32 * 32; j < i / 32 * 32 + 32; j++) most = fmaxf(most, fabsf(x[j]));
            if (!(fabsf(y[i] - x[i]) <= most / 127 * 0.56f + 1e-5f)) fail_msg("%s: %g became %g, the block goes to %g", tier, x[i], y[i], most);
        }
    }
}

static void bytes_are_near_finite_and_equal_in_every_tier(void **state) { (void)state; each_tier(bytes_of_tier); }

static void spread_of_tier(const wt_kernels *ref, const wt_kernels *k, const char *tier)
{
    static uint8_t bytes[100 * 34];
    static float x[3200], y[3200 + 8];
    static const size_t widths[] = { 1, 5, 8, 16, 20, 64, 80, 100 };
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (size_t n = 1; n <= widths[w]; n++) {
            for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(wt_rng_u64(&rng) & (i % 2 && i < 2 * widths[w] ? 0xBB : 0xFF));   /* finite scales */
            spoil(y, sizeof y / sizeof *y);
            ref->spread_byte(x, bytes, widths[w], n);
            k->spread_byte(y, bytes, widths[w], n);
            for (size_t i = 0; i < 32; i++)
                for (size_t j = 0; j < n; j++)
                    if (x[i * widths[w] + j] != y[i * widths[w] + j]) fail_msg("%s, %zu of %zu: (%zu, %zu) is %g, ref has %g", tier, n, widths[w], i, j, y[i * widths[w] + j], x[i * widths[w] + j]);
            for (size_t i = 32 * widths[w]; i < sizeof y / sizeof *y; i++) assert_true(isnan(y[i]));
        }
}

static void blocks_side_by_side_read_as_in_ref(void **state) { (void)state; each_tier(spread_of_tier); }

/* ---- the op -------------------------------------------------------------------------------------------------------------- */

/* Some sequences of n tokens each, with queries, keys, values and a cache; what comes out is kept by sequence and position. */
typedef struct scene {
    wt_kernels k;
    wt_config c;
    wt_kv_cache kv;
    wt_arena a;
    int32_t n_seq, n, group;
    size_t wide, narrow;         /* of a token's queries; of its keys */
    float *q, *key, *value, *y;  /* [n_seq, n, wide or narrow] */
} scene;

static void scene_open(scene *s, wt_tier tier, wt_type type, int32_t d_head, int32_t n_head, int32_t group, int32_t n_seq, int32_t n)
{
    *s = (scene){ .c = { .n_layer = 2, .n_head = n_head * group, .n_head_kv = n_head, .d_head = d_head }, .n_seq = n_seq, .n = n, .group = group };
    s->narrow = (size_t)n_head * (size_t)d_head;
    s->wide = s->narrow * (size_t)group;
    wt_kernels_init(&s->k, tier, false);
    wt_arena_init(&s->a, cx, 1 << 20);
    assert_int_equal(wt_kv_open(cx, &s->kv, &s->c, type, n_seq, n), WITAN_OK);
    memset(s->kv.data, 0xff, (size_t)s->kv.n_page * 2 * (size_t)n_head * 2 * s->kv.panel);
    size_t all = (size_t)n_seq * (size_t)n;
    s->q = malloc(all * s->wide * sizeof *s->q);
    s->y = malloc(all * s->wide * sizeof *s->y);
    s->key = malloc(all * s->narrow * sizeof *s->key);
    s->value = malloc(all * s->narrow * sizeof *s->value);
    assert_true(s->q && s->y && s->key && s->value);
    fill(s->q, all * s->wide);
    fill(s->key, all * s->narrow);
    fill(s->value, all * s->narrow);
    for (int32_t q = 0; q < n_seq; q++) wt_kv_reserve(&s->kv, q, n);
}

static void scene_close(scene *s)
{
    wt_kv_free(&s->kv);
    wt_arena_free(&s->a);
    free(s->q);
    free(s->y);
    free(s->key);
    free(s->value);
}

typedef struct place { int32_t seq, pos; } place;

static wt_tensor *gathered(scene *s, const float *x, size_t width, const place *at, int32_t n)
{
    wt_tensor *t;
    assert_int_equal(wt_tensor_new(&s->a, 2, (int64_t[]){ n, (int64_t)width }, &t), WITAN_OK);
    for (int32_t i = 0; i < n; i++) memcpy(t->f32 + (size_t)i * width, x + ((size_t)at[i].seq * (size_t)s->n + (size_t)at[i].pos) * width, width * sizeof *x);
    return t;
}

/* One batch. Nothing is turned: rope has its own test. */
static wt_status feed(scene *s, const place *at, int32_t n)
{
    int32_t *seq = malloc((size_t)n * sizeof *seq), *pos = malloc((size_t)n * sizeof *pos);
    wt_run r = { .cx = cx, .k = &s->k, .a = &s->a, .layer = 1 };
    wt_kv_view view = wt_kv_view_of(&s->kv);
    wt_mark m = wt_mark_set(&s->a);
    float none;
    wt_tensor table = { .n_dim = 3, .shape = { n, 2, 0 }, .f32 = &none }, *y;
    wt_tensor *q = gathered(s, s->q, s->wide, at, n), *key = gathered(s, s->key, s->narrow, at, n), *value = gathered(s, s->value, s->narrow, at, n);
    for (int32_t i = 0; i < n; i++) { seq[i] = at[i].seq; pos[i] = at[i].pos; }
    assert_int_equal(wt_op_rope_keep(&r, q, key, value, &table, true, &view, seq, pos), WITAN_OK);
    wt_status st = wt_op_attention(&r, q, NULL, NULL, &view, seq, pos, &y);
    for (int32_t i = 0; st == WITAN_OK && i < n; i++)
        memcpy(s->y + ((size_t)seq[i] * (size_t)s->n + (size_t)pos[i]) * s->wide, y->f32 + (size_t)i * s->wide, s->wide * sizeof *s->y);
    wt_rewind(&s->a, m);
    free(seq);
    free(pos);
    return st;
}

/* Sequence 0 in pieces; each batch also holds the same piece of the others, one sequence after the other or token by token. */
static void feed_pieces(scene *s, int32_t piece, bool mixed)
{
    place *at = malloc((size_t)piece * (size_t)s->n_seq * sizeof *at);
    for (int32_t from = 0; from < s->n; from += piece) {
        int32_t len = s->n - from < piece ? s->n - from : piece, k = 0;
        for (int32_t i = 0; i < len * s->n_seq; i++)
            at[k++] = mixed ? (place){ i % s->n_seq, from + i / s->n_seq } : (place){ i / len, from + i % len };
        assert_int_equal(feed(s, at, k), WITAN_OK);
    }
    free(at);
}

/* What the cache makes of n values, by the definition of the type. */
static void stored(wt_type type, const float *x, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++) {
        float most = 0;
        for (size_t j = i / 32 * 32; j < n && j < i / 32 * 32 + 32; j++) most = fmaxf(most, fabsf(x[j]));
        double d = wt_half_to_float(wt_float_to_half(most / 127));
        out[i] = type == WT_F32 ? x[i] : type == WT_F16 ? wt_half_to_float(wt_float_to_half(x[i])) : d * fmax(-127, fmin(127, nearbyint(x[i] * (1 / (float)d))));
    }
}

/* Attention of one token and query head of sequence 0 as it is defined. keys, values: [n, d] as stored. */
static void check_token(const scene *s, const char *where, int32_t pos, int32_t h, const double *keys, const double *values)
{
    size_t d = (size_t)s->c.d_head, at = (size_t)pos * s->wide + (size_t)h * d;
    double *p = malloc((size_t)(pos + 1) * sizeof *p), top = -INFINITY, sum = 0;
    for (int32_t i = 0; i <= pos; i++) {
        p[i] = 0;
        for (size_t j = 0; j < d; j++) p[i] += s->q[at + j] * keys[(size_t)i * d + j] / sqrt((double)d);
        top = fmax(top, p[i]);
    }
    for (int32_t i = 0; i <= pos; i++) sum += p[i] = exp(p[i] - top);
    for (size_t j = 0; j < d; j++) {
        double y = 0;
        for (int32_t i = 0; i <= pos; i++) y += p[i] / sum * values[(size_t)i * d + j];
        if (!(fabs(s->y[at + j] - y) <= 1e-5)) fail_msg("%s: position %d, head %d, value %zu is %.9g, exact %.9g", where, pos, h, j, s->y[at + j], y);
    }
    free(p);
}

static void check_scene(const scene *s, const char *where, int32_t step)
{
    size_t d = (size_t)s->c.d_head;
    double *keys = malloc((size_t)s->n * d * sizeof *keys), *values = malloc((size_t)s->n * d * sizeof *values);
    for (int32_t head = 0; head < s->c.n_head_kv; head++) {
        for (int32_t i = 0; i < s->n; i++) {
            stored(s->kv.type, s->key + (size_t)i * s->narrow + (size_t)head * d, d, keys + (size_t)i * d);
            stored(s->kv.type, s->value + (size_t)i * s->narrow + (size_t)head * d, d, values + (size_t)i * d);
        }
        for (int32_t pos = s->n - 1; pos >= 0; pos -= step)
            for (int32_t g = 0; g < s->group; g++) check_token(s, where, pos, head * s->group + g, keys, values);
    }
    free(keys);
    free(values);
}

static void attention_equals_its_definition(void **state)
{
    (void)state;
    for (int t = 0; t < WT_N_TIER; t++) {
        if (!wt_tier_here((wt_tier)t)) continue;
        for (size_t type = 0; type < N_TYPE; type++)
            for (size_t h = 0; h < N_HEAD_SIZE; h++) {
                scene s;
                char where[96];
                snprintf(where, sizeof where, "%s, %s, heads of %d", wt_tier_name((wt_tier)t), wt_type_get(types[type])->name, head_sizes[h]);
                scene_open(&s, (wt_tier)t, types[type], head_sizes[h], 2, h % 3 + 1, 1, 150);
                feed_pieces(&s, 150, false);
                check_scene(&s, where, 7);
                scene_close(&s);
            }
    }
}

static void attention_over_several_spans_equals_its_definition(void **state)
{
    (void)state;
    for (size_t type = 0; type < N_TYPE; type++) {
        scene s;
        scene_open(&s, WT_N_TIER - 1, types[type], 40, 2, 2, 1, 1300);
        feed_pieces(&s, 1300, false);
        check_scene(&s, wt_type_get(types[type])->name, 41);
        scene_close(&s);
    }
}

/* Grouped so that one token has more rows than a block usually holds. */
static void many_query_heads_may_share_one(void **state)
{
    scene s;
    (void)state;
    scene_open(&s, WT_N_TIER - 1, WT_F16, 16, 1, 71, 1, 100);
    feed_pieces(&s, 100, false);
    check_scene(&s, "71 query heads", 9);
    scene_close(&s);
}

/* ---- the same bits ------------------------------------------------------------------------------------------------------- */

static void same_bits(const scene *s, const char *where, const float *expected)
{
    for (size_t i = 0; i < (size_t)s->n * s->wide; i++)
        if (memcmp(s->y + i, expected + i, sizeof *expected))
            fail_msg("%s: position %zu, value %zu is %.9g, alone %.9g", where, i / s->wide, i % s->wide, s->y[i], expected[i]);
}

/* What sequence 0 gets token by token with one thread. */
static float *alone(scene *s)
{
    float *y = malloc((size_t)s->n * s->wide * sizeof *y);
    int32_t n_seq = s->n_seq;
    assert_non_null(y);
    s->n_seq = 1;
    witan_set_threads(cx, 1);
    feed_pieces(s, 1, false);
    s->n_seq = n_seq;
    memcpy(y, s->y, (size_t)s->n * s->wide * sizeof *y);
    return y;
}

/* Everything of the cache that was written is spoiled again. */
static void forget(scene *s)
{
    memset(s->kv.data, 0xff, (size_t)s->kv.n_page * 2 * (size_t)s->c.n_head_kv * 2 * s->kv.panel);
    spoil(s->y, (size_t)s->n_seq * (size_t)s->n * s->wide);
}

static void every_way(scene *s, const char *what)
{
    static const int32_t pieces[] = { 1, 5, 64, 90, 512, 4096 };
    float *expected = alone(s);
    char where[160];
    for (int32_t threads = 1; threads <= 9; threads += threads < 3 ? 1 : 6)
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++)
            for (int mixed = 0; mixed < (s->n_seq > 1 ? 2 : 1); mixed++) {
                if (threads == 9 && pieces[p] < 64 && s->n > 400) continue;      /* slow: threads that wait for each other */
                witan_set_threads(cx, threads);
                snprintf(where, sizeof where, "%s, %s, heads of %d, %d threads, %d at a time%s", what, wt_type_get(s->kv.type)->name, s->c.d_head, threads, pieces[p],
                         mixed ? ", mixed" : "");
                forget(s);
                feed_pieces(s, pieces[p] < s->n ? pieces[p] : s->n, mixed);
                same_bits(s, where, expected);
            }
    free(expected);
}

static void a_token_gets_the_same_bits_however_it_is_fed(void **state)
{
    (void)state;
    for (int t = 0; t < WT_N_TIER; t++)
        for (size_t type = 0; wt_tier_here((wt_tier)t) && type < N_TYPE; type++)
            for (int32_t d = 24; d <= 64; d += 40) {
                scene s;
                int32_t n = t == WT_TIER_REF ? 150 : d == 24 ? 600 : 1100;       /* plain C is slow */
                scene_open(&s, (wt_tier)t, types[type], d, 1, d == 24 ? 3 : 1, 2, n);
                every_way(&s, wt_tier_name((wt_tier)t));
                scene_close(&s);
            }
}

/* Neighbours whose numbers are as bad as they can be. */
static void hostile_neighbours_change_no_bit(void **state)
{
    static const float bad[] = { FLT_MAX, -FLT_MAX, INFINITY, -INFINITY, NAN, 65504, 1e-45f };
    enum { N_BAD = sizeof bad / sizeof *bad };
    (void)state;
    for (size_t type = 0; type < N_TYPE; type++)
        for (size_t kind = 0; kind <= N_BAD; kind += kind < N_BAD - 3 ? 2 : 1) {
            scene s;
            scene_open(&s, WT_N_TIER - 1, types[type], 64, 2, 2, 3, 200);
            for (size_t i = (size_t)s.n; i < 3 * (size_t)s.n; i++)          /* the other two sequences */
                for (size_t j = 0; j < s.wide; j++) {
                    float x = bad[kind < N_BAD ? kind : wt_rng_below(&rng, N_BAD)];
                    s.q[i * s.wide + j] = x;
                    if (j < s.narrow) s.key[i * s.narrow + j] = s.value[i * s.narrow + j] = x;
                }
            every_way(&s, "hostile neighbours");
            scene_close(&s);
        }
}

static void what_comes_later_changes_no_bit_of_what_was(void **state)
{
    enum { N = 300 };
    (void)state;
    for (size_t type = 0; type < N_TYPE; type++)
        for (int32_t from = 1; from < N; from += 37) {
            scene s;
            place at[N];
            scene_open(&s, WT_N_TIER - 1, types[type], 64, 1, 3, 1, N);
            float *expected = alone(&s);
            for (size_t i = (size_t)from * s.narrow; i < N * s.narrow; i++) s.key[i] = s.value[i] = i % 2 ? NAN : INFINITY;
            for (int32_t i = 0; i < N; i++) at[i] = (place){ 0, i };
            forget(&s);
            assert_int_equal(feed(&s, at, N), WITAN_OK);
            if (memcmp(s.y, expected, (size_t)from * s.wide * sizeof *expected)) fail_msg("%s: positions before %d changed", wt_type_get(types[type])->name, from);
            free(expected);
            scene_close(&s);
        }
}

/* ---- turning ------------------------------------------------------------------------------------------------------------- */

static void check_turned(const float *x, const float *before, size_t d, size_t rot, bool halves, int32_t pos, const double *freq)
{
    for (size_t i = 0; i < d; i++) {
        double y = before[i];
        if (i < rot) {
            size_t pair = halves ? i % (rot / 2) : i / 2, mate = halves ? (i + rot / 2) % rot : i ^ 1;
            bool first = mate > i;
            y = before[i] * 1.25 * cos(pos * freq[pair]) + (first ? -1 : 1) * before[mate] * 1.25 * sin(pos * freq[pair]);
        }
        if (!(fabs(x[i] - y) <= 2e-6)) fail_msg("position %d, value %zu of %zu is %.9g, exact %.9g", pos, i, d, x[i], y);
    }
}

static void queries_and_keys_are_turned_by_their_position(void **state)
{
    enum { N = 70, D = 48, HEADS = 2, GROUP = 3 };
    static const double freq[D / 2] = { 1, 0.5, 0.3, 0.1, 0.05, 0.03, 0.01 };
    (void)state;
    for (int way = 0; way < 8; way++) {
        int32_t rot = way & 1 ? D : 14, seq[N], pos[N];
        bool halves = way & 2;
        scene s;
        wt_tensor *q, *key, *value, *table;
        place at[N];
        witan_set_threads(cx, way & 4 ? 3 : 1);
        scene_open(&s, WT_N_TIER - 1, WT_F32, D, HEADS, GROUP, 1, N);
        wt_run r = { .cx = cx, .k = &s.k, .a = &s.a };
        wt_kv_view view = wt_kv_view_of(&s.kv);
        for (int32_t i = 0; i < N; i++) { at[i] = (place){ 0, i }; seq[i] = 0; pos[i] = i; }
        q = gathered(&s, s.q, s.wide, at, N);
        key = gathered(&s, s.key, s.narrow, at, N);
        value = gathered(&s, s.value, s.narrow, at, N);
        assert_int_equal(wt_op_rope_table(&r, pos, N, freq, rot, 1.25f, &table), WITAN_OK);
        assert_int_equal(wt_op_rope_keep(&r, q, key, value, table, halves, &view, seq, pos), WITAN_OK);
        for (size_t i = 0; i < N * HEADS * GROUP; i++)
            check_turned(q->f32 + i * D, s.q + i * D, D, (size_t)rot, halves, (int32_t)(i / (HEADS * GROUP)), freq);
        for (int32_t i = 0; i < N * HEADS; i++) {
            float x[D];
            void *keys, *values;
            view.panels(view.self, 0, 0, i / HEADS / WT_PAGE, i % HEADS, &keys, &values);
            for (int32_t j = 0; j < D; j++) x[j] = ((float *)keys)[j * WT_PAGE + i / HEADS % WT_PAGE];
            check_turned(x, s.key + i * D, D, (size_t)rot, halves, i / HEADS, freq);
            assert_memory_equal((float *)values + i / HEADS % WT_PAGE * D, s.value + i * D, D * sizeof(float));
        }
        scene_close(&s);
    }
}

/* ---- memory -------------------------------------------------------------------------------------------------------------- */

static void a_failed_allocation_is_an_error_and_the_next_try_is_right(void **state)
{
    enum { N = 700 };
    (void)state;
    place last = { 0, N - 1 };
    for (int32_t threads = 1; threads <= 2; threads++) {          /* with two, spans side by side */
        wt_status st;
        long n = 0;
        scene s;
        scene_open(&s, WT_N_TIER - 1, WT_Q8_0, 256, 1, 2, 1, N);
        float *expected = alone(&s);
        witan_set_threads(cx, threads);
        do {
            wt_run r = { .cx = cx, .k = &s.k, .a = &s.a, .layer = 1 };
            wt_kv_view view = wt_kv_view_of(&s.kv);
            wt_tensor q = { .n_dim = 2, .shape = { 1, (int64_t)s.wide }, .n = s.wide, .f32 = s.q + (N - 1) * s.wide }, *y;
            wt_arena_free(&s.a);
            wt_arena_init(&s.a, cx, 1 << 12);                     /* small blocks: many allocations */
            f.hit = false;
            f.fail[FAULT_ALLOC] = f.count[FAULT_ALLOC] + ++n;
            st = wt_op_attention(&r, &q, NULL, NULL, &view, &last.seq, &last.pos, &y);
            f.fail[FAULT_ALLOC] = 0;
            assert_true(st == WITAN_OK || (st == WITAN_ENOMEM && f.hit));
            if (st == WITAN_OK) assert_memory_equal(y->f32, expected + (N - 1) * s.wide, s.wide * sizeof *expected);
        } while (f.hit);
        assert_true(n > 2);
        free(expected);
        scene_close(&s);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mixed_row_does_not_depend_on_the_rows_beside_it),
        cmocka_unit_test(a_piece_of_a_softmax_equals_ref_at_every_length),
        cmocka_unit_test(pairs_turn_as_in_ref_at_every_length),
        cmocka_unit_test(halves_are_finite_and_nan_stays),
        cmocka_unit_test(bytes_are_near_finite_and_equal_in_every_tier),
        cmocka_unit_test(blocks_side_by_side_read_as_in_ref),
        cmocka_unit_test(attention_equals_its_definition),
        cmocka_unit_test(attention_over_several_spans_equals_its_definition),
        cmocka_unit_test(many_query_heads_may_share_one),
        cmocka_unit_test(a_token_gets_the_same_bits_however_it_is_fed),
        cmocka_unit_test(hostile_neighbours_change_no_bit),
        cmocka_unit_test(what_comes_later_changes_no_bit_of_what_was),
        cmocka_unit_test(queries_and_keys_are_turned_by_their_position),
        cmocka_unit_test(a_failed_allocation_is_an_error_and_the_next_try_is_right),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
