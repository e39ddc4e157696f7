/* witan inspect: a readable summary of any GGUF file. */
#include "cli.h"

#include <string.h>

typedef struct opts { bool json, tensors; } opts;

static const witan_param param[] = {
    WITAN_FLAG(opts, tensors, "list every tensor"),
    WITAN_FLAG(opts, json, "print everything as JSON"),
    { 0 }
};

static double num(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }
static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void print_types(const json_t *types)
{
    size_t i;
    json_t *t;
    char a[32], b[32];
    json_array_foreach(types, i, t)
        printf("%s%.0f x %s (%s weights, %s)", i ? ", " : "", num(t, "count"), str(t, "type"), cli_count(num(t, "params"), a), cli_bytes(num(t, "bytes"), b));
    putchar('\n');
}

static void print_model(const json_t *m)
{
    char a[32], b[32], c[32];
    printf("family       %s: %.0f layers, width %.0f, %.0f heads of %.0f (%.0f for keys and values), context %.0f\n", str(m, "family"), num(m, "layers"),
           num(m, "d_model"), num(m, "heads"), num(m, "d_head"), num(m, "heads_kv"), num(m, "context"));
    if (num(m, "experts") > 0) {
        printf("experts      up to %.0f a layer, %.0f used per token, width %.0f\n", num(m, "experts"), num(m, "experts_used"), num(m, "d_ff_expert"));
        printf("router       %s\n", str(m, "router"));
    } else puts("experts      none: a dense model");
    printf("weights      %s, of which one token uses %s\n", cli_count(num(m, "params"), a), cli_count(num(m, "params_active"), b));
    printf("bytes        %s", cli_bytes(num(m, "bytes"), a));
    if (num(m, "experts") > 0) printf(", routed experts %s", cli_bytes(num(m, "bytes_experts"), b));
    printf("; read per token %s\n", cli_bytes(num(m, "bytes_per_token"), c));
    printf("vocabulary   %.0f tokens\n", num(m, "vocabulary"));
    printf("fingerprint  %s\n", str(m, "fingerprint"));
}

/* Layers that look alike share a line. */
static void print_layers(const json_t *layers)
{
    size_t n = json_array_size(layers);
    char b[32];
    for (size_t i = 0, j; i < n; i = j) {
        const json_t *l = json_array_get(layers, i), *t = json_object_get(l, "types");
        for (j = i + 1; j < n; j++) {
            const json_t *o = json_array_get(layers, j);
            if (num(o, "experts") != num(l, "experts") || num(o, "width") != num(l, "width") || !json_equal(json_object_get(o, "types"), t)) break;
        }
        if (j - i > 1) printf("layers %zu-%zu", i, j - 1); else printf("layer %zu", i);
        if (num(l, "experts") > 0) printf("\t%.0f experts of width %.0f", num(l, "experts"), num(l, "width"));
        else printf("\tdense, width %.0f", num(l, "width"));
        printf(", gate %s, up %s, down %s, %s each layer\n", json_string_value(json_array_get(t, 0)), json_string_value(json_array_get(t, 1)),
               json_string_value(json_array_get(t, 2)), cli_bytes(num(l, "bytes"), b));
    }
}

static void print_history(const json_t *p)
{
    size_t i;
    json_t *s, *list = json_object_get(p, "witan.history");
    if (!json_is_array(list)) return;
    puts("made by");
    json_array_foreach(list, i, s) {
        json_t *e = json_loads(json_string_value(s) ? json_string_value(s) : "", 0, NULL);
        if (!e) continue;
        printf("  %zu. %s: %s, keep %g, gate=%s, seed %.0f, on %.0f documents (%s) from \"%s\"\n", i + 1, str(e, "op"), str(e, "method"), num(e, "keep"),
               str(e, "gate"), num(e, "seed"), num(e, "documents"), str(e, "domains"), str(e, "parent_name"));
        if (*str(e, "command")) printf("     %s\n", str(e, "command"));
        json_decref(e);
    }
}

static void print_tensors(const json_t *tensors)
{
    size_t i, k;
    json_t *t, *d;
    char b[32];
    json_array_foreach(tensors, i, t) {
        printf("%-32s %-6s [", str(t, "name"), str(t, "type"));
        json_array_foreach(json_object_get(t, "shape"), k, d) printf("%s%.0f", k ? ", " : "", json_number_value(d));
        printf("] %s\n", cli_bytes(num(t, "bytes"), b));
    }
}

static void print_summary(const json_t *o, bool tensors)
{
    char b[32];
    printf("%s: GGUF version %.0f, %s, %.0f tensors\n", str(o, "file"), num(o, "version"), cli_bytes(num(o, "file_bytes"), b), num(o, "n_tensor"));
    printf("name         %s (%s)\n", *str(o, "name") ? str(o, "name") : "none", *str(o, "arch") ? str(o, "arch") : "no architecture stated");
    printf("types        ");
    print_types(json_object_get(o, "types"));
    const json_t *m = json_object_get(o, "model");
    if (json_is_object(m)) print_model(m); else printf("not runnable %s\n", str(o, "reason"));
    print_layers(json_object_get(o, "layers"));
    print_history(json_object_get(o, "provenance"));
    if (tensors) print_tensors(json_object_get(o, "tensors"));
}

static int run(cli *c, const void *opts_)
{
    const opts *o = opts_;
    char *json;
    if (witan_inspect(c->cx, c->arg[0], &json)) return cli_failed(c);
    int status = EXIT_OK;
    if (o->json) cli_print_indented(json);
    else {
        json_t *v = json_loads(json, JSON_DECODE_INT_AS_REAL, NULL);   /* whole numbers may be larger than Jansson's */
        if (v) print_summary(v, o->tensors); else status = cli_fail(c, "%s: its description is too large", c->arg[0]);
        json_decref(v);
    }
    witan_free(c->cx, json);
    return status;
}

const command cmd_inspect = {
    .name = "inspect", .args = "FILE.gguf", .summary = "describe a GGUF file",
    .about = "Sizes, experts per layer, block types, weights one token uses, bytes read per token, and how the file was made.",
    .example = "witan inspect models/council-Q8_0.gguf",
    .min_arg = 1, .max_arg = 1, .param = param, .opt_size = sizeof(opts), .run = run,
};
