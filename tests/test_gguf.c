/* Reading GGUF: what a well-formed file gives back, and what crafted files of every known kind must not do. */
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

static void refused(const bytes *f, const char *must_say)
{
    fault fa;
    witan_status st = open_bytes(f, NULL, NULL, &fa);
    if (st == WITAN_OK) fail_msg("accepted, expected \"%s\"", must_say);
    if (!strstr(message, must_say)) fail_msg("message \"%s\" does not say \"%s\"", message, must_say);
    if (!strstr(message, "crafted.gguf")) fail_msg("message \"%s\" does not name the file", message);
    if (strchr(message, '\n')) fail_msg("message of several lines: %s", message);
}

static bytes f;
static const uint64_t ne32[1] = { 32 };

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

/* ---- crafted: the shapes of published faults, and their relatives ---------------------------------------------------- */

static void counts_larger_than_the_file_are_refused(void **state)
{
    (void)state;
    head(&f, 3, UINT64_MAX, 0); zeros(&f, 64); refused(&f, "more than");
    head(&f, 3, 0, UINT64_MAX); zeros(&f, 64); refused(&f, "more than");
    head(&f, 3, 0, 1000000); zeros(&f, 64); refused(&f, "more than");
    head(&f, 3, (uint64_t)1 << 63, 1); zeros(&f, 64); refused(&f, "more than");
}

static void lengths_larger_than_the_file_are_refused(void **state)
{
    (void)state;
    const uint64_t bad[] = { UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 62, (uint64_t)1 << 32, 1000 };
    for (size_t i = 0; i < 5; i++) {
        head(&f, 3, 0, 1); u64(&f, bad[i]); zeros(&f, 32); refused(&f, "remain");                                            /* key */
        head(&f, 3, 0, 1); str(&f, "k"); u32(&f, 8); u64(&f, bad[i]); zeros(&f, 32); refused(&f, "remain");                   /* string */
        head(&f, 3, 0, 1); str(&f, "k"); u32(&f, 9); u32(&f, 10); u64(&f, bad[i]); zeros(&f, 32); refused(&f, "does not fit");  /* array */
        head(&f, 3, 0, 1); str(&f, "k"); u32(&f, 9); u32(&f, 8); u64(&f, bad[i]); zeros(&f, 32); refused(&f, "does not fit");   /* of strings */
    }
}

static void wrong_types_are_refused(void **state)
{
    (void)state;
    head(&f, 3, 0, 1); str(&f, "k"); u32(&f, 13); zeros(&f, 16); refused(&f, "unknown value type 13");
    head(&f, 3, 0, 1); str(&f, "k"); u32(&f, 9); u32(&f, 99); u64(&f, 1); zeros(&f, 16); refused(&f, "unknown type");
    head(&f, 3, 0, 1); str(&f, "k"); u32(&f, 9); u32(&f, 9); u64(&f, 1); zeros(&f, 16); refused(&f, "arrays of arrays");
    head(&f, 3, 0, 1); str(&f, "k"); u32(&f, 7); u8(&f, 2); zeros(&f, 16); refused(&f, "bool");
    head(&f, 3, 1, 0); tensor(&f, "w", 1, ne32, 4, 0); pad(&f, 32); zeros(&f, 256); refused(&f, "unknown block type");
    head(&f, 3, 1, 0); tensor(&f, "w", 1, ne32, UINT32_MAX, 0); pad(&f, 32); zeros(&f, 256); refused(&f, "unknown block type");
}

static void versions_and_magic_are_checked(void **state)
{
    (void)state;
    head(&f, 1, 0, 0); zeros(&f, 32); refused(&f, "version 1");
    head(&f, 4, 0, 0); zeros(&f, 32); refused(&f, "version 4");
    head(&f, 0x03000000, 0, 0); zeros(&f, 32); refused(&f, "big-endian");
    f.n = 0; raw(&f, "GGML", 4); zeros(&f, 64); refused(&f, "not a GGUF file");
    f.n = 0; refused(&f, "empty");
    f.n = 0; raw(&f, "GG", 2); refused(&f, "ends inside");
}

static void tensor_sizes_that_wrap_are_refused(void **state)
{
    (void)state;
    const uint64_t big = (uint64_t)1 << 40;
    head(&f, 3, 1, 0); tensor(&f, "w", 4, (uint64_t[]){ big, big, big, big }, 0, 0); pad(&f, 32); zeros(&f, 64); refused(&f, "impossible dimension");
    head(&f, 3, 1, 0); tensor(&f, "w", 2, (uint64_t[]){ big, (uint64_t)1 << 23 }, 0, 0); pad(&f, 32); zeros(&f, 64); refused(&f, "w:");
    head(&f, 3, 1, 0); tensor(&f, "w", 2, (uint64_t[]){ (uint64_t)1 << 33, (uint64_t)1 << 31 }, 8, 0); pad(&f, 32); zeros(&f, 64); refused(&f, "w:");
    head(&f, 3, 1, 0); tensor(&f, "w", 1, (uint64_t[]){ 0 }, 0, 0); pad(&f, 32); zeros(&f, 64); refused(&f, "impossible dimension");
    head(&f, 3, 1, 0); tensor(&f, "w", 1, (uint64_t[]){ UINT64_MAX }, 0, 0); pad(&f, 32); zeros(&f, 64); refused(&f, "impossible dimension");
    head(&f, 3, 1, 0); tensor(&f, "w", 0, ne32, 0, 0); pad(&f, 32); zeros(&f, 64); refused(&f, "0 dimensions");
    head(&f, 3, 1, 0); tensor(&f, "w", 5, (uint64_t[]){ 1, 1, 1, 1, 1 }, 0, 0); pad(&f, 32); zeros(&f, 64); refused(&f, "5 dimensions");
    head(&f, 3, 1, 0); tensor(&f, "w", 1, (uint64_t[]){ 33 }, 8, 0); pad(&f, 32); zeros(&f, 64); refused(&f, "whole blocks");
}

static void ranges_outside_the_file_or_over_each_other_are_refused(void **state)
{
    (void)state;
    head(&f, 3, 1, 0); tensor(&f, "w", 1, ne32, 0, 0); pad(&f, 32); zeros(&f, 127); refused(&f, "truncated");
    head(&f, 3, 1, 0); tensor(&f, "w", 1, ne32, 0, UINT64_MAX - 31); pad(&f, 32); zeros(&f, 128); refused(&f, "truncated");
    head(&f, 3, 1, 0); tensor(&f, "w", 1, ne32, 0, 1); pad(&f, 32); zeros(&f, 256); refused(&f, "multiple of 32");
    head(&f, 3, 2, 0); tensor(&f, "v", 1, ne32, 0, 0); tensor(&f, "w", 1, ne32, 0, 96); pad(&f, 32); zeros(&f, 256); refused(&f, "overlap");
    head(&f, 3, 2, 0); tensor(&f, "v", 1, ne32, 0, 64); tensor(&f, "w", 1, ne32, 0, 0); pad(&f, 32); zeros(&f, 256); refused(&f, "overlap");
    head(&f, 3, 1, 0); tensor(&f, "w", 1, ne32, 0, 0); refused(&f, "ends inside");
}

static void names_are_checked(void **state)
{
    (void)state;
    char longest[65];
    memset(longest, 'x', 64);
    longest[64] = 0;
    head(&f, 3, 1, 0); tensor(&f, longest, 1, ne32, 0, 0); pad(&f, 32); zeros(&f, 128); refused(&f, "64 bytes");
    head(&f, 3, 2, 0); tensor(&f, "w", 1, ne32, 0, 0); tensor(&f, "w", 1, ne32, 0, 128); pad(&f, 32); zeros(&f, 256); refused(&f, "twice");
    head(&f, 3, 0, 2); str(&f, "k"); u32(&f, 0); u8(&f, 1); str(&f, "k"); u32(&f, 0); u8(&f, 1); zeros(&f, 32); refused(&f, "twice");
    head(&f, 3, 0, 1); str(&f, ""); u32(&f, 0); u8(&f, 1); zeros(&f, 32); refused(&f, "0 bytes");
    head(&f, 3, 0, 1); u64(&f, 2); raw(&f, "a\0", 2); u32(&f, 0); u8(&f, 1); zeros(&f, 32); refused(&f, "0x00");
    head(&f, 3, 0, 1); str(&f, "general.alignment"); u32(&f, 4); u32(&f, 24); zeros(&f, 64); refused(&f, "general.alignment");
    head(&f, 3, 0, 1); str(&f, "general.alignment"); u32(&f, 4); u32(&f, 0); zeros(&f, 64); refused(&f, "general.alignment");
    head(&f, 3, 0, 1); str(&f, "general.alignment"); u32(&f, 4); u32(&f, 1u << 31); zeros(&f, 64); refused(&f, "general.alignment");
    head(&f, 3, 0, 1); str(&f, "general.alignment"); u32(&f, 10); u64(&f, 64); zeros(&f, 64); refused(&f, "general.alignment");
    head(&f, 3, 1, 1); str(&f, "general.alignment"); u32(&f, 4); u32(&f, 1 << 20); tensor(&f, "w", 1, ne32, 0, 0); zeros(&f, 256); refused(&f, "padding");
}

/* A header of very many names must not cost quadratic time: each file opens or is refused within the alarm of five seconds. */
static void very_many_names_take_linear_time(void **state)
{
    (void)state;
    fault fa = { 0 };
    witan_ctx *cx = fault_ctx(&fa);
    const char *path = fault_path("many.gguf");
    FILE *o = fopen(path, "wb");
    uint64_t n = 300000, zero = 0;
    fwrite("GGUF\3\0\0\0", 1, 8, o);
    fwrite(&zero, 8, 1, o);
    fwrite(&n, 8, 1, o);
    for (uint64_t i = 0; i < n; i++) {
        char key[32];
        uint64_t len = (uint64_t)snprintf(key, sizeof key, "key.%llu", (unsigned long long)i);
        uint32_t type = 0;
        fwrite(&len, 8, 1, o);
        fwrite(key, 1, len, o);
        fwrite(&type, 4, 1, o);
        fputc(1, o);
    }
    fclose(o);
    wt_gguf *g;
    alarm(20);
    assert_int_equal(wt_gguf_open(cx, path, &g), WITAN_OK);
    alarm(0);
    assert_non_null(wt_gguf_kv(g, "key.299999"));
    wt_gguf_free(g);
    witan_ctx_free(cx);
    assert_int_equal(fa.live, 0);
}

/* The same for tensors, which are also sorted by place to find overlaps. They come in the reverse order of their places. */
static void very_many_tensors_take_linear_time(void **state)
{
    (void)state;
    fault fa = { 0 };
    witan_ctx *cx = fault_ctx(&fa);
    const char *path = fault_path("many.gguf");
    FILE *o = fopen(path, "wb");
    uint64_t n = 200000, one = 1, zero = 0;
    fwrite("GGUF\3\0\0\0", 1, 8, o);
    fwrite(&n, 8, 1, o);
    fwrite(&zero, 8, 1, o);
    for (uint64_t i = 0; i < n; i++) {
        char name[32];
        uint64_t len = (uint64_t)snprintf(name, sizeof name, "tensor.%llu", (unsigned long long)i), offset = (n - 1 - i) * 32;
        uint32_t n_dim = 1, type = 0;
        fwrite(&len, 8, 1, o);
        fwrite(name, 1, len, o);
        fwrite(&n_dim, 4, 1, o);
        fwrite(&one, 8, 1, o);
        fwrite(&type, 4, 1, o);
        fwrite(&offset, 8, 1, o);
    }
    assert_int_equal(fflush(o), 0);
    assert_int_equal(ftruncate(fileno(o), ftell(o) + 31 + (long)n * 32), 0);
    fclose(o);
    wt_gguf *g;
    alarm(20);
    assert_int_equal(wt_gguf_open(cx, path, &g), WITAN_OK);
    alarm(0);
    assert_non_null(wt_gguf_tensor(g, "tensor.199999"));
    wt_gguf_free(g);
    witan_ctx_free(cx);
    assert_int_equal(fa.live, 0);
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

static void open_model_bytes(const bytes *b, size_t n, bool must_fail)
{
    const char *path = fault_path("damaged.gguf");
    FILE *o = fopen(path, "wb");
    fwrite(b->b, 1, n, o);
    fclose(o);
    fault fa = { 0 };
    witan_ctx *cx = fault_ctx(&fa);
    witan_model *m = NULL;
    alarm(10);
    witan_status st = witan_model_open(cx, path, NULL, &m);
    if (!st) {
        witan_session *s = NULL;
        int32_t id = 3;
        if (!witan_session_new(cx, m, &(witan_session_options){ .n_ctx = 8 }, &s)) witan_feed(s, 0, &id, 1);
        witan_session_free(s);
    } else if (!*witan_error(cx)) fail_msg("refused without a message");
    alarm(0);
    if (must_fail && !st) fail_msg("%zu bytes were accepted", n);
    witan_model_free(m);
    witan_ctx_free(cx);
    assert_int_equal(fa.live, 0);
}

static bytes small;

static void truncation_at_any_place_is_refused(void **state)
{
    (void)state;
    size_t n = load_tiny(&small);
    for (size_t cut = 0; cut < n; cut += cut < 2000 || cut > n - 100 ? 1 : 97) open_model_bytes(&small, cut, true);
}

static void flipped_bits_in_the_header_never_crash(void **state)
{
    (void)state;
    fault fa = { 0 };
    witan_ctx *cx = fault_ctx(&fa);
    wt_gguf *g;
    const char *path = fault_path("tiny.gguf");
    assert_int_equal(tiny_write(cx, path, WT_Q4_0, 1), WITAN_OK);
    assert_int_equal(wt_gguf_open(cx, path, &g), WITAN_OK);
    size_t n = g->map.n, header = g->data_at;
    uint8_t *copy = malloc(n);
    memcpy(copy, g->map.data, n);
    wt_gguf_free(g);
    witan_ctx_free(cx);
    for (size_t bit = 0; bit < header * 8; bit += bit < 1600 ? 1 : 29) {
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        const char *bad = fault_path("flipped.gguf");
        FILE *o = fopen(bad, "wb");
        fwrite(copy, 1, n, o);
        fclose(o);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        fa = (fault){ 0 };
        cx = fault_ctx(&fa);
        witan_model *m = NULL;
        alarm(10);
        if (!witan_model_open(cx, bad, NULL, &m)) {
            witan_session *s = NULL;
            int32_t id = 3;
            if (!witan_session_new(cx, m, &(witan_session_options){ .n_ctx = 8 }, &s)) witan_feed(s, 0, &id, 1);
            witan_session_free(s);
        }
        alarm(0);
        witan_model_free(m);
        witan_ctx_free(cx);
        assert_int_equal(fa.live, 0);
        assert_true(fa.peak < ((size_t)64 << 20) + 8 * n);
    }
    free(copy);
}

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
        cmocka_unit_test(counts_larger_than_the_file_are_refused), cmocka_unit_test(lengths_larger_than_the_file_are_refused),
        cmocka_unit_test(wrong_types_are_refused), cmocka_unit_test(versions_and_magic_are_checked),
        cmocka_unit_test(tensor_sizes_that_wrap_are_refused), cmocka_unit_test(ranges_outside_the_file_or_over_each_other_are_refused),
        cmocka_unit_test(names_are_checked), cmocka_unit_test(very_many_names_take_linear_time),
        cmocka_unit_test(very_many_tensors_take_linear_time), cmocka_unit_test(absurd_numbers_of_layers_heads_and_experts_are_refused),
        cmocka_unit_test(truncation_at_any_place_is_refused), cmocka_unit_test(flipped_bits_in_the_header_never_crash),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
