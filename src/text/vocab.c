/* Vocabularies from GGUF metadata. Everything is checked here once, so that encoding and decoding need no doubts. */
#include "text/vocab.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 1 << 24 };

/* ---- which tokenizer, which splitting rule ---------------------------------------------------------------------------- */

static bool is(wt_str s, const char *t) { return s.n == strlen(t) && !memcmp(s.s, t, s.n); }
static int shown(wt_str s) { return (int)(s.n < 60 ? s.n : 60); }

/* "did you mean" for a name of a rule, "" where none is near. */
static const char *nearest(wt_str name, char buf[128])
{
    const char *all[128], *near;
    char typed[64];
    size_t n = 0;
    while (n < 128 && (all[n] = wt_split_name(n))) n++;
    snprintf(typed, sizeof typed, "%.*s", shown(name), name.s);
    near = witan_did_you_mean(typed, all, n);
    *buf = 0;
    if (near) snprintf(buf, 128, "; the nearest known name is \"%s\"", near);
    return buf;
}

/* One name of every rule. */
static const char *rule_names(char buf[512])
{
    const wt_split_rule *last = NULL;
    const char *name;
    *buf = 0;
    for (size_t i = 0; (name = wt_split_name(i)); i++) {
        const wt_split_rule *r = wt_split_find(name, strlen(name));
        size_t at = strlen(buf);
        if (r != last) snprintf(buf + at, 512 - at, "%s%s", at ? ", " : "", name);
        last = r;
    }
    return buf;
}

static wt_status rule(wt_vocab *v, const wt_gguf *g, const char *instead)
{
    wt_str pre = { "", 0 }, asked = { instead, instead ? strlen(instead) : 0 };
    char near[128], names[512];
    const wt_split_rule *other = instead ? wt_split_find(instead, asked.n) : NULL;
    if (instead && !other)
        return wt_fail(v->cx, WT_EARG, "splitting rule \"%.*s\" is unknown%s; expected one of: %s", shown(asked), instead,
                       nearest(asked, near), rule_names(names));
    WT_TRY(wt_gguf_str(v->cx, g, "tokenizer.ggml.pre", false, &pre));
    if (v->spm) return WITAN_OK;
    if (is(pre, "") || is(pre, "default")) {
        v->split = other ? other : &wt_split_gpt2;
        wt_log(v->cx, WITAN_WARN, "%s: names no splitting rule, \"%s\" is used%s", g->path, other ? instead : "gpt-2",
               other ? " as asked for" : "");
    } else if (!(v->split = wt_split_find(pre.s, pre.n))) {
        if (!other)
            return wt_fail(v->cx, WT_EUNSUPPORTED, "%s: tokenizer.ggml.pre is \"%.*s\", a splitting rule that is unknown here%s; --pre NAME "
                           "(witan_model_options.pre) continues with one of: %s",
                           g->path, shown(pre), pre.s, nearest(pre, near), rule_names(names));
        v->split = other;
        wt_log(v->cx, WITAN_WARN, "%s: the splitting rule \"%.*s\" is unknown, \"%s\" is used instead as asked for",
               g->path, shown(pre), pre.s, instead);
    }
    v->add_bos = v->split->begin;
    return WITAN_OK;
}

/* In Phi-3 (and Phi-3.5-MoE) special tokens swallow the white space behind them. No key says so; the family does, or the name. */
static wt_status stripping(wt_vocab *v, const wt_gguf *g)
{
    wt_str arch = { "", 0 }, name = { "", 0 };
    WT_TRY(wt_gguf_str(v->cx, g, "general.architecture", false, &arch));
    WT_TRY(wt_gguf_str(v->cx, g, "general.name", false, &name));
    v->strip_right = is(arch, "phi3") || is(arch, "phimoe");
    for (size_t i = 0; i + 4 <= name.n; i++) {
        const char *s = name.s + i;
        size_t k = 3 + (s[3] == '-' || s[3] == ' ');
        if ((s[0] | 32) == 'p' && (s[1] | 32) == 'h' && (s[2] | 32) == 'i' && i + k < name.n && s[k] == '3') v->strip_right = true;
    }
    return WITAN_OK;
}

static wt_status kind(wt_vocab *v, const wt_gguf *g)
{
    wt_str model = { 0 };
    WT_TRY(wt_gguf_str(v->cx, g, "tokenizer.ggml.model", true, &model));
    v->spm = v->prefix = v->add_bos = is(model, "llama");
    if (v->spm) return stripping(v, g);
    if (is(model, "gpt2")) return WITAN_OK;
    return wt_fail(v->cx, WT_EUNSUPPORTED, "%s: tokenizer.ggml.model is \"%.*s\"; supported are \"gpt2\" (byte-level BPE) and \"llama\" "
                   "(SentencePiece BPE)", g->path, shown(model), model.s);
}

/* ---- types and texts of tokens ---------------------------------------------------------------------------------------- */

/* The byte of "<0xHH>", -1: another text. */
static int byte_token(wt_str s)
{
    static const char hex[] = "0123456789ABCDEF0123456789abcdef";
    if (s.n != 6 || memcmp(s.s, "<0x", 3) || s.s[5] != '>' || !s.s[3] || !s.s[4]) return -1;
    const char *hi = strchr(hex, s.s[3]), *lo = strchr(hex, s.s[4]);
    return hi && lo ? (int)((hi - hex) % 16 * 16 + (lo - hex) % 16) : -1;
}

/* Old SentencePiece files tell no types: these tokens always had theirs. */
static void guess_types(wt_vocab *v, const wt_str *tok)
{
    for (int32_t i = 0; v->spm && i < v->n; i++)
        v->type[i] = byte_token(tok[i]) >= 0 ? WT_TOK_BYTE : is(tok[i], "<unk>") ? WT_TOK_UNKNOWN :
                     is(tok[i], "<s>") || is(tok[i], "</s>") ? WT_TOK_CONTROL : WT_TOK_NORMAL;
}

static wt_status set_type(wt_vocab *v, const wt_gguf *g, size_t i, int64_t t, wt_str tok)
{
    if (t < 0 || t > 6)
        return wt_fail(v->cx, WT_EFORMAT, "%s: tokenizer.ggml.token_type of token %zu is %lld, expected 0 to 6", g->path, i, (long long)t);
    if (t == WT_TOK_BYTE && v->spm && byte_token(tok) < 0)
        return wt_fail(v->cx, WT_EFORMAT, "%s: token %zu is of type byte, but \"%.*s\" is not written as <0xHH>", g->path, i, shown(tok), tok.s);
    v->type[i] = (uint8_t)t;
    return WITAN_OK;
}

static wt_status types(wt_vocab *v, const wt_gguf *g, const wt_str *tok)
{
    int64_t *t;
    size_t n;
    v->type = wt_alloc(v->cx, (size_t)v->n, 1);
    if (!v->type) return WT_ENOMEM;
    memset(v->type, WT_TOK_NORMAL, (size_t)v->n);
    WT_TRY(wt_gguf_ints(v->cx, g, "tokenizer.ggml.token_type", false, &t, &n));
    if (!t) guess_types(v, tok);
    wt_status st = WITAN_OK;
    if (t && n != (size_t)v->n)
        st = wt_fail(v->cx, WT_EFORMAT, "%s: tokenizer.ggml.token_type has %zu entries for %d tokens", g->path, n, v->n);
    for (size_t i = 0; st == WITAN_OK && t && i < n; i++) st = set_type(v, g, i, t[i], tok[i]);
    wt_free(v->cx, t);
    return st;
}

/* U+2581 stands for a space. */
static size_t spm_bytes(wt_str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        bool space = s.n - i >= 3 && !memcmp(s.s + i, "\xE2\x96\x81", 3);
        out[n++] = space ? ' ' : s.s[i];
        if (space) i += 2;
    }
    return n;
}

static size_t token_bytes(const wt_vocab *v, const wt_alphabet *a, int32_t i, wt_str s, char *out)
{
    int byte = v->type[i] == WT_TOK_BYTE ? byte_token(s) : -1;
    if (byte >= 0) { *out = (char)byte; return 1; }
    if (v->spm && !wt_vocab_literal(v, i)) return spm_bytes(s, out);
    if (!wt_vocab_literal(v, i)) return wt_alphabet_bytes(a, s, out);
    memcpy(out, s.s, s.n);
    return s.n;
}

static bool space_inside(const char *s, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (s[i] == ' ' && s[i - 1] != ' ') return true;
    return false;
}

static wt_status texts(wt_vocab *v, const wt_str *tok)
{
    wt_alphabet a;
    size_t total = 0;
    wt_alphabet_init(&a);
    for (int32_t i = 0; i < v->n; i++) total += tok[i].n;
    v->bytes = wt_alloc(v->cx, total + 1, 1);
    v->at = wt_alloc(v->cx, (size_t)v->n + 1, sizeof *v->at);
    if (!v->bytes || !v->at) return WT_ENOMEM;
    memset(v->byte_id, -1, sizeof v->byte_id);
    v->words = true;
    for (int32_t i = 0; i < v->n; i++) {
        char *out = v->bytes + v->at[i];
        size_t n = token_bytes(v, &a, i, tok[i], out);
        bool single = v->type[i] == WT_TOK_BYTE || !(v->spm || wt_vocab_literal(v, i));
        v->at[i + 1] = v->at[i] + n;
        if (n > v->longest) v->longest = n;
        if (v->spm && !wt_vocab_special(v, i) && space_inside(out, n)) v->words = false;
        if (n == 1 && single && v->byte_id[(uint8_t)*out] < 0) v->byte_id[(uint8_t)*out] = i;
    }
    v->all_bytes = true;
    for (int b = 0; b < 256; b++) v->all_bytes &= v->byte_id[b] >= 0;
    return WITAN_OK;
}

/* ---- finding tokens by their bytes ------------------------------------------------------------------------------------ */

static size_t slot_of(const wt_vocab *v, const char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 16777619u;
    return (h ^ h >> 15) & (uint32_t)(v->n_whole - 1);
}

int32_t wt_vocab_whole(const wt_vocab *v, const char *s, size_t n)
{
    for (size_t i = slot_of(v, s, n); v->whole[i]; i = (i + 1) & (v->n_whole - 1)) {
        int32_t id = v->whole[i] - 1;
        if (v->at[id + 1] - v->at[id] == n && !memcmp(v->bytes + v->at[id], s, n)) return id;
    }
    return -1;
}

/* Control, unknown and byte tokens never come from text by merging. In SentencePiece user-defined ones may. */
static bool mergeable(const wt_vocab *v, int32_t id)
{
    return v->spm ? !wt_vocab_special(v, id) && v->type[id] != WT_TOK_BYTE : !wt_vocab_literal(v, id);
}

static wt_status index_whole(wt_vocab *v)
{
    if (!v->spm && !v->split->whole_first) return WITAN_OK;
    v->n_whole = 8;
    while (v->n_whole < (size_t)v->n * 2) v->n_whole *= 2;
    v->whole = wt_alloc(v->cx, v->n_whole, sizeof *v->whole);
    if (!v->whole) return WT_ENOMEM;
    for (int32_t id = 0; id < v->n; id++) {
        const char *s = v->bytes + v->at[id];
        size_t n = v->at[id + 1] - v->at[id], i = slot_of(v, s, n);
        if (!n || !mergeable(v, id) || wt_vocab_whole(v, s, n) >= 0) continue;     /* of equal tokens the first is used */
        while (v->whole[i]) i = (i + 1) & (v->n_whole - 1);
        v->whole[i] = id + 1;
    }
    return WITAN_OK;
}

/* ---- SentencePiece scores --------------------------------------------------------------------------------------------- */

static int better_first(const void *a, const void *b, void *scores)
{
    const float *s = scores;
    float x = s[*(const int32_t *)a], y = s[*(const int32_t *)b];
    return (x < y) - (x > y);
}

/* Scores become places in their order, which is all that merging needs of them. */
static wt_status ranks(wt_vocab *v, const wt_gguf *g)
{
    float *score;
    size_t n;
    WT_TRY(wt_gguf_nums(v->cx, g, "tokenizer.ggml.scores", true, &score, &n));
    wt_status st = WITAN_OK;
    int32_t *order = wt_alloc(v->cx, (size_t)v->n, sizeof *order);
    v->rank = wt_alloc(v->cx, (size_t)v->n, sizeof *v->rank);
    if (!order || !v->rank) st = WT_ENOMEM;
    else if (n != (size_t)v->n) st = wt_fail(v->cx, WT_EFORMAT, "%s: tokenizer.ggml.scores has %zu entries for %d tokens", g->path, n, v->n);
    for (size_t i = 0; st == WITAN_OK && i < n; i++) {
        if (isnan(score[i])) st = wt_fail(v->cx, WT_EFORMAT, "%s: tokenizer.ggml.scores of token %zu is not a number", g->path, i);
        order[i] = (int32_t)i;
    }
    if (st == WITAN_OK) {
        qsort_r(order, n, sizeof *order, better_first, score);
        for (size_t i = 0, place = 0; i < n; i++) {
            if (i && score[order[i]] < score[order[i - 1]]) place = i;
            v->rank[order[i]] = (int32_t)place;
        }
    }
    wt_free(v->cx, order);
    wt_free(v->cx, score);
    return st;
}

/* ---- special ids ------------------------------------------------------------------------------------------------------ */

static wt_status special_id(wt_vocab *v, const wt_gguf *g, const char *key, int32_t usual, uint8_t usual_type, int32_t *id)
{
    int64_t i = v->spm && usual < v->n && usual >= 0 && v->type[usual] == usual_type ? usual : -1;
    WT_TRY(wt_gguf_int(v->cx, g, key, false, 0, v->n - 1, &i));
    *id = (int32_t)i;
    return WITAN_OK;
}

/* SentencePiece files may leave the usual ids and the begin token unsaid. */
static wt_status special_ids(wt_vocab *v, const wt_gguf *g)
{
    WT_TRY(special_id(v, g, "tokenizer.ggml.bos_token_id", 1, WT_TOK_CONTROL, &v->bos));
    WT_TRY(special_id(v, g, "tokenizer.ggml.eos_token_id", 2, WT_TOK_CONTROL, &v->eos));
    WT_TRY(special_id(v, g, "tokenizer.ggml.unknown_token_id", 0, WT_TOK_UNKNOWN, &v->unk));
    WT_TRY(special_id(v, g, "tokenizer.ggml.seperator_token_id", -1, 0, &v->sep));
    WT_TRY(wt_gguf_bool(v->cx, g, "tokenizer.ggml.add_bos_token", false, &v->add_bos));
    WT_TRY(wt_gguf_bool(v->cx, g, "tokenizer.ggml.add_eos_token", false, &v->add_eos));
    WT_TRY(wt_gguf_bool(v->cx, g, "tokenizer.ggml.add_sep_token", false, &v->add_sep));
    if (v->spm) WT_TRY(wt_gguf_bool(v->cx, g, "tokenizer.ggml.add_space_prefix", false, &v->prefix));
    v->add_bos = v->add_bos && v->bos >= 0;
    v->add_eos = v->add_eos && v->eos >= 0;
    v->add_sep = v->add_sep && v->sep >= 0;
    return WITAN_OK;
}

/* ---- opening ---------------------------------------------------------------------------------------------------------- */

static wt_status parts(wt_vocab *v, const wt_gguf *g, const wt_str *tok)
{
    WT_TRY(types(v, g, tok));
    WT_TRY(texts(v, tok));
    WT_TRY(v->spm ? ranks(v, g) : wt_vocab_merges(v, g, tok));
    WT_TRY(index_whole(v));
    WT_TRY(wt_literal_index(v));
    return special_ids(v, g);
}

static wt_status fill(wt_vocab *v, const wt_gguf *g, const char *pre)
{
    wt_str *tok;
    size_t n;
    WT_TRY(kind(v, g));
    WT_TRY(rule(v, g, pre));
    WT_TRY(wt_gguf_strs(v->cx, g, "tokenizer.ggml.tokens", true, &tok, &n));
    v->n = (int32_t)n;
    wt_status st;
    if (n < 1 || n > MOST_TOKENS)
        st = wt_fail(v->cx, WT_EFORMAT, "%s: tokenizer.ggml.tokens has %zu entries, expected 1 to %d", g->path, n, MOST_TOKENS);
    else st = parts(v, g, tok);
    wt_free(v->cx, tok);
    return st;
}

wt_status wt_vocab_open(wt_ctx *cx, const wt_gguf *g, const char *pre, wt_vocab **out)
{
    wt_vocab *v = wt_alloc(cx, 1, sizeof *v);
    if (!v) return WT_ENOMEM;
    v->cx = cx;
    wt_status st = fill(v, g, pre);
    if (st != WITAN_OK) { wt_vocab_free(v); return st; }
    *out = v;
    return WITAN_OK;
}

void wt_vocab_free(wt_vocab *v)
{
    if (!v) return;
    wt_free(v->cx, v->type);
    wt_free(v->cx, v->bytes);
    wt_free(v->cx, v->at);
    wt_free(v->cx, v->merge);
    wt_free(v->cx, v->rank);
    wt_free(v->cx, v->whole);
    wt_free(v->cx, v->literal);
    wt_free(v->cx, v);
}

int32_t wt_vocab_size(const wt_vocab *v) { return v->n; }
int32_t wt_vocab_bos(const wt_vocab *v) { return v->bos; }
int32_t wt_vocab_eos(const wt_vocab *v) { return v->eos; }
bool wt_vocab_add_bos(const wt_vocab *v) { return v->add_bos; }
bool wt_vocab_is_control(const wt_vocab *v, int32_t id) { return id >= 0 && id < v->n && v->type[id] == WT_TOK_CONTROL; }
