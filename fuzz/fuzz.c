/* See fuzz.h. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FD_DATA = 0, FD_SECOND, FD_OUT, FD_NEW, FD_FOLDER, FD_BASE = 100 };

_Noreturn void fuzz_broken(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: property broken: %s\n", file, line, what);
    abort();
}

bool fuzz_ok(witan_ctx *cx, witan_status st)
{
    if (st == WITAN_OK) return true;
    FUZZ_CHECK(*witan_error(cx), "a failed call says why");
    FUZZ_CHECK(st != WITAN_ECANCELED && st <= WITAN_ECANCELED, "the status is one that the input can cause");
    return false;
}

/* ---- memory: sizes as the sanitizer knows them, so that its red zones stay around every block ------------------------ */

static void count(fuzz *f, void *p)
{
    if (!p) return;
    f->live++;
    f->bytes += malloc_usable_size(p);
    if (f->bytes > f->peak) f->peak = f->bytes;
}

static void forget(fuzz *f, void *p)
{
    if (!p) return;
    f->live--;
    f->bytes -= malloc_usable_size(p);
}

static void check_size(const fuzz *f, size_t n) { FUZZ_CHECK(n <= ((size_t)64 << 20) + 8 * f->n, "no allocation is out of proportion to the input"); }

static void *m_alloc(void *u, size_t n)
{
    const fuzz *f = u;
    check_size(f, n);
    char *p = malloc(n);
    count(u, p);
    for (size_t i = 0; f->word && p && i < n; i++) p[i] = f->word[i % 8];
    return p;
}

static void m_free(void *u, void *p)
{
    forget(u, p);
    free(p);
}

static void *m_realloc(void *u, void *p, size_t n)
{
    check_size(u, n);
    forget(u, p);
    p = realloc(p, n);
    count(u, p);
    return p;
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

static int f_open(void *u, const char *path, int flags, int mode)
{
    fuzz *f = u;
    const char *tail = strstr(path, "00002-of-00002");
    int fd = flags & O_CREAT ? FD_NEW : flags & O_DIRECTORY ? FD_FOLDER : !strcmp(path, FUZZ_FILE) ? FD_DATA : !strcmp(path, "out") ? FD_OUT : -1;
    (void)mode;
    if (fd < 0 && tail && f->second) fd = FD_SECOND;
    if (fd < 0) { errno = ENOENT; return -1; }
    if (fd == FD_NEW) f->n_out = 0;
    f->at[fd] = 0;
    return fd + FD_BASE;
}

static const uint8_t *content(const fuzz *f, int fd, size_t *n)
{
    fd -= FD_BASE;
    *n = fd == FD_DATA ? f->n : fd == FD_SECOND ? f->n_second : fd == FD_OUT ? f->n_out : 0;
    return fd == FD_DATA ? f->data : fd == FD_SECOND ? f->second : fd == FD_OUT ? f->out : NULL;
}

static ssize_t f_read(void *u, int fd, void *p, size_t n)
{
    fuzz *f = u;
    size_t all, *at = f->at + (fd - FD_BASE);
    const uint8_t *s = content(f, fd, &all);
    if (n > all - *at) n = all - *at;
    if (n) memcpy(p, s + *at, n);
    *at += n;
    return (ssize_t)n;
}

static ssize_t f_write(void *u, int fd, const void *p, size_t n)
{
    fuzz *f = u;
    (void)fd;
    if (f->n_out + n > f->cap_out) {
        f->cap_out = (f->n_out + n) * 2;
        f->out = realloc(f->out, f->cap_out);
        if (!f->out) abort();
    }
    if (n) memcpy(f->out + f->n_out, p, n);
    f->n_out += n;
    return (ssize_t)n;
}

static int64_t f_size(void *u, int fd)
{
    size_t n;
    content(u, fd, &n);
    return (int64_t)n;
}

/* A copy of exactly the right size: reading one byte too far is then caught. */
static const void *f_map(void *u, int fd, size_t n)
{
    size_t all;
    const uint8_t *s = content(u, fd, &all);
    FUZZ_CHECK(n == all && n, "the whole file is mapped");
    void *p = malloc(n);
    if (!p) abort();
    return memcpy(p, s, n);
}

static int f_unmap(void *u, const void *p, size_t n)
{
    (void)u; (void)n;
    free((void *)(uintptr_t)p);
    return 0;
}

static int f_close(void *u, int fd) { (void)u; (void)fd; return 0; }
static int f_fsync(void *u, int fd) { (void)u; (void)fd; return 0; }
static int f_rename(void *u, const char *from, const char *to) { (void)u; (void)from; (void)to; return 0; }
static int f_unlink(void *u, const char *path) { (void)u; (void)path; return 0; }

/* ---- a run ---------------------------------------------------------------------------------------------------------- */

witan_ctx *fuzz_begin(fuzz *f, const uint8_t *data, size_t n, bool with_parts)
{
    *f = (fuzz){ .data = data, .n = n };
    const uint8_t *second = with_parts && n > 4 ? memmem(data + 4, n - 4, "GGUF", 4) : NULL;
    if (second) {
        f->n = (size_t)(second - data);
        f->second = (uint8_t *)(uintptr_t)second;
        f->n_second = n - f->n;
    }
    witan_allocator mem = { m_alloc, m_realloc, m_free, f };
    witan_io io = { f_open, f_close, f_read, f_write, f_size, f_fsync, f_rename, f_unlink, f_map, f_unmap, f };
    witan_ctx *cx = witan_ctx_new(&(witan_config){ .allocator = &mem, .io = &io, .threads = 1 });
    if (!cx) abort();
    return cx;
}

void fuzz_end(fuzz *f, witan_ctx *cx)
{
    witan_ctx_free(cx);
    FUZZ_CHECK(!f->live, "nothing leaks");
    if (f->peak > ((size_t)64 << 20) + 8 * (f->n + f->n_second)) {
        fprintf(stderr, "%zu bytes of memory for %zu bytes of input\n", f->peak, f->n + f->n_second);
        FUZZ_CHECK(false, "memory stays in proportion to the input");
    }
    free(f->out);
    f->out = NULL;
}
