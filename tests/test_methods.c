/* What every method of a kind promises, run over the whole registry: a new method gets these tests by existing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "edit/plan.h"
#include "fault.h"
#include "kernel/kernel.h"
#include "moe/router.h"
#include "tiny.h"

static witan_ctx *cx;
static fault f;

static int set_up(void **state)
{
    (void)state;
    f = (fault){ 0 };
    cx = fault_ctx(&f);
    return cx == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    witan_ctx_free(cx);
    fault_folder_free();
    return f.live != 0;
}

/* ---- options -------------------------------------------------------------------------------------------------------- */

typedef union options { max_align_t align; char bytes[512]; } options;

static void defaults(const wt_method *m, options *o)
{
    memset(o, 0, sizeof *o);
    assert_true(m->opt_size <= sizeof *o);
    witan_opt_defaults(m->param, o);
}

static bool real(const wt_param *p) { return p->type == WITAN_P_F32 || p->type == WITAN_P_F64; }
static bool whole(const wt_param *p) { return p->type == WITAN_P_I32 || p->type == WITAN_P_I64; }
static bool number(const wt_param *p) { return real(p) || whole(p); }

static void in_words(const wt_param *p, double v, char buf[64])
{
    if (p->type == WITAN_P_ENUM) snprintf(buf, 64, "%s", p->choice[(int)v]);
    else if (p->type == WITAN_P_BOOL) snprintf(buf, 64, "%s", v != 0 ? "true" : "false");
    else snprintf(buf, 64, real(p) ? "%.9g" : "%.0f", v);
}

static double largest(const wt_param *p)
{
    int n = 0;
    if (p->type != WITAN_P_ENUM) return p->max;
    while (p->choice[n]) n++;
    return n - 1;
}

static void accepts(const wt_method *m, const wt_param *p, double v)
{
    options o;
    char text[64];
    defaults(m, &o);
    in_words(p, v, text);
    if (witan_opt_set(cx, m->param, &o, p->name, text)) fail_msg("%s: %s=%s is refused: %s", m->name, p->name, text, witan_error(cx));
}

static void refuses(const wt_method *m, const wt_param *p, const char *text)
{
    options o;
    defaults(m, &o);
    if (witan_opt_set(cx, m->param, &o, p->name, text) != WITAN_EARG) fail_msg("%s: %s=%s is not refused", m->name, p->name, text);
    if (!strstr(witan_error(cx), text)) fail_msg("%s: \"%s\" does not repeat %s", m->name, witan_error(cx), text);
}

static void each_parameter_takes_its_range_and_nothing_outside(void **state)
{
    (void)state;
    for (size_t i = 0; i < wt_n_methods; i++)
        for (const wt_param *p = wt_methods[i]->param; p && p->name; p++) {
            char text[64];
            if (p->type == WITAN_P_STR) continue;
            accepts(wt_methods[i], p, p->def);
            accepts(wt_methods[i], p, p->min);
            accepts(wt_methods[i], p, largest(p));
            double step = whole(p) ? 1 : fmax(1e-3, fabs(p->max - p->min) * 1e-3);
            if (number(p)) {
                in_words(p, p->min - step, text);
                refuses(wt_methods[i], p, text);
                in_words(p, p->max + step, text);
                refuses(wt_methods[i], p, text);
            }
            refuses(wt_methods[i], p, "nonsense");
        }
}

/* Every numeric option at `pick` (0 default, 1 smallest, 2 largest). */
static void set_all(const wt_method *m, options *o, int pick)
{
    defaults(m, o);
    for (const wt_param *p = m->param; p && p->name; p++) {
        char text[64];
        if (p->type == WITAN_P_STR) continue;
        in_words(p, pick == 0 ? p->def : pick == 1 ? p->min : largest(p), text);
        assert_int_equal(witan_opt_set(cx, m->param, o, p->name, text), WITAN_OK);
    }
}

static void options_come_back_from_their_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < wt_n_methods; i++)
        for (int pick = 0; pick < 3; pick++) {
            const wt_method *m = wt_methods[i];
            options a, b;
            char list[1024] = "", one[128], other[128];
            set_all(m, &a, pick);
            for (const wt_param *p = m->param; p && p->name; p++) {
                if (p->type == WITAN_P_STR) continue;
                witan_opt_text(p, &a, one, sizeof one);
                snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s=%s", *list ? "," : "", p->name, one);
            }
            defaults(m, &b);
            if (wt_opt_parse(cx, m->param, &b, list)) fail_msg("%s: \"%s\": %s", m->name, list, witan_error(cx));
            for (const wt_param *p = m->param; p && p->name; p++) {
                witan_opt_text(p, &a, one, sizeof one);
                witan_opt_text(p, &b, other, sizeof other);
                assert_string_equal(one, other);
            }
        }
}

/* ---- the registry --------------------------------------------------------------------------------------------------- */

static void every_method_describes_itself_and_is_found_by_name(void **state)
{
    (void)state;
    witan_method a, b;
    assert_true(witan_method_count() == wt_n_methods && wt_n_methods > 0);
    for (size_t i = 0; i < wt_n_methods; i++) {
        const wt_method *m = wt_methods[i], *found;
        assert_int_equal(wt_method_find(cx, m->kind, m->name, &found), WITAN_OK);
        assert_ptr_equal(found, m);                                           /* the name is taken once */
        if (!m->title || !m->about || !m->ops || !m->cite.paper || !m->cite.authors || !m->cite.id || !m->cite.where || m->cite.year < 1950)
            fail_msg("%s: title, about, functions or source are missing", m->name);
        for (const wt_param *p = m->param; p && p->name; p++)
            if (!p->help || p->help[strlen(p->help) - 1] == '.') fail_msg("%s: %s: help is missing or ends with a full stop", m->name, p->name);
    }
    for (size_t i = 0; i + 1 < wt_n_methods; i++) {
        assert_true(witan_method_get(i, &a) && witan_method_get(i + 1, &b));
        int kinds = strcmp(a.kind, b.kind);
        assert_true(kinds || strcmp(a.name, b.name) < 0);                     /* sorted within its kind, none twice */
    }
    assert_false(witan_method_get(wt_n_methods, &a));
}

static void an_unknown_name_gets_the_nearest_and_the_list(void **state)
{
    (void)state;
    const wt_method *m;
    assert_int_equal(wt_method_find(cx, WT_KIND_IMPORTANCE, "frek", &m), WITAN_EARG);
    assert_non_null(strstr(witan_error(cx), "did you mean \"freq\""));
    assert_int_equal(wt_method_find(cx, WT_KIND_IMPORTANCE, "quite-another-thing", &m), WITAN_EARG);
    assert_null(strstr(witan_error(cx), "did you mean"));
    assert_non_null(strstr(witan_error(cx), "easy-ep"));
    assert_int_equal(wt_method_find(cx, WT_KIND_ROUTER, "freq", &m), WITAN_EARG);   /* exists, but of another kind */
    assert_string_equal(wt_kind_name(WT_KIND_ROUTER), "router");
}

/* ---- importance ------------------------------------------------------------------------------------------------------ */

enum { E = 8, USED = 2, DEAD = 2 };

typedef struct layer { wt_sums sum[E]; double co[E * E]; wt_record_view v; } layer;

/* A layer that could come from a run: expert DEAD was never chosen. */
static void make_layer(layer *l, uint64_t seed)
{
    wt_rng rng;
    wt_rng_seed(&rng, seed, 0);
    memset(l, 0, sizeof *l);
    for (int e = 0; e < E; e++) {
        wt_sums *s = l->sum + e;
        double g = 0.1 + wt_rng_float(&rng), m = 0.1 + 5 * (double)wt_rng_float(&rng), c = 0.1 + wt_rng_float(&rng);
        s->p_all = 0.5 + wt_rng_float(&rng);
        if (e == DEAD) continue;
        double n = (double)(1 + wt_rng_below(&rng, 50));
        *s = (wt_sums){ .n = n, .g = n * g, .g2 = n * g * g, .p = n * g, .p_all = s->p_all + n * g, .m = n * m, .m2 = n * m * m,
                        .gm = n * g * m, .g2m2 = n * g * g * m * m, .cgm = n * c * g * m };
        l->co[e * E + e] = n;
    }
    l->v = (wt_record_view){ .layer = 1, .n_exp = E, .n_exp_used = USED, .n_tok = 200, .sum = l->sum, .co = l->co };
}

static void score(const wt_method *m, const options *o, const layer *l, double out[E])
{
    const wt_importance_ops *ops = m->ops;
    wt_record_view v = l->v;
    v.sum = l->sum;
    v.co = l->co;
    for (int e = 0; e < E; e++) out[e] = NAN;                                 /* every score must be written */
    if (ops->score(cx, o, &v, 7, out)) fail_msg("%s: %s", m->name, witan_error(cx));
    for (int e = 0; e < E; e++) if (!isfinite(out[e])) fail_msg("%s: score of expert %d is not finite", m->name, e);
}

static void scores_are_finite_and_follow_a_permutation_of_the_experts(void **state)
{
    (void)state;
    static const int perm[E] = { 5, 0, 7, 3, 1, 6, 2, 4 };
    for (size_t i = 0; i < wt_n_methods; i++)
        for (int pick = 0; wt_methods[i]->kind == WT_KIND_IMPORTANCE && pick < 3; pick++) {
            layer a, b;
            options o;
            double x[E], y[E];
            make_layer(&a, 11);
            b = a;
            for (int e = 0; e < E; e++) {
                b.sum[perm[e]] = a.sum[e];
                for (int k = 0; k < E; k++) b.co[perm[e] * E + perm[k]] = a.co[e * E + k];
            }
            set_all(wt_methods[i], &o, pick);
            score(wt_methods[i], &o, &a, x);
            score(wt_methods[i], &o, &b, y);
            const wt_importance_ops *ops = wt_methods[i]->ops;
            for (int e = 0; ops->needs_data && e < E; e++)
                if (y[perm[e]] != x[e]) fail_msg("%s: expert %d has %g, renumbered to %d it has %g", wt_methods[i]->name, e, x[e], perm[e], y[perm[e]]);
        }
}

static void an_expert_that_was_never_chosen_scores_lowest(void **state)
{
    (void)state;
    for (size_t i = 0; i < wt_n_methods; i++)
        for (int pick = 0; wt_methods[i]->kind == WT_KIND_IMPORTANCE && pick < 3; pick++) {
            const wt_importance_ops *ops = wt_methods[i]->ops;
            layer l;
            options o;
            double x[E];
            if (!ops->needs_data) continue;
            make_layer(&l, 12);
            set_all(wt_methods[i], &o, pick);
            score(wt_methods[i], &o, &l, x);
            for (int e = 0; e < E; e++) if (e != DEAD && x[e] <= x[DEAD]) fail_msg("%s: expert %d has %g, the unused one %g", wt_methods[i]->name, e, x[e], x[DEAD]);
        }
}

static void a_score_depends_on_nothing_but_its_inputs(void **state)
{
    (void)state;
    for (size_t i = 0; i < wt_n_methods; i++) {
        layer l;
        options o;
        double x[E], y[E];
        if (wt_methods[i]->kind != WT_KIND_IMPORTANCE) continue;
        make_layer(&l, 13);
        set_all(wt_methods[i], &o, 0);
        score(wt_methods[i], &o, &l, x);
        score(wt_methods[i], &o, &l, y);
        assert_memory_equal(x, y, sizeof x);
    }
}

static void keeping_all_removes_nothing_and_any_share_is_hit_exactly(void **state)
{
    (void)state;
    witan_model *m;
    witan_record *r;
    char *path = fault_path("tiny.gguf"), *demos = fault_path("demos.jsonl");
    tiny_demos(demos);
    assert_int_equal(tiny_write(cx, path, WT_F32, 5), WITAN_OK);
    assert_int_equal(witan_model_open(cx, path, NULL, &m), WITAN_OK);
    assert_int_equal(witan_profile(cx, m, &(witan_profile_options){ .data = demos }, &r), WITAN_OK);
    for (size_t i = 0; i < wt_n_methods; i++)
        for (int32_t n = TINY_USED; wt_methods[i]->kind == WT_KIND_IMPORTANCE && n <= TINY_EXPERTS; n++) {
            witan_plan *p;
            witan_plan_options o = { .score = wt_methods[i]->name, .keep = (double)n / TINY_EXPERTS, .seed = 1 };
            if (witan_plan_make(cx, m, r, &o, &p)) fail_msg("%s: %s", wt_methods[i]->name, witan_error(cx));
            for (int32_t l = 0; l < TINY_LAYERS; l++) {
                int32_t kept = 0;
                for (int32_t e = 0; e < TINY_EXPERTS; e++) kept += witan_plan_keeps(p, l, e);
                assert_int_equal(kept, n);
            }
            witan_plan_free(p);
        }
    witan_record_free(r);
    witan_model_free(m);
}

/* ---- routers ---------------------------------------------------------------------------------------------------------- */

enum { TOK = 9 };

typedef struct bench { wt_arena a; wt_kernels k; wt_run r; } bench;

static void bench_open(bench *b)
{
    memset(b, 0, sizeof *b);
    wt_arena_init(&b->a, cx, 1 << 16);
    wt_kernels_init(&b->k, WT_N_TIER - 1, false);
    b->r = (wt_run){ .cx = cx, .k = &b->k, .a = &b->a };
}

static wt_route *route(bench *b, const wt_method *m, const options *o, float *x, int32_t n_tok, int32_t most)
{
    const wt_router_ops *ops = m->ops;
    wt_tensor t = { .name = "scores", .type = WT_F32, .n_dim = 2, .shape = { n_tok, E, 1, 1 }, .n = (size_t)n_tok * E,
                    .bytes = (size_t)n_tok * E * sizeof *x, .data = x, .f32 = x };
    wt_route *rt;
    assert_int_equal(wt_route_new(&b->a, n_tok, E, most, &rt), WITAN_OK);
    if (ops->select(&b->r, o, &t, rt)) fail_msg("%s: %s", m->name, witan_error(cx));
    return rt;
}

/* Random scores; every third token may not use the experts 0 to 4, as under a mask. */
static void make_scores(float x[TOK * E], uint64_t seed)
{
    wt_rng rng;
    wt_rng_seed(&rng, seed, 1);
    for (int i = 0; i < TOK * E; i++) x[i] = i / E % 3 == 2 && i % E < 5 ? -INFINITY : wt_rng_float(&rng);
}

static void valid_token(const wt_method *m, const wt_route *rt, const float *x, int32_t t)
{
    int32_t begin = rt->tok_off[t], end = rt->tok_off[t + 1];
    if (end - begin < 1 || end - begin > rt->most) fail_msg("%s: token %d has %d experts, room for %d", m->name, t, end - begin, rt->most);
    for (int32_t i = begin; i < end; i++) {
        int32_t e = rt->expert[i];
        assert_true(e >= 0 && e < E);
        assert_true(isfinite(rt->weight[i]));
        if (x[t * E + e] == -INFINITY) fail_msg("%s: token %d gets the masked expert %d", m->name, t, e);
        for (int32_t k = begin; k < i; k++) if (rt->expert[k] == e) fail_msg("%s: token %d gets expert %d twice", m->name, t, e);
    }
}

static void routers_give_valid_experts_once_and_never_masked_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < wt_n_methods; i++)
        for (int pick = 0; wt_methods[i]->kind == WT_KIND_ROUTER && pick < 3; pick++)
            for (int32_t most = 1; most <= 3; most++) {
                bench b;
                options o;
                float x[TOK * E];
                bench_open(&b);
                make_scores(x, 3);
                set_all(wt_methods[i], &o, pick);
                wt_route *rt = route(&b, wt_methods[i], &o, x, TOK, most);
                assert_int_equal(rt->tok_off[0], 0);
                assert_int_equal(rt->tok_off[TOK], rt->n_pair);
                for (int32_t t = 0; t < TOK; t++) valid_token(wt_methods[i], rt, x, t);
                wt_arena_free(&b.a);
            }
}

static void routers_answer_alone_as_in_a_batch(void **state)
{
    (void)state;
    for (size_t i = 0; i < wt_n_methods; i++) {
        const wt_router_ops *ops = wt_methods[i]->ops;
        if (wt_methods[i]->kind != WT_KIND_ROUTER || !ops->batch_independent) continue;
        bench b;
        options o;
        float x[TOK * E];
        bench_open(&b);
        make_scores(x, 4);
        set_all(wt_methods[i], &o, 0);
        wt_route *all = route(&b, wt_methods[i], &o, x, TOK, 3);
        for (int32_t t = 0; t < TOK; t++) {
            wt_route *one = route(&b, wt_methods[i], &o, x + t * E, 1, 3);
            int32_t begin = all->tok_off[t], n = all->tok_off[t + 1] - begin;
            assert_int_equal(one->n_pair, n);
            assert_memory_equal(one->expert, all->expert + begin, (size_t)n * sizeof *one->expert);
            assert_memory_equal(one->weight, all->weight + begin, (size_t)n * sizeof *one->weight);
        }
        wt_arena_free(&b.a);
    }
}

static void routers_called_for_parts_give_the_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < wt_n_methods; i++) {
        const wt_router_ops *ops = wt_methods[i]->ops;
        if (wt_methods[i]->kind != WT_KIND_ROUTER || !ops->side_by_side) continue;
        assert_true(ops->batch_independent);
        bench b;
        options o;
        float x[TOK * E];
        bench_open(&b);
        make_scores(x, 5);
        set_all(wt_methods[i], &o, 0);
        wt_route *all = route(&b, wt_methods[i], &o, x, TOK, 3), *joined, *part;
        assert_int_equal(wt_route_new(&b.a, TOK, E, 3, &joined), WITAN_OK);
        assert_int_equal(wt_route_split(&b.a, joined, 2, &part), WITAN_OK);
        for (int p = 1; p >= 0; p--) {
            wt_tensor *score;
            assert_int_equal(wt_tensor_new(&b.a, 2, (int64_t[]){ part[p].n_tok, E }, &score), WITAN_OK);
            memcpy(score->f32, x + (p ? part[0].n_tok * E : 0), score->n * sizeof *score->f32);
            assert_int_equal(ops->select(&b.r, &o, score, part + p), WITAN_OK);
        }
        wt_route_join(joined, 2, part);
        assert_int_equal(joined->n_pair, all->n_pair);
        assert_memory_equal(joined->tok_off, all->tok_off, (TOK + 1) * sizeof *all->tok_off);
        assert_memory_equal(joined->expert, all->expert, (size_t)all->n_pair * sizeof *all->expert);
        wt_arena_free(&b.a);
    }
}

static void router_ties_go_to_the_lower_id(void **state)
{
    (void)state;
    for (size_t i = 0; i < wt_n_methods; i++) {
        bench b;
        options o;
        float x[E];
        if (wt_methods[i]->kind != WT_KIND_ROUTER) continue;
        bench_open(&b);
        for (int e = 0; e < E; e++) x[e] = 0.125f;
        set_all(wt_methods[i], &o, 0);
        wt_route *rt = route(&b, wt_methods[i], &o, x, 1, 4);
        for (int32_t k = 0; k < rt->n_pair; k++) assert_int_equal(rt->expert[k], k);
        wt_arena_free(&b.a);
    }
}

static void topk_takes_k_in_falling_order(void **state)
{
    (void)state;
    bench b;
    options o;
    const wt_method *m;
    float x[E] = { 0.1f, 0.9f, 0.3f, NAN, 0.9f, 0.2f, -INFINITY, 0.4f };
    static const int32_t want[] = { 1, 4, 7, 2 };
    assert_int_equal(wt_method_find(cx, WT_KIND_ROUTER, "topk", &m), WITAN_OK);
    bench_open(&b);
    for (int32_t k = 0; k <= 5; k++) {                                        /* 0: as many as there is room for; more than that: the same */
        char text[16];
        snprintf(text, sizeof text, "%d", k);
        defaults(m, &o);
        assert_int_equal(witan_opt_set(cx, m->param, &o, "k", text), WITAN_OK);
        wt_route *rt = route(&b, m, &o, x, 1, 4);
        assert_int_equal(rt->n_pair, k == 0 || k > 4 ? 4 : k);
        for (int32_t i = 0; i < rt->n_pair; i++) {
            assert_int_equal(rt->expert[i], want[i]);
            assert_true(rt->weight[i] == x[want[i]]);
        }
    }
    wt_arena_free(&b.a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(each_parameter_takes_its_range_and_nothing_outside), T(options_come_back_from_their_text),
        T(every_method_describes_itself_and_is_found_by_name), T(an_unknown_name_gets_the_nearest_and_the_list),
        T(scores_are_finite_and_follow_a_permutation_of_the_experts), T(an_expert_that_was_never_chosen_scores_lowest),
        T(a_score_depends_on_nothing_but_its_inputs), T(keeping_all_removes_nothing_and_any_share_is_hit_exactly),
        T(routers_give_valid_experts_once_and_never_masked_ones), T(routers_answer_alone_as_in_a_batch), T(routers_called_for_parts_give_the_whole),
        T(router_ties_go_to_the_lower_id),
        T(topk_takes_k_in_falling_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
