/* The route pipeline, stage by stage; gradients are in router_back.c. */
#include "moe/router.h"

#include "base/thread.h"
#include "moe/balance.h"
#include "moe/router_back.h"
#include "op/ops.h"
#include "op/tape.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>

static const wt_mask_layer *mask_of(const wt_mask *m, int32_t layer)
{
    if (!m || layer >= m->n_layer) return NULL;
    const wt_mask_layer *l = m->layer + layer;
    return l->n_keep < l->n_exp ? l : NULL;
}

static float sqrt_softplus(float z) { return sqrtf(z > 20 ? z : log1pf(expf(z))); }

/* ---- activation and score: rows of [n_tok, n_exp], shared out among workers -------------------------------------------- */

typedef struct rows { wt_run *r; wt_activation act; const wt_mask_layer *mask; const float *x, *bias; float *y, *kept /* [threads, n_exp] */; size_t n_exp; } rows;

static void by_rows(rows *j, wt_range_fn fn, wt_tensor *y)
{
    j->y = y->f32;
    j->n_exp = (size_t)y->shape[1];
    wt_parallel(j->r->cx, (size_t)y->shape[0], 4096 / j->n_exp + 1, fn, j);
}

/* Softmax over the experts that stay, exactly as a file without the others computes it: their logits are moved together first, because
 * the order of the sum decides its last bit. */
static void softmax_of_kept(void *arg, size_t begin, size_t end, int worker)
{
    const rows *j = arg;
    float *kept = j->kept + (size_t)worker * j->n_exp;
    for (size_t i = begin * j->n_exp; i < end * j->n_exp; i += j->n_exp) {
        size_t n = 0;
        for (size_t e = 0; e < j->n_exp; e++) if (j->mask->keep[e]) kept[n++] = j->x[i + e];
        j->r->k->softmax(kept, kept, n);
        n = 0;
        for (size_t e = 0; e < j->n_exp; e++) j->y[i + e] = j->mask->keep[e] ? kept[n++] : 0;
    }
}

static void softmax_of_all(void *arg, size_t begin, size_t end, int worker)   /* not the op, which would record: gradients are those of the pipeline */
{
    const rows *j = arg;
    (void)worker;
    for (size_t i = begin * j->n_exp; i < end * j->n_exp; i += j->n_exp) j->r->k->softmax(j->y + i, j->x + i, j->n_exp);
}

static void one_by_one(void *arg, size_t begin, size_t end, int worker)
{
    const rows *j = arg;
    (void)worker;
    for (size_t i = begin * j->n_exp; i < end * j->n_exp; i++) {
        float z = j->x[i];
        j->y[i] = j->act == WT_ACT_SIGMOID ? 1.0f / (1.0f + expf(-z)) : j->act == WT_ACT_SQRT_SOFTPLUS ? sqrt_softplus(z) : z;
    }
}

/* worn: router rows of masked experts count as deleted; NULL: none. */
static wt_status activate(wt_run *r, wt_activation act, const wt_tensor *logit, const wt_mask_layer *worn, wt_tensor **prob)
{
    rows j = { .r = r, .act = act, .mask = worn, .x = logit->f32 };
    if (act == WT_ACT_SOFTMAX && worn && !(j.kept = wt_take_n(r->a, (size_t)r->cx->threads * (size_t)logit->shape[1], sizeof *j.kept))) return WITAN_ENOMEM;
    WT_TRY(wt_tensor_new(r->a, 2, logit->shape, prob));
    by_rows(&j, act != WT_ACT_SOFTMAX ? one_by_one : worn ? softmax_of_kept : softmax_of_all, *prob);
    return WITAN_OK;
}

static void biased_and_masked(void *arg, size_t begin, size_t end, int worker)
{
    const rows *j = arg;
    (void)worker;
    for (size_t i = begin * j->n_exp; i < end * j->n_exp; i += j->n_exp) {
        if (j->bias) j->r->k->add(j->y + i, j->x + i, j->bias, j->n_exp);
        else memcpy(j->y + i, j->x + i, j->n_exp * sizeof *j->y);
        for (size_t e = 0; j->mask && e < j->n_exp; e++) if (!j->mask->keep[e]) j->y[i + e] = -INFINITY;
    }
}

/* The biases of balance methods, all added to score. */
static wt_status balance_biases(wt_run *r, const wt_route_spec *spec, const wt_tensor *prob, wt_tensor *score)
{
    const wt_balance_set *s = r->balance;
    for (size_t i = 0; i < s->n; i++) {
        const wt_balance_ops *ops = s->b[i].method->ops;
        const float *bias = NULL;
        if (!ops->before) continue;
        WT_TRY(ops->before(r, s->b[i].opt, s->b[i].state[r->layer], prob, spec->n_used, s->learn, &bias));
        if (bias) by_rows(&(rows){ .r = r, .x = score->f32, .bias = bias }, biased_and_masked, score);
    }
    return WITAN_OK;
}

/* What is ranked: the activation plus the selection bias, masked. The combine weight never sees the bias. In training the bias of balance methods
 * takes the place of the model's. */
static wt_status selection_score(wt_run *r, const wt_route_spec *spec, wt_tensor *prob, const wt_tensor *bias, const wt_mask_layer *mask, wt_tensor **score)
{
    bool own = r->balance && wt_balance_has_bias(r->balance);
    if (own) bias = NULL;
    if (!bias && !mask && !own) { *score = prob; return WITAN_OK; }
    WT_TRY(wt_tensor_new(r->a, 2, prob->shape, score));
    by_rows(&(rows){ .r = r, .mask = mask, .x = prob->f32, .bias = bias ? bias->data : NULL }, biased_and_masked, *score);
    return own ? balance_biases(r, spec, prob, *score) : WITAN_OK;
}

/* ---- selection: parts of the batch, shared out among workers ---------------------------------------------------------------- */

enum { PART = 16 /* tokens, at least */, MOST_PARTS = 256 };

typedef struct choice { wt_run *r; const wt_route_spec *spec; const wt_tensor *score; const wt_route *rt; wt_route *part; size_t n; } choice;

static void select_parts(void *arg, size_t begin, size_t end, int worker)
{
    const choice *j = arg;
    const wt_router_ops *ops = j->spec->select->ops;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        wt_route *p = j->part + i;
        wt_tensor some = *j->score;
        some.f32 += (size_t)j->rt->n_tok * i / j->n * (size_t)p->n_exp;
        some.data = some.f32;
        some.shape[0] = p->n_tok;
        some.n = (size_t)p->n_tok * (size_t)p->n_exp;
        some.bytes = some.n * sizeof(float);
        ops->select(j->r, j->spec->select_opt, &some, p);
    }
}

static wt_status select_experts(wt_run *r, const wt_route_spec *spec, const wt_tensor *score, wt_route *rt)
{
    const wt_router_ops *ops = spec->select->ops;
    size_t n = (size_t)rt->n_tok / PART, threads = (size_t)r->cx->threads;
    if (n > 4 * threads) n = 4 * threads;
    if (n > MOST_PARTS) n = MOST_PARTS;
    if (!ops->side_by_side || threads == 1 || n < 2) return ops->select(r, spec->select_opt, score, rt);
    choice j = { .r = r, .spec = spec, .score = score, .rt = rt, .n = n };
    WT_TRY(wt_route_split(r->a, rt, n, &j.part));
    wt_parallel(r->cx, n, 1, select_parts, &j);
    wt_route_join(rt, n, j.part);
    return WITAN_OK;
}

static wt_status choose(wt_run *r, const wt_route_spec *spec, wt_tensor *prob, const wt_tensor *bias, const wt_mask_layer *worn, wt_route *rt)
{
    wt_tensor *score;
    if (r->tape && r->tape->replay) { wt_route_take_choice(r, rt); return WITAN_OK; }
    WT_TRY(selection_score(r, spec, prob, bias, worn, &score));
    WT_TRY(select_experts(r, spec, score, rt));
    if (r->balance && r->balance->learn) wt_route_count(rt, r->balance->count[r->layer]);
    return r->tape && r->tape->checkpoint ? wt_route_keep_choice(r, rt) : WITAN_OK;
}

/* ---- weights: tokens, shared out among workers -------------------------------------------------------------------------------- */

static void softmax_of_chosen(wt_run *r, float *w, int32_t n) { r->k->softmax(w, w, (size_t)n); }

typedef struct weighing { wt_run *r; const wt_route_spec *spec; const wt_tensor *prob; wt_route *rt; atomic_bool bad; } weighing;

/* Combine weights: gathered activation (or softmax over the chosen), renormalised, scaled. Sums run in route order. */
static void weigh_token(const weighing *j, size_t t)
{
    const wt_route_spec *spec = j->spec;
    int32_t begin = j->rt->tok_off[t], n = j->rt->tok_off[t + 1] - begin;
    float *w = j->rt->weight + begin, sum = 0;
    for (int32_t i = 0; i < n; i++) w[i] = j->prob->f32[t * (size_t)j->rt->n_exp + (size_t)j->rt->expert[begin + i]];
    if (spec->activation == WT_ACT_NONE) softmax_of_chosen(j->r, w, n);
    for (int32_t i = 0; i < n; i++) sum += w[i];
    float s = (spec->renorm ? 1.0f / (sum + spec->renorm_eps) : 1.0f) * spec->scale;
    if (s != 1.0f) for (int32_t i = 0; i < n; i++) w[i] *= s;
}

/* A router that yields something that is no number must not reach the experts, also where other experts could still be chosen. */
static bool bad_token(const weighing *j, size_t t)
{
    const wt_route *rt = j->rt;
    size_t n_exp = (size_t)rt->n_exp;
    bool bad = rt->tok_off[t + 1] == rt->tok_off[t];
    for (size_t i = t * n_exp; i < (t + 1) * n_exp; i++) bad |= isnan(j->prob->f32[i]);
    for (int32_t i = rt->tok_off[t]; i < rt->tok_off[t + 1]; i++) bad |= !isfinite(rt->weight[i]);
    return bad;
}

static void weigh_tokens(void *arg, size_t begin, size_t end, int worker)
{
    weighing *j = arg;
    bool bad = false;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        weigh_token(j, t);
        bad |= bad_token(j, t);
    }
    if (bad) atomic_store(&j->bad, true);
}

static wt_status weigh(wt_run *r, const wt_route_spec *spec, const wt_tensor *prob, wt_route *rt)
{
    weighing j = { r, spec, prob, rt, false };
    wt_parallel(r->cx, (size_t)rt->n_tok, 4096 / (size_t)rt->n_exp + 1, weigh_tokens, &j);
    if (!atomic_load(&j.bad)) return WITAN_OK;
    return wt_fail(r->cx, WT_EFORMAT, "layer %d: the router gives no finite weights (damaged weights, or activations that overflowed)", r->layer);
}

/* ---- filters ------------------------------------------------------------------------------------------------------------- */

/* What a filter leaves of `all`, in a route of its own. place [n_pair of all]: where a pair went, -1: dropped. */
static wt_status filter(wt_run *r, const wt_route_spec *spec, wt_route *all, wt_route **out, int32_t **place)
{
    wt_route *rt;
    const wt_filter_ops *ops = spec->filter->ops;
    all->keep = wt_take_n(r->a, (size_t)all->n_pair + 1, sizeof *all->keep);
    *place = wt_take_n(r->a, (size_t)all->n_pair + 1, sizeof **place);
    if (!all->keep || !*place) return WITAN_ENOMEM;
    memset(all->keep, 1, (size_t)all->n_pair);
    WT_TRY(ops->apply(r, spec->filter_opt, all));
    WT_TRY(wt_route_new(r->a, all->n_tok, all->n_exp, all->most, &rt));
    for (int32_t t = 0; t < all->n_tok; t++) {
        for (int32_t i = all->tok_off[t]; i < all->tok_off[t + 1]; i++) {
            (*place)[i] = all->keep[i] ? rt->n_pair : -1;
            if (!all->keep[i]) continue;
            rt->expert[rt->n_pair] = all->expert[i];
            rt->weight[rt->n_pair++] = all->weight[i];
        }
        wt_route_next(rt);
    }
    rt->n_dropped = all->n_pair - rt->n_pair;
    rt->all = all;
    *out = rt;
    return WITAN_OK;
}

/* ---- the pipeline ---------------------------------------------------------------------------------------------------------------- */

wt_status wt_route_run(wt_run *r, const wt_route_spec *spec, wt_tensor *x, const wt_tensor *w_router, const wt_tensor *bias,
                       const wt_mask *mask, wt_route **out)
{
    int32_t n_tok = (int32_t)x->shape[0], n_exp = (int32_t)w_router->shape[0], *place = NULL;
    const wt_mask_layer *worn = mask_of(mask, r->layer);
    wt_tensor *logit, *prob;
    wt_assert(!worn || !wt_taping(r));
    WT_TRY(wt_op_linear(r, x, w_router, &logit));
    WT_TRY(activate(r, spec->activation, logit, worn && mask->gate == WITAN_GATE_RENORM ? worn : NULL, &prob));

    int32_t allowed = worn ? worn->n_keep : n_exp;
    WT_TRY(wt_route_new(r->a, n_tok, n_exp, spec->n_used < allowed ? spec->n_used : allowed, out));
    WT_TRY(choose(r, spec, prob, bias, worn, *out));
    WT_TRY(weigh(r, spec, prob, *out));
    if (spec->filter && r->tape && r->tape->training) WT_TRY(filter(r, spec, *out, out, &place));
    WT_TRY(wt_route_record(r, spec, *out, place, logit, prob));
    return wt_tap_send(r, (wt_tap_event){ .tap = WT_TAP_ROUTE, .n_tok = n_tok, .n_exp = n_exp, .d_model = (int32_t)x->shape[1],
                                          .logit = logit->f32, .prob = prob->f32, .route = *out });
}
