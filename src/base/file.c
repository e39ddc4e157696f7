/* Reading: whole files, mappings, lines; and the system's I/O table. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int sys_open(void *u, const char *path, int flags, int mode) { (void)u; return open(path, flags | O_CLOEXEC, mode); }
static int sys_close(void *u, int fd) { (void)u; return close(fd); }
static ssize_t sys_read(void *u, int fd, void *p, size_t n) { (void)u; return read(fd, p, n); }
static ssize_t sys_write(void *u, int fd, const void *p, size_t n) { (void)u; return write(fd, p, n); }
static int sys_fsync(void *u, int fd) { (void)u; return fsync(fd); }
static int sys_rename(void *u, const char *from, const char *to) { (void)u; return rename(from, to); }
static int sys_unlink(void *u, const char *path) { (void)u; return unlink(path); }
static int sys_unmap(void *u, const void *p, size_t n) { (void)u; return munmap((void *)(uintptr_t)p, n); }

static int64_t sys_size(void *u, int fd)
{
    struct stat s;
    (void)u;
    if (fstat(fd, &s)) return -1;
    if (S_ISDIR(s.st_mode)) { errno = EISDIR; return -1; }
    if (!S_ISREG(s.st_mode)) { errno = ESPIPE; return -1; }
    return s.st_size;
}

static const void *sys_map(void *u, int fd, size_t n)
{
    (void)u;
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

witan_io wt_io_system(void)
{
    return (witan_io){ sys_open, sys_close, sys_read, sys_write, sys_size, sys_fsync, sys_rename, sys_unlink, sys_map, sys_unmap, NULL };
}

static wt_status sys_fail(wt_ctx *cx, const char *path, const char *what)
{
    return wt_fail(cx, errno == ENOMEM ? WT_ENOMEM : WT_EIO, "%s: cannot %s: %s", path, what, strerror(errno));
}

/* Fills p with up to n bytes; *got is less only at the end of the file. */
static wt_status read_full(wt_ctx *cx, const char *path, int fd, void *p, size_t n, size_t *got)
{
    for (*got = 0; *got < n;) {
        ssize_t k = cx->io.read(cx->io.user, fd, (char *)p + *got, n - *got);
        if (k < 0 && errno == EINTR) { WT_TRY(wt_go_on(cx)); continue; }   /* a pipe that never ends can be left */
        if (k < 0) return sys_fail(cx, path, "read");
        if (!k) break;
        *got += (size_t)k;
    }
    return WITAN_OK;
}

static wt_status read_all(wt_ctx *cx, const char *path, int fd, size_t max, char **data, size_t *n)
{
    int64_t size = cx->io.size(cx->io.user, fd);
    if (size < 0 && errno == EISDIR) return wt_fail(cx, WT_EIO, "%s: is a folder, expected a file", path);
    size_t cap = size > 0 ? (size_t)size : 65536, have = 0, got;
    if (cap > max) cap = max;
    for (char *p = NULL;; cap = cap < max / 2 ? cap * 2 : max) {
        char *q = wt_realloc(cx, p, cap + 1, 1);
        if (!q) { wt_free(cx, p); return WITAN_ENOMEM; }
        p = q;
        wt_status st = read_full(cx, path, fd, p + have, cap + 1 - have, &got);   /* one byte more tells whether it ended */
        have += got;
        if (st == WITAN_OK && have <= cap) {
            p[have] = 0;
            *data = p;
            *n = have;
            return WITAN_OK;
        }
        if (st == WITAN_OK && cap == max) st = wt_fail(cx, WT_ELIMIT, "%s: larger than %zu bytes", path, max);
        if (st != WITAN_OK) { wt_free(cx, p); return st; }
    }
}

wt_status wt_file_read(wt_ctx *cx, const char *path, size_t max, char **data, size_t *n)
{
    if (!strcmp(path, "-")) return read_all(cx, "standard input", STDIN_FILENO, max, data, n);
    int fd = cx->io.open(cx->io.user, path, O_RDONLY, 0);
    if (fd < 0) return sys_fail(cx, path, "open");
    wt_status st = read_all(cx, path, fd, max, data, n);
    cx->io.close(cx->io.user, fd);
    return st;
}

/* ---- mapping ------------------------------------------------------------------------------------------------------ */

static wt_status map_fd(wt_ctx *cx, const char *path, wt_map *m)
{
    int64_t size = cx->io.size(cx->io.user, m->fd);
    if (size < 0 && errno == EISDIR) return wt_fail(cx, WT_EIO, "%s: is a folder, expected a file", path);
    if (size < 0) return errno == ESPIPE ? wt_fail(cx, WT_EIO, "%s: is not a regular file", path) : sys_fail(cx, path, "examine");
    if (!size) return wt_fail(cx, WT_EFORMAT, "%s: is empty", path);
    m->n = (size_t)size;
    m->data = cx->io.map(cx->io.user, m->fd, m->n);
    if (m->data) return WITAN_OK;
    size_t got;                                   /* file systems without mapping: one copy in memory */
    uint8_t *p = wt_realloc(cx, NULL, m->n, 1);
    if (!p) return WITAN_ENOMEM;
    m->data = p;
    m->heap = true;
    WT_TRY(read_full(cx, path, m->fd, p, m->n, &got));
    return got == m->n ? WITAN_OK : wt_fail(cx, WT_EIO, "%s: ended after %zu of %zu bytes", path, got, m->n);
}

wt_status wt_map_open(wt_ctx *cx, const char *path, wt_map *m)
{
    *m = (wt_map){ .fd = cx->io.open(cx->io.user, path, O_RDONLY, 0) };
    if (m->fd < 0) return sys_fail(cx, path, "open");
    wt_status st = map_fd(cx, path, m);
    if (st != WITAN_OK) wt_map_close(cx, m);
    return st;
}

void wt_map_close(wt_ctx *cx, wt_map *m)
{
    if (m->heap) wt_free(cx, (void *)(uintptr_t)m->data);
    else if (m->data) cx->io.unmap(cx->io.user, m->data, m->n);
    if (m->fd >= 0) cx->io.close(cx->io.user, m->fd);
    *m = (wt_map){ .fd = -1 };
}

void wt_map_forget(wt_ctx *cx, const wt_map *m, const void *p, size_t n)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)p + page - 1) & -page, to = ((uintptr_t)p + n) & -page;
    if (!m->heap && cx->io.map == sys_map && to > from) madvise((void *)from, to - from, MADV_DONTNEED);
}

/* ---- small things ------------------------------------------------------------------------------------------------- */

bool wt_file_same(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

wt_status wt_folder_make(wt_ctx *cx, const char *path)
{
    struct stat s;
    if (!stat(path, &s)) return S_ISDIR(s.st_mode) ? WITAN_OK : wt_fail(cx, WT_EIO, "%s: exists and is not a folder", path);
    char part[4096];
    size_t n = strlen(path);
    if (!n) return wt_fail(cx, WT_EARG, "the name of the folder is empty");
    if (n >= sizeof part) return wt_fail(cx, WT_EIO, "folder name is too long: %zu bytes", n);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++)
        if (part[i] == '/' || i == n) {
            char c = part[i];
            part[i] = 0;
            if (mkdir(part, 0777) && errno != EEXIST) return sys_fail(cx, part, "make folder");
            part[i] = c;
        }
    return WITAN_OK;
}

bool wt_line_next(const char *text, size_t n, size_t *at, const char **line, size_t *len)
{
    if (*at >= n) return false;
    const char *end = memchr(text + *at, '\n', n - *at);
    *line = text + *at;
    *len = end ? (size_t)(end - *line) : n - *at;
    *at += *len + 1;
    if (*len && (*line)[*len - 1] == '\r') --*len;
    return true;
}
