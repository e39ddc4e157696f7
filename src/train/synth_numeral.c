/* synth_numeral.c: the domains "roman" and "spelling", two other ways to write a number. */
#include "train/synth_domain.h"

#include <string.h>

/* ---- roman: "Roman 42 is" -> " XLII"; "Roman XLII is" -> " 42" --------------------------------------------------------
 * Numbers up to 999; easy: 50; hard: 3,999. */

static const struct { int value; const char *text; } step[] = {
    {1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"},
    {40, "XL"},  {10, "X"},   {9, "IX"},  {5, "V"},    {4, "IV"},  {1, "I"},
};
enum { n_step = sizeof step / sizeof *step, most_roman = 3999 };

static void put_roman(char *buf, int n)
{
    for (int i = 0; i < n_step; i++)
        for (; n >= step[i].value; n -= step[i].value) wt_synth_put(buf, "%s", step[i].text);
}

static void roman_ask(wt_rng *rng, int difficulty, char *prompt)
{
    static const int most[] = {50, 999, most_roman};
    int n = wt_synth_between(rng, 1, most[difficulty - 1]);
    wt_synth_put(prompt, "Roman ");
    if (wt_synth_between(rng, 0, 1)) wt_synth_put(prompt, "%d", n);
    else put_roman(prompt, n);
    wt_synth_put(prompt, " is");
}

/* The value of the letters, if they are how put_roman writes it. */
static bool read_roman(const char **s, int *n)
{
    char letters[32], again[WT_SYNTH_MAX] = "";
    const char *p = letters;
    if (!wt_synth_word(s, letters, sizeof letters)) return false;
    *n = 0;
    for (int i = 0; i < n_step; i++)
        while (wt_synth_skip(&p, step[i].text)) *n += step[i].value;
    if (*n < 1 || *n > most_roman) return false;
    put_roman(again, *n);
    return strcmp(again, letters) == 0;
}

static bool roman_solve(const char *s, char *answer)
{
    int n;
    if (!wt_synth_skip(&s, "Roman ")) return false;
    bool digits = wt_synth_int(&s, &n);
    if (!digits && !read_roman(&s, &n)) return false;
    if (n < 1 || n > most_roman || strcmp(s, " is") != 0) return false;
    wt_synth_put(answer, " ");
    if (digits) put_roman(answer, n);
    else wt_synth_put(answer, "%d", n);
    return true;
}

const wt_synth_domain wt_synth_roman = {
    .name = "roman", .about = "Roman numerals and back",
    .ask = roman_ask, .solve = roman_solve,
};

/* ---- spelling: "Spell 47:" -> " forty seven"; "Digits of forty seven:" -> " 47" --------------------------------------
 * Numbers below 1,000; easy: below 100; hard: below 1,000,000. */

static const char *const small[] = {
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", NULL,
};
static const char *const tens[] = {
    "nought", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", NULL,
};
enum { most_spelled = 999999 };

static void put_below_1000(char *buf, int n)
{
    if (n >= 100) wt_synth_put(buf, " %s hundred", small[n / 100]);
    n %= 100;
    if (n >= 20) wt_synth_put(buf, " %s", tens[n / 10]);
    if (n >= 20) n %= 10;
    if (n) wt_synth_put(buf, " %s", small[n]);
}

static void put_words(char *buf, int n)
{
    if (n >= 1000) {
        put_below_1000(buf, n / 1000);
        wt_synth_put(buf, " thousand");
    }
    if (n) put_below_1000(buf, n % 1000);
    else wt_synth_put(buf, " %s", small[0]);
}

static void spelling_ask(wt_rng *rng, int difficulty, char *prompt)
{
    static const int most[] = {99, 999, most_spelled};
    int n = wt_synth_between(rng, 0, most[difficulty - 1]);
    if (wt_synth_between(rng, 0, 1)) {
        wt_synth_put(prompt, "Spell %d:", n);
        return;
    }
    wt_synth_put(prompt, "Digits of");
    put_words(prompt, n);
    wt_synth_put(prompt, ":");
}

/* The value of number words, if they are how put_words writes it. */
static bool read_words(const char **s, int *n)
{
    const char *begin = *s;
    char again[WT_SYNTH_MAX] = "";
    int part = 0, v;
    *n = 0;
    while (wt_synth_skip(s, " ")) {
        if (wt_synth_pick(s, small, &v)) part += v;
        else if (wt_synth_pick(s, tens, &v)) part += 10 * v;
        else if (wt_synth_skip(s, "hundred")) part *= 100;
        else if (wt_synth_skip(s, "thousand")) { *n += 1000 * part; part = 0; }
        else return false;
        if (part > 1000) return false;
    }
    *n += part;
    if (*n > most_spelled) return false;
    put_words(again, *n);
    return strlen(again) == (size_t)(*s - begin) && memcmp(again, begin, strlen(again)) == 0;
}

static bool spelling_solve(const char *s, char *answer)
{
    int n;
    if (wt_synth_skip(&s, "Spell ")) {
        if (!wt_synth_int(&s, &n) || strcmp(s, ":") != 0) return false;
        put_words(answer, n);
        return true;
    }
    if (!wt_synth_skip(&s, "Digits of") || !read_words(&s, &n) || strcmp(s, ":") != 0) return false;
    wt_synth_put(answer, " %d", n);
    return true;
}

const wt_synth_domain wt_synth_spelling = {
    .name = "spelling", .about = "numbers in words and back",
    .ask = spelling_ask, .solve = spelling_solve,
};
