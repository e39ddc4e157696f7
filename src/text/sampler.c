/* Sampling. Order: repeat penalty (Keskar et al., "CTRL", arXiv 1909.05858, section 4.1: positive logits divided, negative multiplied), temperature,
 * top-k, top-p (Holtzman et al., arXiv 1904.09751), min-p (Nguyen et al., arXiv 2407.01082), draw. All memory is taken when the
 * sampler is made. */
#include "base/ctx.h"
#include "base/option.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

typedef struct cand { int32_t id; float logit; double p; } cand;

struct witan_sampler {
    wt_ctx *cx;
    witan_sample_options o;
    int32_t n_vocab;
    cand *c;                     /* [n_vocab] */
    int32_t *last; size_t n_last, room_last;   /* ring of accepted tokens; without a limit: counts only */
    int32_t *count;              /* [n_vocab] how often a token is in reach of the penalty */
    wt_rng rng;
};

typedef witan_sample_options so;
const witan_param witan_sample_param[] = {
    WT_NUM(so, temp, 0.8, 0, 100, "temperature; 0 always takes the likeliest token"),
    WT_NUM(so, top_k, 40, 0, 1 << 24, "keep the k likeliest tokens; 0: all"),
    WT_NUM(so, top_p, 0.95, 0, 1, "keep the likeliest tokens up to this total probability; 1: all"),
    WT_NUM(so, min_p, 0.05, 0, 1, "drop tokens below this share of the likeliest one; 0: none"),
    WT_NUM(so, repeat_penalty, 1, 0.01, 100, "above 1 makes tokens that occurred less likely; 1: off"),
    WT_NUM(so, repeat_last_n, 64, -1, 1 << 20, "how many tokens back the penalty looks; -1: all"),
    WT_NUM(so, seed, 1, 0, 9007199254740992.0, "seed of the random draw; same seed, same text"),
    { 0 }
};

wt_status witan_sampler_new(wt_ctx *cx, int32_t n_vocab, const so *opts, witan_sampler **out)
{
    if (n_vocab < 1) return wt_fail(cx, WT_EARG, "sampler: a vocabulary of %d tokens", n_vocab);
    witan_sampler *s = wt_alloc(cx, 1, sizeof *s);
    if (!s) return WT_ENOMEM;
    s->cx = cx;
    s->o = opts ? *opts : (so){ .top_p = 1, .repeat_penalty = 1 };
    s->n_vocab = n_vocab;
    s->room_last = s->o.repeat_last_n > 0 ? (size_t)s->o.repeat_last_n : 1;
    s->c = wt_alloc(cx, (size_t)n_vocab, sizeof *s->c);
    s->count = wt_alloc(cx, (size_t)n_vocab, sizeof *s->count);
    s->last = wt_alloc(cx, s->room_last, sizeof *s->last);
    wt_rng_seed(&s->rng, (uint64_t)s->o.seed, 0);
    if (!s->c || !s->count || !s->last) { witan_sampler_free(s); return WT_ENOMEM; }
    *out = s;
    return WITAN_OK;
}

void witan_sampler_free(witan_sampler *s)
{
    if (!s) return;
    wt_free(s->cx, s->c);
    wt_free(s->cx, s->count);
    wt_free(s->cx, s->last);
    wt_free(s->cx, s);
}

void witan_sampler_accept(witan_sampler *s, int32_t id)
{
    if (id < 0 || id >= s->n_vocab || !s->o.repeat_last_n) return;
    if (s->o.repeat_last_n > 0) {
        int32_t *slot = s->last + s->n_last % s->room_last;
        if (s->n_last >= s->room_last) s->count[*slot]--;
        *slot = id;
        s->n_last++;
    }
    s->count[id]++;
}

static float penalised(const witan_sampler *s, int32_t id, float x)
{
    if (!s->count[id] || s->o.repeat_penalty == 1) return x;
    return x > 0 ? x / s->o.repeat_penalty : x * s->o.repeat_penalty;
}

static int32_t greedy(const witan_sampler *s, const float *logits)
{
    int32_t best = -1;
    float top = -INFINITY;
    for (int32_t i = 0; i < s->n_vocab; i++) {
        float x = penalised(s, i, logits[i]);
        if (x > top) { top = x; best = i; }
    }
    return best;
}

static bool likelier(const cand *x, const cand *y) { return x->logit > y->logit || (x->logit == y->logit && x->id < y->id); }

/* A heap with the least likely of n candidates on top: item i has settled among those below it. */
static void settle(cand *c, int32_t n, int32_t i)
{
    for (int32_t worst; ; i = worst) {
        worst = i;
        for (int32_t kid = 2 * i + 1; kid <= 2 * i + 2 && kid < n; kid++) if (likelier(c + worst, c + kid)) worst = kid;
        if (worst == i) return;
        cand t = c[i]; c[i] = c[worst]; c[worst] = t;
    }
}

/* Moves the k likeliest of n to the front, sorted. In place, so that sampling allocates nothing (qsort does). */
static void best_first(cand *c, int32_t n, int32_t k)
{
    for (int32_t i = k / 2 - 1; i >= 0; i--) settle(c, k, i);
    for (int32_t i = k; i < n; i++)
        if (likelier(c + i, c)) {
            cand t = c[0]; c[0] = c[i]; c[i] = t;
            settle(c, k, 0);
        }
    for (int32_t left = k - 1; left > 0; left--) {
        cand t = c[0]; c[0] = c[left]; c[left] = t;
        settle(c, left, 0);
    }
}

/* Cuts the sorted list by top-p and min-p; probabilities are over what top-k left. */
static int32_t cut(const witan_sampler *s, int32_t n)
{
    double sum = 0, mass = 0;
    for (int32_t i = 0; i < n; i++) sum += s->c[i].p = exp((double)(s->c[i].logit - s->c[0].logit) / s->o.temp);
    int32_t keep = 0;
    while (keep < n && (keep == 0 || mass < (double)s->o.top_p * sum || s->o.top_p >= 1)) mass += s->c[keep++].p;
    while (keep > 1 && s->c[keep - 1].p < (double)s->o.min_p * s->c[0].p) keep--;
    return keep;
}

int32_t witan_sample(witan_sampler *s, const float *logits)
{
    if (s->o.temp <= 0) return greedy(s, logits);
    int32_t n = 0;
    for (int32_t i = 0; i < s->n_vocab; i++)
        if (logits[i] > -INFINITY) s->c[n++] = (cand){ i, penalised(s, i, logits[i]), 0 };   /* NaN fails the comparison */
    if (!n) return -1;
    int32_t k = s->o.top_k > 0 && s->o.top_k < n ? s->o.top_k : n;
    best_first(s->c, n, k);
    if (s->c[0].logit == INFINITY) return s->c[0].id;
    n = cut(s, k);
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += s->c[i].p;
    double at = (double)wt_rng_float(&s->rng) * sum;
    for (int32_t i = 0; i < n; i++)
        if ((at -= s->c[i].p) < 0) return s->c[i].id;
    return s->c[n - 1].id;
}
