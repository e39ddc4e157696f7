/* A trained model of 28 million weights against numbers computed by an independent implementation: token ids, logits, routing, greedy
 * text, perplexity. The files are described in the README beside them; without them these tests are skipped.
 * Perplexity of all seven domains takes minutes and is measured when WITAN_LONG_TESTS=1, else that of the two smallest. */
#include "gold.h"
#include "shared.h"

#include "base/file.h"
#include "base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N_GREEDY = 24, N_FIRST = 32, N_TOP = 10 };

/* noise: what rounding the weights to Q8_0 does to the logits of a prompt (root mean square), where activations are rounded likewise; 0:
 * everything must be exact. */
typedef struct reference { witan_ctx *cx; witan_model *m; json_t *all; const json_t *of; const char *type; double noise; int flips; } reference;

/* Opens the model of one type with what is expected of it; NULL files mean skip. */
static void reference_open(reference *r, const char *type, const char *tier, bool exact)
{
    char model[512], expected[512], name[64], *text;
    size_t n;
    snprintf(name, sizeof name, "models/domains-28m-%s.gguf", type);
    SKIP_WITHOUT(shared_path(model, name));
    SKIP_WITHOUT(shared_path(expected, "models/expected.json"));
    *r = (reference){ .cx = witan_ctx_new(&(witan_config){ .tier = tier, .exact = exact }), .type = type };
    assert_non_null(r->cx);
    if (wt_file_read(r->cx, expected, 1 << 24, &text, &n) != WITAN_OK) fail_msg("%s", witan_error(r->cx));
    if (wt_json_parse(r->cx, text, n, expected, &r->all) != WITAN_OK) fail_msg("%s", witan_error(r->cx));
    witan_free(r->cx, text);
    r->of = json_object_get(r->all, type);
    if (witan_model_open(r->cx, model, NULL, &r->m) != WITAN_OK) fail_msg("%s", witan_error(r->cx));
}

static void reference_close(reference *r)
{
    json_decref(r->all);
    witan_model_free(r->m);
    witan_ctx_free(r->cx);
}

static int32_t at_int(const json_t *list, size_t i) { return (int32_t)json_integer_value(json_array_get(list, i)); }
static double at_num(const json_t *list, size_t i) { return json_number_value(json_array_get(list, i)); }

/* ---- one prompt --------------------------------------------------------------------------------------------------------------- */

static void check_ids(const reference *r, const json_t *prompt, const int32_t *ids, size_t n)
{
    const json_t *expected = json_object_get(prompt, "ids");
    (void)r;
    assert_int_equal(n, json_array_size(expected));
    for (size_t i = 0; i < n; i++)
        if (ids[i] != at_int(expected, i)) fail_msg("token %zu is %d, expected %d", i, ids[i], at_int(expected, i));
}

static void check_logit(const reference *r, const float *logits, int32_t id, double expected)
{
    if (!(fabs(logits[id] - expected) <= 1e-3))
        fail_msg("%s, %s: logit of token %d is %.6f, expected %.6f", r->type, wt_tier_name(r->m->k.tier), id, logits[id], expected);
}

static double rms(const json_t *a, const json_t *b)
{
    double sum = 0;
    for (size_t i = 0; i < N_FIRST; i++) sum += (at_num(a, i) - at_num(b, i)) * (at_num(a, i) - at_num(b, i)) / N_FIRST;
    return sqrt(sum);
}

/* Rounding activations to bytes shakes the logits less than rounding the weights did, except where it turns a choice between two experts that
 * were nearly equal: such prompts are counted. */
static void check_rounded(reference *r, const json_t *prompt, const float *logits)
{
    const json_t *first = json_object_get(prompt, "last_logits_first_32");
    json_t *found = json_array();
    for (size_t i = 0; i < N_FIRST; i++) json_array_append_new(found, json_real((double)logits[i]));
    double off = rms(found, first);
    json_decref(found);
    r->flips += off > r->noise;
    if (!(off <= 4 * r->noise)) fail_msg("%s, %s: logits are off by %.5f, the noise of %s is %.5f", r->type, wt_tier_name(r->m->k.tier), off, r->type, r->noise);
}

static void check_logits(reference *r, const json_t *prompt, const float *logits)
{
    if (r->noise > 0) { check_rounded(r, prompt, logits); return; }
    const json_t *first = json_object_get(prompt, "last_logits_first_32"), *top = json_object_get(prompt, "top10");
    assert_int_equal(json_array_size(first), N_FIRST);
    assert_int_equal(json_array_size(top), N_TOP);
    for (size_t i = 0; i < N_FIRST; i++) check_logit(r, logits, (int32_t)i, at_num(first, i));
    for (size_t i = 0; i < N_TOP; i++) check_logit(r, logits, at_int(json_array_get(top, i), 0), at_num(json_array_get(top, i), 1));
}

/* Experts in falling order of gate; neighbours whose gates are closer than 1e-5 may stand in either order. */
static void check_layer(const reference *r, const json_t *expected, const gold_route *found, int32_t layer)
{
    const json_t *experts = json_object_get(expected, "experts"), *weights = json_object_get(expected, "weights");
    size_t n = json_array_size(experts);
    assert_int_equal(found->n, n);
    for (size_t i = 0; i < n; i++) {
        size_t j = i;
        for (size_t k = 0; k < n; k++)
            if (at_int(experts, k) == found->expert[i] && fabs(at_num(weights, k) - at_num(weights, i)) < 1e-5) j = k;
        if (at_int(experts, j) != found->expert[i])
            fail_msg("%s, layer %d: choice %zu is expert %d, expected %d", r->type, layer, i, found->expert[i], at_int(experts, i));
        if (!(fabs(found->weight[i] - at_num(weights, j)) <= 1e-4))
            fail_msg("%s, layer %d: gate of expert %d is %.6f, expected %.6f", r->type, layer, found->expert[i], found->weight[i], at_num(weights, j));
    }
}

/* Continues greedily. Where the two best logits are closer than the tolerance either may follow, and the rest is another text. */
static void check_greedy(const reference *r, const json_t *prompt, witan_session *s)
{
    const json_t *expected = json_object_get(prompt, "greedy_24");
    size_t n_vocab = (size_t)witan_model_get_info(r->m)->n_vocab;
    assert_int_equal(json_array_size(expected), N_GREEDY);
    for (size_t i = 0; i < N_GREEDY; i++) {
        const float *x = witan_logits(s, 0);
        int32_t best = 0, want = at_int(expected, i);
        for (size_t v = 1; v < n_vocab; v++) if (x[v] > x[best]) best = (int32_t)v;
        if (best != want && x[best] - x[want] <= fmax(2e-3, 4 * r->noise)) return;
        if (best != want) fail_msg("%s: greedy token %zu is %d (%.6f), expected %d (%.6f)", r->type, i, best, x[best], want, x[want]);
        if (witan_feed(s, 0, &best, 1) != WITAN_OK) fail_msg("%s", witan_error(r->cx));
    }
}

static void check_prompt(reference *r, const json_t *prompt)
{
    const char *text = json_string_value(json_object_get(prompt, "text"));
    const json_t *routing = json_object_get(prompt, "routing_last_token");
    gold_watch w = { 0 };
    wt_observer o = gold_observer(&w);
    witan_session *s;
    int32_t *ids;
    size_t n;
    if (witan_tokenize(r->cx, r->m, text, strlen(text), WITAN_TOK_BOS, &ids, &n) != WITAN_OK) fail_msg("%s", witan_error(r->cx));
    check_ids(r, prompt, ids, n);
    witan_token *tok = calloc(n, sizeof *tok);
    for (size_t i = 0; i < n; i++) tok[i] = (witan_token){ ids[i], 0, i + 1 == n };
    witan_session_options so = { .kv_type = WITAN_KV_F32 };                  /* what rounding keys and values does is measured below */
    if (witan_session_new(r->cx, r->m, &so, &s) != WITAN_OK || wt_session_feed(s, tok, n, &o, 1) != WITAN_OK) fail_msg("%s", witan_error(r->cx));
    check_logits(r, prompt, witan_logits(s, 0));
    assert_int_equal(json_array_size(routing), witan_model_get_info(r->m)->n_layer);
    for (size_t l = 0; r->noise == 0 && l < json_array_size(routing); l++) check_layer(r, json_array_get(routing, l), w.last + l, (int32_t)l);
    check_greedy(r, prompt, s);
    free(tok);
    witan_free(r->cx, ids);
    witan_session_free(s);
}

static void check_prompts(const char *type)
{
    for (int way = 0; way < 2 * WT_N_TIER; way++) {                          /* each tier, exact and rounding */
        wt_tier tier = (wt_tier)(way / 2);
        if (!wt_tier_here(tier)) continue;
        reference r;
        size_t i;
        json_t *prompt;
        reference_open(&r, type, wt_tier_name(tier), way % 2);
        const json_t *prompts = json_object_get(r.of, "prompts");
        assert_int_equal(json_array_size(prompts), 7);
        const json_t *full = json_object_get(json_object_get(r.all, "F16"), "prompts");
        json_array_foreach(prompts, i, prompt) {
            bool rounds = r.m->k.qmul[r.m->layer[0].wq->type] != NULL;
            r.noise = rounds ? rms(json_object_get(json_array_get(full, i), "last_logits_first_32"), json_object_get(prompt, "last_logits_first_32")) : 0;
            check_prompt(&r, prompt);
        }
        if (r.flips > 3) fail_msg("%s, %s: %d of 7 prompts differ by more than the noise of the weights", type, wt_tier_name(tier), r.flips);
        reference_close(&r);
    }
}

static void ids_logits_routing_and_greedy_text_match_in_f16(void **state) { (void)state; check_prompts("F16"); }
static void ids_logits_routing_and_greedy_text_match_in_q8_0(void **state) { (void)state; check_prompts("Q8_0"); }

/* ---- perplexity ------------------------------------------------------------------------------------------------------------------ */

/* False where the corpus is absent. */
static bool check_perplexity(const reference *r, const char *domain, const json_t *expected, witan_kv kv, double *found)
{
    char name[64], corpus[512];
    witan_eval_result *e;
    snprintf(name, sizeof name, "corpora/%s.test.jsonl", domain);
    if (access(shared_path(corpus, name), R_OK)) return false;
    witan_eval_options o = { .jsonl = corpus, .n_ctx = 256, .kv_type = (int32_t)kv };
    if (witan_eval(r->cx, r->m, &o, &e) != WITAN_OK) fail_msg("%s: %s", domain, witan_error(r->cx));
    const witan_eval_row *all = e->row + e->n_row - 1;
    double ppl = json_number_value(json_object_get(expected, "ppl"));
    if (all->tokens != json_integer_value(json_object_get(expected, "tokens")))
        fail_msg("%s, %s: %lld tokens, expected %lld", r->type, domain, (long long)all->tokens, (long long)json_integer_value(json_object_get(expected, "tokens")));
    if (!(fabs(all->perplexity / ppl - 1) <= 1e-3)) fail_msg("%s, %s: perplexity %.5f, expected %.5f", r->type, domain, all->perplexity, ppl);
    if (!(all->ppl_lo < ppl && ppl < all->ppl_hi)) fail_msg("%s, %s: interval %.3f to %.3f around %.3f", r->type, domain, all->ppl_lo, all->ppl_hi, ppl);
    *found = all->perplexity;
    witan_eval_free(r->cx, e);
    return true;
}

static void check_domains(const char *type)
{
    const char *domain, *asked = getenv("WITAN_LONG_TESTS");
    bool every = asked && !strcmp(asked, "1");
    json_t *expected;
    reference r;
    int n = 0;
    bool absent = false;
    reference_open(&r, type, NULL, true);
    json_object_foreach(json_object_get(r.of, "perplexity"), domain, expected) {
        if (!every && json_integer_value(json_object_get(expected, "tokens")) > 5000) continue;
        absent |= !check_perplexity(&r, domain, expected, WITAN_KV_AUTO, &(double){ 0 });
        n++;
    }
    assert_int_equal(n, every ? 7 : 2);
    reference_close(&r);
    if (absent) skip();
}

static void perplexity_of_whole_corpora_matches_in_f16(void **state) { (void)state; check_domains("F16"); }
static void perplexity_of_whole_corpora_matches_in_q8_0(void **state) { (void)state; check_domains("Q8_0"); }

/* Every tier, rounding as it does by default, beside plain C on floats: perplexities of the domains that check_domains would take. */
static void tiers_keep_perplexity_within_a_twentieth_of_a_per_cent(void **state)
{
    (void)state;
    double exact[7] = { 0 };
    for (int way = 0; way <= WT_N_TIER; way++) {                             /* first plain C on floats */
        wt_tier tier = (wt_tier)(way ? way - 1 : 0);
        const char *asked = getenv("WITAN_LONG_TESTS"), *domain;
        json_t *expected;
        reference r;
        int d = 0;
        if (!wt_tier_here(tier)) continue;
        reference_open(&r, "Q8_0", wt_tier_name(tier), !way);
        json_object_foreach(json_object_get(r.of, "perplexity"), domain, expected) {
            double ppl;
            if (!(asked && !strcmp(asked, "1")) && json_integer_value(json_object_get(expected, "tokens")) > 5000) continue;
            if (!check_perplexity(&r, domain, expected, WITAN_KV_F32, &ppl)) { reference_close(&r); skip(); }
            if (!way) exact[d] = ppl;
            double off = ppl / exact[d++] - 1;
            if (!(fabs(off) <= 5e-4)) fail_msg("%s, %s: perplexity %.5f, %.4f %% off", wt_tier_name(tier), domain, ppl, 100 * off);
            if (getenv("WITAN_PRINT")) print_message("%s%s, %s: %.5f (%+.4f %%)\n", wt_tier_name(tier), way ? "" : ", exact", domain, ppl, 100 * off);
        }
        reference_close(&r);
    }
}

/* Keys and values as F16 and as Q8_0 beside floats, everything else exact: a change of choice between experts that were nearly equal is most of it. */
static void the_cache_keeps_perplexity_within_a_tenth_of_a_per_cent(void **state)
{
    static const char *const name[] = { [WITAN_KV_F32] = "F32", [WITAN_KV_F16] = "F16", [WITAN_KV_Q8_0] = "Q8_0" };
    (void)state;
    reference r;
    json_t *expected;
    const char *domain;
    reference_open(&r, "F16", NULL, true);
    json_object_foreach(json_object_get(r.of, "perplexity"), domain, expected) {
        double ppl, plain = 0;
        if (json_integer_value(json_object_get(expected, "tokens")) > 5000) continue;
        for (int kv = WITAN_KV_F32; kv <= WITAN_KV_Q8_0; kv++) {
            if (!check_perplexity(&r, domain, expected, (witan_kv)kv, &ppl)) { reference_close(&r); skip(); }
            if (kv == WITAN_KV_F32) plain = ppl;
            if (!(fabs(ppl / plain - 1) <= 1e-3)) fail_msg("%s, %s: perplexity %.5f, %.4f %% off", name[kv], domain, ppl, 100 * (ppl / plain - 1));
            if (getenv("WITAN_PRINT")) print_message("cache %s, %s: %.5f (%+.4f %%)\n", name[kv], domain, ppl, 100 * (ppl / plain - 1));
        }
    }
    reference_close(&r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_logits_routing_and_greedy_text_match_in_f16),
        cmocka_unit_test(ids_logits_routing_and_greedy_text_match_in_q8_0),
        cmocka_unit_test(perplexity_of_whole_corpora_matches_in_f16),
        cmocka_unit_test(perplexity_of_whole_corpora_matches_in_q8_0),
        cmocka_unit_test(tiers_keep_perplexity_within_a_twentieth_of_a_per_cent),
        cmocka_unit_test(the_cache_keeps_perplexity_within_a_tenth_of_a_per_cent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
