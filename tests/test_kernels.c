/* Kernels: every tier against plain C for all lengths around the vector width and for unaligned data, and the promise that batches rest on:
 * a result does not depend on the other rows and tokens of the call. */
#include "base/rng.h"
#include "kernel/kernel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 320, GUARD = 16 };
static const float MARK = 12345.678f;       /* stands around results: must stay */

static wt_rng rng;

static int set_up(void **state) { (void)state; wt_rng_seed(&rng, 20, 0); return 0; }

static float draw(void) { return 4 * wt_rng_float(&rng) - 2; }

static void fill(float *x, size_t n) { for (size_t i = 0; i < n; i++) x[i] = draw(); }

/* ---- running everything over tiers, lengths and alignments -------------------------------------------------------------- */

typedef struct scene { wt_kernels ref, k; size_t n, shift; } scene;    /* shift: floats by which operands miss the alignment */

static void each_tier(void (*what)(const scene *s))
{
    scene s = { 0 };
    wt_kernels_init(&s.ref, WT_TIER_REF, false);
    for (int t = 0; t < WT_N_TIER; t++) {
        if (!wt_tier_here((wt_tier)t)) continue;
        wt_kernels_init(&s.k, (wt_tier)t, false);
        assert_int_equal(s.k.tier, t);
        what(&s);
    }
}

static void each_length_of(const scene *s, void (*what)(const scene *s))
{
    scene c = *s;
    for (c.n = 1; c.n < 260; c.n++) {
        if (c.n == 71) c.n = 255;
        for (c.shift = 0; c.shift < 3; c.shift++) what(&c);
    }
}

/* A buffer with marks around its n floats, `shift` floats off a 64-byte boundary. */
typedef struct buffer { _Alignas(64) float all[ROOM + 2 * GUARD]; } buffer;

static float *room(buffer *b, const scene *s)
{
    for (size_t i = 0; i < ROOM + 2 * GUARD; i++) b->all[i] = MARK;
    return b->all + GUARD + s->shift;
}

static float *random_room(buffer *b, const scene *s)
{
    float *x = room(b, s);
    fill(x, s->n);
    return x;
}

static void untouched(const buffer *b, const scene *s, const char *what)
{
    size_t from = GUARD + s->shift;
    for (size_t i = 0; i < ROOM + 2 * GUARD; i++)
        if ((i < from || i >= from + s->n) && b->all[i] != MARK)
            fail_msg("%s, %s, n %zu, shift %zu: wrote at %td", wt_tier_name(s->k.tier), what, s->n, s->shift, (ptrdiff_t)i - (ptrdiff_t)from);
}

/* |y - expected| <= tolerance * size[i], the summed magnitudes behind each value. */
static void close_to(const scene *s, const char *what, const float *y, const float *expected, const float *size, float tolerance)
{
    for (size_t i = 0; i < s->n; i++)
        if (!(fabsf(y[i] - expected[i]) <= tolerance * size[i]))
            fail_msg("%s, %s, n %zu, shift %zu: value %zu is %.9g, ref has %.9g", wt_tier_name(s->k.tier), what, s->n, s->shift, i, y[i], expected[i]);
}

/* ---- element-wise --------------------------------------------------------------------------------------------------------- */

static void element_wise(const scene *s)
{
    buffer ba, bb, by, br;
    float size[ROOM], *a = random_room(&ba, s), *b = random_room(&bb, s), *y = room(&by, s), *r = room(&br, s);
    for (size_t i = 0; i < s->n; i++) size[i] = fabsf(a[i]) + fabsf(b[i]);
    s->ref.add(r, a, b, s->n);
    s->k.add(y, a, b, s->n);
    close_to(s, "add", y, r, size, 0);
    s->ref.mul(r, a, b, s->n);
    s->k.mul(y, a, b, s->n);
    close_to(s, "mul", y, r, size, 0);
    s->ref.scale(r, a, -1.7f, s->n);
    s->k.scale(y, a, -1.7f, s->n);
    close_to(s, "scale", y, r, size, 0);
    untouched(&by, s, "add, mul, scale");
    s->ref.scale(r, b, 1, s->n);
    s->k.scale(y, b, 1, s->n);
    s->ref.axpy(r, 0.3f, a, s->n);
    s->k.axpy(y, 0.3f, a, s->n);
    close_to(s, "axpy", y, r, size, 1e-6f);
    untouched(&by, s, "axpy");
    s->ref.silu_mul(r, a, b, s->n);
    s->k.silu_mul(y, a, b, s->n);
    close_to(s, "silu_mul", y, r, size, 1e-6f);
    untouched(&by, s, "silu_mul");
    s->k.silu_mul(a, a, b, s->n);
    close_to(s, "silu_mul in place", a, y, size, 0);
    untouched(&ba, s, "silu_mul in place");
}

static void element_wise_of_tier(const scene *s) { each_length_of(s, element_wise); }

static void element_wise_kernels_equal_ref_at_every_length(void **state) { (void)state; each_tier(element_wise_of_tier); }

/* Of silu(g) u: all three results, and in place of what they are made from. */
static void silu_back(const scene *s)
{
    buffer b[6];
    float size[ROOM], *g = random_room(b, s), *u = random_room(b + 1, s), *d = random_room(b + 2, s), *dg = room(b + 3, s), *du = room(b + 4, s), *h = room(b + 5, s);
    float rg[ROOM], ru[ROOM], rh[ROOM], total = 1;
    for (size_t i = 0; i < s->n; i++) {
        size[i] = 1 + fabsf(g[i] * u[i] * d[i]) + fabsf(g[i] * d[i]) + fabsf(u[i] * d[i]);
        total += size[i];
    }
    float expected = s->ref.silu_mul_back(rg, ru, rh, g, u, d, 0.7f, s->n), found = s->k.silu_mul_back(dg, du, h, g, u, d, 0.7f, s->n);
    if (!(fabsf(found - expected) <= 1e-6f * total)) fail_msg("%s, n %zu: sum is %.9g, ref has %.9g", wt_tier_name(s->k.tier), s->n, found, expected);
    close_to(s, "silu_mul_back, gate", dg, rg, size, 1e-6f);
    close_to(s, "silu_mul_back, up", du, ru, size, 1e-6f);
    close_to(s, "silu_mul_back, h", h, rh, size, 1e-6f);
    for (int i = 3; i < 6; i++) untouched(b + i, s, "silu_mul_back");
    assert_true(s->k.silu_mul_back(dg, du, NULL, g, u, d, 0.7f, s->n) == found);
    assert_true(s->k.silu_mul_back(g, u, d, g, u, d, 0.7f, s->n) == found);
    close_to(s, "silu_mul_back in place, gate", g, dg, size, 0);
    close_to(s, "silu_mul_back in place, up", u, du, size, 0);
    close_to(s, "silu_mul_back in place, h", d, h, size, 0);
    for (int i = 0; i < 3; i++) untouched(b + i, s, "silu_mul_back in place");
}

static void add_mul(const scene *s)
{
    buffer ba, bb, by;
    float size[ROOM], r[ROOM], *a = random_room(&ba, s), *b = random_room(&bb, s), *y = random_room(&by, s);
    for (size_t i = 0; i < s->n; i++) {
        r[i] = y[i];
        size[i] = fabsf(y[i]) + fabsf(a[i] * b[i]);
    }
    s->ref.add_mul(r, -0.3f, a, b, s->n);
    s->k.add_mul(y, -0.3f, a, b, s->n);
    close_to(s, "add_mul", y, r, size, 1e-6f);
    untouched(&by, s, "add_mul");
}

static void keep_bf16(const scene *s)
{
    buffer b;
    uint16_t found[ROOM + 8], expected[ROOM];
    float *x = random_room(&b, s);
    for (size_t i = 0; i < ROOM + 8; i++) found[i] = 0xABCD;
    if (s->n > 2) { x[s->n - 1] = NAN; x[s->n - 2] = -INFINITY; x[s->n - 3] = 1.00390625f; }      /* the last is a tie */
    s->ref.keep_bf16(expected, x, s->n);
    s->k.keep_bf16(found, x, s->n);
    for (size_t i = 0; i < s->n; i++)
        if (found[i] != expected[i]) fail_msg("%s, n %zu: %g as BF16 is %04x, ref has %04x", wt_tier_name(s->k.tier), s->n, x[i], found[i], expected[i]);
    for (size_t i = s->n; i < ROOM + 8; i++) assert_int_equal(found[i], 0xABCD);
}

static void training_of_tier(const scene *s)
{
    each_length_of(s, silu_back);
    each_length_of(s, add_mul);
    each_length_of(s, keep_bf16);
}

static void kernels_of_training_equal_ref_at_every_length(void **state) { (void)state; each_tier(training_of_tier); }

static void silu_far_out(const scene *s)
{
    static const float g[] = { -3e38f, -200, -104, -90, -88, -60, -1e-30f, 0, 1e-30f, 60, 88, 90, 200, 3e38f };
    enum { N = sizeof g / sizeof *g };
    float u[N], y[N];
    for (size_t i = 0; i < N; i++) u[i] = 1;
    s->k.silu_mul(y, g, u, N);
    for (size_t i = 0; i < N; i++) {
        double exact = g[i] / (1 + exp(-(double)g[i]));
        if (!(fabs(y[i] - exact) <= 1e-6 * fabs(exact) + 1e-34)) fail_msg("%s: silu(%g) is %.9g, expected %.9g", wt_tier_name(s->k.tier), g[i], y[i], exact);
    }
}

static void silu_is_right_far_from_zero(void **state) { (void)state; each_tier(silu_far_out); }

/* ---- softmax ---------------------------------------------------------------------------------------------------------------- */

static void softmax(const scene *s)
{
    buffer bx, by, br;
    float one[ROOM], *x = random_room(&bx, s), *y = room(&by, s), *r = room(&br, s);
    double sum = 0;
    for (size_t i = 0; i < s->n; i++) one[i] = 1;
    if (s->n > 3) x[s->n / 2] = -INFINITY;
    s->ref.softmax(r, x, s->n);
    s->k.softmax(y, x, s->n);
    close_to(s, "softmax", y, r, one, 1e-6f);
    untouched(&by, s, "softmax");
    for (size_t i = 0; i < s->n; i++) sum += y[i];
    if (fabs(sum - 1) > 1e-5) fail_msg("%s, n %zu: softmax sums to %.9g", wt_tier_name(s->k.tier), s->n, sum);
    if (s->n > 3 && y[s->n / 2] != 0) fail_msg("%s, n %zu: -inf has probability %g", wt_tier_name(s->k.tier), s->n, y[s->n / 2]);
    s->k.softmax(x, x, s->n);
    close_to(s, "softmax in place", x, y, one, 0);
}

static void softmax_of_tier(const scene *s) { each_length_of(s, softmax); }

static void softmax_equals_ref_and_gives_nothing_to_minus_infinity(void **state) { (void)state; each_tier(softmax_of_tier); }

static void softmax_moved(const scene *s)
{
    float x[37], y[37], r[37];
    for (float base = -3e4f; base <= 3e4f; base += 1e4f) {      /* exp of these alone would overflow or vanish */
        for (int i = 0; i < 37; i++) x[i] = base + (float)(i % 9) * 16;
        s->ref.softmax(r, x, 37);
        s->k.softmax(y, x, 37);
        for (int i = 0; i < 37; i++)
            if (!(fabsf(y[i] - r[i]) <= 1e-6f)) fail_msg("%s, base %g: value %d is %.9g, ref has %.9g", wt_tier_name(s->k.tier), base, i, y[i], r[i]);
    }
}

static void softmax_of_large_values_neither_overflows_nor_vanishes(void **state) { (void)state; each_tier(softmax_moved); }

/* ---- products ----------------------------------------------------------------------------------------------------------------- */

static void dot(const scene *s)
{
    buffer ba, bb;
    const float *a = random_room(&ba, s), *b = random_room(&bb, s);
    double exact = 0, size = 0;
    for (size_t i = 0; i < s->n; i++) { exact += (double)a[i] * b[i]; size += fabs((double)a[i] * b[i]); }
    float y = s->k.dot(a, b, s->n), r = s->ref.dot(a, b, s->n);
    if (!(fabs(y - exact) <= 1e-6 * size && fabs(r - exact) <= 1e-6 * size))
        fail_msg("%s, n %zu, shift %zu: dot is %.9g, ref has %.9g, exact %.9g", wt_tier_name(s->k.tier), s->n, s->shift, y, r, exact);
}

static void dot_of_tier(const scene *s) { each_length_of(s, dot); }

static void dot_is_exact_to_rounding_at_every_length(void **state) { (void)state; each_tier(dot_of_tier); }

enum { MOST_ROWS = 19, MOST_TOKENS = 8 };

/* Every shape of call must give the bits of the call for one row and one token, whatever the strides. */
static void matmul(const scene *s)
{
    static float w[MOST_ROWS * (ROOM + 5) + 4], x[MOST_TOKENS * (ROOM + 3) + 4], y[MOST_TOKENS * (MOST_ROWS + 2)], alone[MOST_TOKENS][MOST_ROWS];
    size_t ldw = s->n + 5, ldx = s->n + 3;
    fill(w, sizeof w / sizeof *w);
    fill(x, sizeof x / sizeof *x);
    const float *ws = w + s->shift, *xs = x + s->shift;
    for (size_t t = 0; t < MOST_TOKENS; t++)
        for (size_t r = 0; r < MOST_ROWS; r++) {
            s->k.matmul(&alone[t][r], 1, ws + r * ldw, s->n, xs + t * ldx, s->n, 1, 1, s->n);
            double exact = 0, size = 0;
            for (size_t i = 0; i < s->n; i++) { double p = (double)ws[r * ldw + i] * xs[t * ldx + i]; exact += p; size += fabs(p); }
            if (!(fabs(alone[t][r] - exact) <= 1e-6 * size))
                fail_msg("%s, n %zu, shift %zu: row %zu, token %zu is %.9g, exact %.9g", wt_tier_name(s->k.tier), s->n, s->shift, r, t, alone[t][r], exact);
        }
    for (size_t n_row = 1; n_row <= MOST_ROWS; n_row += n_row < 10 ? 1 : 3)
        for (size_t n_tok = 1; n_tok <= MOST_TOKENS; n_tok++) {
            size_t ldy = n_row + 2;
            for (size_t i = 0; i < n_tok * ldy; i++) y[i] = MARK;
            s->k.matmul(y, ldy, ws, ldw, xs, ldx, n_row, n_tok, s->n);
            for (size_t t = 0; t < n_tok; t++) {
                if (memcmp(y + t * ldy, alone[t], n_row * sizeof *y))
                    fail_msg("%s, n %zu, shift %zu, %zu rows, %zu tokens: token %zu has other bits than alone", wt_tier_name(s->k.tier), s->n, s->shift, n_row, n_tok, t);
                assert_true(y[t * ldy + n_row] == MARK && y[t * ldy + n_row + 1] == MARK);
            }
        }
}

static void matmul_of_tier(const scene *s)
{
    scene c = *s;
    for (c.n = 1; c.n < 260; c.n += c.n < 70 ? 1 : 37)
        for (c.shift = 0; c.shift < 2; c.shift++) matmul(&c);
}

static void a_row_times_a_token_does_not_depend_on_the_rest_of_the_call(void **state) { (void)state; each_tier(matmul_of_tier); }

/* What lies behind the last row, token or value must not count, not even where it is no number. */
static void poisoned(const scene *s)
{
    float w[64], x[64], y;
    for (size_t n = 1; n < 40; n++) {
        for (size_t i = 0; i < 64; i++) w[i] = x[i] = i < n ? 1 : NAN;
        s->k.matmul(&y, 1, w, n, x, n, 1, 1, n);
        if (y != (float)n) fail_msg("%s: sum of %zu ones is %g", wt_tier_name(s->k.tier), n, y);
        assert_true(s->k.dot(w, x, n) == (float)n);
        s->k.softmax(x, w, n);
        for (size_t i = 0; i < n; i++) assert_true(fabsf(x[i] - 1 / (float)n) < 1e-6f);
    }
}

static void values_behind_the_end_never_count(void **state) { (void)state; each_tier(poisoned); }

/* ---- blocks to float ------------------------------------------------------------------------------------------------------------ */

static bool same_number(float a, float b) { return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b)); }

/* Every pattern of 16 bits. */
static void all_halves(const scene *s)
{
    static const wt_type type[] = { WT_F16, WT_BF16 };
    uint16_t h[256];
    float y[256], r[256];
    for (size_t k = 0; k < 2; k++)
        for (uint32_t high = 0; high < 256; high++) {
            for (uint32_t i = 0; i < 256; i++) h[i] = (uint16_t)(high << 8 | i);
            s->ref.unpack[type[k]](r, h, 256);
            s->k.unpack[type[k]](y, h, 256);
            for (int i = 0; i < 256; i++)
                if (!same_number(y[i], r[i])) fail_msg("%s, %s %04x: %.9g, ref has %.9g", wt_tier_name(s->k.tier), wt_type_get(type[k])->name, h[i], y[i], r[i]);
        }
}

static void every_half_and_bfloat_pattern_reads_as_in_ref(void **state) { (void)state; each_tier(all_halves); }

/* Random bytes as blocks, at odd addresses; scales are made finite. */
static void random_blocks(const scene *s)
{
    static uint8_t bytes[ROOM * 4 + 8];
    static float y[ROOM + GUARD], r[ROOM + GUARD];
    for (uint32_t type = 0; type < WT_N_TYPE; type++) {
        const wt_type_info *info = wt_type_get(type);
        size_t row;
        assert_true(!s->k.unpack[type] == !info->unpack);
        if (!info->unpack) continue;
        for (size_t n = info->block; n < 260; n += info->block)
            for (size_t odd = 0; odd < 4; odd++) {
                assert_true(wt_row_bytes(type, n, &row));
                for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)wt_rng_u64(&rng);
                for (size_t i = 0; i < ROOM + GUARD; i++) y[i] = MARK;
                for (size_t b = 0; info->block > 1 && b < n / info->block; b++) bytes[odd + b * info->bytes + 1] &= 0xBB;
                s->ref.unpack[type](r, bytes + odd, n);
                s->k.unpack[type](y, bytes + odd, n);
                for (size_t i = 0; i < n; i++)
                    if (!same_number(y[i], r[i])) fail_msg("%s, %s, n %zu: value %zu is %.9g, ref has %.9g", wt_tier_name(s->k.tier), info->name, n, i, y[i], r[i]);
                for (size_t i = n; i < ROOM + GUARD; i++) assert_true(y[i] == MARK);
            }
    }
}

static void blocks_of_every_type_read_as_in_ref_at_any_address(void **state) { (void)state; each_tier(random_blocks); }

/* One block of each quantized type by hand. */
static void q8_0_and_q4_0_blocks_hold_what_the_format_says(void **state)
{
    uint8_t q8[34] = { 0x00, 0x38 }, q4[18] = { 0x00, 0xC0 };     /* scales 0.5 and -2 */
    float y[32];
    wt_kernels k;
    (void)state;
    for (int t = 0; t < WT_N_TIER; t++) {
        if (!wt_tier_here((wt_tier)t)) continue;
        wt_kernels_init(&k, (wt_tier)t, false);
        for (int i = 0; i < 32; i++) q8[2 + i] = (uint8_t)(i * 8 - 128);
        k.unpack[WT_Q8_0](y, q8, 32);
        for (int i = 0; i < 32; i++) assert_true(y[i] == 0.5f * (float)(i * 8 - 128));
        for (int i = 0; i < 16; i++) q4[2 + i] = (uint8_t)(i | (15 - i) << 4);
        k.unpack[WT_Q4_0](y, q4, 32);
        for (int i = 0; i < 16; i++) assert_true(y[i] == -2 * (float)(i - 8) && y[16 + i] == -2 * (float)(7 - i));
    }
}

/* ---- choosing --------------------------------------------------------------------------------------------------------------------- */

static void tiers_are_limited_by_the_machine_and_by_request(void **state)
{
    wt_kernels k;
    wt_tier t;
    (void)state;
    wt_kernels_init(&k, WT_TIER_REF, false);
    assert_int_equal(k.tier, WT_TIER_REF);
    wt_kernels_init(&k, WT_N_TIER - 1, false);
    assert_int_equal(k.tier, wt_cpu_tier());
    for (int i = 0; i < WT_N_TIER; i++) {
        assert_true(wt_tier_parse(wt_tier_name((wt_tier)i), &t));
        assert_int_equal(t, i);
    }
    assert_false(wt_tier_parse("avx3", &t));
    assert_false(wt_tier_parse("", &t));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(element_wise_kernels_equal_ref_at_every_length),
        cmocka_unit_test(silu_is_right_far_from_zero),
        cmocka_unit_test(kernels_of_training_equal_ref_at_every_length),
        cmocka_unit_test(softmax_equals_ref_and_gives_nothing_to_minus_infinity),
        cmocka_unit_test(softmax_of_large_values_neither_overflows_nor_vanishes),
        cmocka_unit_test(dot_is_exact_to_rounding_at_every_length),
        cmocka_unit_test(a_row_times_a_token_does_not_depend_on_the_rest_of_the_call),
        cmocka_unit_test(values_behind_the_end_never_count),
        cmocka_unit_test(every_half_and_bfloat_pattern_reads_as_in_ref),
        cmocka_unit_test(blocks_of_every_type_read_as_in_ref_at_any_address),
        cmocka_unit_test(q8_0_and_q4_0_blocks_hold_what_the_format_says),
        cmocka_unit_test(tiers_are_limited_by_the_machine_and_by_request),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
