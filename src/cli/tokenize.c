/* witan tokenize: text to tokens and back. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

typedef struct opts { bool ids, no_special, stdin_, decode, json; const char *file, *pre; } opts;

static const witan_param param[] = {
    WITAN_FLAG(opts, ids, "print only the ids, as a list"),
    WITAN_FLAG(opts, no_special, "neither add a begin token nor read special tokens in the text"),
    { .name = "stdin", .type = WITAN_P_BOOL, .offset = offsetof(opts, stdin_), .max = 1, .help = "read the text (or ids) from standard input" },
    WITAN_FLAG(opts, decode, "the other way: ids to text"),
    WITAN_TEXT(opts, file, NULL, "FILE", "read the text (or ids) from this file"),
    CLI_PRE(opts),
    WITAN_FLAG(opts, json, "print JSON"),
    { 0 }
};

/* A token's bytes on one line: printable ASCII as it is, the rest escaped. UTF-8 passes. */
static void print_piece(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '\n') fputs("\\n", stdout);
        else if (c == '\t') fputs("\\t", stdout);
        else if (c == '\\' || c == '\'') printf("\\%c", c);
        else if (c < 32 || c == 127 || (c >= 128 && witan_utf8_check(s, n) < n)) printf("\\x%02x", c);
        else putchar(c);
    }
}

static int print_tokens(cli *c, const witan_model *m, const int32_t *ids, size_t n, bool only_ids)
{
    if (only_ids) {
        putchar('[');
        for (size_t i = 0; i < n; i++) printf("%s%d", i ? ", " : "", ids[i]);
        puts("]");
        return EXIT_OK;
    }
    for (size_t i = 0; i < n; i++) {
        char *s;
        size_t len;
        if (witan_token_text(c->cx, m, ids[i], false, &s, &len)) return cli_failed(c);
        printf("%6d '", ids[i]);
        print_piece(s, len);
        puts("'");
        witan_free(c->cx, s);
    }
    return EXIT_OK;
}

/* The same object in both directions. */
static int print_json(cli *c, const witan_model *m, const char *text, size_t len, const int32_t *ids, size_t n)
{
    json_t *o = json_object(), *list = json_array(), *pieces = json_array();
    int status = EXIT_OK;
    json_object_set_new(o, "text", cli_text(text, len));
    json_object_set_new(o, "ids", list);
    json_object_set_new(o, "pieces", pieces);
    json_object_set_new(o, "tokens", json_integer((json_int_t)n));
    for (size_t i = 0; i < n && !status; i++) {
        char *s;
        size_t n_s;
        if (witan_token_text(c->cx, m, ids[i], false, &s, &n_s)) status = cli_failed(c);
        else {
            json_array_append_new(list, json_integer(ids[i]));
            json_array_append_new(pieces, cli_text(s, n_s));
            witan_free(c->cx, s);
        }
    }
    if (!status) return cli_print(c, o);
    json_decref(o);
    return status;
}

static int encode(cli *c, const opts *o, const witan_model *m, const char *text, size_t n)
{
    int32_t *ids;
    size_t n_ids;
    if (witan_tokenize(c->cx, m, text, n, o->no_special ? 0 : WITAN_TOK_BOS | WITAN_TOK_SPECIAL, &ids, &n_ids)) return cli_failed(c);
    int status = o->json ? print_json(c, m, text, n, ids, n_ids) : print_tokens(c, m, ids, n_ids, o->ids);
    witan_free(c->cx, ids);
    return status;
}

/* Ids separated by white space, commas and brackets. */
static int decode(cli *c, const opts *o, const witan_model *m, const char *text)
{
    size_t cap = strlen(text) / 2 + 1, n = 0, len;
    int32_t *ids = malloc(cap * sizeof *ids);
    char *out, *end;
    if (!ids) return cli_fail(c, "out of memory");
    for (const char *at = text; *(at += strspn(at, " \t\r\n,[]"));) {
        long id = strtol(at, &end, 10);
        if (end == at || id < 0 || id > INT32_MAX) {
            free(ids);
            return cli_fail(c, "expected token ids, found \"%.20s\"", at);
        }
        ids[n++] = (int32_t)id;
        at = end;
    }
    int status = witan_detokenize(c->cx, m, ids, n, o->no_special, &out, &len) ? cli_failed(c) : EXIT_OK;
    if (!status) {
        if (o->json) status = print_json(c, m, out, len, ids, n); else fwrite(out, 1, len, stdout);
        witan_free(c->cx, out);
    }
    free(ids);
    return status;
}

static int run(cli *c, const void *opts_)
{
    const opts *o = opts_;
    witan_model *m;
    char *text;
    size_t n;
    int status = cli_read_text(c, o->stdin_ ? "-" : o->file, c->n_arg > 1 ? c->arg[1] : NULL, &text, &n);
    if (status >= 0) return status;
    if (witan_vocab_open(c->cx, c->arg[0], &(witan_model_options){ .pre = o->pre }, &m)) status = cli_failed(c);
    else {
        status = o->decode ? decode(c, o, m, text) : encode(c, o, m, text, n);
        witan_model_free(m);
    }
    free(text);
    return status;
}

const command cmd_tokenize = {
    .name = "tokenize", .args = "MODEL [TEXT]", .summary = "show how text becomes tokens, and back",
    .about = "Prints the tokens of a text, one a line with its id. Works on any GGUF file that holds a vocabulary, also one without weights.\n"
             "The text is the argument, --file, or standard input; any bytes are legal.",
    .example = "witan tokenize models/council-Q8_0.gguf 'Sort d b a c:' --ids",
    .min_arg = 1, .max_arg = 2, .param = param, .opt_size = sizeof(opts), .run = run,
};
