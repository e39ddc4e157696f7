/* Calibration records in detail: every sum against arithmetic by hand, what counts as a token, and files that are not right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edit/record.h"
#include "fault.h"
#include "model/model.h"
#include "tiny.h"

static witan_ctx *cx;
static fault f;
static char model_path[160];

static int set_up(void **state)
{
    (void)state;
    f = (fault){ 0 };
    cx = fault_ctx(&f);
    strcpy(model_path, fault_path("tiny.gguf"));
    return tiny_write(cx, model_path, WT_F32, 1);
}

static int tear_down(void **state)
{
    (void)state;
    witan_ctx_free(cx);
    fault_folder_free();
    return f.live != 0;
}

static witan_model *open_model(const char *path)
{
    witan_model *m = NULL;
    if (witan_model_open(cx, path, NULL, &m)) fail_msg("%s", witan_error(cx));
    return m;
}

static char *write_text(const char *name, const char *text)
{
    char *path = fault_path(name);
    assert_int_equal(wt_file_write(cx, path, text, strlen(text)), WITAN_OK);
    return path;
}

/* ---- the sums, by hand ---------------------------------------------------------------------------------------------- */

enum { N_TOK = 4, N_EXP = 3, D = 2, USED = 2 };

/* Four tokens with two experts each. The third turns the residual stream around, the fourth has none. */
static const float prob[N_TOK * N_EXP] = { .5f, .25f, .25f,  .125f, .125f, .75f,  .5f, .25f, .25f,  .5f, .5f, 0 };
static const int32_t expert[N_TOK * USED] = { 0, 1,  2, 0,  1, 2,  0, 1 };
static const float gate[N_TOK * USED] = { .5f, .25f,  .75f, .125f,  .25f, .25f,  .5f, .5f };
static const float y[N_TOK * USED * D] = { 3, 4,  0, 2,   0, 0,  1, 0,   -8, 0,  0, 0,   1, 0,  0, 1 };
static const float resid[N_TOK * D] = { 1, 0,  0, 1,  1, 0,  0, 0 };
static const float routed[N_TOK * D] = { 1.5f, 2.5f,  .125f, 0,  -2, 0,  .5f, .5f };

/* Shows the tokens begin .. end-1 as one batch. */
static void show(const wt_observer *o, int32_t begin, int32_t end)
{
    int32_t off[N_TOK + 1], ids[N_TOK * USED];
    float weight[N_TOK * USED];
    wt_route rt = { .n_tok = end - begin, .n_exp = N_EXP, .n_pair = (end - begin) * USED, .most = USED, .tok_off = off, .expert = ids, .weight = weight };
    for (int32_t i = 0; i <= rt.n_tok; i++) off[i] = i * USED;
    memcpy(ids, expert + begin * USED, (size_t)rt.n_pair * sizeof *ids);
    memcpy(weight, gate + begin * USED, (size_t)rt.n_pair * sizeof *weight);
    wt_tap_event e = { .n_tok = rt.n_tok, .n_exp = N_EXP, .d_model = D, .route = &rt, .prob = prob + begin * N_EXP,
                       .pair_y = y + begin * USED * D, .resid = resid + begin * D, .routed = routed + begin * D };
    for (e.tap = 0; e.tap < WT_N_TAP; e.tap++)
        if (o->taps >> e.tap & 1) assert_int_equal(o->see(o->user, cx, &e), WITAN_OK);
}

static witan_record *by_hand(int32_t piece)
{
    witan_record *r;
    wt_recorder rc = { 0 };
    assert_int_equal(wt_record_new(cx, 1, &(int32_t){ N_EXP }, USED, &r), WITAN_OK);
    rc.rec = r;
    assert_int_equal(wt_record_domain_add(r, "hand", &rc.domain), WITAN_OK);
    wt_observer o = wt_recorder_observer(&rc);
    for (int32_t t = 0; t < N_TOK; t += piece) show(&o, t, t + piece < N_TOK ? t + piece : N_TOK);
    wt_recorder_free(&rc);
    return r;
}

static void sums_are_what_arithmetic_by_hand_gives(void **state)
{
    (void)state;
    double c0 = 1 - sqrt(0.5), c1 = 1 - 8 / sqrt(65), c2 = 2;                 /* (1,0) to (2.5,2.5); (0,1) to (1/8,1); (1,0) to (-1,0) */
    const struct { const char *sum; double want[N_EXP]; } row[] = {
        { "n", { 3, 3, 2 } }, { "sum_g", { 1.125, 1, 1 } }, { "sum_g2", { .515625, .375, .625 } }, { "sum_p", { 1.125, 1, 1 } },
        { "sum_p_all", { 1.625, 1.125, 1.25 } }, { "sum_m", { 7, 11, 0 } }, { "sum_m2", { 27, 69, 0 } }, { "sum_gm", { 3.125, 3, 0 } },
        { "sum_g2m2", { 6.515625, 4.5, 0 } }, { "easy_ep", { 2.5 * c0 + .125 * c1, .5 * c0 + 2 * c2, 0 } },
    };
    static const double together[N_EXP * N_EXP] = { 3, 2, 1,  2, 3, 1,  1, 1, 2 };
    witan_record *r = by_hand(N_TOK);
    const wt_record_layer *l = r->domain[0]->layer;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        for (int32_t e = 0; e < N_EXP; e++) {
            double have = witan_record_get(r, 0, 0, e, row[i].sum);
            if (!(fabs(have - row[i].want[e]) <= 1e-12)) fail_msg("%s of expert %d is %.17g, expected %.17g", row[i].sum, e, have, row[i].want[e]);
        }
    assert_memory_equal(l->co, together, sizeof together);
    assert_true(fabs(l->c - (c0 + c1 + c2)) <= 1e-12);
    witan_record_free(r);
}

static void batches_do_not_change_a_sum(void **state)
{
    (void)state;
    witan_record *whole = by_hand(N_TOK);
    for (int32_t piece = 1; piece < N_TOK; piece++) {
        witan_record *r = by_hand(piece);
        assert_memory_equal(r->domain[0]->layer->sum, whole->domain[0]->layer->sum, N_EXP * sizeof(wt_sums));
        assert_memory_equal(r->domain[0]->layer->co, whole->domain[0]->layer->co, N_EXP * N_EXP * sizeof(double));
        assert_true(r->domain[0]->layer->c == whole->domain[0]->layer->c);
        witan_record_free(r);
    }
    witan_record_free(whole);
}

/* Where the block adds nothing the cosine is 1 up to rounding, and rounding may go above 1. */
static void a_token_that_is_not_turned_weighs_nothing_never_less(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    witan_record *r;
    wt_recorder rc = { 0 };
    assert_int_equal(wt_record_new(cx, 1, &(int32_t){ 1 }, 1, &r), WITAN_OK);
    rc.rec = r;
    assert_int_equal(wt_record_domain_add(r, "still", &rc.domain), WITAN_OK);
    wt_observer o = wt_recorder_observer(&rc);
    for (int i = 1; i <= MANY; i++) {
        wt_route rt = { .n_tok = 1, .n_exp = 1, .n_pair = 1, .most = 1, .tok_off = (int32_t[]){ 0, 1 }, .expert = (int32_t[]){ 0 }, .weight = (float[]){ 1 } };
        wt_tap_event e = { .tap = WT_TAP_BLOCK, .n_tok = 1, .n_exp = 1, .d_model = D, .route = &rt, .pair_y = (float[]){ 3, 4 },
                           .resid = (float[]){ 0.1f * (float)i, 0.7f }, .routed = (float[]){ 0, 0 } };
        double before = r->domain[0]->layer->c;
        assert_int_equal(o.see(o.user, cx, &e), WITAN_OK);
        assert_true(r->domain[0]->layer->c >= before && r->domain[0]->layer->c - before < 1e-12);
    }
    assert_true(witan_record_get(r, 0, 0, 0, "easy_ep") >= 0 && witan_record_get(r, 0, 0, 0, "sum_gm") == 5.0 * MANY);
    wt_recorder_free(&rc);
    witan_record_free(r);
}

/* ---- what is profiled ------------------------------------------------------------------------------------------------ */

static witan_status profile(const witan_model *m, const char *lines, witan_profile_options o, witan_record **r)
{
    o.data = write_text("profile.jsonl", lines);
    return witan_profile(cx, m, &o, r);
}

static void a_document_counts_its_begin_token_but_not_its_last(void **state)
{
    (void)state;
    witan_model *m = open_model(model_path);
    witan_record *r;
    static const struct { const char *lines; int32_t n_ctx; int64_t tokens, documents; } row[] = {
        { "{\"text\":\"abc\"}\n", 0, 3, 1 },                        /* begin a b | c */
        { "{\"prompt\":\"ab\",\"answer\":\"c\"}\n", 0, 3, 1 }, { "{\"text\":\"abc\"}\n{\"text\":\"de\"}\n", 0, 5, 2 },
        { "{\"text\":\"abcdefgh\"}\n", 5, 4, 1 },                   /* cut to five ids, the begin token included */
        { "{\"text\":\"abc\"}\n{\"text\":\"\"}\n", 0, 3, 1 },       /* an empty document answers for nothing */
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        if (profile(m, row[i].lines, (witan_profile_options){ .n_ctx = row[i].n_ctx }, &r)) fail_msg("%s", witan_error(cx));
        assert_string_equal(witan_record_domain(r, 0), "demos");
        assert_int_equal(witan_record_tokens(r, 0), row[i].tokens);
        assert_int_equal(r->domain[0]->n_doc, row[i].documents);
        double n = 0;
        for (int32_t e = 0; e < TINY_EXPERTS; e++) n += witan_record_get(r, 0, 1, e, "n");
        assert_true(n == (double)(row[i].tokens * TINY_USED));
        witan_record_free(r);
    }
    witan_model_free(m);
}

static void documents_are_recorded_one_after_another_not_joined(void **state)
{
    (void)state;
    witan_model *m = open_model(model_path);
    witan_record *two, *one, *other;
    assert_int_equal(profile(m, "{\"text\":\"first one\"}\n{\"text\":\"second\"}\n", (witan_profile_options){ 0 }, &two), WITAN_OK);
    assert_int_equal(profile(m, "{\"text\":\"first one\"}\n", (witan_profile_options){ 0 }, &one), WITAN_OK);
    assert_int_equal(profile(m, "{\"text\":\"second\"}\n", (witan_profile_options){ 0 }, &other), WITAN_OK);
    assert_int_equal(witan_record_merge(cx, one, other), WITAN_OK);
    assert_string_equal(one->data_digest, "");                                /* of two files: no digest stands for both */
    for (const wt_sum_field *s = wt_sum_fields; s->name; s++)
        for (int32_t e = 0; e < TINY_EXPERTS; e++) {
            double a = witan_record_get(two, 0, 1, e, s->name), b = witan_record_get(one, 0, 1, e, s->name);
            if (fabs(a - b) > 1e-12 * fabs(a)) fail_msg("%s of expert %d: %.17g together, %.17g added", s->name, e, a, b);
        }
    witan_record_free(one);
    witan_record_free(other);
    witan_record_free(two);
    witan_model_free(m);
}

static void domains_and_limits_choose_documents(void **state)
{
    (void)state;
    static const char lines[] = "{\"domain\":\"a\",\"text\":\"one\"}\n{\"domain\":\"b\",\"text\":\"three\"}\n{\"domain\":\"a\",\"text\":\"seventeen\"}\n";
    witan_model *m = open_model(model_path);
    witan_record *r;
    assert_int_equal(profile(m, lines, (witan_profile_options){ 0 }, &r), WITAN_OK);
    assert_int_equal(witan_record_domains(r), 2);
    assert_int_equal(witan_record_tokens(r, 0), 3 + 9);
    assert_int_equal(witan_record_tokens(r, 1), 5);
    witan_record_free(r);
    assert_int_equal(profile(m, lines, (witan_profile_options){ .domain = "b" }, &r), WITAN_OK);
    assert_int_equal(witan_record_domains(r), 1);
    assert_string_equal(witan_record_domain(r, 0), "b");
    witan_record_free(r);
    assert_int_equal(profile(m, lines, (witan_profile_options){ .limit = 1 }, &r), WITAN_OK);
    assert_int_equal(witan_record_tokens(r, 0), 3);
    witan_record_free(r);
    assert_int_equal(profile(m, lines, (witan_profile_options){ .domain = "c" }, &r), WITAN_ELIMIT);
    witan_model_free(m);
}

static void demonstrations_that_are_too_short_are_refused_by_name(void **state)
{
    (void)state;
    witan_model *m = open_model(model_path);
    witan_record *r;
    assert_int_equal(profile(m, "{\"domain\":\"a\",\"text\":\"one\"}\n{\"domain\":\"void\",\"text\":\"\"}\n", (witan_profile_options){ 0 }, &r), WITAN_ELIMIT);
    assert_non_null(strstr(witan_error(cx), "\"void\" are too short"));
    assert_non_null(strstr(witan_error(cx), "profile.jsonl"));
    assert_int_equal(profile(m, "{\"domain\":\"a\",\"tekst\":\"one\"}\n", (witan_profile_options){ 0 }, &r), WITAN_EFORMAT);
    assert_non_null(strstr(witan_error(cx), "profile.jsonl:1"));
    witan_model_free(m);
}

static void a_worn_plan_leaves_dropped_experts_without_choices(void **state)
{
    (void)state;
    witan_model *m = open_model(model_path);
    witan_plan *p;
    witan_record *r;
    assert_int_equal(witan_plan_make(cx, m, NULL, &(witan_plan_options){ .score = "random", .keep = 0.5, .seed = 1 }, &p), WITAN_OK);
    assert_int_equal(profile(m, "{\"text\":\"some text to look at\"}\n", (witan_profile_options){ .plan = p }, &r), WITAN_OK);
    for (int32_t l = 0; l < TINY_LAYERS; l++) {
        double n = 0, all = 0;
        for (int32_t e = 0; e < TINY_EXPERTS; e++) {
            if (!witan_plan_keeps(p, l, e)) assert_true(witan_record_get(r, 0, l, e, "n") == 0 && witan_record_get(r, 0, l, e, "easy_ep") == 0);
            n += witan_record_get(r, 0, l, e, "n");
            all += witan_record_get(r, 0, l, e, "sum_p_all");
        }
        double tokens = (double)witan_record_tokens(r, 0);
        assert_true(n == tokens * TINY_USED);
        assert_true(fabs(all - tokens) < 1e-4 * tokens);                      /* renormalised over those that stay */
    }
    witan_record_free(r);
    witan_plan_free(p);
    witan_model_free(m);
}

/* Doubling the output matrix of one expert in the last layer leaves routing as it is and doubles what that expert adds. */
static void doubling_an_expert_of_the_last_layer_doubles_its_sums(void **state)
{
    (void)state;
    enum { CHANGED = TINY_EXPERTS - 1 };      /* one whose bytes the fingerprint samples */
    static const char lines[] = "{\"text\":\"the quick brown fox jumps over the lazy dog, and over 12 others\"}\n";
    witan_model *m = open_model(model_path);
    witan_record *before, *after;
    char *data;
    size_t n;
    assert_int_equal(profile(m, lines, (witan_profile_options){ 0 }, &before), WITAN_OK);
    const wt_tensor *t = wt_gguf_tensor(m->file, "blk.1.ffn_down_exps.weight");
    size_t each = t->bytes / TINY_EXPERTS, at = (size_t)((const uint8_t *)t->data - m->file->map.data) + CHANGED * each;
    assert_int_equal(wt_file_read(cx, model_path, (size_t)1 << 30, &data, &n), WITAN_OK);
    for (size_t i = 0; i < each; i += sizeof(float)) {
        float v;
        memcpy(&v, data + at + i, sizeof v);
        v *= 2;
        memcpy(data + at + i, &v, sizeof v);
    }
    char *path = fault_path("doubled.gguf");
    assert_int_equal(wt_file_write(cx, path, data, n), WITAN_OK);
    wt_free(cx, data);
    witan_model_free(m);
    m = open_model(path);
    assert_int_equal(profile(m, lines, (witan_profile_options){ 0 }, &after), WITAN_OK);
    assert_true(witan_record_get(before, 0, 1, CHANGED, "n") > 0);
    for (int32_t e = 0; e < TINY_EXPERTS; e++) {
        double times = e == CHANGED ? 2 : 1;
        assert_true(witan_record_get(after, 0, 1, e, "n") == witan_record_get(before, 0, 1, e, "n"));
        assert_true(witan_record_get(after, 0, 1, e, "sum_gm") == times * witan_record_get(before, 0, 1, e, "sum_gm"));
        assert_true(witan_record_get(after, 0, 0, e, "easy_ep") == witan_record_get(before, 0, 0, e, "easy_ep"));
    }
    assert_int_equal(witan_record_merge(cx, before, after), WITAN_EMISMATCH);
    witan_record_free(before);
    witan_record_free(after);
    witan_model_free(m);
}

static bool stop(void *user, const witan_progress *p) { (void)user; return p->done < 1; }

static void profiling_stops_when_asked(void **state)
{
    (void)state;
    witan_ctx *c = witan_ctx_new(&(witan_config){ .progress = stop, .threads = 1 });
    witan_model *m;
    witan_record *r;
    char *path = write_text("profile.jsonl", "{\"text\":\"one\"}\n{\"text\":\"two\"}\n");
    assert_int_equal(witan_model_open(c, model_path, NULL, &m), WITAN_OK);
    assert_int_equal(witan_profile(c, m, &(witan_profile_options){ .data = path }, &r), WITAN_ECANCELED);
    witan_model_free(m);
    witan_ctx_free(c);
}

/* ---- files that are not right ------------------------------------------------------------------------------------------ */

/* The first `find` in text replaced; free() the result. */
static char *edited(const char *text, const char *find, const char *put)
{
    const char *at = strstr(text, find);
    if (!at) fail_msg("the record holds no %s", find);
    size_t n = strlen(text) + strlen(put) + 1;
    char *s = malloc(n);
    snprintf(s, n, "%.*s%s%s", (int)(at - text), text, put, at + strlen(find));
    return s;
}

static void bad_records_are_refused_with_their_name(void **state)
{
    (void)state;
    static const struct { const char *find, *put, *say; } bad[] = {
        { "\"witan_record\":1", "\"witan_record\":2", "witan_record" }, { "\"fingerprint\":\"", "\"fingerprint\":\"zz", "64 hexadecimal digits" },
        { "\"data\":\"", "\"data\":\"0", "64 hexadecimal digits" }, { "\"experts_used\":2", "\"experts_used\":0", "experts_used" },
        { "\"experts\":3", "\"experts\":4", "layer 0 lists 3 of 4" }, { "\"experts\":3", "\"experts\":65537", "experts" },
        { "\"sum_g\":[", "\"sum_g\":[0,", "has 4 entries, expected 3" }, { "\"sum_m\":[7", "\"sum_m\":[-7", "entry 0 is not a number of 0 or more" },
        { "\"sum_m\":[7", "\"sum_m\":[null", "entry 0 is not a number" }, { "\"together\":[", "\"together\":[1,", "has 4 entries, expected 3" },
        { "\"easy_ep\":", "\"easy-ep\":", "\"easy_ep\"" }, { "\"layers\":[", "\"layers\":[],\"x\":[", "0 layers" }, { "\"tokens\":", "\"tokens\":-1,\"x\":", "tokens" },
        { "\"sum_c\":", "\"sum_c\":[],\"x\":", "sum_c" }, { "\"name\":\"hand\"", "\"name\":\"hand\",\"name\":\"hand\"", "duplicate" },
    };
    witan_record *r = by_hand(N_TOK), *back;
    char *path = fault_path("record.json"), *json;
    size_t n;
    memset(r->fingerprint, 'a', 64);
    r->model_name = wt_strdup(cx, "hand");
    assert_int_equal(witan_record_save(cx, r, path), WITAN_OK);
    assert_int_equal(wt_file_read(cx, path, 1 << 20, &json, &n), WITAN_OK);
    assert_int_equal(witan_record_load(cx, path, &back), WITAN_OK);
    witan_record_free(back);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *s = edited(json, bad[i].find, bad[i].put);
        write_text("record.json", s);
        free(s);
        if (witan_record_load(cx, path, &back) != WITAN_EFORMAT) fail_msg("%s is not refused", bad[i].put);
        if (!strstr(witan_error(cx), bad[i].say)) fail_msg("%s: \"%s\" does not say %s", bad[i].put, witan_error(cx), bad[i].say);
        if (!strstr(witan_error(cx), "record.json")) fail_msg("\"%s\" does not name the file", witan_error(cx));
    }
    for (size_t cut = 0; cut + 2 < n; cut += 7) {
        assert_int_equal(wt_file_write(cx, path, json, cut), WITAN_OK);
        assert_int_equal(witan_record_load(cx, path, &back), WITAN_EFORMAT);
    }
    assert_int_equal(witan_record_load(cx, fault_path("nowhere.json"), &back), WITAN_EIO);
    wt_free(cx, json);
    witan_record_free(r);
}

static void a_domain_that_occurs_twice_is_refused(void **state)
{
    (void)state;
    witan_record *r = by_hand(N_TOK), *back;
    wt_record_domain *d;
    char *path = fault_path("record.json"), *json, *s;
    size_t n;
    memset(r->fingerprint, 'a', 64);
    r->model_name = wt_strdup(cx, "hand");
    assert_int_equal(wt_record_domain_add(r, "second", &d), WITAN_OK);
    assert_int_equal(witan_record_save(cx, r, path), WITAN_OK);
    assert_int_equal(wt_file_read(cx, path, 1 << 20, &json, &n), WITAN_OK);
    s = edited(json, "\"second\"", "\"hand\"");
    write_text("record.json", s);
    assert_int_equal(witan_record_load(cx, path, &back), WITAN_EFORMAT);
    assert_non_null(strstr(witan_error(cx), "\"hand\" occurs twice"));
    free(s);
    wt_free(cx, json);
    witan_record_free(r);
}

/* Two domains that share nothing: ln 2. Choices 3:1 against 1:3: (3/4) ln(3/2) + (1/4) ln(1/2) = 0.130812. The same choices: 0. */
static void information_is_what_arithmetic_by_hand_gives(void **state)
{
    (void)state;
    static const struct { double a[2], b[2], want; } of[] = {
        { { 7, 0 }, { 0, 7 }, 0.693147180559945 }, { { 3, 1 }, { 1, 3 }, 0.130812035941137 }, { { 2, 6 }, { 1, 3 }, 0 },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        witan_record *r;
        wt_record_domain *a, *b;
        assert_int_equal(wt_record_new(cx, 2, (int32_t[]){ 2, 0 }, 1, &r), WITAN_OK);
        assert_int_equal(wt_record_domain_add(r, "a", &a), WITAN_OK);
        assert_int_equal(wt_record_domain_add(r, "b", &b), WITAN_OK);
        for (int e = 0; e < 2; e++) { a->layer[0].sum[e].n = of[i].a[e]; b->layer[0].sum[e].n = of[i].b[e]; }
        assert_true(fabs(witan_record_information(r, 0) - of[i].want) < 1e-14);
        assert_true(isnan(witan_record_information(r, 1)) && isnan(witan_record_information(r, 2)) && isnan(witan_record_information(r, -1)));
        assert_true(witan_record_spread(r, 0, 0.7) == 1 && witan_record_spread(r, 0, 0.9) == (i == 0 ? 1 : 2));
        assert_true(isnan(witan_record_spread(r, 2, 0.9)));
        witan_record_free(r);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(sums_are_what_arithmetic_by_hand_gives), T(batches_do_not_change_a_sum),
        T(a_token_that_is_not_turned_weighs_nothing_never_less), T(a_document_counts_its_begin_token_but_not_its_last),
        T(documents_are_recorded_one_after_another_not_joined), T(domains_and_limits_choose_documents),
        T(demonstrations_that_are_too_short_are_refused_by_name), T(a_worn_plan_leaves_dropped_experts_without_choices),
        T(doubling_an_expert_of_the_last_layer_doubles_its_sums), T(profiling_stops_when_asked), T(bad_records_are_refused_with_their_name),
        T(a_domain_that_occurs_twice_is_refused), T(information_is_what_arithmetic_by_hand_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
