/* The expert store: mapped (views into the file), resident and repacked (one copy in memory). */
#include "moe/store.h"

#include "base/memory.h"
#include <string.h>

struct wt_expert_store { wt_ctx *cx; wt_store_policy policy; bool huge; int32_t n_layer; wt_expert_layer *layer; void **own; /* [n_layer] copied weights */ };

wt_tensor wt_stack_view(const wt_tensor *t, int64_t e, int64_t row, int64_t n_row)
{
    wt_tensor v = *t;
    size_t each = t->bytes / (size_t)t->shape[0], row_bytes = each / (size_t)t->shape[1];
    v.n_dim = 2;
    v.shape[0] = n_row;
    v.shape[1] = t->shape[2];
    v.shape[2] = 1;
    v.n = (size_t)n_row * (size_t)t->shape[2];
    v.bytes = (size_t)n_row * row_bytes;
    v.data = (const uint8_t *)t->data + (size_t)e * each + (size_t)row * row_bytes;
    return v;
}

static wt_status check(wt_ctx *cx, const wt_tensor *t, int64_t rows, int64_t cols)
{
    char shape[64];
    if (!wt_readable(t->type))
        return wt_fail(cx, WT_EUNSUPPORTED, "%s: block type %s cannot be read yet", t->name, wt_type_get(t->type)->name);
    if (wt_type_get(t->type)->group && rows % WT_GROUP)
        return wt_fail(cx, WT_ESHAPE, "%s: %lld rows are not whole groups of %d", t->name, (long long)rows, WT_GROUP);
    if (t->n_dim == 2 && t->shape[0] == rows && t->shape[1] == cols) return WITAN_OK;
    return wt_fail(cx, WT_ESHAPE, "%s: expected [%lld, %lld] for each expert, found %s", t->name, (long long)rows, (long long)cols,
                   wt_shape_text(t, shape));
}

static wt_status check_layer(wt_ctx *cx, const wt_expert_layer *l, int32_t d_model)
{
    for (int32_t e = 0; e < l->n_exp; e++) {
        const wt_expert *x = l->expert + e;
        int64_t d_ff = x->gate.shape[0];
        WT_TRY(check(cx, &x->gate, d_ff, d_model));
        WT_TRY(check(cx, &x->up, d_ff, d_model));
        WT_TRY(check(cx, &x->down, d_model, d_ff));
    }
    return WITAN_OK;
}

static void copy(const wt_expert_store *st, wt_tensor *t, void *to)
{
    wt_type as;
    if (st->policy == WT_STORE_REPACKED && wt_can_interleave(t, &as)) { wt_interleave(st->cx, t, as, to); return; }
    memcpy(to, t->data, t->bytes);
    t->data = to;
}

/* Copies a layer's experts into one block of memory, 64-byte aligned each. */
static wt_status take_in(const wt_expert_store *st, wt_expert_layer *l, void **own)
{
    wt_ctx *cx = st->cx;
    size_t total = 0, at = 0;
    for (int32_t e = 0; e < l->n_exp; e++) {
        const wt_expert *x = l->expert + e;
        if (wt_add_over(total, x->gate.bytes + x->up.bytes + x->down.bytes + 256, &total))
            return wt_fail(cx, WT_ENOMEM, "%s: too large to copy", x->gate.name);
    }
    uint8_t *p = wt_realloc(cx, NULL, total, 1);               /* not touched yet: it may still get huge pages */
    if (!p) return WITAN_ENOMEM;
    *own = p;
    if (st->huge) wt_huge_pages(p, total);
    at = (64 - (uintptr_t)p % 64) % 64;
    for (int32_t e = 0; e < l->n_exp; e++) {
        wt_tensor *t[3] = { &l->expert[e].gate, &l->expert[e].up, &l->expert[e].down };
        for (int i = 0; i < 3; i++) {
            copy(st, t[i], p + at);
            at += (t[i]->bytes + 63) / 64 * 64;
        }
    }
    return WITAN_OK;
}

static wt_status add(wt_expert_store *st, int32_t i, int32_t d_model, const wt_expert_layer *from)
{
    wt_expert_layer *l = st->layer + i;
    if (!from->n_exp) return WITAN_OK;
    WT_TRY(check_layer(st->cx, from, d_model));
    l->expert = wt_alloc(st->cx, (size_t)from->n_exp, sizeof *l->expert);
    if (!l->expert) return WITAN_ENOMEM;
    memcpy(l->expert, from->expert, (size_t)from->n_exp * sizeof *l->expert);
    l->n_exp = from->n_exp;
    return st->policy != WT_STORE_MAPPED ? take_in(st, l, st->own + i) : WITAN_OK;
}

wt_status wt_expert_store_open(wt_ctx *cx, wt_store_policy policy, bool huge, int32_t n_layer, int32_t d_model, const wt_expert_layer *layer,
                               wt_expert_store **out)
{
    wt_expert_store *st = wt_alloc(cx, 1, sizeof *st);
    if (!st) return WITAN_ENOMEM;
    *st = (wt_expert_store){ .cx = cx, .policy = policy, .huge = huge };
    st->layer = wt_alloc(cx, (size_t)n_layer, sizeof *st->layer);
    st->own = wt_alloc(cx, (size_t)n_layer, sizeof *st->own);
    wt_status s = st->layer && st->own ? WITAN_OK : WITAN_ENOMEM;
    if (s == WITAN_OK) st->n_layer = n_layer;
    for (int32_t i = 0; s == WITAN_OK && i < n_layer; i++) {
        s = add(st, i, d_model, layer + i);
        if (s == WITAN_OK && policy != WT_STORE_MAPPED) s = wt_progress(cx, "load", i + 1, n_layer, "layers");
    }
    if (s != WITAN_OK) { wt_expert_store_free(st); return s; }
    *out = st;
    return WITAN_OK;
}

void wt_expert_store_free(wt_expert_store *st)
{
    if (!st) return;
    for (int32_t i = 0; i < st->n_layer; i++) {
        wt_free(st->cx, st->layer[i].expert);
        wt_free(st->cx, st->own[i]);
    }
    wt_free(st->cx, st->layer);
    wt_free(st->cx, st->own);
    wt_free(st->cx, st);
}

static wt_status acquire(void *self, wt_ctx *cx, int32_t l, int32_t expert, wt_expert *out)
{
    const wt_expert_store *st = self;
    if (l < 0 || l >= st->n_layer || expert < 0 || expert >= st->layer[l].n_exp)
        return wt_fail(cx, WT_EARG, "expert store: layer %d has no expert %d", l, expert);
    *out = st->layer[l].expert[expert];
    return WITAN_OK;
}

static void release(void *self, int32_t l, int32_t expert) { (void)self; (void)l; (void)expert; }   /* nothing is ever evicted here */

wt_expert_source wt_expert_store_source(wt_expert_store *st) { return (wt_expert_source){ st, acquire, release }; }
const wt_expert_layer *wt_expert_store_layer(const wt_expert_store *st, int32_t layer) { return st->layer + layer; }
