/* Element and block types: bytes and values against the reference package (tests/gold/blocks.json, tools/oracle/make_blocks.py), halves
 * against arithmetic done here, sizes against 128-bit integers. */
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "fault.h"
#include "tensor/type.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 1024, BLOCK = 32 };

/* ---- the reference ---------------------------------------------------------------------------------------------------- */

static fault f;
static witan_ctx *cx;
static json_t *gold;
static float values[MOST];
static size_t n_value;

/* Bytes written in hex. The result lies one byte off any alignment, as rows in files may. */
typedef struct blob { uint8_t room[4 * MOST + 1]; size_t n; } blob;
static uint8_t *data(blob *b) { return b->room + 1; }

static void from_hex(const json_t *text, blob *b)
{
    const char *s = json_string_value(text);
    assert_non_null(s);
    b->n = strlen(s) / 2;
    assert_true(b->n <= 4 * MOST);
    for (size_t i = 0; i < b->n; i++) {
        unsigned v;
        assert_int_equal(sscanf(s + 2 * i, "%2x", &v), 1);
        data(b)[i] = (uint8_t)v;
    }
}

static int set_up(void **state)
{
    char *text;
    size_t n;
    blob b;
    (void)state;
    f = (fault){ 0 };
    cx = fault_ctx(&f);
    if (!cx || wt_file_read(cx, "tests/gold/blocks.json", 1 << 20, &text, &n)) return -1;
    wt_status st = wt_json_parse(cx, text, n, "blocks.json", &gold);
    wt_free(cx, text);
    if (st) return -1;
    from_hex(json_object_get(gold, "values"), &b);
    memcpy(values, data(&b), b.n);
    n_value = b.n / sizeof *values;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(gold);
    witan_ctx_free(cx);
    return f.live != 0;
}

static uint32_t type_named(const char *name)
{
    for (uint32_t t = 0; t < WT_N_TYPE; t++) if (!strcmp(wt_type_get(t)->name, name)) return t;
    fail_msg("no type is called %s", name);
    return 0;
}

static void sizes_are_those_of_the_reference(void **state)
{
    size_t i;
    json_t *line;
    bool known[1000] = { false };
    (void)state;
    json_array_foreach(json_object_get(gold, "sizes"), i, line) {
        unsigned type, block, bytes;
        char name[32];
        assert_int_equal(sscanf(json_string_value(line), "%u %31s %u %u", &type, name, &block, &bytes), 4);
        assert_true(type < 1000);
        const wt_type_info *t = wt_type_get(type);
        known[type] = true;
        assert_string_equal(t->name, name);
        assert_int_equal(t->block, block);
        if (type == 9) bytes = 36;               /* Q8_1: the package still has two floats where ggml has two halves */
        if (t->bytes != bytes) fail_msg("%s: blocks of %u bytes, the reference has %u", name, t->bytes, bytes);
    }
    assert_true(i > 30);
    known[42] = true;                            /* Q2_0 is newer than the package */
    for (uint32_t t = 0; t < WT_X8; t++) {                     /* ours */
        wt_type x8;
        if (wt_grouped(t, &x8)) known[x8] = true;
    }
    for (uint32_t t = 0; t < 1000; t++) if (!known[t]) assert_int_equal(wt_type_get(t)->block, 0);
    assert_int_equal(wt_type_get(UINT32_MAX)->block, 0);
}

static void packing_gives_the_bytes_of_the_reference(void **state)
{
    const char *name;
    json_t *text;
    (void)state;
    json_object_foreach(json_object_get(gold, "packed"), name, text) {
        blob expected;
        uint8_t found[4 * MOST];
        const wt_type_info *t = wt_type_get(type_named(name));
        from_hex(text, &expected);
        assert_int_equal(expected.n, n_value / t->block * t->bytes);
        t->pack(found, values, n_value);
        for (size_t i = 0; i < expected.n; i++)
            if (found[i] != data(&expected)[i])
                fail_msg("%s: block %zu, byte %zu is 0x%02x, expected 0x%02x", name, i / t->bytes, i % t->bytes, found[i], data(&expected)[i]);
    }
}

static void unpacking_gives_the_bits_of_the_reference(void **state)
{
    const char *name;
    json_t *pair;
    (void)state;
    json_object_foreach(json_object_get(gold, "unpack"), name, pair) {
        blob blocks, expected;
        float found[MOST];
        const wt_type_info *t = wt_type_get(type_named(name));
        from_hex(json_object_get(pair, "blocks"), &blocks);
        from_hex(json_object_get(pair, "values"), &expected);
        size_t n = blocks.n / t->bytes * t->block;
        assert_int_equal(expected.n, n * sizeof *found);
        t->unpack(found, data(&blocks), n);
        for (size_t i = 0; i < n; i++) {
            float v;
            memcpy(&v, data(&expected) + i * sizeof v, sizeof v);
            if (memcmp(&v, found + i, sizeof v)) fail_msg("%s: value %zu is %.9g, expected %.9g", name, i, found[i], v);
        }
    }
}

/* ---- halves ------------------------------------------------------------------------------------------------------------- */

/* What 16 bits mean, by the definition: sign, `exp_bits` exponent bits, the rest fraction. */
static double meaning(uint16_t h, int exp_bits)
{
    int frac_bits = 15 - exp_bits, bias = (1 << (exp_bits - 1)) - 1, e = (h & 0x7fff) >> frac_bits, m = h & ((1 << frac_bits) - 1);
    double v = e ? ldexp(m + (1 << frac_bits), e - bias - frac_bits) : ldexp(m, 1 - bias - frac_bits);
    return h & 0x8000 ? -v : v;
}

static void every_half_means_what_its_bits_say(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float half = wt_half_to_float((uint16_t)h), bf = wt_bf16_to_float((uint16_t)h);
        if ((h >> 10 & 31) == 31) assert_true(h & 1023 ? isnan(half) : half == (h & 0x8000 ? -INFINITY : INFINITY));
        else assert_true((double)half == meaning((uint16_t)h, 5) && !signbit(half) == !(h & 0x8000));
        if ((h >> 7 & 255) == 255) assert_true(h & 127 ? isnan(bf) : bf == (h & 0x8000 ? -INFINITY : INFINITY));
        else assert_true((double)bf == meaning((uint16_t)h, 8) && !signbit(bf) == !(h & 0x8000));
        if (!isnan(half)) assert_int_equal(wt_float_to_half(half), h);
        if (!isnan(bf)) assert_int_equal(wt_float_to_bf16(bf), h);
    }
}

/* Between each number and the next: halfway goes to the even one, a hair less down, a hair more up. The step after the largest one
 * leads to infinity. */
static void every_gap_is_rounded_to_nearest_even(void **state)
{
    static const struct { int exp_bits; uint16_t infinity; uint16_t (*round)(float); } form[] = { { 5, 0x7c00, wt_float_to_half }, { 8, 0x7f80, wt_float_to_bf16 } };
    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (uint16_t h = 0; h < form[i].infinity; h++) {
            float mid = (float)((meaning(h, form[i].exp_bits) + meaning((uint16_t)(h + 1), form[i].exp_bits)) / 2);
            uint16_t even = (uint16_t)(h + (h & 1)), up = (uint16_t)(h + 1);
            assert_int_equal(form[i].round(mid), even);
            assert_int_equal(form[i].round(-mid), even | 0x8000);
            assert_int_equal(form[i].round(nextafterf(mid, 0)), h);
            assert_int_equal(form[i].round(nextafterf(mid, INFINITY)), up);
        }
}

static void infinity_and_nan_stay_what_they_are(void **state)
{
    (void)state;
    const float big[] = { INFINITY, 3e38f, 65520 };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(wt_float_to_half(big[i]), 0x7c00);
        assert_int_equal(wt_float_to_half(-big[i]), 0xfc00);
    }
    assert_int_equal(wt_float_to_bf16(INFINITY), 0x7f80);
    for (uint32_t u = 0x7f800001; u < 0x7fffffff; u += 0x10001) {   /* any payload, also one that would be cut off */
        float v;
        memcpy(&v, &u, sizeof v);
        assert_true(isnan(wt_half_to_float(wt_float_to_half(v))));
        assert_true(isnan(wt_bf16_to_float(wt_float_to_bf16(v))));
    }
}

/* ---- promises of the quantizers ------------------------------------------------------------------------------------------ */

static const wt_type quants[] = { WT_Q8_0, WT_Q4_0 };

/* Q8_0: half a step. Q4_0: the end opposite to the largest value is clipped, which costs up to one step. Steps are of the rounded scale; its
 * rounding, at most 2^-11 of the value or half of the smallest half, comes on top. */
static void what_is_packed_comes_back_within_the_stated_error(void **state)
{
    wt_rng rng;
    (void)state;
    wt_rng_seed(&rng, 3, 0);
    for (int round = 0; round < 4000; round++) {
        float x[BLOCK], y[BLOCK], top = 0, scale = ldexpf(1, (int)(wt_rng_u64(&rng) % 30) - 20);
        uint8_t packed[64], again[64];
        for (int i = 0; i < BLOCK; i++) x[i] = i % 9 == 4 ? 0 : scale * (2 * wt_rng_float(&rng) - 1);
        for (int i = 0; i < BLOCK; i++) top = fmaxf(top, fabsf(x[i]));
        for (size_t q = 0; q < 2; q++) {
            const wt_type_info *t = wt_type_get(quants[q]);
            float step = quants[q] == WT_Q8_0 ? top / 127 : top / 8, share = quants[q] == WT_Q8_0 ? 0.5f : 1;
            float bound = step * share * 1.001f + top * 0x1p-11f + (quants[q] == WT_Q8_0 ? 127 : 8) * 0x1p-25f;
            t->pack(packed, x, BLOCK);
            t->unpack(y, packed, BLOCK);
            for (int i = 0; i < BLOCK; i++) {
                if (!(fabsf(y[i] - x[i]) <= bound)) fail_msg("%s: %.9g came back as %.9g, more than %.3g away", t->name, x[i], y[i], bound);
                if (x[i] == 0) assert_true(y[i] == 0);
            }
            if (top < 1e-5f) continue;           /* the scale keeps a few bits only: another round may pick a neighbour */
            t->pack(again, y, BLOCK);
            assert_memory_equal(packed, again, t->bytes);
        }
    }
}

static void numbers_that_no_scale_fits_are_packed_all_the_same(void **state)
{
    (void)state;
    for (size_t q = 0; q < 2; q++) {
        const wt_type_info *t = wt_type_get(quants[q]);
        const float odd[] = { 1e-38f, -1e-38f, 1e-45f, 3e38f, -3e38f, INFINITY, -INFINITY, NAN };
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
            float x[BLOCK] = { 0 }, y[BLOCK];
            uint8_t packed[64];
            memset(packed, 0xAA, sizeof packed);
            x[3] = odd[k];
            x[20] = -odd[k];
            t->pack(packed, x, BLOCK);
            t->unpack(y, packed, BLOCK);
            for (int i = 0; i < BLOCK && fabsf(odd[k]) < 1; i++) assert_true(y[i] == 0);
            for (size_t i = t->bytes; i < sizeof packed; i++) assert_int_equal(packed[i], 0xAA);
        }
    }
}

/* ---- sizes -------------------------------------------------------------------------------------------------------------- */

/* The row length is a file's number: whatever it is, the bytes are exact or refused. */
static void row_sizes_agree_with_128_bit_arithmetic(void **state)
{
    wt_rng rng;
    (void)state;
    wt_rng_seed(&rng, 5, 0);
    for (int round = 0; round < 200000; round++) {
        uint32_t type = (uint32_t)(wt_rng_u64(&rng) % (WT_N_TYPE + 4));
        const wt_type_info *t = wt_type_get(type);
        uint64_t n = wt_rng_u64(&rng) >> wt_rng_u64(&rng) % 64;
        size_t bytes = 0;
        if (round % 3 && t->block) n = n / t->block * t->block;
        if (round % 7 == 0) n = UINT64_MAX - n % 600;
        unsigned __int128 exact = t->block ? (unsigned __int128)n / t->block * t->bytes : 0;
        bool legal = t->block && n % t->block == 0 && exact <= SIZE_MAX;
        if (wt_row_bytes(type, n, &bytes) != legal || (legal && bytes != exact)) fail_msg("%s, %llu values: %zu bytes", t->name, (unsigned long long)n, bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_the_reference), cmocka_unit_test(packing_gives_the_bytes_of_the_reference),
        cmocka_unit_test(unpacking_gives_the_bits_of_the_reference), cmocka_unit_test(every_half_means_what_its_bits_say),
        cmocka_unit_test(every_gap_is_rounded_to_nearest_even), cmocka_unit_test(infinity_and_nan_stay_what_they_are),
        cmocka_unit_test(what_is_packed_comes_back_within_the_stated_error), cmocka_unit_test(numbers_that_no_scale_fits_are_packed_all_the_same),
        cmocka_unit_test(row_sizes_agree_with_128_bit_arithmetic),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
