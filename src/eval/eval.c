/* witan_eval: reads the inputs, runs perplexity and tasks, turns sums into rows with intervals. */
#include "eval/eval.h"

#include "base/file.h"
#include "eval/stats.h"
#include <math.h>
#include <string.h>

enum { MOST_TEXT = 1 << 30 };

wt_tally *wt_tally_of(wt_tallies *ts, const char *domain)
{
    if (!domain) domain = "";
    for (size_t i = 0; i < ts->n; i++)
        if (!strcmp(ts->t[i].domain, domain)) return ts->t + i;
    wt_tally *p = wt_realloc(ts->cx, ts->t, ts->n + 1, sizeof *p);
    if (!p) return NULL;
    ts->t = p;
    p[ts->n] = (wt_tally){ .domain = wt_strdup(ts->cx, domain) };
    return p[ts->n].domain ? p + ts->n++ : NULL;
}

int32_t wt_eval_seqs(wt_ctx *cx, const wt_model *m, const witan_eval_options *o, int32_t n_ctx)
{
    double bytes = (double)wt_kv_bytes(&m->cfg, wt_kv_type_of(cx, (witan_kv)o->kv_type)) * n_ctx, fit = 268435456.0 / bytes;
    return fit >= 16 ? 16 : fit < 1 ? 1 : (int32_t)fit;
}

/* ---- inputs --------------------------------------------------------------------------------------------------------- */

static wt_status plain_text(wt_ctx *cx, const wt_model *m, const witan_eval_options *o, int32_t n_ctx, wt_tallies *ts)
{
    char *data;
    size_t n;
    WT_TRY(wt_file_read(cx, o->text, MOST_TEXT, &data, &n));
    wt_doc doc = { .text = data, .n_text = n };
    wt_docs one = { .cx = cx, .doc = &doc, .n = 1 };
    size_t bad = witan_utf8_check(data, n);
    wt_status st = !n ? wt_fail(cx, WT_ELIMIT, "%s: is empty", o->text)
                 : bad < n ? wt_fail(cx, WT_EFORMAT, "%s: expected UTF-8 text, byte %zu is not", o->text, bad)
                           : wt_eval_perplexity(cx, m, &one, n_ctx, o, ts);
    wt_free(cx, data);
    return st;
}

static wt_status measure(wt_ctx *cx, const wt_model *m, const witan_eval_options *o, wt_tallies *ts)
{
    int32_t n_ctx = o->n_ctx > 0 ? o->n_ctx : m->cfg.n_ctx_train;
    wt_docs docs;
    if (!o->text && !o->jsonl && !o->task) return wt_fail(cx, WT_EARG, "nothing to measure: expected text, jsonl or task");
    if (n_ctx < 2) return wt_fail(cx, WT_EARG, "context of %d tokens: expected at least 2", n_ctx);
    if (o->text) WT_TRY(plain_text(cx, m, o, n_ctx, ts));
    if (o->jsonl) {
        WT_TRY(wt_docs_read(cx, o->jsonl, false, o->domain, o->limit, 0, &docs));
        wt_status st = wt_eval_perplexity(cx, m, &docs, n_ctx, o, ts);
        wt_docs_free(&docs);
        WT_TRY(st);
    }
    if (o->task) {
        WT_TRY(wt_docs_read(cx, o->task, true, o->domain, o->limit, 0, &docs));
        wt_status st = wt_eval_task(cx, m, &docs, n_ctx, o, ts);
        wt_docs_free(&docs);
        WT_TRY(st);
    }
    return WITAN_OK;
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

static void to_row(const wt_tally *t, witan_eval_row *r)
{
    r->perplexity = r->nll = r->ppl_lo = r->ppl_hi = r->accuracy = NAN;
    r->tokens = (int64_t)t->tok;
    r->documents = (int64_t)t->n_doc;
    r->questions = (int64_t)t->asked;
    r->correct = (int64_t)t->right;
    if (t->tok > 0) {
        r->nll = t->nll / t->tok;
        r->perplexity = exp(r->nll);
        wt_ratio_interval(t->n_doc, t->nll, t->tok, t->nll2, t->nll_tok, t->tok2, &r->ppl_lo, &r->ppl_hi);
        r->ppl_lo = exp(r->ppl_lo);
        r->ppl_hi = exp(r->ppl_hi);
    }
    if (t->asked > 0) r->accuracy = t->right / t->asked;
    wt_wilson_interval(t->right, t->asked, &r->acc_lo, &r->acc_hi);
}

static void add(wt_tally *to, const wt_tally *t)
{
    to->n_doc += t->n_doc; to->nll += t->nll; to->tok += t->tok; to->nll2 += t->nll2; to->nll_tok += t->nll_tok; to->tok2 += t->tok2;
    to->asked += t->asked; to->right += t->right;
}

static wt_status rows(wt_ctx *cx, const wt_tallies *ts, witan_eval_result *r)
{
    wt_tally all = { 0 };
    r->row = wt_alloc(cx, ts->n + 1, sizeof *r->row);
    if (!r->row) return WT_ENOMEM;
    for (size_t i = 0; i < ts->n; i++) {
        add(&all, ts->t + i);
        if (!*ts->t[i].domain) continue;          /* documents without a domain stand in the total only */
        to_row(ts->t + i, r->row + r->n_row);
        r->row[r->n_row].domain = wt_strdup(cx, ts->t[i].domain);
        if (!r->row[r->n_row++].domain) return WT_ENOMEM;
    }
    to_row(&all, r->row + r->n_row);
    r->row[r->n_row].domain = wt_strdup(cx, "all");
    return r->row[r->n_row++].domain ? WITAN_OK : WT_ENOMEM;
}

wt_status witan_eval(wt_ctx *cx, const wt_model *m, const witan_eval_options *o, witan_eval_result **out)
{
    wt_tallies ts = { .cx = cx };
    double t0 = wt_now();
    witan_eval_result *r = wt_alloc(cx, 1, sizeof *r);
    if (!r) return WT_ENOMEM;
    wt_status st = measure(cx, m, o, &ts);
    if (st == WITAN_OK) st = rows(cx, &ts, r);
    r->tokens_computed = ts.computed;
    r->seconds = wt_now() - t0;
    for (size_t i = 0; i < ts.n; i++) wt_free(cx, (char *)(uintptr_t)ts.t[i].domain);
    wt_free(cx, ts.t);
    if (st != WITAN_OK) witan_eval_free(cx, r); else *out = r;
    return st;
}

void witan_eval_free(wt_ctx *cx, witan_eval_result *r)
{
    if (!r) return;
    for (size_t i = 0; i < r->n_row; i++) wt_free(cx, (char *)(uintptr_t)r->row[i].domain);
    wt_free(cx, r->row);
    wt_free(cx, r);
}
