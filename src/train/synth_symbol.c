/* synth_symbol.c: the domains "cipher" and "brackets", which work on single characters. */
#include "train/synth_domain.h"

#include <string.h>

/* ---- cipher: "Reverse H-A-T:" -> " T-A-H"; "Shift H-A-T by 2:" -> " J-C-V" ------------------------------------------
 * Three to five letters, shifted by up to three places (Z is followed by A); easy: three letters, one place; hard: five to
 * eight letters, any number of places. */

enum { max_letter = 8, n_alphabet = 26 };

static void put_letters(char *buf, const int *v, int n)
{
    for (int i = 0; i < n; i++) wt_synth_put(buf, "%s%c", i ? "-" : " ", 'A' + v[i]);
}

static void cipher_ask(wt_rng *rng, int difficulty, char *prompt)
{
    static const int least[] = {3, 3, 5}, most[] = {3, 5, max_letter}, most_shift[] = {1, 3, n_alphabet - 1};
    int v[max_letter], n = wt_synth_between(rng, least[difficulty - 1], most[difficulty - 1]);
    bool shift = wt_synth_between(rng, 0, 1);
    for (int i = 0; i < n; i++) v[i] = wt_synth_between(rng, 0, n_alphabet - 1);
    wt_synth_put(prompt, shift ? "Shift" : "Reverse");
    put_letters(prompt, v, n);
    if (shift) wt_synth_put(prompt, " by %d", wt_synth_between(rng, 1, most_shift[difficulty - 1]));
    wt_synth_put(prompt, ":");
}

static bool cipher_solve(const char *s, char *answer)
{
    int v[max_letter], back[max_letter], n = 0, by = 0;
    bool shift = wt_synth_skip(&s, "Shift ");
    if (!shift && !wt_synth_skip(&s, "Reverse ")) return false;
    do {
        if (n == max_letter || *s < 'A' || *s > 'Z') return false;
        v[n++] = *s++ - 'A';
    } while (wt_synth_skip(&s, "-"));
    if (shift && (!wt_synth_skip(&s, " by ") || !wt_synth_int(&s, &by))) return false;
    if (strcmp(s, ":") != 0) return false;
    for (int i = 0; i < n; i++) {
        back[i] = v[n - 1 - i];
        v[i] = (v[i] + by) % n_alphabet;
    }
    put_letters(answer, shift ? v : back, n);
    return true;
}

const wt_synth_domain wt_synth_cipher = {
    .name = "cipher", .about = "words spelled backwards, or with letters some places further on",
    .ask = cipher_ask, .solve = cipher_solve,
};

/* ---- brackets: "Close ( [ { } :" -> " ] )" ---------------------------------------------------------------------------
 * What is missing at the end. Four to eight brackets, at most four open; easy: two to four, three; hard: eight to sixteen,
 * eight. */

static const char opening[] = "([{", closing[] = ")]}";
enum { max_open = 16 };

static void brackets_ask(wt_rng *rng, int difficulty, char *prompt)
{
    static const int least[] = {2, 4, 8}, most[] = {4, 8, 16}, most_open[] = {3, 4, 8};
    int stack[max_open], depth = 0, n = wt_synth_between(rng, least[difficulty - 1], most[difficulty - 1]);
    wt_synth_put(prompt, "Close");
    for (int i = 0; i < n; i++) {
        bool close = depth == most_open[difficulty - 1] || (depth > 0 && wt_synth_between(rng, 0, 2) == 0);
        if (i == n - 1 && depth <= 1) close = false;   /* something must be missing */
        if (close) {
            wt_synth_put(prompt, " %c", closing[stack[--depth]]);
        } else {
            stack[depth] = wt_synth_between(rng, 0, 2);
            wt_synth_put(prompt, " %c", opening[stack[depth++]]);
        }
    }
    wt_synth_put(prompt, " :");
}

static bool brackets_solve(const char *s, char *answer)
{
    int stack[max_open], depth = 0;
    if (!wt_synth_skip(&s, "Close")) return false;
    while (s[0] == ' ' && s[1] && s[1] != ':') {
        const char *open = strchr(opening, s[1]), *close = strchr(closing, s[1]);
        if (open && depth < max_open) stack[depth++] = (int)(open - opening);
        else if (!close || !depth || stack[--depth] != close - closing) return false;
        s += 2;
    }
    if (!depth || strcmp(s, " :") != 0) return false;
    while (depth) wt_synth_put(answer, " %c", closing[stack[--depth]]);
    return true;
}

const wt_synth_domain wt_synth_brackets = {
    .name = "brackets", .about = "closing what is still open",
    .ask = brackets_ask, .solve = brackets_solve,
};
