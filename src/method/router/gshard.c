/* GShard routing: the best expert always; the second best always, or with a chance of twice its part of the two weights (so that a second expert
 * whose part is one half is always used), or where that part exceeds a threshold. Meant with renorm on, as the paper divides the two weights by
 * their sum; a token whose second expert is left out then gives all to the first (ours: the paper divides before leaving it out). Capacity is a filter,
 * which takes first choices of all tokens before second ones with order=choice.
 *
 * Chance is a hash of the run's seed, the layer and the token's place in the micro-batch; where nothing is trained both experts are used. */
#include "op/method.h"

#include "base/rng.h"
#include "op/tape.h"

typedef enum second { ALL, RANDOM, THRESHOLD } second;

typedef struct opts { int32_t second; float threshold; } opts;

static const char *const seconds[] = { "all", "random", "threshold", NULL };

static const wt_param param[] = {
    WT_CHOICE(opts, second, ALL, seconds, "when the second expert is used: always, by chance, or above a threshold"),
    WT_NUM(opts, threshold, 0.2, 0, 1, "part of the two weights that the second must exceed (second=threshold)"),
    { 0 }
};

static bool uses_second(const wt_run *r, const opts *o, int32_t t, float first, float other)
{
    float part = other > 0 ? other / (first + other) : 0;
    if (o->second == THRESHOLD) return part > o->threshold;
    if (o->second == ALL || !r->tape || !r->tape->training) return true;
    uint64_t h = wt_mix64(wt_mix64(r->seed + (uint64_t)(uint32_t)r->layer) + (uint64_t)(uint32_t)t);
    return 2 * part > (float)(h >> 40) * (1.0f / (1 << 24));
}

static wt_status pick(wt_run *r, const void *opt, const wt_tensor *score, wt_route *rt)
{
    const opts *o = opt;
    for (int32_t t = 0; t < rt->n_tok; t++) {
        const float *row = score->f32 + (size_t)t * (size_t)rt->n_exp;
        float first = wt_route_take_best(rt, row), other = -1;
        int32_t n = rt->n_pair;
        if (rt->most > 1) other = wt_route_take_best(rt, row);
        if (rt->n_pair > n && !uses_second(r, o, t, first, other)) rt->n_pair = n;
        wt_route_next(rt);
    }
    return WITAN_OK;
}

const wt_method wt_router_gshard = {
    .name = "gshard", .kind = WT_KIND_ROUTER,
    .title = "GShard top-2 routing",
    .about = "The best expert, and the second best always, by chance, or where it has enough weight.",
    .cite = { "GShard: Scaling Giant Models with Conditional Computation and Automatic Sharding", "Lepikhin et al.", "arXiv:2006.16668", 2020,
              "section 2.2, algorithm 1, without groups" },
    .param = param, .opt_size = sizeof(opts),
    .ops = &(const wt_router_ops){ .causal = true, .batch_independent = true, .select = pick },
};
