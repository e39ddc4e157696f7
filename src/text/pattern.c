/* Matchers of published splitting patterns. A regular expression takes the first alternative that matches and every quantifier takes as
 * much as it can; where giving back matters, the function says what it comes to. Written short below:
 *   C  's|'t|'re|'ve|'m|'ll|'d in any case          T  \s*[\r\n]+|\s+(?!\S)|\s+
 * "\s*[\r\n]", as some rules have it, ends at the same place as "\s*[\r\n]+": the last line end of the white space. */
#include "text/pattern.h"

#include "text/chars.h"

#include <limits.h>
#include <string.h>

#define COUNT(a) (sizeof (a) / sizeof *(a))

enum { SPACE = WT_CH_SPACE, UPPER = WT_CH_UPPER, LOWER = WT_CH_LOWER, CASELESS = WT_CH_CASELESS, LETTER = WT_CH_LETTER, MARK = WT_CH_MARK,
       NUMBER = WT_CH_NUMBER, PUNCT = WT_CH_PUNCT, SYMBOL = WT_CH_SYMBOL, REST = WT_CH_ALL & ~(SPACE | LETTER | NUMBER) };

/* ---- parts ---------------------------------------------------------------------------------------------------------- */

/* k bytes match; 0: none begins at this character. */
static bool found(const char *s, size_t n, size_t k, size_t *len)
{
    *len = k ? k : wt_char_at(s, n).len;
    return k > 0;
}

static bool newline(char c) { return c == '\r' || c == '\n'; }
static bool alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* 's, 't, 're ... */
static size_t contraction(const char *s, size_t n, bool any_case)
{
    static const char *const end[] = { "s", "t", "re", "ve", "m", "ll", "d" };
    if (n < 2 || *s != '\'') return 0;
    for (size_t i = 0; i < COUNT(end); i++) {
        size_t k = 0;
        while (end[i][k] && k + 1 < n && (any_case && alpha(s[k + 1]) ? s[k + 1] | 32 : s[k + 1]) == end[i][k]) k++;
        if (!end[i][k]) return k + 1;
    }
    return 0;
}

/* \s+(?!\S): all white space at the end of the piece, else all but the last character, which may begin the next match. */
static size_t spaces(const char *s, size_t n, bool or_last)
{
    size_t all = 0, last = 0;
    for (wt_char c; (c = wt_char_at(s + all, n - all)).is & SPACE; last = c.len) all += c.len;
    return all == n || (or_last && all == last) ? all : all - last;
}

/* \s*[\r\n]+: white space up to its last line end. */
static size_t lines(const char *s, size_t n)
{
    size_t all = wt_char_run(s, n, SPACE);
    while (all && !newline(s[all - 1])) all--;
    return all;
}

static size_t numbers(const char *s, size_t n, int most)
{
    size_t at = 0;
    for (wt_char c; most-- && (c = wt_char_at(s + at, n - at)).is & NUMBER;) at += c.len;
    return at;
}

/* ---- numbers and line ends -------------------------------------------------------------------------------------------- */

/* A pattern whose match at s is that many bytes. */
#define PATTERN(name, bytes) \
    bool wt_pat_##name(const char *s, size_t n, size_t *len, size_t *memo) { (void)memo; return found(s, n, (bytes), len); }

PATTERN(number, numbers(s, n, 1))
PATTERN(number3, numbers(s, n, 3))
PATTERN(numbers, wt_char_run(s, n, NUMBER))
PATTERN(newline, newline(*s))

bool wt_pat_ascii3(const char *s, size_t n, size_t *len, size_t *memo)
{
    size_t k = 0;
    (void)memo;
    while (k < 3 && k < n && s[k] >= '0' && s[k] <= '9') k++;
    return found(s, n, k == 3 ? 3 : 0, len);
}

bool wt_pat_lines(const char *s, size_t n, size_t *len, size_t *memo)
{
    (void)memo;
    *len = 0;
    while (*len < n && (s[*len] == '\n') == (*s == '\n')) ++*len;
    return true;
}

bool wt_pat_trailing(const char *s, size_t n, size_t *len, size_t *memo)
{
    (void)memo;
    size_t k = wt_char_run(s, n, SPACE);
    if (k == n) { *len = k; return true; }
    *len = k ? k : wt_char_at(s, n).len;
    return false;
}

/* How many characters of the classes stand at s and, in *len, the bytes of the first `most` of them. */
static size_t count(const char *s, size_t n, unsigned classes, size_t most, size_t *len)
{
    size_t at = 0, k = 0;
    *len = 0;
    for (wt_char c; (c = wt_char_at(s + at, n - at)).is & classes;) {
        at += c.len;
        if (++k <= most) *len = at;
        else if (most) break;
    }
    return k;
}

/* \p{N}{1,3}(?=(\p{N}{3})*(?!\p{N})): numbers in threes, counted from the right. memo: how many are left of the run, when known. */
bool wt_pat_threes(const char *s, size_t n, size_t *len, size_t *memo)
{
    size_t left = *memo ? *memo : count(s, n, NUMBER, 0, len);
    if (!left) return found(s, n, 0, len);
    size_t group = left % 3 ? left % 3 : 3;
    *memo = left - group;
    count(s, n, NUMBER, group, len);
    return true;
}

/* (?=(\d{3})+(?!\d)) is empty and cuts before every three digits counted from the right of a run; here a match reaches to the next cut.
 * memo: digits of this run from here on, when known. */
bool wt_pat_thousands(const char *s, size_t n, size_t *len, size_t *memo)
{
    size_t at = 0, skip, left = *memo ? *memo : count(s, n, WT_CH_DIGIT, 0, &skip);
    bool cut = left && left % 3 == 0;
    if (cut) {
        count(s, n, WT_CH_DIGIT, 3, &at);
        left -= 3;
    }
    while (at < n && !(left && left % 3 == 0)) {        /* on to the next cut: the head of a run, and what is no digit */
        if (left) {
            count(s + at, n - at, WT_CH_DIGIT, left % 3, &skip);
            left -= left % 3;
        } else skip = wt_char_at(s + at, n - at).len;
        at += skip;
        if (!left) left = count(s + at, n - at, WT_CH_DIGIT, 0, &skip);
    }
    *memo = left;
    *len = at;
    return cut;
}

/* ---- gpt-2, falcon, bloom --------------------------------------------------------------------------------------------- */

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S) */
bool wt_pat_gpt2(const char *s, size_t n, size_t *len, size_t *memo)
{
    (void)memo;
    size_t k = contraction(s, n, false), gap = *s == ' ';
    if (k) return found(s, n, k, len);
    unsigned is = wt_char_at(s + gap, n - gap).is;
    if (!is || is & SPACE) return found(s, n, spaces(s, n, false), len);
    return found(s, n, gap + wt_char_run(s + gap, n - gap, is & LETTER ? LETTER : is & NUMBER ? NUMBER : REST), len);
}

/* [\p{P}\$\+<=>\^~\|`]+ */
bool wt_pat_falcon(const char *s, size_t n, size_t *len, size_t *memo)
{
    (void)memo;
    size_t at = 0;
    for (wt_char c; (c = wt_char_at(s + at, n - at)).len; at += c.len)
        if (!(c.is & PUNCT || (c.c > 0 && c.c < 128 && strchr("$+<=>^~|`", c.c)))) break;
    return found(s, n, at, len);
}

/*  ?[^(\s|.,!?...)]+ with the sentence marks of several scripts. */
bool wt_pat_bloom(const char *s, size_t n, size_t *len, size_t *memo)
{
    static const wt_range mark[] = {
        { '!', '!' }, { '(', ')' }, { ',', ',' }, { '.', '.' }, { '?', '?' }, { '|', '|' }, { 0x60C, 0x60C }, { 0x6D4, 0x6D4 }, { 0x964, 0x964 },
        { 0x2026, 0x2026 }, { 0x3001, 0x3002 }, { 0xFF0C, 0xFF0C },
    };
    (void)memo;
    size_t gap = *s == ' ', at = gap;
    for (wt_char c; (c = wt_char_at(s + at, n - at)).len && !(c.is & SPACE) && !wt_char_in(c.c, mark, COUNT(mark));) at += c.len;
    return found(s, n, at > gap ? at : 0, len);
}

/* ---- llama-3 and its many relatives --------------------------------------------------------------------------------------
 * C | words | numbers | ?[^\s\p{L}\p{N}]+ and a tail of line ends | T, each with variations. */

typedef size_t word_fn(const char *s, size_t n);   /* bytes of the word at s, 0: none */

typedef struct modern {
    bool contraction;     /* C comes first */
    word_fn *word;
    int digits;           /* most numbers together */
    unsigned rest;        /* classes of what is neither word, number nor space */
    const char *tail;     /* characters that may follow such a run */
    bool tail_once;
} modern;

static bool modern_at(const modern *m, const char *s, size_t n, size_t *len)
{
    size_t k, gap = *s == ' ';
    if (m->contraction && (k = contraction(s, n, true))) return found(s, n, k, len);
    if ((k = m->word(s, n)) || (k = numbers(s, n, m->digits))) return found(s, n, k, len);
    if ((k = wt_char_run(s + gap, n - gap, m->rest))) {
        k += gap;
        while (k < n && s[k] && strchr(m->tail, s[k])) { k++; if (m->tail_once) break; }
        return found(s, n, k, len);
    }
    return found(s, n, (k = lines(s, n)) ? k : spaces(s, n, true), len);
}

/* Bytes of the one character that may stand before a word: [^\r\n\p{L}\p{N}]; 0 if the first is none. */
static size_t before_word(const char *s, size_t n)
{
    wt_char c = wt_char_at(s, n);
    return c.is & (LETTER | NUMBER) || newline(*s) ? 0 : c.len;
}

/* [^\r\n\p{L}\p{N}]? and a run of the given classes, of which at most marks fit the optional character too. */
static size_t word_of(const char *s, size_t n, unsigned classes)
{
    size_t k = wt_char_run(s, n, classes), gap;
    if (k || !(gap = before_word(s, n))) return k;
    k = wt_char_run(s + gap, n - gap, classes);
    return k ? gap + k : 0;
}

static size_t word_letters(const char *s, size_t n) { return word_of(s, n, LETTER); }
static size_t word_marks(const char *s, size_t n) { return word_of(s, n, LETTER | MARK); }

/* [^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+: words joined by single spaces. */
static size_t word_phrase(const char *s, size_t n)
{
    size_t gap = before_word(s, n), at = gap;
    for (;;) {
        size_t k = at > gap && at < n && s[at] == ' ';
        wt_char c = wt_char_at(s + at + k, n - at - k);
        if (!(c.is & LETTER)) return at > gap ? at : 0;
        at += k + c.len;
        at += wt_char_run(s + at, n - at, MARK);
    }
}

/* Scripts written in Han characters, as Unicode assigns them. */
static const wt_range han[] = {
    { 0x2E80, 0x2E99 }, { 0x2E9B, 0x2EF3 }, { 0x2F00, 0x2FD5 }, { 0x3005, 0x3005 }, { 0x3007, 0x3007 }, { 0x3021, 0x3029 }, { 0x3038, 0x303B },
    { 0x3400, 0x4DBF }, { 0x4E00, 0x9FFF }, { 0xF900, 0xFA6D }, { 0xFA70, 0xFAD9 }, { 0x16FE2, 0x16FE3 }, { 0x16FF0, 0x16FF1 },
    { 0x20000, 0x2A6DF }, { 0x2A700, 0x2B739 }, { 0x2B740, 0x2B81D }, { 0x2B820, 0x2CEA1 }, { 0x2CEB0, 0x2EBE0 }, { 0x2F800, 0x2FA1D },
    { 0x30000, 0x3134A }, { 0x31350, 0x323AF },
};

/* With U = \p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M} and V = \p{Ll}\p{Lm}\p{Lo}\p{M}, both perhaps without Han:
 * [U]*[V]+ -- if no lower-case letter follows the run of U, V takes back its last character that is in both. */
static size_t upper_then_lower(const char *s, size_t n, bool no_han)
{
    size_t at = 0, both = 0;
    bool lower = false;
    for (wt_char c;; at += c.len) {
        c = wt_char_at(s + at, n - at);
        if (!(c.is & (LETTER | MARK)) || (lower && c.is & UPPER) || (no_han && wt_char_in(c.c, han, COUNT(han)))) break;
        if (c.is & LOWER) lower = true;
        if (c.is & (CASELESS | MARK)) both = at + c.len;
    }
    return lower ? at : both;
}

/* [^\r\n\p{L}\p{N}]?[U]*[V]+(C)?|[^\r\n\p{L}\p{N}]?[U]+[V]*(C)? -- the second is reached only before a run of upper case. */
static size_t cased(const char *s, size_t n, bool no_han, bool with_contraction)
{
    size_t gap = before_word(s, n), k = gap ? upper_then_lower(s + gap, n - gap, no_han) : 0;
    if (k) k += gap;
    else if (!(k = upper_then_lower(s, n, no_han))) {
        k = wt_char_run(s + gap, n - gap, UPPER);
        if (!k) return 0;
        k += gap;
    }
    return k + (with_contraction ? contraction(s + k, n - k, true) : 0);
}

static size_t word_cased(const char *s, size_t n) { return cased(s, n, false, false); }
static size_t word_gpt4o(const char *s, size_t n) { return cased(s, n, false, true); }

/* Runs of Han characters stand apart. */
static size_t word_kimi(const char *s, size_t n)
{
    size_t k = wt_char_run_in(s, n, han, COUNT(han));
    return k ? k : cased(s, n, true, true);
}

#define MODERN(name, ...) \
    bool wt_pat_##name(const char *s, size_t n, size_t *len, size_t *memo) \
    { \
        static const modern m = { __VA_ARGS__ }; \
        (void)memo; \
        return modern_at(&m, s, n, len); \
    }
/*                   C      words         numbers  others        tail   once */
MODERN(llama3,      true,  word_letters,  3,  REST,         "\r\n",  false)
MODERN(qwen2,       true,  word_letters,  1,  REST,         "\r\n",  false)
MODERN(plain_words, false, word_letters,  1,  REST,         "\r\n",  false)
MODERN(qwen35,      true,  word_marks,    1,  REST & ~MARK, "\r\n",  false)
MODERN(gpt4o,       false, word_gpt4o,    3,  REST,         "\r\n/", false)
MODERN(tekken,      false, word_cased,    1,  REST,         "\r\n/", false)
MODERN(kimi,        false, word_kimi,     3,  REST,         "\r\n",  false)
MODERN(seed_coder,  true,  word_letters,  1,  REST,         "",      false)
MODERN(minicpm5,    true,  word_letters,  INT_MAX, REST,    "\r\n",  false)
MODERN(exaone_moe,  true,  word_phrase,   1,  REST,         "\r\n/", true)

/* ---- deepseek ----------------------------------------------------------------------------------------------------------- */

/* \s?[...]+ over classes; white space may itself be in the ranges. */
static size_t after_space(const char *s, size_t n, unsigned classes, const wt_range *r, size_t n_range)
{
    wt_char c = wt_char_at(s, n);
    size_t gap = c.is & SPACE ? c.len : 0;
    size_t k = r ? wt_char_run_in(s + gap, n - gap, r, n_range) : wt_char_run(s + gap, n - gap, classes);
    if (k) return gap + k;
    return gap && r ? wt_char_run_in(s, gap, r, n_range) : 0;
}

PATTERN(coder_letters, after_space(s, n, LETTER, NULL, 0))
PATTERN(coder_punct, after_space(s, n, PUNCT, NULL, 0))

/* Letters with case of the older scripts, as that model's pattern lists them. */
static const wt_range llm_letter[] = {
    { 'A', 'Z' }, { 'a', 'z' }, { 0xB5, 0xB5 }, { 0xC0, 0xD6 }, { 0xD8, 0xF6 }, { 0xF8, 0x1BA }, { 0x1BC, 0x1BF }, { 0x1C4, 0x293 }, { 0x295, 0x2AF },
    { 0x370, 0x373 }, { 0x376, 0x377 }, { 0x37B, 0x37D }, { 0x37F, 0x37F }, { 0x386, 0x386 }, { 0x388, 0x38A }, { 0x38C, 0x38C }, { 0x38E, 0x3A1 },
    { 0x3A3, 0x3F5 }, { 0x3F7, 0x481 }, { 0x48A, 0x52F }, { 0x531, 0x556 }, { 0x10A0, 0x10C5 }, { 0x13A0, 0x13F5 }, { 0x13F8, 0x13FD },
    { 0x1C90, 0x1CBA }, { 0x1CBD, 0x1CBF }, { 0x1D00, 0x1D2B }, { 0x1D6B, 0x1D77 }, { 0x1D79, 0x1D9A }, { 0x1E00, 0x1F15 }, { 0x1F18, 0x1F1D },
    { 0x1F20, 0x1F45 }, { 0x1F48, 0x1F4D }, { 0x1F50, 0x1F57 }, { 0x1F59, 0x1F59 }, { 0x1F5B, 0x1F5B }, { 0x1F5D, 0x1F5D }, { 0x1F5F, 0x1F7D },
    { 0x1F80, 0x1FB4 }, { 0x1FB6, 0x1FBC }, { 0x1FBE, 0x1FBE }, { 0x1FC2, 0x1FC4 }, { 0x1FC6, 0x1FCC }, { 0x1FD0, 0x1FD3 }, { 0x1FD6, 0x1FDB },
    { 0x1FE0, 0x1FEC }, { 0x1FF2, 0x1FF4 }, { 0x1FF6, 0x1FFC }, { 0x2102, 0x2102 }, { 0x2107, 0x2107 }, { 0x210A, 0x2113 }, { 0x2115, 0x2115 },
    { 0x2119, 0x211D }, { 0x2124, 0x2124 }, { 0x2126, 0x2126 }, { 0x2128, 0x2128 }, { 0x212A, 0x212D }, { 0x212F, 0x2134 }, { 0x2139, 0x2139 },
    { 0x213C, 0x213F }, { 0x2145, 0x2149 }, { 0x214E, 0x214E }, { 0x2183, 0x2184 }, { 0x2C00, 0x2C7B }, { 0x2C7E, 0x2CE4 }, { 0x2CEB, 0x2CEE },
    { 0x2CF2, 0x2CF3 }, { 0xA640, 0xA66D }, { 0xA680, 0xA69B }, { 0xA722, 0xA76F }, { 0xA771, 0xA787 }, { 0xA78B, 0xA78E }, { 0xAB70, 0xABBF },
    { 0xFB00, 0xFB06 }, { 0xFB13, 0xFB17 }, { 0xFF21, 0xFF3A }, { 0xFF41, 0xFF5A }, { 0x10400, 0x1044F }, { 0x104B0, 0x104D3 }, { 0x104D8, 0x104FB },
    { 0x10C80, 0x10CB2 }, { 0x10CC0, 0x10CF2 }, { 0x118A0, 0x118DF }, { 0x1E900, 0x1E943 },
};
/* ! to / and : to ~ (letters too, so a word with other letters inside is cut around them), their wide forms, quotation marks. */
static const wt_range llm_punct[] = { { '!', '/' }, { ':', '~' }, { 0x2018, 0x201F }, { 0x3000, 0x3002 }, { 0xFF01, 0xFF0F }, { 0xFF1A, 0xFF5E } };
static const wt_range cjk[] = { { 0x800, 0x9FA5 }, { 0xAC00, 0xD7FF } };
static const wt_range kana[] = { { 0x3040, 0x30FF }, { 0x4E00, 0x9FA5 } };

/* Scripts that are written without spaces, as afmoe's pattern lists them. */
static const wt_range spaceless[] = {
    { 0xE40, 0xEFF }, { 0x1000, 0x109F }, { 0x1100, 0x11FF }, { 0x1780, 0x17FF }, { 0x2F00, 0x2FDF }, { 0x3040, 0x30FF }, { 0x3400, 0x4DBF },
    { 0x4E00, 0x9FFF }, { 0xA9E0, 0xA9FF }, { 0xAA60, 0xAA7F }, { 0xAC00, 0xD7AF }, { 0xF900, 0xFAFF }, { 0xFF65, 0xFF9F },
};

PATTERN(llm_letters, after_space(s, n, 0, llm_letter, COUNT(llm_letter)))
PATTERN(llm_punct, after_space(s, n, 0, llm_punct, COUNT(llm_punct)))
PATTERN(cjk, wt_char_run_in(s, n, cjk, COUNT(cjk)))
PATTERN(kana, wt_char_run_in(s, n, kana, COUNT(kana)))
PATTERN(spaceless, wt_char_run_in(s, n, spaceless, COUNT(spaceless)))

/* [ASCII punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|T */
bool wt_pat_deepseek3(const char *s, size_t n, size_t *len, size_t *memo)
{
    (void)memo;
    wt_char c = wt_char_at(s, n);
    size_t k = 1, gap = *s == ' ';
    if (c.c >= 0 && c.c < 128 && c.is & (PUNCT | SYMBOL)) {
        while (k < n && alpha(s[k])) k++;
        if (k > 1) return found(s, n, k, len);
    }
    if ((k = wt_char_run(s, n, LETTER | MARK))) return found(s, n, k, len);
    bool optional = !newline(*s) && !(c.is & (PUNCT | SYMBOL));
    if (optional && (k = wt_char_run(s + c.len, n - c.len, LETTER | MARK))) return found(s, n, c.len + k, len);
    if ((k = wt_char_run(s + gap, n - gap, PUNCT | SYMBOL))) {
        k += gap;
        while (k < n && newline(s[k])) k++;
        return found(s, n, k, len);
    }
    return found(s, n, (k = lines(s, n)) ? k : spaces(s, n, true), len);
}
