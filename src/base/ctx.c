/* The context: creation, memory, messages, progress, log. */
#include "base/ctx.h"

#include "base/file.h"
#include "base/thread.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void *sys_alloc(void *user, size_t n) { (void)user; return malloc(n); }
static void *sys_realloc(void *user, void *p, size_t n) { (void)user; return realloc(p, n); }
static void sys_free(void *user, void *p) { (void)user; free(p); }

/* The one place of the library that reads the environment. */
static void read_environment(wt_ctx *cx, const char *asked_tier)
{
    const char *tier = asked_tier ? asked_tier : getenv("WITAN_TIER"), *threads = getenv("WITAN_THREADS"), *exact = getenv("WITAN_EXACT");
    snprintf(cx->tier, sizeof cx->tier, "%s", tier ? tier : "");
    if (exact && *exact && strcmp(exact, "0")) cx->exact = true;
    if (!threads || !*threads) return;
    char *end;
    long n = strtol(threads, &end, 10);
    if (*end || n < 0 || n > WT_MAX_THREADS)
        wt_log(cx, WITAN_WARN, "WITAN_THREADS=%s is not used: expected a number from 0 to %d", threads, WT_MAX_THREADS);
    else cx->usual_threads = (int32_t)n;
}

wt_ctx *witan_ctx_new(const witan_config *config)
{
    witan_config c = config ? *config : (witan_config){ 0 };
    witan_allocator mem = c.allocator ? *c.allocator : (witan_allocator){ sys_alloc, sys_realloc, sys_free, NULL };
    wt_ctx *cx = mem.alloc(mem.user, sizeof *cx);
    if (!cx) return NULL;
    *cx = (wt_ctx){ .mem = mem, .io = c.io ? *c.io : wt_io_system(), .progress = c.progress, .progress_user = c.progress_user,
                    .log = c.log, .log_user = c.log_user };
    atomic_init(&cx->canceled, false);
    cx->exact = c.exact;
    cx->pin = c.pin;
    read_environment(cx, c.tier);
    witan_set_threads(cx, c.threads);
    return cx;
}

void witan_ctx_free(wt_ctx *cx)
{
    if (!cx) return;
    wt_pool_free(cx);
    cx->mem.free(cx->mem.user, cx);
}

void witan_set_threads(wt_ctx *cx, int32_t n)
{
    if (n <= 0) n = cx->usual_threads ? cx->usual_threads : wt_cpu_count(cx);
    cx->threads = n > WT_MAX_THREADS ? WT_MAX_THREADS : n;
}

int32_t witan_threads(const wt_ctx *cx) { return cx->threads; }
const char *witan_error(const wt_ctx *cx) { return cx->error; }
const char *witan_version(void) { return WITAN_VERSION; }
void witan_cancel(wt_ctx *cx) { atomic_store(&cx->canceled, true); }
void witan_free(wt_ctx *cx, void *p) { wt_free(cx, p); }

const char *witan_status_name(witan_status s)
{
    static const char *const name[] = { "ok", "bad argument", "out of memory", "input/output error", "bad format", "bad shape",
                                        "out of limits", "unsupported", "mismatch", "canceled" };
    return (size_t)s < sizeof name / sizeof *name ? name[s] : "unknown";
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void one_line(char *s)
{
    for (; *s; s++) if ((unsigned char)*s < 32 || *s == 127) *s = '?';
}

wt_status wt_fail(wt_ctx *cx, int code, const char *fmt, ...)
{
    char line[sizeof cx->error];                 /* an argument may be the old message */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    one_line(line);
    memcpy(cx->error, line, sizeof line);
    cx->code = (wt_status)code;
    return cx->code;
}

void wt_bug(const char *file, int line, const char *what)
{
    fprintf(stderr, "witan: internal error at %s:%d: %s\n", file, line, what);
    abort();
}

void wt_log(wt_ctx *cx, witan_level level, const char *fmt, ...)
{
    if (!cx->log) return;
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    one_line(line);
    cx->log(cx->log_user, level, line);
}

wt_status wt_progress(wt_ctx *cx, const char *phase, double done, double total, const char *unit)
{
    witan_progress p = { phase, done, total, unit };
    if (cx->progress && !cx->progress(cx->progress_user, &p)) atomic_store(&cx->canceled, true);
    return wt_go_on(cx);
}

wt_status wt_go_on(wt_ctx *cx) { return atomic_load(&cx->canceled) ? wt_fail(cx, WT_ECANCELED, "stopped on request") : WITAN_OK; }

double wt_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void *no_memory(wt_ctx *cx, size_t n, size_t size)
{
    wt_fail(cx, WT_ENOMEM, "out of memory: could not get %zu x %zu bytes", n, size);
    return NULL;
}

void *wt_realloc(wt_ctx *cx, void *old, size_t n, size_t size)
{
    size_t bytes;
    if (wt_mul_over(n, size, &bytes) || bytes > PTRDIFF_MAX) return no_memory(cx, n, size);
    if (!bytes) bytes = 1;
    void *p = old ? cx->mem.realloc(cx->mem.user, old, bytes) : cx->mem.alloc(cx->mem.user, bytes);
    return p ? p : no_memory(cx, n, size);
}

void *wt_alloc(wt_ctx *cx, size_t n, size_t size)
{
    void *p = wt_realloc(cx, NULL, n, size);
    return p ? memset(p, 0, n * size) : NULL;
}

void wt_free(wt_ctx *cx, void *p)
{
    if (p) cx->mem.free(cx->mem.user, p);
}

char *wt_strndup(wt_ctx *cx, const char *s, size_t n)
{
    char *p = n < SIZE_MAX ? wt_realloc(cx, NULL, n + 1, 1) : NULL;
    if (!p) return NULL;
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

char *wt_strdup(wt_ctx *cx, const char *s) { return wt_strndup(cx, s, strlen(s)); }

char *wt_printf(wt_ctx *cx, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n < 0 ? NULL : wt_realloc(cx, NULL, (size_t)n + 1, 1);
    if (p) vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return p;
}
