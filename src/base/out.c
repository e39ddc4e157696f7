/* Atomic writing: a temporary name in the same folder, fsync, rename, fsync of the folder. A reader sees the old file or the new
 * one, never half of either; a failure leaves nothing behind. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUF = 1 << 18 };

struct wt_out { wt_ctx *cx; char *path, *temp; int fd; uint64_t pos; size_t used; uint8_t *buf; };

static wt_status sys_fail(wt_out *o, const char *what)
{
    return wt_fail(o->cx, WT_EIO, "%s: cannot %s: %s", o->path, what, strerror(errno));
}

static uint32_t some_number(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint32_t)t.tv_nsec * 2654435761u ^ (uint32_t)t.tv_sec;
}

/* Text before the last '/', "." if there is none. */
static char *folder_of(wt_ctx *cx, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return wt_strdup(cx, ".");
    return wt_strndup(cx, path, slash == path ? 1 : (size_t)(slash - path));
}

static wt_status begin(wt_out *o, const char *path)
{
    struct stat s;
    if (!*path) return wt_fail(o->cx, WT_EARG, "output name is empty");
    if (!stat(path, &s) && !S_ISREG(s.st_mode)) return wt_fail(o->cx, WT_EIO, "%s: is not a regular file, it will not be replaced", path);
    o->path = wt_strdup(o->cx, path);
    if (!o->path) return WITAN_ENOMEM;
    for (uint32_t i = 0; i < 16; i++) {
        wt_free(o->cx, o->temp);
        o->temp = wt_printf(o->cx, "%s.tmp.%ld.%08x", path, (long)getpid(), some_number() + i * 7919);
        if (!o->temp) return WITAN_ENOMEM;
        o->fd = o->cx->io.open(o->cx->io.user, o->temp, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (o->fd >= 0 || errno != EEXIST) break;
    }
    return o->fd < 0 ? sys_fail(o, "create") : WITAN_OK;
}

wt_status wt_out_open(wt_ctx *cx, const char *path, wt_out **out)
{
    wt_out *o = wt_realloc(cx, NULL, 1, sizeof *o);
    if (!o) return WITAN_ENOMEM;
    *o = (wt_out){ .cx = cx, .fd = -1, .buf = wt_realloc(cx, NULL, BUF, 1) };
    wt_status st = o->buf ? begin(o, path) : WITAN_ENOMEM;
    if (st != WITAN_OK) wt_out_abort(&o); else *out = o;
    return st;
}

static wt_status put(wt_out *o, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t k = o->cx->io.write(o->cx->io.user, o->fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return sys_fail(o, "write");
        p += k;
        n -= (size_t)k;
    }
    return WITAN_OK;
}

static wt_status flush(wt_out *o)
{
    size_t n = o->used;
    o->used = 0;
    return put(o, o->buf, n);
}

wt_status wt_out_write(wt_out *o, const void *p, size_t n)
{
    o->pos += n;
    if (o->used + n > BUF) WT_TRY(flush(o));
    if (n >= BUF) return put(o, p, n);
    if (n) memcpy(o->buf + o->used, p, n);
    o->used += n;
    return WITAN_OK;
}

wt_status wt_out_zero(wt_out *o, size_t n)
{
    static const uint8_t zero[256];
    for (; n > sizeof zero; n -= sizeof zero) WT_TRY(wt_out_write(o, zero, sizeof zero));
    return wt_out_write(o, zero, n);
}

uint64_t wt_out_pos(const wt_out *o) { return o->pos; }

/* The file is complete under its name already, so nothing here is an error: a folder may be writable but not readable, and some file
 * systems refuse to sync one. */
static void sync_folder(wt_out *o)
{
    char *folder = folder_of(o->cx, o->path);
    if (!folder) return;
    int fd = o->cx->io.open(o->cx->io.user, folder, O_RDONLY | O_DIRECTORY, 0);
    wt_free(o->cx, folder);
    if (fd < 0) return;
    o->cx->io.fsync(o->cx->io.user, fd);
    o->cx->io.close(o->cx->io.user, fd);
}

wt_status wt_out_seal(wt_out *o)
{
    if (o->fd < 0) return WITAN_OK;
    WT_TRY(flush(o));
    mode_t mask = umask(0);
    umask(mask);
    fchmod(o->fd, 0666 & ~mask);                  /* private until complete */
    if (o->cx->io.fsync(o->cx->io.user, o->fd)) return sys_fail(o, "bring to disk");
    int fd = o->fd;
    o->fd = -1;
    wt_free(o->cx, o->buf);
    o->buf = NULL;
    return o->cx->io.close(o->cx->io.user, fd) ? sys_fail(o, "close") : WITAN_OK;
}

static wt_status finish(wt_out *o)
{
    WT_TRY(wt_out_seal(o));
    if (o->cx->io.rename(o->cx->io.user, o->temp, o->path)) return sys_fail(o, "rename the finished file");
    wt_free(o->cx, o->temp);
    o->temp = NULL;
    sync_folder(o);
    return WITAN_OK;
}

wt_status wt_out_commit(wt_out **out)
{
    wt_status st = finish(*out);
    wt_out_abort(out);
    return st;
}

void wt_out_abort(wt_out **out)
{
    wt_out *o = *out;
    if (!o) return;
    if (o->fd >= 0) o->cx->io.close(o->cx->io.user, o->fd);
    if (o->temp && *o->temp) o->cx->io.unlink(o->cx->io.user, o->temp);
    wt_free(o->cx, o->temp);
    wt_free(o->cx, o->path);
    wt_free(o->cx, o->buf);
    wt_free(o->cx, o);
    *out = NULL;
}

wt_status wt_file_write(wt_ctx *cx, const char *path, const void *p, size_t n)
{
    wt_out *o;
    WT_TRY(wt_out_open(cx, path, &o));
    wt_status st = wt_out_write(o, p, n);
    if (st != WITAN_OK) { wt_out_abort(&o); return st; }
    return wt_out_commit(&o);
}
