/* Appending to, cutting and reading log.jsonl. */
#include "train/log.h"

#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { MOST = 1 << 30 };

static char *path_of(wt_ctx *cx, const char *dir) { return wt_printf(cx, "%s/log.jsonl", dir); }

static wt_status sys_fail(wt_run_log *l, const char *what) { return wt_fail(l->cx, WT_EIO, "%s: cannot %s: %s", l->path, what, strerror(errno)); }

/* How much of the text is lines of steps up to `step`. A line that is cut off or damaged ends it: what stands behind was never finished. */
static size_t good(wt_ctx *cx, const char *path, const char *text, size_t n, int64_t step)
{
    size_t at = 0, end = 0, len;
    const char *line;
    while (wt_line_next(text, n, &at, &line, &len) && at <= n && text[at - 1] == '\n') {
        json_t *o;
        if (wt_json_parse(cx, line, len, path, &o) != WITAN_OK) break;
        json_t *s = json_object_get(o, "step");
        bool keep = json_is_integer(s) && json_integer_value(s) <= step;
        json_decref(o);
        if (!keep) break;
        end = at;
    }
    return end;
}

static wt_status cut(wt_run_log *l, int64_t step)
{
    char *text;
    size_t n;
    int fd = l->cx->io.open(l->cx->io.user, l->path, O_RDONLY, 0);
    if (fd < 0) return errno == ENOENT ? WITAN_OK : sys_fail(l, "open");
    l->cx->io.close(l->cx->io.user, fd);
    WT_TRY(wt_file_read(l->cx, l->path, MOST, &text, &n));
    size_t keep = good(l->cx, l->path, text, n, step);
    wt_status st = keep < n ? wt_file_write(l->cx, l->path, text, keep) : WITAN_OK;
    wt_free(l->cx, text);
    return st;
}

wt_status wt_log_open(wt_ctx *cx, const char *dir, int64_t step, wt_run_log *out)
{
    *out = (wt_run_log){ .cx = cx, .path = path_of(cx, dir), .fd = -1 };
    if (!out->path) return WT_ENOMEM;
    wt_status st = cut(out, step);
    if (st == WITAN_OK) {
        out->fd = cx->io.open(cx->io.user, out->path, O_WRONLY | O_APPEND | O_CREAT, 0666);
        if (out->fd < 0) st = sys_fail(out, "open");
    }
    if (st != WITAN_OK) wt_log_close(out);
    return st;
}

wt_status wt_log_line(wt_run_log *l, const char *line, size_t n)
{
    while (n) {
        ssize_t k = l->cx->io.write(l->cx->io.user, l->fd, line, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return sys_fail(l, "write");
        line += k;
        n -= (size_t)k;
    }
    return WITAN_OK;
}

wt_status wt_log_sync(wt_run_log *l) { return l->cx->io.fsync(l->cx->io.user, l->fd) ? sys_fail(l, "bring to disk") : WITAN_OK; }

void wt_log_close(wt_run_log *l)
{
    if (!l->cx) return;
    if (l->fd >= 0) l->cx->io.close(l->cx->io.user, l->fd);
    wt_free(l->cx, l->path);
    *l = (wt_run_log){ .fd = -1 };
}

wt_status wt_log_read(wt_ctx *cx, const char *dir, json_t **lines)
{
    char *path = path_of(cx, dir), *text = NULL;
    size_t n = 0, at = 0, len;
    const char *line;
    *lines = NULL;
    wt_status st = path ? wt_file_read(cx, path, MOST, &text, &n) : WT_ENOMEM;
    if (st == WITAN_OK && !(*lines = json_array())) st = wt_fail(cx, WT_ENOMEM, "out of memory reading %s", path);
    while (st == WITAN_OK && wt_line_next(text, n, &at, &line, &len)) {
        json_t *o;
        st = wt_json_parse(cx, line, len, path, &o);
        if (st == WITAN_OK && json_array_append_new(*lines, o)) st = wt_fail(cx, WT_ENOMEM, "out of memory reading %s", path);
    }
    if (st != WITAN_OK) { json_decref(*lines); *lines = NULL; }
    wt_free(cx, text);
    wt_free(cx, path);
    return st;
}
