/* Report pages and charts: escaping, well-formedness, numbers, failures of memory and of files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/report.h"
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char hostile[] = "<b>&\"x' \x01\xff\xc3\xa9</b>";
static const char harmless[] = "&lt;b&gt;&amp;&quot;x&#39; \xef\xbf\xbd\xef\xbf\xbd\xc3\xa9&lt;/b&gt;";

/* A page that uses every element, with hostile text wherever text goes. */
static void whole_page(wt_report *r, witan_ctx *cx)
{
    const char *const col[] = { "", hostile }, *const series[] = { "original", hostile, "none" }, *const group[] = { hostile, "two" };
    const double share[] = { 0.5, 0.25, NAN, 0, 1, 0.1 };
    const uint8_t mark[] = { 1, 0, 1, 0, 1, 1 };
    const wt_bar bar[] = { { 2, 1, 3 }, { NAN, NAN, NAN }, { 5, NAN, NAN }, { 1, 1, 1 }, { INFINITY, 0, 1 }, { 1e12, 1, 1e13 } };
    wt_report_begin(r, cx, hostile, hostile);
    wt_report_facts_begin(r);
    wt_report_fact(r, hostile, hostile, hostile);
    wt_report_fact(r, "label", "value", NULL);
    wt_report_facts_end(r);
    wt_report_section(r, "one", hostile);
    wt_report_head(r, hostile);
    wt_report_para(r, "%s %d", hostile, 7);
    wt_report_small(r, "%s", hostile);
    wt_report_note(r, WT_NOTE_PLAIN, hostile, "%s", hostile);
    wt_report_note(r, WT_NOTE_GOOD, hostile, "%s", hostile);
    wt_report_note(r, WT_NOTE_BAD, hostile, "%s", hostile);
    wt_report_code(r, hostile);
    wt_report_table_begin(r, hostile, col, 2);
    wt_report_row_begin(r);
    wt_report_cell(r, "%s", hostile);
    wt_report_cell(r, "%d %%", 3);
    wt_report_row_end(r);
    wt_report_table_end(r);
    wt_report_section(r, "two", "two");
    wt_report_terms_begin(r);
    wt_report_term(r, hostile, "%s", hostile);
    wt_report_terms_end(r);
    wt_report_list_begin(r);
    wt_report_item(r, "%s", hostile);
    wt_report_list_end(r);
    wt_report_fold_begin(r, hostile);
    wt_svg_heat(&r->t, &(wt_heat){ .title = hostile, .n_row = 2, .n_col = 3, .share = share, .mark = mark, .row_name = "layer",
                                   .col_name = "expert", .mark_name = "kept", .rest_name = "removed" });
    wt_svg_heat_legend(&r->t, 1, hostile);
    wt_report_fold_end(r);
    wt_report_panels_begin(r);
    wt_report_panel_begin(r, hostile, hostile);
    wt_svg_heat(&r->t, &(wt_heat){ .title = hostile, .n_row = 2, .n_col = 3, .share = share, .mark = mark, .small = true });
    wt_report_panel_end(r);
    wt_report_panels_end(r);
    wt_svg_bars(&r->t, &(wt_bars){ .title = hostile, .n_group = 2, .n_series = 3, .group = group, .series = series, .bar = bar, .digits = 2 });
    wt_svg_bars(&r->t, &(wt_bars){ .title = hostile, .n_group = 2, .n_series = 3, .group = group, .series = series, .bar = bar, .log = true });
    wt_svg_bars(&r->t, &(wt_bars){ .title = hostile, .n_group = 1, .n_series = 1, .group = group, .series = series, .bar = bar, .max = 1, .percent = true });
    wt_svg_legend(&r->t, series, 3);
}

static char *page_text(witan_ctx *cx)
{
    wt_report r;
    char *html;
    whole_page(&r, cx);
    assert_int_equal(wt_report_take(&r, &html, NULL), WITAN_OK);
    return html;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, word)); p += strlen(word)) n++;
    return n;
}

static void text_is_escaped_everywhere(void **state)
{
    (void)state;
    witan_ctx *cx = witan_ctx_new(NULL);
    char *html = page_text(cx);
    assert_null(strstr(html, hostile));
    assert_null(strchr(html, 1));
    assert_true(count(html, harmless) >= 25);
    witan_free(cx, html);
    witan_ctx_free(cx);
}

static void page_is_strictly_well_formed(void **state)
{
    (void)state;
    char dir[] = "/tmp/witan-report-XXXXXX", command[256], path[64];
    if (system("python3 -c '' 2>/dev/null")) skip();
    witan_ctx *cx = witan_ctx_new(NULL);
    wt_report r;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/page.html", dir);
    whole_page(&r, cx);
    assert_int_equal(wt_report_write(&r, path), WITAN_OK);
    snprintf(command, sizeof command, "python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' %s", path);
    assert_int_equal(system(command), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);                     /* nothing else was left there */
    witan_ctx_free(cx);
}

static void page_refers_to_nothing_outside(void **state)
{
    (void)state;
    witan_ctx *cx = witan_ctx_new(NULL);
    char *html = page_text(cx);
    const char *const word[] = { "http:", "https:", "<script", "<link", "url(", "src=", "href=", "@import" };
    for (size_t i = 0; i < sizeof word / sizeof *word; i++)
        if (strstr(html, word[i])) fail_msg("found %s", word[i]);
    assert_non_null(strstr(html, "prefers-color-scheme:dark"));
    witan_free(cx, html);
    witan_ctx_free(cx);
}

static void values_that_are_not_numbers_are_said_or_left_out(void **state)
{
    (void)state;
    witan_ctx *cx = witan_ctx_new(NULL);
    char *html = page_text(cx);
    assert_null(strstr(html, "nan"));
    assert_null(strstr(html, "inf"));
    assert_int_equal(count(html, "<title>layer"), 5);    /* six cells, one is no expert */
    assert_null(strstr(html, "layer 0, expert 2"));
    assert_non_null(strstr(html, "layer 0, expert 1: 25.00 %, removed"));
    assert_non_null(strstr(html, "layer 1, expert 1: 100.00 %, kept"));
    assert_true(count(html, "not measured") >= 4);       /* tooltip and text of a NaN bar and an infinite one */
    witan_free(cx, html);
    witan_ctx_free(cx);
}

static void numbers_have_a_point_in_every_locale(void **state)
{
    (void)state;
    const char *const comma[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "it_IT.UTF-8" };
    for (int i = -1; i < 3; i++) {
        if (i >= 0 && !setlocale(LC_ALL, comma[i])) continue;
        assert_string_equal(WT_FIXED(1.5, 1), "1.5");
        assert_string_equal(WT_FIXED(2.0 / 3, 4), "0.6667");
        assert_string_equal(WT_FIXED(-12.345, 2), "-12.35");
        assert_string_equal(WT_FIXED(-0.001, 2), "0.00");
        assert_string_equal(WT_FIXED(0.999, 2), "1.00");
        assert_string_equal(WT_FIXED(7, 0), "7");
        assert_string_equal(WT_FIXED(-2.5e300, 3), "-2.50e300");
        assert_string_equal(WT_FIXED(9.999e20, 3), "1.00e21");
        assert_string_equal(WT_FIXED(NAN, 2), "n/a");
        assert_string_equal(WT_FIXED(-INFINITY, 2), "n/a");
    }
    setlocale(LC_ALL, "C");
}

static void heat_map_of_a_very_large_model_stays_small(void **state)
{
    (void)state;
    enum { ROW = 94, COL = 160 };
    witan_ctx *cx = witan_ctx_new(NULL);
    double *share = calloc(ROW * COL, sizeof *share);
    char *svg;
    size_t n;
    wt_text t;
    for (int i = 0; i < ROW * COL; i++) share[i] = (i * 7919 % 1000) / 1000.0;
    wt_text_init(&t, cx);
    wt_svg_heat(&t, &(wt_heat){ .title = "large", .n_row = ROW, .n_col = COL, .share = share, .row_name = "layer", .col_name = "expert" });
    assert_int_equal(wt_text_take(&t, &svg, &n), WITAN_OK);
    assert_true(n < 400000);
    assert_int_equal(count(svg, "h1v1h-1z"), ROW * COL); /* every cell is there */
    witan_free(cx, svg);
    free(share);
    witan_ctx_free(cx);
}

/* ---- failures ------------------------------------------------------------------------------------------------------- */

typedef struct scarce { long left, live; } scarce;

static void *scarce_alloc(void *user, size_t n)
{
    scarce *s = user;
    if (s->left-- <= 0) return NULL;
    s->live++;
    return malloc(n);
}

static void *scarce_realloc(void *user, void *p, size_t n)
{
    scarce *s = user;
    return s->left-- <= 0 ? NULL : realloc(p, n);
}

static void scarce_free(void *user, void *p)
{
    ((scarce *)user)->live--;
    free(p);
}

static void any_failed_allocation_is_reported_once_at_the_end(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        scarce s = { .left = 1 };
        witan_allocator mem = { scarce_alloc, scarce_realloc, scarce_free, &s };
        witan_ctx *cx = witan_ctx_new(&(witan_config){ .allocator = &mem });
        wt_report r;
        char *html = NULL;
        assert_non_null(cx);
        s.left = n;
        whole_page(&r, cx);
        wt_status st = wt_report_take(&r, &html, NULL);
        if (st == WITAN_OK) witan_free(cx, html);
        else {
            assert_int_equal(st, WITAN_ENOMEM);
            assert_non_null(strstr(witan_error(cx), "memory"));
        }
        witan_ctx_free(cx);
        assert_int_equal(s.live, 0);
        if (st == WITAN_OK) break;
        assert_true(n < 10000);
    }
}

static void unwritable_place_is_an_error_that_names_it(void **state)
{
    (void)state;
    witan_ctx *cx = witan_ctx_new(NULL);
    wt_report r;
    whole_page(&r, cx);
    assert_int_equal(wt_report_write(&r, "/nonexistent/folder/page.html"), WITAN_EIO);
    assert_non_null(strstr(witan_error(cx), "/nonexistent/folder/page.html"));
    witan_ctx_free(cx);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(text_is_escaped_everywhere),
        cmocka_unit_test(page_is_strictly_well_formed),
        cmocka_unit_test(page_refers_to_nothing_outside),
        cmocka_unit_test(values_that_are_not_numbers_are_said_or_left_out),
        cmocka_unit_test(numbers_have_a_point_in_every_locale),
        cmocka_unit_test(heat_map_of_a_very_large_model_stays_small),
        cmocka_unit_test(any_failed_allocation_is_reported_once_at_the_end),
        cmocka_unit_test(unwritable_place_is_an_error_that_names_it),
    };
    return cmocka_run_group_tests(test, NULL, NULL);
}
