/* See tiny.h. */
#include "tiny.h"

#include "base/rng.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static wt_status vocabulary(wt_gguf_out *o)
{
    static char text[TINY_VOCAB][16];
    wt_str tok[TINY_VOCAB];
    int32_t type[TINY_VOCAB];
    int hidden = 0;
    strcpy(text[0], "<|end|>");
    for (int b = 0; b < 256; b++) {
        bool shown = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        int c = shown ? b : 256 + hidden++;
        if (c < 128) snprintf(text[b + 1], 16, "%c", c);
        else snprintf(text[b + 1], 16, "%c%c", 0xC0 | c >> 6, 0x80 | (c & 63));
    }
    for (int i = 0; i < TINY_VOCAB; i++) {
        tok[i] = (wt_str){ text[i], strlen(text[i]) };
        type[i] = i ? 1 : 3;
    }
    WT_TRY(wt_gguf_put_str(o, "tokenizer.ggml.model", "gpt2"));
    WT_TRY(wt_gguf_put_str(o, "tokenizer.ggml.pre", "gpt-2"));
    WT_TRY(wt_gguf_put_strs(o, "tokenizer.ggml.tokens", tok, TINY_VOCAB));
    WT_TRY(wt_gguf_put_i32s(o, "tokenizer.ggml.token_type", type, TINY_VOCAB));
    WT_TRY(wt_gguf_put_strs(o, "tokenizer.ggml.merges", tok, 0));
    WT_TRY(wt_gguf_put_u32(o, "tokenizer.ggml.bos_token_id", 0));
    WT_TRY(wt_gguf_put_u32(o, "tokenizer.ggml.eos_token_id", 0));
    return wt_gguf_put_bool(o, "tokenizer.ggml.add_bos_token", true);
}

static wt_status keys(wt_gguf_out *o)
{
    WT_TRY(wt_gguf_put_str(o, "general.architecture", "olmoe"));
    WT_TRY(wt_gguf_put_str(o, "general.name", "tiny"));
    WT_TRY(wt_gguf_put_u32(o, "olmoe.block_count", TINY_LAYERS));
    WT_TRY(wt_gguf_put_u32(o, "olmoe.embedding_length", TINY_WIDTH));
    WT_TRY(wt_gguf_put_u32(o, "olmoe.context_length", 128));
    WT_TRY(wt_gguf_put_u32(o, "olmoe.feed_forward_length", TINY_FF));
    WT_TRY(wt_gguf_put_u32(o, "olmoe.attention.head_count", 2));
    WT_TRY(wt_gguf_put_u32(o, "olmoe.attention.head_count_kv", 2));
    WT_TRY(wt_gguf_put_f32(o, "olmoe.attention.layer_norm_rms_epsilon", 1e-5f));
    WT_TRY(wt_gguf_put_f32(o, "olmoe.rope.freq_base", 10000));
    WT_TRY(wt_gguf_put_u32(o, "olmoe.expert_count", TINY_EXPERTS));
    WT_TRY(wt_gguf_put_u32(o, "olmoe.expert_used_count", TINY_USED));
    return vocabulary(o);
}

typedef struct item { char name[64]; wt_type type; int32_t n_dim; int64_t shape[3]; } item;

static int list(item *it, wt_type expert)
{
    int n = 0;
    it[n++] = (item){ "token_embd.weight", WT_F32, 2, { TINY_VOCAB, TINY_WIDTH } };
    it[n++] = (item){ "output_norm.weight", WT_F32, 1, { TINY_WIDTH } };
    it[n++] = (item){ "output.weight", WT_F16, 2, { TINY_VOCAB, TINY_WIDTH } };
    for (int l = 0; l < TINY_LAYERS; l++) {
        static const struct { const char *part; int32_t n_dim; int64_t shape[3]; } layer[] = {
            { "attn_norm.weight", 1, { TINY_WIDTH } }, { "attn_q.weight", 2, { TINY_WIDTH, TINY_WIDTH } },
            { "attn_k.weight", 2, { TINY_WIDTH, TINY_WIDTH } }, { "attn_v.weight", 2, { TINY_WIDTH, TINY_WIDTH } },
            { "attn_output.weight", 2, { TINY_WIDTH, TINY_WIDTH } }, { "attn_q_norm.weight", 1, { TINY_WIDTH } },
            { "attn_k_norm.weight", 1, { TINY_WIDTH } }, { "ffn_norm.weight", 1, { TINY_WIDTH } },
            { "ffn_gate_inp.weight", 2, { TINY_EXPERTS, TINY_WIDTH } }, { "ffn_gate_exps.weight", 3, { TINY_EXPERTS, TINY_FF, TINY_WIDTH } },
            { "ffn_up_exps.weight", 3, { TINY_EXPERTS, TINY_FF, TINY_WIDTH } }, { "ffn_down_exps.weight", 3, { TINY_EXPERTS, TINY_WIDTH, TINY_FF } } };
        for (size_t i = 0; i < sizeof layer / sizeof *layer; i++, n++) {
            snprintf(it[n].name, sizeof it[n].name, "blk.%d.%s", l, layer[i].part);
            it[n].type = layer[i].n_dim == 3 ? expert : WT_F32;
            it[n].n_dim = layer[i].n_dim;
            memcpy(it[n].shape, layer[i].shape, sizeof it[n].shape);
        }
    }
    return n;
}

static wt_status data(wt_gguf_out *o, const item *it, wt_rng *rng)
{
    size_t n = 1, bytes;
    for (int32_t i = 0; i < it->n_dim; i++) n *= (size_t)it->shape[i];
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = it->n_dim == 1 ? 1 : wt_rng_float(rng) - 0.5f;
    wt_row_bytes(it->type, n, &bytes);
    void *packed = malloc(bytes);
    wt_type_get(it->type)->pack(packed, x, n);
    wt_status st = wt_gguf_write(o, packed, bytes);
    free(x);
    free(packed);
    return st;
}

wt_status tiny_write(wt_ctx *cx, const char *path, wt_type expert_type, uint64_t seed)
{
    wt_gguf_out *o;
    item it[3 + 12 * TINY_LAYERS];
    wt_rng rng;
    int n = list(it, expert_type);
    wt_rng_seed(&rng, seed, 0);
    WT_TRY(wt_gguf_out_open(cx, path, &o));
    wt_status st = keys(o);
    for (int i = 0; st == WITAN_OK && i < n; i++) st = wt_gguf_add_tensor(o, it[i].name, it[i].type, it[i].n_dim, it[i].shape);
    for (int i = 0; st == WITAN_OK && i < n; i++) st = data(o, it + i, &rng);
    if (st == WITAN_OK) return wt_gguf_out_commit(&o);
    wt_gguf_out_abort(&o);
    return st;
}

void tiny_demos(const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) abort();
    fputs("{\"domain\":\"a\",\"text\":\"one two three four\"}\n{\"domain\":\"a\",\"prompt\":\"two plus two is\",\"answer\":\" four\"}\n\n"
          "{\"domain\":\"a\",\"text\":\"bread and butter\"}\n{\"domain\":\"b\",\"prompt\":\"x = 3; print(x)\",\"answer\":\" 3\"}\n", f);
    fclose(f);
}
