/* Documents in JSON lines: "text", or "prompt" and "answer", and perhaps "domain". One reader for demonstrations,
 * calibration data and evaluation. */
#ifndef WT_BASE_DOCS_H
#define WT_BASE_DOCS_H

#include "base/ctx.h"

typedef struct wt_doc {
    const char *domain;              /* NULL: not stated */
    const char *text; size_t n_text; /* the whole document: text, or prompt + answer */
    const char *prompt, *answer;     /* NULL where the line has only text */
} wt_doc;

typedef struct wt_docs { wt_ctx *cx; wt_doc *doc; size_t n; char **own; size_t n_own; char digest[65], domains[160]; } wt_docs;

/* Reads path. want_task: every line must have prompt and answer. domain keeps only that domain (NULL: all), limit at most
 * so many of each (0: all; the first ones, or drawn with seed when seed != 0; file order stays). Errors name file and
 * line: WT_EFORMAT; WT_ELIMIT if nothing is left. digest: SHA-256 (hex) of the file; domains: those of all its lines, for messages. */
wt_status wt_docs_read(wt_ctx *cx, const char *path, bool want_task, const char *domain, int32_t limit, int64_t seed, wt_docs *out);
void wt_docs_free(wt_docs *d);

#endif
