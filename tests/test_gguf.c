/* Reading GGUF: what a well-formed file gives back. Crafted files are in test_crafted.c. */
#include "fault.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a byte writer without any checks ------------------------------------------------------------------------------- */

typedef struct bytes { uint8_t b[1 << 17]; size_t n; } bytes;

static void raw(bytes *f, const void *p, size_t n) { assert_true(f->n + n <= sizeof f->b); memcpy(f->b + f->n, p, n); f->n += n; }
static void u8(bytes *f, uint8_t v) { raw(f, &v, 1); }
static void u32(bytes *f, uint32_t v) { raw(f, &v, 4); }
static void u64(bytes *f, uint64_t v) { raw(f, &v, 8); }
static void str(bytes *f, const char *s) { u64(f, strlen(s)); raw(f, s, strlen(s)); }
static void head(bytes *f, uint32_t version, uint64_t n_tensor, uint64_t n_kv) { f->n = 0; raw(f, "GGUF", 4); u32(f, version); u64(f, n_tensor); u64(f, n_kv); }

static void tensor(bytes *f, const char *name, uint32_t n_dim, const uint64_t *ne, uint32_t type, uint64_t offset)
{
    str(f, name);
    u32(f, n_dim);
    for (uint32_t i = 0; i < n_dim && i < 8; i++) u64(f, ne[i]);
    u32(f, type);
    u64(f, offset);
}

static void pad(bytes *f, size_t to) { while (f->n % to) u8(f, 0); }
static void zeros(bytes *f, size_t n) { for (size_t i = 0; i < n; i++) u8(f, 0); }

/* Opens the bytes; checks time, memory and leaks; returns the status and keeps the message. */
static char message[1024];
static witan_status open_bytes(const bytes *f, wt_gguf **keep, witan_ctx **cx_out, fault *fa)
{
    const char *path = fault_path("crafted.gguf");
    FILE *o = fopen(path, "wb");
    assert_non_null(o);
    assert_int_equal(fwrite(f->b, 1, f->n, o), f->n);
    fclose(o);
    *fa = (fault){ 0 };
    witan_ctx *cx = fault_ctx(fa);
    wt_gguf *g = NULL;
    alarm(5);
    witan_status st = wt_gguf_open(cx, path, &g);
    alarm(0);
    snprintf(message, sizeof message, "%s", witan_error(cx));
    assert_true(fa->peak < ((size_t)64 << 20) + 8 * f->n);
    if (st == WITAN_OK && keep) { *keep = g; *cx_out = cx; return st; }
    wt_gguf_free(g);
    witan_ctx_free(cx);
    assert_int_equal(fa->live, 0);
    return st;
}

static bytes f;
/* ---- well-formed ---------------------------------------------------------------------------------------------------- */

static void values_of_every_type_are_read(void **state)
{
    (void)state;
    wt_gguf *g;
    witan_ctx *cx;
    fault fa;
    int64_t i = 0, *ints;
    double d = 0;
    bool b = false;
    wt_str s, *strs;
    size_t n;
    for (uint32_t version = 2; version <= 3; version++) {
        head(&f, version, 1, 7);
        str(&f, "a.i8"); u32(&f, 1); u8(&f, 0xFE);
        str(&f, "a.u64"); u32(&f, 10); u64(&f, 77);
        str(&f, "a.f32"); u32(&f, 6); raw(&f, &(float){ 2.5f }, 4);
        str(&f, "a.bool"); u32(&f, 7); u8(&f, 1);
        str(&f, "a.str"); u32(&f, 8); str(&f, "x\ny");
        str(&f, "a.ints"); u32(&f, 9); u32(&f, 3); u64(&f, 2); raw(&f, &(int16_t[]){ -3, 4 }, 4);
        str(&f, "a.strs"); u32(&f, 9); u32(&f, 8); u64(&f, 2); str(&f, "p"); str(&f, "");
        tensor(&f, "w", 2, (uint64_t[]){ 4, 2 }, 0, 0);
        pad(&f, 32);
        for (int k = 0; k < 8; k++) raw(&f, &(float){ (float)k }, 4);
        assert_int_equal(open_bytes(&f, &g, &cx, &fa), WITAN_OK);
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
        witan_ctx_free(cx);
        assert_int_equal(fa.live, 0);
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

/* ---- damage --------------------------------------------------------------------------------------------------------- */

static size_t load_tiny(bytes *out)
{
    fault fa = { 0 };
    witan_ctx *cx = fault_ctx(&fa);
    const char *path = fault_path("tiny.gguf");
    assert_int_equal(tiny_write(cx, path, WT_Q4_0, 1), WITAN_OK);
    FILE *in = fopen(path, "rb");
    out->n = fread(out->b, 1, sizeof out->b, in);
    assert_true(feof(in));
    fclose(in);
    witan_ctx_free(cx);
    return out->n;
}

static bytes small;

/* Replaces the u32 under a key of the file in b; what stood there. */
static uint32_t set_u32(bytes *b, const char *key, uint32_t v)
{
    uint8_t *at = memmem(b->b, b->n, key, strlen(key));
    uint32_t old;
    assert_non_null(at);
    at += strlen(key) + 4;
    memcpy(&old, at, 4);
    memcpy(at, &v, 4);
    return old;
}

/* Numbers of layers, heads and experts size arrays: the tensors must bear them out before anything is sized by them. */
static void absurd_numbers_of_layers_heads_and_experts_are_refused(void **state)
{
    (void)state;
    static const char *const key[] = { "olmoe.block_count", "olmoe.embedding_length", "olmoe.attention.head_count", "olmoe.attention.head_count_kv",
                                       "olmoe.expert_count", "olmoe.expert_used_count", "olmoe.context_length" };
    static const uint32_t absurd[] = { 0, 513, 1025, 65537, 1u << 31, UINT32_MAX };
    fault fa;
    witan_ctx *cx;
    const char *path = fault_path("absurd.gguf");
    size_t n = load_tiny(&small);
    for (size_t k = 0; k < sizeof key / sizeof *key; k++)
        for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
            uint32_t old = set_u32(&small, key[k], absurd[i]);
            FILE *o = fopen(path, "wb");
            assert_int_equal(fwrite(small.b, 1, n, o), n);
            fclose(o);
            set_u32(&small, key[k], old);
            fa = (fault){ 0 };
            cx = fault_ctx(&fa);
            witan_model *m = NULL;
            alarm(5);
            witan_status st = witan_model_open(cx, path, NULL, &m);
            alarm(0);
            bool context = !strcmp(key[k], "olmoe.context_length") && absurd[i] && absurd[i] < 1 << 24;   /* no tensor speaks against it */
            if ((st == WITAN_OK) != context) fail_msg("%s = %u: status %d", key[k], absurd[i], (int)st);
            if (st && !strstr(witan_error(cx), "absurd.gguf")) fail_msg("%s = %u: \"%s\" does not name the file", key[k], absurd[i], witan_error(cx));
            witan_model_free(m);
            witan_ctx_free(cx);
            assert_int_equal(fa.live, 0);
            assert_true(fa.peak < (size_t)16 << 20);
        }
}

static int tear_down(void **state) { (void)state; fault_folder_free(); return 0; }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type_are_read), cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(absurd_numbers_of_layers_heads_and_experts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
