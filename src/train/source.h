/* Where training text comes from: JSON lines (names that end in .jsonl or .ndjson, and standard input), else plain text. Files are read in
 * blocks of a few megabytes, the documents of a block in parallel, so memory does not grow with a file.
 *
 * A line holds "text", or "prompt" and "answer" (then the text is the two joined), and perhaps "domain"; where there is none the domain is
 * the file's name up to its first dot: code.train.jsonl holds "code". */
#ifndef WT_TRAIN_SOURCE_H
#define WT_TRAIN_SOURCE_H

#include "base/thread.h"

typedef struct wt_source_doc {
    const char *domain; size_t n_domain;
    const char *text;   size_t n_text;         /* NULL where there are prompt and answer */
    const char *prompt; size_t n_prompt;
    const char *answer; size_t n_answer;
    bool bad;                                  /* the line is no UTF-8; then nothing else is known but the domain */
} wt_source_doc;

/* How a file is read. */
typedef struct wt_source_reader {
    /* The next block has n documents. Called by the owner of the context; NULL: not wanted. */
    wt_status (*begin)(void *arg, wt_ctx *cx, size_t n);
    /* Document i of the block; in any order, by any worker, with that worker's side context. What doc points to lives until the return. */
    wt_status (*each)(void *arg, wt_ctx *side, int worker, size_t i, const wt_source_doc *doc);
    /* The block is done without an error. */
    wt_status (*end)(void *arg, wt_ctx *cx, size_t n);
    void *arg;
    bool keep_bad;                             /* lines that are no UTF-8 are documents too; else they are errors */
    bool pieces;                               /* plain text may come in pieces of some megabytes, cut between lines where no splitting rule
                                                  joins; else a file is one document */
    size_t block;                              /* bytes of a block, 0: usual */
    double read, total;                        /* progress over several files: bytes so far, and of all (0: unknown) */
    const char *phase;
} wt_source_reader;

/* Reads a file to its end. Blank lines and a byte order mark do not count. Of several errors in a block that of the first line is reported.
 * Errors: WT_EFORMAT naming file and line (not JSON, a wrong form, no UTF-8, no document at all), WT_ELIMIT, WT_EIO. */
wt_status wt_source_read(wt_ctx *cx, wt_sides *sides, const char *path, wt_source_reader *r);

/* Bytes of all files, 0 where one has no size; for progress. Errors come when they are read. */
double wt_source_bytes(const char *const *path, size_t n);

#endif
