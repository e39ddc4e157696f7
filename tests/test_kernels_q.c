/* Products of blocks with activations as bytes: against double precision, every tier against plain C to the last bit, and the promise that a
 * result depends on its row and its token alone, however many of either there are. */
#include "base/rng.h"
#include "kernel/kernel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 37, TOKENS = 29, MOST = 1024, GUARD = 8, EIGHTS = 32 };

static wt_rng rng;
static int set_up(void **state) { (void)state; wt_rng_seed(&rng, 3, 0); return 0; }

static float draw(void) { return 4 * wt_rng_float(&rng) - 2; }

/* Random bytes with halves of ordinary size where a format has halves. */
static void random_blocks(uint32_t type, uint8_t *p, size_t n_value)
{
    static const struct { uint32_t type; int at[2]; } half[] = {
        { WT_Q4_0, { 0, -1 } }, { WT_Q4_1, { 0, 2 } }, { WT_Q5_0, { 0, -1 } }, { WT_Q5_1, { 0, 2 } }, { WT_Q8_0, { 0, -1 } }, { WT_IQ4_NL, { 0, -1 } },
        { WT_Q2_K, { 80, 82 } }, { WT_Q3_K, { 108, -1 } }, { WT_Q4_K, { 0, 2 } }, { WT_Q5_K, { 0, 2 } }, { WT_Q6_K, { 208, -1 } }, { WT_IQ4_XS, { 0, -1 } } };
    const wt_type_info *t = wt_type_get(type);
    size_t n = n_value / t->block;
    for (size_t i = 0; i < n * t->bytes; i++) p[i] = (uint8_t)wt_rng_below(&rng, 256);
    for (size_t b = 0; b < n; b++, p += t->bytes) {
        if (type == WT_MXFP4) p[0] = (uint8_t)(120 + wt_rng_below(&rng, 12));
        for (size_t k = 0; k < sizeof half / sizeof *half; k++)
            for (int i = 0; i < 2 && half[k].type == type; i++)
                if (half[k].at[i] >= 0) { uint16_t h = wt_float_to_half(draw() / 16); memcpy(p + half[k].at[i], &h, 2); }
    }
}

typedef struct scene {
    wt_kernels k, ref;
    uint32_t type;
    size_t n, row_bytes;
    uint8_t *w;                  /* [ROWS] rows, not aligned */
    float x[TOKENS][MOST];
    wt_q8 q[TOKENS][MOST / 32];
    void *scratch;
} scene;

static void exact(const scene *s, size_t r, size_t t, double *y, double *size)
{
    float w[MOST];
    wt_type_get(s->type)->unpack(w, s->w + r * s->row_bytes, s->n);
    *y = *size = 0;
    for (size_t i = 0; i < s->n; i++) {
        double p = (double)w[i] * (double)s->q[t][i / 32].d * s->q[t][i / 32].q[i % 32];
        *y += p;
        *size += fabs(p);
    }
}

/* Everything at once, in plain C. */
static void run_ref(const scene *s, float *y, size_t ldy)
{
    wt_q8 *x = malloc(TOKENS * (s->n / 32) * sizeof *x);
    for (size_t t = 0; t < TOKENS; t++) memcpy(x + t * (s->n / 32), s->q[t], s->n / 32 * sizeof *x);
    s->ref.qmul[s->type](y, ldy, s->w, s->row_bytes, ROWS, x, TOKENS, s->n / 32, NULL, s->scratch);
    free(x);
}

static void run(const scene *s, float *y, size_t ldy, size_t r, size_t n_row, const int32_t *pick, size_t n_tok)
{
    wt_q8 *x = malloc(n_tok * (s->n / 32) * sizeof *x);
    for (size_t t = 0; t < n_tok; t++) memcpy(x + t * (s->n / 32), s->q[pick ? pick[t] : (int32_t)t], s->n / 32 * sizeof *x);
    s->k.qmul[s->type](y, ldy, s->w + r * s->row_bytes, s->row_bytes, n_row, x, n_tok, s->n / 32, s->w, s->scratch);
    free(x);
}

/* All rows and tokens at once, then in every other way: the same bits, and nothing written beside them. */
static void check(const scene *s)
{
    static const size_t rows[] = { 1, 3, 7, 8, 9, 15, 16, 17, 32, ROWS }, tokens[] = { 1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 17, 24, TOKENS };
    enum { LD = ROWS + GUARD };
    const char *name = wt_type_get(s->type)->name;
    float all[TOKENS * LD], y[TOKENS * LD];
    run(s, all, LD, 0, ROWS, NULL, TOKENS);
    run_ref(s, y, LD);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t r = 0; r < ROWS; r++)
            if (memcmp(all + t * LD + r, y + t * LD + r, 4))
                fail_msg("%s, %s, n %zu: row %zu, token %zu is %.9g, ref has %.9g", wt_tier_name(s->k.tier), name, s->n, r, t, all[t * LD + r], y[t * LD + r]);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t r = 0; r < ROWS; r++) {
            double e, size;
            exact(s, r, t, &e, &size);
            if (!(fabs((double)all[t * LD + r] - e) <= 3e-6 * size)) fail_msg("%s, n %zu: row %zu, token %zu is %.9g, exactly %.9g (sizes %.3g)", name, s->n, r, t, all[t * LD + r], e, size);
        }
    for (size_t a = 0; a < sizeof rows / sizeof *rows; a++)
        for (size_t b = 0; b < sizeof tokens / sizeof *tokens; b++) {
            size_t r0 = ROWS - rows[a], n_tok = tokens[b];
            int32_t pick[TOKENS];
            for (size_t t = 0; t < n_tok; t++) pick[t] = (int32_t)((t * 7 + 3) % TOKENS);
            for (size_t i = 0; i < TOKENS * LD; i++) y[i] = 777;
            run(s, y, LD, r0, rows[a], pick, n_tok);
            for (size_t i = 0; i < TOKENS * LD; i++) {
                size_t t = i / LD, r = i % LD;
                float expected = t < n_tok && r < rows[a] ? all[(size_t)pick[t] * LD + r0 + r] : 777;
                if (memcmp(y + i, &expected, sizeof expected)) fail_msg("%s, n %zu, %zu rows, %zu tokens: value %zu of token %zu is %.9g, alone %.9g", name, s->n, rows[a], n_tok, r, t, y[i], expected);
            }
        }
}

/* ---- over all tiers and types ------------------------------------------------------------------------------------------- */

static void each_tier(void (*what)(scene *s))
{
    scene *s = calloc(1, sizeof *s);
    s->scratch = aligned_alloc(64, WT_QMUL_PARTS + MOST / 32 * WT_QMUL_ROWS);
    wt_kernels_init(&s->ref, WT_TIER_REF, false);
    for (int t = 0; t < WT_N_TIER; t++) {
        if (!wt_tier_here((wt_tier)t)) continue;
        wt_kernels_init(&s->k, (wt_tier)t, false);
        what(s);
    }
    free(s->scratch);
    free(s);
}

static void random_tokens(scene *s)
{
    for (size_t t = 0; t < TOKENS; t++) {
        for (size_t k = 0; k < s->n; k++) s->x[t][k] = draw() * (t == 3 ? 1000 : 1) * (k % 37 == 5 ? 20 : 1);
        s->k.quantize(s->q[t], s->x[t], s->n / 32);
    }
}

static void products(scene *s)
{
    static const size_t length[] = { 32, 64, 224, 256, 288, 512, 1024 };
    int seen = 0;
    for (s->type = 0; s->type < WT_N_TYPE; s->type++) {
        if (!s->k.qmul[s->type] || wt_type_get(s->type)->group) continue;
        for (size_t i = 0; i < sizeof length / sizeof *length; i++) {
            s->n = length[i];
            if (!wt_row_bytes(s->type, s->n, &s->row_bytes)) continue;
            s->w = malloc(s->row_bytes * ROWS);                               /* exactly: a read past the end is seen by sanitizers */
            random_blocks(s->type, s->w, s->n * ROWS);
            random_tokens(s);
            check(s);
            free(s->w);
            seen++;
        }
    }
    assert_int_equal(seen, 7 * 7 + 6 * 3);
}

static void products_are_right_and_depend_on_row_and_token_alone(void **state) { (void)state; each_tier(products); }

/* Rows side by side: the way there and back, and the same bits as the plain ones. */
static void interleaved(scene *s, uint32_t type)
{
    static float plain[TOKENS * EIGHTS], grouped[TOKENS * EIGHTS];
    const wt_type_info *t = wt_type_get(type);
    size_t all = s->row_bytes * EIGHTS;
    uint8_t *w = malloc(all), *g = malloc(all), *back = malloc(all);
    random_blocks(t->base, w, s->n * EIGHTS);
    for (size_t r = 0; r < EIGHTS; r += WT_GROUP) {
        wt_regroup(t, g + r * s->row_bytes, w + r * s->row_bytes, s->n);
        wt_ungroup(t, back + r * s->row_bytes, g + r * s->row_bytes, s->n);
    }
    assert_memory_equal(back, w, all);
    assert_memory_not_equal(g, w, all);
    random_tokens(s);
    for (size_t n_tok = 1; n_tok <= TOKENS; n_tok++)
        for (size_t n_row = EIGHTS - 8; n_row <= EIGHTS; n_row += 8) {
            memset(plain, 0, sizeof plain);
            memset(grouped, 0, sizeof grouped);
            s->w = w;
            s->type = t->base;
            run(s, plain, EIGHTS, 0, n_row, NULL, n_tok);
            s->w = g;
            s->type = type;
            run(s, grouped, EIGHTS, 0, n_row, NULL, n_tok);
            if (memcmp(plain, grouped, sizeof plain))
                fail_msg("%s, %s, n %zu, %zu rows, %zu tokens: other bits than %s", wt_tier_name(s->k.tier), t->name, s->n, n_row, n_tok, wt_type_get(t->base)->name);
        }
    free(w);
    free(g);
    free(back);
}

static void all_interleaved(scene *s)
{
    static const size_t length[] = { 32, 256, 288, 512, 1024 };
    int seen = 0;
    for (uint32_t type = 0; type < WT_N_TYPE; type++)
        for (size_t i = 0; wt_type_get(type)->group && i < sizeof length / sizeof *length; i++) {
            s->n = length[i];
            if (!wt_row_bytes(type, s->n, &s->row_bytes)) continue;
            assert_non_null(s->k.qmul[type]);
            interleaved(s, type);
            seen++;
        }
    assert_int_equal(seen, 7 * 5 + 6 * 3);
}

static void interleaved_rows_give_the_bits_of_plain_ones(void **state) { (void)state; each_tier(all_interleaved); }

/* Rows of one byte everywhere but in their scales, which are random. */
static void fill_values(const scene *s, uint8_t byte)
{
    const wt_type_info *ti = wt_type_get(s->type);
    uint8_t *plain = malloc(s->row_bytes * ROWS);
    random_blocks(s->type, s->w, s->n * ROWS);
    memcpy(plain, s->w, s->row_bytes * ROWS);
    memset(s->w, byte, s->row_bytes * ROWS);
    for (size_t b = 0; b < s->row_bytes * ROWS / ti->bytes; b++) {
        uint8_t *p = s->w + b * ti->bytes, *q = plain + b * ti->bytes;
        if (s->type == WT_Q6_K) memcpy(p + 208, q + 208, 2);
        else if (s->type == WT_Q3_K) memcpy(p + 108, q + 108, 2);
        else if (s->type == WT_Q2_K) memcpy(p + 80, q + 80, 4);
        else memcpy(p, q, s->type == WT_MXFP4 ? 1 : s->type == WT_Q4_1 || s->type == WT_Q5_1 || s->type == WT_Q4_K || s->type == WT_Q5_K ? 4 : 2);
    }
    free(plain);
}

static void extremes(scene *s)
{
    static const uint8_t byte[] = { 0xff, 0x80, 0x7f, 0x00 };
    s->n = 256;
    for (s->type = 0; s->type < WT_N_TYPE; s->type++) {
        if (!s->k.qmul[s->type] || wt_type_get(s->type)->group) continue;
        wt_row_bytes(s->type, s->n, &s->row_bytes);
        for (size_t fill = 0; fill < sizeof byte; fill++) {
            s->w = malloc(s->row_bytes * ROWS);
            fill_values(s, byte[fill]);
            for (size_t t = 0; t < TOKENS; t++)
                for (size_t k = 0; k < s->n; k++) s->x[t][k] = t % 3 == 0 ? -3 : t % 3 == 1 ? 3 : k % 2 ? 3 : -3;
            for (size_t t = 0; t < TOKENS; t++) s->k.quantize(s->q[t], s->x[t], s->n / 32);
            check(s);
            free(s->w);
        }
    }
}

/* Largest values everywhere: sums in few bits must not overflow. */
static void extreme_bytes_do_not_overflow(void **state) { (void)state; each_tier(extremes); }

static void rounding(scene *s)
{
    wt_kernels k = s->k;
    wt_q8 q[2], expected[2];
    float x[64];
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 64; i++) x[i] = draw() * powf(10, (float)(round % 60 - 30));
        k.quantize(q, x, 2);
        s->ref.quantize(expected, x, 2);
        assert_memory_equal(q, expected, sizeof q);
        for (int b = 0; b < 2; b++) {
            float most = 0;
            int sum[2] = { 0 };
            for (int i = 0; i < 32; i++) most = fmaxf(most, fabsf(x[32 * b + i]));
            assert_true(q[b].d == most / 127);
            for (int i = 0; i < 32; i++) {
                sum[i / 16] += q[b].q[i];
                assert_true(q[b].q[i] >= -127);
                assert_true(fabsf(x[32 * b + i] - q[b].d * (float)q[b].q[i]) <= 0.5001f * q[b].d);
            }
            assert_int_equal(q[b].nhalf[0], -sum[0]);
            assert_int_equal(q[b].nhalf[1], -sum[1]);
            assert_int_equal(q[b].nsum, -(sum[0] + sum[1]));
            assert_true(q[b].ds == q[b].d * (float)-q[b].nsum);
        }
    }
    for (int i = 0; i < 64; i++) x[i] = 0;
    x[40] = NAN;
    k.quantize(q, x, 2);
    assert_true(q[0].d == 0 && q[0].nsum == 0 && isnan(q[1].d));
    x[40] = INFINITY;
    x[3] = 1e-42f;
    k.quantize(q, x, 2);
    assert_true(isnan(q[1].d));
    assert_true(fabsf(q[0].d * (float)q[0].q[3]) <= 2e-42f);
}

static void activations_are_rounded_to_the_nearest_byte(void **state) { (void)state; each_tier(rounding); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(products_are_right_and_depend_on_row_and_token_alone, set_up),
        cmocka_unit_test_setup(interleaved_rows_give_the_bits_of_plain_ones, set_up),
        cmocka_unit_test_setup(extreme_bytes_do_not_overflow, set_up), cmocka_unit_test_setup(activations_are_rounded_to_the_nearest_byte, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
