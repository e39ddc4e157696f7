/* Vocabularies of both kinds: small trained ones against other implementations (tools/oracle/make_vocabs.py), and made ones by hand for what
 * those do not show: literal tokens, prefixes, fall-backs, keys, unknown splitting rules. */
#include "fault.h"
#include "text/split.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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

static witan_model *open_as(const char *path, const char *pre)
{
    witan_model *m;
    if (witan_vocab_open(cx, path, &(witan_model_options){ .pre = pre }, &m)) fail_msg("%s", witan_error(cx));
    return m;
}

/* ---- made by hand ----------------------------------------------------------------------------------------------------- */

typedef struct token { const char *text; int32_t type; float score; } token;

typedef struct spec {
    const char *model, *pre, *arch, *name;
    const token *tok; size_t n;
    const char *merge;                  /* one */
    bool no_types, no_prefix, add_eos, add_sep;
    int32_t eos, sep;                   /* 0: not said */
} spec;

static witan_status put_spec(wt_gguf_out *o, const spec *s)
{
    wt_str *text = calloc(s->n, sizeof *text), merge = { s->merge, s->merge ? strlen(s->merge) : 0 };
    int32_t *type = calloc(s->n, sizeof *type);
    float *score = calloc(s->n, sizeof *score);
    for (size_t i = 0; i < s->n; i++) {
        text[i] = (wt_str){ s->tok[i].text, strlen(s->tok[i].text) };
        type[i] = s->tok[i].type ? s->tok[i].type : WT_TOK_NORMAL;
        score[i] = s->tok[i].score;
    }
    bool bad = wt_gguf_put_str(o, "tokenizer.ggml.model", s->model) || wt_gguf_put_strs(o, "tokenizer.ggml.tokens", text, s->n) ||
               (s->pre && wt_gguf_put_str(o, "tokenizer.ggml.pre", s->pre)) || (s->arch && wt_gguf_put_str(o, "general.architecture", s->arch)) ||
               (s->name && wt_gguf_put_str(o, "general.name", s->name)) ||
               (!s->no_types && wt_gguf_put_i32s(o, "tokenizer.ggml.token_type", type, s->n)) ||
               (*s->model == 'l' ? wt_gguf_put_f32s(o, "tokenizer.ggml.scores", score, s->n) : wt_gguf_put_strs(o, "tokenizer.ggml.merges", &merge, 1)) ||
               (s->no_prefix && wt_gguf_put_bool(o, "tokenizer.ggml.add_space_prefix", false)) ||
               (s->add_eos && wt_gguf_put_bool(o, "tokenizer.ggml.add_eos_token", true)) ||
               (s->add_sep && wt_gguf_put_bool(o, "tokenizer.ggml.add_sep_token", true)) ||
               (s->eos && wt_gguf_put_u32(o, "tokenizer.ggml.eos_token_id", (uint32_t)s->eos)) ||
               (s->sep && wt_gguf_put_u32(o, "tokenizer.ggml.seperator_token_id", (uint32_t)s->sep));
    free(text);
    free(type);
    free(score);
    return bad ? WITAN_EIO : WITAN_OK;
}

static const char *write_spec(const spec *s)
{
    char *path = fault_path("spec.gguf");
    wt_gguf_out *o;
    assert_int_equal(wt_gguf_out_open(cx, path, &o), WITAN_OK);
    assert_int_equal(put_spec(o, s), WITAN_OK);
    assert_int_equal(wt_gguf_out_commit(&o), WITAN_OK);
    return path;
}

static witan_model *make(const spec *s) { return open_as(write_spec(s), NULL); }

static void refuse(const spec *s, const char *pre, witan_status status, const char *must_say)
{
    witan_model *m;
    assert_int_equal(witan_vocab_open(cx, write_spec(s), &(witan_model_options){ .pre = pre }, &m), status);
    if (!strstr(witan_error(cx), must_say)) fail_msg("\"%s\" does not say \"%s\"", witan_error(cx), must_say);
}

/* The ids of a text, and what they decode to as a whole. Lists end with -1. */
static void expect(const witan_model *m, const char *text, int flags, const int32_t *want, const char *back)
{
    int32_t *ids;
    size_t n, k = 0, len;
    char *s, list[256] = "";
    assert_int_equal(witan_tokenize(cx, m, text, strlen(text), flags, &ids, &n), WITAN_OK);
    for (size_t i = 0; i < n; i++) snprintf(list + strlen(list), sizeof list - strlen(list), " %d", ids[i]);
    while (k < n && want[k] == ids[k]) k++;
    if (k < n || want[k] >= 0) fail_msg("\"%s\": ids%s, expected %d at %zu", text, list, want[k], k);
    assert_int_equal(witan_detokenize(cx, m, ids, n, false, &s, &len), WITAN_OK);
    if (strlen(back) != len || strcmp(back, s)) fail_msg("\"%s\": decoded as \"%s\", expected \"%s\"", text, s, back);
    witan_free(cx, ids);
    witan_free(cx, s);
}
#define IDS(...) (const int32_t[]){ __VA_ARGS__, -1 }

static void expect_token(const witan_model *m, int32_t id, bool skip_special, const char *want)
{
    char *s;
    size_t n;
    assert_int_equal(witan_token_text(cx, m, id, skip_special, &s, &n), WITAN_OK);
    assert_string_equal(s, want);
    assert_int_equal(n, strlen(want));
    witan_free(cx, s);
}

#define SP "\xE2\x96\x81"
enum { UNK = WT_TOK_UNKNOWN, CONTROL = WT_TOK_CONTROL, USER = WT_TOK_USER, UNUSED = WT_TOK_UNUSED, BYTE = WT_TOK_BYTE };

static const token spm_tok[] = {
    { "<unk>", UNK, 0 }, { "<s>", CONTROL, 0 }, { "</s>", CONTROL, 0 }, { "<0x0A>", BYTE, 0 }, { "<0xC3>", BYTE, 0 }, { "<0xA9>", BYTE, 0 },
    { SP, 0, -10 }, { "a", 0, -11 }, { "b", 0, -12 }, { SP "a", 0, -3 }, { "ab", 0, -2 }, { SP "ab", 0, -5 }, { "<|user|>", USER, 0 },
    { "<", 0, -20 }, { "s", 0, -21 }, { ">", 0, -22 }, { "<s", 0, -1 }, { SP SP, 0, -4 }, { "c", UNUSED, -13 }, { "bc", UNUSED, -1.5f },
    { "<|user|>x", USER, 0 },
};
static const spec spm = { .model = "llama", .tok = spm_tok, .n = sizeof spm_tok / sizeof *spm_tok };

static void the_best_score_is_merged_first(void **state)
{
    (void)state;
    witan_model *m = make(&spm);
    expect(m, "ab", 0, IDS(11), "ab");                     /* "ab" -2 before " a" -3, then " ab" */
    expect(m, "a", 0, IDS(9), "a");
    expect(m, "abc", 0, IDS(9, 19), "abc");                /* "bc" -1.5 comes first, so " a" is left; unused tokens are as good */
    expect(m, "a\xC3\xA9\nb", 0, IDS(9, 4, 5, 3, 8), "a\xC3\xA9\nb");
    expect(m, "  a", 0, IDS(17, 9), "  a");
    expect(m, "", 0, IDS(-1), "");
    expect(m, "a zz a", 0, IDS(9, 6, 0, 9), "a <unk> a");  /* no token and no bytes: one unknown token for both */
    expect(m, "a" SP "a", 0, IDS(9, 9), "a a");
    witan_model_free(m);
}

static void control_tokens_never_come_from_plain_text(void **state)
{
    (void)state;
    witan_model *m = make(&spm);
    expect(m, "<s>", 0, IDS(6, 16, 15), "<s>");
    expect(m, "<s>", WITAN_TOK_SPECIAL, IDS(1), "<s>");
    expect(m, "a<s>a", WITAN_TOK_SPECIAL | WITAN_TOK_BOS, IDS(1, 9, 1, 9), "<s>a<s>a");
    expect(m, "a<|user|>b<|user|>xb", 0, IDS(9, 12, 6, 8, 20, 6, 8), "a<|user|>b<|user|>xb");   /* user-defined always; the longest */
    expect(m, "<0x0A>", 0, IDS(6, 13, 0, 15), "<<unk>>");
    expect_token(m, 9, false, " a");
    expect_token(m, 3, false, "\n");
    expect_token(m, 1, false, "<s>");
    expect_token(m, 1, true, "");
    expect_token(m, 0, true, "");
    expect_token(m, 12, true, "<|user|>");
    witan_model_free(m);
}

static void keys_of_a_sentencepiece_vocabulary_are_heard(void **state)
{
    (void)state;
    spec s = spm;
    witan_model *m = make(&s);
    const witan_model_info *info = witan_model_get_info(m);
    assert_true(info->add_bos && info->bos == 1 && info->eos == 2 && info->n_vocab == (int32_t)s.n);
    expect(m, "a", WITAN_TOK_BOS | WITAN_TOK_EOS, IDS(1, 9), "<s>a");
    witan_model_free(m);
    s.no_prefix = s.add_eos = true;
    m = make(&s);
    expect(m, "ab", WITAN_TOK_BOS | WITAN_TOK_EOS, IDS(1, 10, 2), "<s>ab</s>");
    expect(m, " ab", 0, IDS(11), " ab");
    witan_model_free(m);
    s.no_types = true;                                     /* old files: types follow from the text */
    s.add_eos = false;
    s.add_sep = true;
    s.sep = 7;
    m = make(&s);
    expect(m, "\n<s>", WITAN_TOK_SPECIAL | WITAN_TOK_EOS, IDS(3, 1, 7), "\n<s>a");
    witan_model_free(m);
}

static void special_tokens_of_phi3_swallow_white_space(void **state)
{
    (void)state;
    spec s = spm;
    for (int i = 0; i < 4; i++) {
        s.arch = i == 0 ? "phimoe" : "llama";
        s.name = i == 1 ? "My Phi-3 mini" : i == 2 ? "PHI3" : "Dolphin 3";
        witan_model *m = make(&s);
        if (i < 3) expect(m, "<|user|>\n  a<s> a", WITAN_TOK_SPECIAL, IDS(12, 9, 1, 6, 9), "<|user|>a<s> a");
        else expect(m, "<|user|>\na<s> a", WITAN_TOK_SPECIAL, IDS(12, 6, 3, 7, 1, 6, 9), "<|user|>\na<s> a");
        witan_model_free(m);
    }
}

static void damaged_sentencepiece_vocabularies_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "<0x0>", "<0x+1>", "<0x 1>", "<0xGG>", "<0x000>", "0x00", "<0X00>" };
    token tok[2] = { { "a", 0, -1 }, { NULL, BYTE, 0 } };
    spec s = { .model = "llama", .tok = tok, .n = 2 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tok[1].text = bad[i];
        refuse(&s, NULL, WITAN_EFORMAT, bad[i]);
    }
    tok[1] = (token){ "b", 0, NAN };
    refuse(&s, NULL, WITAN_EFORMAT, "tokenizer.ggml.scores of token 1 is not a number");
    tok[1].score = -INFINITY;
    s.model = "lama";
    refuse(&s, NULL, WITAN_EUNSUPPORTED, "\"lama\"");
    s.model = "llama";
    witan_model *m = make(&s);
    int32_t *ids;
    size_t n;
    assert_int_equal(witan_tokenize(cx, m, "a", 1, 0, &ids, &n), WITAN_EUNSUPPORTED);     /* no space, no byte, no unknown token */
    assert_non_null(strstr(witan_error(cx), "0x20"));
    witan_model_free(m);
}

/* ---- literal tokens in byte-level vocabularies --------------------------------------------------------------------------- */

static const token bpe_tok[] = {
    { "a", 0, 0 }, { "b", 0, 0 }, { "<", 0, 0 }, { "\xC4\xA0", 0, 0 }, { "ab", 0, 0 }, { "<a>", CONTROL, 0 }, { "<a", USER, 0 },
    { "   ", USER, 0 }, { "  ", USER, 0 }, { "\xC3\xB5", USER, 0 }, { "\xC3\xAF", 0, 0 }, { "\xC2\xBF", 0, 0 }, { "\xC2\xBD", 0, 0 },
    { "[pad]", UNUSED, 0 }, { "<a>>", CONTROL, 0 }, { ">", 0, 0 },
};
static const spec bpe = { .model = "gpt2", .pre = "gpt-2", .tok = bpe_tok, .n = sizeof bpe_tok / sizeof *bpe_tok, .merge = "a b",
                          .eos = 5, .add_eos = true };

static void literal_tokens_are_found_longest_first(void **state)
{
    (void)state;
    witan_model *m = make(&bpe);
    expect(m, "ab<a>ab", 0, IDS(4, 6, 15, 4), "ab<a>ab");
    expect(m, "ab<a>ab", WITAN_TOK_SPECIAL, IDS(4, 5, 4), "ab<a>ab");
    expect(m, "<<a>>", WITAN_TOK_SPECIAL | WITAN_TOK_EOS, IDS(2, 14, 5), "<<a>><a>");
    expect(m, "a      b a", 0, IDS(0, 7, 7, 1, 3, 0), "a      b a");
    expect(m, "     <", 0, IDS(7, 8, 2), "     <");
    expect(m, "\xC3\xB5", 0, IDS(9), "\xC3\xB5");
    expect(m, "a\xF5" "b", 0, IDS(0, 10, 11, 12, 1), "a\xEF\xBF\xBD" "b");    /* a byte without a token */
    expect(m, "<", 0, IDS(2), "<");
    witan_model_free(m);
}

/* 5,000 tokens that begin alike, and a megabyte that begins them all the time. */
static void many_special_tokens_cost_little(void **state)
{
    (void)state;
    enum { N = 5000, LEN = 1 << 20 };
    static char name[N][40];
    static token tok[N + 258];
    static char byte[256][3];
    static const char *const unit[] = { "<", "<|", "<|reserved_special_token_", "<|reserved_special_token_4999|",
                                        "<|reserved_special_token_123|>" };
    size_t n = 0, n_ids;
    int32_t *ids;
    for (int b = 33; b < 127; b++) tok[n++].text = strcpy(byte[b], (char[]){ (char)b, 0 });
    for (int i = 0; i < N; i++) {
        snprintf(name[i], sizeof name[i], "<|reserved_special_token_%d|>", i);
        tok[n++] = (token){ name[i], CONTROL, 0 };
    }
    char *same = malloc(3001), *text = malloc(LEN + 64);
    memset(same, '<', 3000);
    same[3000] = 0;
    tok[n++] = (token){ same + 2000, USER, 0 };            /* the longest that is looked for, and a longer one */
    tok[n++] = (token){ same, CONTROL, 0 };
    tok[n++] = (token){ "<<", 0, 0 };
    witan_model *m = make(&(spec){ .model = "gpt2", .pre = "gpt-2", .tok = tok, .n = n, .merge = "< <" });
    clock_t t0 = clock();
    for (size_t u = 0; u < sizeof unit / sizeof *unit; u++) {
        size_t k = strlen(unit[u]), len = LEN / k * k;
        for (size_t i = 0; i < len; i += k) memcpy(text + i, unit[u], k);
        assert_int_equal(witan_tokenize(cx, m, text, len, WITAN_TOK_SPECIAL, &ids, &n_ids), WITAN_OK);
        if (u == 0) assert_true(n_ids == (LEN - LEN % 1000) / 1000 + (LEN % 1000 + 1) / 2);
        if (u == 4) assert_true(n_ids == len / k && ids[0] == 94 + 123);
        witan_free(cx, ids);
    }
    if ((clock() - t0) / CLOCKS_PER_SEC >= 20) fail_msg("%ld s", (long)((clock() - t0) / CLOCKS_PER_SEC));
    witan_model_free(m);
    free(same);
    free(text);
}

/* ---- unknown splitting rules ---------------------------------------------------------------------------------------------- */

static char logged[1024];
static void keep_line(void *user, witan_level level, const char *line)
{
    (void)user;
    if (level == WITAN_WARN) snprintf(logged, sizeof logged, "%s", line);
}

static void expect_warning(const spec *s, const char *pre, const char *one, const char *two, bool add_bos)
{
    witan_ctx *c = witan_ctx_new(&(witan_config){ .log = keep_line });
    witan_model *m;
    *logged = 0;
    const char *path = write_spec(s);
    if (witan_vocab_open(c, path, &(witan_model_options){ .pre = pre }, &m)) fail_msg("%s", witan_error(c));
    if (!one ? *logged : !strstr(logged, one) || !strstr(logged, two)) fail_msg("logged: \"%s\"", logged);
    assert_int_equal(witan_model_get_info(m)->add_bos, add_bos);
    witan_model_free(m);
    witan_ctx_free(c);
}

static void an_unknown_splitting_rule_needs_an_option(void **state)
{
    (void)state;
    token tok[3] = { { "a", 0, 0 }, { "b", 0, 0 }, { "ab", 0, 0 } };
    spec s = { .model = "gpt2", .pre = "qwen22", .tok = tok, .n = 3, .merge = "a b" };
    refuse(&s, NULL, WITAN_EUNSUPPORTED, "\"qwen22\"");
    refuse(&s, NULL, WITAN_EUNSUPPORTED, "the nearest known name is \"qwen2\"");
    refuse(&s, NULL, WITAN_EUNSUPPORTED, "--pre NAME");
    refuse(&s, NULL, WITAN_EUNSUPPORTED, "deepseek-v3");
    refuse(&s, "deepsek-v3", WITAN_EARG, "the nearest known name is \"deepseek-v3\"");
    expect_warning(&s, "qwen2", "\"qwen22\"", "\"qwen2\"", false);
    s.pre = "qwen2";
    expect_warning(&s, NULL, NULL, NULL, false);
    expect_warning(&s, "falcon", NULL, NULL, false);       /* a known rule stays */
    refuse(&s, "falcn", WITAN_EARG, "\"falcn\"");
    s.pre = NULL;
    expect_warning(&s, NULL, "gpt-2", "names no splitting rule", false);
    expect_warning(&s, "tekken", "\"tekken\"", "names no splitting rule", false);
    s.pre = "default";
    expect_warning(&s, NULL, "gpt-2", "names no splitting rule", false);
    s.model = "llama";
    expect_warning(&s, NULL, NULL, NULL, false);
}

/* ---- against other implementations ------------------------------------------------------------------------------------- */

static void check_ids(const witan_model *m, const char *what, size_t i, const json_t *text, const json_t *want)
{
    int32_t *ids;
    size_t n, k = 0, len;
    char *back;
    assert_int_equal(witan_tokenize(cx, m, json_string_value(text), json_string_length(text), 0, &ids, &n), WITAN_OK);
    while (k < n && k < json_array_size(want) && json_integer_value(json_array_get(want, k)) == ids[k]) k++;
    if (k < n || k < json_array_size(want))
        fail_msg("%s, text %zu: token %zu is %d, expected %d", what, i, k, k < n ? ids[k] : -1, (int)json_integer_value(json_array_get(want, k)));
    assert_int_equal(witan_detokenize(cx, m, ids, n, false, &back, &len), WITAN_OK);
    if (strcmp(what, "vocab-spm-plain")) {                 /* that one has unknown tokens */
        assert_int_equal(len, json_string_length(text));
        assert_memory_equal(back, json_string_value(text), len);
    }
    witan_free(cx, ids);
    witan_free(cx, back);
}

static json_t *load_gold(void)
{
    json_error_t e;
    json_t *all = json_load_file("tests/gold/vocabs.json", JSON_ALLOW_NUL, &e);
    if (!all) fail_msg("vocabs.json: %s", e.text);
    return all;
}

static void ids_match_the_tokenizers_package_under_every_rule(void **state)
{
    (void)state;
    json_t *all = load_gold(), *texts = json_object_get(all, "texts"), *rules = json_object_get(all, "rules");
    json_t *bpe_ids = json_object_get(all, "bpe"), *name;
    size_t r;
    assert_true(json_array_size(texts) == 200 && json_array_size(rules) >= 23);
    json_array_foreach(rules, r, name) {
        witan_model *m = open_as("tests/gold/vocab-bpe.gguf", json_string_value(name));
        for (size_t i = 0; i < 200; i++) {
            json_t *one = json_array_get(bpe_ids, i), *which = json_array_get(json_array_get(one, 1), r);
            check_ids(m, json_string_value(name), i, json_array_get(texts, i),
                      json_array_get(json_array_get(one, 0), (size_t)json_integer_value(which)));
        }
        witan_model_free(m);
    }
    json_decref(all);
}

static void ids_match_sentencepiece(void **state)
{
    (void)state;
    json_t *all = load_gold(), *texts = json_object_get(all, "texts"), *ids;
    const char *name;
    size_t done = 0;
    json_object_foreach(json_object_get(all, "spm"), name, ids) {
        char path[128];
        snprintf(path, sizeof path, "tests/gold/%s.gguf", name);
        witan_model *m = open_as(path, NULL);
        for (size_t i = 0; i < json_array_size(ids); i++, done++) check_ids(m, name, i, json_array_get(texts, i), json_array_get(ids, i));
        witan_model_free(m);
    }
    assert_int_equal(done, 400);
    json_decref(all);
}

/* ---- properties --------------------------------------------------------------------------------------------------------- */

static void round_trip(const witan_model *m, const char *text, size_t n)
{
    int32_t *ids;
    size_t n_ids, len;
    char *back;
    assert_int_equal(witan_tokenize(cx, m, text, n, 0, &ids, &n_ids), WITAN_OK);
    assert_int_equal(witan_detokenize(cx, m, ids, n_ids, false, &back, &len), WITAN_OK);
    assert_int_equal(len, n);
    assert_memory_equal(back, text, n);
    witan_free(cx, ids);
    witan_free(cx, back);
}

static void any_bytes_survive_under_every_rule(void **state)
{
    (void)state;
    static const char *const nasty[] = { " ", "  ", "\n", "\r\n", "'s", "'", "a", "B", "7", "\xC3\xA9", "\xE4\xB8\xAD", "\xCC\x81", "\xFF", "\xE4\xB8",
                                         "\xF0\x9F\x98\x80", "\xC2\x85", "!", "/", "\xE3\x80\x80", "\xE2\x96", "\x81", "", "<0x0A>", "</s>" };
    unsigned seed = 7;
    char text[256];
    for (size_t r = 0; !r || wt_split_name(r - 1); r++) {
        witan_model *m = open_as(r ? "tests/gold/vocab-bpe.gguf" : "tests/gold/vocab-spm.gguf", r ? wt_split_name(r - 1) : NULL);
        for (int round = 0; round < (r ? 40 : 1000); round++) {
            size_t n = 0, most = (size_t)rand_r(&seed) % 200;
            while (n < most) {
                const char *s = nasty[(size_t)rand_r(&seed) % (sizeof nasty / sizeof *nasty)];
                if (round % 2) text[n++] = (char)rand_r(&seed);
                else { memcpy(text + n, s, strlen(s)); n += strlen(s); }
                if (!r && n >= 3 && !memcmp(text + n - 3, SP, 3)) n--;      /* U+2581 comes back as a space */
            }
            round_trip(m, text, n);
        }
        witan_model_free(m);
    }
}

static void a_megabyte_without_a_break_takes_no_quadratic_time(void **state)
{
    (void)state;
    size_t n = 1 << 20;
    char *text = malloc(n);
    clock_t t0 = clock();
    witan_model *m = open_as("tests/gold/vocab-spm.gguf", NULL);
    for (int i = 0; i < 3; i++) {
        memset(text, " 0e"[i], n);
        round_trip(m, text, n);
    }
    assert_true((clock() - t0) / CLOCKS_PER_SEC < 20);
    witan_model_free(m);
    free(text);
}

static witan_status scene(witan_ctx *c, void *path)
{
    witan_model *m;
    int32_t *ids;
    size_t n;
    witan_status st = witan_vocab_open(c, path, &(witan_model_options){ .pre = "llama3" }, &m);
    if (st) return st;
    st = witan_tokenize(c, m, "caf\xC3\xA9 \xF5 123 <s>", 15, WITAN_TOK_SPECIAL | WITAN_TOK_BOS, &ids, &n);
    if (!st) witan_free(c, ids);
    witan_model_free(m);
    return st;
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    assert_true(fault_each(FAULT_ALLOC, scene, "tests/gold/vocab-spm.gguf", NULL, 1000) > 10);
    assert_true(fault_each(FAULT_ALLOC, scene, "tests/gold/vocab-bpe.gguf", NULL, 1000) > 10);
}

static int all_done(void **state) { (void)state; fault_folder_free(); return 0; }

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_best_score_is_merged_first), T(control_tokens_never_come_from_plain_text), T(keys_of_a_sentencepiece_vocabulary_are_heard),
        T(special_tokens_of_phi3_swallow_white_space), T(damaged_sentencepiece_vocabularies_are_refused), T(literal_tokens_are_found_longest_first),
        T(many_special_tokens_cost_little), T(an_unknown_splitting_rule_needs_an_option), T(ids_match_the_tokenizers_package_under_every_rule),
        T(ids_match_sentencepiece), T(any_bytes_survive_under_every_rule), T(a_megabyte_without_a_break_takes_no_quadratic_time),
        T(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, all_done);
}
