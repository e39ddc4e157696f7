/* Reading GGUF: what a well-formed file gives back. Crafted files are in test_crafted.c. */
#include "crafted.h"
#include "fault.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bytes f;

static void values_of_every_type_are_read(void **state)
{
    (void)state;
    wt_gguf *g;
    witan_ctx *cx;
    fuzz z;
    int64_t i = 0, *ints;
    double d = 0;
    bool b = false;
    wt_str s, *strs;
    size_t n;
    for (uint32_t version = 2; version <= 3; version++) {
        head(&f, version, 1, 7);
        put_str(&f, "a.i8"); put_u32(&f, 1); put_u8(&f, 0xFE);
        put_str(&f, "a.u64"); put_u32(&f, 10); put_u64(&f, 77);
        put_str(&f, "a.f32"); put_u32(&f, 6); put_f32(&f, 2.5f);
        put_str(&f, "a.bool"); put_u32(&f, 7); put_u8(&f, 1);
        put_str(&f, "a.str"); put_u32(&f, 8); put_str(&f, "x\ny");
        put_str(&f, "a.ints"); put_u32(&f, 9); put_u32(&f, 3); put_u64(&f, 2); put(&f, &(int16_t[]){ -3, 4 }, 4);
        put_str(&f, "a.strs"); put_u32(&f, 9); put_u32(&f, 8); put_u64(&f, 2); put_str(&f, "p"); put_str(&f, "");
        tensor(&f, "w", 2, (uint64_t[]){ 4, 2 }, 0, 0);
        pad(&f, 32);
        for (int k = 0; k < 8; k++) put_f32(&f, (float)k);
        cx = fuzz_begin(&z, f.b, f.n, false);
        assert_int_equal(wt_gguf_open(cx, FUZZ_FILE, &g), WITAN_OK);
        assert_int_equal(wt_gguf_int(cx, g, "a.i8", true, -5, 5, &i), WITAN_OK);
        assert_int_equal(i, -2);
        assert_int_equal(wt_gguf_int(cx, g, "a.u64", true, 0, 76, &i), WITAN_EFORMAT);
        assert_int_equal(wt_gguf_num(cx, g, "a.f32", true, 0, 9, &d), WITAN_OK);
        assert_true(d == 2.5);
        assert_int_equal(wt_gguf_bool(cx, g, "a.bool", true, &b), WITAN_OK);
        assert_true(b);
        assert_int_equal(wt_gguf_str(cx, g, "a.str", true, &s), WITAN_OK);
        assert_int_equal(s.n, 3);
        assert_int_equal(wt_gguf_str(cx, g, "a.i8", true, &s), WITAN_EFORMAT);
        assert_int_equal(wt_gguf_int(cx, g, "none", false, 0, 1, &i), WITAN_OK);
        assert_int_equal(wt_gguf_int(cx, g, "none", true, 0, 1, &i), WITAN_EFORMAT);
        assert_int_equal(wt_gguf_ints(cx, g, "a.ints", true, &ints, &n), WITAN_OK);
        assert_true(n == 2 && ints[0] == -3 && ints[1] == 4);
        assert_int_equal(wt_gguf_strs(cx, g, "a.strs", true, &strs, &n), WITAN_OK);
        assert_true(n == 2 && strs[0].n == 1 && strs[1].n == 0);
        const wt_tensor *t = wt_gguf_tensor(g, "w");
        assert_true(t && t->shape[0] == 2 && t->shape[1] == 4 && ((const float *)t->data)[7] == 7);
        wt_free(cx, ints);
        wt_free(cx, strs);
        wt_gguf_free(g);
        fuzz_end(&z, cx);
    }
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    fault fa = { 0 };
    witan_ctx *cx = fault_ctx(&fa);
    wt_gguf *g;
    char *path = fault_path("tiny.gguf");
    const wt_type type[] = { WT_F32, WT_F16, WT_BF16, WT_Q8_0, WT_Q4_0 };
    for (size_t i = 0; i < 5; i++) {
        witan_model *m;
        assert_int_equal(tiny_write(cx, path, type[i], 1), WITAN_OK);
        assert_int_equal(wt_gguf_open(cx, path, &g), WITAN_OK);
        const wt_tensor *t = wt_gguf_tensor(g, "blk.1.ffn_down_exps.weight");
        assert_non_null(t);
        assert_int_equal(t->type, type[i]);
        assert_int_equal(t->shape[0], TINY_EXPERTS);
        assert_int_equal(((uintptr_t)t->data - (uintptr_t)g->map.data) % 32, 0);
        wt_gguf_free(g);
        assert_int_equal(witan_model_open(cx, path, NULL, &m), WITAN_OK);
        witan_model_free(m);
    }
    witan_ctx_free(cx);
}

static int tear_down(void **state) { (void)state; fault_folder_free(); free(f.b); return 0; }

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(values_of_every_type_are_read), cmocka_unit_test(what_is_written_is_read_back) };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
