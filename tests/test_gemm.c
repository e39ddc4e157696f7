/* Products of matrices: every tier against exact sums for all four ways that operands can lie and for sizes around every edge of a tile or block;
 * what stands beside operands never counts; and the promise that training rests on: C cut into any pieces has the same bits. */
#include "base/rng.h"
#include "kernel/kernel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 3 << 19, GAP = 3 };                /* floats of a buffer; values between rows that belong to nobody */
static const float MARK = 12345.678f;

static wt_rng rng;
static float *A, *B, *C, *whole, *scratch;       /* [ROOM] each, scratch [WT_GEMM_SCRATCH] and marks */

static int set_up(void **state)
{
    (void)state;
    wt_rng_seed(&rng, 6, 0);
    A = malloc(ROOM * sizeof *A);
    B = malloc(ROOM * sizeof *B);
    C = malloc(ROOM * sizeof *C);
    whole = malloc(ROOM * sizeof *whole);
    scratch = aligned_alloc(64, (WT_GEMM_SCRATCH + 64) * sizeof *scratch);
    for (size_t i = 0; i < 64; i++) scratch[WT_GEMM_SCRATCH + i] = MARK;
    return !(A && B && C && whole && scratch);
}

static int tear_down(void **state)
{
    (void)state;
    float *all[] = { A, B, C, whole, scratch };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    return 0;
}

static size_t below(size_t n) { return (size_t)(wt_rng_u64(&rng) % n); }
static float any_float(void) { return 4 * wt_rng_float(&rng) - 2; }
static float small_integer(void) { return (float)below(17) - 8; }      /* sums of these are exact in any order, and BF16 holds them */

typedef struct scene {
    const char *tier;
    wt_gemm_fn gemm;
    bool bf16;
    size_t m, n, k;
    bool ta, tb, add;
    size_t shift;                                /* floats by which the operands miss the alignment of their buffers */
} scene;

static const char *say(const scene *s)
{
    static char text[160];
    snprintf(text, sizeof text, "%s%s, %zu x %zu x %zu,%s%s%s shift %zu", s->tier, s->bf16 ? " bf16" : "", s->m, s->n, s->k, s->ta ? " ta" : "", s->tb ? " tb" : "",
             s->add ? " add" : "", s->shift);
    return text;
}

static void each_kernel(void (*what)(scene s))
{
    for (int t = 0; t < WT_N_TIER; t++) {
        wt_kernels k;
        if (!wt_tier_here((wt_tier)t)) continue;
        wt_kernels_init(&k, (wt_tier)t, false);
        assert_non_null(k.gemm);
        assert_non_null(k.gemm_bf16);
        what((scene){ .tier = wt_tier_name((wt_tier)t), .gemm = k.gemm });
        what((scene){ .tier = wt_tier_name((wt_tier)t), .gemm = k.gemm_bf16, .bf16 = true });
    }
}

/* ---- operands ------------------------------------------------------------------------------------------------------------- */

static size_t ld_a(const scene *s) { return (s->ta ? s->m : s->k) + GAP; }
static size_t ld_b(const scene *s) { return (s->tb ? s->k : s->n) + GAP; }
static size_t ld_c(const scene *s) { return s->n + GAP; }
static float *a_at(const scene *s, size_t i, size_t p) { return A + s->shift + (s->ta ? p * ld_a(s) + i : i * ld_a(s) + p); }
static float *b_at(const scene *s, size_t p, size_t j) { return B + s->shift + (s->tb ? j * ld_b(s) + p : p * ld_b(s) + j); }
static float *c_at(const scene *s, float *c, size_t i, size_t j) { return c + s->shift + i * ld_c(s) + j; }

/* Values in their places, NaN everywhere around operands, marks around C. */
static void fill(const scene *s, float (*draw)(void))
{
    assert_true((s->m + 1) * (s->k + GAP) < ROOM && (s->k + 1) * (s->n + GAP) < ROOM && (s->m + 1) * (s->n + GAP) < ROOM);
    assert_true((s->k + 1) * (s->m + GAP) < ROOM && (s->n + 1) * (s->k + GAP) < ROOM);
    size_t a = (s->ta ? s->k : s->m) * ld_a(s), b = (s->tb ? s->n : s->k) * ld_b(s);
    for (size_t i = 0; i < s->shift + a; i++) A[i] = NAN;
    for (size_t i = 0; i < s->shift + b; i++) B[i] = NAN;
    for (size_t i = 0; i < s->m; i++)
        for (size_t p = 0; p < s->k; p++) *a_at(s, i, p) = draw();
    for (size_t p = 0; p < s->k; p++)
        for (size_t j = 0; j < s->n; j++) *b_at(s, p, j) = draw();
    for (size_t i = 0; i < s->shift + (s->m + 1) * ld_c(s); i++) C[i] = MARK;
    for (size_t i = 0; i < s->m; i++)
        for (size_t j = 0; j < s->n; j++) *c_at(s, C, i, j) = s->add ? draw() : NAN;
}

static void run(const scene *s, float *c)
{
    s->gemm(c_at(s, c, 0, 0), ld_c(s), a_at(s, 0, 0), ld_a(s), s->ta, b_at(s, 0, 0), ld_b(s), s->tb, s->m, s->n, s->k, s->add, scratch);
    for (size_t i = 0; i < 64; i++)
        if (scratch[WT_GEMM_SCRATCH + i] != MARK) fail_msg("%s: wrote behind scratch", say(s));
}

static float bfloat(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000;
    memcpy(&x, &u, 4);
    return x;
}

/* |C - exact| <= tolerance times the summed magnitudes, and nothing beside C changed. before: what C held. */
static void close_to_exact(const scene *s, const float *before, double tolerance)
{
    size_t total = s->shift + (s->m + 1) * ld_c(s), at = 0;
    for (; at < s->shift; at++) if (C[at] != MARK) fail_msg("%s: wrote before C", say(s));
    for (size_t i = 0; i < s->m; i++) {
        for (size_t j = 0; j < s->n; j++, at++) {
            double sum = s->add ? before[at] : 0, size = fabs(sum);
            for (size_t p = 0; p < s->k; p++) {
                float a = *a_at(s, i, p), b = *b_at(s, p, j);
                double x = s->bf16 ? (double)bfloat(a) * bfloat(b) : (double)a * b;
                sum += x;
                size += fabs(x);
            }
            if (!(fabs(C[at] - sum) <= tolerance * size)) fail_msg("%s: (%zu, %zu) is %.9g, exact %.9g", say(s), i, j, C[at], sum);
        }
        for (size_t j = 0; j < GAP; j++, at++) if (C[at] != MARK) fail_msg("%s: wrote beside row %zu of C", say(s), i);
    }
    for (; at < total; at++) if (C[at] != MARK) fail_msg("%s: wrote behind C", say(s));
}

/* ---- right values --------------------------------------------------------------------------------------------------------- */

static void check(scene s, float (*draw)(void), double tolerance)
{
    fill(&s, draw);
    memcpy(whole, C, (s.shift + (s.m + 1) * ld_c(&s)) * sizeof *C);
    run(&s, C);
    close_to_exact(&s, whole, tolerance);
}

static void four_ways(scene s, float (*draw)(void), double tolerance)
{
    for (int way = 0; way < 4; way++) {
        s.ta = way & 1;
        s.tb = way & 2;
        s.add = below(2);
        s.shift = below(4);
        check(s, draw, tolerance);
    }
}

/* Every number of rows and of columns of a tile, and two tiles. */
static void small_sizes(scene s)
{
    for (s.m = 1; s.m <= 30; s.m++) {
        s.n = 1 + below(70);
        s.k = 1 + below(40);
        four_ways(s, small_integer, 0);
    }
    for (s.n = 1; s.n <= 70; s.n++) {
        s.m = 1 + below(30);
        s.k = 1 + below(40);
        four_ways(s, small_integer, 0);
    }
    for (s.k = 0; s.k <= 40; s.k++) {
        s.m = 1 + below(30);
        s.n = 1 + below(70);
        four_ways(s, small_integer, 0);
    }
}

static void products_of_integers_are_exact_around_every_edge_of_a_tile(void **state) { (void)state; each_kernel(small_sizes); }

static void block_edges(scene s)
{
    static const size_t deep[] = { 1, 2, WT_GEMM_DEEP - 1, WT_GEMM_DEEP, WT_GEMM_DEEP + 1, 2 * WT_GEMM_DEEP + 3 }, wide[] = { 500, 512, 513, 1023, 1025 };
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++)
        four_ways((scene){ s.tier, s.gemm, s.bf16, 1 + below(20), 1 + below(40), deep[i], 0 }, small_integer, 0);
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        four_ways((scene){ s.tier, s.gemm, s.bf16, 1 + below(5), wide[i], 1 + below(20), 0 }, small_integer, 0);
    four_ways((scene){ s.tier, s.gemm, s.bf16, 3, 515, WT_GEMM_DEEP + 1, 0 }, small_integer, 0);
    four_ways((scene){ s.tier, s.gemm, s.bf16, 200, 33, 5, 0 }, small_integer, 0);
}

static void products_of_integers_are_exact_around_every_edge_of_a_block(void **state) { (void)state; each_kernel(block_edges); }

static void floats(scene s)
{
    for (int i = 0; i < 30; i++) {
        s.m = 1 + below(40);
        s.n = 1 + below(80);
        s.k = 1 + below(i % 3 ? 80 : 1200);
        four_ways(s, any_float, 2e-6);
    }
}

static void products_of_floats_are_exact_to_rounding(void **state) { (void)state; each_kernel(floats); }

static void nothing(scene s)
{
    for (int add = 0; add < 2; add++) {
        s.add = add;
        s.m = 5; s.n = 0; s.k = 7;
        check(s, any_float, 0);
        s.m = 0; s.n = 5;
        check(s, any_float, 0);
        s.m = 3; s.k = 0;                        /* zeros, or C as it was */
        check(s, any_float, 0);
    }
}

static void empty_sums_are_zero_and_empty_results_are_nothing(void **state) { (void)state; each_kernel(nothing); }

/* ---- the order of sums ----------------------------------------------------------------------------------------------------- */

/* C anew in pieces at random rows and columns. */
static void in_pieces(const scene *s, float *c)
{
    for (size_t i = 0, rows; i < s->m; i += rows) {
        rows = 1 + below(s->m - i);
        for (size_t j = 0, cols; j < s->n; j += cols) {
            cols = 1 + below(s->n - j);
            s->gemm(c_at(s, c, i, j), ld_c(s), a_at(s, i, 0), ld_a(s), s->ta, b_at(s, 0, j), ld_b(s), s->tb, rows, cols, s->k, s->add, scratch);
        }
    }
}

static void pieces(scene s)
{
    for (int i = 0; i < 40; i++) {
        s.m = 1 + below(i % 4 ? 60 : 16);
        s.n = 1 + below(i % 4 ? 100 : 1100);
        s.k = 1 + below(i % 4 ? 100 : 1100);
        s.ta = below(2);
        s.tb = below(2);
        s.add = below(2);
        s.shift = below(4);
        fill(&s, any_float);
        size_t bytes = (s.shift + (s.m + 1) * ld_c(&s)) * sizeof *C;
        memcpy(whole, C, bytes);
        run(&s, whole);
        in_pieces(&s, C);
        if (memcmp(C, whole, bytes)) fail_msg("%s: pieces have other bits", say(&s));
    }
}

static void a_result_in_pieces_has_the_same_bits(void **state) { (void)state; each_kernel(pieces); }

/* How operands lie does not show either. */
static void turned(scene s)
{
    static float at[40 * 600], bt[50 * 600], c[4][40 * 50];
    s.m = 37; s.n = 45; s.k = 555;
    fill(&s, any_float);
    for (size_t p = 0; p < s.k; p++) {
        for (size_t i = 0; i < s.m; i++) at[p * s.m + i] = *a_at(&s, i, p);
        for (size_t j = 0; j < s.n; j++) bt[j * s.k + p] = *b_at(&s, p, j);
    }
    for (int way = 0; way < 4; way++) {
        bool ta = way & 1, tb = way & 2;
        s.gemm(c[way], s.n, ta ? at : a_at(&s, 0, 0), ta ? s.m : ld_a(&s), ta, tb ? bt : b_at(&s, 0, 0), tb ? s.k : ld_b(&s), tb, s.m, s.n, s.k, false, scratch);
        if (memcmp(c[way], c[0], s.m * s.n * sizeof **c)) fail_msg("%s, way %d: other bits", s.tier, way);
    }
}

static void a_result_does_not_depend_on_how_operands_lie(void **state) { (void)state; each_kernel(turned); }

static void tiers_with_vectors_give_the_same_bits(void **state)
{
    wt_kernels first, k;
    bool any = false;
    (void)state;
    for (int t = WT_TIER_REF + 1; t < WT_N_TIER; t++) {
        if (!wt_tier_here((wt_tier)t)) continue;
        wt_kernels_init(&k, (wt_tier)t, false);
        if (!any) first = k;
        any = true;
        scene s = { .tier = wt_tier_name((wt_tier)t), .gemm = first.gemm, .m = 31, .n = 75, .k = 1100 };
        fill(&s, any_float);
        run(&s, whole);
        s.gemm = k.gemm;
        run(&s, C);
        for (size_t i = 0; i < s.m; i++)
            if (memcmp(c_at(&s, C, i, 0), c_at(&s, whole, i, 0), s.n * sizeof *C)) fail_msg("%s: other bits than %s", s.tier, wt_tier_name(first.tier));
    }
}

/* ---- no numbers -------------------------------------------------------------------------------------------------------------- */

static void not_finite(scene s)
{
    s.m = 29; s.n = 70; s.k = 21;
    for (int way = 0; way < 4; way++) {
        s.ta = way & 1;
        s.tb = way & 2;
        fill(&s, any_float);
        *a_at(&s, 17, 20) = NAN;
        *b_at(&s, 3, 69) = INFINITY;
        for (size_t i = 0; i < s.m; i++) *a_at(&s, i, 3) = i == 5 ? 0 : i == 6 ? -1 : 1;
        run(&s, C);
        for (size_t i = 0; i < s.m; i++)
            for (size_t j = 0; j < s.n; j++) {
                float x = *c_at(&s, C, i, j);
                bool right = i == 17 || (j == 69 && i == 5) ? isnan(x) : j == 69 ? isinf(x) && (x < 0) == (i == 6) : isfinite(x);
                if (!right) fail_msg("%s: (%zu, %zu) is %g", say(&s), i, j, x);
            }
    }
}

static void what_is_no_number_reaches_its_row_and_column_and_nothing_else(void **state) { (void)state; each_kernel(not_finite); }

/* Rounding to BF16, seen through products with one: to nearest, ties to even, NaN stays NaN, overflow to infinity. */
static void rounding(scene s)
{
    static const struct { uint32_t from, to; } word[] = { { 0x3f800000, 0x3f800000 }, { 0x3f808000, 0x3f800000 }, { 0x3f808001, 0x3f810000 }, { 0x3f818000, 0x3f820000 },
        { 0x3f817fff, 0x3f810000 }, { 0xbf7f8000, 0xbf800000 }, { 0x7f7fffff, 0x7f800000 }, { 0x7f800000, 0x7f800000 } };
    enum { N = sizeof word / sizeof *word };
    float from[N], one = 1, y[N], nan = NAN;
    if (!s.bf16) return;
    for (size_t i = 0; i < N; i++) memcpy(&from[i], &word[i].from, 4);
    s.gemm(y, 1, from, 1, false, &one, 1, false, N, 1, 1, false, scratch);
    for (size_t i = 0; i < N; i++)
        if (memcmp(&y[i], &word[i].to, 4)) fail_msg("%s: %a rounds to %a", s.tier, from[i], y[i]);
    s.gemm(y, N, &one, 1, false, from, N, false, 1, N, 1, false, scratch);
    for (size_t i = 0; i < N; i++)
        if (memcmp(&y[i], &word[i].to, 4)) fail_msg("%s, as B: %a rounds to %a", s.tier, from[i], y[i]);
    s.gemm(y, 1, &nan, 1, false, &one, 1, false, 1, 1, 1, false, scratch);
    assert_true(isnan(y[0]));
}

static void bf16_products_round_operands_to_nearest_even(void **state) { (void)state; each_kernel(rounding); }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_integers_are_exact_around_every_edge_of_a_tile),
        cmocka_unit_test(products_of_integers_are_exact_around_every_edge_of_a_block),
        cmocka_unit_test(products_of_floats_are_exact_to_rounding),
        cmocka_unit_test(empty_sums_are_zero_and_empty_results_are_nothing),
        cmocka_unit_test(a_result_in_pieces_has_the_same_bits),
        cmocka_unit_test(a_result_does_not_depend_on_how_operands_lie),
        cmocka_unit_test(tiers_with_vectors_give_the_same_bits),
        cmocka_unit_test(what_is_no_number_reaches_its_row_and_column_and_nothing_else),
        cmocka_unit_test(bf16_products_round_operands_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
