/* The table of training options, and configurations in JSON. */
#include "train/config.h"

#include "base/file.h"
#include "base/json.h"
#include "base/option.h"
#include "train/schedule.h"
#include <stdio.h>
#include <string.h>

static const char *const schedules[] = { "constant", "cosine", "wsd", NULL };   /* in the order of wt_schedule_kind */
static const char *const packs[] = { "window", "documents", NULL };              /* wt_pack */
static const char *const long_ones[] = { "split", "cut", NULL };                 /* wt_too_long */

#define LARGE 9007199254740992.0
#define ROW(f, t, h) .name = #f, .type = t, .offset = offsetof(witan_train_options, f), .help = h
#define TEXT(f, d, m, h) { ROW(f, WITAN_P_STR, h), .def_text = d, .metavar = m }
#define WHOLE(f, d, lo, hi, h) { ROW(f, WITAN_P_TYPE(witan_train_options, f), h), .def = d, .min = lo, .max = hi }
#define REAL(f, d, lo, hi, h) { ROW(f, WITAN_P_F64, h), .def = d, .min = lo, .max = hi }
#define FLAG(f, d, h) { ROW(f, WITAN_P_BOOL, h), .def = d, .max = 1 }

const witan_param witan_train_param[] = {
    { ROW(out, WITAN_P_STR, "folder of the run: configuration, log, plots, checkpoints, model.gguf"), .metavar = "DIR", .alias = "o" },
    FLAG(resume, 0, "go on from the newest good checkpoint in that folder; from the beginning where there is none"),
    TEXT(init, NULL, "FILE.gguf", "go on training this model; without it weights are fresh, with the shape below"),
    TEXT(arch, "olmoe", "NAME", "family: olmoe, qwen3moe, qwen2moe, llama (Mixtral with experts), qwen3, qwen2"),
    TEXT(tokenizer, NULL, "FILE.gguf", "vocabulary of a fresh model: any GGUF that holds one (`witan data tokenizer` makes one)"),
    TEXT(name, NULL, "NAME", "what the model is called in its file"),
    TEXT(pre, NULL, "NAME", "splitting rule of the tokenizer where the file names one that is unknown, or none"),
    WHOLE(n_layer, 4, 1, 1024, "layers"),
    WHOLE(d_model, 256, 1, 65536, "width of the residual stream"),
    WHOLE(n_head, 8, 1, 1024, "heads of attention"),
    WHOLE(n_head_kv, 0, 0, 1024, "heads of keys and values; 0: as many"),
    WHOLE(d_head, 0, 0, 4096, "width of a head; 0: d_model / n_head"),
    WHOLE(n_exp, 32, 0, 65536, "experts of a layer; 0: none, dense layers"),
    WHOLE(n_used, 4, 0, 4096, "experts that a token uses"),
    WHOLE(d_ff, 0, 0, 1 << 20, "width of the feed-forward of dense layers"),
    WHOLE(d_ff_exp, 256, 0, 1 << 20, "width of an expert"),
    WHOLE(d_ff_shared, 0, 0, 1 << 20, "width of the shared expert, in families that have one"),
    WHOLE(n_ctx, 256, 2, 1 << 20, "tokens of a row of training data, and context of a fresh model"),
    FLAG(tied, 0, "the output head is the embedding"),
    FLAG(init_depth, 1, "what writes into the residual stream begins smaller by sqrt(2 n_layer)"),
    REAL(rope_base, 10000, 1, 1e12, "base of the rotary embedding"),
    REAL(norm_eps, 1e-5, 1e-12, 1, "epsilon of norms"),
    REAL(init_std, 0.02, 0, 10, "standard deviation of fresh matrices"),
    TEXT(data, NULL, "FILE,FILE", "training text: JSON lines (`text`, or `prompt` and `answer`, perhaps `domain`) or plain text"),
    TEXT(valid, NULL, "FILE,FILE", "text to measure the loss on now and then"),
    TEXT(mix, "sqrt", "NAME=W,...", "how often a row is of a domain: proportional to its tokens, sqrt of them, uniform, or code=2,units=1 and no others"),
    { ROW(pack, WITAN_P_ENUM, "rows: windows of all text, or whole documents, each seen alone"), .choice = packs },
    { ROW(too_long, WITAN_P_ENUM, "documents longer than a row: in pieces, or without their rest"), .choice = long_ones },
    REAL(prompt_weight, 1, 0, 1, "weight of the loss at the tokens of prompts; answers count 1"),
    WHOLE(seed, 1, 0, LARGE, "of fresh weights and of the order of the data"),
    WHOLE(batch, 16, 1, 1 << 20, "rows of a step"),
    WHOLE(accumulate, 1, 1, 1 << 16, "micro-batches that a step is computed in"),
    WHOLE(steps, 1000, 1, LARGE, "steps of the whole run"),
    WHOLE(warmup, 100, 0, LARGE, "steps in which the learning rate rises"),
    WHOLE(decay_steps, 0, 0, LARGE, "last steps in which it falls (wsd); 0: a tenth"),
    TEXT(optim, "adamw", "METHOD:NAME=VALUE,...", "learning rule: adamw, adafactor or muon, with options as in adamw:beta2=0.95,decay=0.1"),
    REAL(lr, 1e-3, 0, 100, "highest learning rate"),
    REAL(floor, 0.05, 0, 1, "share of the learning rate that is left at the end (cosine, wsd)"),
    REAL(clip, 1, 0, 1e12, "largest norm of all gradients together; 0: any"),
    REAL(ema, 0, 0, 0.999999, "keep a running mean of the weights: how much of it stays each step; 0: none"),
    { ROW(schedule, WITAN_P_ENUM, "learning rate: constant, a cosine, or even with a fall at the end"), .def = WT_SCHEDULE_COSINE, .choice = schedules },
    FLAG(ema_final, 0, "model.gguf holds the running mean, and no model-ema.gguf is written"),
    TEXT(router, "topk", "METHOD:NAME=VALUE,...", "how experts are chosen"),
    TEXT(filter, NULL, "METHOD:NAME=VALUE,...", "what drops chosen pairs in training, such as capacity"),
    TEXT(balance, "aux", "METHOD:NAME=VALUE,...", "what keeps experts evenly used; several with ; between them, none: nothing"),
    TEXT(frozen, NULL, "PART,...", "parts that do not learn: embed, head, norm, attention, router, experts, shared, dense"),
    FLAG(recompute, 0, "compute layers again in the backward pass, instead of keeping what they computed"),
    FLAG(half, 0, "what experts keep for the backward pass is BF16"),
    FLAG(half_products, 0, "products round their operands to BF16"),
    WHOLE(log_every, 10, 1, LARGE, "steps between lines of the log"),
    WHOLE(valid_every, 200, 1, LARGE, "steps between validations"),
    WHOLE(checkpoint_every, 200, 1, LARGE, "steps between checkpoints"),
    WHOLE(valid_rows, 8, 1, 1 << 20, "rows of each domain in a validation"),
    TEXT(type, "F32", "TYPE", "block type of model.gguf: F32, F16, Q8_0 ..."),
    { 0 }
};

/* ---- reading ----------------------------------------------------------------------------------------------------------- */

struct witan_train_config { wt_ctx *cx; json_t *json; char **own; size_t n_own; };

static wt_status keep_text(witan_train_config *c, char *s)
{
    char **p = s ? wt_realloc(c->cx, c->own, c->n_own + 1, sizeof *p) : NULL;
    if (!p) { wt_free(c->cx, s); return WT_ENOMEM; }
    c->own = p;
    c->own[c->n_own++] = s;
    return WITAN_OK;
}

/* ["a", "b"] as "a,b"; methods of balance, whose options have commas, are joined by ";". */
static wt_status join(witan_train_config *c, const char *where, const char *key, const json_t *list, const char **out)
{
    wt_text t;
    char *s = NULL;
    size_t i;
    json_t *v;
    wt_text_init(&t, c->cx);
    json_array_foreach(list, i, v) {
        if (!json_is_string(v)) { wt_text_free(&t); return wt_fail(c->cx, WT_EFORMAT, "%s: %s: a list holds texts only", where, key); }
        wt_text_printf(&t, "%s%s", i ? strcmp(key, "balance") ? "," : ";" : "", json_string_value(v));
    }
    WT_TRY(wt_text_take(&t, &s, NULL));
    WT_TRY(keep_text(c, s));
    *out = s;
    return WITAN_OK;
}

static wt_status member(witan_train_config *c, const char *where, const char *key, const json_t *v, witan_train_options *o)
{
    char number[64];
    const char *text = NULL;
    const witan_param *p = witan_opt_find(witan_train_param, key);
    if (!strcmp(key, "about") || !strcmp(key, "witan")) return WITAN_OK;
    if (json_is_null(v) && p && p->type == WITAN_P_STR) { *(const char **)((char *)o + p->offset) = NULL; return WITAN_OK; }
    if (json_is_string(v)) text = json_string_value(v);
    else if (json_is_array(v)) WT_TRY(join(c, where, key, v, &text));
    else if (json_is_boolean(v)) text = json_is_true(v) ? "true" : "false";
    else if (json_is_integer(v)) { snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v)); text = number; }
    else if (json_is_real(v)) {
        double real = json_real_value(v);
        witan_opt_text(&(witan_param){ .type = WITAN_P_F64 }, &real, number, sizeof number);
        text = number;
    } else return wt_fail(c->cx, WT_EFORMAT, "%s: %s: expected a number, a text, true or false, or a list of texts", where, key);
    if (text == number && p && p->type == WITAN_P_STR) return wt_fail(c->cx, WT_EFORMAT, "%s: %s: expected a text", where, key);
    if (witan_opt_set(c->cx, witan_train_param, o, key, text) == WITAN_OK) return WITAN_OK;
    char *why = wt_strdup(c->cx, c->cx->error);
    wt_status st = wt_fail(c->cx, WT_EARG, "%s: %s", where, why ? why : key);
    wt_free(c->cx, why);
    return st;
}

static wt_status load(witan_train_config *c, const char *path, witan_train_options *o)
{
    char *text;
    size_t n;
    const char *key;
    json_t *v;
    WT_TRY(wt_file_read(c->cx, path, 1 << 20, &text, &n));
    wt_status st = wt_json_parse(c->cx, text, n, path, &c->json);
    wt_free(c->cx, text);
    WT_TRY(st);
    if (!json_is_object(c->json)) return wt_fail(c->cx, WT_EFORMAT, "%s: expected an object of training options", path);
    json_object_foreach(c->json, key, v) WT_TRY(member(c, path, key, v, o));
    return WITAN_OK;
}

wt_status witan_train_config_load(wt_ctx *cx, const char *path, witan_train_options *o, witan_train_config **keep)
{
    witan_train_config *c = wt_alloc(cx, 1, sizeof *c);
    if (!c) return WT_ENOMEM;
    c->cx = cx;
    witan_train_options fresh = *o;
    wt_status st = load(c, path, &fresh);
    if (st != WITAN_OK) { witan_train_config_free(c); return st; }
    *o = fresh;
    *keep = c;
    return WITAN_OK;
}

void witan_train_config_free(witan_train_config *c)
{
    if (!c) return;
    json_decref(c->json);
    for (size_t i = 0; i < c->n_own; i++) wt_free(c->cx, c->own[i]);
    wt_free(c->cx, c->own);
    wt_free(c->cx, c);
}

/* ---- writing and comparing ---------------------------------------------------------------------------------------------- */

static bool part_of_run(const witan_param *p) { return strcmp(p->name, "out") && strcmp(p->name, "resume"); }

/* How long, how often, and what of it: nothing of this changes a weight. */
static bool may_change(const witan_param *p)
{
    static const char *const free_ones[] = { "steps", "log_every", "checkpoint_every", "type", "ema_final", "name" };
    for (size_t i = 0; i < sizeof free_ones / sizeof *free_ones; i++) if (!strcmp(p->name, free_ones[i])) return true;
    return !part_of_run(p);
}

static const char *string_of(const witan_param *p, const witan_train_options *o) { return *(const char *const *)((const char *)o + p->offset); }

static void value(wt_text *t, const witan_param *p, const witan_train_options *o)
{
    char text[64];
    const char *s = p->type == WITAN_P_STR ? string_of(p, o) : NULL;
    if (p->type == WITAN_P_STR) { if (s) wt_text_json(t, s, strlen(s)); else wt_text_puts(t, "null"); return; }
    witan_opt_text(p, o, text, sizeof text);
    if (p->type == WITAN_P_ENUM) wt_text_json(t, text, strlen(text)); else wt_text_puts(t, text);
}

wt_status wt_train_config_text(wt_ctx *cx, const witan_train_options *o, char **text, size_t *n)
{
    wt_text t;
    wt_text_init(&t, cx);
    wt_text_printf(&t, "{\"witan\": \"%s\"", WITAN_VERSION);
    for (const witan_param *p = witan_train_param; p->name; p++) {
        if (!part_of_run(p)) continue;
        wt_text_printf(&t, ",\n \"%s\": ", p->name);
        value(&t, p, o);
    }
    wt_text_puts(&t, "}\n");
    return wt_text_take(&t, text, n);
}

static bool same(const witan_param *p, const witan_train_options *a, const witan_train_options *b, char was[64], char is[64])
{
    if (p->type == WITAN_P_STR) {
        const char *x = string_of(p, a), *y = string_of(p, b);
        snprintf(was, 64, "%s", x ? x : "nothing");
        snprintf(is, 64, "%s", y ? y : "nothing");
        return x && y ? !strcmp(x, y) : x == y;
    }
    witan_opt_text(p, a, was, 64);
    witan_opt_text(p, b, is, 64);
    return !strcmp(was, is);
}

wt_status wt_train_config_same(wt_ctx *cx, const char *path, const witan_train_options *o)
{
    witan_train_options before;
    witan_train_config *keep;
    char list[640] = "", was[64], is[64];
    size_t at = 0;
    witan_opt_defaults(witan_train_param, &before);
    WT_TRY(witan_train_config_load(cx, path, &before, &keep));
    for (const witan_param *p = witan_train_param; p->name; p++) {
        if (may_change(p) || same(p, &before, o, was, is) || at >= sizeof list) continue;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s was %s and is %s", at ? "; " : "", p->name, was, is);
    }
    witan_train_config_free(keep);
    return at ? wt_fail(cx, WT_EMISMATCH, "%s: the run was begun with other options: %s", path, list) : WITAN_OK;
}

/* ---- what is missing ---------------------------------------------------------------------------------------------------- */

wt_status wt_train_config_shape(wt_ctx *cx, witan_train_options *o)
{
    if (!o->n_head_kv) o->n_head_kv = o->n_head;
    if (!o->d_head && o->d_model % o->n_head) return wt_fail(cx, WT_EARG, "train: d_model %d is no multiple of n_head %d: say d_head", o->d_model, o->n_head);
    if (!o->d_head) o->d_head = o->d_model / o->n_head;
    if (o->d_head % 2) return wt_fail(cx, WT_EARG, "train: d_head %d is odd; heads turn in pairs of values", o->d_head);
    if (o->n_head % o->n_head_kv) return wt_fail(cx, WT_EARG, "train: %d heads cannot share %d heads of keys and values evenly", o->n_head, o->n_head_kv);
    if (o->n_exp && (!o->n_used || !o->d_ff_exp)) return wt_fail(cx, WT_EARG, "train: n_used and d_ff_exp are missing: experts of a token, and their width");
    if (o->n_used > o->n_exp && o->n_exp) return wt_fail(cx, WT_EARG, "train: n_used %d of n_exp %d experts", o->n_used, o->n_exp);
    if (!o->n_exp && !o->d_ff) return wt_fail(cx, WT_EARG, "train: d_ff is missing: the width of dense layers (or n_exp, for layers with experts)");
    return WITAN_OK;
}

wt_status wt_train_config_check(wt_ctx *cx, witan_train_options *o)
{
    if (!o->init && !o->tokenizer)
        return wt_fail(cx, WT_EARG, "train: tokenizer is missing: a GGUF with the vocabulary of the fresh model (or init, a model to go on from)");
    if (!o->init) WT_TRY(wt_train_config_shape(cx, o));
    if (o->accumulate > o->batch) return wt_fail(cx, WT_EARG, "train: %d micro-batches of a batch of %d rows", o->accumulate, o->batch);
    if (o->batch % o->accumulate) return wt_fail(cx, WT_EARG, "train: a batch of %d rows does not fall into %d equal micro-batches", o->batch, o->accumulate);
    if (o->ema_final && o->ema <= 0) return wt_fail(cx, WT_EARG, "train: ema_final without ema: there is no running mean of the weights");
    return WITAN_OK;
}

wt_status wt_train_list(wt_ctx *cx, char *text, const char ***list, size_t *n)
{
    size_t count = 1;
    for (const char *c = text; *c; c++) count += *c == ',';
    *n = 0;
    *list = wt_alloc(cx, count + 1, sizeof **list);
    if (!*list) return WT_ENOMEM;
    for (char *at = text; *at;) {
        char *end = at + strcspn(at, ",");
        bool last = !*end;
        *end = 0;
        if (*at) (*list)[(*n)++] = at;
        at = last ? end : end + 1;
    }
    return WITAN_OK;
}
