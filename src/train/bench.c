/* How fast training goes on this machine, and how much of its arithmetic that uses. */
#include "train/run.h"

#include "base/rng.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_REPEAT = 1000 };

/* What one token's products need: see witan_train_bench_result.ops_per_token. */
static double ops_of(const wt_training *r)
{
    const wt_config *c = &r->m->cfg;
    double weights = 0, seen = (r->o.n_ctx + 1) / 2.0;
    for (size_t i = 0; i < r->t->n_weight; i++) {
        const wt_weight *w = r->t->weight + i;
        if (w->n_dim < 2 || (w->part == WT_PART_EMBED && r->m->head != r->m->embed)) continue;
        double used = w->part == WT_PART_EXPERT ? (double)r->m->layer[w->layer].route.n_used / r->m->layer[w->layer].n_exp : 1;
        weights += (double)w->n * used;
    }
    return 6 * weights + 12.0 * c->n_layer * c->n_head * c->d_head * seen;
}

static wt_status open_model(wt_training *r, int32_t n_vocab)
{
    if (r->o.init) return witan_model_open(r->cx, r->o.init, &(witan_model_options){ .pre = r->o.pre }, &r->m);
    const char *folder = getenv("TMPDIR");
    char *path = wt_printf(r->cx, "%s/witan-bench-%ld.gguf", folder && *folder ? folder : "/tmp", (long)getpid());
    if (!path) return WT_ENOMEM;
    wt_status st = wt_train_config_shape(r->cx, &r->o);
    if (st == WITAN_OK) st = wt_fresh_model(r->cx, &r->o, n_vocab, path);
    if (st == WITAN_OK) {
        st = witan_model_open(r->cx, path, NULL, &r->m);
        r->cx->io.unlink(r->cx->io.user, path);        /* it is mapped */
    }
    wt_free(r->cx, path);
    return st;
}

/* Rows of random tokens. */
static void fill(wt_training *r, wt_rng *rng)
{
    int32_t n = (int32_t)wt_training_tokens(r), v = r->m->cfg.n_vocab;
    for (int32_t i = 0; i < n; i++) {
        r->rows.id[i] = (int32_t)wt_rng_below(rng, (uint64_t)v);
        r->rows.target[i] = (int32_t)wt_rng_below(rng, (uint64_t)v);
        r->rows.seq[i] = i / r->o.n_ctx % (r->o.batch / r->o.accumulate);
        r->rows.pos[i] = i % r->o.n_ctx;
    }
}

static wt_status passes(wt_training *r, bool forward_only)
{
    int32_t n = (int32_t)wt_training_tokens(r) / r->o.accumulate;
    wt_train_options to = { .scale = 1.0f / (float)wt_training_tokens(r), .balance_scale = 1.0f / (float)r->o.accumulate, .checkpoint = r->o.recompute,
                            .half = r->o.half, .half_products = r->o.half_products, .balance = r->balance, .forward_only = forward_only };
    for (int32_t i = 0; i < r->o.accumulate; i++) {
        const wt_rows *b = &r->rows;
        wt_train_batch batch = { .n_tok = n, .id = b->id + i * n, .seq = b->seq + i * n, .pos = b->pos + i * n, .target = b->target + i * n };
        wt_train_result res;
        WT_TRY(wt_pass_run(r->pass, &batch, &to, &res));
        WT_TRY(wt_go_on(r->cx));
    }
    return WITAN_OK;
}

typedef struct timing { double passes, rest; } timing;

static wt_status step(wt_training *r, wt_rng *rng, int64_t number, timing *t)
{
    fill(r, rng);
    double start = wt_now();
    WT_TRY(passes(r, false));
    double middle = wt_now(), norm = wt_learner_norm(&r->learn);
    WT_TRY(wt_learner_step(&r->learn, number, 1e-4, norm > 1 ? 1 / norm : 1));
    if (r->balance) wt_balance_after_step(r->balance);
    *t = (timing){ middle - start, wt_now() - middle };
    return WITAN_OK;
}

static int by_time(const void *a, const void *b)
{
    const timing *x = a, *y = b;
    double d = x->passes + x->rest - y->passes - y->rest;
    return d < 0 ? -1 : d > 0;
}

static wt_status measure(wt_training *r, int32_t repeat, witan_train_bench_result *out)
{
    double tokens = (double)wt_training_tokens(r);
    timing warm, *t = wt_alloc(r->cx, (size_t)repeat, sizeof *t);
    wt_rng rng;
    wt_rng_seed(&rng, 1, 0);
    wt_status st = t ? step(r, &rng, 1, &warm) : WT_ENOMEM;
    for (int32_t i = 0; st == WITAN_OK && i < repeat; i++) {
        st = wt_progress(r->cx, "train", i, repeat, "steps");
        if (st == WITAN_OK) st = step(r, &rng, i + 2, t + i);
    }
    double start = wt_now();
    if (st == WITAN_OK) st = passes(r, true);
    out->forward = wt_now() - start;
    if (st == WITAN_OK) {
        qsort(t, (size_t)repeat, sizeof *t, by_time);
        timing m = t[repeat / 2];
        out->median = tokens / (m.passes + m.rest);
        out->min = tokens / (t[repeat - 1].passes + t[repeat - 1].rest);
        out->max = tokens / (t[0].passes + t[0].rest);
        out->backward = m.passes - out->forward;
        out->optimizer = m.rest;
    }
    wt_free(r->cx, t);
    return st;
}

wt_status witan_train_bench(wt_ctx *cx, const witan_machine *machine, const witan_train_options *o, int32_t n_vocab, int32_t repeat,
                            witan_train_bench_result *out)
{
    wt_training r = { .cx = cx, .o = *o, .lock = -1, .log = { .fd = -1 } };
    if (repeat < 1 || repeat > MOST_REPEAT) return wt_fail(cx, WT_EARG, "bench: %d repetitions are outside [1, %d]", repeat, MOST_REPEAT);
    if (o->batch % o->accumulate) return wt_fail(cx, WT_EARG, "bench: %d rows do not fall into %d equal micro-batches", o->batch, o->accumulate);
    *out = (witan_train_bench_result){ .threads = cx->threads, .rows = o->batch, .n_ctx = o->n_ctx };
    wt_status st = open_model(&r, n_vocab);
    if (st == WITAN_OK) st = wt_training_machine(&r);
    if (st == WITAN_OK) st = measure(&r, repeat, out);
    if (st == WITAN_OK) {
        out->n_param = r.m->info.n_param;
        out->n_param_active = r.m->info.n_param_active;
        out->ops_per_token = ops_of(&r);
        out->limit = machine->f32_ops / out->ops_per_token;
        out->share = out->median / out->limit;
        out->bytes = (int64_t)((2 * r.t->n_float + r.learn.n_state) * sizeof(float));
    }
    wt_training_free(&r);
    return st;
}
