/* synth_words.c: the domains "sets" and "recall". */
#include "train/synth_domain.h"

#include <string.h>

/* ---- sets: "Sort d a c:" -> " a c d" ---------------------------------------------------------------------------------
 * Letters a to p, each at most once in a set. Results are in alphabetical order; an empty one is "nothing".
 * Three to six letters, or two sets of two or three; easy: three or four, sets of two; hard: five to nine, sets of three to five. */

enum { n_letter = 16, max_set = 9 };

static void put_set(char *buf, const int *v, int n)
{
    for (int i = 0; i < n; i++) wt_synth_put(buf, " %c", 'a' + v[i]);
}

/* Draws b so that about half of it comes from a: otherwise intersections would be nearly always empty. */
static void draw_related(wt_rng *rng, const int *a, int n_a, int *b, int n_b)
{
    wt_synth_distinct(rng, n_letter, n_b, b);
    for (int i = 0; i < n_b; i++) {
        int take = a[wt_synth_between(rng, 0, n_a - 1)];
        bool used = wt_synth_between(rng, 0, 1);
        for (int j = 0; j < n_b; j++) used |= b[j] == take;
        if (!used) b[i] = take;
    }
}

/* The share of a form is how often it stands here. */
static const enum form { SORT, FIRST, LAST, UNION, COMMON } form_drawn[] = {
    SORT, SORT, SORT, SORT, FIRST, LAST, UNION, UNION, COMMON,
};
static const char *const form_text[] = {"Sort", "First of", "Last of", "Union of", "Common to"};
enum { n_form = 5, n_form_drawn = 9 };

static const struct { int lo, hi, lo2, hi2; } set_size[] = {{3, 4, 2, 2}, {3, 6, 2, 3}, {5, 9, 3, 5}};   /* of one set, of two */

static void sets_ask(wt_rng *rng, int difficulty, char *prompt)
{
    int a[max_set], b[max_set], lo2 = set_size[difficulty - 1].lo2, hi2 = set_size[difficulty - 1].hi2;
    enum form form = form_drawn[wt_synth_between(rng, 0, n_form_drawn - 1)];
    wt_synth_put(prompt, "%s", form_text[form]);
    if (form < UNION) {
        int n = wt_synth_between(rng, set_size[difficulty - 1].lo, set_size[difficulty - 1].hi);
        wt_synth_distinct(rng, n_letter, n, a);
        put_set(prompt, a, n);
    } else {
        int n_a = wt_synth_between(rng, lo2, hi2), n_b = wt_synth_between(rng, lo2, hi2);
        wt_synth_distinct(rng, n_letter, n_a, a);
        draw_related(rng, a, n_a, b, n_b);
        put_set(prompt, a, n_a);
        wt_synth_put(prompt, " and");
        put_set(prompt, b, n_b);
    }
    wt_synth_put(prompt, ":");
}

/* Reads " a c d" into a bit set; stops at anything else. */
static uint32_t read_set(const char **s)
{
    uint32_t set = 0;
    while ((*s)[0] == ' ' && (*s)[1] >= 'a' && (*s)[1] < 'a' + n_letter && !((*s)[2] >= 'a' && (*s)[2] <= 'z')) {
        set |= 1u << ((*s)[1] - 'a');
        *s += 2;
    }
    return set;
}

static bool sets_solve(const char *s, char *answer)
{
    int form = 0;
    while (form < n_form && !wt_synth_skip(&s, form_text[form])) form++;
    uint32_t a = read_set(&s), b = 0;
    if (form == n_form || !a) return false;
    if (form >= UNION && (!wt_synth_skip(&s, " and") || !(b = read_set(&s)))) return false;
    if (strcmp(s, ":") != 0) return false;

    uint32_t set = form == UNION ? a | b : form == COMMON ? a & b : a;
    if (form == FIRST) set = a & -a;
    if (form == LAST) while (set & (set - 1)) set &= set - 1;
    for (int i = 0; i < n_letter; i++)
        if (set >> i & 1) wt_synth_put(answer, " %c", 'a' + i);
    if (!set) wt_synth_put(answer, " nothing");
    return true;
}

const wt_synth_domain wt_synth_sets = {
    .name = "sets", .about = "sorting letters; union and common part of sets",
    .ask = sets_ask, .solve = sets_solve,
};

/* ---- recall: "Note: the dog is red, the king is gold, the fish is pink; the king is" -> " gold" ----------------------
 * Three to five things and their colours; asked for the colour of one. Easy: two or three; hard: six to nine. */

static const char *const thing[] = {
    "bird", "dog", "cat", "horse", "fish", "girl", "boy", "king", "child", "bear", NULL,
};
static const char *const colour[] = {
    "red", "blue", "green", "black", "white", "pink", "gold", "grey", "brown", "orange", "purple", "silver", NULL,
};
enum { n_thing = 10, n_colour = 12, max_pair = 9 };

static void recall_ask(wt_rng *rng, int difficulty, char *prompt)
{
    static const int least[] = {2, 3, 6}, most[] = {3, 5, max_pair};
    int who[max_pair], look[max_pair], n = wt_synth_between(rng, least[difficulty - 1], most[difficulty - 1]);
    wt_synth_distinct(rng, n_thing, n, who);
    wt_synth_distinct(rng, n_colour, n, look);
    wt_synth_put(prompt, "Note:");
    for (int i = 0; i < n; i++) wt_synth_put(prompt, "%s the %s is %s", i ? "," : "", thing[who[i]], colour[look[i]]);
    wt_synth_put(prompt, "; the %s is", thing[who[wt_synth_between(rng, 0, n - 1)]]);
}

static bool recall_solve(const char *s, char *answer)
{
    int who[max_pair], look[max_pair], n = 0, asked;
    if (!wt_synth_skip(&s, "Note:")) return false;
    do {
        if (n == max_pair || !wt_synth_skip(&s, " the ") || !wt_synth_pick(&s, thing, &who[n])) return false;
        if (!wt_synth_skip(&s, " is ") || !wt_synth_pick(&s, colour, &look[n++])) return false;
    } while (wt_synth_skip(&s, ","));
    if (!wt_synth_skip(&s, "; the ") || !wt_synth_pick(&s, thing, &asked) || strcmp(s, " is") != 0) return false;
    for (int i = 0; i < n && !answer[0]; i++)
        if (who[i] == asked) wt_synth_put(answer, " %s", colour[look[i]]);
    return answer[0] != 0;
}

const wt_synth_domain wt_synth_recall = {
    .name = "recall", .about = "looking up one of several facts given before",
    .ask = recall_ask, .solve = recall_solve,
};
