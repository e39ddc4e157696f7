/* Talking to people: errors, notes, progress, sizes; reading what a command works on. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

double cli_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int cli_fail(cli *c, const char *fmt, ...)
{
    va_list ap;
    cli_progress_end(c);
    if (cli_interrupted()) { fputs("witan: interrupted\n", stderr); return EXIT_INTERRUPTED; }
    va_start(ap, fmt);
    fputs("witan: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return EXIT_FAILED;
}

int cli_failed(cli *c) { return cli_fail(c, "%s", witan_error(c->cx)); }

void cli_note(cli *c, const char *fmt, ...)
{
    va_list ap;
    if (c->o.quiet) return;
    cli_progress_end(c);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

/* ---- the terminal --------------------------------------------------------------------------------------------------- */

bool cli_terminal(FILE *f)
{
    const char *term = getenv("TERM");
    return isatty(fileno(f)) && (!term || strcmp(term, "dumb"));
}

int cli_width(FILE *f)
{
    struct winsize w;
    bool known = cli_terminal(f) && ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_col > 0;
    return known ? w.ws_col : 80;
}

const char *cli_style(FILE *f, cli_look look)
{
    static const char *const code[] = { "\033[0m", "\033[1m", "\033[1;31m", "\033[33m" };
    const char *no = getenv("NO_COLOR");
    return (no && *no) || !cli_terminal(f) ? "" : code[look];
}

/* ---- progress ------------------------------------------------------------------------------------------------------- */

static void describe(const cli *c, const witan_progress *p, double now, char *buf, size_t cap)
{
    double share = p->total > 0 ? p->done / p->total : 0, spent = now - c->phase_start;
    char a[32], b[32];
    bool bytes = !strcmp(p->unit, "bytes");
    const char *done = bytes ? cli_bytes(p->done, a) : (snprintf(a, sizeof a, "%.0f", p->done), a);
    const char *total = bytes ? cli_bytes(p->total, b) : (snprintf(b, sizeof b, "%.0f", p->total), b);
    int n = snprintf(buf, cap, "%-12s %3.0f %%  %s of %s%s%s", p->phase, 100 * share, done, total, bytes ? "" : " ", bytes ? "" : p->unit);
    if (share > 0.02 && share < 1 && spent > 0.5 && n > 0 && (size_t)n < cap)
        snprintf(buf + n, cap - (size_t)n, ", %.0f s left", spent * (1 - share) / share + 0.5);
}

/* Terminal: one line, at most ten times a second. Otherwise a line each ten seconds or ten percent, after the first two seconds. */
bool cli_progress(void *user, const witan_progress *p)
{
    cli *c = user;
    double now = cli_now(), share = p->total > 0 ? p->done / p->total : 0;
    char line[256];
    if (c->o.quiet) return !cli_interrupted();
    if (!c->phase || strcmp(c->phase, p->phase) || share < c->last_share) {
        c->phase = p->phase;
        c->phase_start = c->last_time = now;
        c->last_share = 0;
    }
    bool due = c->tty ? now - c->last_time > 0.1
                      : now - c->phase_start > 2 && (now - c->last_time > 10 || share - c->last_share > 0.1);
    if (due) {
        describe(c, p, now, line, sizeof line);
        if (c->tty) fprintf(stderr, "\r\033[K%.*s", cli_width(stderr) - 1, line); else fprintf(stderr, "%s\n", line);
        fflush(stderr);
        c->shown = c->tty;
        c->last_time = now;
        if (!c->tty) c->last_share = share;
    }
    return !cli_interrupted();
}

void cli_progress_end(cli *c)
{
    if (c->shown) fputs("\r\033[K", stderr);
    c->shown = false;
}

/* ---- numbers -------------------------------------------------------------------------------------------------------- */

static const char *scaled(double n, const char *const *unit, char buf[32])
{
    int i = 0;
    while (n >= 999.5 && unit[i + 1]) { n /= 1000; i++; }
    snprintf(buf, 32, i == 0 || n >= 99.95 ? "%.0f%s" : n >= 9.995 ? "%.1f%s" : "%.2f%s", n, unit[i]);
    return buf;
}

const char *cli_bytes(double n, char buf[32])
{
    static const char *const unit[] = { " B", " kB", " MB", " GB", " TB", NULL };
    return scaled(n, unit, buf);
}

const char *cli_count(double n, char buf[32])
{
    static const char *const unit[] = { "", " k", " M", " B", " T", NULL };
    return scaled(n, unit, buf);
}

/* ---- text ----------------------------------------------------------------------------------------------------------- */

static int read_fd(cli *c, int fd, const char *name, char **text, size_t *n)
{
    size_t cap = 65536;
    char *s = malloc(cap);
    *n = 0;
    while (s) {
        ssize_t k = read(fd, s + *n, cap - *n - 1);
        if (k < 0 && errno == EINTR && !cli_interrupted()) continue;
        if (k < 0) { int e = errno; free(s); return cli_fail(c, "%s: cannot read: %s", name, strerror(e)); }
        if (!k) break;
        *n += (size_t)k;
        if (cap - *n > 1) continue;
        char *more = cap > (size_t)1 << 30 ? NULL : realloc(s, cap *= 2);
        if (!more) free(s);
        s = more;
    }
    if (!s) return cli_fail(c, "%s: too large", name);
    s[*n] = 0;
    *text = s;
    return -1;
}

int cli_read_text(cli *c, const char *file, const char *argument, char **text, size_t *n)
{
    if (file && strcmp(file, "-")) {
        int fd = open(file, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return cli_fail(c, "%s: cannot open: %s", file, strerror(errno));
        int status = read_fd(c, fd, file, text, n);
        close(fd);
        return status;
    }
    if (!file && argument && strcmp(argument, "-")) {
        *text = strdup(argument);
        *n = *text ? strlen(*text) : 0;
        return *text ? -1 : cli_fail(c, "out of memory");
    }
    return read_fd(c, STDIN_FILENO, "standard input", text, n);
}

int cli_load_plan(cli *c, const char *path, const witan_model *m, witan_plan **plan)
{
    if (witan_plan_load(c->cx, path, plan)) return cli_failed(c);
    return witan_plan_check(c->cx, *plan, m) ? cli_fail(c, "%s: %s", path, witan_error(c->cx)) : -1;
}
