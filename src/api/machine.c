/* The machine's limits: how fast the context's threads can read memory and compute, with the kernels they use. */
#include "base/thread.h"
#include "model/model.h"

enum { READ = 1 << 29, PASSES = 8, TRIES = 24, ROUNDS = 1 << 21 };

typedef double (*peak_fn)(size_t rounds);
typedef struct job { const wt_kernels *k; const uint8_t *p; size_t each; peak_fn peak; double *ops; uint64_t *sink; } job;

static void read_share(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) j->sink[i] = j->k->peak_read(j->p + i * j->each, j->each);
}

static void compute_share(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) j->ops[i] = j->peak(ROUNDS);
}

/* The best of several passes: a limit is what is possible, not what is usual. */
static wt_status bandwidth(wt_ctx *cx, const wt_kernels *k, size_t shares, double *best)
{
    uint8_t *p = wt_alloc(cx, READ, 1);
    uint64_t *sink = wt_alloc(cx, shares, sizeof *sink);
    wt_status st = p && sink ? WITAN_OK : WT_ENOMEM;
    for (int i = 0; st == WITAN_OK && i < PASSES; i++) {
        double start = wt_now();
        if (i == 0) for (size_t at = 0; at < READ; at += 4096) p[at] = 1;
        job j = { .k = k, .p = p, .each = READ / shares / 256 * 256, .sink = sink };
        wt_parallel(cx, shares, 1, read_share, &j);
        double speed = (double)(j.each * shares) / (wt_now() - start);
        if (i && speed > *best) *best = speed;
        st = wt_progress(cx, "measure the machine", i + 1, PASSES, "passes");
    }
    wt_free(cx, p);
    wt_free(cx, sink);
    return st;
}

static wt_status arithmetic(wt_ctx *cx, peak_fn peak, size_t shares, double *best)
{
    if (!peak) return WITAN_OK;
    double *ops = wt_alloc(cx, shares, sizeof *ops);
    if (!ops) return WT_ENOMEM;
    wt_status st = WITAN_OK;
    for (int i = 0; st == WITAN_OK && i < TRIES; i++) {
        double start = wt_now(), sum = 0;
        wt_parallel(cx, shares, 1, compute_share, &(job){ .peak = peak, .ops = ops });
        double seconds = wt_now() - start;
        for (size_t s = 0; s < shares; s++) sum += ops[s];
        if (sum / seconds > *best) *best = sum / seconds;
        st = wt_go_on(cx);
    }
    wt_free(cx, ops);
    return st;
}

wt_status witan_machine_measure(wt_ctx *cx, witan_machine *out)
{
    wt_kernels k;
    size_t shares = (size_t)cx->threads * 4;
    WT_TRY(wt_kernels_choose(cx, &k));
    *out = (witan_machine){ .threads = cx->threads, .tier = wt_tier_name(k.tier) };
    WT_TRY(bandwidth(cx, &k, shares, &out->read_bytes));
    WT_TRY(arithmetic(cx, k.peak_f32, shares, &out->f32_ops));
    WT_TRY(arithmetic(cx, k.peak_bf16, shares, &out->bf16_ops));
    return arithmetic(cx, k.peak_i8, shares, &out->i8_ops);
}
