/* The weights of a model: every tensor found by name, every shape checked, experts gathered into the store. */
#include "model/config.h"

#include <stdio.h>
#include <string.h>

const char *wt_layer_tensor_name(char buf[64], int32_t layer, const char *part)
{
    snprintf(buf, 64, "blk.%d.%s", layer, part);
    return buf;
}

typedef struct finder { wt_model *m; uint8_t *used; /* [n_tensor] */ int32_t layer; wt_expert_layer *experts; } finder;

static const wt_tensor *look(finder *f, const char *name)
{
    const wt_tensor *t = wt_gguf_tensor(f->m->file, name);
    if (t) f->used[t - f->m->file->tensor] = 1;
    return t;
}

/* A tensor that must exist with this shape (slowest first; cols 0: a vector of rows, which must be F32). */
static wt_status need(finder *f, const char *name, int64_t rows, int64_t cols, const wt_tensor **out)
{
    wt_model *m = f->m;
    char shape[64];
    const wt_tensor *t = look(f, name);
    if (!t) return wt_fail(m->cx, WT_ESHAPE, "%s: tensor %s is missing", m->file->path, name);
    if (cols ? t->n_dim != 2 || t->shape[0] != rows || t->shape[1] != cols : t->n_dim != 1 || t->shape[0] != rows) {
        if (cols) return wt_fail(m->cx, WT_ESHAPE, "%s: %s: expected shape [%lld, %lld], found %s", m->file->path, name, (long long)rows,
                                 (long long)cols, wt_shape_text(t, shape));
        return wt_fail(m->cx, WT_ESHAPE, "%s: %s: expected shape [%lld], found %s", m->file->path, name, (long long)rows, wt_shape_text(t, shape));
    }
    if (!wt_readable(t->type) || (wt_type_get(t->type)->group && !strcmp(name, "token_embd.weight")))
        return wt_fail(m->cx, WT_EUNSUPPORTED, "%s: %s: block type %s cannot be read yet", m->file->path, name, wt_type_get(t->type)->name);
    if (!cols && t->type != WT_F32)
        return wt_fail(m->cx, WT_ESHAPE, "%s: %s: expected F32, found %s", m->file->path, name, wt_type_get(t->type)->name);
    *out = t;
    return WITAN_OK;
}

static wt_status in_layer(finder *f, const char *part, int64_t rows, int64_t cols, const wt_tensor **out)
{
    char name[64];
    return need(f, wt_layer_tensor_name(name, f->layer, part), rows, cols, out);
}

static const wt_tensor *peek(finder *f, const char *part)   /* without using it */
{
    char name[64];
    return wt_gguf_tensor(f->m->file, wt_layer_tensor_name(name, f->layer, part));
}

static wt_status maybe(finder *f, const char *part, int64_t rows, const wt_tensor **out)
{
    return peek(f, part) ? in_layer(f, part, rows, 0, out) : WITAN_OK;
}

/* ---- attention and feed-forward -------------------------------------------------------------------------------------- */

static wt_status attention(finder *f, wt_layer *l)
{
    const wt_config *c = &f->m->cfg;
    int64_t q = (int64_t)c->n_head * c->d_head, kv = (int64_t)c->n_head_kv * c->d_head;
    WT_TRY(in_layer(f, "attn_norm.weight", c->d_model, 0, &l->attn_norm));
    WT_TRY(in_layer(f, "attn_q.weight", q, c->d_model, &l->wq));
    WT_TRY(in_layer(f, "attn_k.weight", kv, c->d_model, &l->wk));
    WT_TRY(in_layer(f, "attn_v.weight", kv, c->d_model, &l->wv));
    WT_TRY(in_layer(f, "attn_output.weight", c->d_model, q, &l->wo));
    WT_TRY(maybe(f, "attn_q.bias", q, &l->bq));
    WT_TRY(maybe(f, "attn_k.bias", kv, &l->bk));
    WT_TRY(maybe(f, "attn_v.bias", kv, &l->bv));
    WT_TRY(maybe(f, "attn_output.bias", c->d_model, &l->bo));
    if (f->m->arch->qk_norm == WT_QK_NONE) return WITAN_OK;
    bool full = f->m->arch->qk_norm == WT_QK_FULL;
    WT_TRY(in_layer(f, "attn_q_norm.weight", full ? q : c->d_head, 0, &l->q_norm));
    return in_layer(f, "attn_k_norm.weight", full ? kv : c->d_head, 0, &l->k_norm);
}

/* Gate, up and down of one gated feed-forward; its width is what the gate says. */
static wt_status ffn(finder *f, const char *suffix, wt_ffn *out)
{
    char gate[48], up[48], down[48];
    snprintf(gate, sizeof gate, "ffn_gate%s.weight", suffix);
    snprintf(up, sizeof up, "ffn_up%s.weight", suffix);
    snprintf(down, sizeof down, "ffn_down%s.weight", suffix);
    const wt_tensor *g = peek(f, gate);
    int64_t d = f->m->cfg.d_model, width = g && g->n_dim == 2 ? g->shape[0] : 0;
    WT_TRY(in_layer(f, gate, width, d, &out->gate));
    WT_TRY(in_layer(f, up, width, d, &out->up));
    return in_layer(f, down, d, width, &out->down);
}

/* ---- experts --------------------------------------------------------------------------------------------------------- */

static wt_status stack(finder *f, const char *part, int32_t n_exp, const wt_tensor **out)
{
    char name[64], shape[64];
    const wt_tensor *t = look(f, wt_layer_tensor_name(name, f->layer, part));
    if (!t) return wt_fail(f->m->cx, WT_ESHAPE, "%s: tensor %s is missing", f->m->file->path, name);
    if (t->n_dim != 3 || t->shape[0] != n_exp || !t->shape[1] || !t->shape[2])
        return wt_fail(f->m->cx, WT_ESHAPE, "%s: %s: expected a stack of %d matrices, found %s", f->m->file->path, name, n_exp, wt_shape_text(t, shape));
    *out = t;
    return WITAN_OK;
}

/* Three stacks, or two with gate and up rows in one. */
static wt_status stacked(finder *f, wt_expert_layer *l)
{
    const wt_tensor *gate, *up, *down;
    bool joined = peek(f, "ffn_gate_up_exps.weight") != NULL;
    WT_TRY(stack(f, joined ? "ffn_gate_up_exps.weight" : "ffn_gate_exps.weight", l->n_exp, &gate));
    up = gate;
    if (!joined) WT_TRY(stack(f, "ffn_up_exps.weight", l->n_exp, &up));
    WT_TRY(stack(f, "ffn_down_exps.weight", l->n_exp, &down));
    if (joined && gate->shape[1] % 2)
        return wt_fail(f->m->cx, WT_ESHAPE, "%s: %s: gate and up rows together must be even in number", f->m->file->path, gate->name);
    int64_t ff = joined ? gate->shape[1] / 2 : gate->shape[1];
    for (int32_t e = 0; e < l->n_exp; e++)
        l->expert[e] = (wt_expert){ wt_stack_view(gate, e, 0, ff), wt_stack_view(up, e, joined ? ff : 0, joined ? ff : up->shape[1]),
                                    wt_stack_view(down, e, 0, down->shape[1]) };
    return WITAN_OK;
}

/* One tensor per expert, as files of 2023 have them. */
static wt_status separate(finder *f, wt_expert_layer *l)
{
    char name[64];
    static const char *const part[] = { "gate", "up", "down" };
    for (int32_t e = 0; e < l->n_exp; e++) {
        wt_tensor *t[3] = { &l->expert[e].gate, &l->expert[e].up, &l->expert[e].down };
        for (int i = 0; i < 3; i++) {
            snprintf(name, sizeof name, "blk.%d.ffn_%s.%d.weight", f->layer, part[i], e);
            const wt_tensor *x = look(f, name);
            if (!x) return wt_fail(f->m->cx, WT_ESHAPE, "%s: tensor %s is missing", f->m->file->path, name);
            *t[i] = *x;
        }
    }
    return WITAN_OK;
}

static const struct { int32_t k; } topk_options = { 0 };

static wt_status experts(finder *f, wt_layer *l, wt_expert_layer *x)
{
    wt_config *c = &f->m->cfg;
    const wt_method *topk;
    WT_TRY(in_layer(f, "ffn_gate_inp.weight", l->n_exp, c->d_model, &l->router));
    WT_TRY(maybe(f, "exp_probs_b.bias", l->n_exp, &l->select_bias));
    WT_TRY(wt_method_find(f->m->cx, WT_KIND_ROUTER, "topk", &topk));
    l->route = (wt_route_spec){ .activation = c->activation, .select = topk, .select_opt = &topk_options, .renorm = c->renorm,
                                .n_used = c->n_exp_used < l->n_exp ? c->n_exp_used : l->n_exp, .scale = c->route_scale };
    x->n_exp = l->n_exp;
    x->expert = wt_alloc(f->m->cx, (size_t)l->n_exp, sizeof *x->expert);
    if (!x->expert) return WITAN_ENOMEM;
    WT_TRY(peek(f, "ffn_gate.0.weight") ? separate(f, x) : stacked(f, x));
    if (x->expert[0].gate.shape[0] <= INT32_MAX && (int32_t)x->expert[0].gate.shape[0] > c->d_ff_exp)
        c->d_ff_exp = (int32_t)x->expert[0].gate.shape[0];
    if (!f->m->arch->shared) return WITAN_OK;
    WT_TRY(ffn(f, "_shexp", &l->shared));
    return maybe(f, "ffn_gate_inp_shexp.weight", c->d_model, &l->shared_gate);
}

/* Experts of each layer: one number for all, or witan.expert_count_per_layer; none where a layer has no router but a plain feed-forward. */
static wt_status expert_counts(finder *f)
{
    wt_model *m = f->m;
    int64_t *per = NULL;
    size_t n = 0;
    WT_TRY(wt_gguf_ints(m->cx, m->file, "witan.expert_count_per_layer", false, &per, &n));
    wt_status st = WITAN_OK;
    if (per && n != (size_t)m->cfg.n_layer)
        st = wt_fail(m->cx, WT_ESHAPE, "%s: witan.expert_count_per_layer has %zu entries, the model %d layers", m->file->path, n, m->cfg.n_layer);
    for (f->layer = 0; st == WITAN_OK && f->layer < m->cfg.n_layer; f->layer++) {
        bool dense = !m->cfg.n_exp_max || (!peek(f, "ffn_gate_inp.weight") && peek(f, "ffn_gate.weight"));
        int64_t e = per ? per[f->layer] : dense ? 0 : m->cfg.n_exp_max;
        if (e > m->cfg.n_exp_max || e < !dense)
            st = wt_fail(m->cx, WT_ESHAPE, "%s: layer %d has %lld experts, expected 1 to %d", m->file->path, f->layer, (long long)e, m->cfg.n_exp_max);
        else if (dense && e)
            st = wt_fail(m->cx, WT_ESHAPE, "%s: layer %d should have %lld experts, but has no router", m->file->path, f->layer, (long long)e);
        else if (!dense && f->layer < m->cfg.n_dense_lead)
            st = wt_fail(m->cx, WT_ESHAPE, "%s: layer %d has experts, but leading_dense_block_count is %d", m->file->path, f->layer, m->cfg.n_dense_lead);
        m->layer[f->layer].n_exp = (int32_t)e;
    }
    wt_free(m->cx, per);
    return st;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

static wt_status whole(finder *f)
{
    wt_model *m = f->m;
    wt_config *c = &m->cfg;
    const wt_tensor *e = wt_gguf_tensor(m->file, "token_embd.weight");
    c->n_vocab = e && e->n_dim == 2 && e->shape[0] <= INT32_MAX ? (int32_t)e->shape[0] : wt_vocab_size(m->vocab);
    if (c->n_vocab < wt_vocab_size(m->vocab))
        return wt_fail(m->cx, WT_ESHAPE, "%s: token_embd.weight has %d rows for %d tokens", m->file->path, c->n_vocab, wt_vocab_size(m->vocab));
    WT_TRY(need(f, "token_embd.weight", c->n_vocab, c->d_model, &m->embed));
    WT_TRY(need(f, "output_norm.weight", c->d_model, 0, &m->out_norm));
    m->head = m->embed;
    if (wt_gguf_tensor(m->file, "output.weight")) WT_TRY(need(f, "output.weight", c->n_vocab, c->d_model, &m->head));
    return WITAN_OK;
}

static wt_status layer(finder *f)
{
    wt_layer *l = f->m->layer + f->layer;
    WT_TRY(attention(f, l));
    WT_TRY(in_layer(f, "ffn_norm.weight", f->m->cfg.d_model, 0, &l->ffn_norm));
    return l->n_exp ? experts(f, l, f->experts + f->layer) : ffn(f, "", &l->dense);
}

/* A tensor that nothing uses means that the model computes something else than witan would. Factors of rope are read elsewhere. */
static wt_status nothing_left(finder *f)
{
    const wt_gguf *g = f->m->file;
    for (size_t i = 0; i < g->n_tensor; i++) {
        if (f->used[i] || wt_role_of(g->tensor[i].name).part == WT_PART_ROPE) continue;
        return wt_fail(f->m->cx, WT_EUNSUPPORTED, "%s: tensor %.100s has no place in family %s as witan knows it", g->path, g->tensor[i].name, f->m->arch->name);
    }
    return WITAN_OK;
}

static wt_status find_all(finder *f, const witan_model_options *o)
{
    wt_store_policy policy = o->repack ? WT_STORE_REPACKED : o->resident ? WT_STORE_RESIDENT : WT_STORE_MAPPED;
    bool huge = o->huge_pages || o->repack;
    wt_config *c = &f->m->cfg;
    WT_TRY(expert_counts(f));
    WT_TRY(whole(f));
    for (f->layer = 0; f->layer < c->n_layer; f->layer++) WT_TRY(layer(f));
    WT_TRY(nothing_left(f));
    if (o->repack) WT_TRY(wt_weights_repack(f->m, huge));
    return wt_expert_store_open(f->m->cx, policy, huge, c->n_layer, c->d_model, f->experts, &f->m->experts);
}

wt_status wt_weights_open(wt_model *m, const witan_model_options *o)
{
    size_t n = (size_t)m->cfg.n_layer;
    finder f = { .m = m, .used = wt_alloc(m->cx, m->file->n_tensor + 1, 1), .experts = wt_alloc(m->cx, n, sizeof *f.experts) };
    m->layer = wt_alloc(m->cx, n, sizeof *m->layer);
    wt_status st = m->layer && f.used && f.experts ? find_all(&f, o) : WITAN_ENOMEM;
    for (size_t i = 0; f.experts && i < n; i++) wt_free(m->cx, f.experts[i].expert);
    wt_free(m->cx, f.experts);
    wt_free(m->cx, f.used);
    return st;
}
