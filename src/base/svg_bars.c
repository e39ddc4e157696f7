/* Inline SVG: grouped horizontal bars with error bars, and their legend. */
#include "base/svg.h"

#include <math.h>
#include <string.h>

enum { ROW = 19, GROUP_HEAD = 22, GROUP_GAP = 10, AXIS = 24 };
static const double BAR_LEFT = 24, BAR_WIDTH = 46;   /* per cent; names stand before, numbers after */

static double axis_end(const wt_bars *b)
{
    double most = 0;
    for (size_t i = 0; i < b->n_group * b->n_series; i++) {
        if (isfinite(b->bar[i].value)) most = fmax(most, b->bar[i].value);
        if (isfinite(b->bar[i].value) && isfinite(b->bar[i].hi)) most = fmax(most, b->bar[i].hi);
    }
    if (b->max > 0) return b->max;
    return b->log ? fmax(most, 2) : most > 0 ? most : 1;
}

/* Place of a value, per cent of the picture's width. */
static double place(const wt_bars *b, double v, double end)
{
    double part = b->log ? log(fmax(v, 1)) / log(end) : v / end;
    return BAR_LEFT + BAR_WIDTH * fmin(fmax(part, 0), 1);
}

static const char *number(char buf[32], const wt_bars *b, double v)
{
    return wt_fixed(buf, b->percent ? 100 * v : v, v >= 1000 ? 0 : b->digits);
}

static void tick(wt_text *t, const wt_bars *b, double v, double end, int height)
{
    char num[32];
    const char *x = WT_FIXED(place(b, v, end), 3);
    wt_text_printf(t, "<line class=\"wt-grid\" x1=\"%s%%\" x2=\"%s%%\" y1=\"0\" y2=\"%d\"/>", x, x, height);
    wt_fixed(num, b->percent ? 100 * v : v, v < 1 && !b->percent ? 2 : v < 10 && v != floor(v) && !b->percent ? 1 : 0);
    wt_text_printf(t, "<text x=\"%s%%\" y=\"%d\" text-anchor=\"middle\">%s</text>", x, height + 15, num);
}

/* A round step (1, 2 or 5 times a power of ten) that gives about four ticks. */
static double round_step(double range)
{
    double p = pow(10, floor(log10(range / 4))), m = range / 4 / p;
    return (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10) * p;
}

/* 1, 2, 5, 10 ... while they are few, then powers of ten; halves where the range is narrow. */
static void log_ticks(wt_text *t, const wt_bars *b, double end, int height)
{
    static const double narrow[] = { 1, 1.5, 2, 3, 4 }, m[] = { 1, 2, 5 };
    if (end <= 4) {
        for (int i = 0; i < 5 && narrow[i] <= end * 1.0001; i++) tick(t, b, narrow[i], end, height);
        return;
    }
    for (double p = 1; p <= end * 1.0001; p *= end > 1e6 ? 1000 : 10)
        for (int i = 0; i < (end <= 60 ? 3 : 1) && p * m[i] <= end * 1.0001; i++) tick(t, b, p * m[i], end, height);
}

static void ticks(wt_text *t, const wt_bars *b, double end, int height)
{
    if (b->log) { log_ticks(t, b, end, height); return; }
    double step = b->percent && end == 1 ? 0.25 : round_step(end);
    for (int i = 0; i * step <= end * 1.0001; i++) tick(t, b, i * step, end, height);
}

static void whisker(wt_text *t, const wt_bars *b, const wt_bar *v, double end, int y)
{
    const char *lo = WT_FIXED(place(b, v->lo, end), 3), *hi = WT_FIXED(place(b, v->hi, end), 3);
    wt_text_printf(t, "<line class=\"wt-err\" x1=\"%s%%\" x2=\"%s%%\" y1=\"%d\" y2=\"%d\"/>", lo, hi, y, y);
    wt_text_printf(t, "<line class=\"wt-err\" x1=\"%s%%\" x2=\"%s%%\" y1=\"%d\" y2=\"%d\"/>", lo, lo, y - 3, y + 3);
    wt_text_printf(t, "<line class=\"wt-err\" x1=\"%s%%\" x2=\"%s%%\" y1=\"%d\" y2=\"%d\"/>", hi, hi, y - 3, y + 3);
}

/* "96.0 (91.2 to 98.4)"; the interval only where there is one. */
static void value_text(wt_text *t, const wt_bars *b, const wt_bar *v)
{
    char a[32], lo[32], hi[32];
    if (!isfinite(v->value)) { wt_text_puts(t, "not measured"); return; }
    wt_text_printf(t, "%s%s", number(a, b, v->value), b->percent ? " %" : "");
    if (isfinite(v->lo) && isfinite(v->hi)) wt_text_printf(t, " (%s&#8211;%s)", number(lo, b, v->lo), number(hi, b, v->hi));
}

static void one_bar(wt_text *t, const wt_bars *b, size_t g, size_t s, double end, int y)
{
    const wt_bar *v = b->bar + g * b->n_series + s;
    wt_text_puts(t, "<g><title>");
    wt_text_xml(t, b->group[g]);
    wt_text_puts(t, ", ");
    wt_text_xml(t, b->series[s]);
    wt_text_puts(t, ": ");
    value_text(t, b, v);
    wt_text_printf(t, "</title><text class=\"wt-name\" x=\"%s%%\" dx=\"-6\" y=\"%d\" text-anchor=\"end\">", WT_FIXED(BAR_LEFT, 1), y + 13);
    wt_text_xml(t, b->series[s]);
    wt_text_puts(t, "</text>");
    if (isfinite(v->value)) {
        wt_text_printf(t, "<rect class=\"wt-s%zu\" x=\"%s%%\" y=\"%d\" width=\"%s%%\" height=\"%d\"/>", s, WT_FIXED(BAR_LEFT, 1), y + 3,
                       WT_FIXED(place(b, v->value, end) - BAR_LEFT, 3), ROW - 6);
        if (isfinite(v->lo) && isfinite(v->hi)) whisker(t, b, v, end, y + ROW / 2);
    }
    wt_text_printf(t, "<text class=\"wt-value\" x=\"100%%\" y=\"%d\" text-anchor=\"end\">", y + 13);
    value_text(t, b, v);
    wt_text_puts(t, "</text></g>\n");
}

void wt_svg_bars(wt_text *t, const wt_bars *b)
{
    int block = GROUP_HEAD + (int)b->n_series * ROW + GROUP_GAP, height = block * (int)b->n_group;
    double end = axis_end(b);
    wt_text_printf(t, "<svg class=\"wt-svg\" role=\"img\" width=\"100%%\" height=\"%d\"><title>", height + AXIS);
    wt_text_xml(t, b->title);
    wt_text_puts(t, "</title>\n");
    ticks(t, b, end, height);
    for (size_t g = 0; g < b->n_group; g++) {
        int y = (int)g * block;
        wt_text_printf(t, "<text class=\"wt-group\" x=\"0\" y=\"%d\">", y + 15);
        wt_text_xml(t, b->group[g]);
        wt_text_puts(t, "</text>\n");
        for (size_t s = 0; s < b->n_series; s++) one_bar(t, b, g, s, end, y + GROUP_HEAD + (int)s * ROW);
    }
    wt_text_puts(t, "</svg>\n");
}

void wt_svg_legend(wt_text *t, const char *const *series, size_t n_series)
{
    wt_text_puts(t, "<p class=\"wt-legend\">");
    for (size_t s = 0; s < n_series; s++) {
        wt_text_printf(t, "<span><svg width=\"14\" height=\"14\" aria-hidden=\"true\"><rect class=\"wt-s%zu\" width=\"14\" height=\"14\"/></svg> ", s);
        wt_text_xml(t, series[s]);
        wt_text_puts(t, "</span>\n");
    }
    wt_text_puts(t, "</p>\n");
}
