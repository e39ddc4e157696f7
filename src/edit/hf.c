/* A GGUF model as a Hugging Face folder. What a family is called there is a row of a table; how tensors are laid out follows from what the family is
 * here: where heads turn in pairs (rope), the rows of q and k lie in another order. */
#include "edit/hf.h"

#include "base/file.h"
#include "model/config.h"
#include "tensor/safetensors.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef struct family {
    const char *arch; bool experts;
    const char *type, *classes;              /* model_type, architectures */
    const char *router, *gate, *up, *down;   /* behind "model.layers.N." and "...experts.E." */
    const char *block;                       /* what holds router and experts */
    const char *n_exp, *width;               /* keys of config.json */
    bool say_renorm;                         /* norm_topk_prob; else the family always divides */
} family;

static const family families[] = {
    { "olmoe", true, "olmoe", "OlmoeForCausalLM", "gate", "gate_proj", "up_proj", "down_proj", "mlp", "num_experts", "intermediate_size", true },
    { "qwen3moe", true, "qwen3_moe", "Qwen3MoeForCausalLM", "gate", "gate_proj", "up_proj", "down_proj", "mlp", "num_experts", "moe_intermediate_size", true },
    { "qwen2moe", true, "qwen2_moe", "Qwen2MoeForCausalLM", "gate", "gate_proj", "up_proj", "down_proj", "mlp", "num_experts", "moe_intermediate_size", true },
    { "llama", true, "mixtral", "MixtralForCausalLM", "gate", "w1", "w3", "w2", "block_sparse_moe", "num_local_experts", "intermediate_size", false },
    { "llama", false, "llama", "LlamaForCausalLM", "", "", "", "", "mlp", "", "", false },
    { "qwen2", false, "qwen2", "Qwen2ForCausalLM", "", "", "", "", "mlp", "", "", false },
    { "qwen3", false, "qwen3", "Qwen3ForCausalLM", "", "", "", "", "mlp", "", "", false },
};

typedef struct job {
    wt_ctx *cx;
    wt_model *m;
    const family *f;
    const char *dir;
    wt_type type;
    wt_st_out *out;
    bool write;                  /* second walk */
    float *row; uint8_t *packed; /* of one row */
    double done, total;
} job;

/* ---- tensors --------------------------------------------------------------------------------------------------------------- */

/* Row r of q or k in the order of transformers: there the first halves of the pairs of a head come before the second halves. */
static size_t source_row(size_t r, size_t d_head) { size_t h = r / d_head, i = r % d_head; return h * d_head + (i < d_head / 2 ? 2 * i : 2 * (i - d_head / 2) + 1); }

/* Rows first .. first + n_row - 1 of t under a new name. turned: rows of heads whose pairs are taken apart. */
static wt_status rows(job *j, const char *name, const wt_tensor *t, size_t first, size_t n_row, int32_t n_dim, const int64_t *shape, bool turned)
{
    const wt_type_info *from = wt_type_get(t->type), *to = wt_type_get(j->type);
    size_t width = (size_t)t->shape[t->n_dim - 1], bytes = width / from->block * from->bytes, d_head = (size_t)j->m->cfg.d_head;
    if (t->n_dim == 1) { n_row = 1; bytes = t->bytes; }
    if (!j->write) { j->total += (double)(n_row * width); return wt_st_add(j->out, name, j->type, n_dim, shape); }
    for (size_t r = 0; r < n_row; r++) {
        size_t src = turned ? source_row(r, d_head) : r;
        from->unpack(j->row, (const uint8_t *)t->data + (first + src) * bytes, width);
        if (turned && t->n_dim == 1)             /* a bias: its values are the rows */
            for (size_t i = 0; i < width; i++) ((float *)(void *)j->packed)[i] = j->row[source_row(i, d_head)];
        const float *x = turned && t->n_dim == 1 ? memcpy(j->row, j->packed, width * sizeof(float)) : j->row;
        to->pack(j->packed, x, width);
        WT_TRY(wt_st_write(j->out, j->packed, width * to->bytes));
        j->done += (double)width;
    }
    return wt_progress(j->cx, "write", j->done, j->total, "weights");
}

static wt_status whole(job *j, const char *name, const wt_tensor *t, bool turned)
{
    return t ? rows(j, name, t, 0, t->n / (size_t)t->shape[t->n_dim - 1], t->n_dim, t->shape, turned) : WITAN_OK;
}

static const wt_tensor *layer_tensor(job *j, int32_t l, const char *part)
{
    char name[64];
    return wt_gguf_tensor(j->m->file, wt_layer_tensor_name(name, l, part));
}

static wt_status experts(job *j, int32_t l)
{
    const family *f = j->f;
    const char *const part[3] = { "ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_down_exps.weight" }, *const as[3] = { f->gate, f->up, f->down };
    char name[128];
    for (int32_t e = 0; e < j->m->layer[l].n_exp; e++)
        for (int k = 0; k < 3; k++) {
            const wt_tensor *t = layer_tensor(j, l, part[k]);
            if (!t || t->n_dim != 3) return wt_fail(j->cx, WT_EUNSUPPORTED, "%s: experts of layer %d are not stacked in three tensors", j->m->file->path, l);
            size_t n_row = (size_t)t->shape[1];
            snprintf(name, sizeof name, "model.layers.%d.%s.experts.%d.%s.weight", l, f->block, e, as[k]);
            WT_TRY(rows(j, name, t, (size_t)e * n_row, n_row, 2, t->shape + 1, false));
        }
    return WITAN_OK;
}

static wt_status layer(job *j, int32_t l)
{
    static const struct { const char *part, *as; bool head; } plain[] = {
        { "attn_norm.weight", "input_layernorm.weight", false }, { "attn_q.weight", "self_attn.q_proj.weight", true }, { "attn_q.bias", "self_attn.q_proj.bias", true },
        { "attn_k.weight", "self_attn.k_proj.weight", true }, { "attn_k.bias", "self_attn.k_proj.bias", true }, { "attn_v.weight", "self_attn.v_proj.weight", false },
        { "attn_v.bias", "self_attn.v_proj.bias", false }, { "attn_output.weight", "self_attn.o_proj.weight", false }, { "attn_q_norm.weight", "self_attn.q_norm.weight", false },
        { "attn_k_norm.weight", "self_attn.k_norm.weight", false }, { "ffn_norm.weight", "post_attention_layernorm.weight", false },
        { "ffn_gate.weight", "mlp.gate_proj.weight", false }, { "ffn_up.weight", "mlp.up_proj.weight", false }, { "ffn_down.weight", "mlp.down_proj.weight", false },
        { "ffn_gate_shexp.weight", "mlp.shared_expert.gate_proj.weight", false }, { "ffn_up_shexp.weight", "mlp.shared_expert.up_proj.weight", false },
        { "ffn_down_shexp.weight", "mlp.shared_expert.down_proj.weight", false } };
    char name[128];
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        snprintf(name, sizeof name, "model.layers.%d.%s", l, plain[i].as);
        WT_TRY(whole(j, name, layer_tensor(j, l, plain[i].part), plain[i].head && j->m->arch->rope == WT_ROPE_PAIRS));
    }
    if (!j->m->layer[l].n_exp) return WITAN_OK;
    snprintf(name, sizeof name, "model.layers.%d.%s.%s.weight", l, j->f->block, j->f->router);
    WT_TRY(whole(j, name, layer_tensor(j, l, "ffn_gate_inp.weight"), false));
    const wt_tensor *shared = layer_tensor(j, l, "ffn_gate_inp_shexp.weight");
    snprintf(name, sizeof name, "model.layers.%d.mlp.shared_expert_gate.weight", l);
    if (shared) WT_TRY(rows(j, name, shared, 0, 1, 2, (int64_t[]){ 1, (int64_t)shared->n }, false));
    return experts(j, l);
}

static wt_status walk(job *j)
{
    WT_TRY(whole(j, "model.embed_tokens.weight", j->m->embed, false));
    WT_TRY(whole(j, "model.norm.weight", j->m->out_norm, false));
    if (j->m->head != j->m->embed) WT_TRY(whole(j, "lm_head.weight", j->m->head, false));
    for (int32_t l = 0; l < j->m->cfg.n_layer; l++) WT_TRY(layer(j, l));
    return WITAN_OK;
}

/* ---- config.json -------------------------------------------------------------------------------------------------------------- */

static void member(wt_text *t, const char *key, int64_t v) { wt_text_printf(t, ",\n \"%s\": %lld", key, (long long)v); }

static void real_member(wt_text *t, const char *key, double v)
{
    wt_text_printf(t, ",\n \"%s\": ", key);
    wt_text_num(t, v);
}

/* A float that was written with few digits comes out with few digits. */
static double short_float(wt_ctx *cx, float x)
{
    static const witan_param row[] = { { .name = "x", .type = WITAN_P_F64, .min = -1e300, .max = 1e300 }, { 0 } };
    char buf[40];
    double v = x;
    witan_opt_text(&(witan_param){ .type = WITAN_P_F32 }, &x, buf, sizeof buf);
    witan_opt_set(cx, row, &v, "x", buf);        /* reads it whatever the locale; a finite number is never refused */
    return v;
}

static void dense_width(const wt_model *m, wt_text *t)
{
    for (int32_t l = 0; l < m->cfg.n_layer; l++)
        if (m->layer[l].dense.up) { member(t, "intermediate_size", m->layer[l].dense.up->shape[0]); return; }
}

static wt_status config(job *j)
{
    static const char *const dtype[] = { [WT_F32] = "float32", [WT_F16] = "float16", [WT_BF16] = "bfloat16" };
    const wt_config *c = &j->m->cfg;
    wt_text t;
    char *text = NULL, *path = wt_printf(j->cx, "%s/config.json", j->dir);
    size_t n;
    wt_text_init(&t, j->cx);
    wt_text_printf(&t, "{\"architectures\": [\"%s\"],\n \"model_type\": \"%s\",\n \"dtype\": \"%s\",\n \"torch_dtype\": \"%s\",\n \"hidden_act\": \"silu\"", j->f->classes, j->f->type,
                   dtype[j->type], dtype[j->type]);
    member(&t, "vocab_size", c->n_vocab);
    member(&t, "hidden_size", c->d_model);
    member(&t, "num_hidden_layers", c->n_layer);
    member(&t, "num_attention_heads", c->n_head);
    member(&t, "num_key_value_heads", c->n_head_kv);
    member(&t, "head_dim", c->d_head);
    member(&t, "max_position_embeddings", c->n_ctx_train);
    real_member(&t, "rms_norm_eps", short_float(j->cx, c->norm_eps));
    real_member(&t, "rope_theta", short_float(j->cx, c->rope_base));
    wt_text_printf(&t, ",\n \"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": ");
    wt_text_num(&t, short_float(j->cx, c->rope_base));
    wt_text_printf(&t, "},\n \"tie_word_embeddings\": %s", j->m->head == j->m->embed ? "true" : "false");
    if (j->m->info.bos >= 0) member(&t, "bos_token_id", j->m->info.bos);
    if (j->m->info.eos >= 0) member(&t, "eos_token_id", j->m->info.eos);
    dense_width(j->m, &t);
    if (j->f->experts) {
        member(&t, j->f->n_exp, c->n_exp_max);
        if (!strcmp(j->f->n_exp, "num_experts")) member(&t, "num_local_experts", c->n_exp_max);
        member(&t, "num_experts_per_tok", c->n_exp_used);
        member(&t, j->f->width, c->d_ff_exp);
        if (j->m->layer[0].shared.up) member(&t, "shared_expert_intermediate_size", j->m->layer[0].shared.up->shape[0]);
        if (j->f->say_renorm) wt_text_printf(&t, ",\n \"norm_topk_prob\": %s", c->renorm ? "true" : "false");
    }
    wt_text_puts(&t, "}\n");
    wt_status st = wt_text_take(&t, &text, &n);
    if (st == WITAN_OK) st = path ? wt_file_write(j->cx, path, text, n) : WT_ENOMEM;
    wt_free(j->cx, text);
    wt_free(j->cx, path);
    return st;
}

/* ---- what can be expressed there -------------------------------------------------------------------------------------------------- */

static wt_status expressible(job *j)
{
    const wt_model *m = j->m;
    const wt_config *c = &m->cfg;
    const char *path = m->file->path;
    for (size_t i = 0; i < sizeof families / sizeof *families && !j->f; i++)
        if (!strcmp(families[i].arch, m->arch->name) && families[i].experts == (c->n_exp_max > 0)) j->f = families + i;
    if (!j->f) return wt_fail(j->cx, WT_EUNSUPPORTED, "%s: family %s cannot be written for transformers yet", path, m->arch->name);
    for (int32_t l = 0; l < c->n_layer; l++) {
        if (m->layer[l].n_exp != c->n_exp_max)
            return wt_fail(j->cx, WT_EUNSUPPORTED, "%s: layer %d has %d experts and others %d; transformers has the same number in all layers", path, l, m->layer[l].n_exp,
                           c->n_exp_max);
        char name[64];
        if (wt_gguf_tensor(m->file, wt_layer_tensor_name(name, l, "exp_probs_b.bias")))
            return wt_fail(j->cx, WT_EUNSUPPORTED, "%s: layer %d has a selection bias, which family %s has no place for in transformers", path, l, m->arch->name);
    }
    if (m->arch->experts != WT_NEVER && c->n_exp_max && (c->activation != WT_ACT_SOFTMAX || c->route_scale != 1 || (!j->f->say_renorm && !c->renorm)))
        return wt_fail(j->cx, WT_EUNSUPPORTED, "%s: its router is another than family %s has in transformers", path, m->arch->name);
    if (c->n_rot != c->d_head || c->rope_size != 1)
        return wt_fail(j->cx, WT_EUNSUPPORTED, "%s: scaled or partial rotary embeddings cannot be written for transformers yet", path);
    return WITAN_OK;
}

/* One type for all, as transformers loads them: as wanted, else the widest that the matrices have. */
static wt_status choose_type(job *j, const char *want)
{
    static const wt_type legal[] = { WT_F32, WT_F16, WT_BF16 };
    bool f32 = false, f16 = false;
    for (size_t i = 0; i < j->m->file->n_tensor; i++) {
        const wt_tensor *t = j->m->file->tensor + i;
        if (t->n_dim < 2 || wt_role_of(t->name).part == WT_PART_ROUTER) continue;
        f32 |= t->type == WT_F32;
        f16 |= t->type == WT_F16;
        if (!wt_type_get(t->type)->unpack) return wt_fail(j->cx, WT_EUNSUPPORTED, "%s: %s: block type %s cannot be read here", j->m->file->path, t->name, wt_type_get(t->type)->name);
    }
    j->type = f32 ? WT_F32 : f16 ? WT_F16 : WT_BF16;
    for (size_t i = 0; want && i < 3; i++) if (!strcasecmp(wt_type_get(legal[i])->name, want)) { j->type = legal[i]; return WITAN_OK; }
    return want ? wt_fail(j->cx, WT_EARG, "type: \"%s\" cannot be written for transformers; expected F32, F16 or BF16", want) : WITAN_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------------------------------------------- */

static wt_status make(job *j, const witan_convert_options *o)
{
    size_t most = 1;
    WT_TRY(expressible(j));
    WT_TRY(choose_type(j, o->type));
    for (size_t i = 0; i < j->m->file->n_tensor; i++) {
        size_t w = (size_t)j->m->file->tensor[i].shape[j->m->file->tensor[i].n_dim - 1];
        if (w > most) most = w;
    }
    j->row = wt_alloc(j->cx, most, sizeof *j->row);
    j->packed = wt_alloc(j->cx, most, sizeof(float));
    if (!j->row || !j->packed) return WT_ENOMEM;
    WT_TRY(wt_folder_make(j->cx, j->dir));
    WT_TRY(wt_st_open(j->cx, j->dir, o->split > 0 ? (uint64_t)o->split : 5000000000u, &j->out));
    WT_TRY(walk(j));
    j->write = true;
    WT_TRY(walk(j));
    WT_TRY(wt_hf_vocabulary(j->cx, j->m, j->dir));
    WT_TRY(config(j));
    return wt_st_commit(&j->out);
}

wt_status witan_convert_hf(wt_ctx *cx, const char *in, const char *dir, const witan_convert_options *o)
{
    job j = { .cx = cx, .dir = dir };
    WT_TRY(witan_model_open(cx, in, NULL, &j.m));
    wt_status st = make(&j, o);
    wt_st_abort(&j.out);
    wt_free(cx, j.row);
    wt_free(cx, j.packed);
    witan_model_free(j.m);
    return st;
}
