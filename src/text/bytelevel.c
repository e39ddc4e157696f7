/* What byte-level BPE has of its own in a file. A token is stored as text in which every byte stands as one printable character: itself
 * where it is printable, else U+0100 and up. Merges are pairs of such tokens, by rank. */
#include "text/vocab.h"

#include <string.h>

static bool shown_as_itself(int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; }

void wt_alphabet_init(wt_alphabet *a)
{
    int hidden = 256;
    memset(a->byte, -1, sizeof a->byte);
    for (int b = 0; b < 256; b++) a->byte[shown_as_itself(b) ? b : hidden++] = (int16_t)b;
}

size_t wt_alphabet_bytes(const wt_alphabet *a, wt_str s, char *out)
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

/* ---- merges: tokens are found by the text in which they are stored ---------------------------------------------------- */

typedef struct index { const wt_str *tok; uint32_t *slot; size_t n_slot; } index_;

static uint32_t hash(wt_str s, wt_str t)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.n; i++) h = (h ^ (uint8_t)s.s[i]) * 16777619u;
    for (size_t i = 0; i < t.n; i++) h = (h ^ (uint8_t)t.s[i]) * 16777619u;
    return h ^ h >> 15;
}

/* Slot of the text s followed by t: the token's, or the free one where it would go. */
static uint32_t *find2(const index_ *x, wt_str s, wt_str t)
{
    size_t i = hash(s, t) & (x->n_slot - 1);
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

wt_status wt_vocab_merges(wt_vocab *v, const wt_gguf *g, const wt_str *tok)
{
    wt_str *m;
    size_t n;
    index_ x = { .tok = tok };
    WT_TRY(wt_gguf_strs(v->cx, g, "tokenizer.ggml.merges", true, &m, &n));
    v->n_slot = 8;
    while (v->n_slot < n * 2) v->n_slot *= 2;
    v->merge = wt_alloc(v->cx, v->n_slot, sizeof *v->merge);
    wt_status st = v->merge ? index_all(v->cx, &x, (size_t)v->n) : WT_ENOMEM;
    for (size_t i = 0; st == WITAN_OK && i < n; i++) st = one_merge(v, g, &x, m[i], i);
    wt_free(v->cx, x.slot);
    wt_free(v->cx, m);
    return st;
}
