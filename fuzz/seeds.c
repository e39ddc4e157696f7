/* Writes the inputs that fuzzing begins with: a folder for each target, of files of a few hundred bytes to a few KB.
 *     seeds FOLDER */
#include "vocabulary.h"

#include "base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 8, FF = 4, EXPERTS = 2, LAYERS = 2, VOCAB = 8 };

static const char *root;
static wt_ctx *cx;

static void must(wt_status st)
{
    if (st == WITAN_OK) return;
    fprintf(stderr, "seeds: %s\n", witan_error(cx));
    exit(1);
}

static char *place(const char *target, const char *name)
{
    static char path[4][1024];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", root, target);
    must(wt_folder_make(cx, p));
    snprintf(p, sizeof path[0], "%s/%s/%s", root, target, name);
    return p;
}

static void put(const char *target, const char *name, const char *s, size_t n) { must(wt_file_write(cx, place(target, name), s, n)); }

/* ---- tiny models of every family ------------------------------------------------------------------------------------- */

typedef enum layout { STACKED, JOINED, SEPARATE, DENSE } layout;
typedef struct mini { const char *name, *arch, *scaling; layout layout; bool norm_full, norm_head, bias, shared, tied; int32_t width; wt_type type; } mini;

static const mini minis[] = {
    { "olmoe", "olmoe", NULL, STACKED, .norm_full = true, .width = WIDTH },
    { "qwen3moe", "qwen3moe", "yarn", STACKED, .norm_head = true, .width = WIDTH, .type = WT_F16 },
    { "qwen3moe-joined", "qwen3moe", NULL, JOINED, .norm_head = true, .width = WIDTH, .type = WT_BF16 },
    { "qwen2moe", "qwen2moe", NULL, STACKED, .bias = true, .shared = true, .width = WIDTH },
    { "mixtral", "llama", "linear", STACKED, .width = WIDTH },
    { "mixtral-2023", "llama", NULL, SEPARATE, .width = WIDTH },
    { "llama", "llama", NULL, DENSE, .tied = true, .width = WIDTH },
    { "qwen2", "qwen2", NULL, DENSE, .bias = true, .width = WIDTH },
    { "qwen3", "qwen3", NULL, DENSE, .norm_head = true, .tied = true, .width = WIDTH },
    { "olmoe-q4_0", "olmoe", NULL, STACKED, .norm_full = true, .width = 32, .type = WT_Q4_0 },
    { "olmoe-q8_0", "olmoe", NULL, JOINED, .norm_full = true, .width = 32, .type = WT_Q8_0 },
    { "olmoe-mxfp4", "olmoe", NULL, STACKED, .norm_full = true, .width = 32, .type = WT_MXFP4 },
};

static void u32(wt_gguf_out *o, const mini *m, const char *suffix, uint32_t v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", m->arch, suffix);
    must(wt_gguf_put_u32(o, key, v));
}

static void f32(wt_gguf_out *o, const mini *m, const char *suffix, float v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", m->arch, suffix);
    must(wt_gguf_put_f32(o, key, v));
}

static void vocabulary(wt_gguf_out *o)
{
    static const wt_str tok[VOCAB] = { { "<|end|>", 7 }, { "a", 1 }, { "b", 1 }, { "\xC4\xA0", 2 }, { "ab", 2 }, { "aba", 3 }, { "\xC4\x8A", 2 }, { "\xC4\xA0" "a", 3 } };
    static const wt_str merge[] = { { "a b", 3 }, { "ab a", 4 }, { "\xC4\xA0 a", 4 } };
    static const int32_t type[VOCAB] = { 3, 1, 1, 1, 1, 1, 1, 1 };
    must(wt_gguf_put_str(o, "tokenizer.ggml.model", "gpt2"));
    must(wt_gguf_put_str(o, "tokenizer.ggml.pre", "gpt-2"));
    must(wt_gguf_put_strs(o, "tokenizer.ggml.tokens", tok, VOCAB));
    must(wt_gguf_put_i32s(o, "tokenizer.ggml.token_type", type, VOCAB));
    must(wt_gguf_put_strs(o, "tokenizer.ggml.merges", merge, 3));
    must(wt_gguf_put_u32(o, "tokenizer.ggml.bos_token_id", 0));
    must(wt_gguf_put_u32(o, "tokenizer.ggml.eos_token_id", 0));
    must(wt_gguf_put_bool(o, "tokenizer.ggml.add_bos_token", true));
}

static void keys(wt_gguf_out *o, const mini *m)
{
    char key[96];
    must(wt_gguf_put_str(o, "general.architecture", m->arch));
    must(wt_gguf_put_str(o, "general.name", m->name));
    u32(o, m, "block_count", LAYERS);
    u32(o, m, "embedding_length", (uint32_t)m->width);
    u32(o, m, "context_length", 16);
    u32(o, m, "attention.head_count", 2);
    u32(o, m, "attention.head_count_kv", 1);
    f32(o, m, "attention.layer_norm_rms_epsilon", 1e-5f);
    f32(o, m, "rope.freq_base", 10000);
    if (m->layout != DENSE) {
        u32(o, m, "expert_count", EXPERTS);
        u32(o, m, "expert_used_count", 1);
    }
    if (m->scaling) {
        snprintf(key, sizeof key, "%s.rope.scaling.type", m->arch);
        must(wt_gguf_put_str(o, key, m->scaling));
        f32(o, m, "rope.scaling.factor", 4);
        u32(o, m, "rope.scaling.original_context_length", 8);
    }
    vocabulary(o);
}

/* Described on the first walk, filled on the second. */
typedef struct walk { wt_gguf_out *o; const mini *m; bool fill; int layer; } walk;

static void tensor(walk *w, const char *part, int64_t a, int64_t b, int64_t c)
{
    char name[96];
    int64_t shape[3] = { a, b, c };
    int32_t n_dim = c ? 3 : b ? 2 : 1;
    wt_type type = n_dim == 1 ? WT_F32 : w->m->type;
    size_t n = (size_t)(a * (b ? b : 1) * (c ? c : 1)), bytes;
    uint32_t block = wt_type_get(type)->block;
    if ((c ? c : b) % block) type = WT_F16;
    if (w->layer < 0) snprintf(name, sizeof name, "%s", part);
    else snprintf(name, sizeof name, "blk.%d.%s", w->layer, part);
    if (!w->fill) { must(wt_gguf_add_tensor(w->o, name, type, n_dim, shape)); return; }
    float *x = calloc(n, sizeof *x);
    if (!x || !wt_row_bytes(type, n, &bytes)) abort();
    for (size_t i = 0; i < n; i++) x[i] = n_dim == 1 ? 1 : (float)(int)(i * 7 % 17 - 8) / 16;
    void *packed = calloc(bytes, 1);
    if (!packed) abort();
    if (wt_type_get(type)->pack) wt_type_get(type)->pack(packed, x, n);   /* else zeros */
    must(wt_gguf_write(w->o, packed, bytes));
    free(x);
    free(packed);
}

static void feed_forward(walk *w)
{
    const mini *m = w->m;
    char name[64];
    int64_t d = m->width, ff = m->width / 2;
    if (m->layout == DENSE) {
        tensor(w, "ffn_gate.weight", ff, d, 0);
        tensor(w, "ffn_up.weight", ff, d, 0);
        tensor(w, "ffn_down.weight", d, ff, 0);
        return;
    }
    tensor(w, "ffn_gate_inp.weight", EXPERTS, d, 0);
    for (int e = 0; m->layout == SEPARATE && e < EXPERTS; e++)
        for (int i = 0; i < 3; i++) {
            snprintf(name, sizeof name, "ffn_%s.%d.weight", i == 0 ? "gate" : i == 1 ? "up" : "down", e);
            if (i < 2) tensor(w, name, ff, d, 0); else tensor(w, name, d, ff, 0);
        }
    if (m->layout == JOINED) tensor(w, "ffn_gate_up_exps.weight", EXPERTS, 2 * ff, d);
    if (m->layout == STACKED) {
        tensor(w, "ffn_gate_exps.weight", EXPERTS, ff, d);
        tensor(w, "ffn_up_exps.weight", EXPERTS, ff, d);
    }
    if (m->layout != SEPARATE) tensor(w, "ffn_down_exps.weight", EXPERTS, d, ff);
    if (!m->shared) return;
    tensor(w, "ffn_gate_shexp.weight", ff, d, 0);
    tensor(w, "ffn_up_shexp.weight", ff, d, 0);
    tensor(w, "ffn_down_shexp.weight", d, ff, 0);
    tensor(w, "ffn_gate_inp_shexp.weight", d, 0, 0);
}

static void tensors(walk *w)
{
    const mini *m = w->m;
    int64_t d = m->width, kv = d / 2;
    w->layer = -1;
    tensor(w, "token_embd.weight", VOCAB, d, 0);
    tensor(w, "output_norm.weight", d, 0, 0);
    if (!m->tied) tensor(w, "output.weight", VOCAB, d, 0);
    for (w->layer = 0; w->layer < LAYERS; w->layer++) {
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
        tensor(w, "ffn_norm.weight", d, 0, 0);
        feed_forward(w);
    }
}

static void model(const mini *m, const char *path, uint64_t split)
{
    walk w = { .m = m };
    witan_model *opened;
    char *first;
    size_t n;
    must(wt_gguf_out_open(cx, path, &w.o));
    keys(w.o, m);
    tensors(&w);
    if (split) wt_gguf_out_split(w.o, split);
    must(wt_gguf_out_parts(w.o, &n, &first));
    w.fill = true;
    tensors(&w);
    must(wt_gguf_out_commit(&w.o));
    must(witan_model_open(cx, first, NULL, &opened));       /* a seed that does not open would be a poor one */
    witan_model_free(opened);
    witan_free(cx, first);
}

/* Two files one behind the other, as the target gguf takes them. */
static void split_model(void)
{
    char *part[2] = { place("gguf", "x-00001-of-00002.gguf"), place("gguf", "x-00002-of-00002.gguf") }, *data[2], *both;
    size_t n[2];
    model(minis, place("gguf", "x.gguf"), 2700);
    for (int i = 0; i < 2; i++) must(wt_file_read(cx, part[i], 1 << 20, data + i, n + i));
    both = malloc(n[0] + n[1]);
    if (!both) abort();
    memcpy(both, data[0], n[0]);
    memcpy(both + n[0], data[1], n[1]);
    put("gguf", "split", both, n[0] + n[1]);
    free(both);
    for (int i = 0; i < 2; i++) { witan_free(cx, data[i]); remove(part[i]); }
}

/* ---- everything else ------------------------------------------------------------------------------------------------- */

static const char documents[] =
    "{\"domain\":\"a\",\"text\":\"ab ab aba\"}\n{\"domain\":\"b\",\"prompt\":\"a b\",\"answer\":\" ab\"}\n\n{\"text\":\"b\\u00e9\\n\",\"domain\":null}\n{\"domain\":\"a\",\"text\":\"\"}\n";

/* The calibration record of a tiny model, and a plan made from it. */
static void record_and_plan(void)
{
    witan_model *m;
    witan_record *r;
    witan_plan *p;
    static const char plain[] = "{\"domain\":\"a\",\"text\":\"ab ab aba\"}\n{\"domain\":\"b\",\"prompt\":\"a b\",\"answer\":\" ab\"}\n";
    put("docs", "documents", documents, strlen(documents));
    put("docs", "plain", plain, strlen(plain));
    must(witan_model_open(cx, place("gguf", "olmoe"), NULL, &m));
    must(witan_profile(cx, m, &(witan_profile_options){ .data = place("docs", "plain") }, &r));
    must(witan_record_save(cx, r, place("record", "record")));
    must(witan_plan_make(cx, m, r, &(witan_plan_options){ .score = "freq", .keep = 0.5 }, &p));
    must(witan_plan_save(cx, p, place("plan", "plan")));
    witan_plan_free(p);
    witan_record_free(r);
    witan_model_free(m);
}

static void texts(void)
{
    static const char *const text[] = {
        "the the then in aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1234567", "it's we'll THEY'RE I'm 's 'S don't", "a  b   c\n\n d\t\te \r\n f  \n ",
        "caf\xC3\xA9 \xE5\xAD\x97 \xF0\x9F\x98\x80 e\xCC\x81 \xD9\x85\xC2\xA0x", "<|end|> a<|end<tool>b\xEF\xBD\x9C", "\xFF\xFE\xC3 \xE5\xAD\x80\xED\xA0\x80\xF4\x90\x80\x80", "x=3; print(x) /* \xE2\x96\x81 */" };
    char name[32], buf[200];
    for (size_t v = 0; v < fuzz_vocabulary_count(); v++)
        for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
            snprintf(name, sizeof name, "%zu-%zu", v, i);
            int n = snprintf(buf, sizeof buf, "%c%c%s", (int)v, i % 2 ? 6 : 0, text[i]);
            put("text", name, buf, (size_t)n);
        }
}

static void vocabularies(void)
{
    static const char *const described[] = {
        "gpt2\ngpt-2\n@\n3<|end|>\n1a\n1b\n1ab\n1\xC4\xA0\n1\xC4\xA0" "ab\n4<tool>\n\na b\n\xC4\xA0 ab\n",
        "gpt2\nllama-bpe\n0\n3<s>\n1a\n1b\n1c\n1ab\n1bc\n1abc\n\nb c\n",
        "gpt2\nqwen2\n1\n1a\n1aa\n1aaaa\n\na a\naa aa\n",
        "llama\n\n0\n2<unk>\n3<s>\n3</s>\n6<0x00>\n6<0x0A>\n6<0xFF>\n1\xE2\x96\x81\n1a\n1b\n1\xE2\x96\x81" "a\n1ab\n4<tool>\n\n",
        "llama\ndefault\n\xB0\n2<unk>\n6<0x-1>\n6<0x61>\n1\xE2\x96\x81\n1\xE2\x96\x81\xE2\x96\x81\n1t\n1h\n1th\n\n" };
    char name[32];
    for (size_t i = 0; i < sizeof described / sizeof *described; i++) {
        snprintf(name, sizeof name, "described-%zu", i);
        put("vocab", name, described[i], strlen(described[i]));
    }
    wt_gguf_out *o;
    must(wt_gguf_out_open(cx, place("vocab", "file"), &o));
    vocabulary(o);
    must(wt_gguf_out_commit(&o));
}

int main(int argc, char **argv)
{
    if (argc != 2) { fprintf(stderr, "usage: seeds FOLDER\n"); return 2; }
    root = argv[1];
    cx = witan_ctx_new(&(witan_config){ .threads = 1 });
    if (!cx) return 1;
    for (size_t i = 0; i < sizeof minis / sizeof *minis; i++) model(minis + i, place("gguf", minis[i].name), 0);
    split_model();
    record_and_plan();
    texts();
    vocabularies();
    witan_ctx_free(cx);
    return 0;
}
