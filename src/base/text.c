/* Growing text. */
#include "base/ctx.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void wt_text_init(wt_text *t, wt_ctx *cx) { *t = (wt_text){ .cx = cx }; }

static bool room(wt_text *t, size_t n)
{
    if (t->failed) return false;
    size_t need, cap = t->cap ? t->cap : 256;
    if (wt_add_over(t->n, n + 1, &need)) { t->failed = true; return false; }
    if (need <= t->cap) return true;
    while (cap < need) cap = cap > need / 2 ? cap + cap / 2 + 64 : need;
    char *s = wt_realloc(t->cx, t->s, cap, 1);
    if (!s) { t->failed = true; return false; }
    t->s = s;
    t->cap = cap;
    return true;
}

void wt_text_put(wt_text *t, const char *s, size_t n)
{
    if (!room(t, n)) return;
    if (n) memcpy(t->s + t->n, s, n);
    t->n += n;
    t->s[t->n] = 0;
}

void wt_text_puts(wt_text *t, const char *s) { wt_text_put(t, s, strlen(s)); }

void wt_text_printf(wt_text *t, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0 && room(t, (size_t)n)) {
        vsnprintf(t->s + t->n, (size_t)n + 1, fmt, again);
        t->n += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

void wt_text_num(wt_text *t, double v)
{
    char buf[40];
    if (!isfinite(v)) { wt_text_puts(t, "null"); return; }
    snprintf(buf, sizeof buf, fabs(v) < 1e15 && v == floor(v) ? "%.0f" : "%.17g", v);
    for (char *c = buf; *c; c++) if (*c == ',') *c = '.';
    wt_text_puts(t, buf);
}

wt_status wt_text_take(wt_text *t, char **s, size_t *n)
{
    wt_text_put(t, "", 0);                       /* at least the end mark */
    if (t->failed) {
        wt_text_free(t);
        return wt_fail(t->cx, WT_ENOMEM, "out of memory while writing text");
    }
    *s = t->s;
    if (n) *n = t->n;
    *t = (wt_text){ .cx = t->cx };
    return WITAN_OK;
}

void wt_text_free(wt_text *t)
{
    wt_free(t->cx, t->s);
    *t = (wt_text){ .cx = t->cx };
}
