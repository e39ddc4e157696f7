/* Converting, models in several files, models of random weights, and the speed measurement on them. */
#include "fault.h"

#include "model/model.h"
#include "tensor/gguf.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static witan_ctx *cx;
static fault f;
static char model[160], out[160];

static void make(const char *name, const char *type, const char *path)
{
    if (witan_random_model(cx, name, &(witan_random_options){ .type = type, .seed = 7 }, path)) fail_msg("%s: %s", name, witan_error(cx));
}

static int set_up(void **state)
{
    (void)state;
    f = (fault){ 0 };
    cx = fault_ctx(&f);
    strcpy(model, fault_path("model.gguf"));
    strcpy(out, fault_path("out.gguf"));
    make("tiny-mixtral", "F32", model);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    witan_ctx_free(cx);
    fault_folder_free();
    return f.live != 0;
}

static wt_gguf *load(const char *path)
{
    wt_gguf *g = NULL;
    if (wt_gguf_open(cx, path, &g)) fail_msg("%s", witan_error(cx));
    return g;
}

static witan_convert_result convert(const char *in, const char *to, witan_convert_options o)
{
    witan_convert_result r = { 0 };
    if (witan_convert(cx, in, to, &o, &r)) fail_msg("%s", witan_error(cx));
    return r;
}

static bool same_file(const char *a, const char *b)
{
    char *x, *y;
    size_t n, m;
    assert_int_equal(wt_file_read(cx, a, 1 << 26, &x, &n), WITAN_OK);
    assert_int_equal(wt_file_read(cx, b, 1 << 26, &y, &m), WITAN_OK);
    bool same = n == m && !memcmp(x, y, n);
    wt_free(cx, x);
    wt_free(cx, y);
    return same;
}

/* ---- block types ------------------------------------------------------------------------------------------------------ */

static bool never_converted(const char *name) { return strstr(name, "norm") || strstr(name, "ffn_gate_inp") || strstr(name, "bias"); }

/* Values as packing each row by itself gives them. */
static void check_values(const wt_tensor *a, const wt_tensor *b)
{
    size_t row = (size_t)a->shape[a->n_dim - 1], in, out_bytes;
    const wt_type_info *t = wt_type_get(b->type);
    float *x = malloc(row * sizeof *x);
    uint8_t *packed = malloc(row * sizeof *x);
    wt_row_bytes(a->type, row, &in);
    wt_row_bytes(b->type, row, &out_bytes);
    for (size_t i = 0; i < a->n / row; i++) {
        wt_type_get(a->type)->unpack(x, (const uint8_t *)a->data + i * in, row);
        t->pack(packed, x, row);
        if (memcmp(packed, (const uint8_t *)b->data + i * out_bytes, out_bytes)) fail_msg("%s: row %zu differs", a->name, i);
    }
    free(x);
    free(packed);
}

static void every_type_that_can_be_written_is_written_row_by_row(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < WT_N_TYPE; type++) {
        const wt_type_info *t = wt_type_get(type);
        if (!t->pack) continue;
        witan_convert_result r = convert(model, out, (witan_convert_options){ .type = t->name, .head = t->name });
        wt_gguf *a = load(model), *b = load(out);
        int64_t bytes = 0;
        assert_int_equal(a->n_tensor, b->n_tensor);
        for (size_t i = 0; i < a->n_tensor; i++) {
            const wt_tensor *x = a->tensor + i, *y = b->tensor + i;
            assert_string_equal(x->name, y->name);
            assert_memory_equal(x->shape, y->shape, sizeof x->shape);
            assert_int_equal(y->type, never_converted(x->name) ? WT_F32 : type);
            check_values(x, y);
            bytes += (int64_t)y->bytes;
        }
        assert_int_equal(r.bytes_after, bytes);
        assert_int_equal(r.n_other, 0);
        assert_false(r.requantized);
        witan_free(cx, r.first);
        wt_gguf_free(a);
        wt_gguf_free(b);
    }
}

static void the_same_bytes_for_any_number_of_threads(void **state)
{
    (void)state;
    char *other = fault_path("other.gguf");
    for (int32_t n = 1; n <= 4; n++) {
        witan_set_threads(cx, n);
        witan_free(cx, convert(model, n == 1 ? out : other, (witan_convert_options){ .type = "Q4_0" }).first);
        if (n > 1) assert_true(same_file(out, other));
        make("tiny-qwen2moe", "Q8_0", n == 1 ? fault_path("r1.gguf") : fault_path("r2.gguf"));
        if (n > 1) assert_true(same_file(fault_path("r1.gguf"), fault_path("r2.gguf")));
    }
}

static wt_type type_of(const wt_gguf *g, const char *name)
{
    const wt_tensor *t = wt_gguf_tensor(g, name);
    assert_non_null(t);
    return t->type;
}

static void parts_may_have_types_of_their_own(void **state)
{
    (void)state;
    witan_free(cx, convert(model, out, (witan_convert_options){ .type = "f16", .experts = "Q4_0", .attention = "same", .head = "Q8_0" }).first);
    wt_gguf *g = load(out);
    assert_int_equal(type_of(g, "blk.0.ffn_down_exps.weight"), WT_Q4_0);
    assert_int_equal(type_of(g, "blk.1.attn_q.weight"), WT_F32);
    assert_int_equal(type_of(g, "token_embd.weight"), WT_F16);
    assert_int_equal(type_of(g, "output.weight"), WT_Q8_0);
    assert_int_equal(type_of(g, "blk.1.ffn_gate_inp.weight"), WT_F32);
    wt_gguf_free(g);
}

/* Rows of 44 and 96 values: neither whole blocks of 256 nor, the first, of 32. */
static void rows_that_do_not_fit_get_another_type(void **state)
{
    (void)state;
    make("tiny-qwen2moe", "F32", model);
    witan_convert_result r = convert(model, out, (witan_convert_options){ .type = "Q8_0" });
    wt_gguf *g = load(out);
    assert_int_equal(type_of(g, "blk.0.ffn_down_exps.weight"), WT_F16);
    assert_int_equal(type_of(g, "blk.0.ffn_up_exps.weight"), WT_Q8_0);
    assert_int_equal(r.n_other, 2);
    witan_free(cx, r.first);
    wt_gguf_free(g);
}

static void wrong_types_are_named(void **state)
{
    (void)state;
    assert_int_equal(witan_convert(cx, model, out, &(witan_convert_options){ .type = "Q4_K_M" }, NULL), WITAN_EARG);
    assert_non_null(strstr(witan_error(cx), "Q4_K_M"));
    assert_non_null(strstr(witan_error(cx), "Q8_0"));
    assert_int_equal(witan_convert(cx, model, out, &(witan_convert_options){ .type = "Q8_0", .head = "IQ1_S" }, NULL), WITAN_EARG);
    assert_non_null(strstr(witan_error(cx), "head"));
    assert_false(fault_exists(out));
}

static void the_model_itself_is_never_the_output(void **state)
{
    (void)state;
    char *link_ = fault_path("link.gguf");
    assert_int_equal(symlink(model, link_), 0);
    assert_int_equal(witan_convert(cx, model, model, &(witan_convert_options){ .type = "Q8_0" }, NULL), WITAN_EARG);
    assert_int_equal(witan_convert(cx, link_, model, &(witan_convert_options){ .type = "Q8_0" }, NULL), WITAN_EARG);
    witan_convert_result r = convert(model, out, (witan_convert_options){ .split = 1000000 });
    char whole[160];
    snprintf(whole, sizeof whole, "%.*s.gguf", (int)(strlen(r.first) - 20), r.first);
    assert_int_equal(witan_convert(cx, r.first, whole, &(witan_convert_options){ .split = 1000000 }, NULL), WITAN_EARG);   /* its parts would be the input */
    witan_free(cx, r.first);
    witan_model *m;
    assert_int_equal(witan_model_open(cx, model, NULL, &m), WITAN_OK);
    witan_model_free(m);
}

static void history_is_kept_and_continued(void **state)
{
    (void)state;
    char *second = fault_path("second.gguf");
    wt_str *h;
    size_t n;
    witan_free(cx, convert(model, out, (witan_convert_options){ .type = "F16", .command = "first \"step\"" }).first);
    witan_free(cx, convert(out, second, (witan_convert_options){ .type = "Q8_0", .command = "second" }).first);
    wt_gguf *g = load(second);
    int64_t file_type = 0;
    assert_int_equal(wt_gguf_strs(cx, g, "witan.history", true, &h, &n), WITAN_OK);
    assert_int_equal(n, 3);                                                   /* made, converted, converted */
    assert_non_null(memmem(h[0].s, h[0].n, "tiny-mixtral", 12));
    assert_non_null(memmem(h[1].s, h[1].n, "first \\\"step\\\"", 14));
    assert_non_null(memmem(h[2].s, h[2].n, "\"experts\":\"Q8_0\"", 16));
    assert_int_equal(wt_gguf_int(cx, g, "general.file_type", true, 0, 99, &file_type), WITAN_OK);
    assert_int_equal(file_type, 7);
    wt_free(cx, h);
    wt_gguf_free(g);
}

static size_t peak_of(int32_t layers, const char *type)
{
    size_t before;
    if (witan_random_model(cx, "tiny-mixtral", &(witan_random_options){ .type = "F32", .layers = layers }, model)) fail_msg("%s", witan_error(cx));
    before = f.peak = f.bytes;
    witan_free(cx, convert(model, out, (witan_convert_options){ .type = type }).first);
    return f.peak - before;
}

static void memory_does_not_grow_with_the_model(void **state)
{
    (void)state;
    size_t small = peak_of(1, "Q4_0"), large = peak_of(8, "Q4_0");
    assert_true(large < small + 100000);                                      /* descriptions of seven more layers */
}

static bool stop_early(void *user, const witan_progress *p) { (void)user; return p->done < p->total / 2; }

static void a_stop_leaves_nothing(void **state)
{
    (void)state;
    witan_ctx *c = witan_ctx_new(&(witan_config){ .progress = stop_early });
    assert_int_equal(witan_convert(c, model, out, &(witan_convert_options){ .type = "Q8_0", .split = 300000 }, NULL), WITAN_ECANCELED);
    witan_ctx_free(c);
    c = witan_ctx_new(&(witan_config){ .progress = stop_early });
    assert_int_equal(witan_random_model(c, "tiny-mixtral", &(witan_random_options){ .seed = 1, .split = 1000000 }, out), WITAN_ECANCELED);
    witan_ctx_free(c);
    assert_false(fault_exists(out));
    assert_int_equal(fault_leftovers(), 0);
}

/* ---- several files ---------------------------------------------------------------------------------------------------- */

static void check_same_tensors(const wt_gguf *a, const wt_gguf *b)
{
    assert_int_equal(a->n_tensor, b->n_tensor);
    for (size_t i = 0; i < a->n_tensor; i++) {
        const wt_tensor *x = a->tensor + i, *y = wt_gguf_tensor(b, x->name);
        assert_non_null(y);
        assert_int_equal(x->type, y->type);
        assert_memory_equal(x->shape, y->shape, sizeof x->shape);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
}

static void any_number_of_files_is_the_same_model(void **state)
{
    (void)state;
    static const int64_t size[] = { 1, 50000, 1000000, 3000000, 100000000 };
    char *joined = fault_path("joined.gguf");
    wt_gguf *a = load(model);
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        witan_convert_result r = convert(model, out, (witan_convert_options){ .split = size[i] });
        wt_gguf *b = load(r.first);
        assert_int_equal(b->n_part + 1, r.n_file);
        assert_true(r.n_file <= last);
        last = r.n_file;
        if (i == 0) assert_int_equal(r.n_file, a->n_tensor);                  /* every tensor in a file of its own */
        if (i == 4) assert_string_equal(r.first, out);                        /* one file is enough: it keeps its name */
        check_same_tensors(a, b);
        for (size_t k = 0; size[i] > 1000000 && k < b->n_tensor; k++) assert_true(wt_gguf_home(b, k)->map.n < (size_t)size[i] + 40000);
        wt_gguf_free(b);
        witan_free(cx, convert(r.first, joined, (witan_convert_options){ .type = "same" }).first);
        b = load(joined);
        check_same_tensors(a, b);
        assert_null(wt_gguf_kv(b, "split.count"));
        wt_gguf_free(b);
        witan_free(cx, r.first);
    }
    wt_gguf_free(a);
}

static void models_in_files_run_and_are_pruned(void **state)
{
    (void)state;
    witan_convert_result r = convert(model, out, (witan_convert_options){ .split = 1000000 });
    int32_t ids[] = { 5, 9, 200, 31 };
    float logits[320];
    for (int i = 0; i < 2; i++) {
        witan_model *m;
        witan_session *s;
        if (witan_model_open(cx, i ? r.first : model, NULL, &m)) fail_msg("%s", witan_error(cx));
        assert_int_equal(witan_session_new(cx, m, &(witan_session_options){ .n_ctx = 8 }, &s), WITAN_OK);
        assert_int_equal(witan_feed(s, 0, ids, 4), WITAN_OK);
        if (!i) memcpy(logits, witan_logits(s, 0), sizeof logits);
        else assert_memory_equal(logits, witan_logits(s, 0), sizeof logits);
        witan_session_free(s);
        witan_model_free(m);
    }
    witan_free(cx, r.first);
}

/* Rows interleaved on disk change no bit of any result, in any tier, for any number of threads. */
static void repacked_models_give_the_same_bits(void **state)
{
    (void)state;
    static const struct { const char *name, *type; } of[] = { { "tiny-mixtral", "Q4_K" }, { "tiny-qwen2moe", "Q4_0" }, { "tiny-qwen3moe", "Q8_0" }, { "tiny-llama", "Q4_0" } };
    static const struct { const char *tier; bool exact; } way[] = { { "ref", true }, { "ref", false }, { "avx2", true }, { "avx2", false }, { NULL, true }, { NULL, false } };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        witan_convert_result r;
        make(of[i].name, of[i].type, model);
        r = convert(model, out, (witan_convert_options){ .repack = true });
        assert_true(r.n_changed > 5);
        assert_false(r.requantized);
        assert_int_equal(r.bytes_before, r.bytes_after);
        witan_free(cx, r.first);
        for (size_t k = 0; k < sizeof way / sizeof *way; k++) {
            float logits[2][12 * 320];
            for (int p = 0; p < 2; p++) {
                witan_ctx *c = witan_ctx_new(&(witan_config){ .tier = way[k].tier, .exact = way[k].exact, .threads = 1 + p });
                witan_model *m;
                witan_session *s;
                witan_token tok[12];
                if (witan_model_open(c, p ? out : model, &(witan_model_options){ .resident = p }, &m)) fail_msg("%s", witan_error(c));
                for (int t = 0; t < 12; t++) tok[t] = (witan_token){ (t * 37 + 5) % 320, 0, true };
                assert_int_equal(witan_session_new(c, m, &(witan_session_options){ .n_ctx = 16 }, &s), WITAN_OK);
                for (int t = 0; t < 12; t += p ? 12 : 1) {                    /* at once and one by one */
                    if (witan_feed_batch(s, tok + t, p ? 12 : 1)) fail_msg("%s", witan_error(c));
                    memcpy(logits[p] + t * 320, witan_logits(s, 0), (p ? 12 : 1) * 320 * sizeof(float));
                }
                witan_session_free(s);
                witan_model_free(m);
                witan_ctx_free(c);
            }
            if (memcmp(logits[0], logits[1], sizeof logits[0])) fail_msg("%s in %s, tier %s%s: other bits", of[i].name, of[i].type, way[k].tier ? way[k].tier : "best", way[k].exact ? ", exact" : "");
        }
    }
}

static void expect_refusal(const char *path, const char *word)
{
    wt_gguf *g;
    if (wt_gguf_open(cx, path, &g) == WITAN_OK) fail_msg("%s was opened; expected a refusal with \"%s\"", path, word);
    if (!strstr(witan_error(cx), word)) fail_msg("expected \"%s\" in: %s", word, witan_error(cx));
}

static void part_name(char buf[200], const char *stem, int no, int of) { snprintf(buf, 200, "%s/%s-%05d-of-%05d.gguf", fault_folder(), stem, no, of); }

static void parts_that_do_not_belong_are_refused(void **state)
{
    (void)state;
    char first[200], second[200], third[200], aside[200], other[200];
    witan_convert_result r = convert(model, out, (witan_convert_options){ .split = 1500000 });
    int of = (int)r.n_file;
    assert_true(of >= 3);
    part_name(first, "out", 1, of);
    part_name(second, "out", 2, of);
    part_name(third, "out", 3, of);
    part_name(aside, "aside", 2, of);
    part_name(other, "other", 1, of);
    assert_string_equal(r.first, first);
    expect_refusal(second, first);                                            /* names the file to open */
    assert_int_equal(rename(second, aside), 0);
    expect_refusal(first, second);                                            /* missing */
    assert_int_equal(link(third, second), 0);
    expect_refusal(first, "expected part 2");                                 /* another one under its name */
    assert_int_equal(unlink(second), 0);
    assert_int_equal(link(model, second), 0);
    expect_refusal(first, "expected part 2");                                 /* no part at all */
    assert_int_equal(unlink(second), 0);
    assert_int_equal(truncate(aside, 2000), 0);
    assert_int_equal(rename(aside, second), 0);
    expect_refusal(first, "truncated");
    assert_int_equal(link(first, other), 0);
    expect_refusal(other, "cannot open");                                     /* its parts have other names */
    assert_int_equal(link(first, fault_path("plain.gguf")), 0);
    expect_refusal(fault_path("plain.gguf"), "-00001-of-");
    witan_free(cx, r.first);
}

/* ---- random models ---------------------------------------------------------------------------------------------------- */

static void every_tiny_model_runs(void **state)
{
    (void)state;
    const char *name;
    int seen = 0;
    for (size_t i = 0; (name = witan_random_name(i)); i++) {
        if (strncmp(name, "tiny-", 5)) continue;
        witan_model *m;
        witan_session *s;
        int32_t ids[] = { 1, 70, 256, 300 };
        make(name, i % 2 ? "Q8_0" : "Q4_0", model);
        if (witan_model_open(cx, model, NULL, &m)) fail_msg("%s: %s", name, witan_error(cx));
        assert_int_equal(witan_session_new(cx, m, &(witan_session_options){ .n_ctx = 8 }, &s), WITAN_OK);
        if (witan_feed(s, 0, ids, 4)) fail_msg("%s: %s", name, witan_error(cx));
        double spread = 0;
        for (int k = 0; k < 320; k++) {
            assert_true(isfinite(witan_logits(s, 0)[k]));
            spread += (double)witan_logits(s, 0)[k] * (double)witan_logits(s, 0)[k] / 320;
        }
        assert_true(spread > 0.05 && spread < 20);
        witan_session_free(s);
        witan_model_free(m);
        seen++;
    }
    assert_true(seen >= 7);
}

/* Weights are what they say: mean 0 and deviation 1 / sqrt(row), experts differ. */
static void random_weights_have_the_spread_of_a_fresh_model(void **state)
{
    (void)state;
    wt_gguf *g = load(model);
    const wt_tensor *t = wt_gguf_tensor(g, "blk.1.ffn_up_exps.weight"), *u = wt_gguf_tensor(g, "blk.0.ffn_up_exps.weight");
    const float *x = t->data, *y = u->data;
    double sum = 0, sum2 = 0, cross = 0;
    for (size_t i = 0; i < t->n; i++) { sum += (double)x[i]; sum2 += (double)x[i] * (double)x[i]; cross += (double)x[i] * (double)y[i]; }
    double n = (double)t->n, unit = 1.0 / 256;
    assert_true(fabs(sum / n) < 4 * sqrt(unit / n) + 1e-3);
    assert_true(fabs(sum2 / n / unit - 1) < 0.02);
    assert_true(fabs(cross / n / unit) < 0.02);
    assert_memory_not_equal(x, x + t->n / 4, t->n);
    wt_gguf_free(g);
}

static void unknown_dimensions_are_refused_with_the_nearest_name(void **state)
{
    (void)state;
    assert_int_equal(witan_random_model(cx, "olmo-1b-7b", &(witan_random_options){ .seed = 1 }, out), WITAN_EARG);
    assert_non_null(strstr(witan_error(cx), "olmoe-1b-7b"));
    assert_int_equal(witan_random_model(cx, "zzz", &(witan_random_options){ .seed = 1 }, out), WITAN_EARG);
    assert_non_null(strstr(witan_error(cx), "mixtral-8x7b"));
    assert_int_equal(witan_random_model(cx, "tiny-olmoe", &(witan_random_options){ .type = "Q9" }, out), WITAN_EARG);
    assert_int_equal(witan_random_model(cx, "tiny-olmoe", &(witan_random_options){ .layers = -1 }, out), WITAN_EARG);
    assert_false(fault_exists(out));
}

/* ---- speed ------------------------------------------------------------------------------------------------------------ */

static const witan_machine machine = { .threads = 1, .tier = "ref", .read_bytes = 1e9, .f32_ops = 1e10, .i8_ops = 2e10 };

static void the_limit_of_decode_is_bytes_over_bandwidth(void **state)
{
    (void)state;
    witan_bench_result r;
    witan_model *m;
    make("tiny-mixtral", "Q8_0", model);
    assert_int_equal(witan_model_open(cx, model, NULL, &m), WITAN_OK);
    witan_bench_options o = { .generate = 4, .batch = 1, .repeat = 3 };
    if (witan_bench(cx, m, &machine, &o, &r)) fail_msg("%s", witan_error(cx));
    const witan_model_info *i = witan_model_get_info(m);
    double embed = 320 * 256 / 32.0 * 34 / 320, kv = 2.0 * 4 * i->n_layer * i->n_head_kv * i->d_head * 2;   /* two tokens stand before, on average */
    assert_string_equal(r.test, "tg4");
    assert_true(r.memory);
    assert_true(fabs(r.limit / (1e9 / ((double)i->n_byte_token - embed + kv)) - 1) < 1e-3);
    assert_true(r.min > 0 && r.min <= r.median && r.median <= r.max);
    assert_true(fabs(r.share - r.median / r.limit) < 1e-12);
    o = (witan_bench_options){ .prompt = 4, .batch = 2, .depth = 3, .repeat = 2 };
    if (witan_bench(cx, m, &machine, &o, &r)) fail_msg("%s", witan_error(cx));
    assert_string_equal(r.test, "pp4@3");
    assert_int_equal(witan_bench(cx, m, &machine, &(witan_bench_options){ .batch = 1, .repeat = 1 }, &r), WITAN_EARG);
    assert_int_equal(witan_bench(cx, m, &machine, &(witan_bench_options){ .prompt = 1, .batch = 0, .repeat = 1 }, &r), WITAN_EARG);
    assert_int_equal(witan_bench(cx, m, &machine, &(witan_bench_options){ .prompt = 1, .batch = 1, .repeat = 0 }, &r), WITAN_EARG);
    witan_model_free(m);
}

static void the_machine_has_limits(void **state)
{
    (void)state;
    witan_machine a;
    assert_int_equal(witan_machine_measure(cx, &a), WITAN_OK);
    assert_true(a.read_bytes > 1e8 && a.read_bytes < 1e13 && a.f32_ops > 1e7 && a.i8_ops > 1e7);
    assert_true(a.bf16_ops == 0 || a.bf16_ops > 1e7);
    assert_int_equal(a.threads, 1);
}

/* ---- failures ---------------------------------------------------------------------------------------------------------- */

static char parts[160];          /* the first of three files */

static witan_status scene_convert(witan_ctx *c, void *arg)
{
    witan_convert_result r;
    (void)arg;
    witan_status st = witan_convert(c, model, out, &(witan_convert_options){ .type = "Q8_0", .head = "F16", .command = "x" }, &r);
    if (!st) witan_free(c, r.first);
    return st;
}

static witan_status scene_split(witan_ctx *c, void *arg)
{
    (void)arg;
    return witan_convert(c, model, out, &(witan_convert_options){ .type = "Q8_0", .split = 150000 }, NULL);
}

static witan_status scene_open_parts(witan_ctx *c, void *arg)
{
    witan_model *m = NULL;
    (void)arg;
    witan_status st = witan_model_open(c, parts, NULL, &m);
    witan_model_free(m);
    return st;
}

static witan_status scene_random(witan_ctx *c, void *arg)
{
    (void)arg;
    return witan_random_model(c, "tiny-olmoe", &(witan_random_options){ .type = "Q8_0", .seed = 2 }, out);
}

static witan_status scene_bench(witan_ctx *c, void *arg)
{
    witan_model *m = NULL;
    witan_bench_result r;
    (void)arg;
    witan_status st = witan_model_open(c, model, NULL, &m);
    if (!st) st = witan_bench(c, m, &machine, &(witan_bench_options){ .prompt = 3, .batch = 2, .repeat = 1 }, &r);
    witan_model_free(m);
    return st;
}

static witan_status scene_machine(witan_ctx *c, void *arg)
{
    witan_machine a;
    (void)arg;
    return witan_machine_measure(c, &a);
}

static void nth_failure(void **state)
{
    (void)state;
    make("tiny-qwen3moe", "F32", model);
    witan_convert_result r = convert(model, fault_path("parts.gguf"), (witan_convert_options){ .type = "Q8_0", .split = 150000 });
    assert_true(r.n_file >= 2);
    snprintf(parts, sizeof parts, "%s", r.first);
    witan_free(cx, r.first);
    char first[200];
    part_name(first, "out", 1, (int)r.n_file);
    const struct { fault_scene scene; const char *out; long most; } scene[] = {
        { scene_convert, out, 3000 }, { scene_split, first, 3000 }, { scene_open_parts, NULL, 3000 }, { scene_random, out, 3000 }, { scene_bench, NULL, 3000 },
        { scene_machine, NULL, 10 } };
    for (size_t i = 0; i < sizeof scene / sizeof *scene; i++)
        for (fault_kind k = 0; k <= FAULT_CLOSE; k++)
            if (k < FAULT_CLOSE || scene[i].out) {
                long n = fault_each(k, scene[i].scene, NULL, scene[i].out, scene[i].most);
                if (n >= scene[i].most) fail_msg("scene %zu, %s: still failing after %ld rounds", i, fault_name[k], n);
            }
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_type_that_can_be_written_is_written_row_by_row), T(the_same_bytes_for_any_number_of_threads), T(parts_may_have_types_of_their_own),
        T(rows_that_do_not_fit_get_another_type), T(wrong_types_are_named), T(the_model_itself_is_never_the_output), T(history_is_kept_and_continued),
        T(memory_does_not_grow_with_the_model), T(a_stop_leaves_nothing), T(any_number_of_files_is_the_same_model), T(models_in_files_run_and_are_pruned), T(repacked_models_give_the_same_bits),
        T(parts_that_do_not_belong_are_refused), T(every_tiny_model_runs), T(random_weights_have_the_spread_of_a_fresh_model),
        T(unknown_dimensions_are_refused_with_the_nearest_name), T(the_limit_of_decode_is_bytes_over_bandwidth), T(the_machine_has_limits), T(nth_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
