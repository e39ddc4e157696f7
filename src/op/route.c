/* Routes: choosing experts token by token, and grouping the pairs by expert. */
#include "op/route.h"

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

wt_status wt_route_group(wt_ctx *cx, wt_route *rt, wt_arena *a)
{
    rt->order = wt_take_n(a, (size_t)rt->n_pair, sizeof *rt->order);
    rt->exp_off = wt_take_n(a, (size_t)rt->n_exp + 1, sizeof *rt->exp_off);
    if (!rt->order || !rt->exp_off) return WITAN_ENOMEM;
    memset(rt->exp_off, 0, ((size_t)rt->n_exp + 1) * sizeof *rt->exp_off);
    for (int32_t i = 0; i < rt->n_pair; i++) {
        if (rt->expert[i] < 0 || rt->expert[i] >= rt->n_exp)
            return wt_fail(cx, WT_EARG, "route: expert %d is outside [0, %d)", rt->expert[i], rt->n_exp);
        rt->exp_off[rt->expert[i] + 1]++;
    }
    for (int32_t e = 0; e < rt->n_exp; e++) rt->exp_off[e + 1] += rt->exp_off[e];
    for (int32_t i = 0; i < rt->n_pair; i++) rt->order[rt->exp_off[rt->expert[i]]++] = i;   /* pairs come in token order */
    for (int32_t e = rt->n_exp; e > 0; e--) rt->exp_off[e] = rt->exp_off[e - 1];            /* undo the shift */
    rt->exp_off[0] = 0;
    return WITAN_OK;
}
