/* Every op's gradients against differences of sum(c * y) in double, on the plain tier and on the best; and what the method cards promise of routers
 * and of balance methods, worked out here once more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "moe/balance.h"
#include "moe/router.h"
#include "op/expert.h"
#include "op/ops.h"
#include "op/tape.h"

enum { MOST_LEAF = 6, MOST_N = 4096 };

/* Values that a difference is taken of; grad is found after backward. Activations are tracked, weights have memory for their gradient. */
typedef struct leaf { const char *name; wt_tensor t; bool weight; float *value, *grad; } leaf;

typedef struct bench {
    witan_ctx *cx;
    wt_kernels k;
    wt_arena a;
    wt_tape tape;
    wt_run r;
    wt_rng rng;
    leaf leaf[MOST_LEAF]; size_t n_leaf;
} bench;

static void bench_open(bench *b, wt_tier tier, int32_t threads)
{
    memset(b, 0, sizeof *b);
    b->cx = witan_ctx_new(&(witan_config){ .threads = threads });
    wt_kernels_init(&b->k, tier, false);
    wt_arena_init(&b->a, b->cx, 1 << 18);
    wt_tape_init(&b->tape, b->cx);
    b->r = (wt_run){ .cx = b->cx, .k = &b->k, .a = &b->a, .tape = &b->tape };
    wt_rng_seed(&b->rng, 11, 0);
}

static void bench_close(bench *b)
{
    for (size_t i = 0; i < b->n_leaf; i++) {
        free(b->leaf[i].value);
        free(b->leaf[i].grad);
    }
    wt_route_forget(&b->tape);
    wt_tape_free(&b->tape);
    wt_arena_free(&b->a);
    witan_ctx_free(b->cx);
}

static float draw(bench *b) { return 2 * wt_rng_float(&b->rng) - 1; }

static wt_tensor *add_leaf(bench *b, const char *name, bool weight, int64_t rows, int64_t cols)
{
    leaf *l = b->leaf + b->n_leaf++;
    size_t n = (size_t)(rows * (cols ? cols : 1));
    assert_true(b->n_leaf <= MOST_LEAF && n <= MOST_N);
    *l = (leaf){ .name = name, .weight = weight, .value = malloc(n * sizeof(float)), .grad = calloc(n, sizeof(float)) };
    for (size_t i = 0; i < n; i++) l->value[i] = draw(b);
    l->t = (wt_tensor){ .name = name, .type = WT_F32, .n_dim = cols ? 2 : 1, .shape = { rows, cols ? cols : 1, 1, 1 }, .n = n, .bytes = n * sizeof(float),
                        .data = l->value, .f32 = l->value };
    return &l->t;
}

/* Leaves as an op is to find them: fresh. */
static void fresh(bench *b)
{
    wt_tape_reset(&b->tape);
    for (size_t i = 0; i < b->n_leaf; i++) {
        wt_tensor *t = &b->leaf[i].t;
        t->tracked = !b->leaf[i].weight;
        t->grad_set = false;
        t->grad = b->leaf[i].weight ? b->leaf[i].grad : NULL;
    }
}

typedef wt_status (*op_fn)(bench *b, wt_tensor **y);

static void coefficients(float *c, size_t n)
{
    wt_rng rng;
    wt_rng_seed(&rng, 5, 1);
    for (size_t i = 0; i < n; i++) c[i] = 2 * wt_rng_float(&rng) - 1;
}

static double value(bench *b, op_fn op)
{
    static float c[MOST_N];
    wt_mark m = wt_mark_set(&b->a);
    wt_tensor *y;
    double sum = 0;
    fresh(b);
    b->tape.on = false;
    if (op(b, &y)) fail_msg("%s", witan_error(b->cx));
    assert_true(y->n <= MOST_N);
    coefficients(c, y->n);
    for (size_t i = 0; i < y->n; i++) sum += (double)c[i] * (double)y->f32[i];
    wt_rewind(&b->a, m);
    return sum;
}

/* Gradients of all leaves, backward run twice in a row over the same records' inputs: the second time adds. */
static void gradients(bench *b, op_fn op)
{
    wt_mark m = wt_mark_set(&b->a);
    wt_tensor *y;
    for (size_t i = 0; i < b->n_leaf; i++) memset(b->leaf[i].grad, 0, b->leaf[i].t.n * sizeof(float));
    fresh(b);
    if (op(b, &y)) fail_msg("%s", witan_error(b->cx));
    assert_true(y->tracked);
    bool add;
    float *dy = wt_grad(&b->r, y, &add);
    assert_true(dy && !add);
    coefficients(dy, y->n);
    assert_int_equal(wt_tape_backward(&b->r), WITAN_OK);
    for (size_t i = 0; i < b->n_leaf; i++) {
        leaf *l = b->leaf + i;
        if (l->weight) continue;
        if (!l->t.grad_set) fail_msg("%s: got no gradient", l->name);
        memcpy(l->grad, l->t.grad, l->t.n * sizeof(float));
    }
    wt_rewind(&b->a, m);
}

static void check_leaf(bench *b, const char *what, leaf *l, op_fn op)
{
    const float eps = 1e-2f;
    size_t step = l->t.n > 60 ? l->t.n / 60 : 1;
    float size = 0;
    for (size_t i = 0; i < l->t.n; i++) if (fabsf(l->grad[i]) > size) size = fabsf(l->grad[i]);
    if (!(size > 0)) fail_msg("%s, %s: all gradients are 0", what, l->name);
    for (size_t i = 0; i < l->t.n; i += step) {
        float keep = l->value[i];
        l->value[i] = keep + eps;
        double up = value(b, op);
        l->value[i] = keep - eps;
        double down = value(b, op), found = (up - down) / (2 * (double)eps);
        l->value[i] = keep;
        if (!(fabs(found - (double)l->grad[i]) <= 3e-3 * (double)size + 1e-3))
            fail_msg("%s, %s on %s: gradient %zu is %.6g, by difference %.6g", what, l->name, wt_tier_name(b->k.tier), i, l->grad[i], found);
    }
}

static void check_op(bench *b, const char *what, op_fn op)
{
    gradients(b, op);
    for (size_t i = 0; i < b->n_leaf; i++) check_leaf(b, what, b->leaf + i, op);
}

#define ON_BOTH_TIERS(b) for (int pass_ = 0; pass_ < 2; pass_++, bench_close(&(b))) if (bench_open(&(b), pass_ ? WT_N_TIER - 1 : WT_TIER_REF, 2), true)
#define LEAF(b, i) (&(b)->leaf[i].t)

/* ---- plain ops ------------------------------------------------------------------------------------------------------------- */

static const int32_t ids[7] = { 3, 0, 3, 5, 3, 1, 0 };

static wt_status op_embed(bench *b, wt_tensor **y) { return wt_op_embed(&b->r, LEAF(b, 0), ids, 7, y); }
static wt_status op_norm(bench *b, wt_tensor **y) { return wt_op_norm(&b->r, LEAF(b, 0), LEAF(b, 1), 1e-5f, false, y); }
static wt_status op_linear(bench *b, wt_tensor **y) { return wt_op_linear(&b->r, LEAF(b, 0), LEAF(b, 1), y); }
static wt_status op_add(bench *b, wt_tensor **y) { return wt_op_add(&b->r, LEAF(b, 0), LEAF(b, 1), y); }
static wt_status op_bias(bench *b, wt_tensor **y) { return wt_op_bias(&b->r, LEAF(b, 0), LEAF(b, 1), y); }
static wt_status op_silu(bench *b, wt_tensor **y) { return wt_op_silu_mul(&b->r, LEAF(b, 0), LEAF(b, 1), y); }
static wt_status op_gate(bench *b, wt_tensor **y) { return wt_op_gate_rows(&b->r, LEAF(b, 0), LEAF(b, 1), LEAF(b, 2), y); }
static wt_status op_softmax(bench *b, wt_tensor **y) { return wt_op_softmax(&b->r, LEAF(b, 0), y); }
static const int32_t some[3] = { 4, 0, 2 };
static wt_status op_rows(bench *b, wt_tensor **y) { return wt_op_rows(&b->r, LEAF(b, 0), some, 3, y); }

/* Three matrices at once; and everything twice, so that gradients meet ones that are there. */
static wt_status op_linear_n(bench *b, wt_tensor **y)
{
    wt_tensor *p, *q, *s, *t;
    WT_TRY(wt_op_linear_n(&b->r, LEAF(b, 0), 3, (const wt_tensor *[]){ LEAF(b, 1), LEAF(b, 2), LEAF(b, 1) }, (wt_tensor **[]){ &p, &q, &s }));
    WT_TRY(wt_op_silu_mul(&b->r, p, q, &t));
    WT_TRY(wt_op_silu_mul(&b->r, t, p, &t));
    return wt_op_add(&b->r, t, s, y);
}

static wt_status op_reused(bench *b, wt_tensor **y)
{
    wt_tensor *n, *g, *s, *t;
    WT_TRY(wt_op_norm(&b->r, LEAF(b, 0), LEAF(b, 1), 1e-5f, false, &n));
    WT_TRY(wt_op_gate_rows(&b->r, n, LEAF(b, 1), n, &g));
    WT_TRY(wt_op_softmax(&b->r, g, &s));
    WT_TRY(wt_op_add(&b->r, s, g, &t));
    WT_TRY(wt_op_silu_mul(&b->r, t, s, &t));
    WT_TRY(wt_op_bias(&b->r, t, LEAF(b, 1), &t));
    WT_TRY(wt_op_add(&b->r, t, t, &t));
    return wt_op_add(&b->r, t, LEAF(b, 0), y);
}

static wt_status inside(wt_run *r, void *arg, const wt_tensor *x, wt_tensor **y)
{
    bench *b = arg;
    wt_tensor *n, *t;
    WT_TRY(wt_op_norm(r, x, LEAF(b, 1), 1e-5f, false, &n));
    WT_TRY(wt_op_linear(r, n, LEAF(b, 2), &t));
    WT_TRY(wt_op_silu_mul(r, t, n, &t));
    if (!*y) return wt_op_add(r, x, t, y);
    wt_op_add_into(r, x, t, *y);
    return WITAN_OK;
}

static wt_status op_pieces(bench *b, wt_tensor **y)
{
    wt_tensor *x = LEAF(b, 0);
    for (int i = 0; i < 3; i++) {
        WT_TRY(wt_tensor_new(b->r.a, x->n_dim, x->shape, y));
        WT_TRY(wt_op_piece(&b->r, inside, b, x, y));
        x = *y;
    }
    return WITAN_OK;
}

static void plain_ops_have_the_gradients_of_their_results(void **state)
{
    (void)state;
    bench b;
    ON_BOTH_TIERS(b) { add_leaf(&b, "table", true, 6, 9); check_op(&b, "embed", op_embed); }
    ON_BOTH_TIERS(b) { add_leaf(&b, "x", false, 5, 37); add_leaf(&b, "w", true, 37, 0); check_op(&b, "norm", op_norm); }
    ON_BOTH_TIERS(b) { add_leaf(&b, "x", false, 5, 36); add_leaf(&b, "w", true, 12, 0); check_op(&b, "norm of heads", op_norm); }
    ON_BOTH_TIERS(b) { add_leaf(&b, "x", false, 70, 19); add_leaf(&b, "w", true, 33, 19); check_op(&b, "linear", op_linear); }
    ON_BOTH_TIERS(b) { add_leaf(&b, "x", false, 7, 19); add_leaf(&b, "v", true, 21, 19); add_leaf(&b, "w", true, 21, 19); check_op(&b, "linear_n", op_linear_n); }
    ON_BOTH_TIERS(b) { add_leaf(&b, "a", false, 5, 9); add_leaf(&b, "b", false, 5, 9); check_op(&b, "add", op_add); }
    ON_BOTH_TIERS(b) { add_leaf(&b, "x", false, 130, 9); add_leaf(&b, "b", true, 9, 0); check_op(&b, "bias", op_bias); }
    ON_BOTH_TIERS(b) { add_leaf(&b, "gate", false, 5, 35); add_leaf(&b, "up", false, 5, 35); check_op(&b, "silu_mul", op_silu); }
    ON_BOTH_TIERS(b) { add_leaf(&b, "x", false, 5, 7); add_leaf(&b, "w", true, 7, 0); add_leaf(&b, "v", false, 5, 19); check_op(&b, "gate_rows", op_gate); }
    ON_BOTH_TIERS(b) { add_leaf(&b, "x", false, 4, 21); check_op(&b, "softmax", op_softmax); }
    ON_BOTH_TIERS(b) { add_leaf(&b, "x", false, 6, 5); check_op(&b, "rows", op_rows); }
    ON_BOTH_TIERS(b) { add_leaf(&b, "x", false, 5, 11); add_leaf(&b, "w", true, 11, 0); check_op(&b, "ops that share inputs", op_reused); }
}

static void pieces_that_run_again_have_the_same_gradients(void **state)
{
    (void)state;
    bench b;
    ON_BOTH_TIERS(b) {
        float *once[3];
        add_leaf(&b, "x", false, 5, 16); add_leaf(&b, "norm", true, 16, 0); add_leaf(&b, "w", true, 16, 16);
        check_op(&b, "pieces", op_pieces);
        for (int i = 0; i < 3; i++) {
            once[i] = malloc(b.leaf[i].t.n * sizeof(float));
            memcpy(once[i], b.leaf[i].grad, b.leaf[i].t.n * sizeof(float));
        }
        b.tape.checkpoint = true;
        gradients(&b, op_pieces);
        for (int i = 0; i < 3; i++) {
            assert_memory_equal(once[i], b.leaf[i].grad, b.leaf[i].t.n * sizeof(float));
            free(once[i]);
        }
    }
}

/* ---- attention ----------------------------------------------------------------------------------------------------------- */

enum { HEADS = 2, GROUP = 2, D = 8, TOK = 12 };

static float panel[4][HEADS][2][64 * D];
static void panels(const void *self, int32_t layer, int32_t seq, int32_t p, int32_t head, void **keys, void **values)
{
    (void)self; (void)layer;
    assert_int_equal(p, 0);
    *keys = panel[seq][head][0];
    *values = panel[seq][head][1];
}

static const int32_t seq_of[TOK] = { 2, 2, 2, 2, 2, 0, 1, 1, 1, 1, 1, 1 }, pos_of[TOK] = { 0, 1, 2, 3, 4, 0, 0, 1, 2, 3, 4, 5 };
static bool halves;

/* rope turns in place: what it turns are sums, so that leaves stay as they are. */
static wt_status op_attention(bench *b, wt_tensor **y)
{
    static const double freq[3] = { 1, 0.3, 0.05 };
    wt_kv_view kv = { NULL, WT_F32, HEADS, D, panels };
    wt_tensor *q, *k, *v, *zero, *table;
    WT_TRY(wt_tensor_new(b->r.a, 2, LEAF(b, 0)->shape, &zero));
    memset(zero->f32, 0, zero->n * sizeof(float));
    WT_TRY(wt_op_add(&b->r, LEAF(b, 0), zero, &q));
    zero->n = LEAF(b, 1)->n;
    WT_TRY(wt_op_add(&b->r, LEAF(b, 1), zero, &k));
    WT_TRY(wt_op_add(&b->r, LEAF(b, 2), zero, &v));
    WT_TRY(wt_op_rope_table(&b->r, pos_of, TOK, freq, 6, 1.1f, &table));
    WT_TRY(wt_op_rope_keep(&b->r, q, k, v, table, halves, &kv, seq_of, pos_of));
    return wt_op_attention(&b->r, q, k, v, &kv, seq_of, pos_of, y);
}

static void attention_and_rope_have_the_gradients_of_their_results(void **state)
{
    (void)state;
    bench b;
    for (int way = 0; way < 2; way++) {
        halves = way;
        ON_BOTH_TIERS(b) {
            add_leaf(&b, "q", false, TOK, HEADS * GROUP * D); add_leaf(&b, "k", false, TOK, HEADS * D); add_leaf(&b, "v", false, TOK, HEADS * D);
            check_op(&b, "attention", op_attention);
        }
    }
}

static void long_panels(const void *self, int32_t layer, int32_t seq, int32_t p, int32_t head, void **keys, void **values)
{
    float (*pages)[2][64 * 4] = (float (*)[2][64 * 4])self;
    (void)layer; (void)seq; (void)head;
    *keys = pages[p][0];
    *values = pages[p][1];
}

/* Longer than the blocks of backward: against scores that are all there at once, in double. */
static void long_attention_is_that_of_whole_rows(void **state)
{
    (void)state;
    enum { N_LONG = 700, W = 4 };
    bench b;
    bench_open(&b, WT_N_TIER - 1, 2);
    int32_t *seq = calloc(N_LONG, sizeof *seq), *pos = malloc(N_LONG * sizeof *pos);
    static float pages[(N_LONG + 63) / 64][2][64 * W];
    static float x[3][N_LONG * W], c[N_LONG * W];
    static double grad[3][N_LONG * W], p[N_LONG];
    for (int i = 0; i < N_LONG; i++) pos[i] = i;
    for (int k = 0; k < 3; k++) for (int i = 0; i < N_LONG * W; i++) x[k][i] = draw(&b);
    for (int i = 0; i < N_LONG * W; i++) c[i] = draw(&b);
    for (int t = 0; t < N_LONG; t++) {                                  /* by hand */
        double sum = 0, mix = 0, dp[N_LONG];
        for (int s = 0; s <= t; s++) {
            double z = 0;
            for (int i = 0; i < W; i++) z += (double)x[0][t * W + i] * (double)x[1][s * W + i];
            sum += p[s] = exp(z / sqrt(W));
        }
        for (int s = 0; s <= t; s++) {
            p[s] /= sum;
            dp[s] = 0;
            for (int i = 0; i < W; i++) {
                dp[s] += (double)c[t * W + i] * (double)x[2][s * W + i];
                grad[2][s * W + i] += p[s] * (double)c[t * W + i];
            }
            mix += p[s] * dp[s];
        }
        for (int s = 0; s <= t; s++)
            for (int i = 0; i < W; i++) {
                double dz = p[s] * (dp[s] - mix) / sqrt(W);
                grad[0][t * W + i] += dz * (double)x[1][s * W + i];
                grad[1][s * W + i] += dz * (double)x[0][t * W + i];
            }
    }
    wt_tensor t[3], *y;
    for (int k = 0; k < 3; k++) t[k] = (wt_tensor){ .type = WT_F32, .n_dim = 2, .shape = { N_LONG, W, 1, 1 }, .n = N_LONG * W, .data = x[k], .f32 = x[k], .tracked = true };
    wt_kv_view kv = { pages, WT_F32, 1, W, long_panels };
    for (int i = 0; i < N_LONG; i++) wt_kv_put(&b.k, &kv, pages[i / 64][0], pages[i / 64][1], i % 64, x[1] + i * W, x[2] + i * W);
    assert_int_equal(wt_op_attention(&b.r, t, t + 1, t + 2, &kv, seq, pos, &y), WITAN_OK);
    bool add;
    memcpy(wt_grad(&b.r, y, &add), c, sizeof c);
    assert_int_equal(wt_tape_backward(&b.r), WITAN_OK);
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < N_LONG * W; i++)
            if (!(fabs((double)t[k].grad[i] - grad[k][i]) <= 2e-5 * (1 + fabs(grad[k][i])))) fail_msg("gradient %d of %d is %.8g, expected %.8g", i, k, t[k].grad[i], grad[k][i]);
    free(seq);
    free(pos);
    bench_close(&b);
}

/* ---- experts --------------------------------------------------------------------------------------------------------------- */

enum { E = 6, FF = 10, W = 8 };

static wt_status acquire(void *self, wt_ctx *cx, int32_t layer, int32_t e, wt_expert *out)
{
    const bench *b = self;
    wt_tensor *t[3] = { &out->gate, &out->up, &out->down };
    (void)cx; (void)layer;
    for (int i = 0; i < 3; i++) {
        const leaf *l = b->leaf + 1 + i;
        int64_t rows = i < 2 ? FF : W, cols = i < 2 ? W : FF;
        size_t at = (size_t)(e * rows * cols);
        *t[i] = (wt_tensor){ .name = l->name, .type = WT_F32, .n_dim = 2, .shape = { rows, cols, 1, 1 }, .n = (size_t)(rows * cols), .bytes = (size_t)(rows * cols) * 4,
                             .data = l->value + at, .f32 = l->value + at, .grad = l->grad + at };
    }
    return WITAN_OK;
}

static void release(void *self, int32_t layer, int32_t e) { (void)self; (void)layer; (void)e; }

static wt_route *ragged;

/* Tokens with 0 to 4 experts; expert 4 has none. Weights are a leaf: they are tracked through the route. */
static wt_status op_experts(bench *b, wt_tensor **y)
{
    static const int32_t choice[TOK][4] = { { 1, 0, 5 }, { 2 }, { 0, 3, 1, 5 }, { 0 }, { 5, 2 }, { 0, 1 }, { 3 }, { 0 }, { 0 }, { 5, 0, 3 }, { 2, 1 }, { 3, 0 } };
    static const int32_t many[TOK] = { 3, 1, 4, 1, 2, 2, 1, 0, 1, 3, 2, 2 };
    const float *pair_y;
    WT_TRY(wt_route_new(b->r.a, TOK, E, 4, &ragged));
    for (int t = 0; t < TOK; t++) {
        for (int i = 0; i < many[t]; i++) {
            ragged->expert[ragged->n_pair] = choice[t][i];
            ragged->weight[ragged->n_pair] = b->leaf[4].value[ragged->n_pair];
            ragged->n_pair++;
        }
        wt_route_next(ragged);
    }
    return wt_op_experts(&b->r, &(wt_expert_source){ b, acquire, release }, ragged, LEAF(b, 0), y, &pair_y);
}

static void experts_have_the_gradients_of_their_results(void **state)
{
    (void)state;
    bench b;
    for (int half = 0; half < 2; half++)
        ON_BOTH_TIERS(b) {
            add_leaf(&b, "x", false, TOK, W); add_leaf(&b, "gate", true, E * FF, W); add_leaf(&b, "up", true, E * FF, W); add_leaf(&b, "down", true, E * W, FF);
            add_leaf(&b, "pair weight", true, 22, 0);
            b.tape.half = half;
            gradients(&b, op_experts);
            memcpy(b.leaf[4].grad, ragged->grad, 22 * sizeof(float));
            for (size_t i = 0; i < b.n_leaf && !half; i++) check_leaf(&b, "experts", b.leaf + i, op_experts);
            for (int i = 0; i < FF * W; i++) assert_true(b.leaf[1].grad[4 * FF * W + i] == 0);      /* an expert without pairs */
            float *kept = malloc(E * FF * W * sizeof *kept);
            memcpy(kept, b.leaf[1].grad, E * FF * W * sizeof *kept);
            b.tape.half = !half;
            gradients(&b, op_experts);
            for (int i = 0; i < E * FF * W; i++) assert_true(fabsf(b.leaf[1].grad[i] - kept[i]) < 0.02f);
            free(kept);
        }
}

/* ---- loss ------------------------------------------------------------------------------------------------------------------ */

static const int32_t targets[9] = { 3, 0, -1, 30, 12, 12, -1, 5, 1 };
static const float weights[9] = { 1, 0.5f, 3, 2, 0, 1, 1, 0.25f, 1 };
static bool weighted;

static double loss_of(bench *b, bool record)
{
    wt_loss l = { .target = targets, .weight = weighted ? weights : NULL };
    double sum = 0;
    fresh(b);
    b->tape.on = record;
    b->tape.seed_grad = 1;
    if (record) for (size_t i = 0; i < 2; i++) memset(b->leaf[i].grad, 0, b->leaf[i].t.n * sizeof(float));
    assert_int_equal(wt_op_head_loss(&b->r, LEAF(b, 0), LEAF(b, 1), &l), WITAN_OK);
    for (int i = 0; i < 9; i++) {
        if (targets[i] < 0) assert_true(l.row[i] == 0);
        sum += (double)(weighted ? weights[i] : 1) * (double)l.row[i];
    }
    if (record) memcpy(b->leaf[0].grad, b->leaf[0].t.grad, b->leaf[0].t.n * sizeof(float));
    return sum;
}

static void the_loss_is_that_of_softmax_and_ignores_what_it_should(void **state)
{
    (void)state;
    bench b;
    for (int way = 0; way < 2; way++) {
        weighted = way;
        ON_BOTH_TIERS(b) {
            double expected = 0, found;
            add_leaf(&b, "x", false, 9, 7); add_leaf(&b, "head", true, 31, 7);
            for (int t = 0; t < 9; t++) {
                double z[31], sum = 0;
                for (int v = 0; v < 31; v++) {
                    z[v] = 0;
                    for (int i = 0; i < 7; i++) z[v] += (double)b.leaf[0].value[t * 7 + i] * (double)b.leaf[1].value[v * 7 + i];
                    sum += exp(z[v]);
                }
                if (targets[t] >= 0) expected += (double)(weighted ? weights[t] : 1) * (log(sum) - z[targets[t]]);
            }
            found = loss_of(&b, true);
            assert_true(fabs(found - expected) < 1e-5);
            for (int i = 0; i < 7; i++) assert_true(b.leaf[0].grad[2 * 7 + i] == 0);
            for (int l = 0; l < 2; l++)
                for (size_t i = 0; i < b.leaf[l].t.n; i++) {
                    float keep = b.leaf[l].value[i], grad = b.leaf[l].grad[i];
                    b.leaf[l].value[i] = keep + 1e-2f;
                    double up = loss_of(&b, false);
                    b.leaf[l].value[i] = keep - 1e-2f;
                    double by = (up - loss_of(&b, false)) / 2e-2;
                    b.leaf[l].value[i] = keep;
                    if (!(fabs(by - (double)grad) < 2e-3)) fail_msg("%s: gradient %zu is %.6g, by difference %.6g", b.leaf[l].name, i, grad, by);
                }
        }
    }
}

/* ---- routers: card moe-core ------------------------------------------------------------------------------------------------ */

enum { N_EXP = 6 };

static const struct { int32_t k; } topk_options = { 0 };

static wt_route_spec spec_of(bench *b, wt_activation act, bool renorm, int32_t k)
{
    wt_route_spec s = { .activation = act, .select_opt = &topk_options, .n_used = k, .renorm = renorm, .scale = 1 };
    assert_int_equal(wt_method_find(b->cx, WT_KIND_ROUTER, "topk", &s.select), WITAN_OK);
    return s;
}

/* Gradients of logits z [n_tok, N_EXP] from those of weights, a [n_tok, N_EXP] by expert. */
static wt_route *route_back(bench *b, const wt_route_spec *s, float *z, int32_t n_tok, const float *a, float *dz)
{
    float identity[N_EXP * N_EXP] = { 0 };
    for (int e = 0; e < N_EXP; e++) identity[e * N_EXP + e] = 1;
    size_t n = (size_t)n_tok * N_EXP;
    wt_tensor x = { .type = WT_F32, .n_dim = 2, .shape = { n_tok, N_EXP, 1, 1 }, .n = n, .data = z, .f32 = z, .tracked = true };
    wt_tensor w = { .type = WT_F32, .n_dim = 2, .shape = { N_EXP, N_EXP, 1, 1 }, .n = N_EXP * N_EXP, .bytes = sizeof identity, .data = identity, .f32 = identity };
    wt_route *rt;
    wt_tape_reset(&b->tape);
    if (wt_route_run(&b->r, s, &x, &w, NULL, NULL, &rt)) fail_msg("%s", witan_error(b->cx));
    rt->grad = wt_take_n(&b->a, (size_t)rt->n_pair, sizeof *rt->grad);
    for (int32_t t = 0; t < n_tok; t++)
        for (int32_t i = rt->tok_off[t]; i < rt->tok_off[t + 1]; i++) rt->grad[i] = a[t * N_EXP + rt->expert[i]];
    assert_int_equal(wt_tape_backward(&b->r), WITAN_OK);
    memcpy(dz, x.grad, n * sizeof *dz);
    return rt;
}

static void router_gradients_are_those_of_the_card(void **state)
{
    (void)state;
    enum { T = 5, K = 3 };
    bench b;
    float z[T * N_EXP], a[T * N_EXP], dz[T * N_EXP];
    static const struct { wt_activation act; bool renorm; char mode; } way[] = {
        { WT_ACT_SOFTMAX, false, 'A' }, { WT_ACT_NONE, false, 'B' }, { WT_ACT_SOFTMAX, true, 'B' }, { WT_ACT_SIGMOID, true, 'C' } };
    for (size_t m = 0; m < 4; m++)
        ON_BOTH_TIERS(b) {
            for (int i = 0; i < T * N_EXP; i++) { z[i] = 2 * draw(&b); a[i] = draw(&b); }
            wt_route_spec s = spec_of(&b, way[m].act, way[m].renorm, K);
            wt_route *rt = route_back(&b, &s, z, T, a, dz);
            for (int t = 0; t < T; t++) {
                double g[N_EXP], w[N_EXP] = { 0 }, sum = 0, chosen = 0, mix = 0, row = 0;
                bool in[N_EXP] = { false };
                for (int e = 0; e < N_EXP; e++) sum += exp((double)z[t * N_EXP + e]);
                for (int e = 0; e < N_EXP; e++) g[e] = way[m].mode == 'C' ? 1 / (1 + exp(-(double)z[t * N_EXP + e])) : exp((double)z[t * N_EXP + e]) / sum;
                assert_int_equal(rt->tok_off[t + 1] - rt->tok_off[t], K);
                for (int32_t i = rt->tok_off[t]; i < rt->tok_off[t + 1]; i++) { in[rt->expert[i]] = true; chosen += g[rt->expert[i]]; }
                for (int e = 0; e < N_EXP; e++) if (in[e]) w[e] = way[m].mode == 'A' ? g[e] : g[e] / chosen;
                for (int e = 0; e < N_EXP; e++) mix += w[e] * (double)a[t * N_EXP + e];
                for (int e = 0; e < N_EXP; e++) {
                    double ae = (double)a[t * N_EXP + e], by_card = way[m].mode == 'A' ? g[e] * ((in[e] ? ae : 0) - mix)
                        : !in[e] ? 0 : way[m].mode == 'B' ? w[e] * (ae - mix) : w[e] * (1 - g[e]) * (ae - mix);
                    if (!(fabs((double)dz[t * N_EXP + e] - by_card) < 1e-6)) fail_msg("mode %c: %.8g, by the card %.8g", way[m].mode, dz[t * N_EXP + e], by_card);
                    row += (double)dz[t * N_EXP + e];
                }
                if (way[m].mode != 'C') assert_true(fabs(row) < 1e-6);
            }
        }
}

static void one_renormalised_expert_teaches_the_router_nothing(void **state)
{
    (void)state;
    bench b;
    float z[4 * N_EXP], a[4 * N_EXP], dz[4 * N_EXP];
    ON_BOTH_TIERS(b) {
        for (int i = 0; i < 4 * N_EXP; i++) { z[i] = draw(&b); a[i] = draw(&b); }
        wt_route_spec s = spec_of(&b, WT_ACT_NONE, false, 1);
        route_back(&b, &s, z, 4, a, dz);
        for (int i = 0; i < 4 * N_EXP; i++) assert_true(dz[i] == 0);
    }
}

/* ---- balance methods: cards lbl-aux, lbl-global, bias-free, bip-balance ------------------------------------------------------- */

static wt_balance_set *set_of(bench *b, int32_t n_exp, const char *name, const char *options)
{
    wt_balance_set *s;
    assert_int_equal(wt_balance_open(b->cx, 1, &n_exp, &s), WITAN_OK);
    if (wt_balance_add(s, name, options)) fail_msg("%s", witan_error(b->cx));
    return s;
}

static void even_probabilities_cost_alpha_and_gradients_are_the_cards(void **state)
{
    (void)state;
    enum { T = 8 };
    bench b;
    float z[T * N_EXP] = { 0 }, a[T * N_EXP] = { 0 }, dz[T * N_EXP];
    ON_BOTH_TIERS(b) {
        wt_balance_set *set = set_of(&b, N_EXP, "aux", "alpha=0.25");
        wt_route_spec s = spec_of(&b, WT_ACT_SOFTMAX, false, 2);
        b.r.balance = set;
        b.tape.balance_scale = 0.5f;
        memset(z, 0, sizeof z);
        wt_balance_begin_pass(set, true);
        route_back(&b, &s, z, T, a, dz);
        assert_true(fabs(set->b[0].loss - 0.25) < 1e-7);
        for (int i = 0; i < T * N_EXP; i++) z[i] = draw(&b);
        wt_balance_begin_pass(set, true);
        wt_route *rt = route_back(&b, &s, z, T, a, dz);
        double f[N_EXP] = { 0 };
        for (int32_t i = 0; i < rt->n_pair; i++) f[rt->expert[i]] += 1.0 / rt->n_pair;
        for (int t = 0; t < T; t++) {
            double g[N_EXP], sum = 0, mix = 0;
            for (int e = 0; e < N_EXP; e++) sum += g[e] = exp((double)z[t * N_EXP + e]);
            for (int e = 0; e < N_EXP; e++) { g[e] /= sum; mix += f[e] * g[e]; }
            for (int e = 0; e < N_EXP; e++) assert_true(fabs((double)dz[t * N_EXP + e] - 0.5 * 0.25 * N_EXP / T * g[e] * (f[e] - mix)) < 1e-7);
        }
        wt_balance_free(set);
    }
}

/* The mean of the losses of micro-batches with counts of the whole step is the loss of the whole step. */
static void the_global_loss_is_the_mean_of_its_parts(void **state)
{
    (void)state;
    enum { PARTS = 8 };
    bench b;
    bench_open(&b, WT_TIER_REF, 1);
    wt_balance_set *set = set_of(&b, N_EXP, "aux", "alpha=1,scope=global");
    const wt_balance_ops *ops = set->b[0].method->ops;
    int64_t total[N_EXP] = { 0 }, none[N_EXP] = { 0 };
    double mean[PARTS][N_EXP], all[N_EXP] = { 0 }, sum = 0, loss, expected = 0, pairs = 0;
    float d_share[N_EXP] = { 0 };
    for (int m = 0; m < PARTS; m++)
        for (int e = 0; e < N_EXP; e++) {
            mean[m][e] = (double)wt_rng_float(&b.rng) / 3;
            all[e] += mean[m][e] / PARTS;
            total[e] += (int64_t)wt_rng_below(&b.rng, 30);
        }
    for (int e = 0; e < N_EXP; e++) pairs += (double)total[e];
    for (int e = 0; e < N_EXP; e++) expected += N_EXP * (double)total[e] / pairs * all[e];
    for (int m = 0; m < PARTS; m++) {
        wt_balance_view v = { .n_tok = 4, .n_exp = N_EXP, .n_used = 2, .share_mean = mean[m], .count = none, .step_count = total, .scale = 1, .d_share_all = d_share };
        assert_int_equal(ops->loss(&b.r, set->b[0].opt, NULL, &v, &loss), WITAN_OK);
        sum += loss / PARTS;
    }
    assert_true(fabs(sum - expected) < 1e-12);
    wt_balance_free(set);
    bench_close(&b);
}

enum { N = 512, M = 16, USED = 4 };

/* Scores of tokens that all like the same experts: sigmoids, or a softmax, of about normal noise and a slope. */
static void skewed(float *s, bool softmax)
{
    wt_rng rng;
    wt_rng_seed(&rng, 21, 0);
    for (int t = 0; t < N; t++) {
        double x[M], sum = 0;
        for (int e = 0; e < M; e++) {
            double noise = 0;
            for (int i = 0; i < 12; i++) noise += (double)wt_rng_float(&rng) - 0.5;
            x[e] = exp(noise + 6.0 * (M / 2 - e) / M);
            sum += x[e];
        }
        for (int e = 0; e < M; e++) s[t * M + e] = (float)(softmax ? x[e] / sum : x[e] / (1 + x[e]));
    }
}

static double violation(bench *b, const float *s, const float *bias, int64_t *count)
{
    wt_route *rt;
    int64_t most = 0;
    memset(count, 0, M * sizeof *count);
    wt_mark m = wt_mark_set(&b->a);
    assert_int_equal(wt_route_new(&b->a, 1, M, USED, &rt), WITAN_OK);
    for (int t = 0; t < N; t++) {
        float row[M];
        for (int e = 0; e < M; e++) row[e] = s[t * M + e] + bias[e];
        rt->n_pair = rt->at = 0;
        memset(rt->taken, 0, sizeof *rt->taken);
        for (int i = 0; i < USED; i++) { wt_route_take_best(rt, row); count[rt->expert[i]]++; }
    }
    wt_rewind(&b->a, m);
    for (int e = 0; e < M; e++) if (count[e] > most) most = count[e];
    return (double)most * M / (N * USED) - 1;
}

static void the_bias_balances_in_two_thousand_steps(void **state)
{
    (void)state;
    bench b;
    bench_open(&b, WT_N_TIER - 1, 1);
    static float s[N * M];
    float bias[M] = { 0 };
    int64_t count[M];
    skewed(s, false);
    wt_balance_set *set = set_of(&b, M, "bias-free", "u=0.001");
    double first = violation(&b, s, bias, count), last = first;
    for (int i = 0; i < 2000; i++) {
        memcpy(set->count[0], count, sizeof count);
        wt_balance_after_step(set);
        assert_true(wt_balance_bias(set, 0, bias));
        last = violation(&b, s, bias, count);
    }
    if (!(first > 2 && last < 0.5)) fail_msg("violation %g at first, %g in the end", first, last);
    for (int e = 0; e < M; e++) bias[e] += 3;                       /* a constant changes nothing */
    assert_true(violation(&b, s, bias, count) == last);
    wt_balance_free(set);
    bench_close(&b);
}

/* k sum p + m sum q + sum max(0, s - p - q), with the best p for q. */
static double dual(const float *s, const float *q)
{
    double sum = 0;
    for (int e = 0; e < M; e++) sum += (double)USED * N / M * (double)q[e];
    for (int t = 0; t < N; t++) {
        double x[M], p;
        for (int e = 0; e < M; e++) x[e] = (double)s[t * M + e] - (double)q[e];
        for (int i = 0; i <= USED; i++)                             /* the (k+1)-th largest comes to place k */
            for (int e = i + 1; e < M; e++) if (x[e] > x[i]) { double y = x[i]; x[i] = x[e]; x[e] = y; }
        p = x[USED] > 0 ? x[USED] : 0;
        sum += USED * p;
        for (int e = 0; e < M; e++) sum += x[e] > p ? x[e] - p : 0;
    }
    return sum;
}

static void prices_balance_at_once_and_never_raise_the_dual(void **state)
{
    (void)state;
    static float s[N * M];
    skewed(s, true);
    for (int32_t threads = 1; threads <= 3; threads += 2) {
        bench b;
        bench_open(&b, WT_N_TIER - 1, threads);
        wt_tensor score = { .type = WT_F32, .n_dim = 2, .shape = { N, M, 1, 1 }, .n = N * M, .data = s, .f32 = s };
        wt_balance_set *set = set_of(&b, M, "bip", "rounds=1");
        const wt_balance_ops *ops = set->b[0].method->ops;
        const float *bias;
        float none[M] = { 0 };
        int64_t count[M];
        double first = violation(&b, s, none, count), before = dual(s, none), after = 0, found[15] = { 0 };
        for (int i = 1; i <= 14; i++, before = after) {
            assert_int_equal(ops->before(&b.r, set->b[0].opt, set->b[0].state[0], &score, USED, true, &bias), WITAN_OK);
            found[i] = violation(&b, s, bias, count);
            after = dual(s, set->b[0].state[0]);
            if (!(after <= before + 1e-3)) fail_msg("the dual rises from %.6f to %.6f", before, after);
        }
        if (getenv("WITAN_PRINT")) print_message("violation %.2f, then %.2f, %.2f (4), %.2f (8), %.2f (14)\n", first, found[1], found[4], found[8], found[14]);
        if (!(first > 2 && found[1] < first && found[4] < 0.6 && found[14] < 0.2)) fail_msg("violation %g, then %g, %g, %g", first, found[1], found[4], found[14]);
        float kept[M];
        memcpy(kept, set->b[0].state[0], sizeof kept);
        assert_int_equal(ops->before(&b.r, set->b[0].opt, set->b[0].state[0], &score, USED, false, &bias), WITAN_OK);
        assert_memory_equal(kept, set->b[0].state[0], sizeof kept);   /* looking changes nothing */
        wt_balance_free(set);
        bench_close(&b);
    }
}

#define T(name) cmocka_unit_test(name)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(plain_ops_have_the_gradients_of_their_results), T(pieces_that_run_again_have_the_same_gradients),
        T(attention_and_rope_have_the_gradients_of_their_results), T(long_attention_is_that_of_whole_rows), T(experts_have_the_gradients_of_their_results),
        T(the_loss_is_that_of_softmax_and_ignores_what_it_should), T(router_gradients_are_those_of_the_card),
        T(one_renormalised_expert_teaches_the_router_nothing), T(even_probabilities_cost_alpha_and_gradients_are_the_cards),
        T(the_global_loss_is_the_mean_of_its_parts), T(the_bias_balances_in_two_thousand_steps), T(prices_balance_at_once_and_never_raise_the_dual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
