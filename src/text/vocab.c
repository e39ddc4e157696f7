/* Vocabularies from GGUF metadata. A byte-level token is stored as text in which every byte stands as one printable character:
 * itself where it is printable, else U+0100 and up. Everything is checked here once, so that encoding and decoding need no doubts. */
#include "text/vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 1 << 24 };

/* ---- the byte alphabet ---------------------------------------------------------------------------------------------- */

static bool shown_as_itself(int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; }

/* Byte of a code point of the alphabet, -1: none. */
static int byte_of(uint32_t c)
{
    if (c < 256) return shown_as_itself((int)c) ? (int)c : -1;
    int hidden = (int)c - 256;
    for (int b = 0; b < 256; b++)
        if (!shown_as_itself(b) && hidden-- == 0) return b;
    return -1;
}

typedef struct alphabet { int16_t byte[512]; } alphabet;

static void alphabet_init(alphabet *a)
{
    for (uint32_t c = 0; c < 512; c++) a->byte[c] = (int16_t)byte_of(c);
}

/* Decodes a token's text into out (room for s.n bytes); returns the length. Text outside the alphabet stands for itself. */
static size_t token_bytes(const alphabet *a, wt_str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint32_t c = (uint8_t)s.s[i];
        bool two = c >= 0xC0 && c < 0xE0 && i + 1 < s.n && ((uint8_t)s.s[i + 1] & 0xC0) == 0x80;
        if (two) c = (c & 31) << 6 | ((uint8_t)s.s[i + 1] & 63);
        int b = c < 512 ? a->byte[c] : -1;
        if (b >= 0) { out[n++] = (char)b; i += two; } else out[n++] = s.s[i];
    }
    return n;
}

/* ---- finding tokens by text, while opening --------------------------------------------------------------------------- */

typedef struct index { wt_str *tok; uint32_t *slot; size_t n_slot; } index_;

static uint32_t hash(const char *s, size_t n, const char *t, size_t m)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)s[i]) * 16777619u;
    for (size_t i = 0; i < m; i++) h = (h ^ (uint8_t)t[i]) * 16777619u;
    return h ^ h >> 15;
}

/* Slot of the text s followed by t: the token's, or the free one where it would go. */
static uint32_t *find2(const index_ *x, wt_str s, wt_str t)
{
    size_t i = hash(s.s, s.n, t.s, t.n) & (x->n_slot - 1);
    for (; x->slot[i]; i = (i + 1) & (x->n_slot - 1)) {
        wt_str have = x->tok[x->slot[i] - 1];
        if (have.n == s.n + t.n && !memcmp(have.s, s.s, s.n) && (!t.n || !memcmp(have.s + s.n, t.s, t.n))) break;
    }
    return x->slot + i;
}

static wt_status index_all(wt_ctx *cx, index_ *x, size_t n)
{
    x->n_slot = 8;
    while (x->n_slot < n * 2) x->n_slot *= 2;
    x->slot = wt_alloc(cx, x->n_slot, sizeof *x->slot);
    if (!x->slot) return WT_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        uint32_t *slot = find2(x, x->tok[i], (wt_str){ "", 0 });
        if (!*slot) *slot = (uint32_t)i + 1;      /* of equal tokens the first is used */
    }
    return WITAN_OK;
}

/* ---- parts ---------------------------------------------------------------------------------------------------------- */

static wt_status types(wt_vocab *v, const wt_gguf *g)
{
    int64_t *t;
    size_t n;
    v->type = wt_alloc(v->cx, (size_t)v->n, 1);
    if (!v->type) return WT_ENOMEM;
    memset(v->type, WT_TOK_NORMAL, (size_t)v->n);
    WT_TRY(wt_gguf_ints(v->cx, g, "tokenizer.ggml.token_type", false, &t, &n));
    wt_status st = WITAN_OK;
    if (t && n != (size_t)v->n)
        st = wt_fail(v->cx, WT_EFORMAT, "%s: tokenizer.ggml.token_type has %zu entries for %d tokens", g->path, n, v->n);
    for (size_t i = 0; st == WITAN_OK && t && i < n; i++) {
        if (t[i] < 0 || t[i] > 6) st = wt_fail(v->cx, WT_EFORMAT, "%s: tokenizer.ggml.token_type of token %zu is %lld, expected 0 to 6", g->path, i, (long long)t[i]);
        else v->type[i] = (uint8_t)t[i];
    }
    wt_free(v->cx, t);
    return st;
}

static bool literal(const wt_vocab *v, int32_t i) { return v->type[i] == WT_TOK_CONTROL || v->type[i] == WT_TOK_USER; }

static wt_status texts(wt_vocab *v, const wt_str *tok)
{
    alphabet a;
    size_t total = 0;
    alphabet_init(&a);
    for (int32_t i = 0; i < v->n; i++) total += tok[i].n;
    v->bytes = wt_alloc(v->cx, total + 1, 1);
    v->at = wt_alloc(v->cx, (size_t)v->n + 1, sizeof *v->at);
    if (!v->bytes || !v->at) return WT_ENOMEM;
    memset(v->byte_id, -1, sizeof v->byte_id);
    for (int32_t i = 0; i < v->n; i++) {
        char *out = v->bytes + v->at[i];
        size_t n = tok[i].n;
        if (literal(v, i)) memcpy(out, tok[i].s, n); else n = token_bytes(&a, tok[i], out);
        v->at[i + 1] = v->at[i] + n;
        if (n == 1 && !literal(v, i) && v->byte_id[(uint8_t)*out] < 0) v->byte_id[(uint8_t)*out] = i;
    }
    return WITAN_OK;
}

static wt_status one_merge(wt_vocab *v, const wt_gguf *g, const index_ *x, wt_str m, size_t rank)
{
    const char *gap = m.n > 2 ? memchr(m.s + 1, ' ', m.n - 1) : NULL;
    if (!gap) return wt_fail(v->cx, WT_EFORMAT, "%s: tokenizer.ggml.merges entry %zu is not two pieces with a space between", g->path, rank);
    wt_str a = { m.s, (size_t)(gap - m.s) }, b = { gap + 1, m.n - a.n - 1 }, none = { "", 0 };
    uint32_t ia = *find2(x, a, none), ib = *find2(x, b, none), to = *find2(x, a, b);
    if (!ia || !ib || !to) return wt_fail(v->cx, WT_EFORMAT, "%s: tokenizer.ggml.merges entry %zu refers to a piece that is no token", g->path, rank);
    uint64_t pair = ((uint64_t)(ia - 1) << 32 | (ib - 1)) + 1;
    size_t i = (size_t)(pair * 0x9E3779B97F4A7C15u >> 20) & (v->n_slot - 1);
    while (v->merge[i].pair && v->merge[i].pair != pair) i = (i + 1) & (v->n_slot - 1);
    if (!v->merge[i].pair) v->merge[i] = (wt_merge){ pair, (int32_t)rank, (int32_t)to - 1 };
    return WITAN_OK;
}

static wt_status merges(wt_vocab *v, const wt_gguf *g, const index_ *x)
{
    wt_str *m;
    size_t n;
    WT_TRY(wt_gguf_strs(v->cx, g, "tokenizer.ggml.merges", true, &m, &n));
    v->n_slot = 8;
    while (v->n_slot < n * 2) v->n_slot *= 2;
    v->merge = wt_alloc(v->cx, v->n_slot, sizeof *v->merge);
    wt_status st = v->merge ? WITAN_OK : WT_ENOMEM;
    for (size_t i = 0; st == WITAN_OK && i < n; i++) st = one_merge(v, g, x, m[i], i);
    wt_free(v->cx, m);
    return st;
}

static int longer_first(const void *a, const void *b, void *vocab)
{
    const wt_vocab *v = vocab;
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    size_t n = v->at[i + 1] - v->at[i], m = v->at[j + 1] - v->at[j];
    return n != m ? (n > m ? -1 : 1) : (i > j) - (i < j);
}

static wt_status specials(wt_vocab *v)
{
    for (int32_t i = 0; i < v->n; i++) v->n_special += literal(v, i) && v->at[i + 1] > v->at[i];
    v->special = wt_alloc(v->cx, v->n_special, sizeof *v->special);
    if (!v->special) return WT_ENOMEM;
    size_t n = 0;
    for (int32_t i = 0; i < v->n; i++)
        if (literal(v, i) && v->at[i + 1] > v->at[i]) {
            v->special[n++] = i;
            v->special_first[(uint8_t)v->bytes[v->at[i]]] = true;
        }
    qsort_r(v->special, n, sizeof *v->special, longer_first, v);
    return WITAN_OK;
}

static uint32_t bytes_hash(const wt_vocab *v, const char *s, size_t n) { return hash(s, n, "", 0) & (uint32_t)(v->n_whole - 1); }

int32_t wt_vocab_whole(const wt_vocab *v, const char *s, size_t n)
{
    for (size_t i = bytes_hash(v, s, n); v->whole[i]; i = (i + 1) & (v->n_whole - 1)) {
        int32_t id = v->whole[i] - 1;
        if (v->at[id + 1] - v->at[id] == n && !memcmp(v->bytes + v->at[id], s, n)) return id;
    }
    return -1;
}

static wt_status whole_tokens(wt_vocab *v)
{
    if (!v->split->whole_first) return WITAN_OK;
    v->n_whole = 8;
    while (v->n_whole < (size_t)v->n * 2) v->n_whole *= 2;
    v->whole = wt_alloc(v->cx, v->n_whole, sizeof *v->whole);
    if (!v->whole) return WT_ENOMEM;
    for (int32_t id = 0; id < v->n; id++) {
        const char *s = v->bytes + v->at[id];
        size_t n = v->at[id + 1] - v->at[id], i = bytes_hash(v, s, n);
        if (literal(v, id) || wt_vocab_whole(v, s, n) >= 0) continue;
        while (v->whole[i]) i = (i + 1) & (v->n_whole - 1);
        v->whole[i] = id + 1;
    }
    return WITAN_OK;
}

static wt_status special_ids(wt_vocab *v, const wt_gguf *g)
{
    int64_t bos = -1, eos = -1;
    WT_TRY(wt_gguf_int(v->cx, g, "tokenizer.ggml.bos_token_id", false, 0, v->n - 1, &bos));
    WT_TRY(wt_gguf_int(v->cx, g, "tokenizer.ggml.eos_token_id", false, 0, v->n - 1, &eos));
    WT_TRY(wt_gguf_bool(v->cx, g, "tokenizer.ggml.add_bos_token", false, &v->add_bos));
    v->bos = (int32_t)bos;
    v->eos = (int32_t)eos;
    v->add_bos = v->add_bos && v->bos >= 0;
    return WITAN_OK;
}

static bool is(wt_str s, const char *t) { return s.n == strlen(t) && !memcmp(s.s, t, s.n); }

static wt_status rule(wt_vocab *v, const wt_gguf *g)
{
    wt_str model = { 0 }, pre = { "", 0 };
    WT_TRY(wt_gguf_str(v->cx, g, "tokenizer.ggml.model", true, &model));
    WT_TRY(wt_gguf_str(v->cx, g, "tokenizer.ggml.pre", false, &pre));
    if (!is(model, "gpt2"))
        return wt_fail(v->cx, WT_EUNSUPPORTED, "%s: tokenizer.ggml.model is \"%.*s\"; only \"gpt2\" (byte-level BPE) is supported yet", g->path,
                       (int)(model.n < 60 ? model.n : 60), model.s);
    v->split = &wt_split_gpt2;
    if (is(pre, "") || is(pre, "default")) {
        wt_log(v->cx, WITAN_WARN, "%s: names no pre-tokenizer, the gpt-2 rule is used", g->path);
        return WITAN_OK;
    }
    v->split = wt_split_find(pre.s, pre.n);
    if (!v->split)
        return wt_fail(v->cx, WT_EUNSUPPORTED, "%s: tokenizer.ggml.pre is \"%.*s\"", g->path, (int)(pre.n < 60 ? pre.n : 60), pre.s);
    v->add_bos = v->split->begin;
    return WITAN_OK;
}

static wt_status fill(wt_vocab *v, const wt_gguf *g)
{
    index_ x = { 0 };
    size_t n;
    WT_TRY(rule(v, g));
    WT_TRY(wt_gguf_strs(v->cx, g, "tokenizer.ggml.tokens", true, &x.tok, &n));
    v->n = (int32_t)n;
    wt_status st = n < 1 || n > MOST_TOKENS ? wt_fail(v->cx, WT_EFORMAT, "%s: tokenizer.ggml.tokens has %zu entries, expected 1 to %d", g->path, n, MOST_TOKENS) : WITAN_OK;
    if (st == WITAN_OK) st = types(v, g);
    if (st == WITAN_OK) st = texts(v, x.tok);
    if (st == WITAN_OK) st = index_all(v->cx, &x, n);
    if (st == WITAN_OK) st = merges(v, g, &x);
    if (st == WITAN_OK) st = whole_tokens(v);
    if (st == WITAN_OK) st = specials(v);
    if (st == WITAN_OK) st = special_ids(v, g);
    wt_free(v->cx, x.tok);
    wt_free(v->cx, x.slot);
    return st;
}

wt_status wt_vocab_open(wt_ctx *cx, const wt_gguf *g, wt_vocab **out)
{
    wt_vocab *v = wt_alloc(cx, 1, sizeof *v);
    if (!v) return WT_ENOMEM;
    v->cx = cx;
    wt_status st = fill(v, g);
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
    wt_free(v->cx, v->whole);
    wt_free(v->cx, v->special);
    wt_free(v->cx, v);
}

int32_t wt_vocab_size(const wt_vocab *v) { return v->n; }
int32_t wt_vocab_bos(const wt_vocab *v) { return v->bos; }
int32_t wt_vocab_eos(const wt_vocab *v) { return v->eos; }
bool wt_vocab_add_bos(const wt_vocab *v) { return v->add_bos; }
bool wt_vocab_is_control(const wt_vocab *v, int32_t id) { return id >= 0 && id < v->n && v->type[id] == WT_TOK_CONTROL; }
