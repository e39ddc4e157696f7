/* Reading in blocks that end where a line does. The part of a line that a block leaves over is moved to the front of the buffer. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST_LINE = 1 << 30, PROSE = 16 };

struct wt_in {
    wt_ctx *cx;
    char *path, *buf;
    int fd;
    bool own, ended;             /* own: the descriptor is closed at the end */
    size_t cap, from, to;        /* buf[from .. to) is read, but not handed out */
    double size;
};

static wt_status sys_fail(wt_in *in, const char *what)
{
    return wt_fail(in->cx, WT_EIO, "%s: cannot %s: %s", in->path, what, strerror(errno));
}

static wt_status begin(wt_in *in, const char *path)
{
    in->own = strcmp(path, "-") != 0;
    in->path = wt_strdup(in->cx, in->own ? path : "standard input");
    if (!in->path) return WT_ENOMEM;
    in->fd = in->own ? in->cx->io.open(in->cx->io.user, path, O_RDONLY, 0) : STDIN_FILENO;
    if (in->fd < 0) return sys_fail(in, "open");
    int64_t size = in->cx->io.size(in->cx->io.user, in->fd);
    if (size < 0 && errno == EISDIR) return wt_fail(in->cx, WT_EIO, "%s: is a folder, expected a file", in->path);
    in->size = size > 0 ? (double)size : 0;
    return WITAN_OK;
}

wt_status wt_in_open(wt_ctx *cx, const char *path, wt_in **out)
{
    wt_in *in = wt_alloc(cx, 1, sizeof *in);
    if (!in) return WT_ENOMEM;
    in->cx = cx;
    in->fd = -1;
    wt_status st = begin(in, path);
    if (st != WITAN_OK) wt_in_free(in); else *out = in;
    return st;
}

/* Reads until there are `want` bytes, or the file ends. */
static wt_status fill(wt_in *in, size_t want)
{
    if (want > in->cap) {
        char *p = wt_realloc(in->cx, in->buf, want, 1);
        if (!p) return WT_ENOMEM;
        in->buf = p;
        in->cap = want;
    }
    while (!in->ended && in->to < want) {
        ssize_t k = in->cx->io.read(in->cx->io.user, in->fd, in->buf + in->to, want - in->to);
        if (k < 0 && errno == EINTR) { WT_TRY(wt_go_on(in->cx)); continue; }
        if (k < 0) return sys_fail(in, "read");
        in->ended = !k;
        in->to += (size_t)k;
    }
    return WITAN_OK;
}

static bool blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Where a block of the n bytes ends; 0: nowhere. */
static size_t line_end(const char *s, size_t n, bool prose)
{
    for (size_t i = n; i-- > 0;)
        if (s[i] == '\n' && (!prose || (i + 1 < n && !blank(s[i + 1])))) return i + 1;
    return 0;
}

static size_t character_end(const char *s, size_t n)
{
    size_t i = n;
    while (i > 1 && n - i < 4 && ((unsigned char)s[i - 1] & 0xC0) == 0x80) i--;
    return i > 1 && (unsigned char)s[i - 1] >= 0xC0 ? i - 1 : n;    /* the last character may not be whole */
}

wt_status wt_in_block(wt_in *in, size_t want, bool prose, const char **text, size_t *n)
{
    if (in->from) memmove(in->buf, in->buf + in->from, in->to - in->from);
    in->to -= in->from;
    in->from = 0;
    size_t most = prose ? PROSE * want : LONGEST_LINE;
    for (size_t room = want;; room = room < most / 2 ? room * 2 : most) {
        WT_TRY(fill(in, room));
        if (in->ended) { *n = in->to; break; }
        if ((*n = line_end(in->buf, in->to, prose))) break;
        if (room < most) continue;
        if (!prose) return wt_fail(in->cx, WT_ELIMIT, "%s: a line is longer than %d bytes", in->path, LONGEST_LINE);
        *n = character_end(in->buf, in->to);
        break;
    }
    *text = in->buf;
    in->from = *n;
    return WITAN_OK;
}

double wt_in_size(const wt_in *in) { return in->size; }

void wt_in_free(wt_in *in)
{
    if (!in) return;
    if (in->own && in->fd >= 0) in->cx->io.close(in->cx->io.user, in->fd);
    wt_free(in->cx, in->path);
    wt_free(in->cx, in->buf);
    wt_free(in->cx, in);
}
