/* Gradients of whole models: every family and kind of router, every weight, against differences of the loss; and that they do not depend on
 * threads, on what is kept for backward, nor on how sequences are packed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "fault.h"
#include "model/forward.h"
#include "op/tape.h"
#include "train/step.h"

enum { N_TOK = 26, MOST_SEQ = 3 };

/* A tiny random model, ready to be trained, with one batch of two sequences. */
typedef struct world {
    witan_ctx *cx;
    witan_model *m;
    wt_trainable *t;
    wt_pass *p;
    wt_balance_set *balance;
    int32_t id[N_TOK], seq[N_TOK], pos[N_TOK], target[N_TOK], domain[N_TOK];
    float weight[N_TOK];
    wt_train_batch b;
    /* for evaluations of our own, which look at routes */
    wt_arena a;
    wt_tape tape;
    wt_kv_cache kv;
    uint64_t route;
} world;

static void batch(world *w)
{
    wt_rng rng;
    wt_rng_seed(&rng, 3, 0);
    for (int32_t i = 0; i < N_TOK; i++) {
        w->id[i] = (int32_t)wt_rng_below(&rng, 200);
        w->seq[i] = i < 11 ? 0 : 1;
        w->pos[i] = i < 11 ? i : i - 11;
        w->target[i] = i % 7 == 5 ? -1 : (int32_t)wt_rng_below(&rng, 200);
        w->weight[i] = 0.5f + wt_rng_float(&rng);
        w->domain[i] = i % 3;
    }
    w->id[20] = w->id[4];                        /* one token twice */
    w->b = (wt_train_batch){ N_TOK, w->id, w->seq, w->pos, w->target, w->weight, w->domain, 3 };
}

static void world_open(world *w, const char *name, const char *tier, int32_t threads)
{
    memset(w, 0, sizeof *w);
    char *path = fault_path(name);
    w->cx = witan_ctx_new(&(witan_config){ .threads = threads, .tier = tier });
    assert_non_null(w->cx);
    if (witan_random_model(w->cx, name, &(witan_random_options){ .seed = 5 }, path)) fail_msg("%s", witan_error(w->cx));
    if (witan_model_open(w->cx, path, NULL, &w->m)) fail_msg("%s", witan_error(w->cx));
    if (wt_trainable_open(w->cx, w->m, false, &w->t)) fail_msg("%s", witan_error(w->cx));
    if (wt_pass_open(w->cx, w->t, &w->p)) fail_msg("%s", witan_error(w->cx));
    wt_arena_init(&w->a, w->cx, 1 << 20);
    wt_tape_init(&w->tape, w->cx);
    assert_int_equal(wt_kv_open(w->cx, &w->kv, &w->m->cfg, WT_F32, MOST_SEQ, 64), WITAN_OK);
    for (int32_t s = 0; s < MOST_SEQ; s++) wt_kv_reserve(&w->kv, s, 64);
    batch(w);
}

static void world_free(world *w)
{
    wt_kv_free(&w->kv);
    wt_route_forget(&w->tape);
    wt_tape_free(&w->tape);
    wt_arena_free(&w->a);
    wt_balance_free(w->balance);
    wt_pass_free(w->p);
    wt_trainable_free(w->t);
    witan_model_free(w->m);
    witan_ctx_free(w->cx);
}

static void balance(world *w, const char *name, const char *options)
{
    int32_t n_exp[16];
    for (int32_t i = 0; i < w->m->cfg.n_layer; i++) n_exp[i] = w->m->layer[i].n_exp;
    if (!w->balance) assert_int_equal(wt_balance_open(w->cx, w->m->cfg.n_layer, n_exp, &w->balance), WITAN_OK);
    if (wt_balance_add(w->balance, name, options)) fail_msg("%s", witan_error(w->cx));
}

static wt_train_options plain(const world *w) { return (wt_train_options){ .scale = 1, .balance_scale = 1, .balance = w->balance }; }

static double gradients(world *w, const wt_train_options *o)
{
    wt_train_result r;
    wt_trainable_zero_grad(w->t);
    if (wt_pass_run(w->p, &w->b, o, &r)) fail_msg("%s", witan_error(w->cx));
    return r.loss;
}

/* ---- differences --------------------------------------------------------------------------------------------------------- */

static wt_status see(void *user, wt_ctx *cx, const wt_tap_event *e)
{
    world *w = user;
    (void)cx;
    for (int32_t i = 0; i < e->route->n_pair; i++) w->route = wt_mix64(w->route + (uint64_t)(e->route->expert[i] + 1));
    w->route = wt_mix64(w->route + (uint64_t)e->route->n_pair);
    return WITAN_OK;
}

/* The loss in double, balance losses included; w->route tells which experts were chosen. */
static double evaluate(world *w)
{
    wt_observer obs = { .taps = 1u << WT_TAP_ROUTE, .see = see, .user = w };
    uint8_t want[N_TOK];
    int32_t target[N_TOK], n = 0;
    float weight[N_TOK];
    for (int i = 0; i < N_TOK; i++) {
        want[i] = w->target[i] >= 0;
        if (want[i]) { target[n] = w->target[i]; weight[n++] = w->weight[i]; }
    }
    wt_run r = { .cx = w->cx, .k = &w->m->k, .a = &w->a, .tape = &w->tape, .balance = w->balance, .obs = &obs, .n_obs = 1 };
    wt_batch b = { N_TOK, w->id, w->seq, w->pos, want, n };
    wt_loss loss = { .target = target, .weight = weight };
    wt_mark m = wt_mark_set(&w->a);
    double sum = 0;
    w->route = 0;
    wt_tape_reset(&w->tape);
    w->tape.on = w->balance != NULL;
    w->tape.seed_grad = w->tape.balance_scale = 1;
    if (w->balance) wt_balance_begin_pass(w->balance, false);
    if (wt_forward_loss(&r, w->m, &w->kv, &b, &loss)) fail_msg("%s", witan_error(w->cx));
    for (int32_t i = 0; i < n; i++) sum += (double)weight[i] * (double)loss.row[i];
    if (w->balance) assert_int_equal(wt_tape_backward(&r), WITAN_OK);
    for (size_t i = 0; w->balance && i < w->balance->n; i++) sum += w->balance->b[i].loss;
    wt_rewind(&w->a, m);
    return sum;
}

typedef struct tally { int tried, skipped; double worst; char where[160]; } tally;

/* The slope of the loss along dir from the weight's values; NAN where a route changes on the way. */
static double slope(world *w, wt_weight *x, const float *dir, float eps)
{
    float *keep = malloc(x->n * sizeof *keep);
    double value[2];
    uint64_t route[2];
    memcpy(keep, x->w, x->n * sizeof *keep);
    for (int s = 0; s < 2; s++) {
        for (size_t i = 0; i < x->n; i++) x->w[i] = keep[i] + (s ? -eps : eps) * dir[i];
        value[s] = evaluate(w);
        route[s] = w->route;
    }
    memcpy(x->w, keep, x->n * sizeof *keep);
    free(keep);
    return route[0] == route[1] ? (value[0] - value[1]) / (2 * (double)eps) : (double)NAN;
}

/* Along the gradient, along random signs, and along the value whose gradient is largest. */
static void check_weight(world *w, wt_weight *x, const float *grad, tally *t, wt_rng *rng)
{
    float *dir = calloc(x->n, sizeof *dir);
    double norm = 0;
    size_t most = 0;
    for (size_t i = 0; i < x->n; i++) {
        norm += (double)grad[i] * (double)grad[i];
        if (fabsf(grad[i]) > fabsf(grad[most])) most = i;
    }
    norm = sqrt(norm);
    for (int kind = 0; kind < 3; kind++) {
        double predicted = 0, found = (double)NAN;
        for (size_t i = 0; i < x->n; i++) {
            dir[i] = kind == 0 ? (norm > 0 ? grad[i] / (float)norm : 0) : kind == 1 ? (wt_rng_u64(rng) & 1 ? 1.0f : -1.0f) / sqrtf((float)x->n) : i == most;
            predicted += (double)dir[i] * (double)grad[i];
        }
        for (float eps = 1e-2f; isnan(found) && eps > 1.5e-4f; eps /= 2) found = slope(w, x, dir, eps);
        t->tried++;
        if (isnan(found)) { t->skipped++; continue; }
        double off = fabs(found - predicted) / (norm + 0.05);
        if (off > t->worst) {
            t->worst = off;
            snprintf(t->where, sizeof t->where, "%.60s, way %d: %.6g, by difference %.6g", x->name, kind, predicted, found);
        }
    }
    free(dir);
}

static void check_model(world *w, const char *what, double allowed)
{
    tally t = { 0 };
    wt_rng rng;
    wt_train_options o = plain(w);
    wt_rng_seed(&rng, 1, 0);
    gradients(w, &o);
    float *grad = malloc(w->t->n_float * sizeof *grad);
    memcpy(grad, w->t->grad, w->t->n_float * sizeof *grad);
    for (size_t i = 0; i < w->t->n_weight; i++)
        if (w->t->weight[i].grad) check_weight(w, w->t->weight + i, grad + (w->t->weight[i].grad - w->t->grad), &t, &rng);
    free(grad);
    if (getenv("WITAN_PRINT")) print_message("%s: %d ways, %d skipped, worst %.2g (%s)\n", what, t.tried, t.skipped, t.worst, t.where);
    if (t.skipped * 3 > t.tried) fail_msg("%s: %d of %d differences cross a change of route", what, t.skipped, t.tried);
    if (!(t.worst <= allowed)) fail_msg("%s: off by %g (%s)", what, t.worst, t.where);
}

static const char *const models[] = { "tiny-olmoe", "tiny-qwen3moe", "tiny-qwen2moe", "tiny-mixtral", "tiny-llama", "tiny-qwen2", "tiny-qwen3" };
enum { N_MODEL = sizeof models / sizeof *models };

static void every_weight_of_every_family_has_the_gradient_of_the_loss(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODEL; i++) {
        world w;
        world_open(&w, models[i], NULL, 2);
        check_model(&w, models[i], 0.01);
        world_free(&w);
    }
}

static void the_ref_tier_has_the_same_gradients(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODEL; i++) {
        world a, b;
        double worst = 0, norm = 0;
        world_open(&a, models[i], "ref", 1);
        world_open(&b, models[i], NULL, 1);
        wt_train_options o = plain(&a), p = plain(&b);
        gradients(&a, &o);
        gradients(&b, &p);
        for (size_t k = 0; k < a.t->n_float; k++) {
            double d = (double)a.t->grad[k] - (double)b.t->grad[k];
            worst += d * d;
            norm += (double)a.t->grad[k] * (double)a.t->grad[k];
        }
        if (!(sqrt(worst / norm) < 1e-4)) fail_msg("%s: gradients differ by %g of their size", models[i], sqrt(worst / norm));
        world_free(&a);
        world_free(&b);
    }
}

#define T(name) cmocka_unit_test(name)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_weight_of_every_family_has_the_gradient_of_the_loss), T(the_ref_tier_has_the_same_gradients),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fault_folder_free();
    return failed;
}
