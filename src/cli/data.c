/* witan data: synthetic corpora. */
#include "cli.h"

#include <string.h>

typedef struct opts { witan_synth_options s; bool json; } opts;

#define ROW(f, t) .name = #f, .type = t, .offset = offsetof(opts, s.f)
static const witan_param param[] = {
    { ROW(seed, WITAN_P_I64), .def = 1, .max = 9007199254740992.0, .help = "same seed, same bytes" },
    { ROW(train, WITAN_P_I32), .def = 2000, .max = 10000000, .help = "training items per domain" },
    { ROW(valid, WITAN_P_I32), .def = 100, .max = 1000000, .help = "validation items per domain" },
    { ROW(test, WITAN_P_I32), .def = 200, .max = 1000000, .help = "test items per domain" },
    { ROW(demos, WITAN_P_I32), .def = 10, .max = 1000000, .help = "few-shot demonstrations per domain" },
    WITAN_FLAG(opts, json, "print the result as JSON"),
    { 0 }
};

static int print_json(cli *c, const witan_synth_options *o)
{
    json_t *v = json_object(), *list = json_array();
    json_object_set_new(v, "dir", cli_text(o->dir, strlen(o->dir)));
    json_object_set_new(v, "seed", json_integer(o->seed));
    json_object_set_new(v, "train", json_integer(o->train));
    json_object_set_new(v, "valid", json_integer(o->valid));
    json_object_set_new(v, "test", json_integer(o->test));
    json_object_set_new(v, "demos", json_integer(o->demos));
    for (size_t i = 0; i < witan_synth_domain_count(); i++) {
        const char *about, *name = witan_synth_domain(i, &about);
        json_t *d = json_object();
        json_object_set_new(d, "domain", json_string(name));
        json_object_set_new(d, "about", json_string(about));
        json_array_append_new(list, d);
    }
    json_object_set_new(v, "domains", list);
    return cli_print(c, v);
}

static int run(cli *c, const void *opts_)
{
    const opts *given = opts_;
    witan_synth_options o = given->s;
    if (strcmp(c->arg[0], "synth")) return cli_usage("data: \"%s\" is not known; expected: witan data synth DIR", c->arg[0]);
    o.dir = c->arg[1];
    if (witan_synth(c->cx, &o)) return cli_failed(c);
    cli_progress_end(c);
    if (given->json) return print_json(c, &o);
    printf("%s: %zu domains with up to %d train, %d valid, %d test items and %d demonstrations each (seed %lld)\n", o.dir, witan_synth_domain_count(),
           o.train, o.valid, o.test, o.demos, (long long)o.seed);
    for (size_t i = 0; i < witan_synth_domain_count(); i++) {
        const char *about, *name = witan_synth_domain(i, &about);
        printf("  %-12s %s\n", name, about);
    }
    return EXIT_OK;
}

const command cmd_data = {
    .name = "data", .args = "synth DIR", .summary = "write a synthetic corpus with checkable answers",
    .about = "Writes DOMAIN.train.jsonl, .valid, .test and .demos for every domain into DIR, and all.*.jsonl with all domains together: lines with\n"
             "domain, prompt, answer and text. Every answer follows from its question; no question of one split occurs in another.",
    .example = "witan data synth corpus --seed 7",
    .min_arg = 2, .max_arg = 2, .param = param, .opt_size = sizeof(opts), .run = run,
};
