/* See fault.h. Blocks carry their size in front, so that bytes in use can be counted. */
#include "fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

const char *const fault_name[FAULT_N] = { "alloc", "open", "read", "write", "fsync", "rename", "map", "close" };

static bool fails(fault *f, fault_kind k)
{
    bool now = ++f->count[k] == f->fail[k];
    f->hit |= now;
    return now;
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

typedef struct head { size_t n, pad; } head;

static void *f_alloc(void *u, size_t n)
{
    fault *f = u;
    if (fails(f, FAULT_ALLOC)) return NULL;
    head *h = malloc(sizeof *h + n);
    if (!h) return NULL;
    h->n = n;
    memset(h + 1, 0xA5, n);                       /* whoever forgets to fill memory shall notice */
    f->live++;
    f->bytes += n;
    if (f->bytes > f->peak) f->peak = f->bytes;
    return h + 1;
}

static void f_free(void *u, void *p)
{
    fault *f = u;
    if (!p) return;
    head *h = (head *)p - 1;
    f->live--;
    f->bytes -= h->n;
    free(h);
}

static void *f_realloc(void *u, void *p, size_t n)
{
    if (!p) return f_alloc(u, n);
    void *q = f_alloc(u, n);
    if (!q) return NULL;
    size_t old = ((head *)p - 1)->n;
    memcpy(q, p, old < n ? old : n);
    f_free(u, p);
    return q;
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

static int refuse(int e) { errno = e; return -1; }
static int f_open(void *u, const char *path, int flags, int mode) { return fails(u, FAULT_OPEN) ? refuse(EACCES) : open(path, flags | O_CLOEXEC, mode); }
static int f_fsync(void *u, int fd) { return fails(u, FAULT_FSYNC) ? refuse(EIO) : fsync(fd); }
static int f_rename(void *u, const char *a, const char *b) { return fails(u, FAULT_RENAME) ? refuse(EXDEV) : rename(a, b); }
static int f_unlink(void *u, const char *path) { (void)u; return unlink(path); }
static int f_unmap(void *u, const void *p, size_t n) { (void)u; return munmap((void *)(uintptr_t)p, n); }

static int f_close(void *u, int fd)
{
    bool bad = fails(u, FAULT_CLOSE);
    int r = close(fd);
    return bad ? refuse(EIO) : r;
}

static ssize_t f_read(void *u, int fd, void *p, size_t n)
{
    fault *f = u;
    if (fails(f, FAULT_READ)) return refuse(EIO);
    if (f->eintr && f->count[FAULT_READ] % 2) return refuse(EINTR);
    return read(fd, p, f->short_io && n > 7 ? 7 : n);
}

static ssize_t f_write(void *u, int fd, const void *p, size_t n)
{
    fault *f = u;
    if (fails(f, FAULT_WRITE)) return refuse(ENOSPC);
    if (f->eintr && f->count[FAULT_WRITE] % 2) return refuse(EINTR);
    return write(fd, p, f->short_io && n > 1000 ? 1000 : n);
}

static int64_t f_size(void *u, int fd)
{
    struct stat s;
    (void)u;
    if (fstat(fd, &s)) return -1;
    return S_ISREG(s.st_mode) ? s.st_size : refuse(S_ISDIR(s.st_mode) ? EISDIR : ESPIPE);
}

static const void *f_map(void *u, int fd, size_t n)
{
    if (fails(u, FAULT_MAP)) { errno = ENODEV; return NULL; }
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

witan_ctx *fault_ctx(fault *f)
{
    witan_allocator mem = { f_alloc, f_realloc, f_free, f };
    witan_io io = { f_open, f_close, f_read, f_write, f_size, f_fsync, f_rename, f_unlink, f_map, f_unmap, f };
    return witan_ctx_new(&(witan_config){ .allocator = &mem, .io = &io, .threads = 1 });
}

/* ---- a folder ------------------------------------------------------------------------------------------------------- */

static char folder[64];

const char *fault_folder(void)
{
    if (!*folder) {
        strcpy(folder, "/tmp/witan-test-XXXXXX");
        if (!mkdtemp(folder)) abort();
    }
    return folder;
}

void fault_folder_free(void)
{
    char command[128];
    if (!*folder) return;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command)) abort();
    *folder = 0;
}

char *fault_path(const char *name)
{
    static char path[8][160];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", fault_folder(), name);
    return p;
}

bool fault_exists(const char *path) { return access(path, F_OK) == 0; }

int fault_leftovers(void)
{
    DIR *d = opendir(fault_folder());
    struct dirent *e;
    int n = 0;
    while (d && (e = readdir(d))) n += strstr(e->d_name, ".tmp.") != NULL;
    if (d) closedir(d);
    return n;
}

/* ---- the loop ------------------------------------------------------------------------------------------------------- */

long fault_each(fault_kind kind, fault_scene scene, void *arg, const char *out, long most)
{
    long rounds = 0;
    for (long n = 1; rounds < most; n += n < 100 ? 1 : 7, rounds++) {
        fault f = { 0 };
        witan_ctx *cx = fault_ctx(&f);
        assert_non_null(cx);
        f.count[FAULT_ALLOC] = 0;
        f.fail[kind] = n;
        if (out) unlink(out);
        witan_status st = scene(cx, arg);
        if (st && !*witan_error(cx)) fail_msg("%s %ld fails without a message", fault_name[kind], n);
        if (st && !f.hit) fail_msg("%s %ld: nothing was made to fail, but: %s", fault_name[kind], n, witan_error(cx));
        if (out && (st != WITAN_OK) == fault_exists(out)) fail_msg("%s %ld: status %d, but the output %s", fault_name[kind], n, (int)st, fault_exists(out) ? "exists" : "is missing");
        if (fault_leftovers()) fail_msg("%s %ld leaves a temporary file", fault_name[kind], n);
        witan_ctx_free(cx);
        if (f.live) fail_msg("%s %ld leaks %ld blocks", fault_name[kind], n, f.live);
        if (!f.hit) break;
    }
    return rounds;
}
