/* Progress of long work, as a line that replaces itself on a terminal, as lines now and then elsewhere, or as JSON. */
#include "cli.h"

#include <jansson.h>
#include <string.h>

/* Seconds that are left at the pace of this phase; negative: unknown. */
static double remaining(const cli *c, const witan_progress *p, double now)
{
    double share = p->total > c->phase_first ? (p->done - c->phase_first) / (p->total - c->phase_first) : 0, spent = now - c->phase_start;
    if (p->total > 0 && p->done >= p->total) return 0;
    return share > 0.02 && spent > 0.5 ? spent * (1 - share) / share : -1;
}

static void amount(const witan_progress *p, double n, char buf[32])
{
    if (strcmp(p->unit, "bytes")) snprintf(buf, 32, "%.0f", n); else cli_bytes(n, buf);
}

static void describe(const cli *c, const witan_progress *p, double now, char *buf, size_t cap)
{
    char done[32], total[32];
    const char *unit = strcmp(p->unit, "bytes") ? p->unit : "";
    double left = remaining(c, p, now), spent = now - c->phase_start;
    size_t n;
    amount(p, p->done, done);
    amount(p, p->total, total);
    if (p->total > 0) n = (size_t)snprintf(buf, cap, "%-12s %3.0f %%  %s of %s%s%s", p->phase, 100 * p->done / p->total, done, total, *unit ? " " : "", unit);
    else n = (size_t)snprintf(buf, cap, "%-12s %s%s%s", p->phase, done, *unit ? " " : "", unit);
    if (n < cap && !strcmp(p->unit, "tokens") && spent > 0.5)
        n += (size_t)snprintf(buf + n, cap - n, ", %.0f tokens/s", (p->done - c->phase_first) / spent);
    if (left <= 0 || n >= cap) return;
    if (left < 100) snprintf(buf + n, cap - n, ", %.0f s left", left + 0.5);
    else if (left < 6000) snprintf(buf + n, cap - n, ", %.0f min left", left / 60);
    else snprintf(buf + n, cap - n, ", %.1f h left", left / 3600);
}

static void print_json(const cli *c, const witan_progress *p, double now)
{
    double left = remaining(c, p, now);
    json_t *o = json_object();
    json_object_set_new(o, "phase", json_string(p->phase));
    json_object_set_new(o, "done", json_integer((json_int_t)p->done));
    json_object_set_new(o, "total", p->total > 0 ? json_integer((json_int_t)p->total) : json_null());
    json_object_set_new(o, "unit", json_string(p->unit));
    json_object_set_new(o, "remaining_s", left >= 0 ? json_real(left) : json_null());
    json_dumpf(o, stderr, JSON_COMPACT | JSON_REAL_PRECISION(4));
    fputc('\n', stderr);
    json_decref(o);
}

/* A phase begins when its name is new, or when it starts over. */
static bool begins(cli *c, const witan_progress *p, double now)
{
    bool same = c->phase && !strcmp(c->phase, p->phase) && p->done >= c->last_done;
    c->last_done = p->done;
    if (same) return false;
    c->phase = p->phase;
    c->phase_start = c->last_time = now;
    c->phase_first = p->done;
    c->last_share = 0;
    return true;
}

/* JSON: begin, end, and twice a second. Terminal: ten times a second. Otherwise, after two seconds, each ten seconds or ten percent. */
static bool due(const cli *c, const witan_progress *p, bool first, double share, double now)
{
    if (c->o.log) return first || (p->total > 0 && p->done >= p->total) || now - c->last_time > 0.5;
    if (c->tty) return now - c->last_time > 0.1;
    return now - c->phase_start > 2 && (now - c->last_time > 10 || share - c->last_share > 0.1);
}

bool cli_progress(void *user, const witan_progress *p)
{
    cli *c = user;
    double now = cli_now(), share = p->total > 0 ? p->done / p->total : 0;
    bool first = begins(c, p, now);
    char line[256];
    if (c->o.quiet || !due(c, p, first, share, now)) return !cli_interrupted();
    c->last_time = now;
    c->last_share = share;
    if (c->o.log) print_json(c, p, now);
    else {
        describe(c, p, now, line, sizeof line);
        if (c->tty) fprintf(stderr, "\r\033[K%.*s", cli_width(stderr) - 1, line); else fprintf(stderr, "%s\n", line);
        c->shown = c->tty;
    }
    fflush(stderr);
    return !cli_interrupted();
}

void cli_progress_end(cli *c)
{
    if (c->shown) fputs("\r\033[K", stderr);
    c->shown = false;
}
