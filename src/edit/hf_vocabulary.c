/* tokenizer.json of a byte-level BPE vocabulary, and the small files beside it. */
#include "edit/hf.h"

#include "base/file.h"
#include "base/json.h"
#include <string.h>

/* Splitting rules as regular expressions of the tokenizers library, as far as models that we write have them (docs of each family; NULL: the library's own
 * byte-level rule, gpt-2's). */
static const struct { const char *pre, *expression; } rules[] = {
    { "gpt-2", NULL }, { "olmo", NULL },
    { "qwen2", "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+" },
    { "llama-bpe", "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+" },
};

typedef struct words { wt_str *tok; size_t n; int64_t *type; size_t n_type; wt_str *merge; size_t n_merge; } words;

static wt_status read(wt_ctx *cx, const wt_gguf *g, words *w)
{
    WT_TRY(wt_gguf_strs(cx, g, "tokenizer.ggml.tokens", true, &w->tok, &w->n));
    WT_TRY(wt_gguf_ints(cx, g, "tokenizer.ggml.token_type", false, &w->type, &w->n_type));
    return wt_gguf_strs(cx, g, "tokenizer.ggml.merges", false, &w->merge, &w->n_merge);
}

static int64_t type_of(const words *w, size_t i) { return i < w->n_type ? w->type[i] : 1; }

/* Control (3) and user-defined (4) tokens are found in text before it is split. */
static void added(wt_text *t, const words *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (type_of(w, i) != 3 && type_of(w, i) != 4) continue;
        wt_text_printf(t, "%s\n  {\"id\": %zu, \"content\": ", n++ ? "," : "", i);
        wt_text_json(t, w->tok[i].s, w->tok[i].n);
        wt_text_printf(t, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": %s}", type_of(w, i) == 3 ? "true" : "false");
    }
}

static void tokenizer(wt_text *t, const words *w, const char *expression)
{
    wt_text_puts(t, "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n \"added_tokens\": [");
    added(t, w);
    wt_text_puts(t, "],\n \"normalizer\": null,\n \"pre_tokenizer\": ");
    if (expression) {
        wt_text_puts(t, "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": ");
        wt_text_json(t, expression, strlen(expression));
        wt_text_puts(t, "}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, \"use_regex\": false}]}");
    } else wt_text_puts(t, "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, \"use_regex\": true}");
    wt_text_puts(t, ",\n \"post_processor\": null,\n \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, \"use_regex\": true},\n"
                    " \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": false,"
                    " \"byte_fallback\": false, \"ignore_merges\": false,\n  \"vocab\": {");
    for (size_t i = 0; i < w->n; i++) {
        wt_text_puts(t, i ? ",\n   " : "\n   ");
        wt_text_json(t, w->tok[i].s, w->tok[i].n);
        wt_text_printf(t, ": %zu", i);
    }
    wt_text_puts(t, "},\n  \"merges\": [");
    for (size_t i = 0; i < w->n_merge; i++) {
        wt_text_puts(t, i ? ",\n   " : "\n   ");
        wt_text_json(t, w->merge[i].s, w->merge[i].n);
    }
    wt_text_puts(t, "]}}\n");
}

static void token(wt_text *t, const char *key, const words *w, int32_t id)
{
    if (id < 0 || (size_t)id >= w->n) return;
    wt_text_printf(t, "\"%s\": ", key);
    wt_text_json(t, w->tok[id].s, w->tok[id].n);
    wt_text_puts(t, ", ");
}

static wt_status save(wt_ctx *cx, const char *dir, const char *name, wt_text *t)
{
    char *text = NULL, *path = wt_printf(cx, "%s/%s", dir, name);
    size_t n;
    wt_status st = wt_text_take(t, &text, &n);
    if (st == WITAN_OK) st = path ? wt_file_write(cx, path, text, n) : WT_ENOMEM;
    wt_free(cx, text);
    wt_free(cx, path);
    return st;
}

static wt_status write(wt_ctx *cx, const wt_model *m, const char *dir, const words *w, const char *expression)
{
    wt_text t;
    wt_text_init(&t, cx);
    tokenizer(&t, w, expression);
    WT_TRY(save(cx, dir, "tokenizer.json", &t));
    wt_text_init(&t, cx);
    wt_text_puts(&t, "{\"tokenizer_class\": \"PreTrainedTokenizerFast\", ");
    token(&t, "bos_token", w, m->info.bos);
    token(&t, "eos_token", w, m->info.eos);
    wt_text_printf(&t, "\"clean_up_tokenization_spaces\": false, \"model_max_length\": %d}\n", m->cfg.n_ctx_train);
    WT_TRY(save(cx, dir, "tokenizer_config.json", &t));
    wt_text_init(&t, cx);
    wt_text_puts(&t, "{");
    if (m->info.bos >= 0) wt_text_printf(&t, "\"bos_token_id\": %d%s", m->info.bos, m->info.eos >= 0 ? ", " : "");
    if (m->info.eos >= 0) wt_text_printf(&t, "\"eos_token_id\": %d", m->info.eos);
    wt_text_puts(&t, "}\n");
    return save(cx, dir, "generation_config.json", &t);
}

wt_status wt_hf_vocabulary(wt_ctx *cx, const wt_model *m, const char *dir)
{
    wt_str model = { "", 0 }, pre = { "gpt-2", 5 };
    words w = { 0 };
    size_t rule = 0, n = sizeof rules / sizeof *rules;
    WT_TRY(wt_gguf_str(cx, m->file, "tokenizer.ggml.model", false, &model));
    WT_TRY(wt_gguf_str(cx, m->file, "tokenizer.ggml.pre", false, &pre));
    while (rule < n && (strlen(rules[rule].pre) != pre.n || memcmp(rules[rule].pre, pre.s, pre.n))) rule++;
    if (model.n != 4 || memcmp(model.s, "gpt2", 4) || rule == n) {
        wt_log(cx, WITAN_WARN, "%s: its vocabulary (%.*s, %.*s) cannot be written as tokenizer.json yet: take that of the original", m->file->path, (int)model.n, model.s,
               (int)pre.n, pre.s);
        return WITAN_OK;
    }
    wt_status st = read(cx, m->file, &w);
    if (st == WITAN_OK) st = write(cx, m, dir, &w, rules[rule].expression);
    wt_free(cx, w.tok);
    wt_free(cx, w.type);
    wt_free(cx, w.merge);
    return st;
}
