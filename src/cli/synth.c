/* witan synth: models of random weights with true dimensions. */
#include "cli.h"

#include <string.h>

typedef struct opts { witan_random_options r; const char *out, *split; bool json; } opts;

#define ROW(f, t) .name = #f, .type = t, .offset = offsetof(opts, r.f)
static const witan_param param[] = {
    { .name = "out", .type = WITAN_P_STR, .offset = offsetof(opts, out), .metavar = "FILE.gguf", .alias = "o", .help = "the model to write" },
    { ROW(type, WITAN_P_STR), .def_text = "F32", .metavar = "TYPE", .help = "block type of all matrices: F32, F16, BF16, Q8_0, Q4_K, Q4_0 ..." },
    { ROW(experts, WITAN_P_STR), .metavar = "TYPE", .help = "of the routed experts instead" },
    { ROW(layers, WITAN_P_I32), .max = 1024, .help = "so many layers; 0: as many as the checkpoint has" },
    { ROW(seed, WITAN_P_I64), .def = 1, .max = 9007199254740992.0, .help = "same seed, same bytes" },
    WITAN_TEXT(opts, split, NULL, "SIZE", "several files of at most this many bytes each, such as 2G"),
    WITAN_FLAG(opts, json, "print the result, or the list of names, as JSON"),
    { 0 }
};

static int list(cli *c, bool json)
{
    const char *name;
    json_t *o = json_object(), *a = json_array();
    if (!json) puts("known dimensions:");
    for (size_t i = 0; (name = witan_random_name(i)); i++) {
        json_array_append_new(a, json_string(name));
        if (!json) printf("  %s\n", name);
    }
    json_object_set_new(o, "dimensions", a);
    if (json) return cli_print(c, o);
    json_decref(o);
    return EXIT_OK;
}

static int print_json(cli *c, const char *out, double seconds)
{
    json_t *o = json_object();
    json_object_set_new(o, "out", cli_text(out, strlen(out)));
    json_object_set_new(o, "dimensions", json_string(c->arg[0]));
    json_object_set_new(o, "seconds", json_real(seconds));
    return cli_print(c, o);
}

static int run(cli *c, const void *opts_)
{
    const opts *o = opts_;
    witan_random_options r = o->r;
    double start = cli_now();
    if (!c->n_arg) return list(c, o->json);
    if (!o->out) return cli_usage("synth: -o FILE is missing: where to write the model");
    if (o->split && !cli_size(o->split, &r.split)) return cli_usage("synth: --split \"%s\": expected a size such as 2G or 500M", o->split);
    r.command = c->line;
    if (witan_random_model(c->cx, c->arg[0], &r, o->out)) return cli_failed(c);
    cli_progress_end(c);
    double seconds = cli_now() - start;
    if (o->json) return print_json(c, o->out, seconds);
    printf("%s: random weights with the dimensions of %s, %.1f s\n", o->out, c->arg[0], seconds);
    return EXIT_OK;
}

const command cmd_synth = {
    .name = "synth", .args = "[CHECKPOINT -o OUT.gguf]", .summary = "write a model of random weights with true dimensions",
    .about = "Writes a model of random weights with the dimensions of a published checkpoint, to measure speed and memory on this machine without\n"
             "downloading it, or a tiny one for tests. Without a checkpoint it lists those it knows. It writes nonsense, at the true speed.",
    .example = "witan synth olmoe-1b-7b --type Q4_0 -o /tmp/olmoe.gguf && witan bench /tmp/olmoe.gguf",
    .min_arg = 0, .max_arg = 1, .param = param, .opt_size = sizeof(opts), .run = run,
};
