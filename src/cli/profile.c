/* witan profile: which experts a model uses for what. */
#include "cli.h"

#include <math.h>
#include <string.h>

typedef struct opts { const char *data, *domain, *out, *pre, *plan; int32_t ctx, limit; bool json; } opts;

static const witan_param param[] = {
    WITAN_TEXT(opts, data, NULL, "FILE.jsonl", "text to look at: lines with \"text\" or \"prompt\" and \"answer\", and perhaps \"domain\""),
    { .name = "out", .type = WITAN_P_STR, .offset = offsetof(opts, out), .metavar = "FILE.json", .alias = "o",
      .help = "where to keep the calibration record (docs/record.md)" },
    WITAN_TEXT(opts, domain, NULL, "NAME", "only this domain"),
    { .name = "ctx", .type = WITAN_P_I32, .offset = offsetof(opts, ctx), .max = 1 << 24, .alias = "c",
      .help = "documents are cut here, begin token included; 0: what the model was trained for" },
    WITAN_NUM(opts, limit, 0, 0, 1e9, "documents per domain; 0: all"),
    WITAN_TEXT(opts, plan, NULL, "FILE.json", "wear this plan: use only the experts it keeps"),
    CLI_PRE(opts),
    WITAN_FLAG(opts, json, "print JSON"),
    { 0 }
};

enum { SHUFFLE = 1 /* seed: the same comparison every time */ };

/* An expert's choices in a layer, of all domains. */
static double choices(const witan_record *r, int32_t layer, int32_t expert)
{
    double n = 0;
    for (size_t d = 0; d < witan_record_domains(r); d++) {
        double x = witan_record_get(r, d, layer, expert, "n");
        if (isfinite(x)) n += x;
    }
    return n;
}

typedef struct load { int32_t n_exp, unused; double least, most; } load;   /* least, most: of 1, where all are even */

static load load_of(const witan_record *r, int32_t layer)
{
    load l = { .least = INFINITY };
    double all = 0;
    while (isfinite(witan_record_get(r, 0, layer, l.n_exp, "n"))) all += choices(r, layer, l.n_exp++);
    for (int32_t e = 0; e < l.n_exp; e++) {
        double n = choices(r, layer, e) * l.n_exp / all;
        if (n < l.least) l.least = n;
        if (n > l.most) l.most = n;
        l.unused += n == 0;
    }
    return l;
}

static void print_table(const witan_record *r, const witan_record *random, int32_t n_layer)
{
    printf("%-12s %9s  %s\n", "domain", "tokens", "experts for 90 % of choices");
    for (size_t d = 0; d < witan_record_domains(r); d++)
        printf("%-12s %9lld  %.1f\n", witan_record_domain(r, d), (long long)witan_record_tokens(r, d), witan_record_spread(r, d, 0.9));
    printf("\nmutual information of domain and expert, in nats (at most %.3f), and load of an expert (1: even)\n", log((double)witan_record_domains(r)));
    printf("%-6s %11s %18s   %-14s %s\n", "layer", "information", "domains shuffled", "load", "never chosen");
    for (int32_t i = 0; i < n_layer; i++) {
        load l = load_of(r, i);
        if (l.n_exp) printf("%-6d %11.3f %18.3f   %.2f to %-6.2f %d of %d\n", i, witan_record_information(r, i), witan_record_information(random, i),
                            l.least, l.most, l.unused, l.n_exp);
    }
}

static int print_json(cli *c, const witan_record *r, const witan_record *random, int32_t n_layer)
{
    json_t *o = json_object(), *domains = json_array(), *layers = json_array();
    for (size_t d = 0; d < witan_record_domains(r); d++)
        json_array_append_new(domains, json_pack("{s:o, s:I, s:o}", "domain", cli_text(witan_record_domain(r, d), strlen(witan_record_domain(r, d))),
                                                 "tokens", (json_int_t)witan_record_tokens(r, d), "experts_90", cli_number(witan_record_spread(r, d, 0.9))));
    for (int32_t i = 0; i < n_layer; i++) {
        load l = load_of(r, i);
        if (l.n_exp) json_array_append_new(layers, json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:i}", "layer", i, "experts", l.n_exp,
            "information", cli_number(witan_record_information(r, i)), "information_shuffled", cli_number(witan_record_information(random, i)),
            "load_least", cli_number(l.least), "load_most", cli_number(l.most), "never_chosen", l.unused));
    }
    json_object_set_new(o, "domains", domains);
    json_object_set_new(o, "layers", layers);
    return cli_print(c, o);
}

static int measure(cli *c, const void *opts_, witan_model *m, witan_plan *plan)
{
    const opts *o = opts_;
    witan_profile_options p = { .data = o->data, .domain = o->domain, .n_ctx = o->ctx, .limit = o->limit, .plan = plan };
    witan_record *r = NULL, *random = NULL;
    int status = EXIT_OK;
    int32_t n_layer = witan_model_get_info(m)->n_layer;
    if (witan_profile(c->cx, m, &p, &r)) return cli_failed(c);
    p.shuffle_seed = SHUFFLE;
    if ((o->out && witan_record_save(c->cx, r, o->out)) || witan_profile(c->cx, m, &p, &random)) status = cli_failed(c);
    cli_progress_end(c);
    if (status == EXIT_OK && o->json) status = print_json(c, r, random, n_layer);
    else if (status == EXIT_OK) print_table(r, random, n_layer);
    witan_record_free(r);
    witan_record_free(random);
    return status;
}

static int run(cli *c, const void *opts_)
{
    const opts *o = opts_;
    if (!o->data) return cli_usage("profile: expected --data");
    return cli_with_model(c, o->pre, o->plan, measure, o);
}

const command cmd_profile = {
    .name = "profile", .args = "MODEL", .summary = "see which experts are used for what",
    .about = "Reads text once and counts, per domain, which experts every layer chooses; a second pass with domains exchanged at random among documents\n"
             "shows what chance alone would give. -o keeps the calibration record that scores and plans are made from.",
    .example = "witan profile models/council-Q8_0.gguf --data build/demo/data/all.test.jsonl",
    .min_arg = 1, .max_arg = 1, .param = param, .opt_size = sizeof(opts), .run = run,
};
