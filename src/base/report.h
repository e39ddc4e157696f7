/* The one writer of report pages: a single HTML file without scripts or links to elsewhere, light or dark as the reader prefers,
 * readable on a phone and on paper. The page is also well-formed XML, so that tests can parse it strictly.
 *
 * Text handed over is escaped here; only wt_report_raw and the pictures of base/svg.h, written to r->t, are markup. printf
 * formats must not hold %f or %g, whose point depends on the locale: use %s and WT_FIXED. Failures of memory are kept and
 * reported once, by wt_report_write or wt_report_take. */
#ifndef WT_BASE_REPORT_H
#define WT_BASE_REPORT_H

#include "base/svg.h"

typedef enum wt_note { WT_NOTE_PLAIN, WT_NOTE_GOOD, WT_NOTE_BAD } wt_note;

typedef struct wt_report { wt_text t; bool in_section; } wt_report;

void wt_report_begin(wt_report *r, wt_ctx *cx, const char *title, const char *subtitle);   /* subtitle may be NULL */
void wt_report_section(wt_report *r, const char *id, const char *title);                    /* ends the section before it */
void wt_report_head(wt_report *r, const char *title);                                       /* smaller heading */
void wt_report_para(wt_report *r, const char *fmt, ...) WT_PRINTF(2, 3);
void wt_report_small(wt_report *r, const char *fmt, ...) WT_PRINTF(2, 3);                    /* remark below a picture or table */
void wt_report_note(wt_report *r, wt_note kind, const char *title, const char *fmt, ...) WT_PRINTF(4, 5);
void wt_report_code(wt_report *r, const char *text);                                        /* as typed, keeps lines */

/* Large figures at the top: begin, any number of facts, end. detail may be NULL. */
void wt_report_facts_begin(wt_report *r);
void wt_report_fact(wt_report *r, const char *label, const char *value, const char *detail);
void wt_report_facts_end(wt_report *r);

/* Tables. The first column holds names, the others are aligned to the right. */
void wt_report_table_begin(wt_report *r, const char *caption, const char *const *column, size_t n_column);
void wt_report_row_begin(wt_report *r);
void wt_report_cell(wt_report *r, const char *fmt, ...) WT_PRINTF(2, 3);
void wt_report_row_end(wt_report *r);
void wt_report_table_end(wt_report *r);

/* Terms with their meanings. */
void wt_report_terms_begin(wt_report *r);
void wt_report_term(wt_report *r, const char *term, const char *fmt, ...) WT_PRINTF(3, 4);
void wt_report_terms_end(wt_report *r);

void wt_report_list_begin(wt_report *r);
void wt_report_item(wt_report *r, const char *fmt, ...) WT_PRINTF(2, 3);
void wt_report_list_end(wt_report *r);

/* Folded part that opens on a click. */
void wt_report_fold_begin(wt_report *r, const char *title);
void wt_report_fold_end(wt_report *r);

/* Small pictures side by side, as many as fit: begin, per picture a panel (its picture is then written to r->t), end. */
void wt_report_panels_begin(wt_report *r);
void wt_report_panel_begin(wt_report *r, const char *title, const char *remark);   /* remark may be NULL */
void wt_report_panel_end(wt_report *r);
void wt_report_panels_end(wt_report *r);

void wt_report_raw(wt_report *r, const char *markup);
/* Ends the page and hands it over (free with wt_free), or writes it to path (base/file.h: whole or not at all). Both free r. */
wt_status wt_report_take(wt_report *r, char **html, size_t *n);
wt_status wt_report_write(wt_report *r, const char *path);
void wt_report_free(wt_report *r);

#endif
