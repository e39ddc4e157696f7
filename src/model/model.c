/* Opening a model: family, configuration, tensors (every shape checked), expert store, vocabulary. */
#include "model/config.h"

#include "base/hash.h"
#include <stdio.h>
#include <string.h>

const char *wt_layer_tensor_name(char buf[64], int32_t layer, const char *part)
{
    snprintf(buf, 64, "blk.%d.%s", layer, part);
    return buf;
}

/* A tensor that must exist with this shape (slowest first; cols 0: a vector of rows). vector tensors must be F32. */
static wt_status need(wt_model *m, const char *name, int64_t rows, int64_t cols, const wt_tensor **out)
{
    wt_ctx *cx = m->cx;
    char shape[64];
    const wt_tensor *t = wt_gguf_tensor(m->file, name);
    if (!t) return wt_fail(cx, WT_ESHAPE, "%s: tensor %s is missing", m->file->path, name);
    if (cols ? t->n_dim != 2 || t->shape[0] != rows || t->shape[1] != cols : t->n_dim != 1 || t->shape[0] != rows) {
        if (cols) return wt_fail(cx, WT_ESHAPE, "%s: %s: expected shape [%lld, %lld], found %s", m->file->path, name, (long long)rows,
                                 (long long)cols, wt_shape_text(t, shape));
        return wt_fail(cx, WT_ESHAPE, "%s: %s: expected shape [%lld], found %s", m->file->path, name, (long long)rows, wt_shape_text(t, shape));
    }
    if (!m->k.unpack[t->type])
        return wt_fail(cx, WT_EUNSUPPORTED, "%s: %s: block type %s cannot be read yet", m->file->path, name, wt_type_get(t->type)->name);
    if (!cols && t->type != WT_F32)
        return wt_fail(cx, WT_ESHAPE, "%s: %s: expected F32, found %s", m->file->path, name, wt_type_get(t->type)->name);
    *out = t;
    return WITAN_OK;
}

static wt_status need_layer(wt_model *m, int32_t i, const char *part, int64_t rows, int64_t cols, const wt_tensor **out)
{
    char name[64];
    return need(m, wt_layer_tensor_name(name, i, part), rows, cols, out);
}

/* Experts of each layer: one number for all, or witan.expert_count_per_layer. */
static wt_status expert_counts(wt_model *m)
{
    int64_t *per = NULL;
    size_t n = 0;
    WT_TRY(wt_gguf_ints(m->cx, m->file, "witan.expert_count_per_layer", false, &per, &n));
    wt_status st = WITAN_OK;
    if (per && n != (size_t)m->cfg.n_layer)
        st = wt_fail(m->cx, WT_ESHAPE, "%s: witan.expert_count_per_layer has %zu entries, the model %d layers", m->file->path, n, m->cfg.n_layer);
    for (int32_t i = 0; st == WITAN_OK && i < m->cfg.n_layer; i++) {
        int64_t e = per ? per[i] : m->cfg.n_exp_max;
        if (e < 1 || e > m->cfg.n_exp_max)
            st = wt_fail(m->cx, WT_ESHAPE, "%s: layer %d has %lld experts, expected 1 to %d", m->file->path, i, (long long)e, m->cfg.n_exp_max);
        m->layer[i].n_exp = (int32_t)e;
    }
    wt_free(m->cx, per);
    return st;
}

static const struct { int32_t k; } topk_options = { 0 };

static wt_status attention_tensors(wt_model *m, int32_t i)
{
    const wt_config *c = &m->cfg;
    wt_layer *l = m->layer + i;
    int64_t q = (int64_t)c->n_head * c->d_head, kv = (int64_t)c->n_head_kv * c->d_head;
    WT_TRY(need_layer(m, i, "attn_norm.weight", c->d_model, 0, &l->attn_norm));
    WT_TRY(need_layer(m, i, "attn_q.weight", q, c->d_model, &l->wq));
    WT_TRY(need_layer(m, i, "attn_k.weight", kv, c->d_model, &l->wk));
    WT_TRY(need_layer(m, i, "attn_v.weight", kv, c->d_model, &l->wv));
    WT_TRY(need_layer(m, i, "attn_output.weight", c->d_model, q, &l->wo));
    if (m->arch->qk_norm == WT_QK_NONE) return WITAN_OK;
    bool full = m->arch->qk_norm == WT_QK_FULL;
    WT_TRY(need_layer(m, i, "attn_q_norm.weight", full ? q : c->d_head, 0, &l->q_norm));
    return need_layer(m, i, "attn_k_norm.weight", full ? kv : c->d_head, 0, &l->k_norm);
}

static wt_status moe_tensors(wt_model *m, int32_t i, wt_expert_tensors *et)
{
    wt_layer *l = m->layer + i;
    const wt_method *topk;
    WT_TRY(need_layer(m, i, "ffn_norm.weight", m->cfg.d_model, 0, &l->ffn_norm));
    WT_TRY(need_layer(m, i, "ffn_gate_inp.weight", l->n_exp, m->cfg.d_model, &l->router));
    WT_TRY(wt_method_find(m->cx, WT_KIND_ROUTER, "topk", &topk));
    l->route = (wt_route_spec){ .activation = m->arch->activation, .select = topk, .select_opt = &topk_options, .renorm = m->arch->renorm,
                                .n_used = m->cfg.n_exp_used < l->n_exp ? m->cfg.n_exp_used : l->n_exp, .scale = 1 };
    const struct { const char *part; const wt_tensor **t; } stack[] = {
        { "ffn_gate_exps.weight", &et->gate }, { "ffn_up_exps.weight", &et->up }, { "ffn_down_exps.weight", &et->down } };
    et->n_exp = l->n_exp;
    for (int j = 0; j < 3; j++) {
        char name[64];
        *stack[j].t = wt_gguf_tensor(m->file, wt_layer_tensor_name(name, i, stack[j].part));
        if (!*stack[j].t) return wt_fail(m->cx, WT_ESHAPE, "%s: tensor %s is missing", m->file->path, name);
    }
    if (et->gate->n_dim == 3 && et->gate->shape[1] <= INT32_MAX && (int32_t)et->gate->shape[1] > m->cfg.d_ff_exp)
        m->cfg.d_ff_exp = (int32_t)et->gate->shape[1];
    return WITAN_OK;
}

static wt_status weights(wt_model *m, wt_store_policy policy)
{
    wt_config *c = &m->cfg;
    m->layer = wt_alloc(m->cx, (size_t)c->n_layer, sizeof *m->layer);
    if (!m->layer) return WITAN_ENOMEM;
    WT_TRY(expert_counts(m));
    const wt_tensor *e = wt_gguf_tensor(m->file, "token_embd.weight");
    c->n_vocab = e && e->n_dim == 2 && e->shape[0] <= INT32_MAX ? (int32_t)e->shape[0] : wt_vocab_size(m->vocab);
    if (c->n_vocab < wt_vocab_size(m->vocab))
        return wt_fail(m->cx, WT_ESHAPE, "%s: token_embd.weight has %d rows for %d tokens", m->file->path, c->n_vocab, wt_vocab_size(m->vocab));
    WT_TRY(need(m, "token_embd.weight", c->n_vocab, c->d_model, &m->embed));
    WT_TRY(need(m, "output_norm.weight", c->d_model, 0, &m->out_norm));
    m->head = m->embed;
    if (wt_gguf_tensor(m->file, "output.weight")) WT_TRY(need(m, "output.weight", c->n_vocab, c->d_model, &m->head));
    wt_expert_tensors *et = wt_alloc(m->cx, (size_t)c->n_layer, sizeof *et);
    if (!et) return WITAN_ENOMEM;
    wt_status st = WITAN_OK;
    for (int32_t i = 0; st == WITAN_OK && i < c->n_layer; i++) {
        st = attention_tensors(m, i);
        if (st == WITAN_OK) st = moe_tensors(m, i, et + i);
    }
    if (st == WITAN_OK) st = wt_expert_store_open(m->cx, policy, c->n_layer, c->d_model, et, &m->experts);
    wt_free(m->cx, et);
    return st;
}

/* SHA-256 over the header and the first and last 2 KiB of every tensor: cheap for any size, and other for other weights. */
static void fingerprint(const wt_gguf *g, char hex[65])
{
    wt_sha h;
    wt_sha_init(&h);
    wt_sha_add(&h, g->map.data, g->data_at);
    for (size_t i = 0; i < g->n_tensor; i++) {
        const wt_tensor *t = g->tensor + i;
        size_t n = t->bytes < 2048 ? t->bytes : 2048;
        wt_sha_add(&h, t->data, n);
        wt_sha_add(&h, (const uint8_t *)t->data + t->bytes - n, n);
    }
    wt_sha_end(&h, hex);
}

static void count(wt_model *m, const wt_tensor *t, double share_used)
{
    m->info.n_param_active += (int64_t)((double)t->n * share_used);
    m->info.n_byte_token += (int64_t)((double)t->bytes * share_used);
}

/* What the file holds and what one token needs of it: of stacked experts the chosen share, of the embedding one row. */
static void fill_info(wt_model *m)
{
    witan_model_info *f = &m->info;
    const wt_config *c = &m->cfg;
    char name[64];
    f->n_layer = c->n_layer; f->d_model = c->d_model; f->n_head = c->n_head; f->n_head_kv = c->n_head_kv; f->d_head = c->d_head;
    f->n_vocab = c->n_vocab; f->n_ctx_train = c->n_ctx_train; f->n_exp = 0; f->n_exp_used = c->n_exp_used; f->d_ff_exp = c->d_ff_exp;
    for (size_t i = 0; i < m->file->n_tensor; i++) {
        const wt_tensor *t = m->file->tensor + i;
        f->n_param += (int64_t)t->n;
        f->n_byte += (int64_t)t->bytes;
        if (t->n_dim < 3 && t != m->embed) count(m, t, 1);
    }
    count(m, m->embed, m->head == m->embed ? 1 : 1.0 / c->n_vocab);
    for (int32_t i = 0; i < c->n_layer; i++) {
        static const char *const part[] = { "ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_down_exps.weight" };
        const wt_layer *l = m->layer + i;
        if (l->n_exp > f->n_exp) f->n_exp = l->n_exp;
        for (int j = 0; j < 3; j++) {
            const wt_tensor *t = wt_gguf_tensor(m->file, wt_layer_tensor_name(name, i, part[j]));
            f->n_byte_expert += (int64_t)t->bytes;
            count(m, t, (double)l->route.n_used / l->n_exp);
        }
    }
}

static wt_status names(wt_model *m)
{
    wt_str name = { "", 0 };
    WT_TRY(wt_gguf_str(m->cx, m->file, "general.name", false, &name));
    m->name = wt_strndup(m->cx, name.s, name.n);
    if (!m->name) return WITAN_ENOMEM;
    m->info.path = m->file->path;
    m->info.name = m->name;
    m->info.arch = m->arch->name;
    m->info.bos = wt_vocab_bos(m->vocab);
    m->info.eos = wt_vocab_eos(m->vocab);
    m->info.add_bos = wt_vocab_add_bos(m->vocab);
    return WITAN_OK;
}

static wt_status kernels(wt_ctx *cx, wt_kernels *k)
{
    wt_tier limit = WT_N_TIER - 1;
    if (*cx->tier && !wt_tier_parse(cx->tier, &limit)) return wt_fail(cx, WT_EARG, "kernel tier \"%s\" is unknown; expected ref or avx2", cx->tier);
    wt_kernels_init(k, limit);
    return WITAN_OK;
}

static wt_status open_parts(wt_model *m, const char *path, const witan_model_options *o)
{
    WT_TRY(kernels(m->cx, &m->k));
    WT_TRY(wt_gguf_open(m->cx, path, &m->file));
    WT_TRY(wt_config_arch(m->cx, m->file, &m->arch));
    WT_TRY(wt_config_read(m->cx, m->file, m->arch, &m->cfg));
    WT_TRY(wt_vocab_open(m->cx, m->file, o->pre, &m->vocab));
    WT_TRY(weights(m, o->resident ? WT_STORE_RESIDENT : WT_STORE_MAPPED));
    WT_TRY(names(m));
    fill_info(m);
    fingerprint(m->file, m->info.fingerprint);
    return WITAN_OK;
}

wt_status witan_model_open(wt_ctx *cx, const char *path, const witan_model_options *opts, wt_model **out)
{
    wt_model *m = wt_alloc(cx, 1, sizeof *m);
    if (!m) return WITAN_ENOMEM;
    m->cx = cx;
    wt_status st = open_parts(m, path, opts ? opts : &(witan_model_options){ 0 });
    if (st != WITAN_OK) { witan_model_free(m); return st; }
    *out = m;
    return WITAN_OK;
}

void witan_model_free(wt_model *m)
{
    if (!m) return;
    wt_expert_store_free(m->experts);
    wt_vocab_free(m->vocab);
    wt_gguf_free(m->file);
    wt_free(m->cx, m->layer);
    wt_free(m->cx, m->name);
    wt_free(m->cx, m->arch_name);
    wt_free(m->cx, m);
}

const witan_model_info *witan_model_get_info(const wt_model *m) { return &m->info; }

int32_t witan_model_experts(const wt_model *m, int32_t layer) { return m->layer && layer >= 0 && layer < m->cfg.n_layer ? m->layer[layer].n_exp : 0; }
