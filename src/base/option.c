/* Option tables: defaults, parsing, printing, and the nearest name to a mistyped one. Independent of the locale. */
#include "base/option.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_number(const wt_param *p, void *opts, double v)
{
    void *f = (char *)opts + p->offset;
    switch (p->type) {
    case WITAN_P_F32: *(float *)f = (float)v; break;
    case WITAN_P_F64: *(double *)f = v; break;
    case WITAN_P_I32: case WITAN_P_ENUM: *(int32_t *)f = (int32_t)v; break;
    case WITAN_P_I64: *(int64_t *)f = (int64_t)v; break;
    case WITAN_P_BOOL: *(bool *)f = v != 0; break;
    case WITAN_P_STR: break;
    }
}

void witan_opt_defaults(const wt_param *table, void *opts)
{
    for (const wt_param *p = table; p && p->name; p++)
        if (p->type == WITAN_P_STR) *(const char **)((char *)opts + p->offset) = p->def_text;
        else set_number(p, opts, p->def);
}

/* Names are equal when they differ in '-' and '_' only. */
static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b)) return false;
    return !*a && !*b;
}

const witan_param *witan_opt_find(const wt_param *table, const char *name)
{
    for (const wt_param *p = table; p && p->name; p++)
        if (same_name(p->name, name) || (p->alias && same_name(p->alias, name))) return p;
    return NULL;
}

static const char *shown(const char *name, char buf[64])
{
    snprintf(buf, 64, "%s", name);
    for (char *c = buf; *c; c++) if (*c == '_') *c = '-';
    return buf;
}

/* strtod in the C locale: a decimal comma of the user's locale must not change what a file or a command line means. */
static double to_double(const char *text, char **end)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", NULL);
    double v = c ? strtod_l(text, end, c) : strtod(text, end);
    if (c) freelocale(c);
    return v;
}

static const struct { const char *text; int64_t factor; } suffix[] = {
    { "K", 1000 }, { "M", 1000000 }, { "G", 1000000000 }, { "Ki", 1 << 10 }, { "Mi", 1 << 20 }, { "Gi", 1 << 30 },
};

static bool to_int(const char *text, int64_t *v)
{
    char *end;
    errno = 0;
    *v = strtoll(text, &end, 10);
    if (end == text || (errno && errno != ERANGE)) return false;   /* out of range: the nearest is returned, and refused later */
    if (!*end) return true;
    if (errno) return false;
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; i++)
        if (!strcmp(end, suffix[i].text)) return !__builtin_mul_overflow(*v, suffix[i].factor, v);
    return false;
}

static wt_status set_int(wt_ctx *cx, const wt_param *p, void *opts, const char *name, const char *text)
{
    int64_t v;
    if (!to_int(text, &v)) return wt_fail(cx, WT_EARG, "%s: \"%s\" is not a whole number", name, text);
    if ((double)v < p->min || (double)v > p->max)
        return wt_fail(cx, WT_EARG, "%s: %s is outside [%.0f, %.0f]", name, text, p->min, p->max);
    void *f = (char *)opts + p->offset;
    if (p->type == WITAN_P_I64) *(int64_t *)f = v; else *(int32_t *)f = (int32_t)v;
    return WITAN_OK;
}

static wt_status set_real(wt_ctx *cx, const wt_param *p, void *opts, const char *name, const char *text)
{
    char *end;
    double v = to_double(text, &end);
    if (end == text || *end || !isfinite(v)) return wt_fail(cx, WT_EARG, "%s: \"%s\" is not a number", name, text);
    if (v < p->min || v > p->max) return wt_fail(cx, WT_EARG, "%s: %s is outside [%g, %g]", name, text, p->min, p->max);
    set_number(p, opts, v);
    return WITAN_OK;
}

static wt_status set_choice(wt_ctx *cx, const wt_param *p, void *opts, const char *name, const char *text)
{
    char list[256] = "";
    size_t n = 0;
    for (int32_t i = 0; p->choice[i]; i++, n++) {
        if (same_name(p->choice[i], text)) { set_number(p, opts, i); return WITAN_OK; }
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", p->choice[i]);
    }
    const char *near = witan_did_you_mean(text, p->choice, n);
    if (near) return wt_fail(cx, WT_EARG, "%s: \"%s\" is not one of %s; did you mean \"%s\"?", name, text, list, near);
    return wt_fail(cx, WT_EARG, "%s: \"%s\" is not one of %s", name, text, list);
}

static wt_status set_bool(wt_ctx *cx, const wt_param *p, void *opts, const char *name, const char *text)
{
    static const char *const yes[] = { "", "true", "yes", "on", "1" }, *const no[] = { "false", "no", "off", "0" };
    for (size_t i = 0; i < 5; i++) if (!strcmp(text, yes[i])) { set_number(p, opts, 1); return WITAN_OK; }
    for (size_t i = 0; i < 4; i++) if (!strcmp(text, no[i])) { set_number(p, opts, 0); return WITAN_OK; }
    return wt_fail(cx, WT_EARG, "%s: \"%s\" is not true or false", name, text);
}

static wt_status unknown(wt_ctx *cx, const wt_param *table, const char *name)
{
    const char *word[128];
    size_t n = 0;
    for (const wt_param *p = table; p && p->name && n < 128; p++) word[n++] = p->name;
    const char *near = witan_did_you_mean(name, word, n);
    char buf[64];
    if (near) return wt_fail(cx, WT_EARG, "unknown option \"%s\"; did you mean \"%s\"?", name, shown(near, buf));
    return wt_fail(cx, WT_EARG, "unknown option \"%s\"", name);
}

wt_status witan_opt_set(wt_ctx *cx, const wt_param *table, void *opts, const char *name, const char *text)
{
    char buf[64];
    const wt_param *p = witan_opt_find(table, name);
    if (!p) return unknown(cx, table, name);
    shown(p->name, buf);
    switch (p->type) {
    case WITAN_P_I32: case WITAN_P_I64: return set_int(cx, p, opts, buf, text);
    case WITAN_P_F32: case WITAN_P_F64: return set_real(cx, p, opts, buf, text);
    case WITAN_P_BOOL: return set_bool(cx, p, opts, buf, text);
    case WITAN_P_ENUM: return set_choice(cx, p, opts, buf, text);
    case WITAN_P_STR: *(const char **)((char *)opts + p->offset) = text; return WITAN_OK;
    }
    return wt_fail(cx, WT_EARG, "%s: option of unknown type", buf);
}

/* The shortest of %.*g that reads back the same, with a point whatever the locale says. */
static int real_text(char *buf, size_t cap, double v, bool single)
{
    char *end, tmp[64];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(tmp, sizeof tmp, "%.*g", digits, v);
        for (char *c = tmp; *c; c++) if (*c == ',') *c = '.';
        double back = to_double(tmp, &end);
        if (single ? (float)back == (float)v : back == v) break;
    }
    return snprintf(buf, cap, "%s", tmp);
}

int witan_opt_text(const wt_param *p, const void *opts, char *buf, size_t cap)
{
    const void *f = (const char *)opts + p->offset;
    switch (p->type) {
    case WITAN_P_F32: return real_text(buf, cap, *(const float *)f, true);
    case WITAN_P_F64: return real_text(buf, cap, *(const double *)f, false);
    case WITAN_P_I32: return snprintf(buf, cap, "%d", *(const int32_t *)f);
    case WITAN_P_I64: return snprintf(buf, cap, "%lld", (long long)*(const int64_t *)f);
    case WITAN_P_BOOL: return snprintf(buf, cap, "%s", *(const bool *)f ? "true" : "false");
    case WITAN_P_ENUM: return snprintf(buf, cap, "%s", p->choice[*(const int32_t *)f]);
    case WITAN_P_STR: return snprintf(buf, cap, "%s", *(const char *const *)f ? *(const char *const *)f : "");
    }
    return 0;
}

/* ---- nearest name ------------------------------------------------------------------------------------------------- */

/* Edit distance with transposed neighbours counted once; words longer than the table are never near. */
static int distance(const char *a, const char *b)
{
    enum { MOST = 40 };
    size_t n = strlen(a), m = strlen(b);
    if (n > MOST || m > MOST) return 1000;
    int d[MOST + 1][MOST + 1];
    for (size_t i = 0; i <= n; i++) d[i][0] = (int)i;
    for (size_t j = 0; j <= m; j++) d[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            char x = a[i - 1] == '_' ? '-' : a[i - 1], y = b[j - 1] == '_' ? '-' : b[j - 1];
            int best = d[i - 1][j - 1] + (x != y);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best) best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

/* One word begins with the other, or holds it: "temperature" for "temp", "predict" in "n-predict". Three letters are the least. */
static const char *part_of(const char *typed, const char *const *word, size_t n)
{
    size_t len = strlen(typed);
    for (int inside = 0; inside < 2; inside++)
        for (size_t i = 0; i < n; i++) {
            size_t w = strlen(word[i]), least = w < len ? w : len;
            if (least < 3) continue;
            if (inside ? strstr(w < len ? typed : word[i], w < len ? word[i] : typed) != NULL : !strncmp(typed, word[i], least)) return word[i];
        }
    return NULL;
}

const char *witan_did_you_mean(const char *typed, const char *const *word, size_t n)
{
    const char *near = NULL;
    int best = ((int)strlen(typed) + 1) / 3;
    if (best < 1) best = 1;
    for (size_t i = 0; i < n; i++) {
        int d = distance(typed, word[i]);
        if (d < best || (d == best && !near)) { best = d; near = word[i]; }
    }
    return near ? near : part_of(typed, word, n);
}

/* ---- lists of options --------------------------------------------------------------------------------------------- */

wt_status wt_opt_parse(wt_ctx *cx, const wt_param *table, void *opts, const char *text)
{
    for (const char *at = text; at && *at;) {
        size_t n = strcspn(at, ","), eq = strcspn(at, "=");
        char name[64], value[128];
        if (eq > n) eq = n;
        size_t v = eq < n ? n - eq - 1 : 0;
        if (eq >= sizeof name || v >= sizeof value) return wt_fail(cx, WT_EARG, "option list \"%s\": expected name=value,name=value", text);
        snprintf(name, sizeof name, "%.*s", (int)eq, at);
        snprintf(value, sizeof value, "%.*s", (int)v, at + eq + (eq < n));
        const wt_param *p = witan_opt_find(table, name);
        if (p && p->type == WITAN_P_STR) return wt_fail(cx, WT_EARG, "option %s cannot stand in a list", name);
        WT_TRY(witan_opt_set(cx, table, opts, name, value));
        at += n + (at[n] == ',');
    }
    return WITAN_OK;
}
