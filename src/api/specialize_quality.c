/* The report's sections on quality: bars and tables before and after beside the baselines, and what was lost. */
#include "api/specialize.h"

#include <math.h>
#include <string.h>

static bool any_acc(const wt_specialize *s) { return s->n_quality && isfinite(s->quality[0].acc[0].value); }

/* "dates" or, for the domains the file was made for, "arithmetic (chosen)". */
static char *label(const wt_specialize *s, const wt_quality *q)
{
    if (!strcmp(q->domain, "all")) return wt_strdup(s->cx, s->no_domains ? s->chosen : "all domains together");
    return q->chosen ? wt_printf(s->cx, "%s (chosen)", q->domain) : wt_strdup(s->cx, q->domain);
}

static int digits_for(double v) { return v < 2 ? 3 : v < 100 ? 2 : v < 1000 ? 1 : 0; }

/* ---- bars ------------------------------------------------------------------------------------------------------------- */

static void free_labels(const wt_specialize *s, char **name)
{
    for (size_t i = 0; name && i < s->n_quality; i++) wt_free(s->cx, name[i]);
    wt_free(s->cx, name);
}

static char **labels(const wt_specialize *s)
{
    char **name = wt_alloc(s->cx, s->n_quality, sizeof *name);
    for (size_t i = 0; name && i < s->n_quality; i++)
        if (!(name[i] = label(s, s->quality + i))) { free_labels(s, name); return NULL; }
    return name;
}

static void bars(wt_specialize *s, wt_report *r, bool acc, const char *title)
{
    char **name = labels(s);
    wt_bar *bar = wt_alloc(s->cx, s->n_quality * s->n_series, sizeof *bar);
    if (name && bar) {
        for (size_t i = 0; i < s->n_quality; i++)
            memcpy(bar + i * s->n_series, acc ? s->quality[i].acc : s->quality[i].ppl, s->n_series * sizeof *bar);
        wt_svg_bars(&r->t, &(wt_bars){ .title = title, .n_group = s->n_quality, .n_series = s->n_series, .group = (const char *const *)name,
                                       .series = s->series, .bar = bar, .percent = acc, .max = acc ? 1 : 0, .log = !acc,
                                       .digits = acc ? 0 : digits_for(s->quality[0].ppl[0].value) });
        wt_svg_legend(&r->t, s->series, s->n_series);
    } else r->t.failed = true;
    free_labels(s, name);
    wt_free(s->cx, bar);
}

/* ---- tables ----------------------------------------------------------------------------------------------------------- */

static void bar_cell(wt_report *r, const wt_bar *b, bool acc)
{
    int d = acc ? 1 : digits_for(b->value);
    double k = acc ? 100 : 1;
    if (!isfinite(b->value)) wt_report_cell(r, "not measured");
    else if (!isfinite(b->lo) || !isfinite(b->hi)) wt_report_cell(r, "%s%s", WT_FIXED(k * b->value, d), acc ? " %" : "");
    else wt_report_cell(r, "%s%s (%s\xe2\x80\x93%s)", WT_FIXED(k * b->value, d), acc ? " %" : "", WT_FIXED(k * b->lo, d), WT_FIXED(k * b->hi, d));
}

static void table(wt_specialize *s, wt_report *r, bool acc)
{
    const char *column[WT_MAX_SERIES + 2] = { "domain" };
    for (size_t i = 0; i < s->n_series; i++) column[i + 1] = s->series[i];
    column[s->n_series + 1] = acc ? "questions" : "tokens";
    wt_report_fold_begin(r, acc ? "Exact match as a table" : "Perplexity as a table");
    wt_report_table_begin(r, acc ? "Share of questions answered exactly right, with 95 % interval (random: median and range)"
                                 : "Perplexity, with 95 % interval (random: median and range)", column, s->n_series + 2);
    for (size_t i = 0; i < s->n_quality; i++) {
        const wt_quality *q = s->quality + i;
        char *name = label(s, q);
        wt_report_row_begin(r);
        wt_report_cell(r, "%s", name ? name : "");
        for (size_t k = 0; k < s->n_series; k++) bar_cell(r, acc ? q->acc + k : q->ppl + k, acc);
        wt_report_cell(r, "%lld", (long long)(acc ? q->questions : q->tokens));
        wt_report_row_end(r);
        wt_free(s->cx, name);
    }
    wt_report_table_end(r);
    wt_report_fold_end(r);
}

/* ---- what was lost ---------------------------------------------------------------------------------------------------- */

typedef enum verdict { BETTER, SAME, WORSE } verdict;

/* Whether b lies above a by more than chance: intervals apart; without intervals (one document) by more than a twentieth. */
static bool above(const wt_bar *a, const wt_bar *b)
{
    if (isfinite(a->hi) && isfinite(b->lo)) return b->lo > a->hi;
    return b->value > 1.05 * a->value;
}

/* One clear loss, of answers or of perplexity, makes a domain worse; it is better only without one. */
static verdict judge(const wt_quality *q)
{
    bool acc = isfinite(q->acc[0].value) && isfinite(q->acc[1].value);
    if (above(&q->ppl[0], &q->ppl[1]) || (acc && wt_drop_at_least(&q->acc[0], &q->acc[1]) > 0)) return WORSE;
    return above(&q->ppl[1], &q->ppl[0]) || (acc && wt_drop_at_least(&q->acc[1], &q->acc[0]) > 0) ? BETTER : SAME;
}

static void one_line(wt_specialize *s, wt_report *r, const wt_quality *q)
{
    char *name = label(s, q);
    const char *before = WT_FIXED(q->ppl[0].value, digits_for(q->ppl[0].value)), *after = WT_FIXED(q->ppl[1].value, digits_for(q->ppl[1].value));
    if (!name) r->t.failed = true;
    else if (isfinite(q->acc[0].value))
        wt_report_item(r, "%s: exact match %s \xe2\x86\x92 %s %%, perplexity %s \xe2\x86\x92 %s", name, WT_FIXED(100 * q->acc[0].value, 1),
                       WT_FIXED(100 * q->acc[1].value, 1), before, after);
    else wt_report_item(r, "%s: perplexity %s \xe2\x86\x92 %s", name, before, after);
    wt_free(s->cx, name);
}

static size_t group(wt_specialize *s, wt_report *r, verdict v, const char *title)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_quality; i++) {
        if ((s->n_quality > 1 && !strcmp(s->quality[i].domain, "all")) || judge(s->quality + i) != v) continue;
        if (!n++) {
            wt_report_head(r, title);
            wt_report_list_begin(r);
        }
        one_line(s, r, s->quality + i);
    }
    if (n) wt_report_list_end(r);
    return n;
}

static void lost(wt_specialize *s, wt_report *r)
{
    wt_report_section(r, "lost", "What was lost");
    size_t worse = group(s, r, WORSE, "Clearly worse");
    group(s, r, SAME, "No clear change");
    group(s, r, BETTER, "Better");
    if (!worse) wt_report_para(r, "No domain that was measured became clearly worse.");
    wt_report_small(r, "\"Clearly\" means that the 95 %% intervals of perplexity before and after do not overlap%s. The intervals are cautious: a smaller "
                    "loss may hide under \"no clear change\".", any_acc(s) ? ", or that the 95 % interval of the difference in exact match (Newcombe's) "
                    "excludes zero" : "");
    if (s->n_quality == 1) wt_report_small(r, "Other domains were not measured. A specialised file is expected to lose most of what lies outside its domain.");
}

/* ---- the section ------------------------------------------------------------------------------------------------------ */

static void how_measured(wt_specialize *s, wt_report *r)
{
    if (s->on == WT_ON_DEMOS)
        wt_report_note(r, WT_NOTE_BAD, "These numbers are too good", "No evaluation lines were given and there are too few demonstrations (%zu) to hold some "
                       "out, so quality was measured on the very demonstrations that chose the experts.", s->demos.n);
    else if (s->on == WT_ON_HELD_OUT)
        wt_report_note(r, WT_NOTE_PLAIN, "Measured on held-out demonstrations", "No evaluation lines were given. Every fifth demonstration was "
                       "held out: %zu chose the experts, %zu measured perplexity. So few documents give wide intervals, and exact match was not measured. "
                       "Give --eval FILE to measure properly; then all demonstrations choose.", s->n_calib, s->n_held);
    else if (s->n_seen)
        wt_report_note(r, WT_NOTE_BAD, "Some of these lines were seen before", "%zu of the evaluation lines %s among the demonstrations too. Lines that helped to "
                       "choose the experts flatter the result.", s->n_seen, s->n_seen == 1 ? "is" : "are");
    else if (!s->ask)
        wt_report_note(r, WT_NOTE_PLAIN, "Perplexity only", "Some evaluation lines are plain text without a prompt and an answer, so exact match was not measured.");
    else wt_report_para(r, "Every version answered the same questions and read the same texts. None of them is among the demonstrations.");
}

static void baselines(wt_specialize *s, wt_report *r)
{
    wt_report_para(r, "\"original\" is the model before, \"%s\" the new file.%s%s", s->method->name,
                   strcmp(s->method->name, "freq") ? " \"frequency\" keeps the same number of experts, those chosen most often." : "",
                   strcmp(s->method->name, "random") ? " \"random\" keeps as many at random: the median of three draws, with the range as the error bar." : "");
}

void wt_specialize_quality(wt_specialize *s, wt_report *r)
{
    wt_report_section(r, "quality", "Quality before and after");
    how_measured(s, r);
    baselines(s, r);
    if (any_acc(s)) {
        wt_report_head(r, "Exact match, per cent of the questions (longer is better)");
        bars(s, r, true, "Exact match by domain: original, result and baselines");
        table(s, r, true);
    }
    wt_report_head(r, "Perplexity (shorter is better; logarithmic axis)");
    bars(s, r, false, "Perplexity by domain: original, result and baselines");
    table(s, r, false);
    lost(s, r);
}
