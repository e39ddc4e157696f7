/* witan eval: perplexity and exact match, per domain, with intervals. */
#include "cli.h"

#include <math.h>
#include <string.h>

typedef struct opts {
    const char *text, *jsonl, *task, *domain, *plan, *pre;
    int32_t ctx, limit, predict, kv_type;
    bool json;
} opts;

static const witan_param param[] = {
    WITAN_TEXT(opts, text, NULL, "FILE", "perplexity of a plain text file, as one document"),
    WITAN_TEXT(opts, jsonl, NULL, "FILE.jsonl", "perplexity of documents: lines with \"text\" or \"prompt\" and \"answer\", and perhaps \"domain\""),
    WITAN_TEXT(opts, task, NULL, "FILE.jsonl", "exact match of greedy answers: lines with \"prompt\" and \"answer\", and perhaps \"domain\""),
    WITAN_TEXT(opts, domain, NULL, "NAME", "only this domain"),
    { .name = "ctx", .type = WITAN_P_I32, .offset = offsetof(opts, ctx), .max = 1 << 24, .alias = "c",
      .help = "documents are cut here, begin token included; 0: what the model was trained for" },
    WITAN_NUM(opts, limit, 0, 0, 1e9, "documents and questions per domain; 0: all"),
    { .name = "predict", .type = WITAN_P_I32, .offset = offsetof(opts, predict), .def = 64, .min = 1, .max = 1 << 20, .alias = "n",
      .help = "most tokens of an answer" },
    WITAN_TEXT(opts, plan, NULL, "FILE.json", "wear this plan: use only the experts it keeps"),
    CLI_KV_TYPE(opts),
    CLI_PRE(opts),
    WITAN_FLAG(opts, json, "print JSON"),
    { 0 }
};

static void members(json_t *o, const witan_eval_row *r)
{
    json_object_set_new(o, "domain", json_string(r->domain));
    json_object_set_new(o, "perplexity", cli_number(r->perplexity));
    json_object_set_new(o, "perplexity_low", cli_number(r->ppl_lo));
    json_object_set_new(o, "perplexity_high", cli_number(r->ppl_hi));
    json_object_set_new(o, "nll", cli_number(r->nll));
    json_object_set_new(o, "tokens", json_integer(r->tokens));
    json_object_set_new(o, "documents", json_integer(r->documents));
    json_object_set_new(o, "accuracy", cli_number(r->accuracy));
    json_object_set_new(o, "accuracy_low", cli_number(r->acc_lo));
    json_object_set_new(o, "accuracy_high", cli_number(r->acc_hi));
    json_object_set_new(o, "questions", json_integer(r->questions));
    json_object_set_new(o, "correct", json_integer(r->correct));
}

/* One object: the total at the top level, every domain under "domains". */
static int print_json(cli *c, const witan_eval_result *r)
{
    json_t *o = json_object(), *list = json_array();
    json_object_set_new(o, "model", cli_text(c->arg[0], strlen(c->arg[0])));
    members(o, r->row + r->n_row - 1);
    for (size_t i = 0; i + 1 < r->n_row; i++) {
        json_t *row = json_object();
        members(row, r->row + i);
        json_array_append_new(list, row);
    }
    json_object_set_new(o, "domains", list);
    json_object_set_new(o, "seconds", json_real(r->seconds));
    return cli_print(c, o);
}

static void print_row(const witan_eval_row *r, bool ppl, bool acc)
{
    char range[48];
    printf("%-12s", r->domain);
    if (ppl && !isfinite(r->perplexity)) printf(" %10s  %-18s %9s", "-", "", "-");
    else if (ppl) {
        snprintf(range, sizeof range, isfinite(r->ppl_lo) ? "%.3f - %.3f" : "(one document)", r->ppl_lo, r->ppl_hi);
        printf(" %10.4f  %-18s %9lld", r->perplexity, range, (long long)r->tokens);
    }
    if (acc && !isfinite(r->accuracy)) printf(" %11s", "-");
    else if (acc) {
        snprintf(range, sizeof range, "%.1f - %.1f %%", 100 * r->acc_lo, 100 * r->acc_hi);
        printf(" %9.1f %%  %-16s %6lld", 100 * r->accuracy, range, (long long)r->questions);
    }
    putchar('\n');
}

static void print_table(const witan_eval_result *r)
{
    bool ppl = r->row[r->n_row - 1].tokens > 0, acc = r->row[r->n_row - 1].questions > 0;
    printf("%-12s", "domain");
    if (ppl) printf(" %10s  %-18s %9s", "perplexity", "95 % interval", "tokens");
    if (acc) printf(" %11s  %-16s %6s", "exact match", "95 % interval", "asked");
    putchar('\n');
    for (size_t i = 0; i < r->n_row; i++) print_row(r->row + i, ppl, acc);
}

static int measure(cli *c, const void *opts_, witan_model *m, witan_plan *plan)
{
    const opts *o = opts_;
    witan_eval_result *r;
    witan_eval_options e = { .text = o->text, .jsonl = o->jsonl, .task = o->task, .domain = o->domain, .n_ctx = o->ctx, .limit = o->limit,
                             .max_new = o->predict, .plan = plan, .kv_type = o->kv_type };
    if (witan_eval(c->cx, m, &e, &r)) return cli_failed(c);
    cli_progress_end(c);
    int status = EXIT_OK;
    if (o->json) status = print_json(c, r); else print_table(r);
    witan_eval_free(c->cx, r);
    return status;
}

static int run(cli *c, const void *opts_)
{
    const opts *o = opts_;
    if (!o->text && !o->jsonl && !o->task) return cli_usage("eval: expected --text, --jsonl or --task");
    return cli_with_model(c, o->pre, o->plan, measure, o);
}

const command cmd_eval = {
    .name = "eval", .args = "MODEL", .summary = "measure perplexity and exact match",
    .about = "Perplexity: every document alone, begin token first, cut at --ctx, all predictions counted. Exact match: the greedy answer to the\n"
             "prompt equals the expected one after trimming. Intervals are 95 %: from the spread of documents, and Wilson's for shares.",
    .example = "witan eval models/council-Q8_0.gguf --task build/demo/data/all.test.jsonl --limit 100",
    .min_arg = 1, .max_arg = 1, .param = param, .opt_size = sizeof(opts), .run = run,
};
