/* Norms, steps, running means. All of it works weight by weight, in parallel inside a weight. */
#include "train/learn.h"

#include "base/thread.h"
#include <math.h>
#include <string.h>

enum { PIECE = 1 << 16 /* values whose squares are one sum */, GRAIN = 1 << 14 };

char *wt_spec_cut(char *text)
{
    char *colon = strchr(text, ':');
    if (!colon) return text + strlen(text);
    *colon = 0;
    return colon + 1;
}

/* ---- opening ----------------------------------------------------------------------------------------------------------- */

static wt_status choose(wt_learner *l, const char *optim)
{
    char *name = wt_strdup(l->cx, optim);
    if (!name) return WT_ENOMEM;
    char *options = wt_spec_cut(name);
    wt_status st = wt_method_find(l->cx, WT_KIND_OPTIM, name, &l->method);
    if (st == WITAN_OK && !(l->opt = wt_alloc(l->cx, 1, l->method->opt_size + 1))) st = WT_ENOMEM;
    if (st == WITAN_OK) {
        witan_opt_defaults(l->method->param, l->opt);
        st = wt_opt_parse(l->cx, l->method->param, l->opt, options);
    }
    wt_free(l->cx, name);
    return st;
}

static void describe(const wt_weight *w, wt_update *u)
{
    bool matrix = w->n_dim > 1 && w->shape[w->n_dim - 1] > 1;
    *u = (wt_update){ .name = w->name, .n_dim = w->n_dim, .n = w->n, .w = w->w, .grad = w->grad, .decays = matrix,
                      .hidden = matrix && w->layer >= 0 && w->part != WT_PART_NORM };
    memcpy(u->shape, w->shape, sizeof u->shape);
}

/* What is frozen when training begins needs no state. */
static size_t state_of(const wt_learner *l, size_t i)
{
    return l->weight[i].grad ? ((const wt_optim_ops *)l->method->ops)->state(l->opt, l->update + i) : 0;
}

static wt_status room(wt_learner *l)
{
    const wt_optim_ops *ops = l->method->ops;
    size_t most = 0, at = 0;
    l->update = wt_alloc(l->cx, l->n_weight + 1, sizeof *l->update);
    if (!l->update) return WT_ENOMEM;
    for (size_t i = 0; i < l->n_weight; i++) {
        describe(l->weight + i, l->update + i);
        size_t need = ops->scratch ? ops->scratch(l->opt, l->update + i) : 0;
        if (need > most) most = need;
        l->n_state += state_of(l, i);
        l->n_part += (l->weight[i].n + PIECE - 1) / PIECE;
        l->n_ema += l->weight[i].n;
    }
    l->state = wt_alloc(l->cx, l->n_state + 1, sizeof *l->state);
    l->scratch = wt_alloc(l->cx, most + 1, sizeof *l->scratch);
    l->part = wt_alloc(l->cx, l->n_part + 1, sizeof *l->part);
    if (!l->state || !l->scratch || !l->part) return WT_ENOMEM;
    for (size_t i = 0; i < l->n_weight; i++) {
        l->update[i].state = l->state + at;
        l->update[i].scratch = l->scratch;
        at += state_of(l, i);
    }
    return WITAN_OK;
}

static wt_status begin_ema(wt_learner *l)
{
    if (l->decay <= 0) { l->n_ema = 0; return WITAN_OK; }
    float *e = l->ema = wt_realloc(l->cx, NULL, l->n_ema + 1, sizeof *l->ema);
    if (!e) return WT_ENOMEM;
    for (size_t i = 0; i < l->n_weight; e += l->weight[i].n, i++) memcpy(e, l->weight[i].w, l->weight[i].n * sizeof *e);
    return WITAN_OK;
}

wt_status wt_learner_open(wt_ctx *cx, const wt_kernels *k, wt_weight *weight, size_t n_weight, const char *optim, double ema, wt_learner *out)
{
    *out = (wt_learner){ .cx = cx, .k = k, .weight = weight, .n_weight = n_weight, .decay = ema };
    wt_status st = choose(out, optim);
    if (st == WITAN_OK) st = room(out);
    if (st == WITAN_OK) st = begin_ema(out);
    if (st != WITAN_OK) wt_learner_free(out);
    return st;
}

void wt_learner_free(wt_learner *l)
{
    if (!l->cx) return;
    wt_free(l->cx, l->opt);
    wt_free(l->cx, l->update);
    wt_free(l->cx, l->state);
    wt_free(l->cx, l->scratch);
    wt_free(l->cx, l->ema);
    wt_free(l->cx, l->part);
    *l = (wt_learner){ 0 };
}

/* ---- norm -------------------------------------------------------------------------------------------------------------- */

typedef struct squares { const float *g; size_t n; double *part; } squares;

/* Eight sums side by side, then theirs: an order of its own, kept by every thread. */
static void square_some(void *arg, size_t begin, size_t end, int worker)
{
    const squares *s = arg;
    (void)worker;
    for (size_t p = begin; p < end; p++) {
        size_t i = p * PIECE, to = s->n - i < PIECE ? s->n : i + PIECE;
        double sum[8] = { 0 };
        for (; i + 8 <= to; i += 8)
            for (int j = 0; j < 8; j++) sum[j] += (double)s->g[i + (size_t)j] * (double)s->g[i + (size_t)j];
        for (; i < to; i++) sum[0] += (double)s->g[i] * (double)s->g[i];
        s->part[p] = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    }
}

double wt_learner_norm(wt_learner *l)
{
    double sum = 0;
    for (size_t i = 0; i < l->n_weight; i++) {
        const wt_weight *w = l->weight + i;
        size_t n = (w->n + PIECE - 1) / PIECE;
        if (!w->grad) continue;
        wt_parallel(l->cx, n, 1, square_some, &(squares){ w->grad, w->n, l->part });
        for (size_t p = 0; p < n; p++) sum += l->part[p];
    }
    return sqrt(sum);
}

/* ---- step -------------------------------------------------------------------------------------------------------------- */

typedef struct following { float *mean; const float *w; float stay; } following;

static void follow(void *arg, size_t begin, size_t end, int worker)
{
    const following *f = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) f->mean[i] = f->w[i] + f->stay * (f->mean[i] - f->w[i]);
}

wt_status wt_learner_step(wt_learner *l, int64_t step, double lr, double scale)
{
    const wt_optim_ops *ops = l->method->ops;
    wt_run r = { .cx = l->cx, .k = l->k };
    float *mean = l->ema;
    for (size_t i = 0; i < l->n_weight; i++) {
        wt_update *u = l->update + i;
        u->step = step;
        u->lr = lr;
        u->scale = scale;
        u->grad = l->weight[i].grad;
        if (u->grad) WT_TRY(ops->step(&r, l->opt, u));
        if (!mean) continue;
        if (u->grad) wt_parallel(l->cx, u->n, GRAIN, follow, &(following){ mean, u->w, (float)l->decay });
        mean += u->n;
    }
    return WITAN_OK;
}

void wt_learner_swap(wt_learner *l)
{
    float *mean = l->ema;
    for (size_t i = 0; mean && i < l->n_weight; i++)
        for (size_t j = 0; j < l->weight[i].n; j++, mean++) {
            float w = l->weight[i].w[j];
            l->weight[i].w[j] = *mean;
            *mean = w;
        }
}

/* ---- what went wrong ------------------------------------------------------------------------------------------------------ */

static bool finite_all(const float *x, size_t n)
{
    for (size_t i = 0; x && i < n; i++) if (!isfinite(x[i])) return false;
    return true;
}

const wt_weight *wt_bad_weight(const wt_weight *w, size_t n)
{
    for (size_t i = 0; i < n; i++) if (!finite_all(w[i].w, w[i].n)) return w + i;
    return NULL;
}

/* The file's order is no measure of depth: the head counts as behind the last layer, the embedding as before the first. */
static int64_t depth(const wt_weight *w)
{
    if (w->part == WT_PART_EMBED) return -1;
    return w->layer >= 0 ? w->layer : INT64_MAX;
}

const wt_weight *wt_bad_gradient(const wt_weight *w, size_t n)
{
    const wt_weight *found = NULL;
    for (size_t i = 0; i < n; i++)
        if ((!found || depth(w + i) >= depth(found)) && !finite_all(w[i].grad, w[i].n)) found = w + i;
    return found;
}
