/* witan specialize: the main job. */
#include "cli.h"

#include <math.h>
#include <string.h>

typedef struct opts { witan_specialize_options s; bool json; } opts;

static const char *const gates[] = { "renorm", "keep", NULL };

#define ROW(f, t) .name = #f, .type = t, .offset = offsetof(opts, s.f)
static const witan_param param[] = {
    { ROW(demos, WITAN_P_STR), .metavar = "FILE.jsonl", .help = "demonstrations of your domain: lines with \"text\", or \"prompt\" and \"answer\"" },
    { ROW(keep, WITAN_P_F64), .def = 0.5, .max = 1, .help = "share of the experts of each layer to keep" },
    { ROW(out, WITAN_P_STR), .metavar = "FILE.gguf", .alias = "o", .help = "the smaller model" },
    { ROW(report, WITAN_P_STR), .metavar = "FILE.html", .help = "a page that shows what was kept and what was lost" },
    { ROW(score, WITAN_P_STR), .def_text = "easy-ep", .metavar = "METHOD", .help = "what makes an expert important: `witan methods` lists them" },
    { ROW(eval, WITAN_P_STR), .metavar = "FILE.jsonl", .help = "held-out questions to measure before and after: lines with \"domain\", \"prompt\", \"answer\"" },
    { ROW(eval_limit, WITAN_P_I32), .def = 100, .max = 1e9, .help = "questions per domain; 0: all" },
    { ROW(domain, WITAN_P_STR), .metavar = "NAME", .help = "what to call the demonstrations' domain, if they do not say" },
    { ROW(seed, WITAN_P_I64), .def = 1, .max = 9007199254740992.0, .help = "seed of the random baselines" },
    { ROW(gate, WITAN_P_ENUM), .choice = gates, .help = "gates of the experts that stay" },
    { .name = "ctx", .type = WITAN_P_I32, .offset = offsetof(opts, s.n_ctx), .max = 1 << 24, .alias = "c", .help = "demonstrations are cut at so many tokens; 0: what the model was trained for" },
    { ROW(save_plan, WITAN_P_STR), .metavar = "FILE.json", .help = "write the plan (JSON), for `witan run --plan`; without -o only that" },
    { ROW(save_record, WITAN_P_STR), .metavar = "FILE.json", .help = "also write the calibration record (JSON)" },
    { ROW(pre, WITAN_P_STR), .metavar = "NAME", .help = CLI_PRE_HELP },
    WITAN_FLAG(opts, json, "print the result as JSON"),
    { 0 }
};

static json_t *path(const char *s) { return s ? cli_text(s, strlen(s)) : json_null(); }
static json_t *bytes(int64_t n) { return n ? json_integer(n) : json_null(); }

/* What was not made or not measured is null. */
static int print_json(cli *c, const witan_specialize_options *s, const witan_specialize_result *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "model", path(s->model));
    json_object_set_new(o, "out", path(s->out));
    json_object_set_new(o, "report", path(s->report));
    json_object_set_new(o, "plan", path(s->save_plan));
    json_object_set_new(o, "record", path(s->save_record));
    json_object_set_new(o, "score", path(s->score));
    json_object_set_new(o, "keep", json_real(s->keep));
    json_object_set_new(o, "gate", json_string(gates[s->gate]));
    json_object_set_new(o, "experts_before", json_integer(r->n_exp_before));
    json_object_set_new(o, "experts_after", json_integer(r->n_exp_after));
    json_object_set_new(o, "bytes_before", bytes(r->bytes_before));
    json_object_set_new(o, "bytes_after", bytes(r->bytes_after));
    json_object_set_new(o, "expert_bytes_before", bytes(r->expert_bytes_before));
    json_object_set_new(o, "expert_bytes_after", bytes(r->expert_bytes_after));
    json_object_set_new(o, "perplexity_before", cli_number(r->ppl_before));
    json_object_set_new(o, "perplexity_after", cli_number(r->ppl_after));
    json_object_set_new(o, "accuracy_before", cli_number(r->acc_before));
    json_object_set_new(o, "accuracy_after", cli_number(r->acc_after));
    json_object_set_new(o, "tokens_per_second_before", cli_number(r->toks_before));
    json_object_set_new(o, "tokens_per_second_after", cli_number(r->toks_after));
    return cli_print(c, o);
}

static void line(const char *what, double before, double after, int digits, const char *unit)
{
    char a[32], b[32];
    if (!isfinite(before) || !isfinite(after)) return;
    snprintf(a, sizeof a, "%.*f%s", digits, before, unit);
    snprintf(b, sizeof b, "%.*f%s", digits, after, unit);
    printf("%-28s %12s %12s\n", what, a, b);
}

static void print_table(const witan_specialize_options *s, const witan_specialize_result *r)
{
    char a[32], b[32];
    printf("%-28s %12s %12s\n", "", "before", "after");
    line("experts per layer", r->n_exp_before, r->n_exp_after, 0, "");
    printf("%-28s %12s %12s\n", "weights in the file", cli_bytes((double)r->bytes_before, a), cli_bytes((double)r->bytes_after, b));
    printf("%-28s %12s %12s\n", "of which experts", cli_bytes((double)r->expert_bytes_before, a), cli_bytes((double)r->expert_bytes_after, b));
    line("exact match on the domain", 100 * r->acc_before, 100 * r->acc_after, 1, " %");
    line("perplexity on the domain", r->ppl_before, r->ppl_after, 3, "");
    line("decode, tokens/s", r->toks_before, r->toks_after, 0, "");
    printf("\nmodel   %s\n", s->out);
    if (s->report) printf("report  %s\n", s->report);
    if (s->save_plan) printf("plan    %s\n", s->save_plan);
}

static int print_plan(cli *c, const opts *o, const witan_specialize_options *s, const witan_model *m, const witan_plan *p)
{
    const witan_model_info *f = witan_model_get_info(m);
    witan_specialize_result r = { .n_exp_before = f->n_exp, .bytes_before = f->n_byte, .expert_bytes_before = f->n_byte_expert, .ppl_before = NAN,
                                  .ppl_after = NAN, .acc_before = NAN, .acc_after = NAN, .toks_before = NAN, .toks_after = NAN };
    for (int32_t i = 0; i < f->n_layer; i++) if (witan_plan_count(p, i) > r.n_exp_after) r.n_exp_after = witan_plan_count(p, i);
    if (o->json) return print_json(c, s, &r);
    printf("plan    %s\nWear it with: witan run %s --plan %s\n", s->save_plan, s->model, s->save_plan);
    return EXIT_OK;
}

/* Without -o: only the plan, to be worn at run time. The one way to use gate=keep where a file cannot express it. */
static int plan_only(cli *c, const opts *given, const witan_specialize_options *s)
{
    witan_model *m = NULL;
    witan_record *r = NULL;
    witan_plan *p = NULL;
    witan_profile_options po = { .data = s->demos, .domain = s->domain, .n_ctx = s->n_ctx };
    witan_plan_options o = { .score = s->score, .keep = s->keep, .gate = (witan_gate)s->gate, .seed = s->seed };
    bool bad = witan_model_open(c->cx, s->model, &(witan_model_options){ .pre = s->pre }, &m) ||
               witan_profile(c->cx, m, &po, &r) || witan_plan_make(c->cx, m, r, &o, &p) ||
               (s->save_record && witan_record_save(c->cx, r, s->save_record)) || witan_plan_save(c->cx, p, s->save_plan);
    cli_progress_end(c);
    int status = bad ? cli_failed(c) : print_plan(c, given, s, m, p);
    witan_plan_free(p);
    witan_record_free(r);
    witan_model_free(m);
    return status;
}

static int run(cli *c, const void *opts_)
{
    const opts *o = opts_;
    witan_specialize_options s = o->s;
    witan_specialize_result r;
    s.model = c->arg[0];
    s.command = c->line;
    if (!s.demos) return cli_usage("specialize: --demos FILE is missing: JSON lines that show your domain");
    if (!s.out && s.save_plan) return plan_only(c, o, &s);
    if (!s.out) return cli_usage("specialize: -o FILE is missing: where to write the smaller model (or --save-plan FILE for the plan alone)");
    if (witan_specialize(c->cx, &s, &r)) return cli_failed(c);
    cli_progress_end(c);
    if (o->json) return print_json(c, &s, &r);
    print_table(&s, &r);
    return EXIT_OK;
}

const command cmd_specialize = {
    .name = "specialize", .args = "MODEL --demos FILE -o OUT.gguf", .summary = "make a smaller model for your domain (start here)",
    .about = "From a handful of demonstrations: finds the experts your domain needs, drops the rest, measures what was kept and what was lost beside\n"
             "random and frequency baselines, writes a smaller model that other engines load too, checks it, and writes a report. The original is\n"
             "never changed; nothing stands under the final name until it is complete.",
    .example = "witan specialize models/council-Q8_0.gguf --keep 0.5 \\\n"
               "      --demos build/demo/data/json.demos.jsonl --eval build/demo/data/all.test.jsonl \\\n"
               "      -o json.gguf --report json.html",
    .min_arg = 1, .max_arg = 1, .param = param, .opt_size = sizeof(opts), .run = run,
};
