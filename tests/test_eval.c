/* Evaluation, statistics and sampling: against direct computation. */
#include "eval/stats.h"
#include "fault.h"
#include "shared.h"
#include "tiny.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static witan_ctx *cx;
static fault f;
static witan_model *m;
static char demos[160];

static int set_up(void **state)
{
    (void)state;
    f = (fault){ 0 };
    cx = fault_ctx(&f);
    strcpy(demos, fault_path("demos.jsonl"));
    tiny_demos(demos);
    return tiny_write(cx, fault_path("tiny.gguf"), WT_F32, 1) || witan_model_open(cx, fault_path("tiny.gguf"), NULL, &m);
}

static int tear_down(void **state) { (void)state; witan_model_free(m); witan_ctx_free(cx); return f.live != 0; }
static int all_done(void **state) { (void)state; fault_folder_free(); return 0; }

/* ---- perplexity ----------------------------------------------------------------------------------------------------- */

/* -log p of every next token, one token fed at a time, softmax in double. */
static double direct(const char *text, int *count)
{
    int32_t *ids;
    size_t n;
    double nll = 0;
    witan_session *s;
    assert_int_equal(witan_tokenize(cx, m, text, strlen(text), WITAN_TOK_BEGIN, &ids, &n), WITAN_OK);
    assert_int_equal(witan_session_new(cx, m, NULL, &s), WITAN_OK);
    for (size_t i = 0; i + 1 < n; i++) {
        double sum = 0;
        assert_int_equal(witan_feed(s, 0, ids + i, 1), WITAN_OK);
        const float *x = witan_logits(s, 0);
        for (int v = 0; v < TINY_VOCAB; v++) sum += exp((double)x[v]);
        nll += log(sum) - (double)x[ids[i + 1]];
    }
    *count += (int)n - 1;
    witan_session_free(s);
    witan_free(cx, ids);
    return nll;
}

static void perplexity_equals_direct_computation(void **state)
{
    (void)state;
    witan_eval_result *r;
    int n = 0;
    double a = direct("one two three four", &n);
    a += direct("two plus two is four", &n);
    a += direct("bread and butter", &n);
    assert_int_equal(witan_eval(cx, m, &(witan_eval_options){ .jsonl = demos }, &r), WITAN_OK);
    assert_int_equal(r->n_row, 3);
    assert_string_equal(r->row[0].domain, "a");
    assert_string_equal(r->row[2].domain, "all");
    assert_int_equal(r->row[0].tokens, n);
    assert_true(fabs(r->row[0].nll - a / n) < 1e-5);
    assert_true(fabs(r->row[0].perplexity - exp(r->row[0].nll)) < 1e-9);
    assert_true(r->row[0].ppl_lo < r->row[0].perplexity && r->row[0].perplexity < r->row[0].ppl_hi);
    assert_true(isnan(r->row[1].ppl_lo) && isnan(r->row[0].accuracy));    /* one document has no spread; nothing was asked */
    witan_eval_free(cx, r);
}

static void documents_are_cut_at_the_context(void **state)
{
    (void)state;
    witan_eval_result *r;
    assert_int_equal(witan_eval(cx, m, &(witan_eval_options){ .jsonl = demos, .n_ctx = 6 }, &r), WITAN_OK);
    assert_int_equal(r->row[2].tokens, 4 * 5);
    witan_eval_free(cx, r);
}

static void threads_change_no_digit(void **state)
{
    (void)state;
    witan_eval_result *r[3];
    for (int i = 0; i < 3; i++) {
        witan_set_threads(cx, i + 1);
        assert_int_equal(witan_eval(cx, m, &(witan_eval_options){ .jsonl = demos }, &r[i]), WITAN_OK);
    }
    for (size_t k = 0; k < 3; k++) assert_true(r[0]->row[k].nll == r[1]->row[k].nll && r[0]->row[k].nll == r[2]->row[k].nll);
    for (int i = 0; i < 3; i++) witan_eval_free(cx, r[i]);
}

/* ---- tasks ---------------------------------------------------------------------------------------------------------- */

/* The greedy continuation of a prompt, as text of n tokens. */
static char *greedy(const char *prompt, int n)
{
    int32_t *ids, made[64];
    size_t k, len;
    char *text;
    witan_session *s;
    witan_sampler *sm;
    assert_int_equal(witan_tokenize(cx, m, prompt, strlen(prompt), WITAN_TOK_BOS, &ids, &k), WITAN_OK);
    assert_int_equal(witan_session_new(cx, m, NULL, &s), WITAN_OK);
    assert_int_equal(witan_sampler_new(cx, TINY_VOCAB, NULL, &sm), WITAN_OK);
    assert_int_equal(witan_feed(s, 0, ids, k), WITAN_OK);
    for (int i = 0; i < n; i++) {
        made[i] = witan_sample(sm, witan_logits(s, 0));
        assert_int_equal(witan_feed(s, 0, made + i, 1), WITAN_OK);
    }
    assert_int_equal(witan_detokenize(cx, m, made, (size_t)n, true, &text, &len), WITAN_OK);
    witan_sampler_free(sm);
    witan_session_free(s);
    witan_free(cx, ids);
    return text;
}

static void json_line(FILE *o, const char *prompt, const char *answer)
{
    fprintf(o, "{\"prompt\":\"%s\",\"answer\":\"", prompt);
    for (const char *c = answer; *c; c++) fprintf(o, (unsigned char)*c < 32 || *c == '"' || *c == '\\' ? "\\u%04x" : "%c", (unsigned char)*c);
    fputs("\"}\n", o);
}

static void answers_are_greedy_and_exact(void **state)
{
    (void)state;
    char *path = fault_path("task.jsonl");
    FILE *o = fopen(path, "w");
    int asked = 0;
    const char *prompt[] = { "one", "two!", "three three", "4" };
    for (int i = 0; i < 4; i++) {
        char *text = greedy(prompt[i], 3);
        if (witan_utf8_check(text, strlen(text)) == strlen(text) && strlen(text) >= 3 && !strpbrk(text, " \n\t\r\v\f")) {   /* a random model writes random bytes */
            json_line(o, prompt[i], text);
            asked++;
        }
        witan_free(cx, text);
    }
    json_line(o, "five", "surely not this");
    fclose(o);
    witan_eval_result *r;
    assert_int_equal(witan_eval(cx, m, &(witan_eval_options){ .task = path, .max_new = 3 }, &r), WITAN_OK);
    assert_int_equal(r->row[0].questions, asked + 1);
    assert_int_equal(r->row[0].correct, asked);
    witan_eval_free(cx, r);
    assert_int_equal(witan_eval(cx, m, &(witan_eval_options){ .task = demos }, &r), WITAN_EFORMAT);   /* lines without an answer */
    assert_int_equal(witan_eval(cx, m, &(witan_eval_options){ 0 }, &r), WITAN_EARG);
}

/* ---- statistics ----------------------------------------------------------------------------------------------------- */

/* Wilson's interval for 8 of 10 is [0.4902, 0.9433]; 0 of 10 is [0, 0.2775] (tables). The ratio by the formula, by hand:
 * units (1,1), (3,1), (2,1): ratio 2, squared deviations 1 + 1 + 0, se = sqrt(2 * 3/2) / 3. */
static void intervals_match_published_and_hand_computed_values(void **state)
{
    (void)state;
    double lo, hi;
    wt_wilson_interval(8, 10, &lo, &hi);
    assert_true(fabs(lo - 0.4902) < 1e-4 && fabs(hi - 0.9433) < 1e-4);
    wt_wilson_interval(0, 10, &lo, &hi);
    assert_true(lo == 0 && fabs(hi - 0.2775) < 1e-4);
    wt_wilson_interval(0, 0, &lo, &hi);
    assert_true(isnan(lo) && isnan(hi));
    wt_ratio_interval(3, 6, 3, 14, 6, 3, &lo, &hi);
    double se = sqrt(3.0) / 3;
    assert_true(fabs(lo - (2 - 1.959964 * se)) < 1e-5 && fabs(hi - (2 + 1.959964 * se)) < 1e-5);
    wt_ratio_interval(1, 6, 3, 36, 18, 9, &lo, &hi);
    assert_true(isnan(lo));
}

/* ---- sampling ------------------------------------------------------------------------------------------------------- */

static witan_sampler *sampler(witan_sample_options o)
{
    witan_sampler *s;
    assert_int_equal(witan_sampler_new(cx, 5, &o, &s), WITAN_OK);
    return s;
}

static void greedy_takes_the_lower_of_equals_and_never_nan(void **state)
{
    (void)state;
    witan_sampler *s = sampler((witan_sample_options){ .repeat_penalty = 1 });
    assert_int_equal(witan_sample(s, (float[]){ 1, 3, 3, NAN, 2 }), 1);
    assert_int_equal(witan_sample(s, (float[]){ NAN, NAN, NAN, NAN, -INFINITY }), -1);
    assert_int_equal(witan_sample(s, (float[]){ NAN, -5, NAN, NAN, NAN }), 1);
    witan_sampler_free(s);
    s = sampler((witan_sample_options){ .temp = 1, .top_p = 1, .repeat_penalty = 1 });
    for (int i = 0; i < 200; i++) assert_int_not_equal(witan_sample(s, (float[]){ 1, NAN, -INFINITY, 1, 1 }), 1);
    assert_int_equal(witan_sample(s, (float[]){ NAN, NAN, NAN, NAN, NAN }), -1);
    witan_sampler_free(s);
}

static void shares(witan_sample_options o, const float *x, double *share)
{
    witan_sampler *s = sampler(o);
    memset(share, 0, 5 * sizeof *share);
    for (int i = 0; i < 20000; i++) share[witan_sample(s, x)] += 1 / 20000.0;
    witan_sampler_free(s);
}

static void draws_follow_the_probabilities_and_the_cuts(void **state)
{
    (void)state;
    const float x[5] = { logf(0.1f), logf(0.4f), logf(0.25f), logf(0.2f), logf(0.05f) };
    const double p[5] = { 0.1, 0.4, 0.25, 0.2, 0.05 };
    double s[5];
    witan_sample_options o = { .temp = 1, .top_p = 1, .repeat_penalty = 1, .seed = 9 };
    shares(o, x, s);
    for (int i = 0; i < 5; i++) assert_true(fabs(s[i] - p[i]) < 0.015);
    o.top_k = 2;
    shares(o, x, s);
    assert_true(s[0] == 0 && s[3] == 0 && fabs(s[1] - 0.4 / 0.65) < 0.015);
    o.top_k = 0;
    o.top_p = 0.6f;                                                       /* 0.4 + 0.25 exceeds it: two stay */
    shares(o, x, s);
    assert_true(s[3] == 0 && s[1] > 0 && s[2] > 0);
    o.top_p = 1;
    o.min_p = 0.45f;                                                      /* below 0.18 go */
    shares(o, x, s);
    assert_true(s[0] == 0 && s[4] == 0 && s[3] > 0);
    o.min_p = 0;
    o.temp = 0.5f;                                                        /* squares the odds */
    shares(o, x, s);
    assert_true(fabs(s[1] / s[3] - 4) < 0.4);
}

static void the_same_seed_draws_the_same(void **state)
{
    (void)state;
    const float x[5] = { 0, 0.5f, 1, 0.2f, 0.1f };
    witan_sample_options o = { .temp = 1, .top_p = 1, .repeat_penalty = 1, .seed = 4 };
    witan_sampler *a = sampler(o), *b = sampler(o);
    o.seed = 5;
    witan_sampler *c = sampler(o);
    int differ = 0;
    for (int i = 0; i < 300; i++) {
        int32_t k = witan_sample(a, x);
        assert_int_equal(k, witan_sample(b, x));
        differ += k != witan_sample(c, x);
    }
    assert_true(differ > 100);
    witan_sampler_free(a);
    witan_sampler_free(b);
    witan_sampler_free(c);
}

static void the_repeat_penalty_forgets_after_its_window(void **state)
{
    (void)state;
    witan_sampler *s = sampler((witan_sample_options){ .repeat_penalty = 2, .repeat_last_n = 2 });
    const float x[5] = { 4, 3, -1, 0, 0 };
    assert_int_equal(witan_sample(s, x), 0);
    witan_sampler_accept(s, 0);
    assert_int_equal(witan_sample(s, x), 1);                             /* 4 / 2 < 3 */
    witan_sampler_accept(s, 3);
    witan_sampler_accept(s, 3);
    assert_int_equal(witan_sample(s, x), 0);
    witan_sampler_free(s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(perplexity_equals_direct_computation), T(documents_are_cut_at_the_context), T(threads_change_no_digit), T(answers_are_greedy_and_exact),
        T(intervals_match_published_and_hand_computed_values), T(greedy_takes_the_lower_of_equals_and_never_nan),
        T(draws_follow_the_probabilities_and_the_cuts), T(the_same_seed_draws_the_same), T(the_repeat_penalty_forgets_after_its_window),
    };
    return cmocka_run_group_tests(tests, NULL, all_done);
}
