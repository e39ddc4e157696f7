/* witan train: learning from text, into a folder that can be gone on with. */
#include "cli.h"

#include <math.h>
#include <string.h>

typedef struct opts { witan_train_options t; bool json; witan_ctx *cx; witan_train_config *config; } opts;

static const witan_param param[] = {
    WITAN_FLAG(opts, json, "print the result as JSON"),
    { 0 }
};

/* Texts of the configuration live in a context of their own, beside the one that parses and the one that works. */
static int load(cli *c, void *opts_)
{
    opts *o = opts_;
    o->cx = witan_ctx_new(NULL);
    if (!o->cx) return cli_fail(c, "out of memory");
    witan_status st = witan_train_config_load(o->cx, c->arg[0], &o->t, &o->config);
    if (st) cli_fail(c, "%s", witan_error(o->cx));
    return st == WITAN_OK ? -1 : st == WITAN_EARG ? EXIT_USAGE : EXIT_FAILED;
}

static void tidy(void *opts_)
{
    opts *o = opts_;
    witan_train_config_free(o->config);
    witan_ctx_free(o->cx);
}

static int print_json(cli *c, const witan_train_options *t, const witan_train_result *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "out", cli_text(t->out, strlen(t->out)));
    json_object_set_new(o, "model", cli_text(r->model, strlen(r->model)));
    json_object_set_new(o, "steps", json_integer(r->steps));
    json_object_set_new(o, "from_step", json_integer(r->from_step));
    json_object_set_new(o, "tokens", json_integer(r->tokens));
    json_object_set_new(o, "seconds", json_real(r->seconds));
    json_object_set_new(o, "tokens_per_second", cli_number(r->tokens_per_second));
    json_object_set_new(o, "loss", cli_number(r->loss));
    json_object_set_new(o, "valid_loss", cli_number(r->valid_loss));
    json_object_set_new(o, "best_loss", cli_number(r->best_loss));
    json_object_set_new(o, "best_step", json_integer(r->best_step));
    json_object_set_new(o, "weights", json_integer(r->n_param));
    json_object_set_new(o, "weights_active", json_integer(r->n_param_active));
    return cli_print(c, o);
}

static void print_table(const witan_train_options *t, const witan_train_result *r)
{
    char a[32], b[32];
    printf("steps            %lld", (long long)r->steps);
    if (r->from_step) printf(" (from %lld on)", (long long)r->from_step);
    printf("\ntokens           %s\n", cli_count((double)r->tokens, a));
    printf("weights          %s, %s used per token\n", cli_count((double)r->n_param, a), cli_count((double)r->n_param_active, b));
    if (isfinite(r->loss)) printf("loss             %.4f\n", r->loss);
    if (isfinite(r->valid_loss)) printf("validation       %.4f\n", r->valid_loss);
    if (isfinite(r->best_loss)) printf("best validation  %.4f, step %lld\n", r->best_loss, (long long)r->best_step);
    if (r->steps > r->from_step) printf("speed            %.0f tokens/s, %.1f s\n", r->tokens_per_second, r->seconds);
    printf("\nmodel            %s\nrun              %s: log.jsonl, run.db, loss.svg, load.svg, checkpoints\n", r->model, t->out);
}

static int run(cli *c, const void *opts_)
{
    const opts *o = opts_;
    witan_train_options t = o->t;
    witan_train_result r;
    if (!t.out) return cli_usage("train: --out DIR is missing: the folder of the run");
    if (!t.data) return cli_usage("train: --data FILE is missing: the text to learn from");
    t.command = c->line;
    if (witan_train(c->cx, &t, &r)) return cli_failed(c);
    cli_progress_end(c);
    if (o->json) return print_json(c, &t, &r);
    print_table(&t, &r);
    return EXIT_OK;
}

const command cmd_train = {
    .name = "train", .args = "[CONFIG.json]", .summary = "train a model, from fresh weights or from a checkpoint",
    .about = "Trains the model that the options describe and leaves everything in one folder: configuration, log (JSON lines and SQLite), plots,\n"
             "checkpoints, and model.gguf. CONFIG.json holds the same options as an object, {\"d_model\": 256, ...}; what is typed counts more. A run\n"
             "that was interrupted, however, goes on with --resume and ends with the same bits.",
    .example = "witan data synth corpus && witan data tokenizer corpus/all.train.jsonl -o vocab.gguf\n"
               "  witan train --tokenizer vocab.gguf --data corpus/all.train.jsonl --valid corpus/all.valid.jsonl -o run",
    .min_arg = 0, .max_arg = 1, .param = param, .more = witan_train_param, .more_at = offsetof(opts, t), .opt_size = sizeof(opts),
    .run = run, .file = load, .tidy = tidy,
};
