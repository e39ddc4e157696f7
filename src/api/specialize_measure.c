/* Specialising: quality of the original, the result and the baselines on the same lines, gathered per domain. */
#include "api/specialize.h"

#include "edit/record.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- progress ------------------------------------------------------------------------------------------------------- */

static bool pass_on(void *user, const witan_progress *p)
{
    wt_relay *r = user;
    if (r->last && strcmp(r->last, p->phase) && r->step + 1 < r->steps) r->step++;
    r->last = p->phase;
    double share = p->total > 0 ? fmin(p->done / p->total, 1) : 0;
    witan_progress mine = { r->phase, r->part + (r->step + share) / r->steps, r->parts, r->unit };
    return r->fn(r->user, &mine);
}

void wt_relay_begin(wt_relay *r, wt_ctx *cx, const char *phase, const char *unit, int32_t parts, int32_t steps)
{
    *r = (wt_relay){ .cx = cx, .fn = cx->progress, .user = cx->progress_user, .phase = phase, .unit = unit, .parts = parts, .steps = steps };
    if (!r->fn) return;
    cx->progress = pass_on;
    cx->progress_user = r;
}

void wt_relay_part(wt_relay *r, int32_t part)
{
    r->part = part;
    r->step = 0;
    r->last = NULL;
}

void wt_relay_end(wt_relay *r)
{
    r->cx->progress = r->fn;
    r->cx->progress_user = r->user;
}

/* ---- what is measured ------------------------------------------------------------------------------------------------ */

static wt_arm *add_arm(wt_specialize *s, int32_t series, const witan_model *m, int64_t seed)
{
    s->arm[s->n_arm] = (wt_arm){ .series = series, .model = m, .seed = seed };
    return s->arm + s->n_arm++;
}

static wt_status add_baseline(wt_specialize *s, int32_t series, const char *score, int64_t seed)
{
    witan_plan_options o = { .score = score, .keep = s->o->keep, .gate = s->plan->mask.gate, .seed = seed };
    return witan_plan_make(s->cx, s->model, s->rec, &o, &add_arm(s, series, s->model, seed)->plan);
}

/* The original, the written file, and whichever baselines the result itself is not. */
static wt_status choose_arms(wt_specialize *s)
{
    s->series[s->n_series++] = "original";
    s->series[s->n_series++] = s->method->name;
    add_arm(s, 0, s->model, 0);
    add_arm(s, 1, s->small, 0);
    if (strcmp(s->method->name, "freq")) {
        WT_TRY(add_baseline(s, (int32_t)s->n_series, "freq", 0));
        s->series[s->n_series++] = "frequency";
    }
    if (!strcmp(s->method->name, "random")) return WITAN_OK;
    for (int32_t i = 1; i <= WT_N_RANDOM; i++) WT_TRY(add_baseline(s, (int32_t)s->n_series, "random", s->o->seed + i));
    s->series[s->n_series++] = "random";
    return WITAN_OK;
}

static wt_status run_arms(wt_specialize *s)
{
    const char *lines = s->on == WT_ON_EVAL ? s->o->eval : s->on == WT_ON_HELD_OUT ? s->held : s->calib;
    bool ask = s->on == WT_ON_EVAL && s->ask;
    wt_relay relay;
    wt_status st = WITAN_OK;
    wt_relay_begin(&relay, s->cx, "measure", "models", (int32_t)s->n_arm, ask ? 2 : 1);
    for (size_t i = 0; st == WITAN_OK && i < s->n_arm; i++) {
        wt_arm *a = s->arm + i;
        witan_eval_options o = { .jsonl = lines, .task = ask ? lines : NULL, .n_ctx = s->o->n_ctx, .plan = a->plan,
                                 .limit = s->on == WT_ON_EVAL ? s->o->eval_limit : 0 };
        wt_relay_part(&relay, (int32_t)i);
        st = witan_eval(s->cx, a->model, &o, &a->eval);
    }
    wt_relay_end(&relay);
    return st;
}

/* ---- gathering ------------------------------------------------------------------------------------------------------- */

static const witan_eval_row *row_of(const wt_arm *a, const char *domain)
{
    for (size_t i = 0; i < a->eval->n_row; i++)
        if (!strcmp(a->eval->row[i].domain, domain)) return a->eval->row + i;
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median and range of n >= 1 values. */
static wt_bar spread(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return (wt_bar){ n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2, v[0], v[n - 1] };
}

static void fill_series(const wt_specialize *s, wt_quality *q, const char *domain, int32_t series)
{
    double ppl[WT_N_RANDOM], acc[WT_N_RANDOM];
    size_t n = 0;
    for (size_t i = 0; i < s->n_arm; i++) {
        const witan_eval_row *r = s->arm[i].series == series ? row_of(s->arm + i, domain) : NULL;
        if (!r) continue;
        ppl[n] = r->perplexity;
        acc[n++] = r->accuracy;
        q->ppl[series] = (wt_bar){ r->perplexity, r->ppl_lo, r->ppl_hi };
        q->acc[series] = (wt_bar){ r->accuracy, r->acc_lo, r->acc_hi };
    }
    if (n > 1) {
        q->ppl[series] = spread(ppl, n);
        q->acc[series] = spread(acc, n);
    }
}

static void add_quality(wt_specialize *s, const witan_eval_row *r, bool chosen)
{
    wt_quality *q = s->quality + s->n_quality++;
    *q = (wt_quality){ .domain = r->domain, .chosen = chosen, .tokens = r->tokens, .documents = r->documents, .questions = r->questions };
    for (size_t i = 0; i < s->n_series; i++) fill_series(s, q, r->domain, (int32_t)i);
}

/* Chosen domains, then the others, then the total where it says something new. */
static wt_status gather(wt_specialize *s)
{
    const witan_eval_result *e = s->arm[0].eval;
    s->quality = wt_alloc(s->cx, e->n_row, sizeof *s->quality);
    if (!s->quality) return WT_ENOMEM;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i + 1 < e->n_row; i++)
            if (wt_specialize_is_chosen(s, e->row[i].domain) == !pass) add_quality(s, e->row + i, !pass);
    if (e->n_row != 2) add_quality(s, e->row + e->n_row - 1, s->no_domains);
    return WITAN_OK;
}

/* The chosen domains together, from one arm: sums over their rows. */
static void pooled(const wt_specialize *s, const wt_arm *a, double *ppl, double *acc)
{
    double nll = 0, tok = 0, right = 0, asked = 0;
    for (size_t i = 0; i < s->n_quality; i++) {
        const witan_eval_row *r = s->quality[i].chosen ? row_of(a, s->quality[i].domain) : NULL;
        if (!r) continue;
        if (r->tokens) nll += r->nll * (double)r->tokens;
        tok += (double)r->tokens;
        right += (double)r->correct;
        asked += (double)r->questions;
    }
    *ppl = tok > 0 ? exp(nll / tok) : NAN;
    *acc = asked > 0 ? right / asked : NAN;
}

double wt_drop_at_least(const wt_bar *before, const wt_bar *after)
{
    double down = before->value - before->lo, up = after->hi - after->value;
    return before->value - after->value - sqrt(down * down + up * up);
}

/* Which experts the domains of the evaluation set use, from a few lines of each. */
static wt_status profile_others(wt_specialize *s)
{
    enum { LINES = 20 };
    wt_relay relay;
    witan_profile_options o = { .data = s->o->eval, .n_ctx = s->o->n_ctx, .limit = LINES };
    wt_relay_begin(&relay, s->cx, "profile others", "passes", 1, 1);
    wt_status st = witan_profile(s->cx, s->model, &o, &s->others);
    wt_relay_end(&relay);
    return st;
}

wt_status wt_specialize_measure(wt_specialize *s)
{
    WT_TRY(choose_arms(s));
    WT_TRY(run_arms(s));
    WT_TRY(gather(s));
    pooled(s, s->arm, &s->res->ppl_before, &s->res->acc_before);
    pooled(s, s->arm + 1, &s->res->ppl_after, &s->res->acc_after);
    return s->on == WT_ON_EVAL && s->o->report ? profile_others(s) : WITAN_OK;
}
