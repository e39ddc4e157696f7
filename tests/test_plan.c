/* Plans in detail: how scores of several domains are mixed, budgets, ties and draws, the meaning of the gate, and the strict reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "edit/budget.h"
#include "fault.h"
#include "model/model.h"
#include "tiny.h"

static witan_ctx *cx;
static fault f;
static witan_model *m;

static int set_up(void **state)
{
    (void)state;
    f = (fault){ 0 };
    cx = fault_ctx(&f);
    char *path = fault_path("tiny.gguf");
    return tiny_write(cx, path, WT_F32, 1) || witan_model_open(cx, path, NULL, &m);
}

static int tear_down(void **state)
{
    (void)state;
    witan_model_free(m);
    witan_ctx_free(cx);
    fault_folder_free();
    return f.live != 0;
}

/* ---- scores and budgets ---------------------------------------------------------------------------------------------- */

static const wt_method *method(const char *name)
{
    const wt_method *w = NULL;
    assert_int_equal(wt_method_find(cx, WT_KIND_IMPORTANCE, name, &w), WITAN_OK);
    return w;
}

static void add_counts(wt_record *r, const char *domain, const double n[3])
{
    wt_record_domain *d;
    assert_int_equal(wt_record_domain_add(r, domain, &d), WITAN_OK);
    for (int e = 0; e < 3; e++) d->layer->sum[e].n = n[e];
}

static void every_domain_has_the_same_say(void **state)
{
    (void)state;
    wt_record *r;
    double score[3];
    bool soft = false;
    assert_int_equal(wt_record_new(cx, 1, &(int32_t){ 3 }, 1, &r), WITAN_OK);
    add_counts(r, "large", (double[]){ 1000, 0, 3000 });
    assert_int_equal(wt_score_layer(cx, method("freq"), &soft, r, 0, 3, 1, 0, score), WITAN_OK);
    assert_true(score[0] == 1000 && score[1] == 0 && score[2] == 3000);       /* alone: as the method says */
    add_counts(r, "small", (double[]){ 1, 3, 0 });
    assert_int_equal(wt_score_layer(cx, method("freq"), &soft, r, 0, 3, 1, 0, score), WITAN_OK);
    assert_true(score[0] == 0.5 && score[1] == 0.75 && score[2] == 0.75);     /* 1/4 + 1/4, 0 + 3/4, 3/4 + 0 */
    add_counts(r, "silent", (double[]){ 0, 0, 0 });
    assert_int_equal(wt_score_layer(cx, method("freq"), &soft, r, 0, 3, 1, 0, score), WITAN_OK);
    assert_true(score[0] == 0.5 && score[1] == 0.75 && score[2] == 0.75);
    r->domain[1]->layer->sum[2].n = NAN;
    assert_int_equal(wt_score_layer(cx, method("freq"), &soft, r, 0, 3, 1, 0, score), WITAN_EFORMAT);
    assert_non_null(strstr(witan_error(cx), "expert 2 is not a finite number"));
    witan_record_free(r);
}

static void budgets_round_and_name_the_smallest_legal_share(void **state)
{
    (void)state;
    static const struct { int32_t n_exp, n_used; double keep; int32_t want; } row[] = {
        { 32, 4, 0.5, 16 }, { 32, 4, 0.125, 4 }, { 7, 2, 0.5, 4 }, { 6, 2, 1.0 / 3, 2 }, { 10, 1, 0.14, 1 }, { 10, 1, 0.15, 2 }, { 64, 8, 1, 64 },
    };
    int32_t n;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        assert_int_equal(wt_budget_uniform(cx, row[i].n_exp, row[i].n_used, 0, row[i].keep, &n), WITAN_OK);
        assert_int_equal(n, row[i].want);
    }
    assert_int_equal(wt_budget_uniform(cx, 32, 4, 7, 0.1, &n), WITAN_ELIMIT);
    assert_string_equal(witan_error(cx), "keep 0.1 leaves 3 of 32 experts in layer 7, but the router chooses 4: keep at least 0.125");
    for (int32_t n_exp = 1; n_exp <= 300; n_exp++)                            /* the share that the message names is legal */
        for (int32_t used = 1; used <= n_exp && used <= 9; used++) {
            double share;
            char text[32];
            snprintf(text, sizeof text, "%.4g", (double)used / n_exp);
            sscanf(text, "%lf", &share);
            assert_int_equal(wt_budget_uniform(cx, n_exp, used, 0, share, &n), WITAN_OK);
        }
}

static void equal_scores_keep_the_lower_id(void **state)
{
    (void)state;
    uint8_t keep[6];
    wt_mask_layer l = { 6, 6, keep };
    static const struct { double score[6]; int32_t n; uint8_t want[6]; } row[] = {
        { { 0, 0, 0, 0, 0, 0 }, 3, { 1, 1, 1, 0, 0, 0 } }, { { 1, 2, 1, 2, 1, 1 }, 3, { 1, 1, 0, 1, 0, 0 } }, { { 5, 4, 3, 2, 1, 0 }, 6, { 1, 1, 1, 1, 1, 1 } },
        { { -1, -1, -2, -1, -3, -1 }, 2, { 1, 1, 0, 0, 0, 0 } },
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        wt_keep_best(row[i].score, row[i].n, &l);
        assert_int_equal(l.n_keep, row[i].n);
        assert_memory_equal(keep, row[i].want, sizeof keep);
    }
}

static char *random_plan(int64_t seed)
{
    witan_plan *p;
    char *json;
    assert_int_equal(witan_plan_make(cx, m, NULL, &(witan_plan_options){ .score = "random", .keep = 0.5, .seed = seed }, &p), WITAN_OK);
    assert_int_equal(witan_plan_json(cx, p, &json), WITAN_OK);
    witan_plan_free(p);
    return json;
}

static void random_plans_depend_on_the_seed_alone(void **state)
{
    (void)state;
    char *a = random_plan(1), *again = random_plan(1);
    assert_string_equal(a, again);
    int differ = 0;
    for (int64_t seed = 2; seed < 8; seed++) {
        char *b = random_plan(seed);
        differ += strcmp(strstr(a, "\"layers\""), strstr(b, "\"layers\"")) != 0;
        witan_free(cx, b);
    }
    assert_true(differ >= 5);
    char *first = strstr(a, "\"layer\":0"), *second = strstr(a, "\"layer\":1");
    assert_true(strncmp(strstr(first, "\"keep\""), strstr(second, "\"keep\""), strlen("\"keep\":[0,1,2,3]")) != 0);   /* layers are drawn apart */
    witan_free(cx, a);
    witan_free(cx, again);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    static const struct { witan_plan_options o; const char *say; } bad[] = {
        { { .score = NULL, .keep = 0.5 }, "score" }, { { .score = "random", .keep = 0.5, .gate = (witan_gate)7 }, "gate" },
        { { .score = "random", .score_opts = "soft=true", .keep = 0.5 }, "soft" }, { { .score = "freq", .score_opts = "sofd", .keep = 0.5 }, "record" },
        { { .score = "random", .keep = 1.5 }, "1.5" }, { { .score = "random", .keep = -1 }, "-1" }, { { .score = "random", .keep = INFINITY }, "inf" },
    };
    witan_plan *p;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(witan_plan_make(cx, m, NULL, &bad[i].o, &p), WITAN_EARG);
        if (!strstr(witan_error(cx), bad[i].say)) fail_msg("\"%s\" does not say %s", witan_error(cx), bad[i].say);
    }
}

/* ---- plans by hand ---------------------------------------------------------------------------------------------------- */

/* Plan text for the tiny model; each list as in JSON. */
static const char *by_hand(const char *gate, const char *keep0, const char *keep1)
{
    static char json[2048];
    snprintf(json, sizeof json, "{\"witan_plan\":1,\"model\":{\"name\":\"tiny\",\"arch\":\"olmoe\",\"fingerprint\":\"%s\"},\"method\":{\"name\":\"hand\",\"options\":\"\"},"
             "\"gate\":\"%s\",\"keep\":0.5,\"seed\":0,\"calibration\":{\"digest\":\"\",\"domains\":\"\",\"documents\":0,\"tokens\":0},\"layers\":["
             "{\"layer\":0,\"experts\":8,\"keep\":[%s]},{\"layer\":1,\"experts\":8,\"keep\":[%s]}]}", m->info.fingerprint, gate, keep0, keep1);
    return json;
}

static witan_plan *parsed(const char *json)
{
    witan_plan *p = NULL;
    if (witan_plan_parse(cx, json, strlen(json), &p)) fail_msg("%s", witan_error(cx));
    return p;
}

enum { N = 4 };

static void feed(const witan_plan *p, const wt_observer *o, float logits[N * TINY_VOCAB])
{
    witan_session *s;
    witan_token tok[N];
    for (int32_t i = 0; i < N; i++) tok[i] = (witan_token){ i ? 60 + 3 * i : 0, 0, true };
    if (witan_session_new(cx, m, &(witan_session_options){ .n_ctx = N, .plan = p }, &s)) fail_msg("%s", witan_error(cx));
    assert_int_equal(wt_session_feed(s, tok, N, o, o != NULL), WITAN_OK);
    memcpy(logits, witan_logits(s, 0), N * TINY_VOCAB * sizeof *logits);
    witan_session_free(s);
}

static wt_status mark_used(void *user, wt_ctx *c, const wt_tap_event *e)
{
    bool (*used)[TINY_EXPERTS] = user;
    (void)c;
    for (int32_t i = 0; i < e->route->n_pair; i++) used[e->layer][e->route->expert[i]] = true;
    return WITAN_OK;
}

/* gate=keep leaves gates as they were, so dropping experts that no token chose changes no bit; renorm changes every gate of this family. */
static void dropping_unused_experts_changes_nothing_with_gate_keep(void **state)
{
    (void)state;
    static float whole[N * TINY_VOCAB], kept[N * TINY_VOCAB], renormed[N * TINY_VOCAB];
    bool used[TINY_LAYERS][TINY_EXPERTS] = { 0 };
    char list[TINY_LAYERS][64] = { "" };
    int dropped = 0;
    feed(NULL, &(wt_observer){ 1u << WT_TAP_ROUTE, mark_used, used }, whole);
    for (int l = 0; l < TINY_LAYERS; l++)
        for (int e = 0; e < TINY_EXPERTS; e++) {
            size_t at = strlen(list[l]);
            if (used[l][e]) snprintf(list[l] + at, sizeof list[l] - at, "%s%d", at ? "," : "", e);
            dropped += !used[l][e];
        }
    assert_true(dropped > 0);
    witan_plan *p = parsed(by_hand("keep", list[0], list[1]));
    feed(p, NULL, kept);
    witan_plan_free(p);
    p = parsed(by_hand("renorm", list[0], list[1]));
    feed(p, NULL, renormed);
    witan_plan_free(p);
    assert_memory_equal(whole, kept, sizeof whole);
    assert_memory_not_equal(whole, renormed, sizeof whole);
}

static void a_plan_answers_questions_outside_its_range(void **state)
{
    (void)state;
    witan_plan *p = parsed(by_hand("renorm", "0,3", "1,2,7"));
    assert_int_equal(witan_plan_count(p, 0), 2);
    assert_int_equal(witan_plan_count(p, 1), 3);
    assert_int_equal(witan_plan_count(p, 2), -1);
    assert_int_equal(witan_plan_count(p, -1), -1);
    assert_true(witan_plan_keeps(p, 0, 3) && !witan_plan_keeps(p, 0, 1) && witan_plan_keeps(p, 1, 7));
    assert_false(witan_plan_keeps(p, 0, 8) || witan_plan_keeps(p, 0, -1) || witan_plan_keeps(p, 2, 0) || witan_plan_keeps(p, -1, 0));
    assert_int_equal(witan_plan_check(cx, p, m), WITAN_OK);
    witan_plan_free(p);
    witan_plan_free(NULL);
}

static void a_plan_that_does_not_fit_its_model_is_refused(void **state)
{
    (void)state;
    char text[2048], *at;
    witan_plan *p = parsed(by_hand("renorm", "0,3", "5"));
    assert_int_equal(witan_plan_check(cx, p, m), WITAN_ELIMIT);
    assert_non_null(strstr(witan_error(cx), "keeps 1 experts in layer 1, but the router chooses 2"));
    witan_plan_free(p);
    snprintf(text, sizeof text, "%s", by_hand("renorm", "0,3", "1,2"));
    at = strstr(text, "\"experts\":8");
    at[10] = '9';
    p = parsed(text);
    assert_int_equal(witan_plan_check(cx, p, m), WITAN_EMISMATCH);
    assert_non_null(strstr(witan_error(cx), "9 experts in layer 0, the model 8"));
    witan_plan_free(p);
    snprintf(text, sizeof text, "%s", by_hand("renorm", "0,3", "1,2"));
    strcpy(strstr(text, ",{\"layer\":1"), "]}");
    p = parsed(text);
    assert_int_equal(witan_plan_check(cx, p, m), WITAN_EMISMATCH);
    assert_non_null(strstr(witan_error(cx), "1 layers, the model 2"));
    witan_plan_free(p);
}

static void bad_plan_files_are_refused_with_file_and_place(void **state)
{
    (void)state;
    static const struct { const char *keep1, *say; } bad[] = {
        { "", "layer 1 keeps 0 of 8" }, { "2,1", "layer 1: \"keep\" must list experts 0 to 7 in rising order" }, { "1,1", "layer 1" }, { "-1,3", "layer 1" },
        { "1,8", "layer 1" }, { "1,2.0", "layer 1" }, { "1,\"2\"", "layer 1" }, { "0,1,2,3,4,5,6,7,8", "layer 1 keeps 9 of 8" }, { "1,[2]", "layer 1" },
    };
    static const struct { const char *find, *put, *say; } other[] = {
        { "\"keep\":0.5", "\"keep\":0", "expected a share above 0" }, { "\"keep\":0.5", "\"keep\":1.5", "expected a share above 0" },
        { "\"layers\":[", "\"layers\":[],\"x\":[", "0 layers" }, { "\"layer\":1", "\"layer\":0", "layer 1: expected a whole number in [1, 1] under \"layer\"" },
        { "\"digest\":\"\"", "\"digest\":\"12\"", "64 hexadecimal digits" }, { "\"tokens\":0", "\"tokens\":-1", "tokens" }, { "\"seed\":0", "\"seed\":0.5", "seed" },
        { "\"gate\":\"renorm\"", "\"gate\":1", "gate" }, { "{\"witan_plan\":1,", "{", "witan_plan" }, { "\"method\":{", "\"method\":{\"name\":1,\"x\":{},\"y\":{},\"", "" },
    };
    char *path = fault_path("plan.json"), text[2048];
    witan_plan *p;
    for (size_t i = 0; i < sizeof bad / sizeof *bad + sizeof other / sizeof *other; i++) {
        size_t k = i - sizeof bad / sizeof *bad;
        bool first = i < sizeof bad / sizeof *bad;
        const char *json = by_hand("renorm", "0,3", first ? bad[i].keep1 : "1,2"), *say = first ? bad[i].say : other[k].say;
        const char *at = first ? NULL : strstr(json, other[k].find);
        if (first) snprintf(text, sizeof text, "%s", json);
        else snprintf(text, sizeof text, "%.*s%s%s", (int)(at - json), json, other[k].put, at + strlen(other[k].find));
        assert_int_equal(wt_file_write(cx, path, text, strlen(text)), WITAN_OK);
        if (witan_plan_load(cx, path, &p) != WITAN_EFORMAT) fail_msg("case %zu is not refused", i);
        if (!strstr(witan_error(cx), say) || !strstr(witan_error(cx), "plan.json")) fail_msg("\"%s\" does not name the file and say \"%s\"", witan_error(cx), say);
    }
    assert_int_equal(witan_plan_load(cx, fault_path("nowhere.json"), &p), WITAN_EIO);
    assert_non_null(strstr(witan_error(cx), "nowhere.json"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_domain_has_the_same_say), T(budgets_round_and_name_the_smallest_legal_share), T(equal_scores_keep_the_lower_id),
        T(random_plans_depend_on_the_seed_alone), T(wrong_options_are_refused), T(dropping_unused_experts_changes_nothing_with_gate_keep),
        T(a_plan_answers_questions_outside_its_range), T(a_plan_that_does_not_fit_its_model_is_refused), T(bad_plan_files_are_refused_with_file_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
