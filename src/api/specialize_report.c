/* The report page of witan_specialize: summary, how to read it, size and speed, method, provenance. The charts are in
 * specialize_charts.c, the quality sections in specialize_quality.c. */
#include "api/specialize.h"

#include "model/model.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* "7.2 MB", decimal units. */
static const char *bytes(char buf[32], int64_t n)
{
    static const char *const unit[] = { "bytes", "kB", "MB", "GB", "TB" };
    double v = (double)n;
    int u = 0;
    for (; v >= 1000 && u < 4; u++) v /= 1000;
    char num[32];
    snprintf(buf, 32, "%.22s %s", wt_fixed(num, v, u && v < 100 ? 1 : 0), unit[u]);
    return buf;
}
#define BYTES(n) bytes((char[32]){ 0 }, (n))

static const char *ppl(char buf[32], double v) { return wt_fixed(buf, v, v < 2 ? 3 : v < 100 ? 2 : 1); }
#define PPL(v) ppl((char[32]){ 0 }, (v))

static double smaller(int64_t before, int64_t after) { return before ? 100 * (1 - (double)after / (double)before) : 0; }

/* The first chosen domain that was measured; NULL: none. */
static const wt_quality *chosen_quality(const wt_specialize *s)
{
    return s->n_quality && s->quality[0].chosen ? s->quality : NULL;
}

static int64_t chosen_questions(const wt_specialize *s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s->n_quality; i++) n += s->quality[i].chosen ? s->quality[i].questions : 0;
    return n;
}

/* ---- summary ---------------------------------------------------------------------------------------------------------- */

static void fact(wt_report *r, const char *label, const char *before, const char *after, const char *unit, const char *detail)
{
    char value[128];
    snprintf(value, sizeof value, "%s \xe2\x86\x92 %s%s", before, after, unit);
    wt_report_fact(r, label, value, detail);
}

/* "7.2 -> 3.8 MB", the unit once where it is the same. */
static const char *sizes_short(char buf[80], int64_t before, int64_t after)
{
    char b[32], a[32], *unit;
    bytes(b, before);
    bytes(a, after);
    if ((unit = strchr(b, ' ')) && strchr(a, ' ') && !strcmp(unit, strchr(a, ' '))) *unit = 0;
    snprintf(buf, 80, "%s \xe2\x86\x92 %s", b, a);
    return buf;
}

static void facts(wt_specialize *s, wt_report *r)
{
    const witan_specialize_result *x = s->res;
    char detail[128];
    wt_report_facts_begin(r);
    fact(r, "experts per layer", WT_FIXED(x->n_exp_before, 0), WT_FIXED(x->n_exp_after, 0), "", "before \xe2\x86\x92 after");
    snprintf(detail, sizeof detail, "%s %% smaller", WT_FIXED(smaller(x->bytes_before, x->bytes_after), 0));
    wt_report_fact(r, "file size", sizes_short((char[80]){ 0 }, x->bytes_before, x->bytes_after), detail);
    snprintf(detail, sizeof detail, "exact answers, %.90s", s->chosen);
    if (isfinite(x->acc_before)) fact(r, "correct", WT_FIXED(100 * x->acc_before, 1), WT_FIXED(100 * x->acc_after, 1), " %", detail);
    snprintf(detail, sizeof detail, "%.90s; lower is better", s->chosen);
    if (isfinite(x->ppl_before)) fact(r, "perplexity", PPL(x->ppl_before), PPL(x->ppl_after), "", detail);
    if (isfinite(x->toks_before)) fact(r, "writing speed", WT_FIXED(x->toks_before, 0), WT_FIXED(x->toks_after, 0), "", "tokens per second");
    wt_report_facts_end(r);
}

static void sizes_in_words(wt_specialize *s, wt_report *r)
{
    const witan_specialize_result *x = s->res;
    const wt_importance_ops *ops = s->method->ops;
    if (ops->needs_data)
        wt_report_para(r, "%s has %d experts in each layer. From %zu demonstrations of %s, witan found the %d that this kind of text needs most and wrote a "
                       "new model with those alone.", s->model->info.name, x->n_exp_before, s->n_calib, s->chosen, x->n_exp_after);
    else
        wt_report_para(r, "%s has %d experts in each layer. The new model keeps %d of them, chosen without looking at the demonstrations.",
                       s->model->info.name, x->n_exp_before, x->n_exp_after);
    wt_report_para(r, "The file went from %s to %s; the experts' part of it from %s to %s.", BYTES(x->bytes_before), BYTES(x->bytes_after),
                   BYTES(x->expert_bytes_before), BYTES(x->expert_bytes_after));
}

/* What the baselines would have given on the first chosen domain, " Keeping as many at random ..." */
static void beside(wt_specialize *s, wt_report *r, const wt_quality *q)
{
    bool acc = isfinite(q->acc[0].value);
    for (size_t i = 2; i < s->n_series; i++) {
        const wt_bar *b = acc ? q->acc + i : q->ppl + i, *ours = acc ? q->acc + 1 : q->ppl + 1;
        bool better = acc ? b->value > ours->value : b->value < ours->value, random = !strcmp(s->series[i], "random");
        const char *was = random ? "Keeping as many experts at random" : "Keeping the most often chosen experts instead";
        double k = acc ? 100 : 1;
        int d = acc ? 1 : b->value < 2 ? 3 : b->value < 100 ? 2 : 1;
        const char *number = WT_FIXED(k * b->value, d), *before = acc ? "" : "a perplexity of ", *after = acc ? " %" : "";
        if (random) wt_report_para(r, "%s gives %s%s%s (between %s and %s in three draws).", was, before, number, after, WT_FIXED(k * b->lo, d),
                                   WT_FIXED(k * b->hi, d));
        else wt_report_para(r, "%s gives %s%s%s.", was, before, number, after);
        if (better) wt_report_note(r, WT_NOTE_BAD, "A baseline did better", "On %s, the %s baseline scored better than %s (%s against %s%s).", s->chosen,
                                   s->series[i], s->method->name, WT_FIXED(k * b->value, d), WT_FIXED(k * ours->value, d), acc ? " %" : "");
    }
}

static void quality_in_words(wt_specialize *s, wt_report *r)
{
    const witan_specialize_result *x = s->res;
    const char *lines = s->on == WT_ON_EVAL ? s->n_seen ? "texts" : "held-out texts" : s->on == WT_ON_HELD_OUT ? "held-out demonstrations"
                                                                                        : "the demonstrations themselves";
    const wt_quality *q = chosen_quality(s);
    if (!q) {
        wt_report_note(r, WT_NOTE_BAD, "The chosen domain was not measured", "The evaluation file %s has no line of the demonstrations' domain (%s), so "
                       "nothing can be said about quality there. The other domains are below.", s->o->eval, s->chosen);
        return;
    }
    if (isfinite(x->acc_before)) {
        bool held = wt_drop_at_least(&q->acc[0], &q->acc[1]) <= 0;
        wt_report_para(r, "On %s the new model answers %s %% of %lld %squestions exactly right; the original answers %s %%.%s", s->chosen,
                       WT_FIXED(100 * x->acc_after, 1), (long long)chosen_questions(s), s->n_seen ? "" : "held-out ", WT_FIXED(100 * x->acc_before, 1),
                       s->n_chosen == 1 ? held ? " That is no clear difference." : " That is a clear loss." : "");
    } else
        wt_report_para(r, "On %s (%s) perplexity is %s; the original has %s. Lower is better.", s->chosen, lines,
                       PPL(x->ppl_after), PPL(x->ppl_before));
    if (s->n_chosen == 1) beside(s, r, q);
}

static void summary(wt_specialize *s, wt_report *r)
{
    facts(s, r);
    sizes_in_words(s, r);
    quality_in_words(s, r);
    wt_report_note(r, WT_NOTE_GOOD, "The new file was checked", "It was opened again and read the first demonstration: at all %lld positions its output %s that of "
                   "the original model with the removed experts switched off.", (long long)s->n_same,
                   s->plan->mask.gate == WITAN_GATE_RENORM ? "equals, bit for bit," : "agrees, to rounding, with");
}

/* ---- the other sections ----------------------------------------------------------------------------------------------- */

static void how_to_read(wt_specialize *s, wt_report *r)
{
    wt_report_section(r, "reading", "How to read this page");
    wt_report_terms_begin(r);
    wt_report_term(r, "expert", "One of many small networks inside a layer. Each token (a piece of text, about a short word) uses only %d of them.",
                   s->model->cfg.n_exp_used);
    wt_report_term(r, "layer", "The model is a stack of %d layers; a token passes through all of them, from 0 upwards.", s->model->cfg.n_layer);
    wt_report_term(r, "demonstrations", "The example texts you gave. They decide which experts stay; nothing is trained.");
    wt_report_term(r, "exact match", "Share of questions whose answer is, character for character, the expected one.");
    wt_report_term(r, "perplexity", "How surprised the model is by a text: 1 is not at all, 10 is like guessing among ten equally likely tokens each time.");
    wt_report_term(r, "95 % interval", "The range that would hold the true value in 95 of 100 such measurements. Few questions give a wide range; "
                   "do not read much into differences inside it.");
    wt_report_term(r, "baseline", "A simpler way to choose the experts. A method that does not beat it is not worth its trouble.");
    wt_report_terms_end(r);
}

static void before_after(wt_report *r, const char *what, const char *before, const char *after, const char *change)
{
    wt_report_row_begin(r);
    wt_report_cell(r, "%s", what);
    wt_report_cell(r, "%s", before);
    wt_report_cell(r, "%s", after);
    wt_report_cell(r, "%s", change);
    wt_report_row_end(r);
}

static void size_row(wt_report *r, const char *what, int64_t before, int64_t after)
{
    char change[64];
    snprintf(change, sizeof change, "%s %% smaller", WT_FIXED(smaller(before, after), 1));
    before_after(r, what, BYTES(before), BYTES(after), before == after ? "the same" : change);
}

static void speed_row(wt_specialize *s, wt_report *r)
{
    const witan_specialize_result *x = s->res;
    char before[96], after[96], change[64];
    if (!isfinite(x->toks_before)) return;
    double ratio = x->toks_after / x->toks_before;
    const double *b = s->speed[0], *a = s->speed[1];
    snprintf(before, sizeof before, "%s (%s to %s)", WT_FIXED(x->toks_before, 0), WT_FIXED(b[0], 0), WT_FIXED(b[WT_N_SPEED - 1], 0));
    snprintf(after, sizeof after, "%s (%s to %s)", WT_FIXED(x->toks_after, 0), WT_FIXED(a[0], 0), WT_FIXED(a[WT_N_SPEED - 1], 0));
    snprintf(change, sizeof change, "%s times", WT_FIXED(ratio, 2));
    before_after(r, "tokens written per second", before, after, change);
}

static void size_and_speed(wt_specialize *s, wt_report *r)
{
    static const char *const column[] = { "", "before", "after", "change" };
    const witan_model_info *a = &s->model->info, *b = &s->small->info;
    char x[32], y[32];
    wt_report_section(r, "size", "Size and speed");
    wt_report_table_begin(r, "Measured on this file and this machine", column, 4);
    size_row(r, "file", s->res->bytes_before, s->res->bytes_after);
    size_row(r, "experts", s->res->expert_bytes_before, s->res->expert_bytes_after);
    size_row(r, "read per token", a->n_byte_token, b->n_byte_token);
    snprintf(x, sizeof x, "%s million", WT_FIXED((double)a->n_param / 1e6, 2));
    snprintf(y, sizeof y, "%s million", WT_FIXED((double)b->n_param / 1e6, 2));
    before_after(r, "weights", x, y, "");
    speed_row(s, r);
    wt_report_table_end(r);
    wt_report_small(r, "Speed: median of %d rounds (slowest to fastest in brackets), before and after by turns, %d threads. A token still uses %d experts per "
                    "layer, so expect the file to shrink more than the speed grows.", WT_N_SPEED, witan_threads(s->cx), s->small->cfg.n_exp_used);
}

static void method(wt_specialize *s, wt_report *r)
{
    const wt_cite *c = &s->method->cite;
    wt_report_section(r, "method", "How the experts were chosen");
    wt_report_para(r, "%s (%s). %s The best-scoring %s %% of each layer stay; the router, the part that sends tokens to experts, loses the rows of "
                   "those that go. All other weights are copied unchanged.", s->method->title, s->method->name, s->method->about,
                   WT_FIXED(100 * s->o->keep, 1));
    wt_report_para(r, "Source: %s, \"%s\", %s, %d%s%s.", c->authors, c->paper, c->id, c->year, c->where ? "; " : "", c->where ? c->where : "");
}

static void today(char buf[32])
{
    time_t now = time(NULL);
    struct tm t;
    *buf = 0;
    if (gmtime_r(&now, &t)) strftime(buf, 32, "%Y-%m-%d %H:%M UTC", &t);
}

static void provenance(wt_specialize *s, wt_report *r)
{
    const witan_specialize_options *o = s->o;
    int64_t n_tok = 0;
    char date[32];
    today(date);
    for (size_t i = 0; i < s->rec->n_domain; i++) n_tok += s->rec->domain[i]->n_tok;
    wt_report_section(r, "provenance", "Where it comes from, and how to make it again");
    if (o->command) {
        wt_report_para(r, "This command makes the same file again, bit for bit, from the same inputs:");
        wt_report_code(r, o->command);
    }
    wt_report_terms_begin(r);
    wt_report_term(r, "original", "%s, fingerprint %s", o->model, s->model->info.fingerprint);
    wt_report_term(r, "result", "%s, fingerprint %s", o->out, s->small->info.fingerprint);
    wt_report_term(r, "demonstrations", "%s: %zu documents (%lld tokens) of %s; SHA-256 of the file %s", o->demos, s->n_calib, (long long)n_tok, s->chosen,
                   s->demos.digest);
    if (s->on == WT_ON_EVAL) {
        if (o->eval_limit) wt_report_term(r, "evaluation", "%s: the first %d lines of each domain; SHA-256 %s", o->eval, o->eval_limit, s->eval_digest);
        else wt_report_term(r, "evaluation", "%s: all lines; SHA-256 %s", o->eval, s->eval_digest);
    }
    wt_report_term(r, "options", "keep %s, score %s, gate %s, seed %lld, context %d tokens", WT_FIXED(o->keep, 4), s->method->name,
                   s->plan->mask.gate == WITAN_GATE_KEEP ? "keep" : "renorm", (long long)o->seed, o->n_ctx > 0 ? o->n_ctx : s->model->cfg.n_ctx_train);
    wt_report_term(r, "program", "witan %s, family %s", WITAN_VERSION, s->model->arch->name);
    wt_report_term(r, "made on", "%s", date);
    wt_report_terms_end(r);
}

wt_status wt_specialize_page(wt_specialize *s, char **html, size_t *n)
{
    wt_report r;
    char *title = wt_printf(s->cx, "%s specialised for %s", s->model->info.name, s->chosen);
    if (!title) return WT_ENOMEM;
    wt_report_begin(&r, s->cx, title, "What was kept, what it still can do, and what was lost");
    wt_free(s->cx, title);
    summary(s, &r);
    how_to_read(s, &r);
    wt_report_section(&r, "experts", "Which experts stay");
    wt_status st = wt_specialize_heat(s, &r);
    if (st != WITAN_OK) { wt_report_free(&r); return st; }
    wt_specialize_quality(s, &r);
    size_and_speed(s, &r);
    wt_specialize_unused(s, &r);
    method(s, &r);
    provenance(s, &r);
    return wt_report_take(&r, html, n);
}
