#include "text/chars.h"

#include <utf8proc.h>

static bool is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static unsigned class_of(int32_t c)
{
    if (is_space(c)) return WT_CH_SPACE;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LT: return WT_CH_UPPER;
    case UTF8PROC_CATEGORY_LL: return WT_CH_LOWER;
    case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO: return WT_CH_CASELESS;
    case UTF8PROC_CATEGORY_ND: return WT_CH_DIGIT;
    case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_NO: return WT_CH_NUMERAL;
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: return WT_CH_MARK;
    case UTF8PROC_CATEGORY_PC: case UTF8PROC_CATEGORY_PD: case UTF8PROC_CATEGORY_PS: case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI: case UTF8PROC_CATEGORY_PF: case UTF8PROC_CATEGORY_PO: return WT_CH_PUNCT;
    case UTF8PROC_CATEGORY_SM: case UTF8PROC_CATEGORY_SC: case UTF8PROC_CATEGORY_SK: case UTF8PROC_CATEGORY_SO: return WT_CH_SYMBOL;
    default: return WT_CH_OTHER;
    }
}

wt_char wt_char_at(const char *s, size_t n)
{
    utf8proc_int32_t c;
    if (!n) return (wt_char){ 0, -1, 0 };
    utf8proc_ssize_t k = utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)(n < 4 ? n : 4), &c);
    if (k <= 0) return (wt_char){ WT_CH_SYMBOL, -1, 1 };
    return (wt_char){ class_of(c), c, (size_t)k };
}

size_t wt_char_run(const char *s, size_t n, unsigned classes)
{
    size_t at = 0;
    for (wt_char c; (c = wt_char_at(s + at, n - at)).is & classes;) at += c.len;
    return at;
}

bool wt_char_in(int32_t c, const wt_range *r, size_t n)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (c > r[mid].hi) lo = mid + 1; else hi = mid;
    }
    return lo < n && c >= r[lo].lo;
}

size_t wt_char_run_in(const char *s, size_t n, const wt_range *r, size_t n_range)
{
    size_t at = 0;
    for (wt_char c; (c = wt_char_at(s + at, n - at)).len && wt_char_in(c.c, r, n_range);) at += c.len;
    return at;
}
