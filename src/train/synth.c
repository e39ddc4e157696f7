/* synth.c: the table of domains, the splits, and the text tools of the domains. See synth.h. */
#include "train/synth_domain.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const wt_synth_domain *const domain[] = {
    &wt_synth_arithmetic, &wt_synth_units, &wt_synth_sets, &wt_synth_dates,
    &wt_synth_recall, &wt_synth_grammar, &wt_synth_json, &wt_synth_code,
    &wt_synth_graph, &wt_synth_phonebook, &wt_synth_roman, &wt_synth_spelling, &wt_synth_cipher, &wt_synth_brackets,
};
enum { n_domain = sizeof domain / sizeof *domain, n_split = 4, max_domain = 16, max_draws = 1000 };
_Static_assert(n_domain <= max_domain, "streams of random numbers are numbered for so many domains");

static bool known(int d)
{
    return d >= 0 && d < n_domain;
}

int wt_synth_domains(void)
{
    return n_domain;
}

const char *wt_synth_domain_name(int d)
{
    return known(d) ? domain[d]->name : NULL;
}

const char *wt_synth_domain_about(int d)
{
    return known(d) ? domain[d]->about : NULL;
}

/* ---- splits ------------------------------------------------------------------------------------------------------ */

wt_synth_split wt_synth_split_of(const char *prompt)
{
    uint64_t h = 0xcbf29ce484222325u;   /* FNV-1a, mixed: its low bits alone are weak */
    for (; *prompt; prompt++) h = (h ^ (unsigned char)*prompt) * 0x100000001b3u;
    switch (wt_mix64(h) % 20) {
    case 0:  return WT_SYNTH_TEST;
    case 1:  return WT_SYNTH_VALID;
    case 2:  return WT_SYNTH_DEMOS;
    default: return WT_SYNTH_TRAIN;
    }
}

bool wt_synth_make(int d, wt_synth_split split, const wt_synth_how *how, uint64_t index, wt_synth_item *out)
{
    int difficulty = how->difficulty ? how->difficulty : WT_SYNTH_USUAL;
    if (!known(d) || (int)split < 0 || split > WT_SYNTH_DEMOS || difficulty < WT_SYNTH_EASY || difficulty > WT_SYNTH_HARD) return false;
    wt_rng rng;
    wt_rng_seed(&rng, how->seed, index * (max_domain * n_split) + (uint64_t)d * n_split + (uint64_t)split);
    for (int draw = 0; draw < max_draws; draw++) {
        out->prompt[0] = 0;
        domain[d]->ask(&rng, difficulty, out->prompt);
        if (wt_synth_split_of(out->prompt) == split) return wt_synth_solve(d, how->book, out->prompt, out->answer);
    }
    return false;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

bool wt_synth_solve(int d, uint64_t book, const char *prompt, char answer[WT_SYNTH_MAX])
{
    answer[0] = 0;
    if (!known(d)) return false;
    return domain[d]->look_up ? domain[d]->look_up(book, prompt, answer) : domain[d]->solve(prompt, answer);
}

static const char *trim(const char *s, size_t *n)
{
    while (isspace((unsigned char)*s)) s++;
    *n = strlen(s);
    while (*n && isspace((unsigned char)s[*n - 1])) --*n;
    return s;
}

bool wt_synth_check(int d, uint64_t book, const char *prompt, const char *answer)
{
    char right[WT_SYNTH_MAX];
    if (!wt_synth_solve(d, book, prompt, right)) return false;
    size_t n, m;
    const char *a = trim(right, &n), *b = trim(answer, &m);
    return n == m && memcmp(a, b, n) == 0;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

void wt_synth_put(char *buf, const char *format, ...)
{
    size_t n = strlen(buf);
    va_list ap;
    va_start(ap, format);
    vsnprintf(buf + n, WT_SYNTH_MAX - n, format, ap);
    va_end(ap);
}

int wt_synth_between(wt_rng *rng, int lo, int hi)
{
    return lo + (int)wt_rng_below(rng, (uint64_t)(hi - lo + 1));
}

void wt_synth_distinct(wt_rng *rng, int range, int n, int *out)
{
    uint64_t taken = 0;
    for (int i = 0; i < n; i++) {
        do out[i] = wt_synth_between(rng, 0, range - 1); while (taken >> out[i] & 1);
        taken |= (uint64_t)1 << out[i];
    }
}

void wt_synth_order(int *v, int n)
{
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && v[j - 1] > v[j]; j--) {
            int t = v[j];
            v[j] = v[j - 1];
            v[j - 1] = t;
        }
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

bool wt_synth_skip(const char **s, const char *text)
{
    size_t n = strlen(text);
    if (strncmp(*s, text, n) != 0) return false;
    *s += n;
    return true;
}

bool wt_synth_int(const char **s, int *out)
{
    const char *p = *s;
    int v = 0;
    while (isdigit((unsigned char)*p) && p - *s < 6) v = v * 10 + (*p++ - '0');
    if (p == *s || isdigit((unsigned char)*p)) return false;
    *s = p;
    *out = v;
    return true;
}

bool wt_synth_word(const char **s, char *out, int size)
{
    int n = 0;
    while (isalpha((unsigned char)(*s)[n])) n++;
    if (n == 0 || n >= size) return false;
    memcpy(out, *s, (size_t)n);
    out[n] = 0;
    *s += n;
    return true;
}

int wt_synth_find(const char *const *list, const char *word)
{
    for (int i = 0; list[i]; i++)
        if (strcmp(list[i], word) == 0) return i;
    return -1;
}

bool wt_synth_pick(const char **s, const char *const *list, int *out)
{
    char word[32];
    const char *p = *s;
    if (!wt_synth_word(&p, word, sizeof word)) return false;
    int i = wt_synth_find(list, word);
    if (i < 0) return false;
    *s = p;
    *out = i;
    return true;
}
