/* The context every call carries: allocator, file hooks, last error, receivers of progress and log, threads. */
#ifndef WT_BASE_CTX_H
#define WT_BASE_CTX_H

#include "base/status.h"
#include <stdarg.h>
#include <stdatomic.h>

struct witan_ctx {
    witan_allocator mem;
    witan_io io;
    witan_progress_fn progress; void *progress_user;
    witan_log_fn log; void *log_user;
    int32_t threads, usual_threads;   /* usual: $WITAN_THREADS, 0: one per processor */
    struct wt_pool *pool;      /* worker threads, made when first needed (thread.c) */
    char tier[16];             /* asked for; "" = best */
    bool exact;                /* activations stay float */
    bool pin;                  /* threads stay on processors */
    atomic_bool canceled;
    wt_status code;
    char error[1024];
};

/* Memory. wt_alloc zeroes; all set the error and return NULL on failure. n * size is checked. */
void *wt_alloc(wt_ctx *cx, size_t n, size_t size);
void *wt_realloc(wt_ctx *cx, void *p, size_t n, size_t size);   /* new part not zeroed */
char *wt_strdup(wt_ctx *cx, const char *s);
char *wt_strndup(wt_ctx *cx, const char *s, size_t n);
char *wt_printf(wt_ctx *cx, const char *fmt, ...) WT_PRINTF(2, 3);   /* owned text; NULL on failure */
void wt_free(wt_ctx *cx, void *p);

void wt_log(wt_ctx *cx, witan_level level, const char *fmt, ...) WT_PRINTF(3, 4);
/* Reports progress; WT_ECANCELED when the receiver or witan_cancel asked to stop. */
wt_status wt_progress(wt_ctx *cx, const char *phase, double done, double total, const char *unit);
wt_status wt_go_on(wt_ctx *cx);   /* WT_ECANCELED after witan_cancel; for loops too tight to report */
double wt_now(void);   /* seconds of a monotonic clock */

/* Growing text, for JSON, HTML and messages. After a failed allocation further appends do nothing and wt_text_ok
 * is false, so that only the end needs a check. */
typedef struct wt_text { wt_ctx *cx; char *s; size_t n, cap; bool failed; } wt_text;
void wt_text_init(wt_text *t, wt_ctx *cx);
void wt_text_put(wt_text *t, const char *s, size_t n);
void wt_text_puts(wt_text *t, const char *s);
void wt_text_printf(wt_text *t, const char *fmt, ...) WT_PRINTF(2, 3);
void wt_text_num(wt_text *t, double v);   /* reads back exactly, whatever the locale; "null" if not finite */
wt_status wt_text_take(wt_text *t, char **s, size_t *n);   /* hands the text over, NUL-terminated; n may be NULL; or frees it and fails */
void wt_text_free(wt_text *t);

#endif
