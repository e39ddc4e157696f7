/* synth_table.c: the domain "table": looking things up again and again. */
#include "train/synth_domain.h"

#include <string.h>

/* ---- table: "Table: k is 47, q is 12, b is 90. Read b, k:" -> " 90, 47" ----------------------------------------------
 * Four to eight names with numbers of two digits; three to six of them are asked for, in any order. Easy: three, of which two are
 * asked for; hard: ten to sixteen, of which eight to twelve are. Every answer is many look-ups in what was just told, the
 * skill that small models are slowest to find and that other domains need too. */

enum { n_letter = 26, max_row = 16 };

static void table_ask(wt_rng *rng, int difficulty, char *prompt)
{
    static const int least[] = {3, 4, 10}, most[] = {3, 8, max_row}, ask_least[] = {2, 3, 8}, ask_most[] = {2, 6, 12};
    int name[max_row], order[max_row], n = wt_synth_between(rng, least[difficulty - 1], most[difficulty - 1]);
    int m = wt_synth_between(rng, ask_least[difficulty - 1], ask_most[difficulty - 1]);
    wt_synth_distinct(rng, n_letter, n, name);
    wt_synth_distinct(rng, n, n, order);
    wt_synth_put(prompt, "Table:");
    for (int i = 0; i < n; i++) wt_synth_put(prompt, "%s %c is %d", i ? "," : "", 'a' + name[i], wt_synth_between(rng, 10, 99));
    wt_synth_put(prompt, ". Read");
    for (int i = 0; i < m && i < n; i++) wt_synth_put(prompt, "%s %c", i ? "," : "", 'a' + name[order[i]]);
    wt_synth_put(prompt, ":");
}

static bool letter(const char **s, int *out)
{
    if ((*s)[0] != ' ' || (*s)[1] < 'a' || (*s)[1] > 'z') return false;
    *out = (*s)[1] - 'a';
    *s += 2;
    return true;
}

static bool table_solve(const char *s, char *answer)
{
    int value[n_letter], name, v;
    memset(value, -1, sizeof value);
    if (!wt_synth_skip(&s, "Table:")) return false;
    do {
        if (!letter(&s, &name) || value[name] >= 0 || !wt_synth_skip(&s, " is ") || !wt_synth_int(&s, &v)) return false;
        value[name] = v;
    } while (wt_synth_skip(&s, ","));
    if (!wt_synth_skip(&s, ". Read")) return false;
    do {
        if (!letter(&s, &name) || value[name] < 0) return false;
        wt_synth_put(answer, "%s %d", answer[0] ? "," : "", value[name]);
    } while (wt_synth_skip(&s, ","));
    return strcmp(s, ":") == 0;
}

const wt_synth_domain wt_synth_table = {
    .name = "table", .about = "reading numbers out of a table, several at once",
    .ask = table_ask, .solve = table_solve,
};
