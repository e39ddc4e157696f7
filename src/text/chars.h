/* Characters as the splitting rules see them. Classes are Unicode general categories (of the utf8proc in use) and its white space; they do
 * not overlap. A byte that is not UTF-8 counts as a character of its own, a symbol, as U+FFFD would. */
#ifndef WT_TEXT_CHARS_H
#define WT_TEXT_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WT_CH_SPACE = 1,
    WT_CH_UPPER = 2, WT_CH_LOWER = 4, WT_CH_CASELESS = 8,      /* \p{Lu}\p{Lt}; \p{Ll}; \p{Lm}\p{Lo} */
    WT_CH_DIGIT = 16, WT_CH_NUMERAL = 32,                      /* \p{Nd}; \p{Nl}\p{No} */
    WT_CH_MARK = 64, WT_CH_PUNCT = 128, WT_CH_SYMBOL = 256,
    WT_CH_OTHER = 512,                                         /* control, format, private, unassigned */
    WT_CH_LETTER = WT_CH_UPPER | WT_CH_LOWER | WT_CH_CASELESS, /* \p{L} */
    WT_CH_NUMBER = WT_CH_DIGIT | WT_CH_NUMERAL,                /* \p{N} */
    WT_CH_ALL = 1023
};

typedef struct wt_char { unsigned is; int32_t c; size_t len; } wt_char;   /* class, code point (-1: not UTF-8), bytes */

/* The character at s; class 0 and length 0 where n is 0. */
wt_char wt_char_at(const char *s, size_t n);
/* Bytes of the run of characters of the given classes that begins at s. */
size_t wt_char_run(const char *s, size_t n, unsigned classes);

typedef struct wt_range { int32_t lo, hi; } wt_range;   /* code points, both included */
bool wt_char_in(int32_t c, const wt_range *r, size_t n);   /* ranges ascending */

/* Bytes of the run of characters at s that lie in the ranges (ascending). */
size_t wt_char_run_in(const char *s, size_t n, const wt_range *r, size_t n_range);

#endif
