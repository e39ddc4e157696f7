/* synth_book.c: the domain "phonebook", facts that must be learnt by heart.
 *
 * "Question: to call Ann Hill, dial" -> " 4172". The number follows from the name and the number of the book alone; nothing
 * in the prompt tells it. A fact is asked for in 48 wordings; training has most of them, the other splits the rest.
 * 120 people; easy: 40; hard: 400. */
#include "train/synth_domain.h"

#include <string.h>

static const char *const first[] = {
    "Ann", "Ben", "Carl", "Dora", "Eve", "Fred", "Gina", "Hugo", "Iris", "Jack", "Kate", "Leo", "Mona", "Nils", "Olga", "Paul",
    "Rosa", "Sam", "Tina", "Viktor", NULL,
};
static const char *const last[] = {
    "Hill", "Stone", "Brook", "Field", "Wood", "Lake", "Marsh", "Ford", "Moore", "Dale", "Ridge", "West", "Lane", "Park", "Bell",
    "Cook", "Smith", "Ward", "Young", "Frost", NULL,
};
enum { n_first = 20, n_last = 20 };

static const char *const lead[] = {"Question: ", "Please: ", "Today: ", "Phone book: "};
static const struct wording { const char *before, *after; } wording[] = {
    {"the number of ", " is"},           {"to call ", ", dial"},           {"", " has the number"},   {"", " answers the phone at"},
    {"ring ", " on"},                    {"the way to reach ", " is"},     {"dial for ", ":"},        {"you reach ", " under"},
    {"who wants ", " dials"},            {"look up ", ":"},                {"", ", phone:"},          {"the phone of ", " rings at"},
};
enum { n_lead = sizeof lead / sizeof *lead, n_wording = sizeof wording / sizeof *wording };

/* Person i < 400 is first name i % 20 and this last name: no two have the same. */
static int last_name(int i) { return (i / n_first + 7 * i) % n_last; }

static void phonebook_ask(wt_rng *rng, int difficulty, char *prompt)
{
    static const int people[] = {40, 120, n_first * n_last};
    int who = wt_synth_between(rng, 0, people[difficulty - 1] - 1);
    const struct wording *w = &wording[wt_synth_between(rng, 0, n_wording - 1)];
    const char *begin = lead[wt_synth_between(rng, 0, n_lead - 1)];
    wt_synth_put(prompt, "%s%s%s %s%s", begin, w->before, first[who % n_first], last[last_name(who)], w->after);
}

/* Reads the rest of a prompt in one wording. */
static bool read_wording(const char *s, const struct wording *w, int *f, int *l)
{
    return wt_synth_skip(&s, w->before) && wt_synth_pick(&s, first, f) && wt_synth_skip(&s, " ") && wt_synth_pick(&s, last, l) &&
           strcmp(s, w->after) == 0;
}

static bool phonebook_look_up(uint64_t book, const char *s, char *answer)
{
    int f, l, i = 0;
    while (i < n_lead && !wt_synth_skip(&s, lead[i])) i++;
    if (i == n_lead) return false;
    for (i = 0; i < n_wording && !read_wording(s, &wording[i], &f, &l);) i++;
    if (i == n_wording) return false;
    uint64_t number = wt_mix64(wt_mix64(book) + (uint64_t)(f * n_last + l)) % 9000;
    wt_synth_put(answer, " %d", 1000 + (int)number);
    return true;
}

const wt_synth_domain wt_synth_phonebook = {
    .name = "phonebook", .about = "telephone numbers that stand in no question: they are learnt by heart",
    .ask = phonebook_ask, .look_up = phonebook_look_up,
};
