/* Curves, and pictures in files of their own. */
#include "base/svg.h"

#include <math.h>

enum { MOST_SERIES = 6, LEFT = 60, RIGHT = 12, TOP = 28, FOOT = 36, WIDE = 1000 /* units of the plot's own width */ };

/* A round step that gives about so many lines: 1, 2 or 5 times a power of ten. */
static double round_step(double range, int lines)
{
    double raw = range / lines, power = pow(10, floor(log10(raw)));
    double m = raw / power;
    return (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10) * power;
}

static int digits_of(double step) { return step >= 1 ? 0 : (int)fmin(9, ceil(-log10(step) - 1e-9)); }

typedef struct frame { double x0, x1, y0, y1; int32_t high; } frame;

/* Smallest and largest values; false: there is nothing to draw. */
static bool fit(const wt_lines *l, frame *f)
{
    bool any = false;
    for (size_t s = 0; s < l->n_series && s < MOST_SERIES; s++)
        for (size_t i = 0; i < l->n[s]; i++) {
            double x = l->x[s][i], y = l->y[s][i];
            if (!isfinite(x) || !isfinite(y)) continue;
            if (!any) *f = (frame){ x, x, y, y, f->high };
            any = true;
            f->x0 = fmin(f->x0, x); f->x1 = fmax(f->x1, x);
            f->y0 = fmin(f->y0, y); f->y1 = fmax(f->y1, y);
        }
    if (!any) return false;
    if (l->zero && f->y0 > 0) f->y0 = 0;
    if (f->y1 <= f->y0) f->y1 = f->y0 + fmax(1e-9, fabs(f->y0) * 0.1);
    if (f->x1 <= f->x0) f->x1 = f->x0 + 1;
    return true;
}

/* Every few points become one, their mean, so that a long run is no long file. */
static void curve(wt_text *t, const wt_lines *l, size_t s, const frame *f)
{
    size_t group = 1 + (l->n[s] - 1) / WT_LINE_POINTS;
    bool open = false;
    wt_text_printf(t, "<path class=\"wt-l%zu\" vector-effect=\"non-scaling-stroke\" d=\"", s);
    for (size_t i = 0; i < l->n[s]; i += group) {
        double x = 0, y = 0;
        size_t n = 0;
        for (size_t j = i; j < i + group && j < l->n[s]; j++) { x += l->x[s][j]; y += l->y[s][j]; n++; }
        x = (x / (double)n - f->x0) / (f->x1 - f->x0) * WIDE;
        y = (f->y1 - y / (double)n) / (f->y1 - f->y0) * f->high;
        if (!isfinite(x) || !isfinite(y)) { open = false; continue; }
        wt_text_printf(t, "%c%s %s", open ? 'L' : 'M', WT_FIXED(x, 1), WT_FIXED(y, 1));
        open = true;
    }
    wt_text_puts(t, "\"/>\n");
}

static void axes(wt_text *t, const wt_lines *l, const frame *f)
{
    double step = round_step(f->y1 - f->y0, 5);
    int digits = digits_of(step);
    for (double y = ceil(f->y0 / step - 1e-9) * step; y <= f->y1 + step * 1e-6; y += step) {
        double at = TOP + (f->y1 - y) / (f->y1 - f->y0) * f->high;
        wt_text_printf(t, "<line class=\"wt-grid\" x1=\"%d\" x2=\"100%%\" y1=\"%s\" y2=\"%s\"/>", LEFT, WT_FIXED(at, 1), WT_FIXED(at, 1));
        wt_text_printf(t, "<text x=\"%d\" y=\"%s\" text-anchor=\"end\">%s</text>\n", LEFT - 6, WT_FIXED(at + 4, 1), WT_FIXED(y, digits));
    }
    wt_text_printf(t, "<text x=\"%d\" y=\"%d\">%s</text>", LEFT, TOP + f->high + 16, WT_FIXED(f->x0, 0));
    wt_text_printf(t, "<text x=\"100%%\" dx=\"-%d\" y=\"%d\" text-anchor=\"end\">%s ", RIGHT, TOP + f->high + 16, l->x_name);
    wt_text_printf(t, "%s</text>\n", WT_FIXED(f->x1, 0));
}

static void names(wt_text *t, const wt_lines *l)
{
    wt_text_printf(t, "<text class=\"wt-group\" x=\"%d\" y=\"16\">", LEFT);
    wt_text_xml(t, l->y_name);
    for (size_t s = 0; l->n_series > 1 && s < l->n_series && s < MOST_SERIES; s++) {
        wt_text_printf(t, "<tspan class=\"wt-t%zu\" dx=\"14\">&#9644; ", s);
        wt_text_xml(t, l->series[s]);
        wt_text_puts(t, "</tspan>");
    }
    wt_text_puts(t, "</text>\n");
}

void wt_svg_lines(wt_text *t, const wt_lines *l)
{
    frame f = { .high = l->height - TOP - FOOT };
    wt_text_printf(t, "<svg class=\"wt-svg\" role=\"img\" width=\"100%%\" height=\"%d\"><title>", l->height);
    wt_text_xml(t, l->title);
    wt_text_puts(t, "</title>\n");
    if (fit(l, &f)) {
        names(t, l);
        axes(t, l, &f);
        wt_text_printf(t, "<svg x=\"%d\" y=\"%d\" width=\"93%%\" height=\"%d\" viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\">\n", LEFT, TOP, f.high, WIDE,
                       f.high);
        for (size_t s = 0; s < l->n_series && s < MOST_SERIES; s++) if (l->n[s]) curve(t, l, s, &f);
        wt_text_puts(t, "</svg>");
    } else wt_text_printf(t, "<text x=\"%d\" y=\"%d\">nothing measured yet</text>", LEFT, TOP + 20);
    wt_text_puts(t, "</svg>\n");
}

/* ---- files ------------------------------------------------------------------------------------------------------------- */

static const char style[] =
    "svg{--bg:#fbfaf8;--card:#fff;--fg:#23272e;--dim:#5f6773;--line:#dfdcd6;--heat:#14568f;--c0:#1b6fb3;--c1:#d9641c;--c2:#4c9a6a;--c3:#a78bb5;--c4:#d99a2b;"
    "--c5:#7b8794}\n"
    "@media (prefers-color-scheme:dark){svg{--bg:#15181c;--card:#1d2126;--fg:#e4e6e9;--dim:#a0a8b2;--line:#343a42;--heat:#6db7f2;--c0:#4a9fe0;--c1:#ff9a52;"
    "--c2:#66b586;--c3:#b79ac6;--c4:#dca94a;--c5:#8e99a6}}\n"
    "text{fill:var(--dim);font:12px system-ui,'DejaVu Sans',sans-serif}.wt-group{fill:var(--fg);font-weight:600;font-size:13px}"
    ".wt-paper{fill:var(--bg)}.wt-grid{stroke:var(--line)}.wt-cell,.wt-back{fill:var(--card)}.wt-cell{stroke:var(--line);stroke-width:.5}.wt-heat{fill:var(--heat)}\n"
    "path[class^=wt-l]{fill:none;stroke-width:1.6}.wt-l0{stroke:var(--c0)}.wt-l1{stroke:var(--c1)}.wt-l2{stroke:var(--c2)}.wt-l3{stroke:var(--c3)}"
    ".wt-l4{stroke:var(--c4)}.wt-l5{stroke:var(--c5)}.wt-t0{fill:var(--c0)}.wt-t1{fill:var(--c1)}.wt-t2{fill:var(--c2)}.wt-t3{fill:var(--c3)}"
    ".wt-t4{fill:var(--c4)}.wt-t5{fill:var(--c5)}\n";

void wt_svg_file_begin(wt_text *t, int32_t width, int32_t height)
{
    wt_text_printf(t, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n<style>\n", width, height, width, height);
    wt_text_puts(t, style);
    wt_text_puts(t, "</style>\n<rect class=\"wt-paper\" width=\"100%\" height=\"100%\"/>\n");
}

void wt_svg_place(wt_text *t, int32_t y, int32_t height)
{
    wt_text_printf(t, "<svg x=\"2%%\" y=\"%d\" width=\"96%%\" height=\"%d\">\n", y, height);
}

void wt_svg_placed(wt_text *t) { wt_text_puts(t, "</svg>\n"); }

void wt_svg_file_end(wt_text *t) { wt_text_puts(t, "</svg>\n"); }
