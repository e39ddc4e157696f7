/* Data sets: reading documents, statistics, vocabularies, and the rows that a trainer sees. */
#include "fault.h"

#include "base/file.h"
#include "base/rng.h"
#include "train/data.h"
#include "train/source.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char vocab[160];          /* 300 tokens of the corpus below */
static char corpus[160];

static void write_file(const char *path, const char *text, size_t n)
{
    witan_ctx *cx = witan_ctx_new(NULL);
    assert_int_equal(wt_file_write(cx, path, text, n), WITAN_OK);
    witan_ctx_free(cx);
}

static char *file_of(const char *name, const char *text)
{
    char *path = fault_path(name);
    write_file(path, text, strlen(text));
    return path;
}

static witan_ctx *ctx_of(int threads) { return witan_ctx_new(&(witan_config){ .threads = threads }); }

/* Questions of two domains, texts of a third. */
static void make_corpus(void)
{
    static char text[300000];
    size_t n = 0;
    wt_rng r;
    wt_rng_seed(&r, 5, 0);
    for (int i = 0; i < 600; i++) {
        int a = (int)wt_rng_below(&r, 90), b = (int)wt_rng_below(&r, 9);
        n += (size_t)sprintf(text + n, "{\"domain\":\"sums\",\"prompt\":\"Add %d and %d:\",\"answer\":\" %d\"}\n", a, b, a + b);
        if (i % 3 == 0) n += (size_t)sprintf(text + n, "{\"domain\":\"colours\",\"prompt\":\"The sky is\",\"answer\":\" %s\"}\n", a % 2 ? "blue" : "grey");
        if (i % 6 == 0) n += (size_t)sprintf(text + n, "{\"domain\":\"prose\",\"text\":\"the old dog sleeps by the door, number %d\\nand dreams\"}\n", i);
    }
    strcpy(corpus, fault_path("corpus.jsonl"));
    write_file(corpus, text, n);
}

static int set_up(void **state)
{
    (void)state;
    witan_ctx *cx = ctx_of(1);
    make_corpus();
    strcpy(vocab, fault_path("vocab.gguf"));
    const char *path = corpus;
    witan_tokenizer_options o;
    witan_opt_defaults(witan_tokenizer_param, &o);
    o.vocab = 300;
    o.command = NULL;
    int st = witan_tokenizer_train(cx, &path, 1, vocab, &o, NULL);
    witan_ctx_free(cx);
    return st;
}

static int tear_down(void **state) { (void)state; fault_folder_free(); return 0; }

/* ---- sources -------------------------------------------------------------------------------------------------------- */

static void refused(const char *name, const char *text, size_t n, witan_status want, const char *say)
{
    witan_ctx *cx = ctx_of(2);
    char *path = fault_path(name);
    witan_data_stats_result *r;
    const char *one = path;
    wt_gguf *g;
    wt_vocab *v;
    wt_data *d;
    wt_data_options o;
    write_file(path, text, n);
    witan_opt_defaults(wt_data_param, &o);
    assert_int_equal(wt_gguf_open(cx, vocab, &g), WITAN_OK);
    assert_int_equal(wt_vocab_open(cx, g, NULL, &v), WITAN_OK);
    assert_int_equal(wt_data_open(cx, v, &one, 1, &o, &d), want);
    if (!strstr(witan_error(cx), say)) fail_msg("\"%s\" does not say \"%s\"", witan_error(cx), say);
    if (!strstr(say, "UTF-8") && !strstr(say, "document with text")) {   /* which stats count instead */
        assert_int_equal(witan_data_stats(cx, &one, 1, NULL, &r), want);
        if (!strstr(witan_error(cx), say)) fail_msg("\"%s\" does not say \"%s\"", witan_error(cx), say);
    }
    wt_vocab_free(v);
    wt_gguf_free(g);
    witan_ctx_free(cx);
}

static void bad_files_are_refused_with_file_and_line(void **state)
{
    (void)state;
    refused("a.jsonl", "", 0, WITAN_EFORMAT, "a.jsonl: is empty");
    refused("a.txt", "", 0, WITAN_EFORMAT, "a.txt: is empty");
    refused("a.jsonl", "\n \n\n", 4, WITAN_EFORMAT, "a.jsonl: holds no documents");
    refused("a.jsonl", "{\"text\":\"x\"}\n{\"text\":", 21, WITAN_EFORMAT, "a.jsonl:2: not valid JSON");
    refused("a.jsonl", "{\"text\":\"x\"}\n[1]\n", 17, WITAN_EFORMAT, "a.jsonl:2: expected a JSON object");
    refused("a.jsonl", "\n{\"prompt\":\"x\"}\n", 16, WITAN_EFORMAT, "a.jsonl:2: expected \"text\"");
    refused("a.jsonl", "{\"text\":3}\n", 11, WITAN_EFORMAT, "a.jsonl:1: expected text under \"text\"");
    refused("a.jsonl", "{\"text\":\"x\"}\n{\"text\":\"\xFF\"}\n", 25, WITAN_EFORMAT, "a.jsonl:2: not UTF-8 (byte 10 of the line)");
    refused("a.txt", "ab\xC3", 3, WITAN_EFORMAT, "a.txt: not UTF-8");
    refused("a.jsonl", "{\"domain\":\"d\",\"text\":\"\"}\n", 25, WITAN_ELIMIT, "domain \"d\" has no document with text (1 are empty)");
}

/* Two wrong lines: the first is named, whoever was faster. */
static void the_first_error_is_reported(void **state)
{
    (void)state;
    static char text[40000];
    size_t n = 0;
    for (int i = 1; i <= 1000; i++) n += (size_t)sprintf(text + n, i == 700 || i == 990 || i == 30 ? "oops\n" : "{\"text\":\"line\"}\n");
    for (int round = 0; round < 20; round++) refused("b.jsonl", text, n, WITAN_EFORMAT, "b.jsonl:30: not valid JSON");
}

typedef struct seen { size_t n, n_doc, n_byte; char text[64]; } seen;

static wt_status see(void *arg, wt_ctx *side, int worker, size_t i, const wt_source_doc *doc)
{
    seen *s = arg;
    (void)side; (void)worker; (void)i;
    s->n_doc++;
    s->n_byte += doc->n_text;
    if (s->n_doc == 1) snprintf(s->text, sizeof s->text, "%.*s|%.20s", (int)doc->n_domain, doc->domain, doc->text ? doc->text : doc->prompt);
    return WITAN_OK;
}

static void domains_come_from_lines_or_file_names(void **state)
{
    (void)state;
    static const struct { const char *name, *text, *want; } t[] = {
        { "code.train.jsonl", "{\"text\":\"abc\"}\n", "code|abc" },
        { "code.train.jsonl", "{\"domain\":\"law\",\"text\":\"abc\"}\n", "law|abc" },
        { "code.train.jsonl", "{\"domain\":null,\"text\":\"abc\"}\n", "code|abc" },
        { "code.jsonl", "\xEF\xBB\xBF{\"prompt\":\"p\",\"answer\":\"a\"}\r\n", "code|p" },
        { "notes.txt", "plain text\n", "notes|plain text\n" },
        { "plain", "plain text\n", "plain|plain text\n" },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        witan_ctx *cx = ctx_of(1);
        wt_sides *sides;
        seen s = { 0 };
        wt_source_reader r = { .each = see, .arg = &s, .phase = "read" };
        assert_int_equal(wt_sides_open(cx, &sides), WITAN_OK);
        assert_int_equal(wt_source_read(cx, sides, file_of(t[i].name, t[i].text), &r), WITAN_OK);
        assert_int_equal(s.n_doc, 1);
        assert_string_equal(s.text, t[i].want);
        wt_sides_free(sides);
        witan_ctx_free(cx);
    }
}

/* Whatever the size of blocks: every byte once; pieces of text end where a line begins with something visible. */
static void blocks_lose_nothing(void **state)
{
    (void)state;
    static char text[200000];
    size_t n = 0;
    wt_rng r;
    wt_rng_seed(&r, 3, 0);
    while (n < sizeof text - 20) n += (size_t)sprintf(text + n, "%s", (const char *[]){ "a", " ", "\n", "\n\n  ", "word", "\xC3\xA9" }[wt_rng_below(&r, 6)]);
    char *path = fault_path("big.txt");
    write_file(path, text, n);
    for (size_t want = 1; want < 300000; want = want * 3 + 1) {
        witan_ctx *cx = ctx_of(1);
        wt_in *in;
        const char *s;
        size_t k, at = 0;
        assert_int_equal(wt_in_open(cx, path, &in), WITAN_OK);
        for (;;) {
            assert_int_equal(wt_in_block(in, want, want % 2, &s, &k), WITAN_OK);
            if (!k) break;
            assert_memory_equal(s, text + at, k);
            at += k;
            assert_int_equal(witan_utf8_check(s, k), k);
        }
        assert_int_equal(at, n);
        wt_in_free(in);
        witan_ctx_free(cx);
    }
}

/* ---- stats ---------------------------------------------------------------------------------------------------------- */

static const char few[] = "{\"domain\":\"a\",\"text\":\"one\"}\n{\"domain\":\"b\",\"prompt\":\"o\",\"answer\":\"ne\"}\n{\"domain\":\"a\",\"text\":\"four!\"}\n"
                          "{\"domain\":\"a\",\"text\":\"x\xFF\"}\n{\"domain\":\"a\",\"text\":\"sevens!\"}\n{\"domain\":\"a\",\"text\":\"one\"}\n";

/* By hand: a holds "one", "four!", "sevens!", "one"; b holds "one" again. */
static void stats_count_by_domain(void **state)
{
    (void)state;
    witan_ctx *cx = ctx_of(2);
    witan_data_stats_result *r;
    const char *path = file_of("few.jsonl", few);
    assert_int_equal(witan_data_stats(cx, &path, 1, NULL, &r), WITAN_OK);
    assert_int_equal(r->n_row, 3);
    assert_false(r->has_tokens);
    const witan_data_stats_row *a = r->row, *b = r->row + 1, *all = r->row + 2;
    assert_string_equal(a->domain, "a");
    assert_string_equal(b->domain, "b");
    assert_string_equal(all->domain, "all");
    assert_int_equal(a->documents, 4);
    assert_int_equal(a->bytes, 3 + 5 + 7 + 3);
    assert_int_equal(a->duplicates, 1);
    assert_int_equal(a->bad_utf8, 1);
    assert_int_equal(b->duplicates, 1);
    assert_true(fabs(a->mean - 4.5) < 1e-12);
    assert_int_equal(a->min, 3);
    assert_int_equal(a->p50, 3);
    assert_int_equal(a->p90, 7);
    assert_int_equal(a->max, 7);
    assert_int_equal(all->documents, 5);
    assert_int_equal(all->duplicates, 2);
    assert_int_equal(all->tokens, 0);
    witan_data_stats_free(cx, r);
    witan_ctx_free(cx);
}

static void stats_are_the_same_for_any_threads(void **state)
{
    (void)state;
    witan_data_stats_result *r[3];
    witan_ctx *cx[3];
    const char *path = corpus;
    for (int i = 0; i < 3; i++) {
        witan_model *m;
        cx[i] = ctx_of(1 + 2 * i);
        assert_int_equal(witan_vocab_open(cx[i], vocab, NULL, &m), WITAN_OK);
        assert_int_equal(witan_data_stats(cx[i], &path, 1, m, &r[i]), WITAN_OK);
        witan_model_free(m);
        assert_int_equal(r[i]->n_row, 4);
        for (size_t k = 0; k < 4; k++) {
            const witan_data_stats_row *x = r[0]->row + k, *y = r[i]->row + k;
            assert_string_equal(x->domain, y->domain);
            assert_true(x->tokens == y->tokens && x->bytes == y->bytes && x->duplicates == y->duplicates && x->p90 == y->p90 && x->mean == y->mean);
            assert_true(y->tokens > 0 && y->tokens < y->bytes);
        }
    }
    for (int i = 0; i < 3; i++) { witan_data_stats_free(cx[i], r[i]); witan_ctx_free(cx[i]); }
}

/* ---- vocabularies --------------------------------------------------------------------------------------------------- */

static witan_tokenizer_options tokenizer_options(int32_t n)
{
    witan_tokenizer_options o;
    memset(&o, 0, sizeof o);
    witan_opt_defaults(witan_tokenizer_param, &o);
    o.vocab = n;
    return o;
}

static void token_is(witan_ctx *cx, const witan_model *m, int32_t id, const char *want)
{
    char *s;
    size_t n;
    assert_int_equal(witan_token_text(cx, m, id, false, &s, &n), WITAN_OK);
    assert_string_equal(s, want);
    witan_free(cx, s);
}

/* By hand: "ab" x 5 + "abc" x 3 = 8 times a b; then " ab" 7 times (with a space), "abc": ab c 3 ... */
static void merges_are_the_most_frequent_pairs(void **state)
{
    (void)state;
    witan_ctx *cx = ctx_of(1);
    witan_model *m;
    witan_tokenizer_result r;
    witan_tokenizer_options o = tokenizer_options(260);
    const char *path = file_of("pairs.txt", "ab ab ab ab ab abc abc abc"), *out = fault_path("pairs.gguf");
    assert_int_equal(witan_tokenizer_train(cx, &path, 1, out, &o, &r), WITAN_OK);
    assert_int_equal(r.n_token, 260);
    assert_int_equal(r.n_merge, 3);
    assert_int_equal(r.bytes, 26);
    assert_int_equal(r.words, 8);
    assert_int_equal(r.different, 3);
    assert_int_equal(r.tokens, 1 + 4 + 3);            /* "ab", " ab" x 4, " abc" x 3 */
    assert_int_equal(witan_vocab_open(cx, out, NULL, &m), WITAN_OK);
    assert_int_equal(witan_model_get_info(m)->n_vocab, 260);
    assert_int_equal(witan_model_get_info(m)->bos, 0);
    assert_int_equal(witan_model_get_info(m)->eos, 0);
    assert_true(witan_model_get_info(m)->add_bos);
    token_is(cx, m, 0, "<|endoftext|>");
    token_is(cx, m, 257, "ab");
    token_is(cx, m, 258, " ab");
    token_is(cx, m, 259, " abc");
    witan_model_free(m);
    witan_ctx_free(cx);
}

/* "aaaa" once: a a three times overlapping, as the reference trainer counts; of equal pairs the lower ids first. */
static void runs_and_ties(void **state)
{
    (void)state;
    witan_ctx *cx = ctx_of(1);
    witan_model *m;
    witan_tokenizer_options o = tokenizer_options(259);
    o.min_count = 1;
    const char *path = file_of("runs.txt", "aaaa"), *out = fault_path("runs.gguf");
    assert_int_equal(witan_tokenizer_train(cx, &path, 1, out, &o, NULL), WITAN_OK);
    assert_int_equal(witan_vocab_open(cx, out, NULL, &m), WITAN_OK);
    token_is(cx, m, 257, "aa");
    token_is(cx, m, 258, "aaaa");
    witan_model_free(m);
    path = file_of("ties.txt", "zy xw");               /* "zy" once, " xw": space x, x w once each */
    o.vocab = 258;
    assert_int_equal(witan_tokenizer_train(cx, &path, 1, out, &o, NULL), WITAN_OK);
    assert_int_equal(witan_vocab_open(cx, out, NULL, &m), WITAN_OK);
    token_is(cx, m, 257, "xw");                        /* x is before z, and the space comes behind all printable bytes */
    witan_model_free(m);
    witan_ctx_free(cx);
}

static void encodes_as_counted(void **state)
{
    (void)state;
    witan_ctx *cx = ctx_of(2);
    witan_model *m;
    witan_tokenizer_result r;
    witan_data_stats_result *s;
    witan_tokenizer_options o = tokenizer_options(400);
    o.digits = true;
    o.special = "<|endoftext|>,<|pad|>";
    const char *path = corpus, *out = fault_path("digits.gguf");
    assert_int_equal(witan_tokenizer_train(cx, &path, 1, out, &o, &r), WITAN_OK);
    assert_int_equal(witan_vocab_open(cx, out, NULL, &m), WITAN_OK);
    assert_int_equal(witan_data_stats(cx, &path, 1, m, &s), WITAN_OK);
    assert_int_equal(s->row[s->n_row - 1].tokens, r.tokens);
    assert_int_equal(s->row[s->n_row - 1].documents, r.documents);
    assert_int_equal(s->row[s->n_row - 1].bytes, r.bytes);
    token_is(cx, m, 1, "<|pad|>");
    for (int32_t id = 0; id < r.n_token; id++) {       /* no token joins a digit with anything */
        char *t;
        size_t n;
        assert_int_equal(witan_token_text(cx, m, id, false, &t, &n), WITAN_OK);
        if (n > 1 && strcspn(t, "0123456789") < n) fail_msg("token %d is \"%s\"", id, t);
        witan_free(cx, t);
    }
    witan_data_stats_free(cx, s);
    witan_model_free(m);
    witan_ctx_free(cx);
}

static void same_vocabulary_for_any_threads(void **state)
{
    (void)state;
    char *data[2];
    size_t n[2];
    for (int64_t most = 4000000; most; most = most > 1000 ? 60 : 0)   /* with so few words the rarest are forgotten */
        for (int i = 0; i < 2; i++) {
            witan_ctx *cx = ctx_of(i ? 4 : 1);
            witan_tokenizer_options o = tokenizer_options(300);
            witan_tokenizer_result r;
            const char *path = corpus, *out = fault_path("same.gguf");
            o.most_words = most;
            assert_int_equal(witan_tokenizer_train(cx, &path, 1, out, &o, &r), WITAN_OK);
            assert_true(most > 1000 ? r.forgotten == 0 : r.forgotten > 0 && r.different <= 30);
            assert_int_equal(wt_file_read(cx, out, 1 << 20, &data[i], &n[i]), WITAN_OK);
            if (i) {
                assert_int_equal(n[0], n[1]);
                assert_memory_equal(data[0], data[1], n[0]);
                wt_free(cx, data[0]);
                wt_free(cx, data[1]);
            }
            witan_ctx_free(cx);
        }
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    witan_ctx *cx = ctx_of(1);
    const char *path = corpus, *out = fault_path("wrong.gguf");
    witan_tokenizer_options o = tokenizer_options(256);
    assert_int_equal(witan_tokenizer_train(cx, &path, 1, out, &o, NULL), WITAN_EARG);
    assert_non_null(strstr(witan_error(cx), "expected 257 to"));
    o = tokenizer_options(300);
    o.pre = "gpt2";
    assert_int_equal(witan_tokenizer_train(cx, &path, 1, out, &o, NULL), WITAN_EARG);
    assert_non_null(strstr(witan_error(cx), "did you mean \"gpt-2\""));
    o = tokenizer_options(300);
    o.special = "<a>,<a>";
    assert_int_equal(witan_tokenizer_train(cx, &path, 1, out, &o, NULL), WITAN_EARG);
    assert_non_null(strstr(witan_error(cx), "twice"));
    o.special = "<a>,,<b>";
    assert_int_equal(witan_tokenizer_train(cx, &path, 1, out, &o, NULL), WITAN_EARG);
    o = tokenizer_options(300);
    assert_int_equal(witan_tokenizer_train(cx, &path, 1, corpus, &o, NULL), WITAN_EARG);
    assert_non_null(strstr(witan_error(cx), "will not be replaced"));
    assert_int_equal(witan_tokenizer_train(cx, &path, 0, out, &o, NULL), WITAN_EARG);
    assert_false(fault_exists(out));
    witan_ctx_free(cx);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

typedef struct bench { witan_ctx *cx; wt_gguf *g; wt_vocab *v; wt_data *d; wt_rows b; int32_t *store; float *weight; } bench;

static bench open_data(int threads, const char *path, wt_data_options o)
{
    enum { MOST = 1 << 15 };
    bench x = { .cx = ctx_of(threads), .store = calloc(MOST, 5 * sizeof *x.store), .weight = calloc(MOST, sizeof *x.weight) };
    assert_int_equal(wt_gguf_open(x.cx, vocab, &x.g), WITAN_OK);
    assert_int_equal(wt_vocab_open(x.cx, x.g, NULL, &x.v), WITAN_OK);
    if (wt_data_open(x.cx, x.v, &path, 1, &o, &x.d)) fail_msg("%s", witan_error(x.cx));
    x.b = (wt_rows){ 0, x.store, x.store + MOST, x.store + 2 * MOST, x.store + 3 * MOST, x.weight, x.store + 4 * MOST };
    return x;
}

static void close_data(bench *x)
{
    wt_data_free(x->d);
    wt_vocab_free(x->v);
    wt_gguf_free(x->g);
    witan_ctx_free(x->cx);
    free(x->store);
    free(x->weight);
}

static wt_data_options data_options(int32_t n_ctx, int32_t pack)
{
    wt_data_options o;
    witan_opt_defaults(wt_data_param, &o);
    o.n_ctx = n_ctx;
    o.pack = pack;
    return o;
}

static void streams_are_documents_and_end_tokens(void **state)
{
    (void)state;
    bench x = open_data(2, file_of("few.jsonl", "{\"domain\":\"z\",\"text\":\"one\"}\n{\"domain\":\"b\",\"prompt\":\"two\",\"answer\":\" x\"}\n{\"domain\":\"z\",\"text\":\"yz\"}\n"),
                        data_options(8, WT_PACK_WINDOW));
    assert_int_equal(x.d->n_domain, 2);
    assert_string_equal(x.d->domain[0].name, "b");
    assert_string_equal(x.d->domain[1].name, "z");
    const wt_data_domain *z = x.d->domain + 1, *b = x.d->domain;
    int32_t *ids;
    size_t n, at = 0;
    for (int i = 0; i < 2; i++) {
        const char *text = i ? "yz" : "one";
        assert_int_equal(wt_vocab_encode(x.cx, x.v, text, strlen(text), 0, &ids, &n), WITAN_OK);
        assert_int_equal(z->doc[i], at);
        assert_memory_equal(z->ids + at, ids, n * sizeof *ids);
        at += n;
        assert_int_equal(z->ids[at++], 0);
        wt_free(x.cx, ids);
    }
    assert_int_equal(z->doc[2], at);
    assert_int_equal(z->n_tok, at);
    assert_int_equal(wt_vocab_encode(x.cx, x.v, "two", 3, 0, &ids, &n), WITAN_OK);
    for (size_t i = 0; i < b->n_tok; i++) assert_int_equal(b->prompt[i], i < n);
    wt_free(x.cx, ids);
    assert_int_equal(wt_data_find(x.d, "z"), 1);
    assert_int_equal(wt_data_find(x.d, "y"), -1);
    close_data(&x);
}

static void streams_are_the_same_for_any_threads(void **state)
{
    (void)state;
    bench x = open_data(1, corpus, data_options(64, WT_PACK_WINDOW)), y = open_data(4, corpus, data_options(64, WT_PACK_WINDOW));
    assert_string_equal(x.d->digest, y.d->digest);
    assert_int_equal(x.d->n_domain, 3);
    assert_true(x.d->n_tok > 5000);
    close_data(&x);
    close_data(&y);
}

/* What every row promises, and that a slice of a step is what the whole step has there. */
static void check_rows(int32_t pack, int32_t too_long, int32_t n_ctx)
{
    enum { ROWS = 32 };
    wt_data_options o = data_options(n_ctx, pack);
    o.too_long = too_long;
    o.prompt_weight = 0.25f;
    bench x = open_data(2, corpus, o);
    wt_rows *b = &x.b;
    size_t size = (size_t)ROWS * (size_t)n_ctx;
    int32_t *id = malloc(size * sizeof *id), *target = malloc(size * sizeof *target);
    int64_t ignored = 0;
    for (int64_t step = 0; step < 20; step++) {
        wt_data_batch(x.d, 3, step, 0, ROWS, b);
        assert_int_equal(b->n_tok, size);
        for (int32_t i = 0; i < b->n_tok; i++) {
            bool begins = !i || b->seq[i] != b->seq[i - 1];
            assert_int_equal(b->pos[i], begins ? 0 : b->pos[i - 1] + 1);
            assert_int_equal(b->seq[i], !i ? 0 : b->seq[i - 1] + begins);
            if (i % n_ctx == 0) assert_true(begins);
            assert_true(b->domain[i] >= 0 && b->domain[i] < 3);
            assert_true(b->target[i] >= 0 ? b->weight[i] == 0.25f || b->weight[i] == 1 : b->weight[i] == 0);
            if (!begins && b->target[i - 1] >= 0) assert_int_equal(b->id[i], b->target[i - 1]);
            ignored += b->target[i] < 0;
        }
        memcpy(id, b->id, size * sizeof *id);
        memcpy(target, b->target, size * sizeof *target);
        for (int32_t r = 0; r < ROWS; r += 5) {
            int32_t n = ROWS - r < 5 ? ROWS - r : 5;
            wt_data_batch(x.d, 3, step, r, n, b);
            assert_int_equal(b->n_tok, n * n_ctx);
            assert_memory_equal(b->id, id + r * n_ctx, (size_t)(n * n_ctx) * sizeof *id);
            assert_memory_equal(b->target, target + r * n_ctx, (size_t)(n * n_ctx) * sizeof *target);
        }
        wt_data_batch(x.d, 4, step, 0, ROWS, b);
        assert_memory_not_equal(b->id, id, size * sizeof *id);
    }
    if (pack == WT_PACK_WINDOW) assert_int_equal(ignored, 0);
    else assert_true(ignored < (int64_t)size * 20 / 3);
    free(id);
    free(target);
    close_data(&x);
}

static void rows_keep_their_promises(void **state)
{
    (void)state;
    check_rows(WT_PACK_WINDOW, WT_TOO_LONG_SPLIT, 64);
    check_rows(WT_PACK_WINDOW, WT_TOO_LONG_SPLIT, 7);
    check_rows(WT_PACK_DOCUMENTS, WT_TOO_LONG_SPLIT, 100);
    check_rows(WT_PACK_DOCUMENTS, WT_TOO_LONG_SPLIT, 9);
    check_rows(WT_PACK_DOCUMENTS, WT_TOO_LONG_CUT, 9);
}

/* A whole document: begin token, its tokens; targets are its tokens and the end. */
static void packed_documents_are_whole(void **state)
{
    (void)state;
    bench x = open_data(1, file_of("one.jsonl", "{\"prompt\":\"ab\",\"answer\":\" cd\"}\n"), data_options(16, WT_PACK_DOCUMENTS));
    const wt_data_domain *m = x.d->domain;
    int32_t n = (int32_t)m->n_tok;
    assert_true(n >= 4 && n <= 8);
    wt_data_batch(x.d, 1, 0, 0, 1, &x.b);
    for (int32_t i = 0; i < 16 / n * n; i++) {
        assert_int_equal(x.b.id[i], i % n ? m->ids[i % n - 1] : 0);
        assert_int_equal(x.b.target[i], m->ids[i % n]);
        assert_int_equal(x.b.seq[i], i / n);
    }
    for (int32_t i = 16 / n * n; i < 16; i++) assert_int_equal(x.b.target[i], -1);
    close_data(&x);
}

static void long_documents_are_split_or_cut(void **state)
{
    (void)state;
    const char *path = file_of("long.jsonl", "{\"text\":\"qwertzuiopasdfghjkl\"}\n{\"text\":\"yx\"}\n");
    for (int32_t cut = 0; cut < 2; cut++) {
        wt_data_options o = data_options(4, WT_PACK_DOCUMENTS);
        o.too_long = cut;
        bench x = open_data(1, path, o);
        const wt_data_domain *m = x.d->domain;
        size_t n = m->doc[1], covered = 0;
        assert_int_equal(m->n_long, 1);
        for (size_t i = 0; i < m->n_piece; i++) covered += (size_t)m->piece[i].n;
        assert_int_equal(covered, cut ? 4 + m->n_tok - n : m->n_tok);
        wt_data_valid(x.d, 0, 0, (int32_t)m->n_row, &x.b);
        for (int32_t i = 0; !cut && i < (int32_t)n; i++) {    /* all targets of the first document, in order */
            assert_int_equal(x.b.target[i], m->ids[i]);
            assert_int_equal(x.b.id[i], i ? m->ids[i - 1] : 0);
            assert_int_equal(x.b.pos[i], i % 4);
        }
        close_data(&x);
    }
}

/* Rows of validation: every token once, in order, as plain PyTorch loops over a stream do. */
static void validation_rows_are_in_file_order(void **state)
{
    (void)state;
    for (int32_t pack = WT_PACK_WINDOW; pack <= WT_PACK_DOCUMENTS; pack++) {
        bench x = open_data(1, corpus, data_options(50, pack));
        for (int32_t k = 0; k < 3; k++) {
            const wt_data_domain *m = x.d->domain + k;
            size_t at = pack == WT_PACK_WINDOW;
            for (int32_t r = 0; r < (int32_t)m->n_row; r++) {
                wt_data_valid(x.d, k, r, 1, &x.b);
                assert_int_equal(x.b.n_tok, 50);
                for (int32_t i = 0; i < 50; i++) {
                    assert_int_equal(x.b.domain[i], k);
                    if (x.b.target[i] >= 0) assert_int_equal(x.b.target[i], m->ids[at++]);
                }
            }
            if (pack == WT_PACK_WINDOW) assert_int_equal(at, (m->n_tok - 1) / 50 * 50 + 1);
            else assert_int_equal(at, m->n_tok);
        }
        close_data(&x);
    }
}

static void a_stream_shorter_than_a_row(void **state)
{
    (void)state;
    bench x = open_data(1, file_of("tiny.jsonl", "{\"text\":\"ab\"}\n"), data_options(10, WT_PACK_WINDOW));
    const wt_data_domain *m = x.d->domain;
    wt_data_batch(x.d, 1, 0, 0, 1, &x.b);
    for (int32_t i = 0; i < 10; i++) assert_int_equal(x.b.target[i], m->ids[(size_t)(i + 1) % m->n_tok]);
    assert_int_equal(m->n_row, 1);
    wt_data_valid(x.d, 0, 0, 1, &x.b);
    for (int32_t i = 0; i < 10; i++) assert_int_equal(x.b.target[i], i + 1 < (int32_t)m->n_tok ? m->ids[i + 1] : -1);
    close_data(&x);
}

static void domains_are_drawn_by_weight(void **state)
{
    (void)state;
    static const char *const weights[] = { "uniform", "proportional", "sqrt", "sums=3,prose=1", "sums=0.5" };
    for (size_t w = 0; w < sizeof weights / sizeof *weights; w++) {
        wt_data_options o = data_options(8, WT_PACK_WINDOW);
        o.weights = weights[w];
        bench x = open_data(1, corpus, o);
        double want[3], sum = 0, seen_[3] = { 0 };
        for (int k = 0; k < 3; k++) {             /* colours, prose, sums */
            double n = (double)x.d->domain[k].n_tok;
            want[k] = w == 0 ? 1 : w == 1 ? n : w == 2 ? sqrt(n) : w == 3 ? (double[]){ 0, 1, 3 }[k] : k == 2;
            sum += want[k];
        }
        for (int64_t step = 0; step < 40; step++) {
            wt_data_batch(x.d, 1, step, 0, 100, &x.b);
            for (int r = 0; r < 100; r++) seen_[x.b.domain[r * 8]]++;
        }
        for (int k = 0; k < 3; k++) {
            double p = want[k] / sum, dev = sqrt(p * (1 - p) / 4000);
            assert_true(fabs(x.d->domain[k].share - p) < 1e-12);
            if (fabs(seen_[k] / 4000 - p) > 5 * dev) fail_msg("%s: domain %d is %.4f of the rows, expected %.4f", weights[w], k, seen_[k] / 4000, p);
        }
        close_data(&x);
    }
}

static void wrong_weights_are_named(void **state)
{
    (void)state;
    static const struct { const char *weights, *say; witan_status st; } t[] = {
        { "law=1", "no documents of domain \"law\"; there are: colours, prose, sums", WITAN_ELIMIT },
        { "sums", "expected proportional, sqrt, uniform", WITAN_EARG },
        { "sums=x", "expected proportional, sqrt, uniform", WITAN_EARG },
        { "sums=-1", "expected proportional, sqrt, uniform", WITAN_EARG },
        { "sums=0,prose=0", "all are 0", WITAN_EARG },
    };
    bench x = open_data(1, corpus, data_options(8, WT_PACK_WINDOW));
    const char *path = corpus;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        wt_data *d;
        wt_data_options o = data_options(8, WT_PACK_WINDOW);
        o.weights = t[i].weights;
        assert_int_equal(wt_data_open(x.cx, x.v, &path, 1, &o, &d), t[i].st);
        if (!strstr(witan_error(x.cx), t[i].say)) fail_msg("\"%s\" does not say \"%s\"", witan_error(x.cx), t[i].say);
    }
    close_data(&x);
}

/* ---- faults --------------------------------------------------------------------------------------------------------- */

static void fault_files(void)
{
    file_of("few.jsonl", "{\"domain\":\"a\",\"text\":\"one\"}\n{\"domain\":\"b\",\"prompt\":\"o\",\"answer\":\" ne\"}\n{\"domain\":\"a\",\"text\":\"one\"}\n");
    file_of("plain.txt", "one two three\nfour five six seven\n");
}

static witan_status learn(witan_ctx *cx, void *arg)
{
    const char *path[2] = { fault_path("few.jsonl"), fault_path("plain.txt") };
    witan_tokenizer_options o = tokenizer_options(262);
    o.most_words = 4;
    o.min_count = 1;
    return witan_tokenizer_train(cx, path, 2, arg, &o, NULL);
}

static witan_status count(witan_ctx *cx, void *arg)
{
    const char *path = fault_path("few.jsonl");
    witan_model *m = NULL;
    witan_data_stats_result *r = NULL;
    (void)arg;
    witan_status st = witan_vocab_open(cx, vocab, NULL, &m);
    if (!st) st = witan_data_stats(cx, &path, 1, m, &r);
    witan_data_stats_free(cx, r);
    witan_model_free(m);
    return st;
}

static witan_status load(witan_ctx *cx, void *arg)
{
    const char *path[2] = { arg, fault_path("plain.txt") };
    wt_gguf *g = NULL;
    wt_vocab *v = NULL;
    wt_data *d = NULL;
    wt_data_options o = data_options(8, WT_PACK_DOCUMENTS);
    o.weights = "a=1,plain=2";
    witan_status st = wt_gguf_open(cx, vocab, &g);
    if (!st) st = wt_vocab_open(cx, g, NULL, &v);
    if (!st) st = wt_data_open(cx, v, path, 2, &o, &d);
    wt_data_free(d);
    wt_vocab_free(v);
    wt_gguf_free(g);
    return st;
}

static void nth_failure(fault_scene scene, void *arg, const char *out)
{
    for (fault_kind k = 0; k < FAULT_CLOSE; k++) {
        long n = fault_each(k, scene, arg, out, 3000);
        if (n >= 3000) fail_msg("%s: still failing after %ld rounds", fault_name[k], n);
    }
}

static void nth_failure_of_learning_a_vocabulary(void **state)
{
    (void)state;
    static char out[160];
    fault_files();
    strcpy(out, fault_path("learnt.gguf"));
    nth_failure(learn, out, out);
}

static void nth_failure_of_counting(void **state)
{
    (void)state;
    fault_files();
    nth_failure(count, NULL, NULL);
}

static void nth_failure_of_loading(void **state)
{
    (void)state;
    static char path[160];
    strcpy(path, file_of("a.jsonl", "{\"text\":\"one\"}\n{\"prompt\":\"two\",\"answer\":\" longer than a row of eight\"}\n"));
    file_of("plain.txt", "one two three\n");
    nth_failure(load, path, NULL);
}

static void short_and_interrupted_reads_change_nothing(void **state)
{
    (void)state;
    fault f = { .short_io = true, .eintr = true };
    witan_ctx *cx = fault_ctx(&f);
    fault_files();
    assert_int_equal(learn(cx, fault_path("learnt.gguf")), WITAN_OK);
    assert_int_equal(count(cx, NULL), WITAN_OK);
    witan_ctx_free(cx);
    assert_int_equal(f.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files_are_refused_with_file_and_line), cmocka_unit_test(the_first_error_is_reported),
        cmocka_unit_test(domains_come_from_lines_or_file_names), cmocka_unit_test(blocks_lose_nothing),
        cmocka_unit_test(stats_count_by_domain), cmocka_unit_test(stats_are_the_same_for_any_threads),
        cmocka_unit_test(merges_are_the_most_frequent_pairs), cmocka_unit_test(runs_and_ties), cmocka_unit_test(encodes_as_counted),
        cmocka_unit_test(same_vocabulary_for_any_threads), cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(streams_are_documents_and_end_tokens), cmocka_unit_test(streams_are_the_same_for_any_threads),
        cmocka_unit_test(rows_keep_their_promises), cmocka_unit_test(packed_documents_are_whole), cmocka_unit_test(long_documents_are_split_or_cut),
        cmocka_unit_test(validation_rows_are_in_file_order), cmocka_unit_test(a_stream_shorter_than_a_row),
        cmocka_unit_test(domains_are_drawn_by_weight), cmocka_unit_test(wrong_weights_are_named),
        cmocka_unit_test(nth_failure_of_learning_a_vocabulary), cmocka_unit_test(nth_failure_of_counting), cmocka_unit_test(nth_failure_of_loading),
        cmocka_unit_test(short_and_interrupted_reads_change_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
