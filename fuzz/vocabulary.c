/* See vocabulary.h. */
#include "vocabulary.h"

#include "text/split.h"
#include <stdio.h>
#include <string.h>

static const fuzz_vocabulary kinds[] = {
    { "gpt2", NULL, NULL },
    { "llama", "", "\xE2\x96\x81" },   /* which is read as a space */
};

bool fuzz_vocabulary_get(size_t i, fuzz_vocabulary *v)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        const wt_split_rule *last = NULL;
        const char *name;
        *v = kinds[k];
        if (v->pre && !i--) return true;
        for (size_t r = 0; !kinds[k].pre && (name = wt_split_name(r)); r++) {
            const wt_split_rule *rule = wt_split_find(name, strlen(name));
            if (rule != last && !i--) { v->pre = name; return true; }
            last = rule;
        }
    }
    return false;
}

size_t fuzz_vocabulary_count(void)
{
    fuzz_vocabulary v;
    size_t n = 0;
    while (fuzz_vocabulary_get(n, &v)) n++;
    return n;
}

enum { MOST = 700, LONG = 24 };

typedef struct pieces {
    char text[MOST][LONG];
    wt_str tok[MOST], merge[MOST];
    int32_t type[MOST];
    float score[MOST];
    size_t n, n_merge;
} pieces;

static void add(pieces *p, const char *s, size_t n, int32_t type)
{
    if (p->n == MOST) return;
    p->tok[p->n] = (wt_str){ s, n };
    p->type[p->n] = type;
    p->score[p->n] = -(float)p->n;
    p->n++;
}

/* ---- the fixed ones -------------------------------------------------------------------------------------------------- */

/* Each is two tokens that stand before it in the list or are bytes, in the alphabets of both kinds of tokenizer. */
static const char *const byte_level[] = {
    "t h", "h e", "th e", "Ġ t", "Ġt he", "i n", "a a", "aa aa", "aaaa aaaa", "Ġ Ġ", "ĠĠ ĠĠ", "Ċ Ċ", "' s", "1 2", "12 3", "Ã ©", "å Ń", "åŃ Ĺ", "ð Ł",
    "ðŁ ĺ", "ðŁĺ Ģ", "e r", "Ġ a", "< |", "č Ċ", "Ù ħ", "Ì ģ", "e Ì", NULL };
static const char *const sentence[] = {
    "▁ t", "▁t h", "▁th e", "i n", "a a", "aa aa", "▁ ▁", "▁▁ ▁▁", "e r", "1 2", "é é", "字 字", NULL };

static void add_byte(pieces *p, int b, bool spm)
{
    static const char hex[] = "0123456789ABCDEF";
    bool shown = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    int c = b, hidden = 0;
    char *s = p->text[p->n];
    for (int k = 0; k < b; k++) hidden += !((k >= 33 && k <= 126) || (k >= 161 && k <= 172) || k >= 174);
    if (!shown) c = 256 + hidden;
    if (spm) snprintf(s, LONG, "<0x%c%c>", hex[b >> 4], hex[b & 15]);
    else if (c < 128) snprintf(s, LONG, "%c", c);
    else snprintf(s, LONG, "%c%c", (char)(0xC0 | c >> 6), (char)(0x80 | (c & 63)));
    add(p, s, strlen(s), spm ? 6 : 1);
}

static void add_merge(pieces *p, const char *m)
{
    const char *gap = strchr(m, ' ');
    char *s = p->text[p->n];
    snprintf(s, LONG, "%.*s%s", (int)(gap - m), m, gap + 1);
    add(p, s, strlen(s), 1);
    p->merge[p->n_merge++] = (wt_str){ m, strlen(m) };
}

static void fixed(pieces *p, const fuzz_vocabulary *v)
{
    static const char *const special[] = { "<|end|>", "<|end", "<tool>", "\xEF\xBD\x9C" }, *const plain[] = { "▁", "t", "h", "e", "i", "n", "a", "r", "1", "2", "é", "字" };
    bool spm = !strcmp(v->model, "llama");
    if (spm) add(p, "<unk>", 5, 2);
    for (int i = 0; i < 4; i++) add(p, special[i], strlen(special[i]), i < 2 ? 3 : 4);
    for (int b = 0; b < 256; b++) add_byte(p, b, spm);
    for (size_t i = 0; spm && i < sizeof plain / sizeof *plain; i++) add(p, plain[i], strlen(plain[i]), 1);
    for (const char *const *m = spm ? sentence : byte_level; *m; m++) add_merge(p, *m);
}

static wt_status write_pieces(wt_ctx *cx, const pieces *p, wt_str model, wt_str pre, unsigned flags, const char *path)
{
    wt_gguf_out *o;
    char name[2][64];
    snprintf(name[0], 64, "%.*s", (int)(model.n < 60 ? model.n : 60), model.s);
    snprintf(name[1], 64, "%.*s", (int)(pre.n < 60 ? pre.n : 60), pre.s);
    WT_TRY(wt_gguf_out_open(cx, path, &o));
    wt_status st = wt_gguf_put_str(o, "tokenizer.ggml.model", name[0]);
    if (st == WITAN_OK) st = wt_gguf_put_str(o, "tokenizer.ggml.pre", name[1]);
    if (st == WITAN_OK) st = wt_gguf_put_strs(o, "tokenizer.ggml.tokens", p->tok, p->n);
    if (st == WITAN_OK && !(flags & 1)) st = wt_gguf_put_i32s(o, "tokenizer.ggml.token_type", p->type, p->n);
    if (st == WITAN_OK && !(flags & 2)) st = wt_gguf_put_strs(o, "tokenizer.ggml.merges", p->merge, p->n_merge);
    if (st == WITAN_OK && !(flags & 4)) st = wt_gguf_put_f32s(o, "tokenizer.ggml.scores", p->score, p->n);
    if (st == WITAN_OK && !(flags & 8)) st = wt_gguf_put_u32(o, "tokenizer.ggml.bos_token_id", 0);
    if (st == WITAN_OK && !(flags & 16)) st = wt_gguf_put_u32(o, "tokenizer.ggml.eos_token_id", (uint32_t)p->n / 2);
    if (st == WITAN_OK && !(flags & 32)) st = wt_gguf_put_u32(o, "tokenizer.ggml.unknown_token_id", 0);
    if (st == WITAN_OK && flags & 64) st = wt_gguf_put_bool(o, "tokenizer.ggml.add_bos_token", true);
    if (st == WITAN_OK && flags & 128) st = wt_gguf_put_bool(o, "tokenizer.ggml.add_space_prefix", false);
    if (st == WITAN_OK) return wt_gguf_out_commit(&o);
    wt_gguf_out_abort(&o);
    return st;
}

wt_status fuzz_vocabulary_write(wt_ctx *cx, const fuzz_vocabulary *v, const char *path)
{
    static pieces p;
    p.n = p.n_merge = 0;
    fixed(&p, v);
    return write_pieces(cx, &p, (wt_str){ v->model, strlen(v->model) }, (wt_str){ v->pre, strlen(v->pre) }, 0, path);
}

/* ---- the described ones ---------------------------------------------------------------------------------------------- */

static bool line(const char *text, size_t n, size_t *at, wt_str *s)
{
    if (*at >= n) return false;
    const char *end = memchr(text + *at, '\n', n - *at);
    *s = (wt_str){ text + *at, end ? (size_t)(end - text) - *at : n - *at };
    *at += s->n + 1;
    return true;
}

wt_status fuzz_vocabulary_describe(wt_ctx *cx, const char *text, size_t n, const char *path)
{
    static pieces p;
    wt_str model = { "", 0 }, pre = { "", 0 }, flags = { "", 0 }, s;
    size_t at = 0;
    p.n = p.n_merge = 0;
    line(text, n, &at, &model);
    line(text, n, &at, &pre);
    line(text, n, &at, &flags);
    while (line(text, n, &at, &s) && s.n) add(&p, s.s + 1, s.n - 1, s.s[0] - '0');
    while (p.n_merge < MOST && line(text, n, &at, &s)) p.merge[p.n_merge++] = s;
    return write_pieces(cx, &p, model, pre, flags.n ? (uint8_t)flags.s[0] - '0' : 0, path);
}
