/* Charts as inline SVG: heat maps and grouped bars with error bars. Widths are per cent of the space there is and heights are
 * pixels, so text keeps its size from a phone to a printed page. Colours come from the page's style (base/report.c), which
 * knows light and dark. Every picture has a title, every cell and bar a tooltip, and numbers do not depend on the locale. */
#ifndef WT_BASE_SVG_H
#define WT_BASE_SVG_H

#include "base/ctx.h"

/* v with `digits` decimals (at most 9) and a point, whatever the locale; "n/a" if v is not finite. Returns buf. */
const char *wt_fixed(char buf[32], double v, int digits);
#define WT_FIXED(v, digits) wt_fixed((char[32]){ 0 }, (v), (digits))   /* lives until the end of the block */

/* Appends s as text or attribute value of HTML and XML: & < > " ' are escaped; control characters other than line end and
 * tab, and bytes that are not UTF-8, become U+FFFD. NULL adds nothing. */
void wt_text_xml(wt_text *t, const char *s);

typedef struct wt_heat {
    const char *title;                  /* read in place of the picture */
    int32_t n_row, n_col;
    const double *share;                /* [n_row, n_col] shown in per cent; NaN: no such cell */
    double max;                         /* share with the full colour; 0: the largest there is */
    const uint8_t *mark;                /* [n_row, n_col] 1: outlined; NULL: none */
    const char *row_name, *col_name;    /* "layer", "expert" */
    const char *mark_name, *rest_name;  /* what outlined and plain cells are called: "kept", "removed"; NULL: nothing */
    bool small;                         /* cells only: no axes, no tooltips per cell */
} wt_heat;

/* The colour follows the square root of share / max, so that small shares remain visible. */
void wt_svg_heat(wt_text *t, const wt_heat *h);
/* The colour scale that belongs to it; mark as in wt_heat.mark_name, NULL: no outlined sample. */
void wt_svg_heat_legend(wt_text *t, double max, const char *mark);
/* The largest finite value, 0 if there is none. */
double wt_svg_largest(const double *v, size_t n);

typedef struct wt_bar { double value, lo, hi; } wt_bar;   /* value NaN: "not measured"; lo or hi NaN: no error bar */

typedef struct wt_bars {
    const char *title;
    size_t n_group, n_series;
    const char *const *group, *const *series;
    const wt_bar *bar;                  /* [n_group, n_series], nothing negative */
    double max;                         /* right end of the axis; 0: fits the data */
    bool percent;                       /* values are shares */
    bool log;                           /* logarithmic axis that begins at 1 */
    int digits;
} wt_bars;

/* Horizontal bars: one block per group, one labelled bar per series, its value and interval written at the right. Series i
 * has the colour of class "wt-s<i>", which wt_svg_legend uses too. At most 6 series. */
void wt_svg_bars(wt_text *t, const wt_bars *b);
void wt_svg_legend(wt_text *t, const char *const *series, size_t n_series);

/* Curves over one axis: each of up to six series has the colour of class "wt-l<i>". Values that are not finite interrupt a curve. */
typedef struct wt_lines {
    const char *title, *x_name, *y_name;
    size_t n_series;
    const char *const *series;          /* names; one series has no legend */
    const size_t *n;                    /* [n_series] points of each */
    const double *const *x, *const *y;  /* [n_series][n] x rising */
    bool zero;                          /* the axis begins at 0; else it fits the data */
    int32_t height;                     /* pixels, with axes and legend */
} wt_lines;
/* The largest number of points that are drawn of a series; of more, the mean of neighbours. */
enum { WT_LINE_POINTS = 600 };
void wt_svg_lines(wt_text *t, const wt_lines *l);

/* A picture in a file of its own: its colours stand in it. Between them come pictures of this header, each inside wt_svg_place, which puts it y
 * pixels from the top. */
void wt_svg_file_begin(wt_text *t, int32_t width, int32_t height);
void wt_svg_place(wt_text *t, int32_t y, int32_t height);
void wt_svg_placed(wt_text *t);
void wt_svg_file_end(wt_text *t);

#endif
