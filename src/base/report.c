/* Report pages: the style sheet, and one small function per element. */
#include "base/report.h"

#include "base/file.h"
#include <stdio.h>

/* Colours are named once for light and once for dark; charts use the same names. */
static const char style[] =
    ":root{color-scheme:light dark;--bg:#fbfaf8;--card:#fff;--fg:#23272e;--dim:#5f6773;--line:#dfdcd6;--link:#0b62a3;"
    "--heat:#14568f;--mark:#d9641c;--s0:#7b8794;--s1:#1b6fb3;--s2:#d99a2b;--s3:#a78bb5;--s4:#4c9a6a;--s5:#b5545c;"
    "--good:#e7f3ea;--goodline:#4c9a6a;--bad:#fdeee4;--badline:#d9641c;--plain:#eef2f6;--plainline:#8a97a6}\n"
    "@media (prefers-color-scheme:dark){:root{--bg:#15181c;--card:#1d2126;--fg:#e4e6e9;--dim:#a0a8b2;--line:#343a42;--link:#7ab8ea;"
    "--heat:#6db7f2;--mark:#ff9a52;--s0:#8e99a6;--s1:#4a9fe0;--s2:#dca94a;--s3:#b79ac6;--s4:#66b586;--s5:#d4757c;"
    "--good:#1b2c22;--goodline:#4c9a6a;--bad:#35231a;--badline:#d9743a;--plain:#20262d;--plainline:#5d6977}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',"
    "'DejaVu Sans',sans-serif}\n"
    "main{max-width:860px;margin:0 auto;padding:28px 18px 60px}\n"
    "h1{font-size:1.9rem;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em;overflow-wrap:anywhere}\n"
    "h2{font-size:1.3rem;line-height:1.3;margin:0 0 8px}h3{font-size:1.02rem;margin:24px 0 4px}\n"
    "section{margin-top:40px;padding-top:18px;border-top:1px solid var(--line)}\n"
    "p{margin:8px 0;max-width:74ch}.sub{color:var(--dim);margin:0 0 18px}.small{color:var(--dim);font-size:.86rem}\n"
    "ul{margin:8px 0;padding-left:22px;max-width:68ch}li{margin:3px 0}\n"
    ".facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(148px,1fr));gap:10px;margin:18px 0}\n"
    ".fact{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 12px}\n"
    ".fact b{display:block;font-size:1.04rem;line-height:1.35;white-space:nowrap;font-variant-numeric:tabular-nums}\n"
    ".fact span{display:block;color:var(--dim);font-size:.83rem;line-height:1.4}\n"
    ".note{border-left:4px solid var(--plainline);background:var(--plain);border-radius:0 8px 8px 0;padding:10px 14px;margin:14px 0}\n"
    ".note p{margin:2px 0;max-width:none}.good{border-color:var(--goodline);background:var(--good)}"
    ".bad{border-color:var(--badline);background:var(--bad)}\n"
    ".wide{overflow-x:auto;margin:14px 0}\n"
    "table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}\n"
    "caption{text-align:left;color:var(--dim);font-size:.86rem;padding-bottom:6px}\n"
    "th,td{padding:5px 10px;border-bottom:1px solid var(--line);text-align:right;vertical-align:top;white-space:nowrap}\n"
    "th{font-weight:600}td:first-child,th:first-child{text-align:left;padding-left:0;font-weight:500;white-space:normal}\n"
    "dl{margin:10px 0;display:grid;grid-template-columns:minmax(7.5rem,auto) 1fr;gap:5px 16px}\n"
    "dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere;min-width:0}\n"
    "pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 12px;white-space:pre-wrap;"
    "overflow-wrap:anywhere;font:.86rem/1.5 ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace}\n"
    "details{margin:12px 0}summary{cursor:pointer;color:var(--link)}\n"
    ".panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(250px,100%),1fr));gap:16px 20px;margin:14px 0}\n"
    ".panel h3{margin:0}.panel p{margin:0 0 5px}figure{margin:0}\n"
    ".wt-svg{display:block;overflow:visible;margin:8px 0;font:12px system-ui,'DejaVu Sans',sans-serif}\n"
    ".wt-svg text{fill:var(--dim);font-variant-numeric:tabular-nums}.wt-svg .wt-group{fill:var(--fg);font-weight:600;font-size:13px}"
    ".wt-svg .wt-name,.wt-svg .wt-value{fill:var(--fg)}\n"
    ".wt-cell,.wt-back{fill:var(--card)}.wt-cell{stroke:var(--line);stroke-width:.5}.wt-heat{fill:var(--heat)}.wt-mark{stroke:var(--mark);stroke-width:2}path.wt-mark{fill:none;stroke-width:1}\n"
    ".wt-grid{stroke:var(--line)}.wt-err{stroke:var(--fg);stroke-width:1.3}\n"
    ".wt-s0{fill:var(--s0)}.wt-s1{fill:var(--s1)}.wt-s2{fill:var(--s2)}.wt-s3{fill:var(--s3)}.wt-s4{fill:var(--s4)}.wt-s5{fill:var(--s5)}\n"
    ".wt-legend{display:flex;flex-wrap:wrap;gap:4px 16px;color:var(--dim);font-size:.83rem;max-width:none}"
    ".wt-legend span{white-space:nowrap}.wt-legend svg{vertical-align:-2px}\n"
    "@media (max-width:560px){body{font-size:15px}h1{font-size:1.5rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}"
    ".wt-svg{font-size:10.5px}}\n"
    "@media print{:root{color-scheme:light;--bg:#fff;--card:#fff;--fg:#000;--dim:#444;--line:#bbb;--heat:#14568f;--mark:#d9641c;--s0:#7b8794;"
    "--s1:#1b6fb3;--s2:#d99a2b;--s3:#a78bb5;--s4:#4c9a6a;--s5:#b5545c;--good:#f2f8f3;--bad:#fdf4ee;--plain:#f4f6f8}body{font-size:11pt}"
    "main{max-width:none;padding:0}.fact,.note,figure,tr,.panel{break-inside:avoid}h2,h3{break-after:avoid}"
    "*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n";

static void element(wt_report *r, const char *open, const char *text, const char *close)
{
    wt_text_puts(&r->t, open);
    wt_text_xml(&r->t, text);
    wt_text_puts(&r->t, close);
}

/* Formats, escapes and appends. */
static void put_escaped(wt_report *r, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *s = n < 0 ? NULL : wt_realloc(r->t.cx, NULL, (size_t)n + 1, 1);
    if (s) vsnprintf(s, (size_t)n + 1, fmt, again);
    else r->t.failed = true;
    va_end(again);
    wt_text_xml(&r->t, s);
    wt_free(r->t.cx, s);
}

#define ELEMENT(r, open, close) do { \
        va_list ap; \
        wt_text_puts(&(r)->t, open); \
        va_start(ap, fmt); \
        put_escaped(r, fmt, ap); \
        va_end(ap); \
        wt_text_puts(&(r)->t, close); \
    } while (0)

void wt_report_begin(wt_report *r, wt_ctx *cx, const char *title, const char *subtitle)
{
    *r = (wt_report){ 0 };
    wt_text_init(&r->t, cx);
    wt_text_puts(&r->t, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                        "<meta name=\"generator\" content=\"witan " WITAN_VERSION "\"/>\n");
    element(r, "<title>", title, "</title>\n<style>\n");
    wt_text_puts(&r->t, style);
    element(r, "</style>\n</head>\n<body>\n<main>\n<h1>", title, "</h1>\n");
    if (subtitle) element(r, "<p class=\"sub\">", subtitle, "</p>\n");
}

static void end_section(wt_report *r)
{
    if (r->in_section) wt_text_puts(&r->t, "</section>\n");
    r->in_section = false;
}

void wt_report_section(wt_report *r, const char *id, const char *title)
{
    end_section(r);
    element(r, "<section id=\"", id, "\">\n");
    element(r, "<h2>", title, "</h2>\n");
    r->in_section = true;
}

void wt_report_head(wt_report *r, const char *title) { element(r, "<h3>", title, "</h3>\n"); }
void wt_report_para(wt_report *r, const char *fmt, ...) { ELEMENT(r, "<p>", "</p>\n"); }
void wt_report_small(wt_report *r, const char *fmt, ...) { ELEMENT(r, "<p class=\"small\">", "</p>\n"); }

void wt_report_note(wt_report *r, wt_note kind, const char *title, const char *fmt, ...)
{
    static const char *const open[] = { "<div class=\"note\"><p><b>", "<div class=\"note good\"><p><b>", "<div class=\"note bad\"><p><b>" };
    element(r, open[kind], title, "</b></p>\n");
    ELEMENT(r, "<p>", "</p></div>\n");
}

void wt_report_code(wt_report *r, const char *text) { element(r, "<pre>", text, "</pre>\n"); }

void wt_report_facts_begin(wt_report *r) { wt_report_raw(r, "<div class=\"facts\">\n"); }
void wt_report_facts_end(wt_report *r) { wt_report_raw(r, "</div>\n"); }

void wt_report_fact(wt_report *r, const char *label, const char *value, const char *detail)
{
    element(r, "<div class=\"fact\"><span>", label, "</span>");
    element(r, "<b>", value, "</b>");
    element(r, "<span>", detail, "</span></div>\n");
}

void wt_report_table_begin(wt_report *r, const char *caption, const char *const *column, size_t n_column)
{
    element(r, "<div class=\"wide\"><table>\n<caption>", caption, "</caption>\n<thead><tr>");
    for (size_t i = 0; i < n_column; i++) element(r, "<th scope=\"col\">", column[i], "</th>");
    wt_report_raw(r, "</tr></thead>\n<tbody>\n");
}

void wt_report_row_begin(wt_report *r) { wt_report_raw(r, "<tr>"); }
void wt_report_cell(wt_report *r, const char *fmt, ...) { ELEMENT(r, "<td>", "</td>"); }
void wt_report_row_end(wt_report *r) { wt_report_raw(r, "</tr>\n"); }
void wt_report_table_end(wt_report *r) { wt_report_raw(r, "</tbody></table></div>\n"); }

void wt_report_terms_begin(wt_report *r) { wt_report_raw(r, "<dl>\n"); }
void wt_report_terms_end(wt_report *r) { wt_report_raw(r, "</dl>\n"); }

void wt_report_term(wt_report *r, const char *term, const char *fmt, ...)
{
    element(r, "<dt>", term, "</dt>");
    ELEMENT(r, "<dd>", "</dd>\n");
}

void wt_report_list_begin(wt_report *r) { wt_report_raw(r, "<ul>\n"); }
void wt_report_item(wt_report *r, const char *fmt, ...) { ELEMENT(r, "<li>", "</li>\n"); }
void wt_report_list_end(wt_report *r) { wt_report_raw(r, "</ul>\n"); }

void wt_report_fold_begin(wt_report *r, const char *title) { element(r, "<details><summary>", title, "</summary>\n"); }
void wt_report_fold_end(wt_report *r) { wt_report_raw(r, "</details>\n"); }

void wt_report_panels_begin(wt_report *r) { wt_report_raw(r, "<div class=\"panels\">\n"); }
void wt_report_panels_end(wt_report *r) { wt_report_raw(r, "</div>\n"); }

void wt_report_panel_begin(wt_report *r, const char *title, const char *remark)
{
    element(r, "<figure class=\"panel\"><h3>", title, "</h3>\n");
    if (remark) element(r, "<p class=\"small\">", remark, "</p>\n");
}

void wt_report_panel_end(wt_report *r) { wt_report_raw(r, "</figure>\n"); }

void wt_report_raw(wt_report *r, const char *markup) { wt_text_puts(&r->t, markup); }

wt_status wt_report_take(wt_report *r, char **html, size_t *n)
{
    end_section(r);
    wt_report_raw(r, "</main>\n</body>\n</html>\n");
    return wt_text_take(&r->t, html, n);
}

wt_status wt_report_write(wt_report *r, const char *path)
{
    wt_ctx *cx = r->t.cx;
    char *html;
    size_t n;
    WT_TRY(wt_report_take(r, &html, &n));
    wt_status st = wt_file_write(cx, path, html, n);
    wt_free(cx, html);
    return st;
}

void wt_report_free(wt_report *r) { wt_text_free(&r->t); }
