/* The expert store: mapped (views into the file) and resident (one copy in memory). */
#include "moe/store.h"

#include <string.h>

typedef struct layer { int32_t n_exp; wt_tensor gate, up, down; void *own; } layer;

struct wt_expert_store { wt_ctx *cx; int32_t n_layer; layer *layer; };

static wt_status check(wt_ctx *cx, const wt_tensor *t, int64_t n_exp, int64_t rows, int64_t cols)
{
    if (t->n_dim == 3 && t->shape[0] == n_exp && t->shape[1] == rows && t->shape[2] == cols && wt_type_get(t->type)->unpack) return WITAN_OK;
    char shape[64];
    if (!wt_type_get(t->type)->unpack)
        return wt_fail(cx, WT_EUNSUPPORTED, "%s: block type %s cannot be read yet", t->name, wt_type_get(t->type)->name);
    return wt_fail(cx, WT_ESHAPE, "%s: expected shape [%lld, %lld, %lld], found %s", t->name, (long long)n_exp, (long long)rows,
                   (long long)cols, wt_shape_text(t, shape));
}

/* Copies the three tensors of a layer into one block of memory. */
static wt_status take_in(wt_ctx *cx, layer *l)
{
    wt_tensor *t[3] = { &l->gate, &l->up, &l->down };
    size_t total = 0, at = 0;
    for (int i = 0; i < 3; i++)
        if (wt_add_over(total, t[i]->bytes + 64, &total)) return wt_fail(cx, WT_ENOMEM, "%s: too large to copy", t[i]->name);
    uint8_t *p = wt_alloc(cx, total, 1);
    if (!p) return WITAN_ENOMEM;
    l->own = p;
    for (int i = 0; i < 3; i++) {
        memcpy(p + at, t[i]->data, t[i]->bytes);
        t[i]->data = p + at;
        at += (t[i]->bytes + 63) / 64 * 64;
    }
    return WITAN_OK;
}

static wt_status add(wt_ctx *cx, layer *l, wt_store_policy policy, int32_t d_model, const wt_expert_tensors *t)
{
    if (!t->n_exp) return WITAN_OK;
    int64_t d_ff = t->gate->n_dim == 3 ? t->gate->shape[1] : 0;
    WT_TRY(check(cx, t->gate, t->n_exp, d_ff, d_model));
    WT_TRY(check(cx, t->up, t->n_exp, d_ff, d_model));
    WT_TRY(check(cx, t->down, t->n_exp, d_model, d_ff));
    *l = (layer){ .n_exp = t->n_exp, .gate = *t->gate, .up = *t->up, .down = *t->down };
    return policy == WT_STORE_RESIDENT ? take_in(cx, l) : WITAN_OK;
}

wt_status wt_expert_store_open(wt_ctx *cx, wt_store_policy policy, int32_t n_layer, int32_t d_model, const wt_expert_tensors *lt,
                               wt_expert_store **out)
{
    wt_expert_store *st = wt_alloc(cx, 1, sizeof *st);
    if (!st) return WITAN_ENOMEM;
    st->cx = cx;
    st->layer = wt_alloc(cx, (size_t)n_layer, sizeof *st->layer);
    wt_status s = st->layer ? WITAN_OK : WITAN_ENOMEM;
    for (int32_t i = 0; s == WITAN_OK && i < n_layer; i++) {
        st->n_layer = i + 1;
        s = add(cx, st->layer + i, policy, d_model, lt + i);
    }
    if (s != WITAN_OK) { wt_expert_store_free(st); return s; }
    *out = st;
    return WITAN_OK;
}

void wt_expert_store_free(wt_expert_store *st)
{
    if (!st) return;
    for (int32_t i = 0; i < st->n_layer; i++) wt_free(st->cx, st->layer[i].own);
    wt_free(st->cx, st->layer);
    wt_free(st->cx, st);
}

/* Expert e of a stacked tensor: a matrix view. */
static wt_tensor slice(const wt_tensor *t, int32_t e)
{
    wt_tensor v = *t;
    v.n_dim = 2;
    v.shape[0] = t->shape[1];
    v.shape[1] = t->shape[2];
    v.shape[2] = 1;
    v.n = t->n / (size_t)t->shape[0];
    v.bytes = t->bytes / (size_t)t->shape[0];
    v.data = (const uint8_t *)t->data + (size_t)e * v.bytes;
    return v;
}

static wt_status acquire(void *self, wt_ctx *cx, int32_t l, int32_t expert, wt_expert *out)
{
    const wt_expert_store *st = self;
    if (l < 0 || l >= st->n_layer || expert < 0 || expert >= st->layer[l].n_exp)
        return wt_fail(cx, WT_EARG, "expert store: layer %d has no expert %d", l, expert);
    const layer *ly = st->layer + l;
    *out = (wt_expert){ slice(&ly->gate, expert), slice(&ly->up, expert), slice(&ly->down, expert) };
    return WITAN_OK;
}

static void release(void *self, int32_t l, int32_t expert) { (void)self; (void)l; (void)expert; }   /* nothing is ever evicted here */

wt_expert_source wt_expert_store_source(wt_expert_store *st) { return (wt_expert_source){ st, acquire, release }; }
