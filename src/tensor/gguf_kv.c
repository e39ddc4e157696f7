/* GGUF metadata: look-up by name and typed access. */
#include "tensor/gguf.h"

#include "base/hash.h"
#include <string.h>

/* ---- index ---------------------------------------------------------------------------------------------------------- */

static size_t slot(const char *s, size_t n_slot) { return wt_hash_slot(wt_name_hash(0, s, strlen(s)), n_slot); }

typedef const char *(*name_fn)(const wt_gguf *g, size_t i);
static const char *key_name(const wt_gguf *g, size_t i) { return g->kv[i].key; }
static const char *tensor_name(const wt_gguf *g, size_t i) { return g->tensor[i].name; }

/* Open addressing, entries are index + 1. Load stays below one half. */
static wt_status build(wt_gguf *g, size_t n, name_fn name, const char *what, uint32_t **table, size_t *size)
{
    *size = 8;
    while (*size < n * 2) *size *= 2;
    *table = wt_alloc(g->cx, *size, sizeof **table);
    if (!*table) return WT_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *s = name(g, i);
        size_t at = slot(s, *size);
        for (; (*table)[at]; at = (at + 1) & (*size - 1))
            if (!strcmp(name(g, (*table)[at] - 1), s)) return wt_fail(g->cx, WT_EFORMAT, "%s: %s %s occurs twice", g->path, what, s);
        (*table)[at] = (uint32_t)i + 1;
    }
    return WITAN_OK;
}

wt_status wt_gguf_index_keys(wt_gguf *g) { return build(g, g->n_kv, key_name, "key", &g->key_hash, &g->n_key_hash); }
wt_status wt_gguf_index_tensors(wt_gguf *g) { return build(g, g->n_tensor, tensor_name, "tensor", &g->name_hash, &g->n_name_hash); }

static size_t find(const wt_gguf *g, name_fn name, const uint32_t *table, size_t size, const char *s)
{
    for (size_t at = slot(s, size); table[at]; at = (at + 1) & (size - 1))
        if (!strcmp(name(g, table[at] - 1), s)) return table[at];
    return 0;
}

const wt_kv *wt_gguf_kv(const wt_gguf *g, const char *key)
{
    size_t i = find(g, key_name, g->key_hash, g->n_key_hash, key);
    return i ? g->kv + i - 1 : NULL;
}

const wt_tensor *wt_gguf_tensor(const wt_gguf *g, const char *name)
{
    size_t i = find(g, tensor_name, g->name_hash, g->n_name_hash, name);
    return i ? g->tensor + i - 1 : NULL;
}

/* ---- typed access --------------------------------------------------------------------------------------------------- */

static bool is_signed(wt_kv_type t) { return t == WT_KV_I8 || t == WT_KV_I16 || t == WT_KV_I32 || t == WT_KV_I64; }
static bool is_unsigned(wt_kv_type t) { return t == WT_KV_U8 || t == WT_KV_U16 || t == WT_KV_U32 || t == WT_KV_U64; }

static wt_status absent(wt_ctx *cx, const wt_gguf *g, const char *key, bool required)
{
    return required ? wt_fail(cx, WT_EFORMAT, "%s: key %s is missing", g->path, key) : WITAN_OK;
}

static wt_status wrong(wt_ctx *cx, const wt_gguf *g, const wt_kv *kv, const char *expected)
{
    return wt_fail(cx, WT_EFORMAT, "%s: %s is of type %s, expected %s", g->path, kv->key, wt_kv_type_name(kv->type), expected);
}

wt_status wt_gguf_int(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, int64_t lo, int64_t hi, int64_t *v)
{
    const wt_kv *kv = wt_gguf_kv(g, key);
    if (!kv) return absent(cx, g, key, required);
    if (!is_signed(kv->type) && !is_unsigned(kv->type)) return wrong(cx, g, kv, "an integer");
    bool huge = is_unsigned(kv->type) && kv->v.u > INT64_MAX;
    if (huge || kv->v.i < lo || kv->v.i > hi)
        return wt_fail(cx, WT_EFORMAT, "%s: %s is %s%lld, expected %lld to %lld", g->path, key, huge ? "over " : "",
                       (long long)(huge ? INT64_MAX : kv->v.i), (long long)lo, (long long)hi);
    *v = kv->v.i;
    return WITAN_OK;
}

wt_status wt_gguf_num(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, double lo, double hi, double *v)
{
    const wt_kv *kv = wt_gguf_kv(g, key);
    if (!kv) return absent(cx, g, key, required);
    bool real = kv->type == WT_KV_F32 || kv->type == WT_KV_F64;
    if (!real && !is_signed(kv->type) && !is_unsigned(kv->type)) return wrong(cx, g, kv, "a number");
    double x = real ? kv->v.f : is_signed(kv->type) ? (double)kv->v.i : (double)kv->v.u;
    if (!(x >= lo && x <= hi)) return wt_fail(cx, WT_EFORMAT, "%s: %s is %g, expected %g to %g", g->path, key, x, lo, hi);
    *v = x;
    return WITAN_OK;
}

wt_status wt_gguf_bool(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, bool *v)
{
    const wt_kv *kv = wt_gguf_kv(g, key);
    if (!kv) return absent(cx, g, key, required);
    if (kv->type != WT_KV_BOOL) return wrong(cx, g, kv, "a bool");
    *v = kv->v.b;
    return WITAN_OK;
}

wt_status wt_gguf_str(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, wt_str *v)
{
    const wt_kv *kv = wt_gguf_kv(g, key);
    if (!kv) return absent(cx, g, key, required);
    if (kv->type != WT_KV_STR) return wrong(cx, g, kv, "a string");
    *v = kv->v.str;
    return WITAN_OK;
}

/* ---- arrays --------------------------------------------------------------------------------------------------------- */

static wt_status find_array(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, const wt_kv **kv)
{
    *kv = wt_gguf_kv(g, key);
    if (!*kv) return absent(cx, g, key, required);
    return (*kv)->type == WT_KV_ARRAY ? WITAN_OK : wrong(cx, g, *kv, "an array");
}

static uint64_t number(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

wt_status wt_gguf_strs(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, wt_str **v, size_t *n)
{
    const wt_kv *kv;
    *v = NULL;
    *n = 0;
    WT_TRY(find_array(cx, g, key, required, &kv));
    if (!kv) return WITAN_OK;
    if (kv->item != WT_KV_STR) return wt_fail(cx, WT_EFORMAT, "%s: %s holds items of type %s, expected strings", g->path, key, wt_kv_type_name(kv->item));
    *v = wt_alloc(cx, (size_t)kv->count, sizeof **v);
    if (!*v) return WT_ENOMEM;
    const uint8_t *p = kv->items;                /* lengths were checked when the file was opened */
    for (uint64_t i = 0; i < kv->count; i++) {
        (*v)[i] = (wt_str){ (const char *)p + 8, (size_t)number(p, 8) };
        p += 8 + (*v)[i].n;
    }
    *n = (size_t)kv->count;
    return WITAN_OK;
}

static size_t item_bytes(wt_kv_type t)
{
    switch (t) {
    case WT_KV_U8: case WT_KV_I8: case WT_KV_BOOL: return 1;
    case WT_KV_U16: case WT_KV_I16: return 2;
    case WT_KV_U64: case WT_KV_I64: case WT_KV_F64: return 8;
    default: return 4;
    }
}

/* Item i as an integer or as a float. */
static int64_t int_item(const wt_kv *kv, size_t i)
{
    size_t n = item_bytes(kv->item);
    uint64_t u = number(kv->items + i * n, n);
    switch (kv->item) {
    case WT_KV_I8: return (int8_t)u;
    case WT_KV_I16: return (int16_t)u;
    case WT_KV_I32: return (int32_t)u;
    default: return (int64_t)u;
    }
}

static double num_item(const wt_kv *kv, size_t i)
{
    if (kv->item == WT_KV_F32) { float f; memcpy(&f, kv->items + i * 4, 4); return f; }
    if (kv->item == WT_KV_F64) { double d; memcpy(&d, kv->items + i * 8, 8); return d; }
    return (double)int_item(kv, i);
}

wt_status wt_gguf_ints(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, int64_t **v, size_t *n)
{
    const wt_kv *kv;
    *v = NULL;
    *n = 0;
    WT_TRY(find_array(cx, g, key, required, &kv));
    if (!kv) return WITAN_OK;
    if (!is_signed(kv->item) && !is_unsigned(kv->item))
        return wt_fail(cx, WT_EFORMAT, "%s: %s holds items of type %s, expected integers", g->path, key, wt_kv_type_name(kv->item));
    *v = wt_alloc(cx, (size_t)kv->count, sizeof **v);
    if (!*v) return WT_ENOMEM;
    for (size_t i = 0; i < kv->count; i++) (*v)[i] = int_item(kv, i);
    *n = (size_t)kv->count;
    return WITAN_OK;
}

wt_status wt_gguf_nums(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, float **v, size_t *n)
{
    const wt_kv *kv;
    *v = NULL;
    *n = 0;
    WT_TRY(find_array(cx, g, key, required, &kv));
    if (!kv) return WITAN_OK;
    if (kv->item == WT_KV_STR || kv->item == WT_KV_BOOL)
        return wt_fail(cx, WT_EFORMAT, "%s: %s holds items of type %s, expected numbers", g->path, key, wt_kv_type_name(kv->item));
    *v = wt_alloc(cx, (size_t)kv->count, sizeof **v);
    if (!*v) return WT_ENOMEM;
    for (size_t i = 0; i < kv->count; i++) (*v)[i] = (float)num_item(kv, i);
    *n = (size_t)kv->count;
    return WITAN_OK;
}

void wt_gguf_fingerprint(const wt_gguf *g, char hex[65])
{
    wt_sha h;
    wt_sha_init(&h);
    wt_sha_add(&h, g->map.data, g->data_at);
    for (size_t i = 0; i < g->n_part; i++) wt_sha_add(&h, g->part[i]->map.data, g->part[i]->data_at);
    for (size_t i = 0; i < g->n_tensor; i++) {
        const wt_tensor *t = g->tensor + i;
        size_t n = t->bytes < 2048 ? t->bytes : 2048;
        wt_sha_add(&h, t->data, n);
        wt_sha_add(&h, (const uint8_t *)t->data + t->bytes - n, n);
    }
    wt_sha_end(&h, hex);
}
