/* Talking to people and to programs: errors, notes, numbers; reading what a command works on. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double cli_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- messages ------------------------------------------------------------------------------------------------------- */

static bool as_json;                             /* wrong usage is reported before there is anything else to keep this in */

void cli_log_json(bool on) { as_json = on; }

static void print_json_line(const char *level, const char *message)
{
    json_t *o = json_object();
    json_object_set_new(o, "level", json_string(level));
    json_object_set_new(o, "message", cli_text(message, strlen(message)));
    json_dumpf(o, stderr, JSON_COMPACT);
    fputc('\n', stderr);
    json_decref(o);
}

/* One line, whatever is in file names. */
static void say(const char *level, const char *prefix, cli_look look, const char *fmt, va_list ap)
{
    char line[2048];
    vsnprintf(line, sizeof line, fmt, ap);
    for (char *c = line; *c; c++) if ((unsigned char)*c < 32 || *c == 127) *c = '?';
    if (as_json) print_json_line(level, line);
    else fprintf(stderr, "%s%s%s%s\n", look ? cli_style(stderr, look) : "", prefix, look ? cli_style(stderr, CLI_PLAIN) : "", line);
}

static void error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("error", "witan: ", CLI_RED, fmt, ap);
    va_end(ap);
}

int cli_fail(cli *c, const char *fmt, ...)
{
    va_list ap;
    cli_progress_end(c);
    if (cli_interrupted()) { error("interrupted"); return cli_interrupted_status(); }
    va_start(ap, fmt);
    say("error", "witan: ", CLI_RED, fmt, ap);
    va_end(ap);
    return EXIT_FAILED;
}

int cli_failed(cli *c) { return cli_fail(c, "%s", witan_error(c->cx)); }

int cli_usage(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("error", "witan: ", CLI_RED, fmt, ap);
    va_end(ap);
    return EXIT_USAGE;
}

/* A reader that has seen enough (`| head`) is no mishap to talk about. */
int cli_output_failed(cli *c, int reason)
{
    if (c) cli_progress_end(c);
    if (cli_interrupted()) { error("interrupted"); return cli_interrupted_status(); }
    if (reason == EPIPE) return EXIT_NO_READER;
    if (reason) error("standard output: cannot write: %s", strerror(reason)); else error("standard output: cannot write");
    return EXIT_FAILED;
}

void cli_note(cli *c, const char *fmt, ...)
{
    va_list ap;
    if (c->o.quiet) return;
    cli_progress_end(c);
    va_start(ap, fmt);
    say("info", "", CLI_PLAIN, fmt, ap);
    va_end(ap);
}

void cli_warn(cli *c, const char *fmt, ...)
{
    va_list ap;
    if (c->o.quiet) return;
    cli_progress_end(c);
    va_start(ap, fmt);
    say("warning", "warning: ", CLI_YELLOW, fmt, ap);
    va_end(ap);
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
    if (isatty(STDIN_FILENO)) cli_note(c, "reading standard input up to Ctrl-D");
    return read_fd(c, STDIN_FILENO, "standard input", text, n);
}

const char *const cli_kv_types[] = { "auto", "f32", "f16", "q8_0", NULL };

int cli_load_plan(cli *c, const char *path, const witan_model *m, witan_plan **plan)
{
    if (witan_plan_load(c->cx, path, plan)) return cli_failed(c);
    return witan_plan_check(c->cx, *plan, m) ? cli_fail(c, "%s: %s", path, witan_error(c->cx)) : -1;
}

int cli_with_model(cli *c, const char *pre, const char *plan, int (*work)(cli *c, const void *opts, witan_model *m, witan_plan *p), const void *opts)
{
    witan_model *m = NULL;
    witan_plan *p = NULL;
    int status = -1;
    if (witan_model_open(c->cx, c->arg[0], &(witan_model_options){ .pre = pre }, &m)) return cli_failed(c);
    if (plan) status = cli_load_plan(c, plan, m, &p);
    if (status < 0) status = work(c, opts, m, p);
    witan_plan_free(p);
    witan_model_free(m);
    return status;
}
