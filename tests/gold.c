/* See gold.h. */
#include "gold.h"

#include "base/file.h"
#include "base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char *const gold_names[] = {
    "olmoe", "qwen3moe", "qwen3moe-f16", "qwen3moe-bf16", "qwen3moe-q8_0", "olmoe-q4_0",
    "qwen2moe", "qwen2moe-60", "qwen2moe-dense1", "qwen2moe-q8_0", "qwen2moe-q6_k",
    "mixtral", "mixtral-all", "mixtral-q5_0", "mixtral-q4_k",
    "llama", "llama-3", "llama-linear", "llama-q4_1", "qwen2", "qwen2-q4_0", "qwen3", "qwen3-yarn", "qwen3-q6_k", NULL };

/* ---- reading -------------------------------------------------------------------------------------------------------- */

static char *slurp(witan_ctx *cx, const char *name, const char *end, size_t *n)
{
    char path[64], *data;
    snprintf(path, sizeof path, "tests/gold/%s.%s", name, end);
    if (wt_file_read(cx, path, 1 << 20, &data, n) != WITAN_OK) fail_msg("%s", witan_error(cx));
    return data;
}

static int32_t *numbers(const json_t *list, size_t *n)
{
    *n = json_array_size(list);
    int32_t *v = malloc((*n + 1) * sizeof *v);
    for (size_t i = 0; i < *n; i++) v[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return v;
}

static void routes(const json_t *list, gold_route *out)
{
    size_t n_layer = json_array_size(list);
    assert_in_range(n_layer, 1, GOLD_LAYERS);
    for (size_t l = 0; l < n_layer; l++) {
        const json_t *o = json_array_get(list, l), *e = json_object_get(o, "experts"), *w = json_object_get(o, "weights");
        out[l].n = (int32_t)json_array_size(e);
        assert_in_range(out[l].n, 0, GOLD_USED);
        assert_int_equal(json_array_size(w), out[l].n);
        for (size_t i = 0; i < (size_t)out[l].n; i++) {
            out[l].expert[i] = (int32_t)json_integer_value(json_array_get(e, i));
            out[l].weight[i] = (float)json_number_value(json_array_get(w, i));
        }
    }
}

static void sequences(gold *g, const json_t *list, size_t n_floats)
{
    size_t at = 0;
    g->n_seq = json_array_size(list);
    assert_in_range(g->n_seq, 1, GOLD_SEQ);
    for (size_t i = 0; i < g->n_seq; i++) {
        const json_t *o = json_array_get(list, i), *routing = json_object_get(o, "routing");
        gold_seq *s = g->seq + i;
        s->ids = numbers(json_object_get(o, "ids"), &s->n);
        s->first = (size_t)json_integer_value(json_object_get(o, "first"));
        s->logits = g->logits + at;
        assert_true(s->n > s->first);
        at += (s->n - s->first) * g->n_vocab;
        g->n_layer = json_array_size(routing);
        routes(routing, s->last);
    }
    assert_int_equal(at, n_floats);
}

void gold_open(gold *g, const char *name)
{
    witan_ctx *cx = witan_ctx_new(NULL);
    json_t *o;
    size_t n, bytes;
    *g = (gold){ 0 };
    assert_non_null(cx);
    snprintf(g->model, sizeof g->model, "tests/gold/%s.gguf", name);
    char *text = slurp(cx, name, "json", &n), *raw = slurp(cx, name, "logits", &bytes);
    if (wt_json_parse(cx, text, n, name, &o) != WITAN_OK) fail_msg("%s", witan_error(cx));
    g->text = strdup(json_string_value(json_object_get(o, "text")));
    g->text_ids = numbers(json_object_get(o, "text_ids"), &g->n_text);
    g->n_vocab = (size_t)json_integer_value(json_object_get(o, "n_vocab"));
    g->logits = malloc(bytes);
    memcpy(g->logits, raw, bytes);
    sequences(g, json_object_get(o, "sequences"), bytes / sizeof *g->logits);
    json_decref(o);
    witan_free(cx, text);
    witan_free(cx, raw);
    witan_ctx_free(cx);
}

void gold_free(gold *g)
{
    for (size_t i = 0; i < g->n_seq; i++) free(g->seq[i].ids);
    free(g->text);
    free(g->text_ids);
    free(g->logits);
    *g = (gold){ 0 };
}

/* ---- comparing ------------------------------------------------------------------------------------------------------- */

static wt_status see(void *user, wt_ctx *cx, const wt_tap_event *e)
{
    gold_watch *w = user;
    const wt_route *rt = e->route;
    (void)cx;
    assert_in_range(e->layer, 0, GOLD_LAYERS - 1);
    for (int32_t t = 0; t < e->n_tok; t++) {
        gold_route *r = w->last + e->layer;
        if (e->token_seq[t] != w->seq) continue;
        r->n = rt->tok_off[t + 1] - rt->tok_off[t];
        assert_in_range(r->n, 1, GOLD_USED);
        memcpy(r->expert, rt->expert + rt->tok_off[t], (size_t)r->n * sizeof *r->expert);
        memcpy(r->weight, rt->weight + rt->tok_off[t], (size_t)r->n * sizeof *r->weight);
    }
    return WITAN_OK;
}

wt_observer gold_observer(gold_watch *w) { return (wt_observer){ .taps = 1u << WT_TAP_ROUTE, .see = see, .user = w }; }

void gold_check_route(const char *where, const gold_route *found, const gold_route *expected, float tolerance)
{
    if (found->n != expected->n) fail_msg("%s: %d experts, expected %d", where, found->n, expected->n);
    for (int32_t i = 0; i < expected->n; i++) {
        if (found->expert[i] != expected->expert[i])
            fail_msg("%s: choice %d is expert %d, expected %d", where, i, found->expert[i], expected->expert[i]);
        if (!(fabsf(found->weight[i] - expected->weight[i]) <= tolerance))
            fail_msg("%s: weight of expert %d is %.8g, expected %.8g", where, found->expert[i], found->weight[i], expected->weight[i]);
    }
}

void gold_check_row(const char *where, const float *found, const float *expected, size_t n, float tolerance)
{
    size_t worst = 0;
    float most = -1;
    if (!found) fail_msg("%s: no logits", where);
    if (tolerance == 0 && !memcmp(found, expected, n * sizeof *found)) return;
    for (size_t i = 0; i < n; i++) {
        float d = fabsf(found[i] - expected[i]);
        if (!(d <= most)) { most = d; worst = i; }           /* NaN counts as worst */
        if (isnan(d)) break;
    }
    if (tolerance == 0) fail_msg("%s: other bits, by up to %g (value %zu: %.9g, expected %.9g)", where, most, worst, found[worst], expected[worst]);
    if (!(most <= tolerance))
        fail_msg("%s: value %zu is %.9g, expected %.9g (off by %g, allowed %g)", where, worst, found[worst], expected[worst], most, tolerance);
}
