/* synth_code.c: the domains "json" and "code". */
#include "train/synth_domain.h"

#include <string.h>

/* ---- json: `{"cat": 3, "dog": 7} drop "cat" ->` -> ` {"dog": 7}` -----------------------------------------------------
 * Operations: get KEY:, drop KEY ->, set KEY: N ->, rename KEY to KEY ->, swap -> (the values of two pairs), keys ->.
 * Two or three pairs; easy: two, no set, rename or swap; hard: four or five, no swap, values of two digits. */

static const char *const name[] = {
    "cat", "dog", "tea", "cup", "sun", "map", "pen", "box", "hat", "key", "egg", "car", NULL,
};
enum { n_name = 12, max_pair = 5 };

typedef struct object { int key[max_pair], value[max_pair], n; } object;

static void put_object(char *buf, const object *o)
{
    wt_synth_put(buf, "{");
    for (int i = 0; i < o->n; i++) wt_synth_put(buf, "%s\"%s\": %d", i ? ", " : "", name[o->key[i]], o->value[i]);
    wt_synth_put(buf, "}");
}

static void json_ask(wt_rng *rng, int difficulty, char *prompt)
{
    enum { GET, DROP, KEYS, SET, RENAME, SWAP, N_FORM };
    static const int form_drawn[] = {GET, DROP, SET, RENAME, SWAP, KEYS}, easy[] = {GET, DROP, KEYS}, hard[] = {GET, DROP, SET, RENAME, KEYS};
    static const int *const forms[] = {easy, form_drawn, hard}, n_form[] = {3, N_FORM, 5}, most[] = {9, 9, 99};
    int form = forms[difficulty - 1][wt_synth_between(rng, 0, n_form[difficulty - 1] - 1)], keys[max_pair + 1];
    bool whole = form >= SET;   /* two pairs come back: enough for one answer */
    object o = {.n = difficulty == 3 ? wt_synth_between(rng, 4, max_pair) : whole || difficulty == 1 ? 2 : wt_synth_between(rng, 2, 3)};
    wt_synth_distinct(rng, n_name, o.n + 1, keys);
    for (int i = 0; i < o.n; i++) {
        o.key[i] = keys[i];
        o.value[i] = wt_synth_between(rng, 0, most[difficulty - 1]);
    }
    const char *key = name[o.key[wt_synth_between(rng, 0, o.n - 1)]];
    put_object(prompt, &o);
    switch (form) {
    case GET:    wt_synth_put(prompt, " get \"%s\":", key); return;
    case DROP:   wt_synth_put(prompt, " drop \"%s\"", key); break;
    case SET:    wt_synth_put(prompt, " set \"%s\": %d", key, wt_synth_between(rng, 0, most[difficulty - 1])); break;
    case RENAME: wt_synth_put(prompt, " rename \"%s\" to \"%s\"", key, name[keys[o.n]]); break;
    case SWAP:   wt_synth_put(prompt, " swap"); break;
    default:     wt_synth_put(prompt, " keys");
    }
    wt_synth_put(prompt, " ->");
}

static bool read_object(const char **s, object *o)
{
    o->n = 0;
    if (!wt_synth_skip(s, "{")) return false;
    do {
        if (o->n == max_pair || !wt_synth_skip(s, "\"") || !wt_synth_pick(s, name, &o->key[o->n])) return false;
        if (!wt_synth_skip(s, "\": ") || !wt_synth_int(s, &o->value[o->n++])) return false;
    } while (wt_synth_skip(s, ", "));
    return wt_synth_skip(s, "}");
}

static bool read_name(const char **s, int *k)
{
    return wt_synth_skip(s, " \"") && wt_synth_pick(s, name, k) && wt_synth_skip(s, "\"");
}

/* Which pair of the object is named; -1: none. */
static int read_key(const char **s, const object *o)
{
    int k;
    if (read_name(s, &k))
        for (int i = 0; i < o->n; i++)
            if (o->key[i] == k) return i;
    return -1;
}

static void drop_pair(object *o, int i)
{
    for (o->n--; i < o->n; i++) {
        o->key[i] = o->key[i + 1];
        o->value[i] = o->value[i + 1];
    }
}

static bool json_solve(const char *s, char *answer)
{
    object o;
    int i;
    if (!read_object(&s, &o)) return false;
    if (wt_synth_skip(&s, " get")) {
        if ((i = read_key(&s, &o)) < 0) return false;
        wt_synth_put(answer, " %d", o.value[i]);
        return strcmp(s, ":") == 0;
    } else if (wt_synth_skip(&s, " keys")) {
        for (i = 0; i < o.n; i++) wt_synth_put(answer, "%s\"%s\"", i ? ", " : " [", name[o.key[i]]);
        wt_synth_put(answer, "]");
    } else {
        if (wt_synth_skip(&s, " drop")) {
            if ((i = read_key(&s, &o)) < 0) return false;
            drop_pair(&o, i);
        } else if (wt_synth_skip(&s, " set")) {
            if ((i = read_key(&s, &o)) < 0 || !wt_synth_skip(&s, ": ") || !wt_synth_int(&s, &o.value[i])) return false;
        } else if (wt_synth_skip(&s, " rename")) {
            if ((i = read_key(&s, &o)) < 0 || !wt_synth_skip(&s, " to") || !read_name(&s, &o.key[i])) return false;
        } else if (wt_synth_skip(&s, " swap") && o.n == 2) {
            int t = o.value[0];
            o.value[0] = o.value[1];
            o.value[1] = t;
        } else {
            return false;
        }
        wt_synth_put(answer, " ");
        put_object(answer, &o);
    }
    return strcmp(s, " ->") == 0;
}

const wt_synth_domain wt_synth_json = {
    .name = "json", .about = "small changes to a JSON object",
    .ask = json_ask, .solve = json_solve,
};

/* ---- code: `x = 3; y = x + 4; print(y) #` -> " 7" --------------------------------------------------------------------
 * Lines of Python on small numbers: two or three assignments, each using the one before, or one operation on a list of
 * three or four. Easy: two assignments, lists of three; hard: four or five assignments, lists of five to seven. */

static const char *const builtin[] = {"max", "min", "len", "sum", "sorted", NULL};
enum { n_builtin = 5, max_list = 7, max_assigned = 5 };

static void put_list(char *buf, const int *v, int n)
{
    for (int i = 0; i < n; i++) wt_synth_put(buf, "%s%d", i ? ", " : "[", v[i]);
    wt_synth_put(buf, "]");
}

static void ask_assignments(wt_rng *rng, int difficulty, char *prompt)
{
    static const int least[] = {2, 2, 4}, most[] = {2, 3, max_assigned};
    int var[max_assigned], value = wt_synth_between(rng, 1, 9), n = wt_synth_between(rng, least[difficulty - 1], most[difficulty - 1]);
    wt_synth_distinct(rng, 26, n, var);
    wt_synth_put(prompt, "%c = %d", 'a' + var[0], value);
    for (int i = 1; i < n; i++) {
        int k = wt_synth_between(rng, 1, 9);
        bool minus = wt_synth_between(rng, 0, 1) && k <= value;
        value += minus ? -k : k;
        wt_synth_put(prompt, "; %c = %c %c %d", 'a' + var[i], 'a' + var[i - 1], minus ? '-' : '+', k);
    }
    wt_synth_put(prompt, "; print(%c) #", 'a' + var[n - 1]);
}

static void code_ask(wt_rng *rng, int difficulty, char *prompt)
{
    static const int least[] = {3, 3, 5}, most[] = {3, 4, max_list};
    int v[max_list], form = wt_synth_between(rng, 0, 9), n = wt_synth_between(rng, least[difficulty - 1], most[difficulty - 1]);
    if (form <= 2) {
        ask_assignments(rng, difficulty, prompt);
        return;
    }
    const char *function = builtin[wt_synth_between(rng, 0, n_builtin - 1)];
    bool index = form >= 8, sum = !strcmp(function, "sum");
    if (sum && !index) n = difficulty == 3 ? 3 : 2;
    for (int i = 0; i < n; i++) v[i] = wt_synth_between(rng, 0, 9);
    wt_synth_put(prompt, "print(");
    if (!index) wt_synth_put(prompt, "%s(", function);
    put_list(prompt, v, n);
    if (form == 8) wt_synth_put(prompt, "[%d]", wt_synth_between(rng, 0, n - 1));
    if (form == 9) wt_synth_put(prompt, "[::-1]");
    wt_synth_put(prompt, index ? ") #" : ")) #");
}

static bool read_list(const char **s, int *v, int *n)
{
    *n = 0;
    if (!wt_synth_skip(s, "[")) return false;
    do {
        if (*n == max_list || !wt_synth_int(s, &v[(*n)++])) return false;
    } while (wt_synth_skip(s, ", "));
    return wt_synth_skip(s, "]");
}

static bool solve_list(const char *s, char *answer)
{
    int v[max_list], n, f = -1, i, sum = 0, up[max_list], down[max_list];
    if (wt_synth_pick(&s, builtin, &f) && !wt_synth_skip(&s, "(")) return false;
    if (!read_list(&s, v, &n)) return false;
    for (i = 0; i < n; i++) {
        sum += up[i] = v[i];
        down[i] = v[n - 1 - i];
    }
    wt_synth_order(up, n);
    wt_synth_put(answer, " ");
    if (f < 0 && wt_synth_skip(&s, "[::-1]")) {
        put_list(answer, down, n);
    } else if (f < 0) {
        if (!wt_synth_skip(&s, "[") || !wt_synth_int(&s, &i) || !wt_synth_skip(&s, "]") || i >= n) return false;
        wt_synth_put(answer, "%d", v[i]);
    } else if (!wt_synth_skip(&s, ")")) {
        return false;
    } else if (f == 4) {
        put_list(answer, up, n);
    } else {
        const int result[] = {up[n - 1], up[0], n, sum};
        wt_synth_put(answer, "%d", result[f]);
    }
    return strcmp(s, ") #") == 0;
}

static bool read_variable(const char **s, int *var)
{
    if (**s < 'a' || **s > 'z') return false;
    *var = *(*s)++ - 'a';
    return true;
}

static bool code_solve(const char *s, char *answer)
{
    int value[26] = {0}, var, from, k;
    bool set[26] = {false};
    if (wt_synth_skip(&s, "print(")) return solve_list(s, answer);
    while (!wt_synth_skip(&s, "print(")) {
        if (!read_variable(&s, &var) || !wt_synth_skip(&s, " = ")) return false;
        if (wt_synth_int(&s, &k)) {
            value[var] = k;
        } else {
            if (!read_variable(&s, &from) || !set[from]) return false;
            int sign = wt_synth_skip(&s, " + ") ? 1 : wt_synth_skip(&s, " - ") ? -1 : 0;
            if (!sign || !wt_synth_int(&s, &k)) return false;
            value[var] = value[from] + sign * k;
        }
        set[var] = true;
        if (!wt_synth_skip(&s, "; ")) return false;
    }
    if (!read_variable(&s, &var) || !set[var] || strcmp(s, ") #") != 0) return false;
    wt_synth_put(answer, " %d", value[var]);
    return true;
}

const wt_synth_domain wt_synth_code = {
    .name = "code", .about = "what a line of Python prints",
    .ask = code_ask, .solve = code_solve,
};
