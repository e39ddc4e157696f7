/* witan bench: speed of prefill and decode, and how far it is from what the machine allows. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct opts { const char *prompt, *generate, *batch, *pre; int32_t depth, repeat, kv_type, n_vocab; bool train, json; witan_train_options t; CLI_WEIGHTS_FIELDS; } opts;

static const witan_param param[] = {
    { .name = "prompt", .type = WITAN_P_STR, .offset = offsetof(opts, prompt), .def_text = "512", .metavar = "N,N", .alias = "p",
      .help = "prompt lengths to measure; 0: none" },
    { .name = "generate", .type = WITAN_P_STR, .offset = offsetof(opts, generate), .def_text = "64", .metavar = "N,N", .alias = "n",
      .help = "tokens to generate one after the other; 0: none" },
    { .name = "batch", .type = WITAN_P_STR, .offset = offsetof(opts, batch), .def_text = "1", .metavar = "N,N", .alias = "b",
      .help = "sequences side by side" },
    { .name = "depth", .type = WITAN_P_I32, .offset = offsetof(opts, depth), .max = 1 << 22, .alias = "d", .help = "tokens that stand before already" },
    { .name = "repeat", .type = WITAN_P_I32, .offset = offsetof(opts, repeat), .def = 5, .min = 1, .max = 1000, .alias = "r",
      .help = "measure so many times, after one round to warm up" },
    CLI_WEIGHTS(opts),
    CLI_KV_TYPE(opts),
    CLI_PRE(opts),
    WITAN_FLAG(opts, train, "measure training instead: forward, backward and the learning rule; of MODEL, or of a fresh one with the shape below"),
    WITAN_FLAG(opts, json, "print one JSON object a line"),
    { 0 }
};

#define SHAPE(f, d, lo, hi, h) { .name = #f, .type = WITAN_P_TYPE(opts, t.f), .offset = offsetof(opts, t.f), .def = d, .min = lo, .max = hi, .help = h }
#define SPEC(f, d, h) { .name = #f, .type = WITAN_P_STR, .offset = offsetof(opts, t.f), .def_text = d, .metavar = "METHOD:NAME=VALUE,...", .help = h }
#define YES(f, h) { .name = #f, .type = WITAN_P_BOOL, .offset = offsetof(opts, t.f), .max = 1, .help = h }
static const witan_param train_param[] = {
    { .name = "arch", .type = WITAN_P_STR, .offset = offsetof(opts, t.arch), .def_text = "olmoe", .metavar = "NAME", .help = "family" },
    SHAPE(n_layer, 4, 1, 1024, "layers"),
    SHAPE(d_model, 256, 1, 65536, "width of the residual stream"),
    SHAPE(n_head, 8, 1, 1024, "heads of attention"),
    SHAPE(n_head_kv, 0, 0, 1024, "heads of keys and values; 0: as many"),
    SHAPE(n_exp, 32, 0, 65536, "experts of a layer; 0: dense layers"),
    SHAPE(n_used, 4, 0, 4096, "experts that a token uses"),
    SHAPE(d_ff, 0, 0, 1 << 20, "width of the feed-forward of dense layers"),
    SHAPE(d_ff_exp, 256, 0, 1 << 20, "width of an expert"),
    SHAPE(d_ff_shared, 0, 0, 1 << 20, "width of the shared expert, in families that have one"),
    WITAN_NUM(opts, n_vocab, 4096, 257, 1 << 24, "tokens of the vocabulary"),
    SHAPE(n_ctx, 256, 2, 1 << 20, "tokens of a row"),
    { .name = "rows", .type = WITAN_P_I32, .offset = offsetof(opts, t.batch), .def = 16, .min = 1, .max = 1 << 20, .help = "rows of a step" },
    SHAPE(accumulate, 1, 1, 1 << 16, "micro-batches of a step"),
    SPEC(optim, "adamw", "learning rule"),
    SPEC(balance, "aux;z-loss", "what keeps experts evenly used; none: nothing"),
    YES(recompute, "compute layers again in the backward pass"),
    YES(half, "what experts keep for the backward pass is BF16"),
    YES(half_products, "products round their operands to BF16"),
    { 0 }
};

enum { MOST = 16 };

/* "1,8,32" */
static int numbers(const char *option, const char *text, int32_t lo, int32_t out[MOST], int *n)
{
    const char *at = text;
    for (*n = 0; *n < MOST; at++) {
        char *end;
        long v = strtol(at, &end, 10);
        if (end == at || v < lo || v > 1 << 22 || (*end && *end != ',')) break;
        out[(*n)++] = (int32_t)v;
        at = end;
        if (!*at) return -1;
    }
    return cli_usage("bench: --%s \"%s\": expected up to %d numbers from %d to %d, separated by commas", option, text, MOST, lo, 1 << 22);
}

static int print_json(cli *c, const witan_bench_result *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "test", json_string(r->test));
    json_object_set_new(o, "batch", json_integer(r->batch));
    json_object_set_new(o, "threads", json_integer(r->threads));
    json_object_set_new(o, "median", json_real(r->median));
    json_object_set_new(o, "min", json_real(r->min));
    json_object_set_new(o, "max", json_real(r->max));
    json_object_set_new(o, "limit", json_real(r->limit));
    json_object_set_new(o, "limit_by", json_string(r->memory ? "memory" : "arithmetic"));
    json_object_set_new(o, "share", json_real(r->share));
    return cli_print_line(c, o);
}

static void print_row(const witan_bench_result *r)
{
    printf("%-12s %5d %12.2f  %9.2f - %-9.2f %12.1f %-10s %6.1f %%\n", r->test, r->batch, r->median, r->min, r->max, r->limit,
           r->memory ? "memory" : "arithmetic", 100 * r->share);
}

static void print_head(const witan_machine *k, const witan_model_info *f, double seconds)
{
    char a[32], b[32], c[32], d[32], half[48] = "";
    printf("%s (%s): %s weights, %s used per token, %s of tensors, %s read per token; opened in %.2f s\n", f->name, f->arch, cli_count((double)f->n_param, a),
           cli_count((double)f->n_param_active, b), cli_bytes((double)f->n_byte, c), cli_bytes((double)f->n_byte_token, d), seconds);
    if (k->bf16_ops > 0) snprintf(half, sizeof half, "%.1f GFLOP/s on BF16, ", k->bf16_ops / 1e9);
    printf("this machine: %d threads (%s), reads %.1f GB/s, computes %.1f GFLOP/s on floats, %s%.1f GOP/s on bytes\n\n", k->threads, k->tier,
           k->read_bytes / 1e9, k->f32_ops / 1e9, half, k->i8_ops / 1e9);
    printf("%-12s %5s %12s  %-21s %12s %-10s %8s\n", "test", "batch", "tokens/s", "      min - max", "limit", "set by", "reached");
}

static int measure(cli *c, const opts *o, const witan_model *m, const witan_machine *k, int32_t prompt, int32_t generate, int32_t batch)
{
    witan_bench_result r;
    witan_bench_options b = { .prompt = prompt, .generate = generate, .batch = batch, .depth = o->depth, .repeat = o->repeat, .kv_type = o->kv_type };
    if (witan_bench(c->cx, m, k, &b, &r)) return cli_failed(c);
    cli_progress_end(c);
    if (o->json) return print_json(c, &r);
    print_row(&r);
    return fflush(stdout) ? cli_output_failed(c, errno) : EXIT_OK;
}

/* ---- training ---------------------------------------------------------------------------------------------------------- */

static int train_json(cli *c, const witan_train_bench_result *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "test", json_string("train"));
    json_object_set_new(o, "batch", json_integer(r->rows));
    json_object_set_new(o, "n_ctx", json_integer(r->n_ctx));
    json_object_set_new(o, "threads", json_integer(r->threads));
    json_object_set_new(o, "median", json_real(r->median));
    json_object_set_new(o, "min", json_real(r->min));
    json_object_set_new(o, "max", json_real(r->max));
    json_object_set_new(o, "limit", json_real(r->limit));
    json_object_set_new(o, "limit_by", json_string("arithmetic"));
    json_object_set_new(o, "share", json_real(r->share));
    json_object_set_new(o, "forward_s", json_real(r->forward));
    json_object_set_new(o, "backward_s", json_real(r->backward));
    json_object_set_new(o, "optimizer_s", json_real(r->optimizer));
    json_object_set_new(o, "ops_per_token", json_real(r->ops_per_token));
    json_object_set_new(o, "bytes", json_integer(r->bytes));
    return cli_print_line(c, o);
}

static void train_row(const witan_machine *k, const witan_train_bench_result *r)
{
    char a[32], b[32], d[32], test[48];
    printf("%s weights, %s used per token; weights, gradients and learning rule %s\n", cli_count((double)r->n_param, a), cli_count((double)r->n_param_active, b),
           cli_bytes((double)r->bytes, d));
    printf("this machine: %d threads (%s), computes %.1f GFLOP/s on floats; a token needs %s products and sums\n\n", k->threads, k->tier, k->f32_ops / 1e9,
           cli_count(r->ops_per_token, a));
    snprintf(test, sizeof test, "train@%d", r->n_ctx);
    printf("%-12s %5s %12s  %-21s %12s %-10s %8s\n", "test", "rows", "tokens/s", "      min - max", "limit", "set by", "reached");
    printf("%-12s %5d %12.2f  %9.2f - %-9.2f %12.1f %-10s %6.1f %%\n", test, r->rows, r->median, r->min, r->max, r->limit, "arithmetic", 100 * r->share);
    printf("\na step: forward %.3f s, backward %.3f s, norm and learning rule %.3f s\n", r->forward, r->backward, r->optimizer);
}

static int train(cli *c, const opts *o)
{
    witan_machine machine;
    witan_train_bench_result r;
    witan_train_options t;
    witan_opt_defaults(witan_train_param, &t);
    const witan_train_options *s = &o->t;
    t.arch = s->arch; t.n_layer = s->n_layer; t.d_model = s->d_model; t.n_head = s->n_head; t.n_head_kv = s->n_head_kv; t.n_exp = s->n_exp; t.n_used = s->n_used;
    t.d_ff = s->d_ff; t.d_ff_exp = s->d_ff_exp; t.d_ff_shared = s->d_ff_shared; t.n_ctx = s->n_ctx; t.batch = s->batch; t.accumulate = s->accumulate;
    t.optim = s->optim; t.balance = s->balance; t.recompute = s->recompute; t.half = s->half; t.half_products = s->half_products; t.pre = o->pre;
    t.init = c->n_arg ? c->arg[0] : NULL;
    if (witan_machine_measure(c->cx, &machine)) return cli_failed(c);
    if (witan_train_bench(c->cx, &machine, &t, o->n_vocab, o->repeat, &r)) return cli_failed(c);
    cli_progress_end(c);
    if (o->json) return train_json(c, &r);
    train_row(&machine, &r);
    return EXIT_OK;
}

static int run(cli *c, const void *opts_)
{
    const opts *o = opts_;
    if (o->train) return train(c, o);
    if (!c->n_arg) return cli_usage("bench expects: witan bench MODEL (or --train, for a fresh model)");
    int32_t prompt[MOST], generate[MOST], batch[MOST];
    int n_prompt, n_generate, n_batch, status;
    witan_machine machine;
    witan_model *m;
    if ((status = numbers("prompt", o->prompt, 0, prompt, &n_prompt)) >= 0) return status;
    if ((status = numbers("generate", o->generate, 0, generate, &n_generate)) >= 0) return status;
    if ((status = numbers("batch", o->batch, 1, batch, &n_batch)) >= 0) return status;
    double start = cli_now();
    if (witan_model_open(c->cx, c->arg[0], CLI_MODEL_OPTIONS(o), &m)) return cli_failed(c);
    double seconds = cli_now() - start;
    status = witan_machine_measure(c->cx, &machine) ? cli_failed(c) : EXIT_OK;
    cli_progress_end(c);
    if (!status && !o->json) print_head(&machine, witan_model_get_info(m), seconds);
    for (int i = 0; i < n_prompt; i++)
        for (int b = 0; !status && prompt[i] && b < n_batch; b++) status = measure(c, o, m, &machine, prompt[i], 0, batch[b]);
    for (int i = 0; i < n_generate; i++)
        for (int b = 0; !status && generate[i] && b < n_batch; b++) status = measure(c, o, m, &machine, 0, generate[i], batch[b]);
    witan_model_free(m);
    return status;
}

const command cmd_bench = {
    .name = "bench", .args = "[MODEL]", .summary = "tokens per second of prompts and answers, beside the machine's limits",
    .about = "Measures how fast prompts are read (pp) and tokens generated (tg), with random tokens, several times: median, least and most. Beside it\n"
             "stands what this machine allows, from its measured memory bandwidth and arithmetic peak and what the model must read and compute.",
    .example = "witan bench models/council-Q8_0.gguf -p 128 -n 64 -b 1,8 -t 2 -r 3 --json",
    .min_arg = 0, .max_arg = 1, .param = param, .more = train_param, .title = { "witan bench", "witan bench --train" }, .opt_size = sizeof(opts), .run = run,
};
