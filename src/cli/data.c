/* witan data: synthetic corpora. */
#include "cli.h"

#include <string.h>

static const witan_param param[] = {
    WITAN_NUM(witan_synth_options, seed, 1, 0, 9007199254740992.0, "same seed, same bytes"),
    WITAN_NUM(witan_synth_options, train, 2000, 0, 10000000, "training items per domain"),
    WITAN_NUM(witan_synth_options, valid, 100, 0, 1000000, "validation items per domain"),
    WITAN_NUM(witan_synth_options, test, 200, 0, 1000000, "test items per domain"),
    WITAN_NUM(witan_synth_options, demos, 10, 0, 1000000, "few-shot demonstrations per domain"),
    { 0 }
};

static int run(cli *c, const void *opts)
{
    witan_synth_options o = *(const witan_synth_options *)opts;
    if (strcmp(c->arg[0], "synth")) return cli_usage("data: \"%s\" is not known; expected: witan data synth DIR", c->arg[0]);
    o.dir = c->arg[1];
    if (witan_synth(c->cx, &o)) return cli_failed(c);
    cli_progress_end(c);
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
    .min_arg = 2, .max_arg = 2, .param = param, .opt_size = sizeof(witan_synth_options), .run = run,
};
