/* Filling and merging calibration records. Norms of a batch are computed by workers; sums run in token order on one thread, so a
 * record does not depend on threads or batches. */
#include "edit/record.h"

#include "base/thread.h"
#include <math.h>
#include <string.h>

/* ---- life ----------------------------------------------------------------------------------------------------------- */

wt_status wt_record_new(wt_ctx *cx, int32_t n_layer, const int32_t *n_exp, int32_t n_exp_used, wt_record **out)
{
    wt_record *r = wt_alloc(cx, 1, sizeof *r);
    if (!r) return WT_ENOMEM;
    *r = (wt_record){ .cx = cx, .n_layer = n_layer, .n_exp_used = n_exp_used };
    r->n_exp = wt_alloc(cx, (size_t)n_layer, sizeof *r->n_exp);
    if (!r->n_exp) { witan_record_free(r); return WT_ENOMEM; }
    memcpy(r->n_exp, n_exp, (size_t)n_layer * sizeof *n_exp);
    *out = r;
    return WITAN_OK;
}

static void free_domain(wt_ctx *cx, wt_record_domain *d, int32_t n_layer)
{
    for (int32_t i = 0; d->layer && i < n_layer; i++) {
        wt_free(cx, d->layer[i].sum);
        wt_free(cx, d->layer[i].co);
    }
    wt_free(cx, d->layer);
    wt_free(cx, d->name);
}

void witan_record_free(wt_record *r)
{
    if (!r) return;
    for (size_t i = 0; i < r->n_domain; i++) {
        free_domain(r->cx, r->domain[i], r->n_layer);
        wt_free(r->cx, r->domain[i]);
    }
    wt_free(r->cx, r->domain);
    wt_free(r->cx, r->n_exp);
    wt_free(r->cx, r->model_name);
    wt_free(r->cx, r);
}

static wt_status fill_domain(wt_ctx *cx, wt_record_domain *d, const wt_record *r, const char *name)
{
    d->name = wt_strdup(cx, name);
    d->layer = wt_alloc(cx, (size_t)r->n_layer, sizeof *d->layer);
    if (!d->name || !d->layer) return WT_ENOMEM;
    for (int32_t i = 0; i < r->n_layer; i++) {
        wt_record_layer *l = d->layer + i;
        size_t e = (size_t)r->n_exp[i];
        l->n_exp = r->n_exp[i];
        l->sum = wt_alloc(cx, e, sizeof *l->sum);
        l->co = wt_alloc(cx, e * e, sizeof *l->co);
        if (!l->sum || !l->co) return WT_ENOMEM;
    }
    return WITAN_OK;
}

wt_status wt_record_domain_add(wt_record *r, const char *name, wt_record_domain **out)
{
    for (size_t i = 0; i < r->n_domain; i++)
        if (!strcmp(r->domain[i]->name, name)) { *out = r->domain[i]; return WITAN_OK; }
    wt_record_domain **list = wt_realloc(r->cx, r->domain, r->n_domain + 1, sizeof *list);
    if (!list) return WT_ENOMEM;
    r->domain = list;
    wt_record_domain *d = wt_alloc(r->cx, 1, sizeof *d);
    if (!d) return WT_ENOMEM;
    wt_status st = fill_domain(r->cx, d, r, name);
    if (st != WITAN_OK) {
        free_domain(r->cx, d, r->n_layer);
        wt_free(r->cx, d);
        return st;
    }
    r->domain[r->n_domain++] = *out = d;
    return WITAN_OK;
}

/* ---- observing ------------------------------------------------------------------------------------------------------ */

static void see_route(wt_record_layer *l, const wt_tap_event *e)
{
    const wt_route *rt = e->route;
    for (int32_t t = 0; t < e->n_tok; t++) {
        const float *p = e->prob + (size_t)t * (size_t)e->n_exp;
        for (int32_t x = 0; x < e->n_exp; x++) l->sum[x].p_all += p[x];
        for (int32_t i = rt->tok_off[t]; i < rt->tok_off[t + 1]; i++) {
            int32_t x = rt->expert[i];
            l->sum[x].p += p[x];
            for (int32_t j = rt->tok_off[t]; j < rt->tok_off[t + 1]; j++) l->co[(size_t)x * (size_t)e->n_exp + (size_t)rt->expert[j]]++;
        }
    }
}

typedef struct norms { const wt_tap_event *e; double *m, *c; size_t d; } norms;

static void pair_norms(void *arg, size_t begin, size_t end, int worker)
{
    const norms *j = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        const float *y = j->e->pair_y + i * j->d;
        double s = 0;
        for (size_t k = 0; k < j->d; k++) s += (double)y[k] * y[k];
        j->m[i] = sqrt(s);
    }
}

/* c = max(0, 1 - cos(r, r + R)) from the three products r.r, r.R, R.R. */
static void token_weights(void *arg, size_t begin, size_t end, int worker)
{
    const norms *j = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        const float *r = j->e->resid + t * j->d, *R = j->e->routed + t * j->d;
        double rr = 0, rR = 0, RR = 0;
        for (size_t k = 0; k < j->d; k++) {
            rr += (double)r[k] * r[k];
            rR += (double)r[k] * R[k];
            RR += (double)R[k] * R[k];
        }
        double len = sqrt(rr) * sqrt(rr + 2 * rR + RR), c = len > 0 ? 1 - (rr + rR) / len : 0;
        j->c[t] = c > 0 ? c : 0;
    }
}

static wt_status room(wt_recorder *rc, wt_ctx *cx, size_t n)
{
    if (n <= rc->n_scratch) return WITAN_OK;
    double *p = wt_realloc(cx, rc->scratch, n, sizeof *p);
    if (!p) return WT_ENOMEM;
    rc->scratch = p;
    rc->n_scratch = n;
    return WITAN_OK;
}

static wt_status see_block(wt_recorder *rc, wt_ctx *cx, wt_record_layer *l, const wt_tap_event *e)
{
    const wt_route *rt = e->route;
    WT_TRY(room(rc, cx, (size_t)rt->n_pair + (size_t)e->n_tok));
    norms j = { e, rc->scratch, rc->scratch + rt->n_pair, (size_t)e->d_model };
    wt_parallel(cx, (size_t)rt->n_pair, 64, pair_norms, &j);
    wt_parallel(cx, (size_t)e->n_tok, 64, token_weights, &j);
    for (int32_t t = 0; t < e->n_tok; t++) {
        l->c += j.c[t];
        for (int32_t i = rt->tok_off[t]; i < rt->tok_off[t + 1]; i++) {
            wt_sums *s = l->sum + rt->expert[i];
            double g = rt->weight[i], m = j.m[i];
            s->n++;
            s->g += g;
            s->g2 += g * g;
            s->m += m;
            s->m2 += m * m;
            s->gm += g * m;
            s->g2m2 += g * g * m * m;
            s->cgm += j.c[t] * g * m;
        }
    }
    return WITAN_OK;
}

static wt_status see(void *user, wt_ctx *cx, const wt_tap_event *e)
{
    wt_recorder *rc = user;
    wt_record_layer *l = rc->domain->layer + e->layer;
    if (e->tap == WT_TAP_ROUTE) see_route(l, e);
    return e->tap == WT_TAP_BLOCK ? see_block(rc, cx, l, e) : WITAN_OK;
}

wt_observer wt_recorder_observer(wt_recorder *rc)
{
    return (wt_observer){ 1u << WT_TAP_ROUTE | 1u << WT_TAP_EXPERT | 1u << WT_TAP_BLOCK, see, rc };   /* EXPERT: asks for the outputs */
}

void wt_recorder_free(wt_recorder *rc)
{
    wt_free(rc->rec->cx, rc->scratch);
    rc->scratch = NULL;
    rc->n_scratch = 0;
}

/* ---- merging and reading -------------------------------------------------------------------------------------------- */

static void add_layer(wt_record_layer *to, const wt_record_layer *from)
{
    size_t n = (size_t)to->n_exp * sizeof(wt_sums) / sizeof(double);
    double *a = (double *)to->sum;                /* wt_sums holds doubles only */
    const double *b = (const double *)from->sum;
    for (size_t i = 0; i < n; i++) a[i] += b[i];
    for (size_t i = 0; i < (size_t)to->n_exp * (size_t)to->n_exp; i++) to->co[i] += from->co[i];
    to->c += from->c;
}

wt_status witan_record_merge(wt_ctx *cx, wt_record *into, const wt_record *from)
{
    if (strcmp(into->fingerprint, from->fingerprint) || into->n_layer != from->n_layer ||
        memcmp(into->n_exp, from->n_exp, (size_t)into->n_layer * sizeof *into->n_exp))
        return wt_fail(cx, WT_EMISMATCH, "records were made on different models and cannot be merged");
    wt_record_domain *d;
    for (size_t i = 0; i < from->n_domain; i++) WT_TRY(wt_record_domain_add(into, from->domain[i]->name, &d));   /* all that can fail */
    for (size_t i = 0; i < from->n_domain; i++) {
        WT_TRY(wt_record_domain_add(into, from->domain[i]->name, &d));
        d->n_tok += from->domain[i]->n_tok;
        d->n_doc += from->domain[i]->n_doc;
        for (int32_t l = 0; l < into->n_layer; l++) add_layer(d->layer + l, from->domain[i]->layer + l);
    }
    if (strcmp(into->data_digest, from->data_digest)) into->data_digest[0] = 0;
    return WITAN_OK;
}

const wt_sum_field wt_sum_fields[] = {
    { "n", offsetof(wt_sums, n) }, { "sum_g", offsetof(wt_sums, g) }, { "sum_g2", offsetof(wt_sums, g2) }, { "sum_p", offsetof(wt_sums, p) },
    { "sum_p_all", offsetof(wt_sums, p_all) }, { "sum_m", offsetof(wt_sums, m) }, { "sum_m2", offsetof(wt_sums, m2) },
    { "sum_gm", offsetof(wt_sums, gm) }, { "sum_g2m2", offsetof(wt_sums, g2m2) }, { "easy_ep", offsetof(wt_sums, cgm) }, { NULL, 0 }
};

size_t witan_record_domains(const wt_record *r) { return r->n_domain; }
const char *witan_record_domain(const wt_record *r, size_t i) { return i < r->n_domain ? r->domain[i]->name : NULL; }
int64_t witan_record_tokens(const wt_record *r, size_t i) { return i < r->n_domain ? r->domain[i]->n_tok : 0; }

double witan_record_get(const wt_record *r, size_t domain, int32_t layer, int32_t expert, const char *what)
{
    if (domain >= r->n_domain || layer < 0 || layer >= r->n_layer || expert < 0 || expert >= r->n_exp[layer]) return NAN;
    const char *sum = (const char *)(r->domain[domain]->layer[layer].sum + expert);
    for (const wt_sum_field *f = wt_sum_fields; f->name; f++)
        if (!strcmp(f->name, what)) return *(const double *)(sum + f->offset);
    return NAN;
}
