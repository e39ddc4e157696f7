/* The route pipeline, stage by stage, against arithmetic done by hand. The router matrix is the identity, so a token's values are its logits. */
#include "fault.h"
#include "moe/router.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 80 };
static const float TOLERANCE = 1e-6f;

static witan_ctx *cx;
static fault f;
static wt_arena arena;
static wt_kernels kernels;

static int set_up(void **state)
{
    (void)state;
    f = (fault){ 0 };
    cx = fault_ctx(&f);
    if (!cx) return 1;
    wt_arena_init(&arena, cx, 1 << 16);
    wt_kernels_init(&kernels, WT_TIER_REF, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    wt_arena_free(&arena);
    witan_ctx_free(cx);
    return f.live != 0;
}

/* ---- running the pipeline ---------------------------------------------------------------------------------------------- */

static const struct { int32_t k; } as_trained = { 0 };

static wt_route_spec spec_of(wt_activation activation, int32_t n_used)
{
    const wt_method *topk;
    assert_int_equal(wt_method_find(cx, WT_KIND_ROUTER, "topk", &topk), WITAN_OK);
    return (wt_route_spec){ .activation = activation, .select = topk, .select_opt = &as_trained, .n_used = n_used, .scale = 1 };
}

static wt_tensor matrix(float *data, int64_t rows, int64_t cols)
{
    size_t n = (size_t)(rows * cols);
    return (wt_tensor){ .name = "test", .type = WT_F32, .n_dim = 2, .shape = { rows, cols, 1, 1 }, .n = n, .bytes = n * sizeof *data, .data = data, .f32 = data };
}

typedef struct call { const float *bias; const wt_mask *mask; int32_t layer; const wt_observer *obs; } call;

static wt_status run_with(const wt_route_spec *spec, float *logit, int32_t n_tok, int32_t n_exp, call c, wt_route **out)
{
    static float identity[MOST * MOST];
    memset(identity, 0, sizeof identity);
    for (int32_t e = 0; e < n_exp; e++) identity[e * n_exp + e] = 1;
    wt_tensor x = matrix(logit, n_tok, n_exp), w = matrix(identity, n_exp, n_exp), b = { 0 };
    if (c.bias) b = (wt_tensor){ .type = WT_F32, .n_dim = 1, .shape = { n_exp, 1, 1, 1 }, .n = (size_t)n_exp, .data = c.bias };
    wt_run r = { .cx = cx, .k = &kernels, .a = &arena, .layer = c.layer, .obs = c.obs, .n_obs = c.obs ? 1 : 0 };
    return wt_route_run(&r, spec, &x, &w, c.bias ? &b : NULL, c.mask, out);
}

static wt_route *route(const wt_route_spec *spec, float *logit, int32_t n_tok, int32_t n_exp, call c)
{
    wt_route *rt;
    if (run_with(spec, logit, n_tok, n_exp, c, &rt) != WITAN_OK) fail_msg("%s", witan_error(cx));
    return rt;
}

/* The pairs of one token are exactly these, in this order. */
static void check(const wt_route *rt, int32_t t, int32_t n, const int32_t *expert, const float *weight)
{
    int32_t at = rt->tok_off[t];
    if (rt->tok_off[t + 1] - at != n) fail_msg("token %d: %d experts, expected %d", t, rt->tok_off[t + 1] - at, n);
    for (int32_t i = 0; i < n; i++) {
        if (rt->expert[at + i] != expert[i]) fail_msg("token %d: choice %d is expert %d, expected %d", t, i, rt->expert[at + i], expert[i]);
        if (!(fabsf(rt->weight[at + i] - weight[i]) <= TOLERANCE))
            fail_msg("token %d: weight %d is %.8g, expected %.8g", t, i, rt->weight[at + i], weight[i]);
    }
}

#define CHECK(rt, t, n, experts, ...) check(rt, t, n, (const int32_t[])experts, (const float[])__VA_ARGS__)
#define LIST(...) { __VA_ARGS__ }

/* ln 1 .. ln 4 and such: their exponentials are whole numbers, so a softmax is a fraction. */
static float ln(double x) { return (float)log(x); }

/* ---- activation and selection -------------------------------------------------------------------------------------------- */

static void softmax_runs_over_all_experts_before_the_choice(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 2);
    float x[8] = { ln(1), ln(4), ln(2), ln(3), ln(7), ln(1), ln(1), ln(1) };
    wt_route *rt = route(&s, x, 2, 4, (call){ 0 });
    CHECK(rt, 0, 2, LIST(1, 3), { 0.4f, 0.3f });
    CHECK(rt, 1, 2, LIST(0, 1), { 0.7f, 0.1f });
    assert_int_equal(rt->n_pair, 4);
}

static void sigmoid_weighs_each_expert_by_itself(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SIGMOID, 2);
    float x[4] = { ln(1), ln(3), ln(9), ln(0.25) };      /* 1/2, 3/4, 9/10, 1/5 */
    CHECK(route(&s, x, 1, 4, (call){ 0 }), 0, 2, LIST(2, 1), { 0.9f, 0.75f });
}

static void softmax_of_the_chosen_leaves_the_others_out_of_the_sum(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_NONE, 2);
    float x[4] = { ln(1), ln(6), ln(2), ln(5) };
    CHECK(route(&s, x, 1, 4, (call){ 0 }), 0, 2, LIST(1, 3), { 6.0f / 11, 5.0f / 11 });
}

static void sqrt_softplus_is_the_root_of_ln_1_plus_e_to_the_logit(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SQRT_SOFTPLUS, 3);
    float x[4] = { -100, 50, 0, ln(M_E * M_E - 1) };     /* 0, sqrt 50, sqrt ln 2, sqrt 2 */
    CHECK(route(&s, x, 1, 4, (call){ 0 }), 0, 3, LIST(1, 3, 2), { sqrtf(50), sqrtf(2), sqrtf(logf(2)) });
}

static void ties_go_to_the_lower_id(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 3);
    float x[10] = { 0, 0, 0, 0, 0, ln(1), ln(2), ln(3), ln(2), ln(2) };
    wt_route *rt = route(&s, x, 2, 5, (call){ 0 });
    CHECK(rt, 0, 3, LIST(0, 1, 2), { 0.2f, 0.2f, 0.2f });
    CHECK(rt, 1, 3, LIST(2, 1, 3), { 0.3f, 0.2f, 0.2f });
}

static void more_than_64_experts_are_all_in_reach_and_never_chosen_twice(void **state)
{
    (void)state;
    enum { N = 67 };
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, N);
    float x[2 * N];
    for (int i = 0; i < N; i++) { x[i] = (float)((i * 29) % N) * 0.1f; x[N + i] = 0; }
    wt_route *rt = route(&s, x, 2, N, (call){ 0 });
    for (int i = 0; i < N; i++) {
        assert_int_equal((rt->expert[i] * 29) % N, N - 1 - i);      /* falling */
        assert_int_equal(rt->expert[N + i], i);
    }
}

static void using_as_many_as_there_are_gives_everyone(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 3);
    float x[3] = { ln(2), ln(5), ln(3) }, one[1] = { -7 };
    CHECK(route(&s, x, 1, 3, (call){ 0 }), 0, 3, LIST(1, 2, 0), { 0.5f, 0.3f, 0.2f });
    s.n_used = 1;
    CHECK(route(&s, one, 1, 1, (call){ 0 }), 0, 1, LIST(0), { 1 });
}

/* ---- weights ------------------------------------------------------------------------------------------------------------------ */

static void renormalising_divides_by_the_sum_of_the_chosen(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 2);
    float x[4] = { ln(1), ln(4), ln(2), ln(3) };
    s.renorm = true;
    CHECK(route(&s, x, 1, 4, (call){ 0 }), 0, 2, LIST(1, 3), { 4.0f / 7, 3.0f / 7 });
}

static void the_small_number_is_added_to_the_sum(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SIGMOID, 2);
    float x[4] = { ln(1), ln(3), ln(9), ln(0.25) };
    s.renorm = true;
    s.renorm_eps = 0.35f;
    CHECK(route(&s, x, 1, 4, (call){ 0 }), 0, 2, LIST(2, 1), { 0.45f, 0.375f });      /* over 0.9 + 0.75 + 0.35 */
}

static void scale_comes_after_renormalising(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 2);
    float x[4] = { ln(1), ln(4), ln(2), ln(3) };
    s.scale = 2.5f;
    CHECK(route(&s, x, 1, 4, (call){ 0 }), 0, 2, LIST(1, 3), { 1.0f, 0.75f });
    s.renorm = true;
    CHECK(route(&s, x, 1, 4, (call){ 0 }), 0, 2, LIST(1, 3), { 10.0f / 7, 7.5f / 7 });
}

static void bias_decides_who_is_chosen_and_not_how_much(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SIGMOID, 2);
    float x[8] = { ln(1), ln(3), ln(9), ln(0.25), ln(9), ln(3), ln(0.25), ln(1) };    /* .5 .75 .9 .2; .9 .75 .2 .5 */
    const float bias[4] = { 0.3f, 0, -0.8f, 0.5f };                                   /* .8 .75 .1 .7; 1.2 .75 -.6 1 */
    wt_route *rt = route(&s, x, 2, 4, (call){ .bias = bias });
    CHECK(rt, 0, 2, LIST(0, 1), { 0.5f, 0.75f });
    CHECK(rt, 1, 2, LIST(0, 3), { 0.9f, 0.5f });
    s.renorm = true;
    CHECK(route(&s, x, 1, 4, (call){ .bias = bias }), 0, 2, LIST(0, 1), { 0.4f, 0.6f });
}

/* ---- masks ---------------------------------------------------------------------------------------------------------------------- */

/* A mask of two layers: everything in layer 0, all but the listed expert and the first one in layer 1. */
static wt_mask worn(witan_gate gate, int32_t n_exp, int32_t without)
{
    wt_mask m;
    const int32_t n[2] = { n_exp, n_exp };
    assert_int_equal(wt_mask_init(cx, &m, 2, n), WITAN_OK);
    m.gate = gate;
    m.layer[1].keep[0] = m.layer[1].keep[without] = 0;
    m.layer[1].n_keep -= 1 + (without != 0);
    return m;
}

static void keep_leaves_the_gates_of_those_that_stay_alone(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 2);
    float x[5] = { ln(1), ln(4), ln(2), ln(3), ln(6) };          /* of 16 */
    wt_mask m = worn(WITAN_GATE_KEEP, 5, 4);
    CHECK(route(&s, x, 1, 5, (call){ .mask = &m, .layer = 1 }), 0, 2, LIST(1, 3), { 4.0f / 16, 3.0f / 16 });
    wt_mask_free(cx, &m);
}

static void renorm_computes_as_if_the_masked_were_deleted(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 2);
    float x[5] = { ln(1), ln(4), ln(2), ln(3), ln(6) }, left[3] = { ln(4), ln(2), ln(3) };
    wt_mask m = worn(WITAN_GATE_RENORM, 5, 4);
    wt_route *rt = route(&s, x, 1, 5, (call){ .mask = &m, .layer = 1 }), *deleted = route(&s, left, 1, 3, (call){ 0 });
    CHECK(rt, 0, 2, LIST(1, 3), { 4.0f / 9, 3.0f / 9 });
    assert_memory_equal(rt->weight, deleted->weight, 2 * sizeof *rt->weight);
    wt_mask_free(cx, &m);
}

static void keep_and_renorm_agree_where_the_chosen_are_renormalised(void **state)
{
    (void)state;
    for (int activation = WT_ACT_SOFTMAX; activation <= WT_ACT_NONE; activation += WT_ACT_NONE - WT_ACT_SOFTMAX) {
        wt_route_spec s = spec_of((wt_activation)activation, 2);
        float x[5] = { ln(1), ln(4), ln(2), ln(3), ln(6) };
        s.renorm = activation == WT_ACT_SOFTMAX;
        wt_mask keep = worn(WITAN_GATE_KEEP, 5, 4), renorm = worn(WITAN_GATE_RENORM, 5, 4);
        CHECK(route(&s, x, 1, 5, (call){ .mask = &keep, .layer = 1 }), 0, 2, LIST(1, 3), { 4.0f / 7, 3.0f / 7 });
        CHECK(route(&s, x, 1, 5, (call){ .mask = &renorm, .layer = 1 }), 0, 2, LIST(1, 3), { 4.0f / 7, 3.0f / 7 });
        wt_mask_free(cx, &keep);
        wt_mask_free(cx, &renorm);
    }
}

static void a_mask_keeps_out_even_the_expert_with_the_largest_bias(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SIGMOID, 2);
    float x[5] = { ln(9), ln(1), ln(3), ln(0.25), ln(9) };
    const float bias[5] = { 0, 0, 0, 0, 1e30f };
    for (int gate = WITAN_GATE_RENORM; gate <= WITAN_GATE_KEEP; gate++) {
        wt_mask m = worn((witan_gate)gate, 5, 4);
        CHECK(route(&s, x, 1, 5, (call){ .bias = bias, .mask = &m, .layer = 1 }), 0, 2, LIST(2, 1), { 0.75f, 0.5f });
        wt_mask_free(cx, &m);
    }
}

static void a_layer_without_masked_experts_is_not_changed(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 2);
    float x[5] = { ln(1), ln(4), ln(2), ln(3), ln(6) };
    for (int gate = WITAN_GATE_RENORM; gate <= WITAN_GATE_KEEP; gate++) {
        wt_mask m = worn((witan_gate)gate, 5, 4);
        CHECK(route(&s, x, 1, 5, (call){ .mask = &m, .layer = 0 }), 0, 2, LIST(4, 1), { 6.0f / 16, 4.0f / 16 });
        wt_mask_free(cx, &m);
    }
}

static void fewer_kept_than_used_gives_all_that_are_kept(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 3);
    float x[4] = { ln(1), ln(4), ln(2), ln(3) };
    wt_mask keep = worn(WITAN_GATE_KEEP, 4, 3), renorm = worn(WITAN_GATE_RENORM, 4, 3);
    CHECK(route(&s, x, 1, 4, (call){ .mask = &keep, .layer = 1 }), 0, 2, LIST(1, 2), { 0.4f, 0.2f });
    CHECK(route(&s, x, 1, 4, (call){ .mask = &renorm, .layer = 1 }), 0, 2, LIST(1, 2), { 4.0f / 6, 2.0f / 6 });
    wt_mask_free(cx, &keep);
    wt_mask_free(cx, &renorm);
}

/* ---- what observers and the expert op get ------------------------------------------------------------------------------------- */

typedef struct seen { int calls; float logit[4], prob[4]; const wt_route *route; } seen;

static wt_status see(void *user, wt_ctx *c, const wt_tap_event *e)
{
    seen *s = user;
    (void)c;
    assert_int_equal(e->tap, WT_TAP_ROUTE);
    assert_int_equal(e->layer, 3);
    assert_int_equal(e->n_tok, 1);
    assert_int_equal(e->n_exp, 4);
    memcpy(s->logit, e->logit, sizeof s->logit);
    memcpy(s->prob, e->prob, sizeof s->prob);
    s->route = e->route;
    s->calls++;
    return WITAN_OK;
}

static void the_tap_sends_logits_probabilities_and_the_route(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 2);
    float x[4] = { ln(1), ln(4), ln(2), ln(3) };
    seen got = { 0 };
    wt_observer o = { .taps = 1u << WT_TAP_ROUTE, .see = see, .user = &got };
    wt_route *rt = route(&s, x, 1, 4, (call){ .layer = 3, .obs = &o });
    assert_int_equal(got.calls, 1);
    assert_ptr_equal(got.route, rt);
    for (int e = 0; e < 4; e++) {
        assert_true(got.logit[e] == x[e]);
        assert_true(fabsf(got.prob[e] - expf(x[e]) / 10) <= TOLERANCE);
    }
}

static void grouping_keeps_token_order_and_refuses_strangers(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 2);
    float x[12] = { 3, 2, 1, 0, 0, 1, 2, 3, 0, 3, 2, 1 };      /* chosen: 0 1, 3 2, 1 2 */
    wt_route *rt = route(&s, x, 3, 4, (call){ 0 });
    static const int32_t order[6] = { 0, 1, 4, 3, 5, 2 }, off[5] = { 0, 1, 3, 5, 6 };
    assert_int_equal(wt_route_group(cx, rt, &arena), WITAN_OK);
    assert_memory_equal(rt->order, order, sizeof order);
    assert_memory_equal(rt->exp_off, off, sizeof off);
    for (int bad = -1; bad <= 4; bad += 5) {
        rt->expert[3] = bad;
        assert_int_equal(wt_route_group(cx, rt, &arena), WITAN_EARG);
    }
}

/* ---- many tokens ---------------------------------------------------------------------------------------------------------- */

/* A router that chooses experts down to the first that does not score above 1, as far as there is room: tokens differ in how many they get. */
static wt_status pick_large(wt_run *r, const void *opt, const wt_tensor *score, wt_route *rt)
{
    (void)r, (void)opt;
    assert_int_equal(score->shape[0], rt->n_tok);
    for (int32_t t = 0; t < rt->n_tok; t++) {
        const float *row = score->f32 + (size_t)t * (size_t)rt->n_exp;
        for (float s = 2; s > 1;) s = wt_route_take_best(rt, row);
        wt_route_next(rt);
    }
    return WITAN_OK;
}

static const wt_router_ops large_ops = { .causal = true, .batch_independent = true, .side_by_side = true, .select = pick_large };
static const wt_method large = { .name = "large", .kind = WT_KIND_ROUTER, .ops = &large_ops };

enum { MANY = 1500, WIDE = 70 };

static void same_route(const wt_route *a, const wt_route *b)
{
    assert_int_equal(a->n_pair, b->n_pair);
    assert_memory_equal(a->tok_off, b->tok_off, (MANY + 1) * sizeof *a->tok_off);
    assert_memory_equal(a->expert, b->expert, (size_t)a->n_pair * sizeof *a->expert);
    assert_memory_equal(a->weight, b->weight, (size_t)a->n_pair * sizeof *a->weight);
    assert_memory_equal(a->order, b->order, (size_t)a->n_pair * sizeof *a->order);
    assert_memory_equal(a->exp_off, b->exp_off, (WIDE + 1) * sizeof *a->exp_off);
}

/* Top-6 and a router whose tokens get different numbers, with a bias and a mask: one thread and several give the same, and pairs are grouped in
 * token order. */
static void many_tokens_are_routed_and_grouped_alike_with_any_number_of_threads(void **state)
{
    static float x[MANY * WIDE], bias[WIDE];
    (void)state;
    for (size_t i = 0; i < MANY * WIDE; i++) x[i] = (float)((i * 7919) % 4001) / 1000 - 2.8f;       /* some of a token above 1, some equal */
    for (int e = 0; e < WIDE; e++) bias[e] = (float)(e % 5) * 0.01f;
    for (int ragged = 0; ragged < 2; ragged++)
        for (int masked = 0; masked < 2; masked++) {
            wt_route_spec s = spec_of(ragged ? WT_ACT_NONE : masked ? WT_ACT_SOFTMAX : WT_ACT_SIGMOID, 6);
            wt_mask m = worn(WITAN_GATE_RENORM, WIDE, 4);
            if (ragged) s.select = &large;
            call c = { .bias = bias, .mask = masked ? &m : NULL, .layer = 1 };
            witan_set_threads(cx, 1);
            wt_route *one = route(&s, x, MANY, WIDE, c), *more;
            assert_int_equal(wt_route_group(cx, one, &arena), WITAN_OK);
            if (ragged) assert_true(one->n_pair > MANY && one->n_pair < 6 * MANY);
            for (int32_t i = 1; i < one->n_pair; i++) {
                int32_t before = one->order[i - 1], p = one->order[i];
                assert_true(one->expert[before] < one->expert[p] || (one->expert[before] == one->expert[p] && before < p));
            }
            for (int32_t threads = 2; threads <= 7; threads += 5) {
                witan_set_threads(cx, threads);
                more = route(&s, x, MANY, WIDE, c);
                assert_int_equal(wt_route_group(cx, more, &arena), WITAN_OK);
                same_route(one, more);
                more->expert[more->n_pair - 1] = WIDE;
                assert_int_equal(wt_route_group(cx, more, &arena), WITAN_EARG);
            }
            wt_mask_free(cx, &m);
        }
}

/* The last of many tokens alone is no number: found wherever it is looked at. */
static void one_bad_token_among_many_is_refused_with_any_number_of_threads(void **state)
{
    static float x[MANY * WIDE];
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 2);
    for (size_t i = 0; i < MANY * WIDE; i++) x[i] = (float)(i % 13);
    x[MANY * WIDE - 3] = NAN;
    for (int32_t threads = 1; threads <= 3; threads += 2) {
        wt_route *rt;
        witan_set_threads(cx, threads);
        assert_int_equal(run_with(&s, x, MANY, WIDE, (call){ .layer = 2 }, &rt), WITAN_EFORMAT);
    }
}

/* ---- damage -------------------------------------------------------------------------------------------------------------------- */

/* A router that yields no finite weight is an error naming the layer; whatever is chosen exists and is finite. */
static void sound_or_refused(wt_activation activation, bool renorm, float a, float b)
{
    wt_route_spec s = spec_of(activation, 2);
    float one[1] = { 1 }, row[4] = { 1, a, b, -1 };            /* four experts of width one: these are the logits, whatever they are */
    wt_tensor x = matrix(one, 1, 1), w = matrix(row, 4, 1);
    wt_run r = { .cx = cx, .k = &kernels, .a = &arena, .layer = 7 };
    s.renorm = renorm;
    wt_route *rt;
    wt_status st = wt_route_run(&r, &s, &x, &w, NULL, NULL, &rt);
    if (st != WITAN_OK) {
        assert_int_equal(st, WITAN_EFORMAT);
        if (!strstr(witan_error(cx), "layer 7")) fail_msg("\"%s\" does not name layer 7", witan_error(cx));
        return;
    }
    assert_in_range(rt->n_pair, 1, 2);
    for (int32_t i = 0; i < rt->n_pair; i++) {
        assert_in_range(rt->expert[i], 0, 3);
        if (!isfinite(rt->weight[i])) fail_msg("activation %d, logits 1 %g %g -1: weight %g", activation, a, b, rt->weight[i]);
    }
}

static void values_that_are_no_numbers_give_an_error_or_a_sound_route(void **state)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 0, 1e-45f };
    (void)state;
    for (int tier = 0; tier < WT_N_TIER; tier++) {
        if (!wt_tier_here((wt_tier)tier)) continue;
        wt_kernels_init(&kernels, (wt_tier)tier, false);
        for (int activation = WT_ACT_SOFTMAX; activation <= WT_ACT_SQRT_SOFTPLUS; activation++)
            for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
                for (size_t j = 0; j < sizeof odd / sizeof *odd; j++)
                    for (int renorm = 0; renorm < 2; renorm++) sound_or_refused((wt_activation)activation, renorm, odd[i], odd[j]);
    }
}

static void a_softmax_over_nan_is_refused_and_says_where(void **state)
{
    (void)state;
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 2);
    float x[8] = { 1, 2, 3, 4, 1, NAN, 3, 4 };
    wt_route *rt;
    assert_int_equal(run_with(&s, x, 2, 4, (call){ .layer = 5 }, &rt), WITAN_EFORMAT);
    assert_non_null(strstr(witan_error(cx), "layer 5"));
}

/* The others have finite weights and rank higher, so only a look at all experts finds it. */
static void one_expert_that_is_no_number_is_refused_though_others_could_be_chosen(void **state)
{
    (void)state;
    for (int activation = WT_ACT_SOFTMAX; activation <= WT_ACT_SQRT_SOFTPLUS; activation++) {
        wt_route_spec s = spec_of((wt_activation)activation, 2);
        float one[1] = { 1 }, row[4] = { 3, 2, 1, NAN };
        wt_tensor x = matrix(one, 1, 1), w = matrix(row, 4, 1);
        wt_run r = { .cx = cx, .k = &kernels, .a = &arena, .layer = 6 };
        wt_route *rt;
        wt_status st = wt_route_run(&r, &s, &x, &w, NULL, NULL, &rt);
        if (st != WITAN_EFORMAT) fail_msg("activation %d: status %d", activation, st);
        if (!strstr(witan_error(cx), "layer 6")) fail_msg("\"%s\" does not name layer 6", witan_error(cx));
    }
}

/* ---- running out of memory ------------------------------------------------------------------------------------------------------- */

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    float x[5] = { ln(1), ln(4), ln(2), ln(3), ln(6) };
    wt_mask m = worn(WITAN_GATE_RENORM, 5, 4);
    wt_route_spec s = spec_of(WT_ACT_SOFTMAX, 2);
    long n = 0;
    wt_status st;
    do {
        wt_route *rt;
        wt_arena_free(&arena);
        wt_arena_init(&arena, cx, 64);                /* a block for nearly every piece */
        f.hit = false;
        f.fail[FAULT_ALLOC] = f.count[FAULT_ALLOC] + ++n;
        st = run_with(&s, x, 1, 5, (call){ .mask = &m, .layer = 1 }, &rt);
        assert_int_equal(st, f.hit ? WITAN_ENOMEM : WITAN_OK);
    } while (st != WITAN_OK);
    f.fail[FAULT_ALLOC] = 0;
    assert_true(n > 5);
    wt_mask_free(cx, &m);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        T(softmax_runs_over_all_experts_before_the_choice),
        T(sigmoid_weighs_each_expert_by_itself),
        T(softmax_of_the_chosen_leaves_the_others_out_of_the_sum),
        T(sqrt_softplus_is_the_root_of_ln_1_plus_e_to_the_logit),
        T(ties_go_to_the_lower_id),
        T(more_than_64_experts_are_all_in_reach_and_never_chosen_twice),
        T(using_as_many_as_there_are_gives_everyone),
        T(renormalising_divides_by_the_sum_of_the_chosen),
        T(the_small_number_is_added_to_the_sum),
        T(scale_comes_after_renormalising),
        T(bias_decides_who_is_chosen_and_not_how_much),
        T(keep_leaves_the_gates_of_those_that_stay_alone),
        T(renorm_computes_as_if_the_masked_were_deleted),
        T(keep_and_renorm_agree_where_the_chosen_are_renormalised),
        T(a_mask_keeps_out_even_the_expert_with_the_largest_bias),
        T(a_layer_without_masked_experts_is_not_changed),
        T(fewer_kept_than_used_gives_all_that_are_kept),
        T(the_tap_sends_logits_probabilities_and_the_route),
        T(grouping_keeps_token_order_and_refuses_strangers),
        T(many_tokens_are_routed_and_grouped_alike_with_any_number_of_threads),
        T(one_bad_token_among_many_is_refused_with_any_number_of_threads),
        T(values_that_are_no_numbers_give_an_error_or_a_sound_route),
        T(a_softmax_over_nan_is_refused_and_says_where),
        T(one_expert_that_is_no_number_is_refused_though_others_could_be_chosen),
        T(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
