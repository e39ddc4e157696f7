/* Splitting rules, written by hand.
 *   gpt-2:     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   starcoder: every \p{N} alone, the rest by gpt-2
 *   llama3:    as qwen2 with \p{N}{1,3} for \p{N}
 *   qwen2:     '[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*
 *              |\s*[\r\n]+|\s+(?!\S)|\s+
 * Bytes that are not UTF-8 count, each alone, as symbols: neither letter, number nor space. */
#include "text/vocab.h"

#include <string.h>
#include <strings.h>
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

/* Length of 's, 't, 're ... at s, 0 if there is none. */
static size_t contraction(const char *s, size_t n, bool any_case)
{
    static const char *const end[] = { "'s", "'t", "'re", "'ve", "'m", "'ll", "'d" };
    for (size_t i = 0; i < sizeof end / sizeof *end; i++) {
        size_t k = strlen(end[i]);
        if (k <= n && !(any_case ? strncasecmp(s, end[i], k) : memcmp(s, end[i], k))) return k;
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
        size_t k = contraction(text, n, false);
        if (k) return k;
    }
    if (c != SPACE) return run(text, n, c);
    class next = look(text + len, n - len, &next_len);
    if (*text == ' ' && next != SPACE && next != END) return 1 + run(text + 1, n - 1, next);
    return spaces(text, n);
}

/* gpt-2 on text whose numbers have been cut out first: a run of anything else ends where a number begins, and white space before a number
 * stands at the end of its piece. */
size_t wt_split_starcoder(const char *text, size_t n)
{
    size_t len, part = 0;
    if (look(text, n, &len) == NUMBER) return len;
    while (part < n && look(text + part, n - part, &len) != NUMBER) part += len;
    return wt_split_gpt2(text, part);
}

static bool newline(char c) { return c == '\r' || c == '\n'; }

/* White space that holds a line end is cut behind the last one. */
static size_t lines(const char *s, size_t n)
{
    size_t all = run(s, n, SPACE);
    while (all && !newline(s[all - 1])) all--;
    return all;
}

/* The rule of llama-3 and qwen2, which differ in how many digits stay together. */
static size_t split_modern(const char *text, size_t n, int digits)
{
    size_t len, next_len, k;
    class c = look(text, n, &len);
    if (*text == '\'' && (k = contraction(text, n, true))) return k;
    if (c == LETTER) return run(text, n, LETTER);
    if (c == NUMBER) {
        for (k = len; --digits && look(text + k, n - k, &len) == NUMBER;) k += len;
        return k;
    }
    class next = look(text + len, n - len, &next_len);
    if (next == LETTER && !newline(*text)) return len + run(text + len, n - len, LETTER);
    if (c == OTHER || (*text == ' ' && next == OTHER)) {
        size_t at = c == OTHER ? 0 : 1;
        at += run(text + at, n - at, OTHER);
        while (at < n && newline(text[at])) at++;
        return at;
    }
    return (k = lines(text, n)) ? k : spaces(text, n);
}

size_t wt_split_qwen2(const char *text, size_t n) { return split_modern(text, n, 1); }
size_t wt_split_llama3(const char *text, size_t n) { return split_modern(text, n, 3); }
