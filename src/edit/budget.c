/* Scores and budgets. */
#include "edit/budget.h"

#include <math.h>
#include <string.h>

static wt_status one_domain(wt_ctx *cx, const wt_method *method, const void *opts, const wt_record *r, size_t domain, int32_t layer,
                            int64_t seed, double *score)
{
    const wt_record_domain *d = r->domain[domain];
    const wt_importance_ops *ops = method->ops;
    wt_record_view v = { layer, d->layer[layer].n_exp, r->n_exp_used, (double)d->n_tok, d->layer[layer].sum, d->layer[layer].co };
    WT_TRY(ops->score(cx, opts, &v, seed, score));
    for (int32_t e = 0; e < v.n_exp; e++)
        if (!isfinite(score[e])) return wt_fail(cx, WT_EFORMAT, "score %s of layer %d, expert %d is not a finite number", method->name, layer, e);
    return WITAN_OK;
}

wt_status wt_score_layer(wt_ctx *cx, const wt_method *method, const void *opts, const wt_record *r, int32_t layer, int32_t n_exp,
                         int32_t n_used, int64_t seed, double *score)
{
    const wt_importance_ops *ops = method->ops;
    if (!ops->needs_data) {
        wt_record_view v = { .layer = layer, .n_exp = n_exp, .n_exp_used = n_used };
        return ops->score(cx, opts, &v, seed, score);
    }
    if (r->n_domain == 1) return one_domain(cx, method, opts, r, 0, layer, seed, score);
    double *part = wt_alloc(cx, (size_t)n_exp, sizeof *part);
    if (!part) return WT_ENOMEM;
    memset(score, 0, (size_t)n_exp * sizeof *score);
    wt_status st = WITAN_OK;
    for (size_t i = 0; st == WITAN_OK && i < r->n_domain; i++) {
        double sum = 0;
        st = one_domain(cx, method, opts, r, i, layer, seed, part);
        for (int32_t e = 0; e < n_exp; e++) sum += part[e];
        for (int32_t e = 0; e < n_exp; e++) score[e] += sum > 0 ? part[e] / sum : 0;
    }
    wt_free(cx, part);
    return st;
}

wt_status wt_budget_uniform(wt_ctx *cx, int32_t n_exp, int32_t n_used, int32_t layer, double keep, int32_t *n_keep)
{
    *n_keep = (int32_t)floor(keep * n_exp + 0.5);
    if (*n_keep >= n_used || !n_exp) return WITAN_OK;   /* a dense layer has nothing to drop */
    return wt_fail(cx, WT_ELIMIT, "keep %g leaves %d of %d experts in layer %d, but the router chooses %d: keep at least %.4g", keep, *n_keep,
                   n_exp, layer, n_used, (double)n_used / n_exp);
}

void wt_keep_best(const double *score, int32_t n_keep, wt_mask_layer *l)
{
    memset(l->keep, 0, (size_t)l->n_exp);
    for (l->n_keep = 0; l->n_keep < n_keep && l->n_keep < l->n_exp; l->n_keep++) {
        int32_t best = -1;
        for (int32_t e = 0; e < l->n_exp; e++)
            if (!l->keep[e] && (best < 0 || score[e] > score[best])) best = e;
        l->keep[best] = 1;
    }
}
