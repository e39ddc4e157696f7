/* See mini.h. */
#include "mini.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 8 };

const mini minis[] = {
    { "olmoe", "olmoe", NULL, MINI_STACKED, .norm_full = true, .width = WIDTH },
    { "qwen3moe", "qwen3moe", "yarn", MINI_STACKED, .norm_head = true, .width = WIDTH, .type = WT_F16 },
    { "qwen3moe-joined", "qwen3moe", NULL, MINI_JOINED, .norm_head = true, .width = WIDTH, .type = WT_BF16 },
    { "qwen2moe", "qwen2moe", NULL, MINI_STACKED, .bias = true, .shared = true, .width = WIDTH },
    { "mixtral", "llama", "linear", MINI_STACKED, .width = WIDTH },
    { "mixtral-2023", "llama", NULL, MINI_SEPARATE, .width = WIDTH },
    { "llama", "llama", NULL, MINI_DENSE, .tied = true, .width = WIDTH },
    { "qwen2", "qwen2", NULL, MINI_DENSE, .bias = true, .width = WIDTH },
    { "qwen3", "qwen3", NULL, MINI_DENSE, .norm_head = true, .tied = true, .width = WIDTH },
    { "olmoe-q4_0", "olmoe", NULL, MINI_STACKED, .norm_full = true, .width = 32, .type = WT_Q4_0 },
    { "olmoe-q8_0", "olmoe", NULL, MINI_JOINED, .norm_full = true, .width = 32, .type = WT_Q8_0 },
    { "olmoe-mxfp4", "olmoe", NULL, MINI_STACKED, .norm_full = true, .width = 32, .type = WT_MXFP4 },
    { "olmoe-q4_0_x8", "olmoe", NULL, MINI_STACKED, .norm_full = true, .width = 32, .type = WT_Q4_0_X8 },
    { "qwen3moe-q8_0_x8", "qwen3moe", NULL, MINI_JOINED, .norm_head = true, .width = 32, .type = WT_Q8_0_X8 },
    { 0 }
};

/* Walked twice: tensors are described, then filled. After a failure nothing more is done. */
typedef struct walk { wt_gguf_out *o; const mini *m; bool fill; int layer; wt_status st; } walk;

static void u32(walk *w, const char *suffix, uint32_t v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", w->m->arch, suffix);
    if (w->st == WITAN_OK) w->st = wt_gguf_put_u32(w->o, key, v);
}

static void f32(walk *w, const char *suffix, float v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", w->m->arch, suffix);
    if (w->st == WITAN_OK) w->st = wt_gguf_put_f32(w->o, key, v);
}

wt_status mini_vocabulary(wt_gguf_out *o)
{
    static const wt_str tok[MINI_VOCAB] = { { "<|end|>", 7 }, { "a", 1 }, { "b", 1 }, { "\xC4\xA0", 2 }, { "ab", 2 }, { "aba", 3 }, { "\xC4\x8A", 2 }, { "\xC4\xA0" "a", 3 } };
    static const wt_str merge[] = { { "a b", 3 }, { "ab a", 4 }, { "\xC4\xA0 a", 4 } };
    static const int32_t type[MINI_VOCAB] = { 3, 1, 1, 1, 1, 1, 1, 1 };
    WT_TRY(wt_gguf_put_str(o, "tokenizer.ggml.model", "gpt2"));
    WT_TRY(wt_gguf_put_str(o, "tokenizer.ggml.pre", "gpt-2"));
    WT_TRY(wt_gguf_put_strs(o, "tokenizer.ggml.tokens", tok, MINI_VOCAB));
    WT_TRY(wt_gguf_put_i32s(o, "tokenizer.ggml.token_type", type, MINI_VOCAB));
    WT_TRY(wt_gguf_put_strs(o, "tokenizer.ggml.merges", merge, 3));
    WT_TRY(wt_gguf_put_u32(o, "tokenizer.ggml.bos_token_id", 0));
    WT_TRY(wt_gguf_put_u32(o, "tokenizer.ggml.eos_token_id", 0));
    return wt_gguf_put_bool(o, "tokenizer.ggml.add_bos_token", true);
}

static void keys(walk *w)
{
    const mini *m = w->m;
    char key[96];
    w->st = wt_gguf_put_str(w->o, "general.architecture", m->arch);
    if (w->st == WITAN_OK) w->st = wt_gguf_put_str(w->o, "general.name", m->name);
    u32(w, "block_count", MINI_LAYERS);
    u32(w, "embedding_length", (uint32_t)m->width);
    u32(w, "context_length", 16);
    u32(w, "attention.head_count", 2);
    u32(w, "attention.head_count_kv", 1);
    f32(w, "attention.layer_norm_rms_epsilon", 1e-5f);
    f32(w, "rope.freq_base", 10000);
    if (m->layout != MINI_DENSE) {
        u32(w, "expert_count", MINI_EXPERTS);
        u32(w, "expert_used_count", 1);
    }
    if (m->scaling) {
        snprintf(key, sizeof key, "%s.rope.scaling.type", m->arch);
        if (w->st == WITAN_OK) w->st = wt_gguf_put_str(w->o, key, m->scaling);
        f32(w, "rope.scaling.factor", 4);
        u32(w, "rope.scaling.original_context_length", 8);
    }
    if (w->st == WITAN_OK) w->st = mini_vocabulary(w->o);
}

static wt_status fill(walk *w, wt_type type, int32_t n_dim, size_t n)
{
    size_t bytes;
    float *x = calloc(n, sizeof *x);
    if (!x || !wt_row_bytes(type, n, &bytes)) abort();
    void *packed = calloc(bytes, 1);
    if (!packed) abort();
    for (size_t i = 0; i < n; i++) x[i] = n_dim == 1 ? 1 : (float)(int)(i * 7 % 17 - 8) / 16;
    if (wt_type_get(type)->pack) wt_type_get(type)->pack(packed, x, n);   /* others: zeros */
    wt_status st = wt_gguf_write(w->o, packed, bytes);
    free(x);
    free(packed);
    return st;
}

static void tensor(walk *w, const char *part, int64_t a, int64_t b, int64_t c)
{
    char name[96];
    int64_t shape[3] = { a, b, c };
    int32_t n_dim = c ? 3 : b ? 2 : 1;
    wt_type type = n_dim == 1 ? WT_F32 : w->m->type;
    if (w->st != WITAN_OK) return;
    if (wt_type_get(type)->group && ((c ? b : a) % WT_GROUP || w->layer < 0)) type = wt_type_get(type)->base;
    if ((c ? c : b) % wt_type_get(type)->block) type = WT_F16;
    if (w->layer < 0) snprintf(name, sizeof name, "%s", part);
    else snprintf(name, sizeof name, "blk.%d.%s", w->layer, part);
    if (w->fill) w->st = fill(w, type, n_dim, (size_t)(a * (b ? b : 1) * (c ? c : 1)));
    else w->st = wt_gguf_add_tensor(w->o, name, type, n_dim, shape);
}

static void one_by_one(walk *w, int64_t ff, int64_t d)
{
    static const char *const part[] = { "gate", "up", "down" };
    char name[64];
    for (int e = 0; e < MINI_EXPERTS; e++)
        for (int i = 0; i < 3; i++) {
            snprintf(name, sizeof name, "ffn_%s.%d.weight", part[i], e);
            tensor(w, name, i < 2 ? ff : d, i < 2 ? d : ff, 0);
        }
}

static void feed_forward(walk *w)
{
    const mini *m = w->m;
    int64_t d = m->width, ff = m->width / 2;
    if (m->layout == MINI_DENSE) {
        tensor(w, "ffn_gate.weight", ff, d, 0);
        tensor(w, "ffn_up.weight", ff, d, 0);
        tensor(w, "ffn_down.weight", d, ff, 0);
        return;
    }
    tensor(w, "ffn_gate_inp.weight", MINI_EXPERTS, d, 0);
    if (m->layout == MINI_SEPARATE) one_by_one(w, ff, d);
    if (m->layout == MINI_JOINED) tensor(w, "ffn_gate_up_exps.weight", MINI_EXPERTS, 2 * ff, d);
    if (m->layout == MINI_STACKED) {
        tensor(w, "ffn_gate_exps.weight", MINI_EXPERTS, ff, d);
        tensor(w, "ffn_up_exps.weight", MINI_EXPERTS, ff, d);
    }
    if (m->layout != MINI_SEPARATE) tensor(w, "ffn_down_exps.weight", MINI_EXPERTS, d, ff);
    if (!m->shared) return;
    tensor(w, "ffn_gate_shexp.weight", ff, d, 0);
    tensor(w, "ffn_up_shexp.weight", ff, d, 0);
    tensor(w, "ffn_down_shexp.weight", d, ff, 0);
    tensor(w, "ffn_gate_inp_shexp.weight", d, 0, 0);
}

static void attention(walk *w)
{
    const mini *m = w->m;
    int64_t d = m->width, kv = d / 2;
    tensor(w, "attn_norm.weight", d, 0, 0);
    tensor(w, "attn_q.weight", d, d, 0);
    tensor(w, "attn_k.weight", kv, d, 0);
    tensor(w, "attn_v.weight", kv, d, 0);
    tensor(w, "attn_output.weight", d, d, 0);
    if (m->bias) {
        tensor(w, "attn_q.bias", d, 0, 0);
        tensor(w, "attn_k.bias", kv, 0, 0);
        tensor(w, "attn_v.bias", kv, 0, 0);
    }
    if (m->norm_full || m->norm_head) {
        tensor(w, "attn_q_norm.weight", m->norm_full ? d : d / 2, 0, 0);
        tensor(w, "attn_k_norm.weight", m->norm_full ? kv : d / 2, 0, 0);
    }
}

static void tensors(walk *w)
{
    int64_t d = w->m->width;
    w->layer = -1;
    tensor(w, "token_embd.weight", MINI_VOCAB, d, 0);
    tensor(w, "output_norm.weight", d, 0, 0);
    if (!w->m->tied) tensor(w, "output.weight", MINI_VOCAB, d, 0);
    for (w->layer = 0; w->layer < MINI_LAYERS; w->layer++) {
        attention(w);
        tensor(w, "ffn_norm.weight", d, 0, 0);
        feed_forward(w);
    }
}

wt_status mini_write(wt_ctx *cx, const mini *m, const char *path, uint64_t split, char **first)
{
    walk w = { .m = m };
    char *name = NULL;
    size_t n;
    WT_TRY(wt_gguf_out_open(cx, path, &w.o));
    keys(&w);
    tensors(&w);
    if (split) wt_gguf_out_split(w.o, split);
    if (w.st == WITAN_OK) w.st = wt_gguf_out_parts(w.o, &n, &name);
    w.fill = true;
    tensors(&w);
    if (w.st == WITAN_OK) w.st = wt_gguf_out_commit(&w.o); else wt_gguf_out_abort(&w.o);
    if (w.st == WITAN_OK && first) *first = name; else wt_free(cx, name);
    return w.st;
}
