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

static uint64_t mixed(uint64_t h, const wt_route *rt)
{
    for (int32_t t = 0; t < rt->n_tok; t++) h = wt_mix64(h + (uint64_t)rt->tok_off[t + 1]);
    for (int32_t i = 0; i < rt->n_pair; i++) h = wt_mix64(h + (uint64_t)rt->expert[i]);
    return h;
}

/* Choices before filters count too: weights are shared out among all that were chosen. */
static wt_status see(void *user, wt_ctx *cx, const wt_tap_event *e)
{
    world *w = user;
    (void)cx;
    w->route = mixed(w->route, e->route);
    if (e->route->all) w->route = mixed(w->route, e->route->all);
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

/* ---- what must not change a bit ------------------------------------------------------------------------------------------- */

static float *gradients_of(const char *name, int32_t threads, void (*adjust)(world *w, wt_train_options *o), double *loss, size_t *n)
{
    world w;
    world_open(&w, name, NULL, threads);
    wt_train_options o = plain(&w);
    adjust(&w, &o);
    o.balance = w.balance;
    *loss = gradients(&w, &o);
    *n = w.t->n_float;
    float *g = malloc(*n * sizeof *g);
    memcpy(g, w.t->grad, *n * sizeof *g);
    world_free(&w);
    return g;
}

static void nothing(world *w, wt_train_options *o) { (void)w; (void)o; }
static void checkpointed(world *w, wt_train_options *o) { (void)w; o->checkpoint = true; }

static void all_balanced(world *w, wt_train_options *o)
{
    (void)o;
    if (!w->m->cfg.n_exp_max) return;
    balance(w, "aux", "alpha=0.1");
    balance(w, "z-loss", "c=0.1");
    balance(w, "bip", "");
}

static void all_checkpointed(world *w, wt_train_options *o) { all_balanced(w, o); o->checkpoint = true; }

static void compare(const char *name, const char *what, int32_t threads, void (*adjust)(world *w, wt_train_options *o), const float *expected, double loss)
{
    double found;
    size_t n;
    float *g = gradients_of(name, threads, adjust, &found, &n);
    if (found != loss) fail_msg("%s, %s: loss %.17g, expected %.17g", name, what, found, loss);
    for (size_t i = 0; i < n; i++) if (g[i] != expected[i]) fail_msg("%s, %s: gradient %zu is %.9g, expected %.9g", name, what, i, g[i], expected[i]);
    free(g);
}

static void threads_and_checkpoints_change_no_bit(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODEL; i++) {
        double loss;
        size_t n;
        float *g = gradients_of(models[i], 1, nothing, &loss, &n);
        compare(models[i], "2 threads", 2, nothing, g, loss);
        compare(models[i], "3 threads", 3, nothing, g, loss);
        compare(models[i], "layers run again", 2, checkpointed, g, loss);
        free(g);
        g = gradients_of(models[i], 1, all_balanced, &loss, &n);
        compare(models[i], "balanced, 3 threads", 3, all_balanced, g, loss);
        compare(models[i], "balanced, layers run again", 2, all_checkpointed, g, loss);
        free(g);
    }
}

/* Two passes add up; a second run of the pass finds everything as the first did. */
static void gradients_add_up(void **state)
{
    (void)state;
    world w;
    world_open(&w, "tiny-qwen2moe", NULL, 2);
    wt_train_options o = plain(&w);
    wt_train_result r;
    gradients(&w, &o);
    float *once = malloc(w.t->n_float * sizeof *once);
    memcpy(once, w.t->grad, w.t->n_float * sizeof *once);
    wt_trainable_zero_grad(w.t);
    o.scale = 0.5f;
    for (int k = 0; k < 2; k++) assert_int_equal(wt_pass_run(w.p, &w.b, &o, &r), WITAN_OK);
    for (size_t i = 0; i < w.t->n_float; i++) assert_true(fabsf(w.t->grad[i] - once[i]) <= 1e-5f * (1 + fabsf(once[i])));
    free(once);
    world_free(&w);
}

static double distance(const float *a, const float *b, size_t n)
{
    double d = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(d / size);
}

static void kept_as_bf16(world *w, wt_train_options *o) { (void)w; o->half = true; }
static void bf16_products(world *w, wt_train_options *o) { (void)w; o->half_products = true; }

static void bf16_changes_gradients_a_little(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {                /* those with experts */
        double loss, other;
        size_t n;
        float *g = gradients_of(models[i], 2, nothing, &loss, &n), *kept = gradients_of(models[i], 2, kept_as_bf16, &other, &n);
        assert_true(loss == other);              /* forward does not see it */
        double off = distance(kept, g, n);
        if (!(off > 0 && off < 0.01)) fail_msg("%s: kept as BF16 changes gradients by %g of their size", models[i], off);
        float *product = gradients_of(models[i], 2, bf16_products, &other, &n);
        off = distance(product, g, n);
        if (!(fabs(other / loss - 1) < 0.02 && off > 0 && off < 0.5)) fail_msg("%s: BF16 products: loss %g for %g, gradients off by %g", models[i], other, loss, off);
        free(product);
        free(kept);
        free(g);
    }
}

/* Sequences packed into a batch give what each gives alone. */
static void packing_changes_rounding_only(void **state)
{
    (void)state;
    world w;
    world_open(&w, "tiny-qwen3moe", NULL, 2);
    wt_train_options o = plain(&w);
    double loss = gradients(&w, &o), sum = 0;
    wt_train_result r;
    float *g = malloc(w.t->n_float * sizeof *g);
    memcpy(g, w.t->grad, w.t->n_float * sizeof *g);
    wt_trainable_zero_grad(w.t);
    int32_t zero[N_TOK] = { 0 };
    for (int k = 0; k < 2; k++) {
        int32_t at = k ? 11 : 0, n = k ? N_TOK - 11 : 11;
        wt_train_batch b = { n, w.id + at, zero, w.pos + at, w.target + at, w.weight + at, NULL, 0 };
        assert_int_equal(wt_pass_run(w.p, &b, &o, &r), WITAN_OK);
        sum += r.loss;
    }
    assert_true(fabs(sum / loss - 1) < 1e-6);
    assert_true(distance(w.t->grad, g, w.t->n_float) < 1e-5);
    free(g);
    world_free(&w);
}

/* ---- the exported model is the trained one ---------------------------------------------------------------------------------- */

static void training_forward_is_what_inference_computes(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODEL; i++) {
        world w;
        witan_session *s;
        world_open(&w, models[i], NULL, 2);
        wt_train_options o = plain(&w);
        wt_train_result r;
        o.forward_only = true;
        assert_int_equal(wt_pass_run(w.p, &w.b, &o, &r), WITAN_OK);
        assert_int_equal(witan_session_new(w.cx, w.m, &(witan_session_options){ .n_ctx = 64, .n_seq = 2, .kv_type = WITAN_KV_F32 }, &s), WITAN_OK);
        witan_token tok[N_TOK];
        double loss = 0;
        for (int t = 0; t < N_TOK; t++) tok[t] = (witan_token){ w.id[t], w.seq[t], true };
        assert_int_equal(witan_feed_batch(s, tok, N_TOK), WITAN_OK);
        for (size_t t = 0; t < N_TOK; t++) {
            const float *z = witan_logits(s, t);
            double sum = 0;
            if (w.target[t] < 0) continue;
            for (int32_t v = 0; v < w.m->cfg.n_vocab; v++) sum += exp((double)z[v] - (double)z[w.target[t]]);
            loss += (double)w.weight[t] * log(sum);
        }
        if (!(fabs(r.loss / loss - 1) < 1e-5)) fail_msg("%s: loss %.9g in training, %.9g by inference", models[i], r.loss, loss);
        witan_session_free(s);
        world_free(&w);
    }
}

/* ---- routers ------------------------------------------------------------------------------------------------------------- */

static const struct { int32_t k; } as_many = { 0 };
static char options[4][64];

/* Sets the route of every layer: method and filter with default options, but for a text. */
static void route_by(world *w, wt_activation act, bool renorm, int32_t k, const char *router, const char *router_options, const char *filter,
                     const char *filter_options)
{
    for (int32_t l = 0; l < w->m->cfg.n_layer; l++) {
        wt_route_spec *s = &w->m->layer[l].route;
        const void *opt = &as_many;
        s->activation = act;
        s->renorm = renorm;
        s->scale = 1.7f;
        s->n_used = k;
        if (wt_method_find(w->cx, WT_KIND_ROUTER, router, &s->select)) fail_msg("%s", witan_error(w->cx));
        if (s->select->param && strcmp(router, "topk")) {
            witan_opt_defaults(s->select->param, options[0]);
            assert_int_equal(wt_opt_parse(w->cx, s->select->param, options[0], router_options), WITAN_OK);
            opt = options[0];
        }
        s->select_opt = opt;
        if (!filter) continue;
        assert_int_equal(wt_method_find(w->cx, WT_KIND_FILTER, filter, &s->filter), WITAN_OK);
        witan_opt_defaults(s->filter->param, options[1]);
        assert_int_equal(wt_opt_parse(w->cx, s->filter->param, options[1], filter_options), WITAN_OK);
        s->filter_opt = options[1];
    }
}

typedef struct kind { const char *name, *router, *options, *filter, *filter_options; wt_activation act; bool renorm; int32_t k; } kind;

static const kind kinds[] = {
    { "softmax, as they are", "topk", "", NULL, NULL, WT_ACT_SOFTMAX, false, 3 },
    { "softmax, renormalised", "topk", "", NULL, NULL, WT_ACT_SOFTMAX, true, 3 },
    { "softmax of the chosen", "topk", "", NULL, NULL, WT_ACT_NONE, false, 3 },
    { "softmax of the chosen, divided again", "topk", "", NULL, NULL, WT_ACT_NONE, true, 3 },
    { "sigmoid, renormalised", "topk", "", NULL, NULL, WT_ACT_SIGMOID, true, 3 },
    { "sigmoid", "topk", "", NULL, NULL, WT_ACT_SIGMOID, false, 2 },
    { "root of softplus", "topk", "", NULL, NULL, WT_ACT_SQRT_SOFTPLUS, true, 3 },
    { "switch with capacity", "switch", "", "capacity", "factor=1", WT_ACT_SOFTMAX, false, 1 },
    { "gshard with capacity", "gshard", "second=random", "capacity", "factor=1,order=choice", WT_ACT_SOFTMAX, true, 2 },
    { "gshard with a threshold", "gshard", "second=threshold,threshold=0.4", NULL, NULL, WT_ACT_SOFTMAX, true, 2 },
};

static void every_kind_of_router_has_the_gradient_of_the_loss(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const kind *k = kinds + i;
        world w;
        world_open(&w, "tiny-qwen3moe", NULL, 2);
        route_by(&w, k->act, k->renorm, k->k, k->router, k->options, k->filter, k->filter_options);
        check_model(&w, k->name, 0.01);
        if (k->filter) {
            wt_train_options o = plain(&w);
            wt_train_result r;
            assert_int_equal(wt_pass_run(w.p, &w.b, &o, &r), WITAN_OK);
            int64_t over = 0, all = 0, most = 0;
            for (int32_t e = 0; e < r.layer[0].n_exp; e++) all += r.layer[0].count[e];
            int64_t cap = (all + r.layer[0].n_exp - 1) / r.layer[0].n_exp;
            for (int32_t e = 0; e < r.layer[0].n_exp; e++) {
                if (r.layer[0].count[e] > cap) over += r.layer[0].count[e] - cap;
                if (r.layer[0].count[e] > most) most = r.layer[0].count[e];
            }
            assert_true(over > 0 && r.layer[0].n_dropped == over && r.layer[0].n_pair == all - over);
            assert_true(fabs(r.layer[0].max_vio - ((double)most * r.layer[0].n_exp / (double)all - 1)) < 1e-12);
        }
        world_free(&w);
    }
}

static void balance_losses_have_the_gradients_of_their_values(void **state)
{
    (void)state;
    static const wt_activation act[] = { WT_ACT_SOFTMAX, WT_ACT_SIGMOID, WT_ACT_NONE, WT_ACT_SQRT_SOFTPLUS };
    for (size_t i = 0; i < 4; i++) {
        world w;
        world_open(&w, "tiny-qwen3moe", NULL, 2);
        route_by(&w, act[i], false, 4, "topk", "", NULL, NULL);
        balance(&w, "aux", "alpha=30");          /* large, so that what is wrong shows beside the loss of the model */
        balance(&w, "z-loss", "c=3");
        check_model(&w, "balanced", 0.01);
        world_free(&w);
    }
}

/* ---- bad input ----------------------------------------------------------------------------------------------------------- */

static void refuses(world *w, const wt_train_batch *b, const char *say)
{
    wt_train_options o = plain(w);
    wt_train_result r;
    assert_int_equal(wt_pass_run(w->p, b, &o, &r), WITAN_EARG);
    if (!strstr(witan_error(w->cx), say)) fail_msg("\"%s\" does not say \"%s\"", witan_error(w->cx), say);
}

static void bad_batches_are_refused_and_good_ones_still_work(void **state)
{
    (void)state;
    world w;
    world_open(&w, "tiny-olmoe", NULL, 1);
    wt_train_options o = plain(&w);
    double loss = gradients(&w, &o);
    int32_t x[N_TOK];
    const struct { const int32_t *from; size_t field; int at; int32_t value; const char *say; } bad[] = {
        { w.id, offsetof(wt_train_batch, id), 4, 320, "has id 320" }, { w.id, offsetof(wt_train_batch, id), 4, -1, "has id -1" },
        { w.target, offsetof(wt_train_batch, target), 3, 320, "target 320" }, { w.target, offsetof(wt_train_batch, target), 3, -2, "target -2" },
        { w.seq, offsetof(wt_train_batch, seq), 0, N_TOK, "sequence" }, { w.seq, offsetof(wt_train_batch, seq), 5, 1, "position" },
        { w.pos, offsetof(wt_train_batch, pos), 0, 1, "position 1" }, { w.pos, offsetof(wt_train_batch, pos), 9, 3, "position 3" },
        { w.domain, offsetof(wt_train_batch, domain), 9, 3, "domain 3" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        wt_train_batch b = w.b;
        memcpy(x, bad[i].from, sizeof x);
        x[bad[i].at] = bad[i].value;
        memcpy((char *)&b + bad[i].field, &(const int32_t *){ x }, sizeof(int32_t *));
        refuses(&w, &b, bad[i].say);
    }
    wt_train_batch b = w.b;
    b.n_tok = 0;
    refuses(&w, &b, "0 tokens");
    for (int t = 0; t < N_TOK; t++) x[t] = -1;
    b = w.b;
    b.target = x;
    wt_train_result r;
    assert_int_equal(wt_pass_run(w.p, &b, &o, &r), WITAN_OK);       /* nothing to learn is no mistake */
    assert_true(r.loss == 0 && r.n_target == 0);
    assert_true(gradients(&w, &o) == loss);
    world_free(&w);
}

static void figures_per_domain_add_up(void **state)
{
    (void)state;
    world w;
    world_open(&w, "tiny-olmoe", NULL, 2);
    wt_train_options o = plain(&w);
    wt_train_result r;
    double loss = 0, weight = 0, share = 0;
    assert_int_equal(wt_pass_run(w.p, &w.b, &o, &r), WITAN_OK);
    for (int d = 0; d < 3; d++) { loss += r.domain_loss[d]; weight += r.domain_weight[d]; }
    assert_true(fabs(loss / r.loss - 1) < 1e-12 && fabs(weight / r.weight - 1) < 1e-12);
    for (int32_t l = 0; l < w.m->cfg.n_layer; l++) {
        int64_t n = 0;
        share = 0;
        for (int32_t e = 0; e < r.layer[l].n_exp; e++) { share += r.layer[l].share[e]; n += r.layer[l].count[e]; }
        assert_int_equal(n, N_TOK * 2);
        assert_true(fabs(share - 1) < 1e-5 && r.layer[l].entropy > 0 && r.layer[l].entropy < log(8) && r.layer[l].n_dropped == 0);
    }
    world_free(&w);
}

/* A frozen weight gets nothing, and what the others get is what they got before. */
static void frozen_weights_cost_the_others_nothing(void **state)
{
    (void)state;
    world w;
    world_open(&w, "tiny-qwen2moe", NULL, 2);
    wt_train_options o = plain(&w);
    gradients(&w, &o);
    float *g = malloc(w.t->n_float * sizeof *g);
    memcpy(g, w.t->grad, w.t->n_float * sizeof *g);
    for (size_t i = 0; i < w.t->n_weight; i++) if (w.t->weight[i].part != WT_PART_EXPERT || w.t->weight[i].layer) wt_trainable_freeze(w.t, i, true);
    gradients(&w, &o);
    for (size_t i = 0; i < w.t->n_weight; i++) {
        const wt_weight *x = w.t->weight + i;
        size_t at = (size_t)(x->w - w.t->data);
        assert_true(x->frozen == !x->grad);
        for (size_t k = 0; k < x->n; k++) assert_true(w.t->grad[at + k] == (x->frozen ? 0 : g[at + k]));
    }
    for (size_t i = 0; i < w.t->n_weight; i++) wt_trainable_freeze(w.t, i, false);
    gradients(&w, &o);
    assert_memory_equal(w.t->grad, g, w.t->n_float * sizeof *g);
    free(g);
    world_free(&w);
}

/* Selection biases change who is chosen, in training as in inference, and nothing else; a balance method's own takes the place of the model's. */
static void selection_biases_choose_and_do_not_weigh(void **state)
{
    (void)state;
    world w;
    wt_train_result r;
    world_open(&w, "tiny-olmoe", NULL, 2);
    wt_pass_free(w.p);
    wt_trainable_free(w.t);
    witan_model_free(w.m);
    assert_int_equal(witan_model_open(w.cx, fault_path("tiny-olmoe"), NULL, &w.m), WITAN_OK);
    assert_int_equal(wt_trainable_open(w.cx, w.m, true, &w.t), WITAN_OK);
    assert_int_equal(wt_pass_open(w.cx, w.t, &w.p), WITAN_OK);
    wt_weight *bias = wt_trainable_find(w.t, "blk.1.exp_probs_b.bias");
    assert_true(bias && bias->frozen && bias->n == 8 && wt_trainable_find(w.t, "blk.0.exp_probs_b.bias"));
    wt_train_options o = plain(&w);
    bias->w[3] = bias->w[6] = 5;
    assert_int_equal(wt_pass_run(w.p, &w.b, &o, &r), WITAN_OK);
    for (int e = 0; e < 8; e++) assert_int_equal(r.layer[1].count[e], e == 3 || e == 6 ? N_TOK : 0);
    check_model(&w, "biased", 0.01);
    balance(&w, "bias-free", "u=0.5");
    o.balance = w.balance;
    assert_int_equal(wt_pass_run(w.p, &w.b, &o, &r), WITAN_OK);
    assert_true(r.layer[1].count[3] != N_TOK || r.layer[1].count[6] != N_TOK);
    int64_t first[8];
    memcpy(first, r.layer[1].count, sizeof first);
    assert_memory_equal(w.balance->count[1], first, sizeof first);
    wt_balance_after_step(w.balance);
    float now[8];
    assert_true(wt_balance_bias(w.balance, 1, now));
    for (int e = 0; e < 8; e++) assert_true(now[e] == (first[e] * 8 > N_TOK * 2 ? -0.5f : first[e] * 8 < N_TOK * 2 ? 0.5f : 0));
    assert_true(wt_balance_take_bias(w.balance, 1, bias->w));
    o.forward_only = true;                       /* looks, and leaves no count */
    assert_int_equal(wt_pass_run(w.p, &w.b, &o, &r), WITAN_OK);
    for (int e = 0; e < 8; e++) assert_true(r.layer[1].count[e] == (e == 3 || e == 6 ? N_TOK : 0) && w.balance->count[1][e] == 0);
    world_free(&w);
}

/* All weights, selection biases included, to a file with the keys of the model. */
static void write_model(world *w, const char *path)
{
    wt_gguf_out *o;
    assert_int_equal(wt_gguf_out_open(w->cx, path, &o), WITAN_OK);
    for (size_t i = 0; i < w->m->file->n_kv; i++) assert_int_equal(wt_gguf_put_raw(o, w->m->file->kv + i), WITAN_OK);
    for (size_t i = 0; i < w->t->n_weight; i++)
        assert_int_equal(wt_gguf_add_tensor(o, w->t->weight[i].name, WT_F32, w->t->weight[i].n_dim, w->t->weight[i].shape), WITAN_OK);
    for (size_t i = 0; i < w->t->n_weight; i++) assert_int_equal(wt_gguf_write(o, w->t->weight[i].w, w->t->weight[i].n * sizeof(float)), WITAN_OK);
    if (wt_gguf_out_commit(&o)) fail_msg("%s", witan_error(w->cx));
}

/* The chosen experts of every token, summed up in one number. */
static uint64_t routes_of(witan_ctx *cx, const witan_model *m, world *w, float *logits)
{
    witan_session *s;
    witan_token tok[N_TOK];
    wt_observer obs = { .taps = 1u << WT_TAP_ROUTE, .see = see, .user = w };
    w->route = 0;
    for (int t = 0; t < N_TOK; t++) tok[t] = (witan_token){ w->id[t], w->seq[t], true };
    assert_int_equal(witan_session_new(cx, m, &(witan_session_options){ .n_ctx = 64, .n_seq = 2, .kv_type = WITAN_KV_F32 }, &s), WITAN_OK);
    assert_int_equal(wt_session_feed(s, tok, N_TOK, &obs, 1), WITAN_OK);
    for (size_t t = 0; t < N_TOK; t++) memcpy(logits + t * 320, witan_logits(s, t), 320 * sizeof *logits);
    witan_session_free(s);
    return w->route;
}

static void a_file_with_selection_biases_routes_by_them(void **state)
{
    (void)state;
    static float trained[N_TOK * 320], read[N_TOK * 320], plain_logits[N_TOK * 320];
    world w;
    witan_model *m;
    char *path = fault_path("biased.gguf");
    world_open(&w, "tiny-olmoe", NULL, 2);
    uint64_t without = routes_of(w.cx, w.m, &w, plain_logits);
    wt_pass_free(w.p);
    wt_trainable_free(w.t);
    witan_model_free(w.m);
    assert_int_equal(witan_model_open(w.cx, fault_path("tiny-olmoe"), NULL, &w.m), WITAN_OK);
    assert_int_equal(wt_trainable_open(w.cx, w.m, true, &w.t), WITAN_OK);
    assert_int_equal(wt_pass_open(w.cx, w.t, &w.p), WITAN_OK);
    wt_trainable_find(w.t, "blk.0.exp_probs_b.bias")->w[5] = 1;
    uint64_t with = routes_of(w.cx, w.m, &w, trained);
    write_model(&w, path);
    if (witan_model_open(w.cx, path, NULL, &m)) fail_msg("%s", witan_error(w.cx));
    assert_true(routes_of(w.cx, m, &w, read) == with && with != without);
    assert_memory_equal(trained, read, sizeof read);
    witan_model_free(m);
    world_free(&w);
}

/* ---- faults -------------------------------------------------------------------------------------------------------------- */

static wt_status scene(witan_ctx *cx, void *arg)
{
    world *w = arg;
    witan_model *m = NULL;
    wt_trainable *t = NULL;
    wt_pass *p = NULL;
    wt_balance_set *set = NULL;
    wt_train_result r;
    wt_train_options o = { .scale = 1, .balance_scale = 1, .checkpoint = true, .half = true };
    wt_status st = witan_model_open(cx, fault_path("tiny-qwen2moe"), NULL, &m);
    if (st == WITAN_OK) st = wt_trainable_open(cx, m, true, &t);
    if (st == WITAN_OK) st = wt_pass_open(cx, t, &p);
    if (st == WITAN_OK) st = wt_balance_open(cx, 2, (int32_t[]){ 12, 12 }, &set);
    if (st == WITAN_OK) st = wt_balance_add(set, "bip", NULL);
    if (st == WITAN_OK) st = wt_balance_add(set, "z-loss", "c=0.5");
    o.balance = set;
    for (int i = 0; st == WITAN_OK && i < 2; i++) st = wt_pass_run(p, &w->b, &o, &r);
    wt_balance_free(set);
    wt_pass_free(p);
    wt_trainable_free(t);
    witan_model_free(m);
    return st;
}

static void a_failing_allocation_leaks_nothing(void **state)
{
    (void)state;
    world w;
    world_open(&w, "tiny-qwen2moe", NULL, 1);
    assert_true(fault_each(FAULT_ALLOC, scene, &w, NULL, 2000) > 30);
    world_free(&w);
}

/* After the first pass nothing is allocated any more. */
static void steady_state_allocates_nothing(void **state)
{
    (void)state;
    world w;
    fault f = { 0 };
    world_open(&w, "tiny-qwen2moe", NULL, 1);
    witan_ctx *cx = fault_ctx(&f);
    witan_model *m;
    wt_trainable *t;
    wt_pass *p;
    wt_train_result r;
    assert_int_equal(witan_model_open(cx, fault_path("tiny-qwen2moe"), NULL, &m), WITAN_OK);
    assert_int_equal(wt_trainable_open(cx, m, false, &t), WITAN_OK);
    assert_int_equal(wt_pass_open(cx, t, &p), WITAN_OK);
    for (int way = 0; way < 2; way++) {
        wt_train_options o = { .scale = 1, .balance_scale = 1, .checkpoint = way };
        assert_int_equal(wt_pass_run(p, &w.b, &o, &r), WITAN_OK);
        long before = f.count[FAULT_ALLOC];
        for (int i = 0; i < 3; i++) assert_int_equal(wt_pass_run(p, &w.b, &o, &r), WITAN_OK);
        assert_int_equal(f.count[FAULT_ALLOC], before);
    }
    wt_pass_free(p);
    wt_trainable_free(t);
    witan_model_free(m);
    witan_ctx_free(cx);
    assert_int_equal(f.live, 0);
    world_free(&w);
}

#define T(name) cmocka_unit_test(name)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_weight_of_every_family_has_the_gradient_of_the_loss), T(the_ref_tier_has_the_same_gradients),
        T(threads_and_checkpoints_change_no_bit), T(gradients_add_up), T(bf16_changes_gradients_a_little), T(packing_changes_rounding_only),
        T(training_forward_is_what_inference_computes), T(every_kind_of_router_has_the_gradient_of_the_loss),
        T(balance_losses_have_the_gradients_of_their_values), T(bad_batches_are_refused_and_good_ones_still_work), T(figures_per_domain_add_up),
        T(frozen_weights_cost_the_others_nothing), T(selection_biases_choose_and_do_not_weigh), T(a_file_with_selection_biases_routes_by_them),
        T(a_failing_allocation_leaks_nothing),
        T(steady_state_allocates_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fault_folder_free();
    return failed;
}
