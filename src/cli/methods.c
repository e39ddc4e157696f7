/* witan methods: what the registry holds. */
#include "cli.h"

#include <string.h>

typedef struct opts { bool json; } opts;

static const witan_param param[] = { WITAN_FLAG(opts, json, "print JSON"), { 0 } };

static json_t *option_json(const witan_param *p)
{
    static const char *const type[] = { "number", "number", "integer", "integer", "boolean", "string", "string" };
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(p->name));
    json_object_set_new(o, "type", json_string(type[p->type]));
    json_object_set_new(o, "help", json_string(p->help));
    if (p->type == WITAN_P_BOOL) json_object_set_new(o, "default", json_boolean(p->def != 0));
    else if (p->type == WITAN_P_STR) json_object_set_new(o, "default", p->def_text ? json_string(p->def_text) : json_null());
    else if (p->type == WITAN_P_ENUM) {
        json_t *choice = json_array();
        for (int i = 0; p->choice[i]; i++) json_array_append_new(choice, json_string(p->choice[i]));
        json_object_set_new(o, "choices", choice);
        json_object_set_new(o, "default", json_string(p->choice[(int)p->def]));
    } else {
        json_object_set_new(o, "default", json_real(p->def));
        json_object_set_new(o, "min", json_real(p->min));
        json_object_set_new(o, "max", json_real(p->max));
    }
    return o;
}

static json_t *method_json(const witan_method *m)
{
    json_t *o = json_object(), *list = json_array();
    json_object_set_new(o, "name", json_string(m->name));
    json_object_set_new(o, "kind", json_string(m->kind));
    json_object_set_new(o, "title", json_string(m->title));
    json_object_set_new(o, "about", json_string(m->about));
    json_object_set_new(o, "paper", json_string(m->paper));
    json_object_set_new(o, "authors", json_string(m->authors));
    json_object_set_new(o, "id", json_string(m->id));
    json_object_set_new(o, "year", json_integer(m->year));
    json_object_set_new(o, "where", json_string(m->where));
    for (const witan_param *p = m->param; p && p->name; p++) json_array_append_new(list, option_json(p));
    json_object_set_new(o, "options", list);
    return o;
}

static void print_full(const witan_method *m)
{
    printf("%s (%s): %s\n  %s\n  Source: %s, \"%s\", %s (%d); %s\n", m->name, m->kind, m->title, m->about, m->authors, m->paper, m->id, m->year, m->where);
    for (const witan_param *p = m->param; p && p->name; p++) {
        printf("  %-12s %s", p->name, p->help);
        if (p->type == WITAN_P_BOOL) puts(" (off)"); else printf(" (%g; %g to %g)\n", p->def, p->min, p->max);
    }
}

static void print_title(const witan_method *m, const char **kind)
{
    if (strcmp(*kind, m->kind)) printf("%s%s\n", **kind ? "\n" : "", m->kind);
    *kind = m->kind;
    printf("  %-12s %-32s %s (%s)\n", m->name, m->title, m->authors, m->id);
}

/* Methods of that name; NULL: all. Names are unique within a kind. */
static size_t count(const char *want)
{
    witan_method m;
    size_t n = 0;
    for (size_t i = 0; witan_method_get(i, &m); i++) n += !want || !strcmp(want, m.name);
    return n;
}

static int unknown(cli *c, const char *want)
{
    const char *word[256];
    witan_method m;
    size_t n = 0;
    while (n < 256 && witan_method_get(n, &m)) word[n++] = m.name;
    const char *near = witan_did_you_mean(want, word, n);
    if (near) return cli_fail(c, "no method \"%s\"; did you mean \"%s\"?", want, near);
    return cli_fail(c, "no method \"%s\"; `witan methods` lists them", want);
}

static int run(cli *c, const void *opts_)
{
    const opts *o = opts_;
    const char *want = c->n_arg ? c->arg[0] : NULL, *kind = "";
    witan_method m;
    size_t found = count(want);
    int status = EXIT_OK;
    if (!found) return want ? unknown(c, want) : EXIT_OK;
    for (size_t i = 0; witan_method_get(i, &m) && status == EXIT_OK; i++) {
        if (want && strcmp(want, m.name)) continue;
        if (o->json) status = found == 1 ? cli_print(c, method_json(&m)) : cli_print_line(c, method_json(&m));
        else if (want) print_full(&m);
        else print_title(&m, &kind);
    }
    return status;
}

const command cmd_methods = {
    .name = "methods", .args = "[METHOD]", .summary = "list and explain the published methods built in",
    .about = "Lists the methods in the registry by kind, or explains one: what it does, its source, its options.",
    .example = "witan methods easy-ep",
    .min_arg = 0, .max_arg = 1, .param = param, .opt_size = sizeof(opts), .run = run,
};
