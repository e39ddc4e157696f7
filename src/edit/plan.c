/* Plans: making one from scores and a budget, and asking it questions. */
#include "edit/plan.h"

#include "edit/budget.h"
#include "model/model.h"
#include <string.h>

void witan_plan_free(wt_plan *p)
{
    if (!p) return;
    wt_mask_free(p->cx, &p->mask);
    wt_free(p->cx, p->model_name);
    wt_free(p->cx, p->arch);
    wt_free(p->cx, p->method);
    wt_free(p->cx, p->method_opts);
    wt_free(p->cx, p->domains);
    wt_free(p->cx, p);
}

const wt_mask *wt_plan_mask(const wt_plan *p) { return &p->mask; }

bool witan_plan_keeps(const wt_plan *p, int32_t layer, int32_t expert)
{
    if (layer < 0 || layer >= p->mask.n_layer) return false;
    const wt_mask_layer *l = p->mask.layer + layer;
    return expert >= 0 && expert < l->n_exp && l->keep[expert];
}

int32_t witan_plan_count(const wt_plan *p, int32_t layer) { return layer >= 0 && layer < p->mask.n_layer ? p->mask.layer[layer].n_keep : -1; }

wt_status witan_plan_check(wt_ctx *cx, const wt_plan *p, const wt_model *m)
{
    if (strcmp(p->fingerprint, m->info.fingerprint))
        return wt_fail(cx, WT_EMISMATCH, "the plan was made for another model (\"%s\", fingerprint %.12s...; this is \"%s\", %.12s...)",
                       p->model_name, p->fingerprint, m->info.name, m->info.fingerprint);
    if (p->mask.n_layer != m->cfg.n_layer)
        return wt_fail(cx, WT_EMISMATCH, "the plan has %d layers, the model %d", p->mask.n_layer, m->cfg.n_layer);
    for (int32_t i = 0; i < m->cfg.n_layer; i++) {
        const wt_mask_layer *l = p->mask.layer + i;
        if (l->n_exp != m->layer[i].n_exp)
            return wt_fail(cx, WT_EMISMATCH, "the plan has %d experts in layer %d, the model %d", l->n_exp, i, m->layer[i].n_exp);
        if (l->n_keep < m->layer[i].route.n_used)
            return wt_fail(cx, WT_ELIMIT, "the plan keeps %d experts in layer %d, but the router chooses %d", l->n_keep, i, m->layer[i].route.n_used);
    }
    return WITAN_OK;
}

/* ---- making one ------------------------------------------------------------------------------------------------------ */

static wt_status describe(wt_plan *p, const wt_model *m, const wt_record *r, const witan_plan_options *o)
{
    wt_text t;
    wt_text_init(&t, p->cx);
    for (size_t i = 0; r && i < r->n_domain; i++) {
        if (i) wt_text_puts(&t, ", ");
        wt_text_puts(&t, r->domain[i]->name);
        p->n_tok += r->domain[i]->n_tok;
        p->n_doc += r->domain[i]->n_doc;
    }
    WT_TRY(wt_text_take(&t, &p->domains, NULL));
    memcpy(p->fingerprint, m->info.fingerprint, sizeof p->fingerprint);
    if (r) memcpy(p->data_digest, r->data_digest, sizeof p->data_digest);
    p->seed = o->seed;
    p->keep = o->keep;
    p->model_name = wt_strdup(p->cx, m->info.name);
    p->arch = wt_strdup(p->cx, m->info.arch);
    p->method = wt_strdup(p->cx, o->score);
    p->method_opts = wt_strdup(p->cx, o->score_opts ? o->score_opts : "");
    return p->model_name && p->arch && p->method && p->method_opts ? WITAN_OK : WT_ENOMEM;
}

static wt_status fits(wt_ctx *cx, const wt_model *m, const wt_record *r, const wt_method *method)
{
    const wt_importance_ops *ops = method->ops;
    if (!r) return ops->needs_data ? wt_fail(cx, WT_EARG, "score %s needs a calibration record", method->name) : WITAN_OK;
    if (!r->n_domain && ops->needs_data) return wt_fail(cx, WT_ELIMIT, "the calibration record holds no documents");
    if (strcmp(r->fingerprint, m->info.fingerprint) || r->n_layer != m->cfg.n_layer)
        return wt_fail(cx, WT_EMISMATCH, "the calibration record was made on another model (\"%s\")", r->model_name);
    for (int32_t i = 0; i < r->n_layer; i++)
        if (r->n_exp[i] != m->layer[i].n_exp)
            return wt_fail(cx, WT_EMISMATCH, "the calibration record has %d experts in layer %d, the model %d", r->n_exp[i], i, m->layer[i].n_exp);
    return WITAN_OK;
}

static wt_status fill(wt_plan *p, const wt_model *m, const wt_record *r, const witan_plan_options *o)
{
    wt_ctx *cx = p->cx;
    const wt_method *method;
    int32_t *n_exp = wt_alloc(cx, (size_t)m->cfg.n_layer, sizeof *n_exp), most = 0;
    double *score = NULL;
    void *opts = NULL;
    wt_status st = n_exp ? WITAN_OK : WT_ENOMEM;
    if (st != WITAN_OK) return st;
    for (int32_t i = 0; i < m->cfg.n_layer; i++) {
        n_exp[i] = m->layer[i].n_exp;
        if (n_exp[i] > most) most = n_exp[i];
    }
    WT_GO(wt_method_find(cx, WT_KIND_IMPORTANCE, o->score, &method));
    WT_GO(fits(cx, m, r, method));
    opts = wt_alloc(cx, 1, method->opt_size + 1);
    score = wt_alloc(cx, (size_t)most, sizeof *score);
    if (!opts || !score) WT_GO(WT_ENOMEM);
    witan_opt_defaults(method->param, opts);
    WT_GO(wt_opt_parse(cx, method->param, opts, o->score_opts));
    WT_GO(wt_mask_init(cx, &p->mask, m->cfg.n_layer, n_exp));
    p->mask.gate = o->gate;
    for (int32_t i = 0; i < m->cfg.n_layer; i++) {
        int32_t n_keep;
        WT_GO(wt_budget_uniform(cx, n_exp[i], m->layer[i].route.n_used, i, o->keep, &n_keep));
        WT_GO(wt_score_layer(cx, method, opts, r, i, n_exp[i], m->cfg.n_exp_used, o->seed, score));
        wt_keep_best(score, n_keep, p->mask.layer + i);
    }
    st = describe(p, m, r, o);
done:
    wt_free(cx, n_exp);
    wt_free(cx, score);
    wt_free(cx, opts);
    return st;
}

wt_status witan_plan_make(wt_ctx *cx, const wt_model *m, const wt_record *r, const witan_plan_options *o, wt_plan **out)
{
    if (!o->score) return wt_fail(cx, WT_EARG, "plan: no score given");
    if (!(o->keep > 0 && o->keep <= 1)) return wt_fail(cx, WT_EARG, "keep: %g is outside (0, 1]", o->keep);
    if (o->gate != WITAN_GATE_RENORM && o->gate != WITAN_GATE_KEEP) return wt_fail(cx, WT_EARG, "gate: expected renorm or keep");
    wt_plan *p = wt_alloc(cx, 1, sizeof *p);
    if (!p) return WT_ENOMEM;
    p->cx = cx;
    wt_status st = fill(p, m, r, o);
    if (st != WITAN_OK) witan_plan_free(p); else *out = p;
    return st;
}
