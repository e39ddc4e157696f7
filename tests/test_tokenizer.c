/* Byte-level BPE: against the published gpt-2 vectors, round trips of any bytes, special tokens, and damaged vocabularies. */
#include "fault.h"
#include "shared.h"
#include "text/vocab.h"
#include "tiny.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static witan_ctx *cx;
static fault f;

static int set_up(void **state) { (void)state; f = (fault){ 0 }; cx = fault_ctx(&f); return !cx; }

static int tear_down(void **state)
{
    (void)state;
    witan_ctx_free(cx);
    if (f.live) print_error("%ld blocks leaked\n", f.live);
    return f.live != 0;
}

static char *slurp(const char *path, size_t *n)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    char *s = malloc(1 << 20);
    *n = fread(s, 1, 1 << 20, in);
    fclose(in);
    return s;
}

/* ---- published vectors ---------------------------------------------------------------------------------------------- */

static void check_vector(const witan_model *m, const char *text, size_t n, const char **expected)
{
    int32_t *ids;
    size_t n_ids, len;
    char *back, *end;
    assert_int_equal(witan_tokenize(cx, m, text, n, 0, &ids, &n_ids), WITAN_OK);
    for (size_t i = 0; i < n_ids; i++) {
        long want = strtol(*expected, &end, 10);
        if (end == *expected || want != ids[i]) fail_msg("\"%.*s\": token %zu is %d, expected %ld", (int)n, text, i, ids[i], want);
        *expected = end;
    }
    const char *line = *expected;
    while (*line == ' ') line++;
    if (*line && *line != '\n') fail_msg("\"%.*s\": %zu tokens, but more were expected", (int)n, text, n_ids);
    *expected = *line ? line + 1 : line;
    assert_int_equal(witan_detokenize(cx, m, ids, n_ids, false, &back, &len), WITAN_OK);
    assert_int_equal(len, n);
    assert_memory_equal(back, text, n);
    witan_free(cx, ids);
    witan_free(cx, back);
}

/* The texts of PATH.inp, the ids of PATH.out. */
static void check_vectors(const char *path)
{
    char inp[512], outp[512];
    static const char mark[] = "\n__ggml_vocab_test__\n";
    witan_model *m;
    size_t n, n_out, count = 0;
    snprintf(inp, sizeof inp, "%s.inp", path);
    snprintf(outp, sizeof outp, "%s.out", path);
    if (access(outp, R_OK)) return;
    char *text = slurp(inp, &n), *ids = slurp(outp, &n_out);
    const char *expected = ids;
    ids[n_out] = 0;
    assert_int_equal(witan_vocab_open(cx, path, NULL, &m), WITAN_OK);
    for (char *at = text, *end; at < text + n; at = end + strlen(mark), count++) {
        end = memmem(at, (size_t)(text + n - at), mark, strlen(mark));
        if (!end) break;
        check_vector(m, at, (size_t)(end - at), &expected);
    }
    if (count < 40) fail_msg("%s: only %zu vectors found", path, count);
    witan_model_free(m);
    free(text);
    free(ids);
}

static void published_vectors_in_both_directions(void **state)
{
    (void)state;
    char vocab[512];
    glob_t found;
    SKIP_WITHOUT(shared_path(vocab, "tokenizers"));
    assert_int_equal(glob(shared_path(vocab, "tokenizers/ggml-vocab-*.gguf"), 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) check_vectors(found.gl_pathv[i]);
    globfree(&found);
}

/* ---- our own vocabulary --------------------------------------------------------------------------------------------- */

static witan_model *tiny(void)
{
    witan_model *m;
    char *path = fault_path("tiny.gguf");
    assert_int_equal(tiny_write(cx, path, WT_Q8_0, 1), WITAN_OK);
    assert_int_equal(witan_vocab_open(cx, path, NULL, &m), WITAN_OK);
    return m;
}

static void any_bytes_survive_the_round_trip(void **state)
{
    (void)state;
    witan_model *m = tiny();
    char text[300], *back;
    int32_t *ids;
    size_t n, len;
    unsigned seed = 1;
    for (int round = 0; round < 500; round++) {
        for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(round % 2 ? rand_r(&seed) : " \t\n'sdx9\xC3\xA9\xE2\x82\xAC"[rand_r(&seed) % 13]);
        assert_int_equal(witan_tokenize(cx, m, text, sizeof text, 0, &ids, &n), WITAN_OK);
        assert_int_equal(witan_detokenize(cx, m, ids, n, false, &back, &len), WITAN_OK);
        assert_int_equal(len, sizeof text);
        assert_memory_equal(back, text, len);
        witan_free(cx, ids);
        witan_free(cx, back);
    }
    assert_int_equal(witan_tokenize(cx, m, "", 0, 0, &ids, &n), WITAN_OK);
    assert_int_equal(n, 0);
    witan_free(cx, ids);
    witan_model_free(m);
}

static void special_tokens_are_read_only_when_asked(void **state)
{
    (void)state;
    witan_model *m = tiny();
    const char *text = "a<|end|>b";
    int32_t *ids;
    size_t n, len;
    char *s;
    assert_int_equal(witan_tokenize(cx, m, text, strlen(text), 0, &ids, &n), WITAN_OK);
    assert_int_equal(n, strlen(text));
    witan_free(cx, ids);
    assert_int_equal(witan_tokenize(cx, m, text, strlen(text), WITAN_TOK_SPECIAL | WITAN_TOK_BOS, &ids, &n), WITAN_OK);
    assert_int_equal(n, 4);
    assert_true(ids[0] == 0 && ids[1] == 'a' + 1 && ids[2] == 0 && ids[3] == 'b' + 1);
    assert_int_equal(witan_detokenize(cx, m, ids, n, true, &s, &len), WITAN_OK);
    assert_string_equal(s, "ab");
    witan_free(cx, s);
    witan_free(cx, ids);
    assert_int_equal(witan_detokenize(cx, m, &(int32_t){ TINY_VOCAB }, 1, true, &s, &len), WITAN_EARG);
    assert_int_equal(witan_detokenize(cx, m, &(int32_t){ -1 }, 1, true, &s, &len), WITAN_EARG);
    witan_model_free(m);
}

/* ---- time ----------------------------------------------------------------------------------------------------------- */

static void a_megabyte_of_one_letter_takes_no_quadratic_time(void **state)
{
    (void)state;
    char path[512];
    SKIP_WITHOUT(shared_path(path, "tokenizers/ggml-vocab-gpt-2.gguf"));
    witan_model *m;
    size_t n = 1 << 20, n_ids, len;
    char *text = malloc(n), *back;
    int32_t *ids;
    memset(text, 'a', n);
    assert_int_equal(witan_vocab_open(cx, path, NULL, &m), WITAN_OK);
    clock_t t0 = clock();
    assert_int_equal(witan_tokenize(cx, m, text, n, 0, &ids, &n_ids), WITAN_OK);
    assert_true((clock() - t0) / CLOCKS_PER_SEC < 20);
    assert_int_equal(witan_detokenize(cx, m, ids, n_ids, false, &back, &len), WITAN_OK);
    assert_int_equal(len, n);
    witan_free(cx, ids);
    witan_free(cx, back);
    witan_model_free(m);
    free(text);
}

/* ---- damaged vocabularies ------------------------------------------------------------------------------------------- */

/* A file that holds a vocabulary of three tokens "a", "b", "ab" with one thing wrong. */
static void refuse_vocabulary(const char *model, const char *pre, const char *merge, int32_t n_type, uint32_t bos, const char *must_say)
{
    char *path = fault_path("vocab.gguf");
    wt_gguf_out *o;
    witan_model *m;
    wt_str tok[3] = { { "a", 1 }, { "b", 1 }, { "ab", 2 } }, mg = { merge, strlen(merge) };
    int32_t type[3] = { 1, 1, 1 };
    assert_int_equal(wt_gguf_out_open(cx, path, &o), WITAN_OK);
    assert_int_equal(wt_gguf_put_str(o, "tokenizer.ggml.model", model), WITAN_OK);
    assert_int_equal(wt_gguf_put_str(o, "tokenizer.ggml.pre", pre), WITAN_OK);
    assert_int_equal(wt_gguf_put_strs(o, "tokenizer.ggml.tokens", tok, 3), WITAN_OK);
    assert_int_equal(wt_gguf_put_i32s(o, "tokenizer.ggml.token_type", type, (size_t)n_type), WITAN_OK);
    assert_int_equal(wt_gguf_put_strs(o, "tokenizer.ggml.merges", &mg, 1), WITAN_OK);
    assert_int_equal(wt_gguf_put_u32(o, "tokenizer.ggml.bos_token_id", bos), WITAN_OK);
    assert_int_equal(wt_gguf_out_commit(&o), WITAN_OK);
    witan_status st = witan_vocab_open(cx, path, NULL, &m);
    if (!*must_say) { assert_int_equal(st, WITAN_OK); witan_model_free(m); return; }
    assert_int_not_equal(st, WITAN_OK);
    if (!strstr(witan_error(cx), must_say)) fail_msg("\"%s\" does not say \"%s\"", witan_error(cx), must_say);
}

static void vocabularies_that_contradict_themselves_are_refused(void **state)
{
    (void)state;
    refuse_vocabulary("gpt2", "gpt-2", "a b", 3, 0, "");
    refuse_vocabulary("t5", "gpt-2", "a b", 3, 0, "\"t5\"");
    refuse_vocabulary("llama", "gpt-2", "a b", 3, 0, "tokenizer.ggml.scores");
    refuse_vocabulary("gpt2", "qwen2", "a b", 3, 0, "");
    refuse_vocabulary("gpt2", "nonsense", "a b", 3, 0, "\"nonsense\"");
    refuse_vocabulary("gpt2", "gpt-2", "a c", 3, 0, "no token");
    refuse_vocabulary("gpt2", "gpt-2", "ab", 3, 0, "two pieces");
    refuse_vocabulary("gpt2", "gpt-2", "b a", 3, 0, "no token");
    refuse_vocabulary("gpt2", "gpt-2", "a b", 2, 0, "2 entries for 3 tokens");
    refuse_vocabulary("gpt2", "gpt-2", "a b", 3, 3, "bos_token_id");
}

/* Tokens a b c ab bc abc with the one merge "b c": merged, "abc" is a + bc; as a whole it is one token. */
static void whole_pieces_are_taken_where_merges_are_ignored(void **state)
{
    (void)state;
    static const char *const pre[] = { "dbrx", "llama-bpe" };
    wt_str tok[6] = { { "a", 1 }, { "b", 1 }, { "c", 1 }, { "ab", 2 }, { "bc", 2 }, { "abc", 3 } }, merge = { "b c", 3 };
    for (int i = 0; i < 2; i++) {
        char *path = fault_path("whole.gguf");
        wt_gguf_out *o;
        witan_model *m;
        int32_t *ids;
        size_t n;
        assert_int_equal(wt_gguf_out_open(cx, path, &o), WITAN_OK);
        assert_int_equal(wt_gguf_put_str(o, "tokenizer.ggml.model", "gpt2"), WITAN_OK);
        assert_int_equal(wt_gguf_put_str(o, "tokenizer.ggml.pre", pre[i]), WITAN_OK);
        assert_int_equal(wt_gguf_put_strs(o, "tokenizer.ggml.tokens", tok, 6), WITAN_OK);
        assert_int_equal(wt_gguf_put_strs(o, "tokenizer.ggml.merges", &merge, 1), WITAN_OK);
        assert_int_equal(wt_gguf_put_u32(o, "tokenizer.ggml.bos_token_id", 3), WITAN_OK);
        assert_int_equal(wt_gguf_out_commit(&o), WITAN_OK);
        assert_int_equal(witan_vocab_open(cx, path, NULL, &m), WITAN_OK);
        assert_int_equal(witan_model_get_info(m)->add_bos, i == 1);
        assert_int_equal(witan_tokenize(cx, m, "abc", 3, 0, &ids, &n), WITAN_OK);
        assert_int_equal(n, i ? 1 : 2);
        assert_int_equal(ids[0], i ? 5 : 0);
        witan_free(cx, ids);
        assert_int_equal(witan_tokenize(cx, m, "abcc", 4, 0, &ids, &n), WITAN_OK);   /* no token as a whole: merged */
        assert_true(n == 3 && ids[0] == 0 && ids[1] == 4 && ids[2] == 2);
        witan_free(cx, ids);
        witan_model_free(m);
    }
}

static int all_done(void **state) { (void)state; fault_folder_free(); return 0; }

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(published_vectors_in_both_directions), T(any_bytes_survive_the_round_trip), T(special_tokens_are_read_only_when_asked),
        T(whole_pieces_are_taken_where_merges_are_ignored), T(a_megabyte_of_one_letter_takes_no_quadratic_time),
        T(vocabularies_that_contradict_themselves_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, all_done);
}
