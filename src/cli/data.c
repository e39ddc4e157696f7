/* witan data: synthetic corpora, what is in a data set, vocabularies. */
#include "cli.h"

#include <string.h>

typedef struct own { const char *model, *out; bool json; } own;
typedef struct opts { own own; witan_synth_options synth; witan_tokenizer_options tok; } opts;

static const witan_param param[] = {
    WITAN_TEXT(own, model, NULL, "MODEL", "stats: count tokens too, as this model or vocabulary cuts text"),
    { .name = "out", .type = WITAN_P_STR, .offset = offsetof(own, out), .metavar = "FILE.gguf", .alias = "o", .help = "tokenizer: the vocabulary to write" },
    WITAN_FLAG(own, json, "print the result as JSON"),
    { 0 }
};

const char *const cli_data_actions[] = { "synth", "stats", "tokenizer", NULL };
typedef enum action { SYNTH, STATS, TOKENIZER, N_ACTION } action;

/* ---- synth ---------------------------------------------------------------------------------------------------------- */

/* Is the domain among those asked for? */
static bool asked(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *s = list; s && *s; s += strcspn(s, ","), s += *s == ',')
        if (strcspn(s, ",") == n && !memcmp(s, name, n)) return true;
    return !list;
}

static int synth_json(cli *c, const witan_synth_options *o)
{
    json_t *v = json_object(), *list = json_array();
    json_object_set_new(v, "dir", cli_text(o->dir, strlen(o->dir)));
    json_object_set_new(v, "seed", json_integer(o->seed));
    json_object_set_new(v, "difficulty", json_integer(o->difficulty));
    json_object_set_new(v, "book", json_integer(o->book));
    json_object_set_new(v, "train", json_integer(o->train));
    json_object_set_new(v, "valid", json_integer(o->valid));
    json_object_set_new(v, "test", json_integer(o->test));
    json_object_set_new(v, "demos", json_integer(o->demos));
    for (size_t i = 0; i < witan_synth_domain_count(); i++) {
        const char *about, *name = witan_synth_domain(i, &about);
        if (!asked(o->domains, name)) continue;
        json_t *d = json_object();
        json_object_set_new(d, "domain", json_string(name));
        json_object_set_new(d, "about", json_string(about));
        json_array_append_new(list, d);
    }
    json_object_set_new(v, "domains", list);
    return cli_print(c, v);
}

static int synth(cli *c, const opts *given)
{
    witan_synth_options o = given->synth;
    size_t n = 0;
    if (c->n_arg > 2) return cli_usage("data: \"%s\" is one argument too many; expected: witan data synth DIR", c->arg[2]);
    o.dir = c->arg[1];
    if (witan_synth(c->cx, &o)) return cli_failed(c);
    cli_progress_end(c);
    if (given->own.json) return synth_json(c, &o);
    for (size_t i = 0; i < witan_synth_domain_count(); i++) n += asked(o.domains, witan_synth_domain(i, NULL));
    printf("%s: %zu domains with up to %d train, %d valid, %d test items and %d demonstrations each (seed %lld)\n", o.dir, n, o.train, o.valid,
           o.test, o.demos, (long long)o.seed);
    for (size_t i = 0; i < witan_synth_domain_count(); i++) {
        const char *about, *name = witan_synth_domain(i, &about);
        if (asked(o.domains, name)) printf("  %-12s %s\n", name, about);
    }
    return EXIT_OK;
}

/* ---- stats ---------------------------------------------------------------------------------------------------------- */

static json_t *row_json(const witan_data_stats_row *r, bool tokens)
{
    json_t *o = json_object();
    json_object_set_new(o, "domain", cli_text(r->domain, strlen(r->domain)));
    json_object_set_new(o, "documents", json_integer(r->documents));
    json_object_set_new(o, "bytes", json_integer(r->bytes));
    json_object_set_new(o, "tokens", tokens ? json_integer(r->tokens) : json_null());
    json_object_set_new(o, "duplicates", json_integer(r->duplicates));
    json_object_set_new(o, "bad_utf8", json_integer(r->bad_utf8));
    json_object_set_new(o, "mean", cli_number(r->mean));
    json_object_set_new(o, "min", json_integer(r->min));
    json_object_set_new(o, "p10", json_integer(r->p10));
    json_object_set_new(o, "p50", json_integer(r->p50));
    json_object_set_new(o, "p90", json_integer(r->p90));
    json_object_set_new(o, "p99", json_integer(r->p99));
    json_object_set_new(o, "max", json_integer(r->max));
    return o;
}

/* One object: the total, the domains inside. */
static int stats_json(cli *c, const witan_data_stats_result *r)
{
    json_t *o = row_json(&r->row[r->n_row - 1], r->has_tokens), *list = json_array();
    json_object_del(o, "domain");
    json_object_set_new(o, "length_unit", json_string(r->has_tokens ? "tokens" : "bytes"));
    for (size_t i = 0; i + 1 < r->n_row; i++) json_array_append_new(list, row_json(r->row + i, r->has_tokens));
    json_object_set_new(o, "domains", list);
    return cli_print(c, o);
}

static void stats_table(const witan_data_stats_result *r)
{
    char bytes[32], tokens[32], documents[32];
    printf("%-12s %9s %9s %9s %6s %6s   length in %s: mean, 10 %%, half, 90 %%, 99 %%, most\n", "domain", "documents", "bytes", "tokens", "again", "bad",
           r->has_tokens ? "tokens" : "bytes");
    for (size_t i = 0; i < r->n_row; i++) {
        const witan_data_stats_row *x = r->row + i;
        printf("%-12s %9s %9s %9s %6lld %6lld   %8.1f %6lld %6lld %6lld %6lld %6lld\n", x->domain, cli_count((double)x->documents, documents),
               cli_bytes((double)x->bytes, bytes), r->has_tokens ? cli_count((double)x->tokens, tokens) : "-", (long long)x->duplicates,
               (long long)x->bad_utf8, x->mean, (long long)x->p10, (long long)x->p50, (long long)x->p90, (long long)x->p99, (long long)x->max);
    }
}

static int stats(cli *c, const opts *o)
{
    witan_model *m = NULL;
    witan_data_stats_result *r;
    if (o->own.model && witan_vocab_open(c->cx, o->own.model, NULL, &m)) return cli_failed(c);
    witan_status st = witan_data_stats(c->cx, (const char *const *)c->arg + 1, (size_t)c->n_arg - 1, m, &r);
    witan_model_free(m);
    if (st) return cli_failed(c);
    cli_progress_end(c);
    int status = EXIT_OK;
    if (o->own.json) status = stats_json(c, r); else stats_table(r);
    witan_data_stats_free(c->cx, r);
    return status;
}

/* ---- tokenizer ------------------------------------------------------------------------------------------------------ */

static int tokenizer_json(cli *c, const char *out, const witan_tokenizer_result *r, double seconds)
{
    json_t *o = json_object();
    json_object_set_new(o, "out", cli_text(out, strlen(out)));
    json_object_set_new(o, "vocab", json_integer(r->n_token));
    json_object_set_new(o, "merges", json_integer(r->n_merge));
    json_object_set_new(o, "documents", json_integer(r->documents));
    json_object_set_new(o, "bytes", json_integer(r->bytes));
    json_object_set_new(o, "words", json_integer(r->words));
    json_object_set_new(o, "different_words", json_integer(r->different));
    json_object_set_new(o, "forgotten_words", json_integer(r->forgotten));
    json_object_set_new(o, "tokens", json_integer(r->tokens));
    json_object_set_new(o, "bytes_per_token", cli_number(r->tokens ? (double)r->bytes / (double)r->tokens : 0));
    json_object_set_new(o, "seconds", cli_number(seconds));
    return cli_print(c, o);
}

static int tokenizer(cli *c, const opts *given)
{
    witan_tokenizer_options o = given->tok;
    witan_tokenizer_result r;
    char bytes[32], tokens[32];
    double start = cli_now();
    if (!given->own.out) return cli_usage("data tokenizer: -o FILE is missing: where to write the vocabulary");
    o.command = c->line;
    if (witan_tokenizer_train(c->cx, (const char *const *)c->arg + 1, (size_t)c->n_arg - 1, given->own.out, &o, &r)) return cli_failed(c);
    cli_progress_end(c);
    double seconds = cli_now() - start;
    if (given->own.json) return tokenizer_json(c, given->own.out, &r, seconds);
    printf("%s: %d tokens, %d merges from %s of text, which are %s tokens now (%.2f bytes each); %.1f s\n", given->own.out, r.n_token, r.n_merge,
           cli_bytes((double)r.bytes, bytes), cli_count((double)r.tokens, tokens), r.tokens ? (double)r.bytes / (double)r.tokens : 0, seconds);
    return EXIT_OK;
}

/* ---- which ---------------------------------------------------------------------------------------------------------- */

/* An option that the action does not know, given with another value than its default; NULL: none. */
static const char *foreign(const witan_param *table, const void *given, size_t size)
{
    char fresh[sizeof(opts)], now[256], before[256];
    memset(fresh, 0, size);
    witan_opt_defaults(table, fresh);
    for (const witan_param *p = table; p->name; p++) {
        witan_opt_text(p, given, now, sizeof now);
        witan_opt_text(p, fresh, before, sizeof before);
        if (strcmp(now, before)) return p->name;
    }
    return NULL;
}

static int run(cli *c, const void *opts_)
{
    const opts *o = opts_;
    char shown[64];
    static int (*const actions[N_ACTION])(cli *, const opts *) = { synth, stats, tokenizer };
    int a = 0;
    while (a < N_ACTION && strcmp(c->arg[0], cli_data_actions[a])) a++;
    if (a == N_ACTION) {
        const char *near = witan_did_you_mean(c->arg[0], cli_data_actions, N_ACTION);
        return cli_usage("data: \"%s\" is not known%s%s%s; expected: witan data synth DIR, stats FILE... or tokenizer FILE... -o OUT.gguf", c->arg[0],
                         near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    if (c->n_arg < 2) return cli_usage("data expects: witan data %s %s", c->arg[0], a == SYNTH ? "DIR" : "FILE...");
    const char *not_mine = a != SYNTH ? foreign(witan_synth_param, &o->synth, sizeof o->synth) : NULL;
    if (!not_mine && a != TOKENIZER) not_mine = foreign(witan_tokenizer_param, &o->tok, sizeof o->tok);
    if (!not_mine && a != TOKENIZER && o->own.out) not_mine = "out";
    if (!not_mine && a != STATS && o->own.model) not_mine = "model";
    if (not_mine) return cli_usage("data %s: knows no option --%s; `witan data --help` lists them", c->arg[0], cli_dashed(not_mine, shown));
    return actions[a](c, o);
}

const command cmd_data = {
    .name = "data", .args = "ACTION PATH...", .summary = "make data, count it, learn a vocabulary from it",
    .about = "`witan data synth DIR` writes a synthetic corpus whose answers a program can check: DOMAIN.train.jsonl, .valid, .test and .demos for\n"
             "every domain, and all.*.jsonl with all domains together: lines with domain, prompt, answer and text. No question of one split occurs in\n"
             "another. `witan data stats FILE...` counts documents, bytes, tokens, repetitions and bad text for each domain.\n"
             "`witan data tokenizer FILE... -o OUT.gguf` learns a byte-level BPE vocabulary. Files are JSON lines with text, or prompt and answer, and\n"
             "perhaps domain; others than .jsonl are plain text.",
    .example = "witan data synth corpus --seed 7 && witan data stats corpus/all.*.jsonl --model models/council-Q8_0.gguf",
    .min_arg = 1, .max_arg = 1 << 20, .param = param, .more = witan_synth_param, .more_at = offsetof(opts, synth), .extra = witan_tokenizer_param,
    .extra_at = offsetof(opts, tok), .title = { "witan data", "witan data synth", "witan data tokenizer" }, .opt_size = sizeof(opts), .run = run,
};
