/* One micro-batch: checking it, forward with the tape, figures of the routers, backward. */
#include "train/step.h"

#include "base/thread.h"
#include "model/forward.h"
#include "op/tape.h"
#include <math.h>
#include <string.h>

struct wt_pass {
    wt_ctx *cx;
    wt_trainable *t;
    wt_arena a;
    wt_tape tape;
    wt_kv_cache kv; int32_t n_seq, n_ctx;        /* what it has room for */
    wt_run run;
    bool learn;
    wt_train_layer *layer;                       /* [n_layer] */
    double *domain_loss, *domain_weight; int32_t n_domain;
};

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

static wt_status layers_new(wt_pass *p)
{
    const wt_model *m = p->t->m;
    p->layer = wt_alloc(p->cx, (size_t)m->cfg.n_layer, sizeof *p->layer);
    if (!p->layer) return WITAN_ENOMEM;
    for (int32_t i = 0; i < m->cfg.n_layer; i++) {
        wt_train_layer *l = p->layer + i;
        if (!(l->n_exp = m->layer[i].n_exp)) continue;
        l->count = wt_alloc(p->cx, (size_t)l->n_exp, sizeof *l->count);
        l->share = wt_alloc(p->cx, (size_t)l->n_exp, sizeof *l->share);
        if (!l->count || !l->share) return WITAN_ENOMEM;
    }
    return WITAN_OK;
}

wt_status wt_pass_open(wt_ctx *cx, wt_trainable *t, wt_pass **out)
{
    wt_pass *p = wt_alloc(cx, 1, sizeof *p);
    if (!p) return WITAN_ENOMEM;
    p->cx = cx;
    p->t = t;
    p->kv.cx = cx;
    wt_arena_init(&p->a, cx, (size_t)32 << 20);
    p->a.huge = true;                            /* gradients walk down columns, a page apart */
    wt_tape_init(&p->tape, cx);
    wt_status st = layers_new(p);
    if (st != WITAN_OK) { wt_pass_free(p); return st; }
    *out = p;
    return WITAN_OK;
}

void wt_pass_free(wt_pass *p)
{
    if (!p) return;
    for (int32_t i = 0; p->layer && i < p->t->m->cfg.n_layer; i++) {
        wt_free(p->cx, p->layer[i].count);
        wt_free(p->cx, p->layer[i].share);
    }
    wt_free(p->cx, p->layer);
    wt_free(p->cx, p->domain_loss);
    wt_free(p->cx, p->domain_weight);
    wt_kv_free(&p->kv);
    wt_route_forget(&p->tape);
    wt_tape_free(&p->tape);
    wt_arena_free(&p->a);
    wt_free(p->cx, p);
}

/* ---- the batch ----------------------------------------------------------------------------------------------------------- */

static wt_status check_token(wt_pass *p, const wt_train_batch *b, int32_t t)
{
    int32_t n_vocab = p->t->m->cfg.n_vocab, goes_on = t && b->seq[t] == b->seq[t - 1] ? b->pos[t - 1] + 1 : 0;
    if (b->id[t] < 0 || b->id[t] >= n_vocab) return wt_fail(p->cx, WT_EARG, "training: token %d has id %d, outside [0, %d)", t, b->id[t], n_vocab);
    if (b->target[t] < -1 || b->target[t] >= n_vocab)
        return wt_fail(p->cx, WT_EARG, "training: token %d has target %d, outside [-1, %d)", t, b->target[t], n_vocab);
    if (b->seq[t] < 0 || b->seq[t] >= b->n_tok) return wt_fail(p->cx, WT_EARG, "training: token %d is of sequence %d, outside [0, %d)", t, b->seq[t], b->n_tok);
    if (b->pos[t] != goes_on) return wt_fail(p->cx, WT_EARG, "training: token %d stands at position %d instead of %d of its sequence", t, b->pos[t], goes_on);
    if (b->domain && (b->domain[t] < 0 || b->domain[t] >= b->n_domain))
        return wt_fail(p->cx, WT_EARG, "training: token %d is of domain %d, outside [0, %d)", t, b->domain[t], b->n_domain);
    return WITAN_OK;
}

/* Every sequence once, whole, from position 0. */
static wt_status check(wt_pass *p, const wt_train_batch *b, int32_t *n_seq, int32_t *n_ctx)
{
    if (b->n_tok < 1) return wt_fail(p->cx, WT_EARG, "training: a batch of %d tokens", b->n_tok);
    uint8_t *seen = wt_take(&p->a, (size_t)b->n_tok);
    if (!seen) return WITAN_ENOMEM;
    memset(seen, 0, (size_t)b->n_tok);
    for (int32_t t = 0; t < b->n_tok; t++) {
        WT_TRY(check_token(p, b, t));
        if (!b->pos[t] && seen[b->seq[t]]++) return wt_fail(p->cx, WT_EARG, "training: sequence %d is in two pieces", b->seq[t]);
        if (b->seq[t] >= *n_seq) *n_seq = b->seq[t] + 1;
        if (b->pos[t] >= *n_ctx) *n_ctx = b->pos[t] + 1;
    }
    return WITAN_OK;
}

/* A cache with room for the sequences of this batch, each as long as it is. */
static wt_status cache(wt_pass *p, const wt_train_batch *b, int32_t n_seq, int32_t n_ctx)
{
    if (n_seq > p->n_seq || n_ctx > p->n_ctx) {
        p->n_seq = n_seq > p->n_seq ? n_seq : p->n_seq;
        p->n_ctx = n_ctx > p->n_ctx ? n_ctx : p->n_ctx;
        wt_kv_free(&p->kv);
        wt_status st = wt_kv_open(p->cx, &p->kv, &p->t->m->cfg, WT_F32, p->n_seq, p->n_ctx);
        if (st != WITAN_OK) { p->n_seq = p->n_ctx = 0; return st; }
    }
    for (int32_t s = 0; s < p->n_seq; s++) wt_kv_clear(&p->kv, s);
    for (int32_t t = 0; t < b->n_tok; t++)
        if (t + 1 == b->n_tok || b->seq[t + 1] != b->seq[t]) wt_kv_reserve(&p->kv, b->seq[t], b->pos[t] + 1);
    return WITAN_OK;
}

/* The rows that have a target, and what the loss needs of them. */
typedef struct wanted { uint8_t *want; int32_t n, *target, *token; float *weight; } wanted;

static wt_status select_targets(wt_pass *p, const wt_train_batch *b, wanted *w)
{
    size_t n = (size_t)b->n_tok;
    *w = (wanted){ wt_take(&p->a, n), 0, wt_take_n(&p->a, n, sizeof *w->target), wt_take_n(&p->a, n, sizeof *w->token),
                   wt_take_n(&p->a, n, sizeof *w->weight) };
    if (!w->want || !w->target || !w->token || !w->weight) return WITAN_ENOMEM;
    for (int32_t t = 0; t < b->n_tok; t++) {
        w->want[t] = b->target[t] >= 0;
        if (!w->want[t]) continue;
        w->target[w->n] = b->target[t];
        w->token[w->n] = t;
        w->weight[w->n++] = b->weight ? b->weight[t] : 1;
    }
    return WITAN_OK;
}

/* ---- figures of routers -------------------------------------------------------------------------------------------------- */

typedef struct entropies { const wt_tap_event *e; const float *share; const wt_kernels *k; bool softmax; float *out; } entropies;

/* Of a softmax it is the logarithm of the sum less the mean logit: one logarithm for a row. */
static void entropy_rows(void *arg, size_t begin, size_t end, int worker)
{
    const entropies *j = arg;
    size_t n = (size_t)j->e->n_exp;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        const float *g = j->share + t * n, *z = j->e->logit + t * n;
        size_t best = 0;
        float h = 0;
        if (j->softmax) {
            for (size_t e = 1; e < n; e++) if (g[e] > g[best]) best = e;
            h = z[best] - logf(g[best]) - j->k->dot(g, z, n);
        } else for (size_t e = 0; e < n; e++) if (g[e] > 0) h -= g[e] * logf(g[e]);
        j->out[t] = h;
    }
}

static wt_status mean_entropy(wt_run *r, const wt_tap_event *e, const float *share, bool softmax, double *out)
{
    size_t n_tok = (size_t)e->n_tok;
    entropies j = { e, share, r->k, softmax, wt_take_n(r->a, n_tok, sizeof *j.out) };
    if (!j.out) return WITAN_ENOMEM;
    wt_parallel(r->cx, n_tok, 2048 / (size_t)e->n_exp + 1, entropy_rows, &j);
    double sum = 0;
    for (size_t t = 0; t < n_tok; t++) sum += j.out[t];
    *out = sum / (double)n_tok;
    return WITAN_OK;
}

static wt_status see(void *user, wt_ctx *cx, const wt_tap_event *e)
{
    wt_pass *p = user;
    wt_train_layer *l = p->layer + e->layer;
    const wt_route *all = e->route->all ? e->route->all : e->route;
    wt_activation act = p->t->m->layer[e->layer].route.activation;
    wt_run *r = &p->run;
    const float *share;
    wt_mark m = wt_mark_set(r->a);
    (void)cx;
    memset(l->count, 0, (size_t)l->n_exp * sizeof *l->count);
    for (int32_t i = 0; i < all->n_pair; i++) l->count[all->expert[i]]++;
    l->n_pair = e->route->n_pair;
    l->n_dropped = all->n_pair - e->route->n_pair;
    int64_t most = 0;
    for (int32_t i = 0; i < l->n_exp; i++) if (l->count[i] > most) most = l->count[i];
    l->max_vio = (double)most * l->n_exp / (all->n_pair ? all->n_pair : 1) - 1;
    WT_TRY(wt_route_share(r, act, e->prob, (size_t)e->n_tok, (size_t)e->n_exp, &share));
    WT_TRY(wt_route_mean(r, share, (size_t)e->n_tok, (size_t)e->n_exp, l->share));
    WT_TRY(mean_entropy(r, e, share, act == WT_ACT_SOFTMAX || act == WT_ACT_NONE, &l->entropy));
    wt_rewind(r->a, m);
    return WITAN_OK;
}

/* ---- the pass ------------------------------------------------------------------------------------------------------------ */

static wt_status domains(wt_pass *p, const wt_train_batch *b)
{
    int32_t n = b->domain ? b->n_domain : 0;
    if (n > p->n_domain) {
        double *x = wt_realloc(p->cx, p->domain_loss, (size_t)n, sizeof *x);
        if (x) p->domain_loss = x;
        double *y = x ? wt_realloc(p->cx, p->domain_weight, (size_t)n, sizeof *y) : NULL;
        if (y) p->domain_weight = y;
        if (!y) return WITAN_ENOMEM;
        p->n_domain = n;
    }
    for (int32_t i = 0; i < n; i++) p->domain_loss[i] = p->domain_weight[i] = 0;
    return WITAN_OK;
}

/* In order of tokens, so that sums are always the same. */
static void add_up(wt_pass *p, const wt_train_batch *b, const wanted *w, const wt_loss *loss, wt_train_result *out)
{
    for (int32_t i = 0; i < w->n; i++) {
        double x = (double)w->weight[i] * (double)loss->row[i];
        out->loss += x;
        out->weight += (double)w->weight[i];
        if (!b->domain) continue;
        p->domain_loss[b->domain[w->token[i]]] += x;
        p->domain_weight[b->domain[w->token[i]]] += (double)w->weight[i];
    }
    out->n_target = w->n;
}

static wt_status run(wt_pass *p, const wt_train_batch *b, const wt_train_options *o, wt_train_result *out)
{
    int32_t n_seq = 0, n_ctx = 0;
    wanted w;
    WT_TRY(check(p, b, &n_seq, &n_ctx));
    WT_TRY(cache(p, b, n_seq, n_ctx));
    WT_TRY(domains(p, b));
    WT_TRY(select_targets(p, b, &w));
    wt_batch batch = { b->n_tok, b->id, b->seq, b->pos, w.want, w.n };
    wt_loss loss = { .target = w.target, .weight = w.weight };
    p->tape.on = p->tape.training = p->learn;
    p->tape.checkpoint = o->checkpoint;
    p->tape.half = o->half;
    p->tape.half_products = o->half_products;
    p->tape.seed_grad = o->scale;
    p->tape.balance_scale = o->balance_scale;
    if (o->balance) wt_balance_begin_pass(o->balance, p->learn);
    WT_TRY(wt_forward_loss(&p->run, p->t->m, &p->kv, &batch, &loss));
    if (p->learn && w.n) WT_TRY(wt_tape_backward(&p->run));
    add_up(p, b, &w, &loss, out);
    for (size_t i = 0; o->balance && i < o->balance->n; i++) out->balance_loss[i] = o->balance->b[i].loss;
    return WITAN_OK;
}

wt_status wt_pass_run(wt_pass *p, const wt_train_batch *b, const wt_train_options *o, wt_train_result *out)
{
    wt_observer obs = { .taps = 1u << WT_TAP_ROUTE, .see = see, .user = p };
    wt_mark mark = wt_mark_set(&p->a);
    *out = (wt_train_result){ .layer = p->layer };
    p->learn = !o->forward_only;
    p->run = (wt_run){ .cx = p->cx, .k = &p->t->m->k, .a = &p->a, .tape = &p->tape, .balance = o->balance, .seed = o->seed, .obs = &obs, .n_obs = 1 };
    wt_tape_reset(&p->tape);
    wt_status st = run(p, b, o, out);
    out->domain_loss = p->domain_loss;
    out->domain_weight = p->domain_weight;
    wt_rewind(&p->a, mark);
    return st;
}
