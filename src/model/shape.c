/* Keys and tensors of a model that is yet to be written. */
#include "model/shape.h"

#include <stdio.h>
#include <string.h>

/* ---- keys ------------------------------------------------------------------------------------------------------------ */

typedef struct keys { wt_gguf_out *out; const char *arch; } keys;

static wt_status key(const keys *k, const char *suffix, int32_t v)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", k->arch, suffix);
    return wt_gguf_put_u32(k->out, name, (uint32_t)v);
}

static wt_status real_key(const keys *k, const char *suffix, float v)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", k->arch, suffix);
    return wt_gguf_put_f32(k->out, name, v);
}

wt_status wt_shape_keys(wt_gguf_out *out, const wt_dims *d, const char *name, int32_t file_type)
{
    const keys k = { out, d->arch };
    WT_TRY(wt_gguf_put_str(out, "general.architecture", d->arch));
    WT_TRY(wt_gguf_put_str(out, "general.name", name));
    if (file_type >= 0) WT_TRY(wt_gguf_put_u32(out, "general.file_type", (uint32_t)file_type));
    WT_TRY(wt_gguf_put_u32(out, "general.quantization_version", 2));
    WT_TRY(key(&k, "block_count", d->n_layer));
    WT_TRY(key(&k, "context_length", d->n_ctx));
    WT_TRY(key(&k, "embedding_length", d->d_model));
    WT_TRY(key(&k, "feed_forward_length", d->d_ff ? d->d_ff : d->d_ff_exp));
    WT_TRY(key(&k, "attention.head_count", d->n_head));
    WT_TRY(key(&k, "attention.head_count_kv", d->n_head_kv));
    WT_TRY(key(&k, "attention.key_length", d->d_head));
    WT_TRY(key(&k, "attention.value_length", d->d_head));
    WT_TRY(real_key(&k, "attention.layer_norm_rms_epsilon", d->eps));
    WT_TRY(real_key(&k, "rope.freq_base", d->rope_base));
    WT_TRY(key(&k, "rope.dimension_count", d->d_head));
    if (d->n_exp) {
        WT_TRY(key(&k, "expert_count", d->n_exp));
        WT_TRY(key(&k, "expert_used_count", d->n_used));
        WT_TRY(key(&k, "expert_feed_forward_length", d->d_ff_exp));
    }
    return d->d_ff_shared ? key(&k, "expert_shared_feed_forward_length", d->d_ff_shared) : WITAN_OK;
}

/* ---- vocabulary ------------------------------------------------------------------------------------------------------ */

enum { SLOT = 24 };              /* bytes of a token's text */

wt_status wt_shape_vocabulary(wt_ctx *cx, wt_gguf_out *out, int32_t n_vocab, const char *pre)
{
    size_t n = (size_t)n_vocab, hidden = 0;
    char *text = wt_alloc(cx, n, SLOT);
    wt_str *tok = wt_alloc(cx, n, sizeof *tok);
    int32_t *type = wt_alloc(cx, n, sizeof *type);
    wt_status st = text && tok && type ? WITAN_OK : WT_ENOMEM;
    for (size_t i = 0; st == WITAN_OK && i < n; i++) {
        char *s = text + SLOT * i;
        unsigned b = (unsigned)i - 1;
        bool shown = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
        unsigned c = i && i <= 256 ? shown ? b : 256 + (unsigned)hidden++ : 0;
        if (!i) strcpy(s, "<|endoftext|>");
        else if (i > 256) snprintf(s, SLOT, "<unused%d>", (int)(i - 257));
        else if (c < 128) snprintf(s, SLOT, "%c", (char)c);
        else snprintf(s, SLOT, "%c%c", (char)(0xC0 | c >> 6), (char)(0x80 | (c & 63)));
        tok[i] = (wt_str){ s, strlen(s) };
        type[i] = !i ? 3 : i > 256 ? 5 : 1;
    }
    if (st == WITAN_OK) st = wt_gguf_put_str(out, "tokenizer.ggml.model", "gpt2");
    if (st == WITAN_OK) st = wt_gguf_put_str(out, "tokenizer.ggml.pre", pre);
    if (st == WITAN_OK) st = wt_gguf_put_strs(out, "tokenizer.ggml.tokens", tok, n);
    if (st == WITAN_OK) st = wt_gguf_put_i32s(out, "tokenizer.ggml.token_type", type, n);
    if (st == WITAN_OK) st = wt_gguf_put_strs(out, "tokenizer.ggml.merges", tok, 0);
    if (st == WITAN_OK) st = wt_gguf_put_u32(out, "tokenizer.ggml.bos_token_id", 0);
    if (st == WITAN_OK) st = wt_gguf_put_u32(out, "tokenizer.ggml.eos_token_id", 0);
    if (st == WITAN_OK) st = wt_gguf_put_bool(out, "tokenizer.ggml.add_bos_token", false);
    wt_free(cx, text);
    wt_free(cx, tok);
    wt_free(cx, type);
    return st;
}

/* ---- tensors --------------------------------------------------------------------------------------------------------- */

typedef struct walk { const wt_dims *d; wt_shape_fn see; void *arg; } walk;

/* A zero ends the shape. */
static wt_status tensor(const walk *w, int32_t layer, const char *part, int64_t a, int64_t b, int64_t c)
{
    char name[64];
    int64_t shape[3] = { a, b, c };
    if (layer < 0) snprintf(name, sizeof name, "%s", part); else snprintf(name, sizeof name, "blk.%d.%s", layer, part);
    return w->see(w->arg, name, c ? 3 : b ? 2 : 1, shape);
}

static wt_status feed_forward(const walk *w, int32_t i, const char *suffix, int64_t n_exp, int64_t ff)
{
    char name[48];
    int64_t d = w->d->d_model;
    static const char *const part[] = { "ffn_gate", "ffn_up", "ffn_down" };
    for (int k = 0; k < 3; k++) {
        int64_t rows = k < 2 ? ff : d, cols = k < 2 ? d : ff;
        snprintf(name, sizeof name, "%s%s.weight", part[k], suffix);
        WT_TRY(n_exp ? tensor(w, i, name, n_exp, rows, cols) : tensor(w, i, name, rows, cols, 0));
    }
    return WITAN_OK;
}

static wt_status layer(const walk *w, int32_t i)
{
    const wt_dims *d = w->d;
    int64_t width = d->d_model, q = (int64_t)d->n_head * d->d_head, kv = (int64_t)d->n_head_kv * d->d_head;
    WT_TRY(tensor(w, i, "attn_norm.weight", width, 0, 0));
    WT_TRY(tensor(w, i, "attn_q.weight", q, width, 0));
    WT_TRY(tensor(w, i, "attn_k.weight", kv, width, 0));
    WT_TRY(tensor(w, i, "attn_v.weight", kv, width, 0));
    WT_TRY(tensor(w, i, "attn_output.weight", width, q, 0));
    if (d->bias) {
        WT_TRY(tensor(w, i, "attn_q.bias", q, 0, 0));
        WT_TRY(tensor(w, i, "attn_k.bias", kv, 0, 0));
        WT_TRY(tensor(w, i, "attn_v.bias", kv, 0, 0));
    }
    if (d->qk_full || d->qk_head) {
        WT_TRY(tensor(w, i, "attn_q_norm.weight", d->qk_full ? q : d->d_head, 0, 0));
        WT_TRY(tensor(w, i, "attn_k_norm.weight", d->qk_full ? kv : d->d_head, 0, 0));
    }
    WT_TRY(tensor(w, i, "ffn_norm.weight", width, 0, 0));
    if (!d->n_exp) return feed_forward(w, i, "", 0, d->d_ff);
    WT_TRY(tensor(w, i, "ffn_gate_inp.weight", d->n_exp, width, 0));
    WT_TRY(feed_forward(w, i, "_exps", d->n_exp, d->d_ff_exp));
    if (!d->d_ff_shared) return WITAN_OK;
    WT_TRY(tensor(w, i, "ffn_gate_inp_shexp.weight", width, 0, 0));
    return feed_forward(w, i, "_shexp", 0, d->d_ff_shared);
}

wt_status wt_shape_walk(const wt_dims *d, wt_shape_fn see, void *arg)
{
    const walk w = { d, see, arg };
    WT_TRY(tensor(&w, -1, "token_embd.weight", d->n_vocab, d->d_model, 0));
    WT_TRY(tensor(&w, -1, "output_norm.weight", d->d_model, 0, 0));
    if (!d->tied) WT_TRY(tensor(&w, -1, "output.weight", d->n_vocab, d->d_model, 0));
    for (int32_t i = 0; i < d->n_layer; i++) WT_TRY(layer(&w, i));
    return WITAN_OK;
}
