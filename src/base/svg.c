/* Inline SVG: text helpers and heat maps. Bars are in svg_bars.c. */
#include "base/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

const char *wt_fixed(char buf[32], double v, int digits)
{
    static const double power[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9 };
    digits = digits < 0 ? 0 : digits > 9 ? 9 : digits;
    if (!isfinite(v)) { snprintf(buf, 32, "n/a"); return buf; }
    if (fabs(v) >= 1e9) {                         /* mantissa and exponent without the locale's point */
        int e = (int)floor(log10(fabs(v)));
        double m = round(v / pow(10, e) * 100);
        if (fabs(m) >= 1000) { m /= 10; e++; }
        snprintf(buf, 32, "%s%d.%02de%d", m < 0 ? "-" : "", abs((int)m) / 100, abs((int)m) % 100, e);
        return buf;
    }
    long long n = llround(fabs(v) * power[digits]), unit = (long long)power[digits];
    const char *sign = v < 0 && n ? "-" : "";
    if (digits) snprintf(buf, 32, "%s%lld.%0*lld", sign, n / unit, digits, n % unit);
    else snprintf(buf, 32, "%s%lld", sign, n);
    return buf;
}

static bool xml_legal(utf8proc_int32_t c)
{
    return c == '\t' || c == '\n' || (c >= 32 && c != 127 && (c < 0x80 || c > 0x9f) && (c & 0xfffe) != 0xfffe);
}

void wt_text_xml(wt_text *t, const char *s)
{
    size_t n = s ? strlen(s) : 0;
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t k = utf8proc_iterate((const utf8proc_uint8_t *)s + i, (utf8proc_ssize_t)(n - i), &c);
        if (k <= 0 || !xml_legal(c)) wt_text_puts(t, "\xef\xbf\xbd");
        else if (c == '&') wt_text_puts(t, "&amp;");
        else if (c == '<') wt_text_puts(t, "&lt;");
        else if (c == '>') wt_text_puts(t, "&gt;");
        else if (c == '"') wt_text_puts(t, "&quot;");
        else if (c == '\'') wt_text_puts(t, "&#39;");
        else wt_text_put(t, s + i, (size_t)k);
        i += k > 0 ? (size_t)k : 1;
    }
}

double wt_svg_largest(const double *v, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) if (isfinite(v[i]) && v[i] > most) most = v[i];
    return most;
}

/* ---- heat maps ------------------------------------------------------------------------------------------------------ */

enum { LEFT = 7 /* per cent */, FOOT = 34, LEVELS = 20, MOST_TITLES = 8192 };

static int row_height(const wt_heat *h) { return h->n_row <= 8 ? 24 : h->n_row <= 32 ? 17 : 12; }

static double strength(double share, double max)
{
    return max > 0 && share > 0 ? sqrt(fmin(share / max, 1)) : 0;
}

/* Cells as one path per colour level, in cell units: 16 bytes a cell, for small panels and very large models. */
static void cells_as_paths(wt_text *t, const wt_heat *h, double max)
{
    for (int level = 0; level <= LEVELS; level++) {
        size_t n = 0;
        for (int32_t i = 0; i < h->n_row * h->n_col; i++) {
            if (!isfinite(h->share[i]) || (int)lround(strength(h->share[i], max) * LEVELS) != level) continue;
            if (!n++) wt_text_printf(t, "<path class=\"wt-heat\" fill-opacity=\"%s\" d=\"", WT_FIXED((double)level / LEVELS, 2));
            wt_text_printf(t, "M%d %dh1v1h-1z", i % h->n_col, i / h->n_col);
        }
        if (n) wt_text_puts(t, "\"/>");
    }
    if (!h->mark) return;
    wt_text_puts(t, "<path class=\"wt-mark\" vector-effect=\"non-scaling-stroke\" d=\"");
    for (int32_t i = 0; i < h->n_row * h->n_col; i++)
        if (h->mark[i] && isfinite(h->share[i])) wt_text_printf(t, "M%d.1 %d.1h.8v.8h-.8z", i % h->n_col, i / h->n_col);
    wt_text_puts(t, "\"/>");
}

static void cell(wt_text *t, const wt_heat *h, int32_t row, int32_t col, double max)
{
    int32_t i = row * h->n_col + col;
    int high = row_height(h);
    double step = (100.0 - LEFT) / h->n_col, x = LEFT + col * step;
    const char *what = h->mark && h->mark[i] ? h->mark_name : h->rest_name;
    if (!isfinite(h->share[i])) return;
    wt_text_printf(t, "<g><title>%s %d, %s %d: %s %%%s%s</title>", h->row_name, row, h->col_name, col, WT_FIXED(100 * h->share[i], 2),
                   what ? ", " : "", what ? what : "");
    wt_text_printf(t, "<rect class=\"wt-cell\" x=\"%s%%\" y=\"%d\" width=\"%s%%\" height=\"%d\"/>", WT_FIXED(x, 3), row * high,
                   WT_FIXED(step, 3), high);
    wt_text_printf(t, "<rect class=\"wt-heat%s\" x=\"%s%%\" y=\"%d\" width=\"%s%%\" height=\"%d\" fill-opacity=\"%s\"/></g>\n",
                   h->mark && h->mark[i] ? " wt-mark" : "", WT_FIXED(x + 0.07 * step, 3), row * high + 2, WT_FIXED(0.86 * step, 3), high - 4,
                   WT_FIXED(strength(h->share[i], max), 2));
}

static void axes(wt_text *t, const wt_heat *h)
{
    int high = row_height(h), foot = h->n_row * high;
    int32_t every_row = 1 + h->n_row / 50, every_col = h->n_col <= 16 ? 1 : h->n_col <= 40 ? 4 : h->n_col <= 96 ? 8 : 16;
    double step = (100.0 - LEFT) / h->n_col;
    for (int32_t r = 0; r < h->n_row; r += every_row)
        wt_text_printf(t, "<text x=\"%d%%\" y=\"%d\" dx=\"-5\" text-anchor=\"end\">%d</text>", LEFT, r * high + high / 2 + 4, r);
    for (int32_t c = 0; c < h->n_col; c += every_col)
        wt_text_printf(t, "<text x=\"%s%%\" y=\"%d\" text-anchor=\"middle\">%d</text>", WT_FIXED(LEFT + (c + 0.5) * step, 3), foot + 13, c);
    wt_text_printf(t, "<text x=\"0\" y=\"%d\">%s &#8593;</text><text x=\"100%%\" y=\"%d\" text-anchor=\"end\">%s &#8594;</text>\n", foot + 29, h->row_name,
                   foot + 29, h->col_name);
}

static void panel(wt_text *t, const wt_heat *h, double max, bool inside)
{
    if (inside) wt_text_printf(t, "<svg x=\"%d%%\" y=\"0\" width=\"%d%%\" height=\"%d\"", LEFT, 100 - LEFT, h->n_row * row_height(h));
    else wt_text_printf(t, "<svg class=\"wt-svg\" role=\"img\" width=\"100%%\" height=\"%d\"", h->n_row <= 10 ? h->n_row * 13 : 130);
    wt_text_printf(t, " viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\">", h->n_col, h->n_row);
    if (!inside) {
        wt_text_puts(t, "<title>");
        wt_text_xml(t, h->title);
        wt_text_puts(t, "</title>");
    }
    wt_text_printf(t, "<rect class=\"wt-back\" width=\"%d\" height=\"%d\"/>", h->n_col, h->n_row);
    cells_as_paths(t, h, max);
    wt_text_puts(t, "</svg>\n");
}

void wt_svg_heat(wt_text *t, const wt_heat *h)
{
    double max = h->max > 0 ? h->max : wt_svg_largest(h->share, (size_t)h->n_row * (size_t)h->n_col);
    if (h->small) { panel(t, h, max, false); return; }
    wt_text_printf(t, "<svg class=\"wt-svg\" role=\"img\" width=\"100%%\" height=\"%d\"><title>", h->n_row * row_height(h) + FOOT);
    wt_text_xml(t, h->title);
    wt_text_puts(t, "</title>\n");
    if (h->n_row * h->n_col > MOST_TITLES) panel(t, h, max, true);
    else for (int32_t i = 0; i < h->n_row * h->n_col; i++) cell(t, h, i / h->n_col, i % h->n_col, max);
    axes(t, h);
    wt_text_puts(t, "</svg>\n");
}

void wt_svg_heat_legend(wt_text *t, double max, const char *mark)
{
    enum { STEPS = 5 };
    wt_text_puts(t, "<p class=\"wt-legend\">");
    for (int i = 0; i < STEPS; i++) {
        double c = (double)i / (STEPS - 1);
        wt_text_printf(t, "<span><svg width=\"18\" height=\"14\" aria-hidden=\"true\"><rect class=\"wt-cell\" width=\"18\" height=\"14\"/>"
                       "<rect class=\"wt-heat\" width=\"18\" height=\"14\" fill-opacity=\"%s\"/></svg> %s %%</span>\n",
                       WT_FIXED(c, 2), WT_FIXED(100 * max * c * c, max < 0.1 ? 2 : 1));
    }
    if (mark) {
        wt_text_puts(t, "<span><svg width=\"18\" height=\"14\" aria-hidden=\"true\"><rect class=\"wt-cell\" width=\"18\" height=\"14\"/>"
                        "<rect class=\"wt-mark\" fill=\"none\" x=\"1\" y=\"1\" width=\"16\" height=\"12\"/></svg> ");
        wt_text_xml(t, mark);
        wt_text_puts(t, "</span>\n");
    }
    wt_text_puts(t, "</p>\n");
}
