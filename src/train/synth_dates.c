/* synth_dates.c: the domain "dates".
 *
 * "The day 5 days after 28 March is" -> " 2 April"; "If 3 May is a Monday, 5 May is a" -> " Wednesday".
 * No years: February has 28 days. Two to five days away, weekdays up to three; easy: two days, weekdays one; hard: up to
 * thirty days. */
#include "train/synth_domain.h"

static const char *const month[] = {
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December", NULL,
};
static const int month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
static const char *const weekday[] = {
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday", NULL,
};

static void dates_ask(wt_rng *rng, int difficulty, char *prompt)
{
    static const int most[] = {2, 5, 30}, most_weekday[] = {1, 3, 30};
    int m = wt_synth_between(rng, 0, 11), d = wt_synth_between(rng, 1, month_days[m]), form = wt_synth_between(rng, 0, 2);
    if (form == 0) {
        int e = d + wt_synth_between(rng, 1, most_weekday[difficulty - 1]);
        if (e > month_days[m]) e = d - 1;
        wt_synth_put(prompt, "If %d %s is a %s, %d %s is a", d, month[m], weekday[wt_synth_between(rng, 0, 6)], e, month[m]);
    } else {
        int n = wt_synth_between(rng, 2, most[difficulty - 1]);
        wt_synth_put(prompt, "The day %d days %s %d %s is", n, form == 1 ? "after" : "before", d, month[m]);
    }
}

static bool read_date(const char **s, int *d, int *m)
{
    return wt_synth_int(s, d) && wt_synth_skip(s, " ") && wt_synth_pick(s, month, m) && *d >= 1 && *d <= month_days[*m];
}

static bool solve_weekday(const char *s, char *answer)
{
    int d, m, w, e, n;
    if (!read_date(&s, &d, &m) || !wt_synth_skip(&s, " is a ") || !wt_synth_pick(&s, weekday, &w)) return false;
    if (!wt_synth_skip(&s, ", ") || !read_date(&s, &e, &n) || n != m || !wt_synth_skip(&s, " is a")) return false;
    wt_synth_put(answer, " %s", weekday[(w + e - d + 35) % 7]);
    return *s == 0;
}

static bool dates_solve(const char *s, char *answer)
{
    int n, d, m;
    if (wt_synth_skip(&s, "If ")) return solve_weekday(s, answer);
    if (!wt_synth_skip(&s, "The day ") || !wt_synth_int(&s, &n) || !wt_synth_skip(&s, " days ") || n > 365) return false;
    bool after = wt_synth_skip(&s, "after ");
    if (!after && !wt_synth_skip(&s, "before ")) return false;
    if (!read_date(&s, &d, &m) || !wt_synth_skip(&s, " is") || *s) return false;
    for (d += after ? n : -n; d > month_days[m]; m = (m + 1) % 12) d -= month_days[m];
    for (; d < 1; d += month_days[m]) m = (m + 11) % 12;
    wt_synth_put(answer, " %d %s", d, month[m]);
    return true;
}

const wt_synth_domain wt_synth_dates = {
    .name = "dates", .about = "calendar dates and weekdays some days away",
    .ask = dates_ask, .solve = dates_solve,
};
