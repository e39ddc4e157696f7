/* A route: the ragged list of (token, expert, weight) that a router yields, and its grouping by expert. */
#ifndef WT_OP_ROUTE_H
#define WT_OP_ROUTE_H

#include "base/arena.h"

typedef struct wt_route {
    int32_t n_tok, n_exp, n_pair;
    int32_t most;            /* room: at most this many experts per token */
    int32_t *tok_off;        /* [n_tok + 1] pairs of token t: tok_off[t] .. tok_off[t+1] */
    int32_t *expert;         /* [n_tok * most] in the order of selection, best first */
    float *weight;           /* [n_tok * most] combine weight */
    int32_t *order;          /* [n_pair] pair numbers grouped by expert, after wt_route_group */
    int32_t *exp_off;        /* [n_exp + 1] */
    uint64_t *taken;         /* [n_exp / 64 + 1] scratch of wt_route_take_best: experts the current token has */
    int32_t at;              /* token being selected */
    uint8_t *keep;           /* [n_pair] while filters run: pairs that stay */
    int32_t n_dropped;       /* pairs that filters removed */
    const struct wt_route *all;   /* the route before filters; NULL: there were none */
    const struct wt_tensor *learns;   /* the logits, where the weights' gradients flow on to them; else NULL */
    float *grad;             /* [n_pair] of the weights, once the experts' backward has run; else NULL */
} wt_route;

/* An empty route with room for n_tok * most pairs; lives in a. */
wt_status wt_route_new(wt_arena *a, int32_t n_tok, int32_t n_exp, int32_t most, wt_route **out);

/* For routers: tokens are selected in order. Takes the best expert not yet taken by this token: the largest score, ties to the
 * lower id, NaN and -inf never. Appends it with weight `score` and returns its score; -INFINITY if none is left. */
float wt_route_take_best(wt_route *rt, const float *score /* [n_exp] of the current token */);
void wt_route_next(wt_route *rt);       /* closes the current token */
int32_t wt_route_taken(const wt_route *rt);   /* pairs of the current token so far */

/* n parts of the tokens of an empty route, each an empty route of its own that may be filled while others are: first their experts and weights
 * lie where rt has room for all its tokens could take. Part i has tokens [n_tok i / n, n_tok (i + 1) / n). They live in a. */
wt_status wt_route_split(wt_arena *a, const wt_route *rt, size_t n, wt_route **parts);
/* Makes rt out of its parts, when all of them are complete. */
void wt_route_join(wt_route *rt, size_t n, const wt_route *parts);

/* Groups the pairs of a route by expert.
 *
 * rt    in: tok_off, expert; out: order [n_pair], exp_off [n_exp+1]. Pairs of one expert keep token order, so results are
 *       reproducible.
 * a     gives the memory; the arrays live until its rewind.
 *
 * Errors: WT_ENOMEM, WT_EARG if an expert id is outside [0, n_exp).
 * Cost: O(n_pair + n_exp * threads). Threads: many pairs are counted and placed side by side; the result does not depend on it.
 */
wt_status wt_route_group(wt_ctx *cx, wt_route *rt, wt_arena *a);

#endif
