/* Crafted model files: every kind of published fault of GGUF readers, and its relatives, as a test of its own. What a model's metadata and
 * vocabulary may say is in test_crafted_model.c. */
#include "crafted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bytes f;
static const uint64_t ne32[1] = { 32 };
static const uint64_t extreme[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, (uint64_t)1 << 32, (uint64_t)1 << 40, INT64_MAX, (uint64_t)1 << 63, UINT64_MAX - 7, UINT64_MAX };
enum { N_EXTREME = sizeof extreme / sizeof *extreme };

/* ---- counts and lengths (CVE-2024-21802, -21825, -21836, -23496, -23605; llama.cpp 19003, ollama 17042, MLX 4212) ------ */

static void counts_larger_than_the_file_are_refused(void **state)
{
    (void)state;
    for (size_t i = 2; i < N_EXTREME; i++) {
        head(&f, 3, extreme[i], 0); put_zeros(&f, 64); refused(&f, ALL, "more than");
        head(&f, 3, 0, extreme[i]); put_zeros(&f, 64); refused(&f, ALL, "more than");
        head(&f, 3, extreme[i], extreme[i]); put_zeros(&f, 64); refused(&f, ALL, "more than");
    }
    head(&f, 3, 0, 1000000); put_zeros(&f, 64); refused(&f, ALL, "more than");
    head(&f, 3, 1000001, 0); put_zeros(&f, 1000002 * 33); refused(&f, ALL, "more than");     /* the file is long enough, the count is not sane */
}

static void lengths_larger_than_the_file_are_refused(void **state)
{
    (void)state;
    const uint64_t bad[] = { UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 62, (uint64_t)1 << 32, 0x80000000, 1000 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        head(&f, 3, 0, 1); put_u64(&f, bad[i]); put_zeros(&f, 32); refused(&f, ALL, "remain");                                                  /* key */
        head(&f, 3, 0, 1); put_str(&f, "k"); put_u32(&f, 8); put_u64(&f, bad[i]); put_zeros(&f, 32); refused(&f, ALL, "remain");                /* string */
        head(&f, 3, 0, 1); put_str(&f, "k"); put_u32(&f, 9); put_u32(&f, 10); put_u64(&f, bad[i]); put_zeros(&f, 32); refused(&f, ALL, "does not fit");  /* array */
        head(&f, 3, 0, 1); put_str(&f, "k"); put_u32(&f, 9); put_u32(&f, 8); put_u64(&f, bad[i]); put_zeros(&f, 32); refused(&f, ALL, "does not fit");   /* of strings */
        head(&f, 3, 1, 0); put_u64(&f, bad[i]); put_zeros(&f, 64); refused(&f, ALL, "remain");                                                  /* tensor's name */
    }
}

/* A few dozen bytes, every number in them absurd: neither a large allocation nor a long loop (llama.cpp 27188: 43 bytes hang a reader). */
static void absurd_numbers_in_43_bytes(size_t i)
{
    static bytes b;
    uint64_t x = extreme[i % N_EXTREME];
    size_t shape = i / N_EXTREME;
    head(&b, 2 + (uint32_t)(shape & 1), shape & 2 ? 1 : 0, shape & 4 ? 1 : x);
    if (shape & 8) put_u64(&b, x); else put_str(&b, "k");
    if (shape & 16) { put_u32(&b, 9); put_u32(&b, (uint32_t)(shape >> 5)); put_u64(&b, x); }
    put_zeros(&b, 43);
    b.n = 43;
    memcpy(b.b + 35, &x, 8);
    LLVMFuzzerTestOneInput(b.b, b.n);
}

static void files_of_43_bytes_neither_hang_nor_take_memory(void **state)
{
    (void)state;
    in_child(absurd_numbers_in_43_bytes, N_EXTREME * 32 * 13, 43, 2);
}

/* A count that the remaining bytes justify is taken at its word, but not twice: memory stays in proportion. */
static void claims_that_just_fit_take_memory_in_proportion(void **state)
{
    (void)state;
    size_t n = 14 * 900000;
    head(&f, 3, n / 33, n / 14); put_zeros(&f, n); refused(&f, ALL, "0 bytes");
    head(&f, 3, 0, 1); put_str(&f, "k"); put_u32(&f, 9); put_u32(&f, 8); put_u64(&f, n / 8); put_zeros(&f, n); accepted(&f, INSPECT);   /* empty strings */
    head(&f, 3, 0, 1); put_str(&f, "tokenizer.ggml.tokens"); put_u32(&f, 9); put_u32(&f, 8); put_u64(&f, n / 8); put_zeros(&f, n); refused(&f, VOCAB | MODEL, "missing");
}

/* ---- types of values ------------------------------------------------------------------------------------------------ */

static void wrong_types_are_refused(void **state)
{
    (void)state;
    const uint32_t no_type[] = { 13, 14, 255, 0x80000000, UINT32_MAX };
    for (size_t i = 0; i < 5; i++) {
        head(&f, 3, 0, 1); put_str(&f, "k"); put_u32(&f, no_type[i]); put_zeros(&f, 16); refused(&f, ALL, "unknown value type");
        head(&f, 3, 0, 1); put_str(&f, "k"); put_u32(&f, 9); put_u32(&f, no_type[i]); put_u64(&f, 1); put_zeros(&f, 16); refused(&f, ALL, "unknown type");
    }
    head(&f, 3, 0, 1); put_str(&f, "k"); put_u32(&f, 9); put_u32(&f, 9); put_u64(&f, 1); put_zeros(&f, 16); refused(&f, ALL, "arrays of arrays");
    head(&f, 3, 0, 1); put_str(&f, "k"); put_u32(&f, 7); put_u8(&f, 2); put_zeros(&f, 16); refused(&f, ALL, "bool");
    head(&f, 3, 0, 1); put_str(&f, "k"); put_u32(&f, 9); put_u32(&f, 7); put_u64(&f, 3); put(&f, "\1\0\2", 3); put_zeros(&f, 16); refused(&f, ALL, "bool");
    const uint32_t no_block[] = { 4, 5, 31, 32, 33, 36, 37, 38, 47, 48, 255, 0x80000000, UINT32_MAX };
    for (size_t i = 0; i < sizeof no_block / sizeof *no_block; i++) {
        head(&f, 3, 1, 0); tensor(&f, "w", 1, ne32, no_block[i], 0); pad(&f, 32); put_zeros(&f, 256); refused(&f, ALL, "unknown block type");
    }
}

/* Arrays nested a thousand deep would be a stack overflow for a reader that follows them. */
static void nested_arrays_do_not_reach_the_stack(void **state)
{
    (void)state;
    head(&f, 3, 0, 1); put_str(&f, "k"); put_u32(&f, 9);
    for (int i = 0; i < 100000; i++) { put_u32(&f, 9); put_u64(&f, 1); }
    refused(&f, ALL, "arrays of arrays");
}

static void versions_and_magic_are_checked(void **state)
{
    (void)state;
    head(&f, 1, 0, 0); put_zeros(&f, 32); refused(&f, ALL, "version 1");
    head(&f, 0, 0, 0); put_zeros(&f, 32); refused(&f, ALL, "version 0");
    head(&f, 4, 0, 0); put_zeros(&f, 32); refused(&f, ALL, "version 4");
    head(&f, UINT32_MAX, 0, 0); put_zeros(&f, 32); refused(&f, ALL, "version 4294967295");
    head(&f, 0x03000000, 0, 0); put_zeros(&f, 32); refused(&f, ALL, "big-endian");
    f.n = 0; put(&f, "GGML", 4); put_zeros(&f, 64); refused(&f, ALL, "not a GGUF file");
    f.n = 0; put(&f, "\x80\2}q\0(X\5", 8); put_zeros(&f, 64); refused(&f, ALL, "not a GGUF file");   /* a pickle */
    f.n = 0; refused(&f, ALL, "empty");
    f.n = 0; put(&f, "GG", 2); refused(&f, ALL, "ends inside");
}

/* ---- sizes of tensors (CVE-2026-33298, llama.cpp 27200 and 27203, CVE-2025-53630, CVE-2026-53923) --------------------- */

static void one_tensor(uint32_t n_dim, const uint64_t *ne, uint32_t type, size_t data)
{
    head(&f, 3, 1, 0);
    tensor(&f, "w", n_dim, ne, type, 0);
    pad(&f, 32);
    put_zeros(&f, data);
}

static void dimensions_whose_product_wraps_are_refused(void **state)
{
    (void)state;
    const uint64_t big = (uint64_t)1 << 40, two32 = (uint64_t)1 << 32;
    const uint64_t bad[][4] = {
        { big, big, big, big }, { two32, two32, 1, 1 }, { two32, two32, two32, two32 }, { (uint64_t)1 << 16, (uint64_t)1 << 16, (uint64_t)1 << 16, (uint64_t)1 << 16 },
        { two32 + 32, two32 - 32, 1, 1 }, { 32, 0, 1, 1 }, { 0, 1, 1, 1 }, { UINT64_MAX, 1, 1, 1 }, { 32, UINT64_MAX, 1, 1 }, { UINT64_MAX, UINT64_MAX, 1, 1 },
        { (uint64_t)1 << 63, 2, 1, 1 }, { INT64_MAX, 3, 1, 1 }, { big + 1, 1, 1, 1 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (uint32_t n_dim = 2; n_dim <= 4; n_dim++) { one_tensor(n_dim, bad[i], 0, 4096); refused(&f, ALL, "w:"); }
    one_tensor(0, ne32, 0, 64); refused(&f, ALL, "0 dimensions");
    one_tensor(5, (uint64_t[]){ 1, 1, 1, 1, 1 }, 0, 64); refused(&f, ALL, "5 dimensions");
    one_tensor(UINT32_MAX, (uint64_t[]){ 1, 1, 1, 1, 1, 1, 1, 1 }, 0, 64); refused(&f, ALL, "4294967295 dimensions");
}

/* The number of values fits 64 bits, the number of bytes does not; or only if one multiplies before dividing by the block. */
static void sizes_that_wrap_are_refused_for_every_block_type(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < WT_N_TYPE; type++) {
        const wt_type_info *t = wt_type_get(type);
        if (!t->block) continue;
        const uint64_t row = (uint64_t)t->block << 30;
        one_tensor(4, (uint64_t[]){ row, (uint64_t)1 << 20, 1 << 5, 1 }, type, 4096); refused(&f, ALL, "w:");
        one_tensor(3, (uint64_t[]){ row, 1 << 10, ((uint64_t)1 << 63) / row / 1024 }, type, 4096); refused(&f, ALL, "w:");
        one_tensor(3, (uint64_t[]){ row, 1 << 10, UINT64_MAX / row / 1024 }, type, 4096); refused(&f, ALL, "w:");
        const uint64_t rows = t->group ? WT_GROUP : 1, least[2] = { t->block, rows };   /* interleaved rows come in groups */
        one_tensor(2, least, type, t->bytes * rows - 1); refused(&f, ALL, "truncated");
        one_tensor(2, least, type, t->bytes * rows); accepted(&f, INSPECT);
        for (uint64_t r = 1; r < rows; r++) { one_tensor(2, (uint64_t[]){ t->block, rows + r }, type, 1 << 16); refused(&f, ALL, "whole groups"); }
        if (t->group) { one_tensor(1, least, type, 1 << 16); refused(&f, ALL, "whole groups"); }
        if (t->block == 1) continue;
        one_tensor(1, (uint64_t[]){ t->block + 1 }, type, 4096); refused(&f, ALL, "whole blocks");
        one_tensor(2, (uint64_t[]){ t->block / 2, 2 }, type, 4096); refused(&f, ALL, "whole blocks");     /* the product is a whole block, the row is not */
    }
}

/* ---- places of tensors (CVE-2026-7482) ------------------------------------------------------------------------------- */

static void ranges_outside_the_file_or_over_each_other_are_refused(void **state)
{
    (void)state;
    const uint64_t far[] = { 128, 160, 1 << 20, (uint64_t)1 << 32, (uint64_t)1 << 63, UINT64_MAX - 31, UINT64_MAX - 127, UINT64_MAX - 255 };
    one_tensor(1, ne32, 0, 127); refused(&f, ALL, "truncated");
    for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
        head(&f, 3, 1, 0); tensor(&f, "w", 1, ne32, 0, far[i] / 32 * 32); pad(&f, 32); put_zeros(&f, 128 + 31); refused(&f, ALL, "truncated");
    }
    head(&f, 3, 1, 0); tensor(&f, "w", 1, ne32, 0, 1); pad(&f, 32); put_zeros(&f, 256); refused(&f, ALL, "multiple of 32");
    head(&f, 3, 2, 0); tensor(&f, "v", 1, ne32, 0, 0); tensor(&f, "w", 1, ne32, 0, 96); pad(&f, 32); put_zeros(&f, 256); refused(&f, ALL, "overlap");
    head(&f, 3, 2, 0); tensor(&f, "v", 1, ne32, 0, 64); tensor(&f, "w", 1, ne32, 0, 0); pad(&f, 32); put_zeros(&f, 256); refused(&f, ALL, "overlap");
    head(&f, 3, 2, 0); tensor(&f, "v", 1, ne32, 0, 0); tensor(&f, "w", 1, ne32, 0, 0); pad(&f, 32); put_zeros(&f, 256); refused(&f, ALL, "overlap");
    head(&f, 3, 1, 0); tensor(&f, "w", 1, ne32, 0, 0); refused(&f, ALL, "ends inside");
}

/* Memory is full of a word when it is taken; the word must not be found in a file that is written. */
static void written_files_hold_nothing_but_what_was_read(void **state)
{
    static const char *const type[] = { "F32", "F16", "Q8_0", "Q4_K", "Q5_1" };
    (void)state;
    for (const mini *m = minis; m->name; m++)
        for (size_t i = 0; i < sizeof type / sizeof *type; i++) {
            fuzz z;
            load_mini(&f, m);
            witan_ctx *cx = fuzz_begin(&z, f.b, f.n, false);
            z.word = "SECRET!!";
            witan_status st = witan_convert(cx, FUZZ_FILE, "out", &(witan_convert_options){ .type = type[i] }, NULL);
            if (st && st != WITAN_EUNSUPPORTED) fail_msg("%s to %s: %s", m->name, type[i], witan_error(cx));   /* interleaved rows cannot be read back */
            for (size_t k = 0; k < 8; k++)                        /* also a part of it: from any letter on */
                for (size_t at = 0; at + 4 <= z.n_out; at++) {
                    char some[4];
                    for (size_t c = 0; c < 4; c++) some[c] = z.word[(k + c) % 8];
                    if (!memcmp(z.out + at, some, 4)) fail_msg("%s to %s: byte %zu of the written file comes from nowhere", m->name, type[i], at);
                }
            fuzz_end(&z, cx);
        }
}

/* ---- names and alignment ---------------------------------------------------------------------------------------------- */

static void names_are_checked(void **state)
{
    (void)state;
    char longest[65];
    memset(longest, 'x', 64);
    longest[64] = 0;
    head(&f, 3, 1, 0); tensor(&f, longest, 1, ne32, 0, 0); pad(&f, 32); put_zeros(&f, 128); refused(&f, ALL, "64 bytes");
    head(&f, 3, 1, 0); tensor(&f, "", 1, ne32, 0, 0); pad(&f, 32); put_zeros(&f, 128); refused(&f, ALL, "0 bytes");
    head(&f, 3, 1, 0); tensor(&f, "a\nb", 1, ne32, 0, 0); pad(&f, 32); put_zeros(&f, 128); refused(&f, ALL, "0x0a");
    head(&f, 3, 1, 0); tensor(&f, "../\x1b[2J", 1, ne32, 0, 0); pad(&f, 32); put_zeros(&f, 128); refused(&f, ALL, "0x1b");
    head(&f, 3, 2, 0); tensor(&f, "w", 1, ne32, 0, 0); tensor(&f, "w", 1, ne32, 0, 128); pad(&f, 32); put_zeros(&f, 256); refused(&f, ALL, "twice");
    head(&f, 3, 0, 2); put_str(&f, "k"); put_u32(&f, 0); put_u8(&f, 1); put_str(&f, "k"); put_u32(&f, 0); put_u8(&f, 1); put_zeros(&f, 32); refused(&f, ALL, "twice");
    head(&f, 3, 0, 1); put_str(&f, ""); put_u32(&f, 0); put_u8(&f, 1); put_zeros(&f, 32); refused(&f, ALL, "0 bytes");
    head(&f, 3, 0, 1); put_u64(&f, 2); put(&f, "a\0", 2); put_u32(&f, 0); put_u8(&f, 1); put_zeros(&f, 32); refused(&f, ALL, "0x00");
    head(&f, 3, 0, 1); put_u64(&f, 65536); for (int i = 0; i < 65536; i++) put_u8(&f, 'k'); put_u32(&f, 0); put_u8(&f, 1); refused(&f, ALL, "65536 bytes");
}

/* Padding is arithmetic with a number of the file too (llama.cpp 26318). Below 8 numbers would not stand where they can be read. */
static void alignment_is_checked(void **state)
{
    (void)state;
    const uint32_t bad[] = { 0, 1, 2, 4, 24, 31, 33, (1 << 20) + 1, 1 << 21, 1u << 31, UINT32_MAX };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        head(&f, 3, 1, 1); put_str(&f, "general.alignment"); put_u32(&f, 4); put_u32(&f, bad[i]); tensor(&f, "w", 1, ne32, 0, 0); put_zeros(&f, 256); refused(&f, ALL, "general.alignment");
    }
    head(&f, 3, 0, 1); put_str(&f, "general.alignment"); put_u32(&f, 10); put_u64(&f, 64); put_zeros(&f, 64); refused(&f, ALL, "general.alignment");
    head(&f, 3, 0, 1); put_str(&f, "general.alignment"); put_u32(&f, 5); put_u32(&f, 32); put_zeros(&f, 64); refused(&f, ALL, "general.alignment");
    head(&f, 3, 0, 1); put_str(&f, "general.alignment"); put_u32(&f, 8); put_str(&f, "32"); put_zeros(&f, 64); refused(&f, ALL, "general.alignment");
    head(&f, 3, 1, 1); put_str(&f, "general.alignment"); put_u32(&f, 4); put_u32(&f, 1 << 20); tensor(&f, "w", 1, ne32, 0, 0); put_zeros(&f, 256); refused(&f, ALL, "padding");
    head(&f, 3, 1, 1); put_str(&f, "general.alignment"); put_u32(&f, 4); put_u32(&f, 8); tensor(&f, "w", 1, ne32, 0, 0); pad(&f, 8); put_zeros(&f, 128); accepted(&f, INSPECT | CONVERT);
    head(&f, 3, 1, 1); put_str(&f, "general.alignment"); put_u32(&f, 4); put_u32(&f, 1 << 20); tensor(&f, "w", 1, ne32, 0, 0); put_zeros(&f, (1 << 20) + 128 - f.n); accepted(&f, INSPECT | CONVERT);
}

/* ---- checks that themselves cost too much ----------------------------------------------------------------------------- */

static void key(size_t i, size_t n)
{
    char name[32];
    snprintf(name, sizeof name, "key.%zu", i % n);
    put_str(&f, name);
    put_u32(&f, 0);
    put_u8(&f, 1);
}

static void a_million_keys_take_linear_time(void **state)
{
    (void)state;
    size_t n = 1000000;
    head(&f, 3, 0, n);
    for (size_t i = 0; i < n; i++) key(i, n);
    refused_within(&f, MODEL | VOCAB, "missing", 5);
    head(&f, 3, 0, n);
    for (size_t i = 0; i < n; i++) key(i, n - 1);                 /* the last is the first again */
    refused_within(&f, ALL, "key.0 occurs twice", 5);
}

/* Also sorted by place, to find overlaps. They come in the reverse order of their places; in the second file the two farthest apart overlap. */
static void very_many_tensors_take_linear_time(void **state)
{
    (void)state;
    size_t n = 300000;
    for (int twice = 0; twice < 2; twice++) {
        head(&f, 3, n, 0);
        for (size_t i = 0; i < n; i++) {
            char name[32];
            snprintf(name, sizeof name, "tensor.%zu", i);
            tensor(&f, name, 1, (uint64_t[]){ 1 }, 0, twice && !i ? 0 : (n - 1 - i) * 32);
        }
        pad(&f, 32);
        put_zeros(&f, n * 32);
        if (twice) refused_within(&f, ALL, "overlap", 5); else refused_within(&f, MODEL, "general.architecture", 5);
    }
}

static void names_that_collide_in_a_known_hash_take_linear_time(void **state)
{
    char name[COLLIDING_BYTES + 1];
    (void)state;
    head(&f, 3, 0, COLLIDING);
    for (size_t i = 0; i < COLLIDING; i++) { colliding(i, name); put_str(&f, name); put_u32(&f, 0); put_u8(&f, 1); }
    refused(&f, MODEL | VOCAB, "missing");
    head(&f, 3, 1 << 15, 0);
    for (size_t i = 0; i < 1 << 15; i++) { colliding(i, name); name[60] = 0; tensor(&f, name, 1, (uint64_t[]){ 1 }, 0, i * 32); }
    pad(&f, 32);
    put_zeros(&f, 32 << 15);
    refused(&f, MODEL, "general.architecture");
}

/* ---- damage ----------------------------------------------------------------------------------------------------------- */

static size_t header;

/* Cut after i bytes: nothing but the whole file opens. */
static void cut(size_t i)
{
    fuzz z;
    witan_model *m;
    witan_ctx *cx = fuzz_begin(&z, f.b, i, false);
    FUZZ_CHECK(witan_model_open(cx, FUZZ_FILE, NULL, &m) != WITAN_OK && *witan_error(cx), "a file cut short is no model");
    FUZZ_CHECK(i < header || witan_convert(cx, FUZZ_FILE, "out", NULL, NULL) != WITAN_OK, "and cannot be converted");
    fuzz_end(&z, cx);
}

static void files_cut_at_any_byte_are_refused(void **state)
{
    (void)state;
    for (const mini *m = minis; m->name; m++) {
        load_mini(&f, m);
        header = header_bytes(&f);
        in_child(cut, f.n, f.n, 2);
    }
}

static size_t step = 1;

static void flip(size_t i)
{
    size_t bit = i * step;
    f.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    LLVMFuzzerTestOneInput(f.b, f.n);
    f.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

static void flipped_bits_of_a_header_are_survived(void **state)
{
    (void)state;
    for (const mini *m = minis; m->name; m++) {
        load_mini(&f, m);
        step = m == minis ? 1 : 13;                               /* every bit of one model, and other ones of the others */
        in_child(flip, header_bytes(&f) * 8 / step, f.n, 2);
    }
}

/* Eight bytes at every place of a header become each of some numbers at which arithmetic breaks. */
static void overwrite(size_t i)
{
    uint8_t old[8], *at = f.b + i / N_EXTREME;
    memcpy(old, at, 8);
    memcpy(at, &extreme[i % N_EXTREME], 8);
    LLVMFuzzerTestOneInput(f.b, f.n);
    memcpy(at, old, 8);
}

static void extreme_numbers_at_every_place_of_a_header_are_survived(void **state)
{
    (void)state;
    static const size_t which[] = { 0, 1, 3, 5 };
    for (size_t k = 0; k < 4; k++) {
        load_mini(&f, minis + which[k]);
        in_child(overwrite, (header_bytes(&f) - 8) * N_EXTREME, f.n, 2);
    }
}

/* ---- models in two files ------------------------------------------------------------------------------------------------ */

/* One tensor in each part; numbers as given. */
static void two_parts(uint64_t no, uint64_t count, uint64_t second_no, uint64_t second_count, uint64_t total, const char *second_name)
{
    const uint64_t value[3] = { no, count, total }, second[3] = { second_no, second_count, total };
    static const char *const name[] = { "split.no", "split.count", "split.tensors.count" };
    bytes whole = { 0 };
    for (int part = 0; part < 2; part++) {
        head(&f, 3, 1, 3);
        for (int i = 0; i < 3; i++) { put_str(&f, name[i]); put_u32(&f, i < 2 ? 2 : 5); if (i < 2) put(&f, (part ? second : value) + i, 2); else put_u32(&f, (uint32_t)total); }
        tensor(&f, part ? second_name : "w", 1, ne32, 0, 0);
        pad(&f, 32);
        put_zeros(&f, 128);
        put(&whole, f.b, f.n);
        if (!second_name) break;
    }
    f.n = 0;
    put(&f, whole.b, whole.n);
    free(whole.b);
}

static void parts_that_do_not_belong_together_are_refused(void **state)
{
    (void)state;
    two_parts(0, 2, 1, 2, 2, "v"); accepted(&f, INSPECT | CONVERT);
    two_parts(0, 2, 1, 2, 2, NULL); refused(&f, ALL, "");                                   /* the second is missing */
    two_parts(0, 2, 0, 2, 2, "v"); refused(&f, ALL, "part");
    two_parts(0, 2, 1, 3, 2, "v"); refused(&f, ALL, "part");
    two_parts(0, 2, 1, 2, 3, "v"); refused(&f, ALL, "tensors");
    two_parts(0, 2, 1, 2, 2, "w"); refused(&f, ALL, "twice");
    two_parts(0, 65535, 1, 65535, 2, "v"); refused(&f, ALL, "split.count");
    two_parts(1, 2, 1, 2, 2, "v"); refused(&f, ALL, "part 2");
    two_parts(65535, 2, 1, 2, 2, "v"); refused(&f, ALL, "split.no");
    two_parts(0, 3, 1, 3, 2, "v"); refused(&f, ALL, "name");                                /* ends in -00001-of-00002 */
}

static int tear_down(void **state) { (void)state; free(f.b); return 0; }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_larger_than_the_file_are_refused), cmocka_unit_test(lengths_larger_than_the_file_are_refused),
        cmocka_unit_test(files_of_43_bytes_neither_hang_nor_take_memory), cmocka_unit_test(claims_that_just_fit_take_memory_in_proportion),
        cmocka_unit_test(wrong_types_are_refused), cmocka_unit_test(nested_arrays_do_not_reach_the_stack), cmocka_unit_test(versions_and_magic_are_checked),
        cmocka_unit_test(dimensions_whose_product_wraps_are_refused), cmocka_unit_test(sizes_that_wrap_are_refused_for_every_block_type),
        cmocka_unit_test(ranges_outside_the_file_or_over_each_other_are_refused), cmocka_unit_test(written_files_hold_nothing_but_what_was_read),
        cmocka_unit_test(names_are_checked), cmocka_unit_test(alignment_is_checked), cmocka_unit_test(a_million_keys_take_linear_time),
        cmocka_unit_test(very_many_tensors_take_linear_time), cmocka_unit_test(names_that_collide_in_a_known_hash_take_linear_time),
        cmocka_unit_test(files_cut_at_any_byte_are_refused), cmocka_unit_test(flipped_bits_of_a_header_are_survived),
        cmocka_unit_test(extreme_numbers_at_every_place_of_a_header_are_survived), cmocka_unit_test(parts_that_do_not_belong_together_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
