/* Opening a model: family, configuration, vocabulary, weights (weights.c), and what can be said about it. */
#include "model/config.h"

#include <string.h>

/* What one token needs of a tensor: of routed experts the chosen share, of the embedding one row. */
static double share_used(const wt_model *m, const wt_tensor *t)
{
    wt_role role = wt_role_of(t->name);
    if (t == m->embed) return m->head == m->embed ? 1 : 1.0 / m->cfg.n_vocab;
    if (role.part != WT_PART_EXPERT) return 1;
    const wt_layer *l = m->layer + role.layer;
    return (double)l->route.n_used / l->n_exp;
}

static void fill_info(wt_model *m)
{
    witan_model_info *f = &m->info;
    const wt_config *c = &m->cfg;
    f->n_layer = c->n_layer; f->d_model = c->d_model; f->n_head = c->n_head; f->n_head_kv = c->n_head_kv; f->d_head = c->d_head;
    f->n_vocab = c->n_vocab; f->n_ctx_train = c->n_ctx_train; f->n_exp_used = c->n_exp_used; f->d_ff_exp = c->d_ff_exp;
    for (int32_t i = 0; i < c->n_layer; i++) if (m->layer[i].n_exp > f->n_exp) f->n_exp = m->layer[i].n_exp;
    double active = 0, read = 0;
    for (size_t i = 0; i < m->file->n_tensor; i++) {
        const wt_tensor *t = m->file->tensor + i;
        double share = share_used(m, t);
        f->n_param += (int64_t)t->n;
        f->n_byte += (int64_t)t->bytes;
        active += (double)t->n * share;
        read += (double)t->bytes * share;
        if (wt_role_of(t->name).part == WT_PART_EXPERT) f->n_byte_expert += (int64_t)t->bytes;
    }
    f->n_param_active = (int64_t)active;
    f->n_byte_token = (int64_t)read;
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

wt_status wt_kernels_choose(wt_ctx *cx, wt_kernels *k)
{
    wt_tier limit = WT_N_TIER - 1;
    if (*cx->tier && !wt_tier_parse(cx->tier, &limit))
        return wt_fail(cx, WT_EARG, "kernel tier \"%s\" is unknown; expected %s", cx->tier, wt_tier_names);
    wt_kernels_init(k, limit, cx->exact);
    return WITAN_OK;
}

static wt_status open_parts(wt_model *m, const char *path, const witan_model_options *o)
{
    WT_TRY(wt_kernels_choose(m->cx, &m->k));
    WT_TRY(wt_gguf_open(m->cx, path, &m->file));
    WT_TRY(wt_config_arch(m->cx, m->file, &m->arch));
    WT_TRY(wt_config_read(m->cx, m->file, m->arch, &m->cfg));
    WT_TRY(wt_vocab_open(m->cx, m->file, o->pre, &m->vocab));
    if (o->prefault) WT_TRY(wt_gguf_prefault(m->cx, m->file));
    WT_TRY(wt_weights_open(m, o));
    WT_TRY(names(m));
    fill_info(m);
    wt_gguf_fingerprint(m->file, m->info.fingerprint);
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
    for (size_t i = 0; i < m->n_own; i++) wt_free(m->cx, m->own[i]);
    wt_free(m->cx, m->own);
    wt_vocab_free(m->vocab);
    wt_gguf_free(m->file);
    wt_free(m->cx, m->layer);
    wt_free(m->cx, m->name);
    wt_free(m->cx, m->cfg.rope_freq);
    wt_free(m->cx, m);
}

const witan_model_info *witan_model_get_info(const wt_model *m) { return &m->info; }

int32_t witan_model_experts(const wt_model *m, int32_t layer) { return m->layer && layer >= 0 && layer < m->cfg.n_layer ? m->layer[layer].n_exp : 0; }
