/* Routes: choosing experts token by token, and grouping the pairs by expert. */
#include "op/route.h"

#include "base/thread.h"
#include <math.h>
#include <string.h>

wt_status wt_route_new(wt_arena *a, int32_t n_tok, int32_t n_exp, int32_t most, wt_route **out)
{
    wt_route *rt = wt_take(a, sizeof *rt);
    if (!rt) return WITAN_ENOMEM;
    *rt = (wt_route){ .n_tok = n_tok, .n_exp = n_exp, .most = most };
    size_t pairs = (size_t)n_tok * (size_t)most;
    rt->tok_off = wt_take_n(a, (size_t)n_tok + 1, sizeof *rt->tok_off);
    rt->expert = wt_take_n(a, pairs, sizeof *rt->expert);
    rt->weight = wt_take_n(a, pairs, sizeof *rt->weight);
    rt->taken = wt_take_n(a, (size_t)n_exp / 64 + 1, sizeof *rt->taken);
    if (!rt->tok_off || !rt->expert || !rt->weight || !rt->taken) return WITAN_ENOMEM;
    rt->tok_off[0] = 0;
    memset(rt->taken, 0, ((size_t)n_exp / 64 + 1) * sizeof *rt->taken);
    *out = rt;
    return WITAN_OK;
}

float wt_route_take_best(wt_route *rt, const float *score)
{
    int32_t best = -1;
    float top = -INFINITY;
    for (int32_t e = 0; e < rt->n_exp; e++)      /* > keeps the lower id on ties, and is never true for NaN */
        if (score[e] > top && !(rt->taken[e / 64] >> (e % 64) & 1)) { best = e; top = score[e]; }
    if (best < 0 || wt_route_taken(rt) >= rt->most) return -INFINITY;
    rt->taken[best / 64] |= (uint64_t)1 << (best % 64);
    rt->expert[rt->n_pair] = best;
    rt->weight[rt->n_pair++] = top;
    return top;
}

int32_t wt_route_taken(const wt_route *rt) { return rt->n_pair - rt->tok_off[rt->at]; }

void wt_route_next(wt_route *rt)
{
    rt->tok_off[++rt->at] = rt->n_pair;
    memset(rt->taken, 0, ((size_t)rt->n_exp / 64 + 1) * sizeof *rt->taken);
}

/* ---- parts ------------------------------------------------------------------------------------------------------------- */

wt_status wt_route_split(wt_arena *a, const wt_route *rt, size_t n, wt_route **parts)
{
    size_t words = (size_t)rt->n_exp / 64 + 1;
    wt_route *p = wt_take_n(a, n, sizeof *p);
    int32_t *off = wt_take_n(a, (size_t)rt->n_tok + n, sizeof *off);
    uint64_t *taken = wt_take_n(a, n * (words + 8), sizeof *taken);          /* each in cache lines of its own */
    if (!p || !off || !taken) return WITAN_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        size_t begin = (size_t)rt->n_tok * i / n, end = (size_t)rt->n_tok * (i + 1) / n, room = begin * (size_t)rt->most;
        p[i] = (wt_route){ .n_tok = (int32_t)(end - begin), .n_exp = rt->n_exp, .most = rt->most, .tok_off = off + begin + i,
                           .expert = rt->expert + room, .weight = rt->weight + room, .taken = taken + i * (words + 8) };
        p[i].tok_off[0] = 0;
        memset(p[i].taken, 0, words * sizeof *taken);
    }
    *parts = p;
    return WITAN_OK;
}

void wt_route_join(wt_route *rt, size_t n, const wt_route *parts)
{
    int32_t t = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        const wt_route *p = parts + i;
        if (p->expert != rt->expert + sum) {                                 /* tokens before these have fewer than they may */
            memmove(rt->expert + sum, p->expert, (size_t)p->n_pair * sizeof *p->expert);
            memmove(rt->weight + sum, p->weight, (size_t)p->n_pair * sizeof *p->weight);
        }
        for (int32_t k = 0; k < p->n_tok; k++) rt->tok_off[++t] = sum + p->tok_off[k + 1];
        sum += p->n_pair;
    }
    rt->n_pair = sum;
    rt->at = t;
}

/* ---- grouping ---------------------------------------------------------------------------------------------------------- */

enum { CHUNK = 1024 /* pairs, at least */, MOST_CHUNKS = 256 };

/* Pairs in chunks that are counted, and then put in their places, side by side. at [n, n_exp]: pairs of each expert, then where the next of them
 * goes. stranger [n]: the first pair whose expert does not exist, -1: none. */
typedef struct chunks { const wt_route *rt; size_t n; int32_t *at, *stranger; } chunks;

static int32_t chunk_at(const chunks *c, size_t i) { return (int32_t)((int64_t)c->rt->n_pair * (int64_t)i / (int64_t)c->n); }

static void count(void *arg, size_t begin, size_t end, int worker)
{
    const chunks *c = arg;
    int32_t n_exp = c->rt->n_exp;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        int32_t *at = c->at + i * (size_t)n_exp, stop = chunk_at(c, i + 1);
        memset(at, 0, (size_t)n_exp * sizeof *at);
        c->stranger[i] = -1;
        for (int32_t p = chunk_at(c, i); p < stop && c->stranger[i] < 0; p++) {
            int32_t e = c->rt->expert[p];
            if (e < 0 || e >= n_exp) c->stranger[i] = p; else at[e]++;
        }
    }
}

static void place(void *arg, size_t begin, size_t end, int worker)
{
    const chunks *c = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        int32_t *at = c->at + i * (size_t)c->rt->n_exp, stop = chunk_at(c, i + 1);
        for (int32_t p = chunk_at(c, i); p < stop; p++) c->rt->order[at[c->rt->expert[p]]++] = p;      /* pairs come in token order */
    }
}

/* Numbers of pairs to places: expert by expert, and of one expert chunk by chunk. */
static void lay_out(const chunks *c)
{
    int32_t sum = 0, n_exp = c->rt->n_exp;
    for (int32_t e = 0; e < n_exp; e++) {
        c->rt->exp_off[e] = sum;
        for (size_t i = 0; i < c->n; i++) {
            int32_t *at = c->at + i * (size_t)n_exp + e, n = *at;
            *at = sum;
            sum += n;
        }
    }
    c->rt->exp_off[n_exp] = sum;
}

wt_status wt_route_group(wt_ctx *cx, wt_route *rt, wt_arena *a)
{
    chunks c = { .rt = rt, .n = (size_t)rt->n_pair / CHUNK };
    if (c.n > 4 * (size_t)cx->threads) c.n = 4 * (size_t)cx->threads;
    if (c.n > MOST_CHUNKS) c.n = MOST_CHUNKS;
    if (c.n < 2 || cx->threads == 1) c.n = 1;
    rt->order = wt_take_n(a, (size_t)rt->n_pair, sizeof *rt->order);
    rt->exp_off = wt_take_n(a, (size_t)rt->n_exp + 1, sizeof *rt->exp_off);
    wt_mark m = wt_mark_set(a);
    c.at = wt_take_n(a, c.n * (size_t)rt->n_exp, sizeof *c.at);
    c.stranger = wt_take_n(a, c.n, sizeof *c.stranger);
    if (!rt->order || !rt->exp_off || !c.at || !c.stranger) return WITAN_ENOMEM;
    wt_parallel(cx, c.n, 1, count, &c);
    for (size_t i = 0; i < c.n; i++)
        if (c.stranger[i] >= 0) return wt_fail(cx, WT_EARG, "route: expert %d is outside [0, %d)", rt->expert[c.stranger[i]], rt->n_exp);
    lay_out(&c);
    wt_parallel(cx, c.n, 1, place, &c);
    wt_rewind(a, m);
    return WITAN_OK;
}
