/* The edit path: records, plans, applying them. Numbers are checked against arithmetic done here from the taps, files against the parent's
 * own bytes, and (where the reference data is present) everything against an independent implementation. */
#include "edit/plan.h"
#include "edit/record.h"
#include "fault.h"
#include "model/model.h"
#include "shared.h"
#include "tiny.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static witan_ctx *cx;
static fault f;
static char model_path[160], demos[160];

static int set_up(void **state)
{
    (void)state;
    f = (fault){ 0 };
    cx = fault_ctx(&f);
    strcpy(model_path, fault_path("tiny.gguf"));
    strcpy(demos, fault_path("demos.jsonl"));
    tiny_demos(demos);
    return tiny_write(cx, model_path, WT_Q8_0, 1);
}

static int tear_down(void **state) { (void)state; witan_ctx_free(cx); return f.live != 0; }
static int all_done(void **state) { (void)state; fault_folder_free(); return 0; }

static witan_model *open_model(const char *path)
{
    witan_model *m = NULL;
    if (witan_model_open(cx, path, NULL, &m)) fail_msg("%s", witan_error(cx));
    return m;
}

static witan_record *profile(const witan_model *m, const char *domain)
{
    witan_record *r = NULL;
    if (witan_profile(cx, m, &(witan_profile_options){ .data = demos, .domain = domain, .n_ctx = 64 }, &r)) fail_msg("%s", witan_error(cx));
    return r;
}

static witan_plan *plan_of(const witan_model *m, const witan_record *r, const char *score, double keep)
{
    witan_plan *p = NULL;
    if (witan_plan_make(cx, m, r, &(witan_plan_options){ .score = score, .keep = keep, .seed = 3 }, &p)) fail_msg("%s", witan_error(cx));
    return p;
}

/* ---- records -------------------------------------------------------------------------------------------------------- */

static void sums_obey_their_identities(void **state)
{
    (void)state;
    witan_model *m = open_model(model_path);
    witan_record *r = profile(m, "a");
    double tokens = (double)witan_record_tokens(r, 0);
    for (int32_t l = 0; l < TINY_LAYERS; l++) {
        const wt_record_layer *ly = r->domain[0]->layer + l;
        double n = 0, p = 0;
        for (int e = 0; e < TINY_EXPERTS; e++) {
            const wt_sums *s = ly->sum + e;
            n += s->n;
            p += s->p_all;
            assert_true(fabs(s->g - s->p) <= 1e-6 * s->p);              /* olmoe: the gate is the probability */
            assert_true(s->g * s->g <= s->g2 * s->n * (1 + 1e-9));       /* Cauchy-Schwarz */
            assert_true(s->gm * s->gm <= s->g2m2 * s->n * (1 + 1e-9));
            assert_true(s->cgm <= 2 * s->gm * (1 + 1e-9) && s->cgm >= 0);  /* c lies in [0, 2] */
            double pairs = 0;
            for (int k = 0; k < TINY_EXPERTS; k++) pairs += ly->co[e * TINY_EXPERTS + k];
            assert_true(pairs == s->n * TINY_USED);                      /* each selection meets k of its token, itself included */
            assert_true(ly->co[e * TINY_EXPERTS + e] == s->n);
        }
        assert_true(n == tokens * TINY_USED);
        assert_true(fabs(p - tokens) < 1e-4 * tokens);                   /* softmax sums to one */
    }
    witan_record_free(r);
    witan_model_free(m);
}

static void parts_add_up_to_the_whole(void **state)
{
    (void)state;
    witan_model *m = open_model(model_path);
    witan_record *a = profile(m, "a"), *b = profile(m, "b"), *all = profile(m, NULL);
    assert_int_equal(witan_record_merge(cx, a, b), WITAN_OK);
    assert_int_equal(witan_record_domains(a), 2);
    for (size_t d = 0; d < 2; d++)
        for (int32_t l = 0; l < TINY_LAYERS; l++)
            for (int32_t e = 0; e < TINY_EXPERTS; e++) {
                assert_true(witan_record_get(a, d, l, e, "n") == witan_record_get(all, d, l, e, "n"));
                assert_true(witan_record_get(a, d, l, e, "easy_ep") == witan_record_get(all, d, l, e, "easy_ep"));
            }
    assert_int_equal(witan_record_merge(cx, all, a), WITAN_OK);          /* twice the same data: twice the sums */
    assert_true(witan_record_get(all, 0, 0, 0, "n") == 2 * witan_record_get(a, 0, 0, 0, "n"));
    assert_true(isnan(witan_record_get(all, 0, 0, 0, "nonsense")) && isnan(witan_record_get(all, 9, 0, 0, "n")));
    witan_record_free(a);
    witan_record_free(b);
    witan_record_free(all);
    witan_model_free(m);
}

static void threads_do_not_change_a_record(void **state)
{
    (void)state;
    witan_model *m = open_model(model_path);
    witan_record *r[3];
    for (int i = 0; i < 3; i++) {
        witan_set_threads(cx, i + 1);
        r[i] = profile(m, NULL);
    }
    for (int i = 1; i < 3; i++)
        for (size_t d = 0; d < 2; d++)
            for (int32_t l = 0; l < TINY_LAYERS; l++)
                assert_memory_equal(r[0]->domain[d]->layer[l].sum, r[i]->domain[d]->layer[l].sum, sizeof(wt_sums) * TINY_EXPERTS);
    for (int i = 0; i < 3; i++) witan_record_free(r[i]);
    witan_model_free(m);
}

static void a_saved_record_is_read_back_exactly(void **state)
{
    (void)state;
    witan_model *m = open_model(model_path);
    witan_record *r = profile(m, NULL), *back;
    char *path = fault_path("record.json");
    assert_int_equal(witan_record_save(cx, r, path), WITAN_OK);
    assert_int_equal(witan_record_load(cx, path, &back), WITAN_OK);
    for (size_t d = 0; d < 2; d++)
        for (int32_t l = 0; l < TINY_LAYERS; l++) {
            assert_memory_equal(r->domain[d]->layer[l].sum, back->domain[d]->layer[l].sum, sizeof(wt_sums) * TINY_EXPERTS);
            assert_memory_equal(r->domain[d]->layer[l].co, back->domain[d]->layer[l].co, sizeof(double) * TINY_EXPERTS * TINY_EXPERTS);
        }
    witan_plan *p = plan_of(m, back, "easy-ep", 0.5);
    witan_plan_free(p);
    witan_record_free(r);
    witan_record_free(back);
    witan_model_free(m);
}

/* ---- plans ---------------------------------------------------------------------------------------------------------- */

static void a_plan_keeps_exactly_what_was_asked(void **state)
{
    (void)state;
    witan_model *m = open_model(model_path);
    witan_record *r = profile(m, NULL);
    witan_plan *p;
    const char *score[] = { "easy-ep", "freq", "random" };
    for (size_t i = 0; i < 3; i++)
        for (int32_t n = TINY_USED; n <= TINY_EXPERTS; n++) {
            p = plan_of(m, r, score[i], (double)n / TINY_EXPERTS);
            for (int32_t l = 0; l < TINY_LAYERS; l++) {
                int32_t kept = 0;
                for (int32_t e = 0; e < TINY_EXPERTS; e++) kept += witan_plan_keeps(p, l, e);
                assert_int_equal(kept, n);
                assert_int_equal(witan_plan_count(p, l), n);
            }
            witan_plan_free(p);
        }
    assert_int_equal(witan_plan_make(cx, m, r, &(witan_plan_options){ .score = "freq", .keep = 0.1 }, &p), WITAN_ELIMIT);
    assert_non_null(strstr(witan_error(cx), "at least 0.25"));
    assert_int_equal(witan_plan_make(cx, m, r, &(witan_plan_options){ .score = "easyep", .keep = 0.5 }, &p), WITAN_EARG);
    assert_non_null(strstr(witan_error(cx), "did you mean \"easy-ep\""));
    assert_int_equal(witan_plan_make(cx, m, NULL, &(witan_plan_options){ .score = "freq", .keep = 0.5 }, &p), WITAN_EARG);
    assert_int_equal(witan_plan_make(cx, m, r, &(witan_plan_options){ .score = "freq", .keep = 0 }, &p), WITAN_EARG);
    assert_int_equal(witan_plan_make(cx, m, r, &(witan_plan_options){ .score = "freq", .keep = NAN }, &p), WITAN_EARG);
    witan_record_free(r);
    witan_model_free(m);
}

static void plans_round_trip_and_bad_ones_are_refused(void **state)
{
    (void)state;
    witan_model *m = open_model(model_path);
    witan_record *r = profile(m, NULL);
    witan_plan *p = plan_of(m, r, "easy-ep", 0.5), *back;
    char *json, *json2;
    assert_int_equal(witan_plan_json(cx, p, &json), WITAN_OK);
    assert_int_equal(witan_plan_parse(cx, json, strlen(json), &back), WITAN_OK);
    assert_int_equal(witan_plan_json(cx, back, &json2), WITAN_OK);
    assert_string_equal(json, json2);
    assert_int_equal(witan_plan_check(cx, back, m), WITAN_OK);
    witan_plan_free(back);
    static const struct { const char *find, *put, *say; } bad[] = {
        { "\"witan_plan\":1", "\"witan_plan\":2", "witan_plan" }, { "\"gate\":\"renorm\"", "\"gate\":\"none\"", "gate" },
        { "\"experts\":8", "\"experts\":3", "layer 0" }, { "\"layer\":1", "\"layer\":7", "layer" }, { "\"keep\":[", "\"keep\":[7,", "rising order" },
        { "\"keep\":[", "\"keep\":[99,", "rising order" }, { "\"fingerprint\":\"", "\"fingerprint\":\"x", "fingerprint" }, { "]}", "", "JSON" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char copy[4096], *at = strstr(json, bad[i].find);
        assert_non_null(at);
        snprintf(copy, sizeof copy, "%.*s%s%s", (int)(at - json), json, bad[i].put, at + strlen(bad[i].find));
        assert_int_equal(witan_plan_parse(cx, copy, strlen(copy), &back), WITAN_EFORMAT);
        if (!strstr(witan_error(cx), bad[i].say)) fail_msg("\"%s\" does not say \"%s\"", witan_error(cx), bad[i].say);
    }
    for (size_t n = 0; n < strlen(json) - 3; n += 5) assert_int_equal(witan_plan_parse(cx, json, n, &back), WITAN_EFORMAT);
    witan_free(cx, json);
    witan_free(cx, json2);
    witan_plan_free(p);
    witan_record_free(r);
    witan_model_free(m);
}

static void a_plan_for_another_model_is_refused_everywhere(void **state)
{
    (void)state;
    char *other = fault_path("other.gguf"), *out = fault_path("out.gguf");
    assert_int_equal(tiny_write(cx, other, WT_Q8_0, 2), WITAN_OK);
    witan_model *m = open_model(model_path), *m2 = open_model(other);
    witan_plan *p = plan_of(m, NULL, "random", 0.5);
    witan_session *s;
    witan_record *r = profile(m, NULL);
    witan_plan *q;
    assert_int_equal(witan_plan_check(cx, p, m2), WITAN_EMISMATCH);
    assert_int_equal(witan_session_new(cx, m2, &(witan_session_options){ .plan = p }, &s), WITAN_EMISMATCH);
    assert_int_equal(witan_plan_apply(cx, m2, p, NULL, out), WITAN_EMISMATCH);
    assert_int_equal(witan_plan_make(cx, m2, r, &(witan_plan_options){ .score = "freq", .keep = 0.5 }, &q), WITAN_EMISMATCH);
    assert_false(fault_exists(out));
    witan_record_free(r);
    witan_plan_free(p);
    witan_model_free(m);
    witan_model_free(m2);
}

/* ---- applying ------------------------------------------------------------------------------------------------------- */

static void feed_all(const witan_model *m, const witan_plan *plan, float *logits, int32_t n)
{
    witan_session *s;
    if (witan_session_new(cx, m, &(witan_session_options){ .n_ctx = n, .plan = plan }, &s)) fail_msg("%s", witan_error(cx));
    witan_token tok[64];
    for (int32_t i = 0; i < n; i++) tok[i] = (witan_token){ (i * 37 + 11) % TINY_VOCAB, 0, true };
    if (witan_feed_batch(s, tok, (size_t)n)) fail_msg("%s", witan_error(cx));
    memcpy(logits, witan_logits(s, 0), (size_t)n * TINY_VOCAB * sizeof *logits);
    witan_session_free(s);
}

static void the_written_file_gives_the_bits_of_the_worn_plan(void **state)
{
    (void)state;
    enum { N = 24 };
    static float worn[N * TINY_VOCAB], written[N * TINY_VOCAB], whole[N * TINY_VOCAB];
    char *out = fault_path("out.gguf");
    witan_model *m = open_model(model_path), *small;
    witan_record *r = profile(m, NULL);
    witan_plan *p = plan_of(m, r, "easy-ep", 0.5);
    assert_int_equal(witan_plan_apply(cx, m, p, "witan specialize ...", out), WITAN_OK);
    small = open_model(out);
    feed_all(m, NULL, whole, N);
    feed_all(m, p, worn, N);
    feed_all(small, NULL, written, N);
    assert_memory_equal(worn, written, sizeof worn);
    assert_memory_not_equal(worn, whole, sizeof worn);
    witan_model_free(small);
    witan_plan_free(p);
    witan_record_free(r);
    witan_model_free(m);
}

static void blocks_of_kept_experts_are_copied_untouched(void **state)
{
    (void)state;
    char *out = fault_path("out.gguf"), name[64];
    witan_model *m = open_model(model_path), *small;
    witan_record *r = profile(m, NULL);
    witan_plan *p = plan_of(m, r, "freq", 0.375);
    assert_int_equal(witan_plan_apply(cx, m, p, NULL, out), WITAN_OK);
    small = open_model(out);
    static const char *const part[] = { "ffn_gate_inp.weight", "ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_down_exps.weight" };
    for (int32_t l = 0; l < TINY_LAYERS; l++)
        for (int i = 0; i < 4; i++) {
            const wt_tensor *a = wt_gguf_tensor(m->file, wt_layer_tensor_name(name, l, part[i])), *b = wt_gguf_tensor(small->file, name);
            size_t each = a->bytes / TINY_EXPERTS, k = 0;
            assert_int_equal(b->bytes, each * 3);
            for (int32_t e = 0; e < TINY_EXPERTS; e++)
                if (witan_plan_keeps(p, l, e)) assert_memory_equal((const uint8_t *)b->data + each * k++, (const uint8_t *)a->data + each * (size_t)e, each);
        }
    for (size_t i = 0; i < m->file->n_tensor; i++) {                     /* everything else is the same */
        const wt_tensor *a = m->file->tensor + i, *b = wt_gguf_tensor(small->file, a->name);
        if (!strstr(a->name, "ffn_gate_inp") && !strstr(a->name, "_exps")) assert_memory_equal(a->data, b->data, a->bytes);
    }
    int64_t n = 0;
    assert_int_equal(wt_gguf_int(cx, small->file, "olmoe.expert_count", true, 1, 99, &n), WITAN_OK);
    assert_int_equal(n, 3);
    witan_model_free(small);
    witan_plan_free(p);
    witan_record_free(r);
    witan_model_free(m);
}

static void provenance_grows_with_every_edit(void **state)
{
    (void)state;
    char *one = fault_path("one.gguf"), *two = fault_path("two.gguf");
    witan_model *m = open_model(model_path), *m1, *m2;
    witan_plan *p = plan_of(m, NULL, "random", 0.75), *q;
    wt_str *h;
    size_t n;
    assert_int_equal(witan_plan_apply(cx, m, p, "first", one), WITAN_OK);
    m1 = open_model(one);
    q = plan_of(m1, NULL, "random", 0.5);
    assert_int_equal(witan_plan_apply(cx, m1, q, "second", two), WITAN_OK);
    m2 = open_model(two);
    assert_int_equal(wt_gguf_strs(cx, m2->file, "witan.history", true, &h, &n), WITAN_OK);
    assert_int_equal(n, 2);
    json_t *e = json_loadb(h[1].s, h[1].n, 0, NULL);
    assert_non_null(e);
    assert_string_equal(json_string_value(json_object_get(e, "parent")), witan_model_get_info(m1)->fingerprint);
    assert_string_equal(json_string_value(json_object_get(e, "command")), "second");
    json_decref(e);
    wt_free(cx, h);
    witan_plan_free(p);
    witan_plan_free(q);
    witan_model_free(m);
    witan_model_free(m1);
    witan_model_free(m2);
}

static void keeping_everything_changes_no_tensor_and_the_original_is_never_replaced(void **state)
{
    (void)state;
    char *out = fault_path("same.gguf");
    witan_model *m = open_model(model_path), *same;
    witan_plan *p = plan_of(m, NULL, "random", 1);
    assert_int_equal(witan_plan_apply(cx, m, p, NULL, out), WITAN_OK);
    same = open_model(out);
    for (size_t i = 0; i < m->file->n_tensor; i++) assert_memory_equal(m->file->tensor[i].data, same->file->tensor[i].data, m->file->tensor[i].bytes);
    assert_int_equal(witan_plan_apply(cx, m, p, NULL, model_path), WITAN_EARG);
    assert_int_equal(witan_plan_apply(cx, m, p, NULL, "/proc/none/x.gguf"), WITAN_EIO);
    witan_model_free(same);
    witan_plan_free(p);
    witan_model_free(m);
}

/* Different counts per layer, given by a plan written by hand. */
static void ragged_plans_are_written_and_read(void **state)
{
    (void)state;
    enum { N = 16 };
    static float worn[N * TINY_VOCAB], written[N * TINY_VOCAB];
    char json[1024], *out = fault_path("ragged.gguf");
    witan_model *m = open_model(model_path), *small;
    witan_plan *p;
    snprintf(json, sizeof json, "{\"witan_plan\":1,\"model\":{\"name\":\"tiny\",\"arch\":\"olmoe\",\"fingerprint\":\"%s\"},\"method\":{\"name\":\"hand\",\"options\":\"\"},"
             "\"gate\":\"renorm\",\"keep\":0.5,\"seed\":0,\"calibration\":{\"digest\":\"\",\"domains\":\"\",\"documents\":0,\"tokens\":0},\"layers\":["
             "{\"layer\":0,\"experts\":8,\"keep\":[1,2,5]},{\"layer\":1,\"experts\":8,\"keep\":[0,1,3,4,6,7]}]}", witan_model_get_info(m)->fingerprint);
    if (witan_plan_parse(cx, json, strlen(json), &p)) fail_msg("%s", witan_error(cx));
    assert_int_equal(witan_plan_apply(cx, m, p, NULL, out), WITAN_OK);
    small = open_model(out);
    assert_int_equal(witan_model_experts(small, 0), 3);
    assert_int_equal(witan_model_experts(small, 1), 6);
    feed_all(m, p, worn, N);
    feed_all(small, NULL, written, N);
    assert_memory_equal(worn, written, sizeof worn);
    witan_model_free(small);
    witan_plan_free(p);
    witan_model_free(m);
}

static void gate_keep_leaves_gates_and_cannot_be_written_for_olmoe(void **state)
{
    (void)state;
    char *out = fault_path("keep.gguf");
    witan_model *m = open_model(model_path);
    witan_plan *p;
    assert_int_equal(witan_plan_make(cx, m, NULL, &(witan_plan_options){ .score = "random", .keep = 0.5, .gate = WITAN_GATE_KEEP }, &p), WITAN_OK);
    assert_int_equal(witan_plan_apply(cx, m, p, NULL, out), WITAN_EUNSUPPORTED);
    assert_false(fault_exists(out));
    witan_plan_free(p);
    witan_model_free(m);
}

/* ---- against an independent implementation --------------------------------------------------------------------------- */

static const char *first_lines(const char *from, const char *to, int first, int last)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    static char line[1 << 20];
    assert_true(in && out);
    for (int i = 0; fgets(line, sizeof line, in); i++) if (i >= first && i < last) fputs(line, out);
    fclose(in);
    fclose(out);
    return to;
}

static void compare_plan(const witan_model *m, const witan_record *r, json_t *d, const char *score, double keep, const char *test)
{
    char key[40];
    size_t l, i;
    json_t *layer, *e;
    snprintf(key, sizeof key, "%s %g", score, keep);
    witan_plan *p = plan_of(m, r, score, keep);
    json_array_foreach(json_object_get(json_object_get(d, "kept"), key), l, layer)
        json_array_foreach(layer, i, e)
            if (!witan_plan_keeps(p, (int32_t)l, (int32_t)json_integer_value(e))) fail_msg("%s: layer %zu: expert %d should stay", key, l, (int)json_integer_value(e));
    witan_eval_result *res;
    if (witan_eval(cx, m, &(witan_eval_options){ .jsonl = test, .n_ctx = 256, .plan = p }, &res)) fail_msg("%s", witan_error(cx));
    double ppl = res->row[res->n_row - 1].perplexity, want = json_number_value(json_object_get(json_object_get(d, "perplexity"), key));
    if (fabs(ppl / want - 1) > 1e-3) fail_msg("%s: perplexity %.4f, expected %.4f", key, ppl, want);
    witan_eval_free(cx, res);
    witan_plan_free(p);
}

/* Demonstrations are the first ten test documents of a domain, perplexity is over the next thirty. */
static void compare_domain(const witan_model *m, const char *name, json_t *d)
{
    char from[512], part[64], domain_demos[160], test[160];
    static const char *const sum[] = { "n", "sum_g", "sum_m", "sum_gm", "easy_ep" };
    witan_record *r;
    snprintf(part, sizeof part, "corpora/%s.test.jsonl", name);
    shared_path(from, part);
    strcpy(domain_demos, first_lines(from, fault_path("ref-demos.jsonl"), 0, 10));
    strcpy(test, first_lines(from, fault_path("ref-test.jsonl"), 10, 40));
    if (witan_profile(cx, m, &(witan_profile_options){ .data = domain_demos, .n_ctx = 256 }, &r)) fail_msg("%s", witan_error(cx));
    assert_int_equal(witan_record_tokens(r, 0), json_integer_value(json_object_get(d, "demonstration_tokens")));
    for (size_t s = 0; s < 5; s++)
        for (int32_t l = 0; l < 4; l++)
            for (int32_t e = 0; e < 32; e++) {
                double want = json_number_value(json_array_get(json_array_get(json_object_get(json_object_get(d, "record"), sum[s]), (size_t)l), (size_t)e));
                double have = witan_record_get(r, 0, l, e, sum[s]);
                if (s == 0 ? have != want : fabs(have - want) > 1e-4 * fabs(want) + 1e-9)
                    fail_msg("%s: %s of layer %d, expert %d is %.9g, expected %.9g", name, sum[s], l, e, have, want);
            }
    compare_plan(m, r, d, "easy-ep", 0.5, test);
    compare_plan(m, r, d, "freq", 0.5, test);
    witan_record_free(r);
}

static void record_plans_and_perplexities_match_the_reference(void **state)
{
    (void)state;
    char model[512], rec[512];
    const char *name;
    json_t *d;
    SKIP_WITHOUT(shared_path(model, "models/domains-28m-F16.gguf"));
    SKIP_WITHOUT(shared_path(rec, "models/record.json"));
    witan_set_threads(cx, 2);
    cx->exact = true;                            /* another implementation's numbers */
    json_t *all = json_load_file(rec, 0, NULL);
    witan_model *m = open_model(model);
#if defined(__SANITIZE_ADDRESS__)
    const char *only = "wiki";                    /* sanitizers make this fifty times slower; one domain takes every path */
#else
    const char *only = NULL;
#endif
    json_object_foreach(json_object_get(all, "domains"), name, d)
        if (!only || !strcmp(only, name)) compare_domain(m, name, d);
    json_decref(all);
    witan_model_free(m);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(sums_obey_their_identities), T(parts_add_up_to_the_whole), T(threads_do_not_change_a_record), T(a_saved_record_is_read_back_exactly),
        T(a_plan_keeps_exactly_what_was_asked), T(plans_round_trip_and_bad_ones_are_refused), T(a_plan_for_another_model_is_refused_everywhere),
        T(the_written_file_gives_the_bits_of_the_worn_plan), T(blocks_of_kept_experts_are_copied_untouched), T(provenance_grows_with_every_edit),
        T(keeping_everything_changes_no_tensor_and_the_original_is_never_replaced), T(ragged_plans_are_written_and_read),
        T(gate_keep_leaves_gates_and_cannot_be_written_for_olmoe), T(record_plans_and_perplexities_match_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, all_done);
}
