/* synth_number.c: the domains "arithmetic" and "units". */
#include "train/synth_domain.h"

#include <string.h>

/* ---- arithmetic: "Compute 47 + 8 =" -> " 55" -------------------------------------------------------------------------
 * A number below 100 and a digit; easy: below 50; hard: two numbers below 1,000. No result is negative. */

static void arithmetic_ask(wt_rng *rng, int difficulty, char *prompt)
{
    static const int most_a[] = {49, 99, 999}, most_b[] = {9, 9, 999};
    int a = wt_synth_between(rng, 0, most_a[difficulty - 1]), b = wt_synth_between(rng, 0, most_b[difficulty - 1]);
    if (wt_synth_between(rng, 0, 1)) wt_synth_put(prompt, "Compute %d + %d =", a, b);
    else wt_synth_put(prompt, "Compute %d - %d =", a > b ? a : b, a > b ? b : a);
}

static bool arithmetic_solve(const char *s, char *answer)
{
    int sum, v;
    if (!wt_synth_skip(&s, "Compute ") || !wt_synth_int(&s, &sum)) return false;
    while (!wt_synth_skip(&s, " =")) {
        int sign = wt_synth_skip(&s, " + ") ? 1 : wt_synth_skip(&s, " - ") ? -1 : 0;
        if (!sign || !wt_synth_int(&s, &v)) return false;
        sum += sign * v;
    }
    wt_synth_put(answer, " %d", sum);
    return *s == 0;
}

const wt_synth_domain wt_synth_arithmetic = {
    .name = "arithmetic", .about = "sums and differences of small numbers",
    .ask = arithmetic_ask, .solve = arithmetic_solve,
};

/* ---- units: "Convert 3 m to cm:" -> " 300 cm" ------------------------------------------------------------------------
 * Down ("3 m" or "3 m 7 cm" to cm) and up ("300 cm to m", "85 min to h and min"). All results are whole.
 * Easy: one unit to another, no times. Hard: larger numbers. */

static const struct unit { const char *big, *small; int factor; } unit[] = {
    {"km", "m", 1000}, {"m", "cm", 100}, {"cm", "mm", 10}, {"kg", "g", 1000}, {"l", "ml", 1000}, {"t", "kg", 1000},
    {"h", "min", 60},  {"min", "s", 60},
};
enum { n_unit = sizeof unit / sizeof *unit, n_time = 2 };   /* times stand last */

static void units_ask(wt_rng *rng, int difficulty, char *prompt)
{
    bool easy = difficulty == 1, hard = difficulty == 3;
    const struct unit *u = &unit[wt_synth_between(rng, 0, n_unit - 1 - (easy ? n_time : 0))];
    bool time = u->factor == 60;
    int form = wt_synth_between(rng, time ? 2 : 0, easy ? 1 : 3);   /* 3 h to min alone: too few questions to learn from */
    int big = wt_synth_between(rng, 1, form <= 1 ? (hard ? 999 : 99) : time ? (hard ? 99 : 3) : hard ? 99 : 9);
    int small = wt_synth_between(rng, 1, (u->factor < 100 || hard ? u->factor : 100) - 1);
    switch (form) {
    case 0:
        wt_synth_put(prompt, "Convert %d %s to %s:", big, u->big, u->small);
        break;
    case 1:
        wt_synth_put(prompt, "Convert %d %s to %s:", big * u->factor, u->small, u->big);
        break;
    case 2:
        wt_synth_put(prompt, "Convert %d %s %d %s to %s:", big, u->big, small, u->small, u->small);
        break;
    default:
        wt_synth_put(prompt, "Convert %d %s to %s and %s:", big * u->factor + small, u->small, u->big, u->small);
    }
}

static bool unit_name(const char **s, char *name)
{
    return wt_synth_skip(s, " ") && wt_synth_word(s, name, 16);
}

static const struct unit *unit_pair(const char *big, const char *small)
{
    for (int i = 0; i < n_unit; i++)
        if (!strcmp(unit[i].big, big) && !strcmp(unit[i].small, small)) return &unit[i];
    return NULL;
}

static bool units_solve(const char *s, char *answer)
{
    int a, b = 0;
    char ua[16], ub[16] = "", to[16], rest[16];
    if (!wt_synth_skip(&s, "Convert ") || !wt_synth_int(&s, &a) || !unit_name(&s, ua)) return false;
    if (!wt_synth_skip(&s, " to")) {
        if (!wt_synth_skip(&s, " ") || !wt_synth_int(&s, &b) || !unit_name(&s, ub) || !wt_synth_skip(&s, " to")) return false;
    }
    if (!unit_name(&s, to)) return false;
    bool split = wt_synth_skip(&s, " and") && unit_name(&s, rest);
    if (strcmp(s, ":") != 0) return false;

    const struct unit *down = unit_pair(ua, to), *up = unit_pair(to, ua);
    if (down && !split && (!ub[0] || !strcmp(ub, to)))
        wt_synth_put(answer, " %d %s", a * down->factor + b, to);
    else if (up && split && !ub[0] && !strcmp(rest, ua))
        wt_synth_put(answer, " %d %s %d %s", a / up->factor, to, a % up->factor, rest);
    else if (up && !split && !ub[0] && a % up->factor == 0)
        wt_synth_put(answer, " %d %s", a / up->factor, to);
    else
        return false;
    return true;
}

const wt_synth_domain wt_synth_units = {
    .name = "units", .about = "conversion of lengths, weights, volumes and times",
    .ask = units_ask, .solve = units_solve,
};
