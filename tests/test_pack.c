/* Writing blocks: bit for bit where rounding is defined, within bounds of error where it is searched for, and defined for any input. */
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "tensor/type.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 1 << 16 };

/* ---- against another implementation ------------------------------------------------------------------------------------ */

static size_t unhex(const char *s, uint8_t *p)
{
    size_t n = strlen(s) / 2;
    for (size_t i = 0; i < n; i++) { unsigned v; assert_int_equal(sscanf(s + 2 * i, "%2x", &v), 1); p[i] = (uint8_t)v; }
    return n;
}

static uint32_t type_named(const char *name)
{
    for (uint32_t t = 0; t < WT_N_TYPE; t++) if (!strcmp(wt_type_get(t)->name, name)) return t;
    fail_msg("no type %s", name);
    return 0;
}

static void simple_formats_are_packed_bit_for_bit(void **state)
{
    (void)state;
    witan_ctx *cx = witan_ctx_new(NULL);
    char *text;
    size_t n, i;
    json_t *all, *rows, *row;
    const char *name;
    int seen = 0;
    if (wt_file_read(cx, "tests/gold/packs.json", 1 << 20, &text, &n) || wt_json_parse(cx, text, n, "packs.json", &all)) fail_msg("%s", witan_error(cx));
    json_object_foreach(json_object_get(all, "blocks"), name, rows) {
        const wt_type_info *t = wt_type_get(type_named(name));
        json_array_foreach(rows, i, row) {
            uint8_t expected[64], found[64];
            float x[32];
            assert_int_equal(unhex(json_string_value(json_array_get(json_object_get(all, "values"), i)), (uint8_t *)x), sizeof x);
            assert_int_equal(unhex(json_string_value(row), expected), t->bytes);
            t->pack(found, x, 32);
            if (memcmp(found, expected, t->bytes)) fail_msg("%s: row %zu differs", name, i);
            seen++;
        }
    }
    assert_int_equal(seen, 45);
    json_decref(all);
    wt_free(cx, text);
    witan_ctx_free(cx);
}

/* ---- error -------------------------------------------------------------------------------------------------------------- */

static float normal(wt_rng *r)
{
    float u = 1 - wt_rng_float(r), v = wt_rng_float(r);
    return sqrtf(-2 * logf(u)) * cosf(6.2831853f * v);
}

/* Root mean square of what packing and reading back changes, beside that of the values. */
static double error_of(uint32_t type, const float *x)
{
    const wt_type_info *t = wt_type_get(type);
    uint8_t *p = malloc(N / t->block * t->bytes);
    float *y = malloc(N * sizeof *y);
    double off = 0, size = 0;
    t->pack(p, x, N);
    t->unpack(y, p, N);
    for (size_t i = 0; i < N; i++) {
        off += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        size += (double)x[i] * (double)x[i];
    }
    free(p);
    free(y);
    return sqrt(off / size);
}

/* Bounds: what the quantizer of the formats' authors reaches on such values, measured beside ours, plus one per cent for the sample. */
static void error_stays_within_what_the_formats_authors_reach(void **state)
{
    (void)state;
    static const struct { uint32_t type; double gauss, tails; } bound[] = {
        { WT_Q4_0, 0.0870, 0.1170 }, { WT_Q4_1, 0.0790, 0.0950 }, { WT_Q5_0, 0.0433, 0.0592 }, { WT_Q5_1, 0.0383, 0.0460 }, { WT_Q8_0, 0.0055, 0.0075 },
        { WT_Q4_K, 0.0722, 0.0880 }, { WT_Q5_K, 0.0366, 0.0445 }, { WT_Q6_K, 0.0180, 0.0233 } };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    wt_rng rng;
    wt_rng_seed(&rng, 5, 0);
    for (size_t i = 0; i < N; i++) {
        x[i] = normal(&rng);
        float chi = 0;                                                        /* Student's t with four degrees of freedom */
        for (int k = 0; k < 4; k++) { float z = normal(&rng); chi += z * z; }
        y[i] = normal(&rng) / sqrtf(chi / 4);
    }
    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++) {
        double a = error_of(bound[i].type, x), b = error_of(bound[i].type, y);
        if (!(a <= bound[i].gauss && b <= bound[i].tails * 1.02))
            fail_msg("%s: error %.5f and %.5f, expected at most %.5f and %.5f", wt_type_get(bound[i].type)->name, a, b, bound[i].gauss, bound[i].tails);
    }
    free(x);
    free(y);
}

static void each_packable(void (*what)(uint32_t type, const wt_type_info *t))
{
    for (uint32_t t = 0; t < WT_N_TYPE; t++) if (wt_type_get(t)->pack) what(t, wt_type_get(t));
}

static void zero(uint32_t type, const wt_type_info *t)
{
    float x[256] = { 0 }, y[256];
    uint8_t p[1024];
    (void)type;
    t->pack(p, x, 256);
    t->unpack(y, p, 256);
    for (int i = 0; i < 256; i++) if (y[i] != 0) fail_msg("%s: zero becomes %g", t->name, (double)y[i]);
}

static void zeros_stay_zero(void **state) { (void)state; each_packable(zero); }

/* Values that a format holds exactly come back, or as near as a step of the grid. */
static void again(uint32_t type, const wt_type_info *t)
{
    float x[256], y[256], z[256], most = 0;
    uint8_t p[1024];
    wt_rng rng;
    wt_rng_seed(&rng, 9, type);
    for (int i = 0; i < 256; i++) x[i] = normal(&rng);
    t->pack(p, x, 256);
    t->unpack(y, p, 256);
    t->pack(p, y, 256);
    t->unpack(z, p, 256);
    for (int i = 0; i < 256; i++) most = fmaxf(most, fabsf(y[i]));
    for (int i = 0; i < 256; i++)
        if (!(fabsf(z[i] - y[i]) <= most * (t->block == 1 ? 0 : 0.02f))) fail_msg("%s: value %d was %g, packed again %g", t->name, i, (double)y[i], (double)z[i]);
}

static void packing_again_changes_little(void **state) { (void)state; each_packable(again); }

/* No input may do more than give some numbers; ordinary values beside strange ones in other blocks stay right. */
static void strange(uint32_t type, const wt_type_info *t)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY, 3.4e38f, -3.4e38f, 1e-45f, -1e-38f, 65504, 1e30f, -0.0f, 6e-8f };
    enum { ODD = sizeof odd / sizeof *odd };
    float x[1024], y[1024], plain[1024];
    uint8_t p[4096], q[4096];
    wt_rng rng;
    wt_rng_seed(&rng, 1, type);
    for (int i = 0; i < 1024; i++) x[i] = plain[i] = normal(&rng);
    for (int k = 0; k < 3 * ODD; k++) {
        for (int i = 256; i < 512; i++) x[i] = k < ODD ? odd[k] : k < 2 * ODD ? (i % 7 ? plain[i] : odd[k - ODD]) : odd[(i + k) % ODD];
        t->pack(p, x, 1024);
        t->unpack(y, p, 1024);
        t->pack(q, plain, 1024);
        size_t part = 256 / t->block * t->bytes;
        assert_memory_equal(p, q, part);
        assert_memory_equal(p + 2 * part, q + 2 * part, 2 * part);
    }
}

static void any_input_is_legal(void **state) { (void)state; each_packable(strange); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_formats_are_packed_bit_for_bit), cmocka_unit_test(error_stays_within_what_the_formats_authors_reach),
        cmocka_unit_test(zeros_stay_zero), cmocka_unit_test(packing_again_changes_little), cmocka_unit_test(any_input_is_legal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
