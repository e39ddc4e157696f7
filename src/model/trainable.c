/* Models that can be trained: float copies of all weights, and the model's pointers turned to them. */
#include "model/trainable.h"

#include "base/memory.h"
#include "base/thread.h"
#include <stdio.h>
#include <string.h>

enum { ALIGN = 16 /* floats */ };

/* Every place of a model that points to a tensor of its file. */
static void each_pointer(wt_model *m, void (*fn)(void *arg, const wt_tensor **t), void *arg)
{
    fn(arg, &m->embed);
    fn(arg, &m->out_norm);
    fn(arg, &m->head);
    for (int32_t i = 0; i < m->cfg.n_layer; i++) {
        wt_layer *l = m->layer + i;
        const wt_tensor **all[] = { &l->attn_norm, &l->wq, &l->wk, &l->wv, &l->wo, &l->bq, &l->bk, &l->bv, &l->bo, &l->q_norm, &l->k_norm, &l->ffn_norm,
                                    &l->router, &l->select_bias, &l->dense.gate, &l->dense.up, &l->dense.down, &l->shared.gate, &l->shared.up,
                                    &l->shared.down, &l->shared_gate };
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) fn(arg, all[k]);
    }
}

static bool inside(const wt_model *m, const wt_tensor *t) { return t >= m->file->tensor && t < m->file->tensor + m->file->n_tensor; }

typedef struct turn { wt_trainable *t; int32_t *weight_of; bool strange; } turn;      /* weight_of [n_tensor of the file], -1: none */

static void check_pointer(void *arg, const wt_tensor **t)
{
    turn *j = arg;
    if (*t && !inside(j->t->m, *t)) j->strange = true;
}

static void turn_pointer(void *arg, const wt_tensor **t)
{
    const turn *j = arg;
    if (*t) *t = j->t->tensor + j->weight_of[*t - j->t->m->file->tensor];
}

/* ---- experts ------------------------------------------------------------------------------------------------------------- */

static wt_status each_view(wt_trainable *t, wt_status (*fn)(void *arg, wt_tensor *v), void *arg)
{
    for (int32_t i = 0; i < t->m->cfg.n_layer; i++) {
        const wt_expert_layer *l = wt_expert_store_layer(t->m->experts, i);
        for (int32_t e = 0; e < l->n_exp; e++) {
            WT_TRY(fn(arg, &l->expert[e].gate));
            WT_TRY(fn(arg, &l->expert[e].up));
            WT_TRY(fn(arg, &l->expert[e].down));
        }
    }
    return WITAN_OK;
}

/* Where a view begins in its stack, in values; an error where it is a copy and lies elsewhere. */
static wt_status place_of(const wt_trainable *t, const wt_tensor *v, const wt_tensor **whole, size_t *first)
{
    const wt_gguf *f = t->m->file;
    const wt_tensor *w = *whole = wt_gguf_tensor(f, v->name);
    uintptr_t begin = w ? (uintptr_t)w->data : 0, at = (uintptr_t)v->data;
    if (!w || at < begin || at + v->bytes > begin + w->bytes)
        return wt_fail(t->cx, WT_EUNSUPPORTED, "%s: experts that are copied cannot be trained: open the model without resident and repack", f->path);
    size_t cols = (size_t)v->shape[1], row_bytes = v->bytes / (v->n / cols);
    *first = (at - begin) / row_bytes * cols;
    return WITAN_OK;
}

static wt_status check_view(void *arg, wt_tensor *v)
{
    const wt_tensor *whole;
    size_t first;
    return place_of(arg, v, &whole, &first);
}

/* An expert's matrix: the same rows of the stack's copy. */
static wt_status turn_view(void *arg, wt_tensor *v)
{
    const turn *j = arg;
    const wt_tensor *whole;
    size_t first;
    WT_TRY(place_of(j->t, v, &whole, &first));
    const wt_tensor *own = j->t->tensor + j->weight_of[whole - j->t->m->file->tensor];
    v->type = WT_F32;
    v->bytes = v->n * sizeof(float);
    v->f32 = own->f32 + first;
    v->data = v->f32;
    v->grad = own->grad ? own->grad + first : NULL;
    return WITAN_OK;
}

/* ---- the list ------------------------------------------------------------------------------------------------------------ */

static bool selects(const char *name) { return strstr(name, ".exp_probs_b") != NULL; }

static void describe(wt_trainable *t, const char *name, int32_t n_dim, const int64_t *shape)
{
    wt_weight *w = t->weight + t->n_weight++;
    wt_role role = wt_role_of(name);
    *w = (wt_weight){ .name = name, .n = 1, .n_dim = n_dim, .shape = { 1, 1, 1, 1 }, .part = role.part, .layer = role.layer, .frozen = selects(name) };
    for (int32_t i = 0; i < n_dim; i++) {
        w->shape[i] = shape[i];
        w->n *= (size_t)shape[i];
    }
    t->n_float += (w->n + ALIGN - 1) / ALIGN * ALIGN;
}

/* All tensors of the file but factors of rope, which are read elsewhere; then the selection biases that are missing. */
static wt_status list(wt_trainable *t, bool biases, int32_t *weight_of)
{
    const wt_gguf *f = t->m->file;
    size_t most = f->n_tensor + (size_t)t->m->cfg.n_layer;
    t->weight = wt_alloc(t->cx, most, sizeof *t->weight);
    t->tensor = wt_alloc(t->cx, most, sizeof *t->tensor);
    t->name = wt_alloc(t->cx, (size_t)t->m->cfg.n_layer, sizeof *t->name);
    if (!t->weight || !t->tensor || !t->name) return WITAN_ENOMEM;
    for (size_t i = 0; i < f->n_tensor; i++) {
        const wt_tensor *x = f->tensor + i;
        weight_of[i] = -1;
        if (wt_role_of(x->name).part == WT_PART_ROPE) continue;
        weight_of[i] = (int32_t)t->n_weight;
        describe(t, x->name, x->n_dim, x->shape);
    }
    for (int32_t l = 0; biases && l < t->m->cfg.n_layer; l++) {
        if (!t->m->layer[l].n_exp || t->m->layer[l].select_bias) continue;
        wt_layer_tensor_name(t->name[l], l, "exp_probs_b.bias");
        describe(t, t->name[l], 1, (int64_t[]){ t->m->layer[l].n_exp });
    }
    return WITAN_OK;
}

static float *block_new(wt_trainable *t, int which)
{
    size_t bytes;
    if (wt_mul_over(t->n_float + ALIGN, sizeof(float), &bytes)) { wt_fail(t->cx, WT_ENOMEM, "out of memory: the weights are too many"); return NULL; }
    uint8_t *p = wt_realloc(t->cx, NULL, bytes, 1);
    if (!p) return NULL;
    wt_huge_pages(p, bytes);
    t->block[which] = p;
    return (float *)(void *)(p + (64 - (uintptr_t)p % 64) % 64);
}

static wt_status memory(wt_trainable *t)
{
    size_t at = 0;
    t->data = block_new(t, 0);
    t->grad = block_new(t, 1);
    if (!t->data || !t->grad) return WITAN_ENOMEM;
    for (size_t i = 0; i < t->n_weight; i++) {
        wt_weight *w = t->weight + i;
        w->w = t->data + at;
        w->grad = w->frozen ? NULL : t->grad + at;
        at += (w->n + ALIGN - 1) / ALIGN * ALIGN;
        t->tensor[i] = (wt_tensor){ .name = w->name, .type = WT_F32, .n_dim = w->n_dim, .n = w->n, .bytes = w->n * sizeof(float),
                                    .data = w->w, .f32 = w->w, .grad = w->grad };
        memcpy(t->tensor[i].shape, w->shape, sizeof w->shape);
    }
    memset(t->data, 0, t->n_float * sizeof *t->data);            /* also what lies between */
    wt_trainable_zero_grad(t);
    return WITAN_OK;
}

/* ---- copying ------------------------------------------------------------------------------------------------------------- */

enum { BLOCKS_AT_ONCE = 64 };

typedef struct copying { const wt_kernels *k; const wt_tensor *from; float *to; } copying;

static void copy_blocks(void *arg, size_t begin, size_t end, int worker)
{
    const copying *j = arg;
    const wt_type_info *ti = wt_type_get(j->from->type);
    size_t step = (size_t)ti->block * BLOCKS_AT_ONCE, n = end * step < j->from->n ? (end - begin) * step : j->from->n - begin * step;
    (void)worker;
    j->k->unpack[j->from->type](j->to + begin * step, (const uint8_t *)j->from->data + begin * BLOCKS_AT_ONCE * ti->bytes, n);
}

static wt_status copy(wt_trainable *t, const int32_t *weight_of)
{
    const wt_gguf *f = t->m->file;
    for (size_t i = 0; i < f->n_tensor; i++) {
        const wt_tensor *x = f->tensor + i;
        if (weight_of[i] < 0) continue;
        if (wt_type_get(x->type)->group || !t->m->k.unpack[x->type])
            return wt_fail(t->cx, WT_EUNSUPPORTED, "%s: %s: block type %s cannot be trained; convert the model to F32 first", f->path, x->name, wt_type_get(x->type)->name);
        copying j = { &t->m->k, x, t->weight[weight_of[i]].w };
        size_t step = (size_t)wt_type_get(x->type)->block * BLOCKS_AT_ONCE;
        wt_parallel(t->cx, (x->n + step - 1) / step, 16384 / step + 1, copy_blocks, &j);
    }
    return WITAN_OK;
}

static wt_status open_parts(wt_trainable *t, bool biases, int32_t *weight_of)
{
    turn j = { t, weight_of, false };
    each_pointer(t->m, check_pointer, &j);
    if (j.strange) return wt_fail(t->cx, WT_EUNSUPPORTED, "%s: weights that are copied cannot be trained: open the model without repack", t->m->file->path);
    WT_TRY(each_view(t, check_view, t));
    WT_TRY(list(t, biases, weight_of));
    WT_TRY(memory(t));
    WT_TRY(copy(t, weight_of));                  /* behind this nothing fails: the model is either as it was or wholly turned */
    WT_TRY(each_view(t, turn_view, &j));
    each_pointer(t->m, turn_pointer, &j);
    for (size_t i = 0; i < t->n_weight; i++) {
        wt_layer *l = t->weight[i].layer >= 0 ? t->m->layer + t->weight[i].layer : NULL;
        if (l && l->n_exp && selects(t->weight[i].name)) l->select_bias = t->tensor + i;
    }
    return WITAN_OK;
}

wt_status wt_trainable_open(wt_ctx *cx, wt_model *m, bool biases, wt_trainable **out)
{
    if (!m->arch) return wt_fail(cx, WT_EARG, "%s: holds a vocabulary only, not a model", m->info.path);
    wt_trainable *t = wt_alloc(cx, 1, sizeof *t);
    if (!t) return WITAN_ENOMEM;
    t->cx = cx;
    t->m = m;
    int32_t *weight_of = wt_alloc(cx, m->file->n_tensor + 1, sizeof *weight_of);
    wt_status st = weight_of ? open_parts(t, biases, weight_of) : WITAN_ENOMEM;
    wt_free(cx, weight_of);
    if (st != WITAN_OK) { wt_trainable_free(t); return st; }
    *out = t;
    return WITAN_OK;
}

void wt_trainable_free(wt_trainable *t)
{
    if (!t) return;
    wt_free(t->cx, t->block[0]);
    wt_free(t->cx, t->block[1]);
    wt_free(t->cx, t->weight);
    wt_free(t->cx, t->tensor);
    wt_free(t->cx, t->name);
    wt_free(t->cx, t);
}

/* ---- use ----------------------------------------------------------------------------------------------------------------- */

static wt_status regrad_view(void *arg, wt_tensor *v)
{
    const wt_tensor *own = arg;
    if (v->f32 >= own->f32 && v->f32 < own->f32 + own->n) v->grad = own->grad ? own->grad + (v->f32 - own->f32) : NULL;
    return WITAN_OK;
}

void wt_trainable_freeze(wt_trainable *t, size_t i, bool frozen)
{
    wt_weight *w = t->weight + i;
    w->frozen = frozen || selects(w->name);
    w->grad = w->frozen ? NULL : t->grad + (w->w - t->data);
    t->tensor[i].grad = w->grad;
    (void)each_view(t, regrad_view, t->tensor + i);              /* never fails */
}

static void zero_some(void *arg, size_t begin, size_t end, int worker)
{
    (void)worker;
    memset((float *)arg + begin * ALIGN, 0, (end - begin) * ALIGN * sizeof(float));
}

void wt_trainable_zero_grad(wt_trainable *t) { wt_parallel(t->cx, t->n_float / ALIGN, 4096, zero_some, t->grad); }

wt_weight *wt_trainable_find(const wt_trainable *t, const char *name)
{
    for (size_t i = 0; i < t->n_weight; i++) if (!strcmp(t->weight[i].name, name)) return t->weight + i;
    return NULL;
}
