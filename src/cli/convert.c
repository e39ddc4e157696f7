/* witan convert: other block types, one file or several. */
#include "cli.h"

#include <string.h>

typedef struct opts { witan_convert_options c; const char *split; int32_t to; bool json; } opts;

static const char *const formats[] = { "gguf", "hf", NULL };

#define ROW(f, m, h) { .name = #f, .type = WITAN_P_STR, .offset = offsetof(opts, c.f), .metavar = m, .help = h }
static const witan_param param[] = {
    ROW(type, "TYPE", "block type of all matrices: F32, F16, BF16, Q8_0, Q6_K, Q5_0, Q4_K, Q4_1, Q4_0 ...; without it they stay as they are"),
    ROW(experts, "TYPE", "of the routed experts instead; same: as they are"),
    ROW(shared, "TYPE", "of shared experts instead"),
    ROW(attention, "TYPE", "of the attention projections instead"),
    ROW(embed, "TYPE", "of the token embedding instead"),
    ROW(head, "TYPE", "of the output head instead; below six bits it gets Q6_K unless this says otherwise"),
    { .name = "repack", .type = WITAN_P_BOOL, .offset = offsetof(opts, c.repack), .max = 1,
      .help = "interleave rows of Q4_0, Q8_0 and Q4_K: the same results, faster; only witan reads such a file" },
    WITAN_CHOICE(opts, to, 0, formats, "hf: a folder for transformers, config.json, safetensors and tokenizer.json; --type F32, F16 or BF16"),
    WITAN_TEXT(opts, split, NULL, "SIZE", "several files of at most this many bytes each, such as 2G or 500M"),
    WITAN_FLAG(opts, json, "print the result as JSON"),
    { 0 }
};

static int print_json(cli *c, const witan_convert_result *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "out", cli_text(r->first, strlen(r->first)));
    json_object_set_new(o, "files", json_integer((json_int_t)r->n_file));
    json_object_set_new(o, "bytes_before", json_integer(r->bytes_before));
    json_object_set_new(o, "bytes_after", json_integer(r->bytes_after));
    json_object_set_new(o, "tensors_converted", json_integer((json_int_t)r->n_changed));
    json_object_set_new(o, "tensors_of_other_type", json_integer((json_int_t)r->n_other));
    json_object_set_new(o, "requantized", json_boolean(r->requantized));
    return cli_print(c, o);
}

static int to_hf(cli *c, const opts *o, const witan_convert_options *w)
{
    if (w->experts || w->shared || w->attention || w->embed || w->head || w->repack) return cli_usage("convert: --to hf has one --type for all, and no --repack");
    if (witan_convert_hf(c->cx, c->arg[0], c->arg[1], w)) return cli_failed(c);
    cli_progress_end(c);
    json_t *v = json_object();
    json_object_set_new(v, "out", cli_text(c->arg[1], strlen(c->arg[1])));
    if (o->json) return cli_print(c, v);
    json_decref(v);
    printf("%s: a folder for transformers\n", c->arg[1]);
    return EXIT_OK;
}

static int run(cli *c, const void *opts_)
{
    const opts *o = opts_;
    witan_convert_options w = o->c;
    witan_convert_result r;
    char a[32], b[32];
    w.command = c->line;
    if (o->split && !cli_size(o->split, &w.split)) return cli_usage("convert: --split \"%s\": expected a size such as 2G or 500M", o->split);
    if (o->to == 1) return to_hf(c, o, &w);
    if (!w.type && !w.experts && !w.shared && !w.attention && !w.embed && !w.head && !o->split && !w.repack)
        return cli_usage("convert: expected --type TYPE (or --experts, --attention ... for parts, --repack, --split SIZE)");
    if (witan_convert(c->cx, c->arg[0], c->arg[1], &w, &r)) return cli_failed(c);
    cli_progress_end(c);
    int status = EXIT_OK;
    if (o->json) status = print_json(c, &r);
    else {
        printf("%s: %s of tensors, was %s; %zu converted", r.first, cli_bytes((double)r.bytes_after, b), cli_bytes((double)r.bytes_before, a), r.n_changed);
        if (r.n_other) printf(", %zu of them to a type that fits their rows", r.n_other);
        if (r.n_file > 1) printf("; %zu files, this is the first", r.n_file);
        putchar('\n');
    }
    witan_free(c->cx, r.first);
    return status;
}

const command cmd_convert = {
    .name = "convert", .args = "IN.gguf OUT", .summary = "write a model in other block types, in several files, or for transformers",
    .about = "Reads any GGUF file (or the first of several) and writes the same model with its matrices in another block type. Norms, biases and\n"
             "routers are never touched. Rows that are not whole blocks get a type of about the same size. Memory does not grow with the model;\n"
             "nothing stands under the final name until it is complete.",
    .example = "witan convert olmoe-f16.gguf olmoe-q4.gguf --type Q4_K --attention Q8_0",
    .min_arg = 2, .max_arg = 2, .param = param, .opt_size = sizeof(opts), .run = run,
};
