/* JSON on standard output: one object indented for people, several as one line each. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *cli_text(const char *s, size_t n)
{
    json_t *whole = json_stringn(s, n);
    if (whole) return whole;
    char *clean = malloc(3 * n + 1);
    size_t to = 0;
    for (size_t at = 0; clean && at < n;) {      /* bytes that are no text become U+FFFD */
        size_t good = witan_utf8_check(s + at, n - at);
        memcpy(clean + to, s + at, good);
        to += good;
        at += good;
        if (at < n) { memcpy(clean + to, "\xEF\xBF\xBD", 3); to += 3; at++; }
    }
    whole = clean ? json_stringn(clean, to) : NULL;
    free(clean);
    return whole;
}

json_t *cli_number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

/* The end of the string or of the flat array that begins at s: both stay on one line. */
static const char *one_piece(const char *s)
{
    bool array = *s == '[', text = !array;
    for (s++; *s && (text || *s != ']'); s++) {
        if (*s == '\\' && s[1]) s++;
        else if (*s == '"' && !array) break;
        else if (*s == '"') text = !text;
    }
    return *s ? s + 1 : s;
}

static bool is_flat(const char *s)
{
    return *s == '[' && s[1] != '{' && s[1] != '[';
}

static void print_flat(const char *s, const char *end)
{
    while (s < end) {
        const char *next = *s == '"' ? one_piece(s) : s + 1;
        fwrite(s, 1, (size_t)(next - s), stdout);
        if (*s == ',') putchar(' ');
        s = next + (*next == ' ');
    }
}

void cli_print_indented(const char *json)
{
    int depth = 0;
    for (const char *s = json; *s && *s != '\n';) {
        bool flat = is_flat(s);
        const char *end = *s == '"' || flat ? one_piece(s) : s + 1;
        bool opens = end == s + 1 && (*s == '{' || *s == '['), closes = *s == '}' || *s == ']';
        bool empty = opens && (s[1] == '}' || s[1] == ']');
        if (empty) end++;
        if (closes) printf("\n%*s", 2 * --depth, "");
        if (flat && !empty) print_flat(s, end); else fwrite(s, 1, (size_t)(end - s), stdout);
        if (opens && !empty) printf("\n%*s", 2 * ++depth, "");
        else if (*s == ',') printf("\n%*s", 2 * depth, "");
        else if (*s == ':') putchar(' ');
        s = end;
    }
    putchar('\n');
}

int cli_print(cli *c, json_t *o)
{
    cli_progress_end(c);
    char *s = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(o);
    if (!s) return cli_fail(c, "out of memory");
    cli_print_indented(s);
    free(s);
    return fflush(stdout) ? cli_output_failed(c, errno) : EXIT_OK;
}

int cli_print_line(cli *c, json_t *o)
{
    cli_progress_end(c);
    if (!o) return cli_fail(c, "out of memory");
    json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(10));
    json_decref(o);
    putchar('\n');
    return fflush(stdout) ? cli_output_failed(c, errno) : EXIT_OK;
}
