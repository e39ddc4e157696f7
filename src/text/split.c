/* The gpt-2 splitting rule, written by hand:
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * Bytes that are not UTF-8 count, each alone, as symbols: neither letter, number nor space. */
#include "text/vocab.h"

#include <string.h>
#include <utf8proc.h>

typedef enum class { SPACE, LETTER, NUMBER, OTHER, END } class;

static bool is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* Class and length of the character at s. */
static class look(const char *s, size_t n, size_t *len)
{
    *len = 1;
    if (!n) { *len = 0; return END; }
    utf8proc_int32_t c;
    utf8proc_ssize_t k = utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)(n < 4 ? n : 4), &c);
    if (k <= 0) return OTHER;
    *len = (size_t)k;
    if (is_space(c)) return SPACE;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT: case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return LETTER;
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_NO: return NUMBER;
    default: return OTHER;
    }
}

/* Bytes of the run of one class that begins at s. */
static size_t run(const char *s, size_t n, class want)
{
    size_t at = 0, len;
    while (look(s + at, n - at, &len) == want) at += len;
    return at;
}

static size_t contraction(const char *s, size_t n)
{
    static const char *const end[] = { "'s", "'t", "'re", "'ve", "'m", "'ll", "'d" };
    for (size_t i = 0; i < sizeof end / sizeof *end; i++) {
        size_t k = strlen(end[i]);
        if (k <= n && !memcmp(s, end[i], k)) return k;
    }
    return 0;
}

/* White space: all of it at the end of the text, else all but the last character, which may begin the next piece. */
static size_t spaces(const char *s, size_t n)
{
    size_t all = 0, last = 0, len;
    while (look(s + all, n - all, &len) == SPACE) { all += len; last = len; }
    return all == n || all == last ? all : all - last;
}

size_t wt_split_gpt2(const char *text, size_t n)
{
    size_t len, next_len;
    class c = look(text, n, &len);
    if (*text == '\'') {
        size_t k = contraction(text, n);
        if (k) return k;
    }
    if (c != SPACE) return run(text, n, c);
    class next = look(text + len, n - len, &next_len);
    if (*text == ' ' && next != SPACE && next != END) return 1 + run(text + 1, n - 1, next);
    return spaces(text, n);
}
