/* Capacity: an expert takes at most cap = ceil(factor * pairs / E) pairs of a micro-batch, which is ceil(CF k T / E) where every token has k; further ones
 * are dropped, and the residual passes the token on. Who comes first is served first: in order of tokens, or first choices of all tokens before
 * second ones. Weights are not renormalised afterwards. Depends on the other tokens of the batch, so it is for training only. */
#include "op/method.h"

#include <math.h>
#include <string.h>

typedef enum order { TOKEN, CHOICE } order;

typedef struct opts { float factor; int32_t order; } opts;

static const char *const orders[] = { "token", "choice", NULL };

static const wt_param param[] = {
    WT_NUM(opts, factor, 1.25, 0, 1000, "room of an expert over its even part; 0: nothing is dropped"),
    WT_CHOICE(opts, order, TOKEN, orders, "who is served first: earlier tokens, or first choices before second ones"),
    { 0 }
};

static wt_status apply(wt_run *r, const void *opt, wt_route *rt)
{
    const opts *o = opt;
    double cap = ceil((double)o->factor * rt->n_pair / rt->n_exp - 1e-6);      /* not one more because a factor is no exact float */
    int32_t rounds = o->order == CHOICE ? rt->most : 1;
    int64_t *used = wt_take_n(r->a, (size_t)rt->n_exp, sizeof *used);
    if (!used) return WITAN_ENOMEM;
    if (o->factor == 0) return WITAN_OK;
    memset(used, 0, (size_t)rt->n_exp * sizeof *used);
    for (int32_t k = 0; k < rounds; k++)
        for (int32_t t = 0; t < rt->n_tok; t++) {
            int32_t begin = rt->tok_off[t] + (rounds > 1 ? k : 0), end = rounds > 1 ? begin + 1 : rt->tok_off[t + 1];
            for (int32_t i = begin; i < end && i < rt->tok_off[t + 1]; i++)
                if ((double)++used[rt->expert[i]] > cap) rt->keep[i] = 0;
        }
    return WITAN_OK;
}

const wt_method wt_filter_capacity = {
    .name = "capacity", .kind = WT_KIND_FILTER,
    .title = "expert capacity",
    .about = "Drops pairs beyond what an expert may take of a micro-batch.",
    .cite = { "Switch Transformers: Scaling to Trillion Parameter Models with Simple and Efficient Sparsity", "Fedus et al.", "arXiv:2101.03961", 2021,
              "section 2.2, eq. 3; order=choice: Lepikhin et al., arXiv:2006.16668, algorithm 1" },
    .param = param, .opt_size = sizeof(opts),
    .ops = &(const wt_filter_ops){ .apply = apply },
};
