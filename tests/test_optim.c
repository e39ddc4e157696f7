/* Learning rules against independent numbers (tools/oracle/make_optim.py: torch.optim in double for AdamW and Adafactor, numpy in double for Muon), the
 * same bits for any threads and tier, schedules by hand, checkpoints with every fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/rng.h"
#include "fault.h"
#include "train/checkpoint.h"
#include "train/learn.h"
#include "train/schedule.h"

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

/* ---- rules ----------------------------------------------------------------------------------------------------------- */

static const double adamw_matrix[] = { 0.848216039, 1.26978338, 0.970111542, 0.319288452, -0.376473148, -0.818558994, -0.851944942, -0.467775378, -0.0268697445, 0.522510403, 0.717701151, 0.487767274, -0.0106821471, -0.51365896, -0.615558104 };
static const double adafactor_matrix[] = { 0.856580551, 1.00775772, 0.689891431, 0.0494006298, -0.613813345, -0.985748568, -0.896337024, -0.389050782, 0.297102173, 0.842252954, 0.988058594, 0.668068535, 0.0348789196, -0.610311673, -0.966716855 };
static const double adafactor_vector[] = { 0.856102986, 1.01567948, 0.689700988, 0.0463800257, -0.615206893, -0.987549604, -0.898147558 };
static const double muon_wide[] = { 0.844215447, 0.993280561, 0.677338079, 0.0444704489, -0.608585956, -0.967552186, -0.878145764, -0.376125455, 0.301613077, 0.835819918, 0.968516252, 0.650940153, 0.0256967144, -0.61138, -0.958952323 };
static const double muon_tall[] = { 0.839312348, 1.00057273, 0.695040138, 0.082549572, -0.597790187, -0.994908275, -0.875118184, -0.386412285, 0.280530413, 0.802535456, 0.970084235, 0.678820624, 0.0174706547, -0.606177776, -0.9415955 };

enum { STEPS = 4, MOST = 64 };

static void fill(float *w, size_t n) { for (size_t i = 0; i < n; i++) w[i] = (float)sin(1.0 + 0.7 * (double)i); }
static void slope(float *g, size_t n, int t, float times)
{
    for (size_t i = 0; i < n; i++) g[i] = times * (float)(0.3 * cos(0.5 * (double)i + 1.1 * t));
}

/* Four steps of a weight whose matrices (all alike where there are several) must end at `want`. */
static void follows(const char *optim, double lr, int32_t n_dim, int64_t a, int64_t b, int64_t c, const double *want)
{
    wt_kernels k;
    wt_learner l;
    float w[MOST], g[MOST];
    int64_t shape[4] = { a, b, c, 1 };
    size_t n = 1, one;
    for (int32_t i = 0; i < n_dim; i++) n *= (size_t)shape[i];
    one = n_dim == 3 ? n / (size_t)a : n;
    wt_weight weight = { .name = "blk.0.x.weight", .w = w, .grad = g, .n = n, .n_dim = n_dim, .shape = { a, b, c, 1 }, .part = WT_PART_EXPERT };
    for (size_t i = 0; i < n; i += one) fill(w + i, one);
    assert_int_equal(wt_kernels_choose(cx, &k), WITAN_OK);
    if (wt_learner_open(cx, &k, &weight, 1, optim, 0, &l)) fail_msg("%s: %s", optim, witan_error(cx));
    for (int t = 1; t <= STEPS; t++) {
        for (size_t i = 0; i < n; i += one) slope(g + i, one, t, 4);
        assert_int_equal(wt_learner_step(&l, t, lr, 0.25), WITAN_OK);      /* clipped to a quarter of four times */
        for (size_t i = 0; i < n; i++) if (g[i] != 0) fail_msg("%s: gradient %zu is left over", optim, i);
    }
    for (size_t i = 0; i < n; i++)
        if (fabs((double)w[i] - want[i % one]) > 3e-6) fail_msg("%s: value %zu is %.8g, expected %.8g", optim, i, (double)w[i], want[i % one]);
    wt_learner_free(&l);
}

static void adamw_is_that_of_torch(void **state)
{
    (void)state;
    follows("adamw", 0.1, 2, 3, 5, 0, adamw_matrix);
    follows("adamw:decay=0.1,beta1=0.9,beta2=0.95", 0.1, 3, 2, 3, 5, adamw_matrix);
    follows("muon:momentum=0.5", 0.1, 1, 0, 0, 0, adamw_matrix);           /* an empty vector is no trouble */
}

static void adafactor_is_that_of_torch_and_each_expert_is_a_matrix(void **state)
{
    (void)state;
    follows("adafactor:relative", 0.01, 2, 3, 5, 0, adafactor_matrix);
    follows("adafactor:relative", 0.01, 1, 7, 0, 0, adafactor_vector);
    follows("adafactor:relative", 0.01, 3, 3, 3, 5, adafactor_matrix);
}

static void muon_orthogonalises_each_expert(void **state)
{
    (void)state;
    follows("muon", 0.02, 2, 3, 5, 0, muon_wide);
    follows("muon:scale=shape", 0.02, 2, 5, 3, 0, muon_tall);
    follows("muon", 0.02, 3, 4, 3, 5, muon_wide);
}

/* A bowl of different widths: every rule must come close to its bottom. */
static void every_rule_finds_the_bottom_of_a_bowl(void **state)
{
    static const struct { const char *optim; double lr; } rule[] = { { "adamw:decay=0", 0.05 }, { "adafactor:scale=false", 0.05 }, { "muon:decay=0", 0.2 } };
    enum { N = 48 };
    (void)state;
    for (size_t r = 0; r < 3; r++) {
        wt_kernels k;
        wt_learner l;
        float w[N], g[N];
        double left = 0;
        wt_weight weight = { .name = "w", .w = w, .grad = g, .n = N, .n_dim = 2, .shape = { 6, 8, 1, 1 }, .part = WT_PART_ATTENTION };
        wt_schedule s = { .kind = WT_SCHEDULE_COSINE, .lr = rule[r].lr, .steps = 400 };
        fill(w, N);
        memset(g, 0, sizeof g);
        assert_int_equal(wt_kernels_choose(cx, &k), WITAN_OK);
        assert_int_equal(wt_learner_open(cx, &k, &weight, 1, rule[r].optim, 0, &l), WITAN_OK);
        for (int t = 1; t <= 400; t++) {
            for (size_t i = 0; i < N; i++) g[i] = (1 + (float)(i % 5)) * (w[i] - 0.25f);
            assert_int_equal(wt_learner_step(&l, t, wt_schedule_lr(&s, t), 1), WITAN_OK);
        }
        for (size_t i = 0; i < N; i++) left = fmax(left, fabs((double)w[i] - 0.25));
        if (left > 0.02) fail_msg("%s ends %g away", rule[r].optim, left);
        wt_learner_free(&l);
    }
}

enum { BIG = 5 * 67 * 131 };

static void run(int32_t threads, const char *tier, const char *optim, float *w, double *norm)
{
    witan_ctx *c = witan_ctx_new(&(witan_config){ .threads = threads, .tier = tier });
    wt_kernels k;
    wt_learner l;
    float *g = calloc(BIG, sizeof *g);
    wt_weight weight = { .name = "blk.1.e.weight", .w = w, .grad = g, .n = BIG, .n_dim = 3, .shape = { 5, 67, 131, 1 }, .part = WT_PART_EXPERT, .layer = 1 };
    fill(w, BIG);
    assert_int_equal(wt_kernels_choose(c, &k), WITAN_OK);
    assert_int_equal(wt_learner_open(c, &k, &weight, 1, optim, 0.9, &l), WITAN_OK);
    for (int t = 1; t <= 3; t++) {
        slope(g, BIG, t, 1);
        *norm = wt_learner_norm(&l);
        assert_int_equal(wt_learner_step(&l, t, 0.01, 1), WITAN_OK);
    }
    wt_learner_swap(&l);                                       /* the running mean is compared too */
    float first = w[0];
    wt_learner_swap(&l);
    assert_true(first != w[0]);
    wt_learner_free(&l);
    free(g);
    witan_ctx_free(c);
}

static void threads_change_no_bit(void **state)
{
    static const char *const rule[] = { "adamw", "adafactor", "muon" };
    float *a = malloc(BIG * sizeof *a), *b = malloc(BIG * sizeof *b);
    double na, nb;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        run(1, NULL, rule[i], a, &na);
        run(7, NULL, rule[i], b, &nb);
        if (memcmp(a, b, BIG * sizeof *a) || memcmp(&na, &nb, sizeof na)) fail_msg("%s: one thread and seven differ", rule[i]);
    }
    run(1, "ref", "adamw", a, &na);
    run(2, NULL, "adamw", b, &nb);
    assert_memory_equal(a, b, BIG * sizeof *a);                /* Adam is the same on every tier */
    free(a);
    free(b);
}

static void the_norm_sees_every_value(void **state)
{
    float w[10] = { 0 }, g[10] = { 3, 0, 0, 0, 0, 0, 0, 0, 0, 4 };
    wt_weight weight = { .name = "w", .w = w, .grad = g, .n = 10, .n_dim = 1, .shape = { 10, 1, 1, 1 } };
    wt_kernels k;
    wt_learner l;
    (void)state;
    assert_int_equal(wt_kernels_choose(cx, &k), WITAN_OK);
    assert_int_equal(wt_learner_open(cx, &k, &weight, 1, "adamw", 0, &l), WITAN_OK);
    assert_true(wt_learner_norm(&l) == 5);
    assert_null(wt_bad_gradient(&weight, 1));
    g[9] = NAN;
    assert_false(isfinite(wt_learner_norm(&l)));
    assert_ptr_equal(wt_bad_gradient(&weight, 1), &weight);
    assert_null(wt_bad_weight(&weight, 1));
    wt_learner_free(&l);
}

static void wrong_rules_are_refused_with_the_nearest(void **state)
{
    wt_kernels k;
    wt_learner l;
    (void)state;
    assert_int_equal(wt_kernels_choose(cx, &k), WITAN_OK);
    assert_int_equal(wt_learner_open(cx, &k, NULL, 0, "adamv", 0, &l), WITAN_EARG);
    assert_non_null(strstr(witan_error(cx), "adamw"));
    assert_int_equal(wt_learner_open(cx, &k, NULL, 0, "adamw:bta1=0.5", 0, &l), WITAN_EARG);
    assert_non_null(strstr(witan_error(cx), "beta1"));
}

/* ---- schedules --------------------------------------------------------------------------------------------------------- */

static void near(double is, double want)
{
    if (fabs(is - want) > 1e-12) fail_msg("%.15g, expected %.15g", is, want);
}

static void schedules_are_what_they_say(void **state)
{
    wt_schedule s = { .kind = WT_SCHEDULE_CONSTANT, .lr = 2, .floor = 0.1, .steps = 100, .warmup = 10 };
    (void)state;
    near(wt_schedule_lr(&s, 1), 0.2);
    near(wt_schedule_lr(&s, 10), 2);
    near(wt_schedule_lr(&s, 100), 2);
    s.kind = WT_SCHEDULE_COSINE;
    near(wt_schedule_lr(&s, 51), 2 * (0.1 + 0.9 * 0.5));
    near(wt_schedule_lr(&s, 5), 2 * 0.5 * (0.1 + 0.9 * 0.5 * (1 + cos(M_PI * 0.04))));
    assert_true(wt_schedule_lr(&s, 100) > 0.2 && wt_schedule_lr(&s, 100) < 0.201);
    s.kind = WT_SCHEDULE_WSD;
    s.decay = 20;
    near(wt_schedule_lr(&s, 80), 2);
    near(wt_schedule_lr(&s, 85), 2 * (0.1 + 0.9 * 0.5));       /* 1 - sqrt(5 / 20) */
    near(wt_schedule_lr(&s, 100), 0.2);
    near(wt_schedule_lr(&s, 200), 0.2);
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------------- */

enum { A = 1000, B = 77 };
typedef struct content { float a[A]; uint8_t b[B]; } content;

static void make(content *c, uint64_t seed)
{
    wt_rng rng;
    memset(c, 0, sizeof *c);
    wt_rng_seed(&rng, seed, 0);
    for (size_t i = 0; i < A; i++) c->a[i] = wt_rng_float(&rng);
    for (size_t i = 0; i < B; i++) c->b[i] = (uint8_t)wt_rng_u64(&rng);
}

static wt_status save(wt_ctx *c, const char *path, content *x, int64_t step)
{
    wt_checkpoint_facts facts = { .step = step, .best_step = 3, .best_loss = 1.25, .model = "m", .data = "d" };
    return wt_checkpoint_write(c, path, &facts, (wt_checkpoint_part[]){ { "a", x->a, sizeof x->a }, { "b", x->b, sizeof x->b }, { "none", NULL, 0 } }, 3);
}

static wt_status load(wt_ctx *c, const char *path, content *x, wt_checkpoint_facts *facts)
{
    return wt_checkpoint_read(c, path, facts, (wt_checkpoint_part[]){ { "a", x->a, sizeof x->a }, { "b", x->b, sizeof x->b }, { "none", NULL, 0 } }, 3);
}

static void a_checkpoint_comes_back(void **state)
{
    content x, y;
    wt_checkpoint_facts facts;
    char *path;
    (void)state;
    fault_folder();
    path = fault_path("c");
    make(&x, 1);
    make(&y, 2);
    assert_int_equal(save(cx, path, &x, 12), WITAN_OK);
    assert_int_equal(load(cx, path, &y, &facts), WITAN_OK);
    assert_memory_equal(&x, &y, sizeof x);
    assert_true(facts.step == 12 && facts.best_step == 3 && facts.best_loss == 1.25 && !strcmp(facts.model, "m") && !strcmp(facts.data, "d"));
    wt_checkpoint_part other = { "a", x.a, sizeof x.a - 4 };
    assert_int_equal(wt_checkpoint_read(cx, path, &facts, &other, 1), WITAN_ESHAPE);
}

/* Every byte flipped, every length: refused with one line that names the file, and what was there stays. */
static void damage_is_found_and_changes_nothing(void **state)
{
    content x, y, before;
    wt_checkpoint_facts facts = { .step = -1 };
    char *path, *bad, *data;
    size_t n;
    (void)state;
    fault_folder();
    path = fault_path("c");
    bad = fault_path("bad");
    make(&x, 1);
    make(&y, 2);
    before = y;
    assert_int_equal(save(cx, path, &x, 12), WITAN_OK);
    assert_int_equal(wt_file_read(cx, path, 1 << 20, &data, &n), WITAN_OK);
    for (size_t i = 0; i < 2 * n; i += i < n ? 7 : 31) {
        size_t at = i % n, len = i < n ? n : at + 1 < n ? at + 1 : 1;
        if (i < n) data[at] ^= 16;
        FILE *out = fopen(bad, "wb");
        fwrite(data, 1, len, out);
        fclose(out);
        wt_status st = load(cx, bad, &y, &facts);
        bool pad = st == WITAN_OK && i < n;                    /* between the parts nothing is protected, nor used */
        if (st == WITAN_OK && !(pad && !memcmp(&x, &y, sizeof x))) fail_msg("byte %zu, length %zu: not noticed", at, len);
        if (pad) { y = before; facts.step = -1; }
        else {
            if (memcmp(&y, &before, sizeof y) || facts.step != -1) fail_msg("byte %zu, length %zu: something changed", at, len);
            if (!strstr(witan_error(cx), "bad")) fail_msg("\"%s\" does not name the file", witan_error(cx));
        }
        if (i < n) data[at] ^= 16;
    }
    wt_free(cx, data);
}

static wt_status scene(witan_ctx *c, void *arg)
{
    content *x = arg;
    char path[512];
    snprintf(path, sizeof path, "%s", fault_path("checkpoint"));
    return save(c, path, x, 5);
}

static void a_full_disk_leaves_the_old_one(void **state)
{
    content x, y;
    wt_checkpoint_facts facts;
    (void)state;
    make(&x, 1);
    make(&y, 2);
    fault_folder();
    for (int kind = FAULT_ALLOC; kind < FAULT_N; kind++) {
        if (kind == FAULT_READ || kind == FAULT_MAP || kind == FAULT_CLOSE) continue;
        unlink(fault_path("checkpoint"));
        assert_true(fault_each((fault_kind)kind, scene, &x, fault_path("checkpoint"), 200) > 0);
        assert_int_equal(load(cx, fault_path("checkpoint"), &y, &facts), WITAN_OK);
        assert_memory_equal(&x, &y, sizeof x);
    }
}

static void the_two_newest_and_the_best_stay(void **state)
{
    content x;
    int64_t *step;
    size_t n;
    (void)state;
    make(&x, 1);
    for (int64_t s = 10; s <= 60; s += 10) {
        char *path = wt_checkpoint_path(cx, fault_folder(), s);
        assert_int_equal(save(cx, path, &x, s), WITAN_OK);
        wt_free(cx, path);
    }
    assert_int_equal(wt_checkpoint_tidy(cx, fault_folder(), 50, 20), WITAN_OK);   /* went on from 50: 60 is of another past */
    assert_int_equal(wt_checkpoint_list(cx, fault_folder(), &step, &n), WITAN_OK);
    assert_int_equal(n, 3);
    assert_true(step[0] == 50 && step[1] == 40 && step[2] == 20);
    wt_free(cx, step);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(adamw_is_that_of_torch), TEST(adafactor_is_that_of_torch_and_each_expert_is_a_matrix), TEST(muon_orthogonalises_each_expert),
        TEST(every_rule_finds_the_bottom_of_a_bowl), TEST(threads_change_no_bit), TEST(the_norm_sees_every_value), TEST(wrong_rules_are_refused_with_the_nearest),
        TEST(schedules_are_what_they_say), TEST(a_checkpoint_comes_back), TEST(damage_is_found_and_changes_nothing), TEST(a_full_disk_leaves_the_old_one),
        TEST(the_two_newest_and_the_best_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
