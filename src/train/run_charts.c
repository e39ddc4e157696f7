/* Two pictures of a run, from its log: losses over steps, and how evenly experts work. */
#include "train/log.h"

#include "base/file.h"
#include "base/svg.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 900, PLOT = 300, MOST_SERIES = 6 };

typedef struct series { double *x, *y; size_t n; char name[40]; } series;
typedef struct plot { wt_ctx *cx; size_t room; series s[MOST_SERIES]; size_t n; } plot;

static wt_status add(plot *p, const char *name, double x, double y)
{
    size_t i = 0;
    while (i < p->n && strcmp(p->s[i].name, name)) i++;
    if (i == MOST_SERIES) return WITAN_OK;                /* more domains than colours: the table has them all */
    series *s = p->s + i;
    if (i == p->n) {
        *s = (series){ .x = wt_alloc(p->cx, p->room + 1, sizeof *s->x), .y = wt_alloc(p->cx, p->room + 1, sizeof *s->y) };
        snprintf(s->name, sizeof s->name, "%s", name);
        p->n++;
        if (!s->x || !s->y) return WT_ENOMEM;
    }
    s->x[s->n] = x;
    s->y[s->n++] = y;
    return WITAN_OK;
}

static void plot_free(plot *p)
{
    for (size_t i = 0; i < p->n; i++) { wt_free(p->cx, p->s[i].x); wt_free(p->cx, p->s[i].y); }
}

static void draw(wt_text *t, const plot *p, const char *title, const char *y_name, bool zero, int32_t at)
{
    const char *name[MOST_SERIES];
    size_t n[MOST_SERIES];
    const double *x[MOST_SERIES], *y[MOST_SERIES];
    for (size_t i = 0; i < p->n; i++) { name[i] = p->s[i].name; n[i] = p->s[i].n; x[i] = p->s[i].x; y[i] = p->s[i].y; }
    wt_svg_place(t, at, PLOT);
    wt_svg_lines(t, &(wt_lines){ .title = title, .x_name = "step", .y_name = y_name, .n_series = p->n, .series = name, .n = n, .x = x, .y = y, .zero = zero,
                                 .height = PLOT });
    wt_svg_placed(t);
}

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static wt_status write(wt_ctx *cx, const char *dir, const char *name, wt_text *t)
{
    char *svg = NULL, *path = wt_printf(cx, "%s/%s", dir, name);
    size_t n;
    wt_status st = wt_text_take(t, &svg, &n);
    if (st == WITAN_OK) st = path ? wt_file_write(cx, path, svg, n) : WT_ENOMEM;
    wt_free(cx, svg);
    wt_free(cx, path);
    return st;
}

/* ---- losses ------------------------------------------------------------------------------------------------------------ */

static wt_status loss_chart(wt_ctx *cx, const char *dir, const json_t *lines)
{
    plot loss = { .cx = cx, .room = json_array_size(lines) }, valid = loss, rate = loss;
    wt_status st = WITAN_OK;
    size_t i;
    json_t *o, *v;
    const char *domain;
    json_array_foreach(lines, i, o) {
        double step = number(o, "step");
        if (st == WITAN_OK && json_object_get(o, "loss")) st = add(&loss, "loss", step, number(o, "loss"));
        if (st == WITAN_OK && json_object_get(o, "lr")) st = add(&rate, "learning rate", step, number(o, "lr"));
        json_object_foreach(json_object_get(o, "valid"), domain, v)
            if (st == WITAN_OK) st = add(&valid, domain, step, json_number_value(v));
    }
    wt_text t;
    wt_text_init(&t, cx);
    wt_svg_file_begin(&t, WIDTH, 3 * PLOT + 40);
    draw(&t, &loss, "training loss", "loss, nats per token", false, 10);
    draw(&t, &valid, "validation loss", "validation", false, PLOT + 20);
    draw(&t, &rate, "learning rate", "learning rate", true, 2 * PLOT + 30);
    wt_svg_file_end(&t);
    plot_free(&loss);
    plot_free(&valid);
    plot_free(&rate);
    if (st != WITAN_OK) { wt_text_free(&t); return st; }
    return write(cx, dir, "loss.svg", &t);
}

/* ---- load -------------------------------------------------------------------------------------------------------------- */

/* Share of each expert in its layer, from the last line that has counts; NULL: none has. Rows of layers without experts are not a number. */
static double *shares(wt_ctx *cx, const json_t *lines, int32_t n_layer, int32_t *n_col)
{
    const json_t *load = NULL;
    for (size_t i = json_array_size(lines); i > 0 && !load; i--) load = json_object_get(json_array_get(lines, i - 1), "load");
    *n_col = 0;
    if (!json_is_array(load)) return NULL;
    for (size_t l = 0; l < json_array_size(load); l++) {
        int32_t n = (int32_t)json_array_size(json_array_get(load, l));
        if (n > *n_col) *n_col = n;
    }
    double *share = *n_col ? wt_alloc(cx, (size_t)n_layer * (size_t)*n_col, sizeof *share) : NULL;
    for (int32_t l = 0; share && l < n_layer; l++) {
        const json_t *row = json_array_get(load, (size_t)l);
        double sum = 0;
        for (size_t e = 0; e < json_array_size(row); e++) sum += json_number_value(json_array_get(row, e));
        for (int32_t e = 0; e < *n_col; e++) {
            const json_t *v = json_array_get(row, (size_t)e);
            share[l * *n_col + e] = v && sum > 0 ? json_number_value(v) / sum : NAN;
        }
    }
    return share;
}

static wt_status load_chart(wt_ctx *cx, const char *dir, const json_t *lines, int32_t n_layer)
{
    plot entropy = { .cx = cx, .room = json_array_size(lines) }, most = entropy;
    wt_status st = WITAN_OK;
    size_t i, l;
    json_t *o, *layer;
    json_array_foreach(lines, i, o) {
        double worst = NAN, mean = 0;
        size_t n = 0;
        json_array_foreach(json_object_get(o, "layers"), l, layer) {
            if (!json_is_object(layer)) continue;
            worst = fmax(worst, number(layer, "max_violation"));
            mean += number(layer, "load_entropy");
            n++;
        }
        if (!n) continue;
        if (st == WITAN_OK) st = add(&most, "worst", number(o, "step"), worst);
        if (st == WITAN_OK) st = add(&entropy, "entropy", number(o, "step"), mean / (double)n);
    }
    int32_t n_col = 0, heat = 20 * n_layer + 60;
    double *share = shares(cx, lines, n_layer, &n_col);
    wt_text t;
    wt_text_init(&t, cx);
    wt_svg_file_begin(&t, WIDTH, 2 * PLOT + 50 + (share ? heat + n_layer * 5 : 0));
    draw(&t, &most, "largest load over the mean load, minus one, of the worst layer", "max violation, worst layer", true, 10);
    draw(&t, &entropy, "entropy of the load over experts, share of the largest possible, mean of layers", "entropy of load, 1: even", false, PLOT + 20);
    if (share) {
        wt_svg_place(&t, 2 * PLOT + 40, heat + n_layer * 5);
        wt_svg_heat(&t, &(wt_heat){ .title = "share of the pairs of each layer that an expert got, last count", .n_row = n_layer, .n_col = n_col, .share = share,
                                    .row_name = "layer", .col_name = "expert" });
        wt_svg_placed(&t);
    }
    wt_svg_file_end(&t);
    wt_free(cx, share);
    plot_free(&entropy);
    plot_free(&most);
    if (st != WITAN_OK) { wt_text_free(&t); return st; }
    return write(cx, dir, "load.svg", &t);
}

wt_status wt_run_charts(wt_ctx *cx, const char *dir, const json_t *lines, int32_t n_layer)
{
    WT_TRY(loss_chart(cx, dir, lines));
    return load_chart(cx, dir, lines, n_layer);
}
