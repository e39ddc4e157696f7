/* The report's heat maps: which experts a domain needs, which stay, and that other domains need others. */
#include "api/specialize.h"

#include "edit/budget.h"
#include "model/model.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static int32_t layers(const wt_specialize *s) { return s->model->cfg.n_layer; }
static int32_t experts(const wt_specialize *s) { return s->model->info.n_exp; }

/* The score that chose; where it needs no data (random) there is nothing to show, so frequency stands in. */
static wt_status shown_method(const wt_specialize *s, const wt_method **m)
{
    const wt_importance_ops *ops = s->method->ops;
    *m = s->method;
    return ops->needs_data ? WITAN_OK : wt_method_find(s->cx, WT_KIND_IMPORTANCE, "freq", m);
}

/* Shares of one layer: scores divided by their sum; all 0 where nothing was seen. */
static wt_status layer_shares(wt_specialize *s, const wt_method *m, const void *opts, const wt_record *r, int32_t layer, double *share)
{
    int32_t n = r->n_exp[layer];
    double sum = 0;
    for (int32_t e = n; e < experts(s); e++) share[e] = NAN;
    if (!n) return WITAN_OK;
    WT_TRY(wt_score_layer(s->cx, m, opts, r, layer, n, r->n_exp_used, s->o->seed, share));
    for (int32_t e = 0; e < n; e++) sum += share[e] = fmax(share[e], 0);
    for (int32_t e = 0; e < n; e++) share[e] = sum > 0 ? share[e] / sum : 0;
    return WITAN_OK;
}

/* Shares of all layers, and what part of them the kept experts carry. share [n_layer, n_exp] is the caller's. */
static wt_status shares(wt_specialize *s, const wt_record *r, double *share, double *kept)
{
    const wt_method *m;
    WT_TRY(shown_method(s, &m));
    void *opts = wt_alloc(s->cx, 1, m->opt_size + 1);
    if (!opts) return WT_ENOMEM;
    witan_opt_defaults(m->param, opts);
    double part = 0, n = 0;
    wt_status st = WITAN_OK;
    for (int32_t i = 0; st == WITAN_OK && i < layers(s); i++) {
        double *row = share + (size_t)i * (size_t)experts(s);
        st = layer_shares(s, m, opts, r, i, row);
        n += r->n_exp[i] > 0;
        for (int32_t e = 0; e < r->n_exp[i]; e++) part += witan_plan_keeps(s->plan, i, e) ? row[e] : 0;
    }
    wt_free(s->cx, opts);
    *kept = n > 0 ? part / n : NAN;
    return st;
}

/* ---- the pictures ----------------------------------------------------------------------------------------------------- */

static void main_map(wt_specialize *s, wt_report *r, const double *share, const uint8_t *mark, double kept)
{
    double max = wt_svg_largest(share, (size_t)layers(s) * (size_t)experts(s));
    wt_heat h = { .title = "Importance of every expert on the demonstrations, by layer; kept experts are outlined", .n_row = layers(s),
                  .n_col = experts(s), .share = share, .max = max, .mark = mark, .row_name = "layer", .col_name = "expert",
                  .mark_name = "kept", .rest_name = "removed" };
    wt_report_para(r, "Each row is a layer, each cell an expert. The stronger the colour, the larger the expert's share of the work that its "
                   "layer does on %s. Outlined experts are kept; the others are gone from the new file. Point at a cell to read its number.",
                   s->chosen);
    wt_svg_heat(&r->t, &h);
    wt_svg_heat_legend(&r->t, max, "kept");
    const wt_importance_ops *ops = s->method->ops;
    wt_report_small(r, "Share of importance within the layer, by %s. An even spread would give every expert %s %%. The kept experts carry %s %% of "
                    "the importance, the mean over layers.", ops->needs_data ? s->method->title : "expert frequency (the random choice has no "
                    "importance to show)", WT_FIXED(100.0 / experts(s), 1), WT_FIXED(100 * kept, 1));
}

static void other_map(wt_specialize *s, wt_report *r, const char *domain, const double *share, const uint8_t *mark, double max, double kept)
{
    wt_heat h = { .title = domain, .n_row = layers(s), .n_col = experts(s), .share = share, .max = max, .mark = mark, .small = true };
    char remark[64], *title = wt_printf(s->cx, "%s%s", domain, wt_specialize_is_chosen(s, domain) ? " (chosen)" : "");
    if (!title) { r->t.failed = true; return; }
    snprintf(remark, sizeof remark, "the kept experts carry %s %%", WT_FIXED(100 * kept, 0));
    wt_report_panel_begin(r, title, remark);
    wt_svg_heat(&r->t, &h);
    wt_report_panel_end(r);
    wt_free(s->cx, title);
}

static wt_status other_maps(wt_specialize *s, wt_report *r, double *share, const uint8_t *mark, double max)
{
    double kept;
    wt_report_head(r, "The same experts seen by every domain of the evaluation lines");
    wt_report_para(r, "A mixture-of-experts model sends different kinds of text to different experts. Below, each panel shows which experts "
                   "one domain uses (layers from top to bottom, experts from left to right); the outlined cells are the ones kept for %s. Where strongly "
                   "coloured cells lie outside the outlines, that domain loses experts it relies on; the number says how "
                   "much of its importance stays.", s->chosen);
    wt_report_panels_begin(r);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < s->others->n_domain; i++) {
            wt_record one = *s->others;
            one.domain = s->others->domain + i;
            one.n_domain = 1;
            if (wt_specialize_is_chosen(s, one.domain[0]->name) == pass) continue;   /* the chosen first */
            WT_TRY(shares(s, &one, share, &kept));
            other_map(s, r, one.domain[0]->name, share, mark, max, kept);
        }
    wt_report_panels_end(r);
    return WITAN_OK;
}

static wt_status maps(wt_specialize *s, wt_report *r, double *share, uint8_t *mark)
{
    double kept;
    for (int32_t i = 0; i < layers(s) * experts(s); i++) mark[i] = witan_plan_keeps(s->plan, i / experts(s), i % experts(s));
    WT_TRY(shares(s, s->rec, share, &kept));
    double max = wt_svg_largest(share, (size_t)layers(s) * (size_t)experts(s));
    main_map(s, r, share, mark, kept);
    return s->others && s->others->n_domain > 1 ? other_maps(s, r, share, mark, max) : WITAN_OK;
}

wt_status wt_specialize_heat(wt_specialize *s, wt_report *r)
{
    size_t n = (size_t)layers(s) * (size_t)experts(s);
    double *share = wt_alloc(s->cx, n, sizeof *share);
    uint8_t *mark = wt_alloc(s->cx, n, 1);
    wt_status st = share && mark ? maps(s, r, share, mark) : WT_ENOMEM;
    wt_free(s->cx, share);
    wt_free(s->cx, mark);
    return st;
}

/* ---- experts never reached -------------------------------------------------------------------------------------------- */

static double chosen_times(const wt_specialize *s, int32_t layer, int32_t e)
{
    double n = 0;
    for (size_t i = 0; i < s->rec->n_domain; i++) n += s->rec->domain[i]->layer[layer].sum[e].n;
    return n;
}

void wt_specialize_unused(wt_specialize *s, wt_report *r)
{
    int32_t n = 0, all = 0, kept = 0;
    wt_text t;
    wt_text_init(&t, s->cx);
    for (int32_t i = 0; i < layers(s); i++) {
        int32_t here = 0;
        all += s->rec->n_exp[i];
        for (int32_t e = 0; e < s->rec->n_exp[i]; e++) {
            if (chosen_times(s, i, e) > 0) continue;
            if (here++) wt_text_printf(&t, ", %d", e);
            else wt_text_printf(&t, "%slayer %d: %d", n ? "\n" : "", i, e);
            kept += witan_plan_keeps(s->plan, i, e);
            n++;
        }
    }
    wt_report_section(r, "unused", "Experts that the demonstrations never reached");
    if (!n) wt_report_para(r, "None: each of the %d experts was chosen at least once.", all);
    else {
        wt_report_para(r, "%d of %d experts were not chosen for a single token of the demonstrations, so nothing is known about what they do for %s. "
                       "%d of them %s kept all the same, because the layer had places left.", n, all, s->chosen, kept, kept == 1 ? "was" : "were");
        wt_report_fold_begin(r, "List them");
        wt_text_put(&t, "", 0);
        wt_report_code(r, t.failed ? NULL : t.s);
        wt_report_fold_end(r);
    }
    r->t.failed |= t.failed;
    wt_text_free(&t);
}
