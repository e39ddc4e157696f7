/* Reading GGUF. A cursor walks the mapped header; it never passes the end, and counts are compared with the bytes that remain
 * before anything is allocated for them. */
#include "tensor/gguf.h"

#include "base/thread.h"
#include <stdlib.h>
#include <string.h>

enum { MOST_COUNT = 1000000, MIN_KV = 14, MIN_TENSOR = 33, NAMES = 1 << 14 };

static const struct { const char *name; size_t bytes; } kv_type[WT_KV_N] = {
    { "u8", 1 }, { "i8", 1 }, { "u16", 2 }, { "i16", 2 }, { "u32", 4 }, { "i32", 4 }, { "f32", 4 }, { "bool", 1 }, { "string", 0 },
    { "array", 0 }, { "u64", 8 }, { "i64", 8 }, { "f64", 8 },
};

const char *wt_kv_type_name(wt_kv_type t) { return (unsigned)t < WT_KV_N ? kv_type[t].name : "?"; }

typedef struct cursor {
    wt_ctx *cx;
    const char *path;
    const uint8_t *p; size_t at, n;
    wt_arena *names; char *room; size_t n_room;      /* of names, packed: there may be a million */
} cursor;

static wt_status cut(const cursor *c, const char *what)
{
    return wt_fail(c->cx, WT_EFORMAT, "%s: ends inside %s (at byte %zu of %zu): truncated or not a GGUF file", c->path, what, c->at, c->n);
}

static wt_status bytes(cursor *c, size_t n, const char *what, const uint8_t **p)
{
    *p = NULL;
    if (n > c->n - c->at) return cut(c, what);
    *p = c->p + c->at;
    c->at += n;
    return WITAN_OK;
}

static uint64_t number(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static wt_status u32(cursor *c, const char *what, uint32_t *v)
{
    const uint8_t *p;
    WT_TRY(bytes(c, 4, what, &p));
    *v = (uint32_t)number(p, 4);
    return WITAN_OK;
}

static wt_status u64(cursor *c, const char *what, uint64_t *v)
{
    const uint8_t *p;
    WT_TRY(bytes(c, 8, what, &p));
    *v = number(p, 8);
    return WITAN_OK;
}

static wt_status string(cursor *c, const char *what, wt_str *s)
{
    uint64_t n;
    WT_TRY(u64(c, what, &n));
    if (n > c->n - c->at || n > (uint64_t)1 << 30)
        return wt_fail(c->cx, WT_EFORMAT, "%s: %s is %llu bytes long, but %zu remain in the file", c->path, what, (unsigned long long)n, c->n - c->at);
    const uint8_t *p;
    WT_TRY(bytes(c, (size_t)n, what, &p));
    *s = (wt_str){ (const char *)p, (size_t)n };
    return WITAN_OK;
}

/* ---- key-value pairs ------------------------------------------------------------------------------------------------ */

static wt_status bool_byte(const cursor *c, const char *key, uint8_t b)
{
    return b < 2 ? WITAN_OK : wt_fail(c->cx, WT_EFORMAT, "%s: %s: a bool is %u, expected 0 or 1", c->path, key, b);
}

static wt_status array(cursor *c, wt_kv *kv)
{
    uint32_t item;
    WT_TRY(u32(c, kv->key, &item));
    WT_TRY(u64(c, kv->key, &kv->count));
    if (item >= WT_KV_N) return wt_fail(c->cx, WT_EFORMAT, "%s: %s: array items of unknown type %u", c->path, kv->key, item);
    if (item == WT_KV_ARRAY) return wt_fail(c->cx, WT_EFORMAT, "%s: %s: arrays of arrays are not allowed", c->path, kv->key);
    kv->item = (wt_kv_type)item;
    size_t each = item == WT_KV_STR ? 8 : kv_type[item].bytes;
    if (kv->count > 1 << 30 || kv->count > (c->n - c->at) / each)
        return wt_fail(c->cx, WT_EFORMAT, "%s: %s: an array of %llu items does not fit into the %zu bytes that remain", c->path, kv->key,
                       (unsigned long long)kv->count, c->n - c->at);
    kv->items = c->p + c->at;
    if (item != WT_KV_STR) {
        const uint8_t *p;
        WT_TRY(bytes(c, (size_t)kv->count * each, kv->key, &p));
        for (uint64_t i = 0; item == WT_KV_BOOL && i < kv->count; i++) WT_TRY(bool_byte(c, kv->key, p[i]));
        return WITAN_OK;
    }
    wt_str s;
    for (uint64_t i = 0; i < kv->count; i++) WT_TRY(string(c, kv->key, &s));
    return WITAN_OK;
}

static wt_status scalar(cursor *c, wt_kv *kv)
{
    const uint8_t *p;
    size_t n = kv_type[kv->type].bytes;
    WT_TRY(bytes(c, n, kv->key, &p));
    uint64_t u = number(p, n);
    switch (kv->type) {
    case WT_KV_I8: kv->v.i = (int8_t)u; break;
    case WT_KV_I16: kv->v.i = (int16_t)u; break;
    case WT_KV_I32: kv->v.i = (int32_t)u; break;
    case WT_KV_F32: { float f; memcpy(&f, p, 4); kv->v.f = f; break; }
    case WT_KV_F64: memcpy(&kv->v.f, p, 8); break;
    case WT_KV_BOOL: WT_TRY(bool_byte(c, kv->key, p[0])); kv->v.b = p[0]; break;
    default: kv->v.u = u;
    }
    return WITAN_OK;
}

static char *name_room(cursor *c, size_t n)
{
    if (n > c->n_room) {
        size_t more = n > NAMES ? n : NAMES;
        c->room = wt_take(c->names, more);
        c->n_room = c->room ? more : 0;
        if (!c->room) return NULL;
    }
    c->room += n;
    c->n_room -= n;
    return c->room - n;
}

/* A name: printable ASCII, at least one character. Copied with an end mark. */
static wt_status name(cursor *c, const char *what, size_t most, const char **out)
{
    wt_str s;
    WT_TRY(string(c, what, &s));
    if (!s.n || s.n > most) return wt_fail(c->cx, WT_EFORMAT, "%s: %s of %zu bytes, expected 1 to %zu", c->path, what, s.n, most);
    for (size_t i = 0; i < s.n; i++)
        if (s.s[i] < 32 || s.s[i] > 126) return wt_fail(c->cx, WT_EFORMAT, "%s: %s holds byte 0x%02x, expected printable ASCII", c->path, what, (unsigned char)s.s[i]);
    char *copy = name_room(c, s.n + 1);
    if (!copy) return WT_ENOMEM;
    memcpy(copy, s.s, s.n);
    copy[s.n] = 0;
    *out = copy;
    return WITAN_OK;
}

static wt_status one_kv(cursor *c, wt_kv *kv)
{
    uint32_t type;
    WT_TRY(name(c, "a key", 65535, &kv->key));
    WT_TRY(u32(c, kv->key, &type));
    if (type >= WT_KV_N) return wt_fail(c->cx, WT_EFORMAT, "%s: %s: unknown value type %u", c->path, kv->key, type);
    kv->type = (wt_kv_type)type;
    size_t start = c->at;
    if (type == WT_KV_STR) WT_TRY(string(c, kv->key, &kv->v.str));
    else if (type == WT_KV_ARRAY) WT_TRY(array(c, kv));
    else WT_TRY(scalar(c, kv));
    kv->raw = c->p + start;
    kv->raw_n = c->at - start;
    return WITAN_OK;
}

/* ---- tensors -------------------------------------------------------------------------------------------------------- */

static wt_status sizes(const cursor *c, wt_tensor *t, uint32_t type, uint32_t n_dim, const uint64_t *ne)
{
    const wt_type_info *ti = wt_type_get(type);
    if (!ti->block) return wt_fail(c->cx, WT_EUNSUPPORTED, "%s: %s: unknown block type %u", c->path, t->name, type);
    t->type = (wt_type)type;
    t->n_dim = (int32_t)n_dim;
    t->n = 1;
    for (uint32_t i = 0; i < n_dim; i++) {
        if (ne[i] < 1 || ne[i] > (uint64_t)1 << 40 || wt_mul_over(t->n, (size_t)ne[i], &t->n))
            return wt_fail(c->cx, WT_EFORMAT, "%s: %s: impossible dimension %llu", c->path, t->name, (unsigned long long)ne[i]);
        t->shape[n_dim - 1 - i] = (int64_t)ne[i];
    }
    for (uint32_t i = n_dim; i < WT_MAX_DIM; i++) t->shape[i] = 1;
    if (ne[0] % ti->block)
        return wt_fail(c->cx, WT_EFORMAT, "%s: %s: rows of %llu values are not whole blocks of %u (%s)", c->path, t->name,
                       (unsigned long long)ne[0], ti->block, ti->name);
    if (ti->group && (n_dim < 2 || ne[1] % WT_GROUP))
        return wt_fail(c->cx, WT_EFORMAT, "%s: %s: %llu rows are not whole groups of %d (%s)", c->path, t->name, (unsigned long long)(n_dim < 2 ? 1 : ne[1]), WT_GROUP, ti->name);
    if (wt_mul_over(t->n / ti->block, ti->bytes, &t->bytes))
        return wt_fail(c->cx, WT_EFORMAT, "%s: %s: more bytes than memory can address", c->path, t->name);
    return WITAN_OK;
}

static wt_status one_tensor(cursor *c, wt_tensor *t, uint64_t *offset)
{
    uint32_t n_dim, type;
    uint64_t ne[WT_MAX_DIM] = { 0 };
    WT_TRY(name(c, "a tensor name", 63, &t->name));
    WT_TRY(u32(c, t->name, &n_dim));
    if (n_dim < 1 || n_dim > WT_MAX_DIM) return wt_fail(c->cx, WT_EFORMAT, "%s: %s: %u dimensions, expected 1 to 4", c->path, t->name, n_dim);
    for (uint32_t i = 0; i < n_dim; i++) WT_TRY(u64(c, t->name, ne + i));
    WT_TRY(u32(c, t->name, &type));
    WT_TRY(u64(c, t->name, offset));
    return sizes(c, t, type, n_dim, ne);
}

static int by_offset(const void *a, const void *b)
{
    const wt_tensor *x = *(const wt_tensor *const *)a, *y = *(const wt_tensor *const *)b;
    return x->data < y->data ? -1 : x->data > y->data;
}

/* Ranges inside the file, aligned, none over another. */
static wt_status place(wt_gguf *g)
{
    wt_ctx *cx = g->cx;
    size_t room = g->map.n - g->data_at;
    for (size_t i = 0; i < g->n_tensor; i++) {
        wt_tensor *t = g->tensor + i;
        if (g->offset[i] % g->alignment)
            return wt_fail(cx, WT_EFORMAT, "%s: %s: offset %llu is not a multiple of %u", g->path, t->name, (unsigned long long)g->offset[i], g->alignment);
        if (g->offset[i] > room || t->bytes > room - g->offset[i])
            return wt_fail(cx, WT_EFORMAT, "%s: %s: needs %zu bytes at offset %llu, but the data part has %zu: truncated file", g->path, t->name,
                           t->bytes, (unsigned long long)g->offset[i], room);
        t->data = g->map.data + g->data_at + g->offset[i];
    }
    const wt_tensor **sorted = wt_alloc(cx, g->n_tensor, sizeof *sorted);
    if (!sorted) return WT_ENOMEM;
    for (size_t i = 0; i < g->n_tensor; i++) sorted[i] = g->tensor + i;
    qsort(sorted, g->n_tensor, sizeof *sorted, by_offset);
    wt_status st = WITAN_OK;
    for (size_t i = 1; st == WITAN_OK && i < g->n_tensor; i++)
        if ((const uint8_t *)sorted[i]->data < (const uint8_t *)sorted[i - 1]->data + sorted[i - 1]->bytes)
            st = wt_fail(cx, WT_EFORMAT, "%s: %s and %s overlap", g->path, sorted[i - 1]->name, sorted[i]->name);
    wt_free(cx, sorted);
    return st;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

/* What people have at hand when it is not GGUF. */
static wt_status other_format(cursor *c, const uint8_t *m)
{
    static const struct { const char *magic, *name; } known[] = {
        { "PK\3\4", "a PyTorch (zip) file" }, { "tjgg", "a GGML file of old" }, { "fmgg", "a GGML file of old" }, { "lmgg", "a GGML file of old" } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!memcmp(m, known[i].magic, 4)) return wt_fail(c->cx, WT_EFORMAT, "%s: expected a GGUF file, this is %s", c->path, known[i].name);
    if (c->n > 9 && c->p[8] == '{') return wt_fail(c->cx, WT_EFORMAT, "%s: expected a GGUF file, this looks like a safetensors file", c->path);
    return wt_fail(c->cx, WT_EFORMAT, "%s: not a GGUF file (begins with bytes %02x %02x %02x %02x)", c->path, m[0], m[1], m[2], m[3]);
}

static wt_status header(cursor *c, wt_gguf *g, uint64_t *n_tensor, uint64_t *n_kv)
{
    const uint8_t *magic;
    WT_TRY(bytes(c, 4, "the header", &magic));
    if (memcmp(magic, "GGUF", 4)) return other_format(c, magic);
    WT_TRY(u32(c, "the header", &g->version));
    if (g->version > 0xffff && !(g->version & 0xffff))
        return wt_fail(c->cx, WT_EUNSUPPORTED, "%s: big-endian GGUF is not supported", c->path);
    if (g->version < 2 || g->version > 3)
        return wt_fail(c->cx, WT_EUNSUPPORTED, "%s: GGUF version %u; versions 2 and 3 can be read", c->path, g->version);
    WT_TRY(u64(c, "the header", n_tensor));
    WT_TRY(u64(c, "the header", n_kv));
    size_t left = c->n - c->at;
    if (*n_tensor > MOST_COUNT || *n_kv > MOST_COUNT || *n_tensor > left / MIN_TENSOR || *n_kv > left / MIN_KV)
        return wt_fail(c->cx, WT_EFORMAT, "%s: claims %llu tensors and %llu keys, more than %zu bytes can hold", c->path,
                       (unsigned long long)*n_tensor, (unsigned long long)*n_kv, left);
    return WITAN_OK;
}

static wt_status alignment(wt_gguf *g)
{
    const wt_kv *kv = wt_gguf_kv(g, "general.alignment");
    g->alignment = 32;
    if (!kv) return WITAN_OK;
    if (kv->type != WT_KV_U32 || kv->v.u < 8 || kv->v.u > 1 << 20 || (kv->v.u & (kv->v.u - 1)))   /* 8: numbers are read where they stand */
        return wt_fail(g->cx, WT_EFORMAT, "%s: general.alignment: expected a u32 power of two from 8 to 2^20", g->path);
    g->alignment = (uint32_t)kv->v.u;
    return WITAN_OK;
}

static wt_status parse(wt_gguf *g)
{
    cursor c = { .cx = g->cx, .path = g->path, .p = g->map.data, .n = g->map.n, .names = &g->names };
    uint64_t n_tensor, n_kv;
    WT_TRY(header(&c, g, &n_tensor, &n_kv));
    g->kv = wt_alloc(g->cx, (size_t)n_kv, sizeof *g->kv);
    g->tensor = wt_alloc(g->cx, (size_t)n_tensor, sizeof *g->tensor);
    g->offset = wt_alloc(g->cx, (size_t)n_tensor, sizeof *g->offset);
    if (!g->kv || !g->tensor || !g->offset) return WT_ENOMEM;
    for (; g->n_kv < n_kv; g->n_kv++) WT_TRY(one_kv(&c, g->kv + g->n_kv));
    WT_TRY(wt_gguf_index_keys(g));
    WT_TRY(alignment(g));
    for (; g->n_tensor < n_tensor; g->n_tensor++) WT_TRY(one_tensor(&c, g->tensor + g->n_tensor, g->offset + g->n_tensor));
    WT_TRY(wt_gguf_index_tensors(g));
    g->data_at = (c.at + g->alignment - 1) / g->alignment * g->alignment;
    if (g->data_at > g->map.n) {
        if (g->n_tensor) return cut(&c, "the padding before the data");
        g->data_at = g->map.n;
    }
    return place(g);
}

wt_status wt_gguf_open_one(wt_ctx *cx, const char *path, wt_gguf **out)
{
    wt_gguf *g = wt_alloc(cx, 1, sizeof *g);
    if (!g) return WT_ENOMEM;
    g->cx = cx;
    g->map.fd = -1;
    wt_arena_init(&g->names, cx, 1 << 14);
    g->path = wt_strdup(cx, path);
    wt_status st = g->path ? wt_map_open(cx, path, &g->map) : WT_ENOMEM;
    if (st == WITAN_OK) st = parse(g);
    if (st != WITAN_OK) { wt_gguf_free(g); return st; }
    *out = g;
    return WITAN_OK;
}

wt_status wt_gguf_open(wt_ctx *cx, const char *path, wt_gguf **out)
{
    wt_gguf *g;
    WT_TRY(wt_gguf_open_one(cx, path, &g));
    wt_status st = wt_gguf_join(g);
    if (st != WITAN_OK) { wt_gguf_free(g); return st; }
    *out = g;
    return WITAN_OK;
}

void wt_gguf_free(wt_gguf *g)
{
    if (!g) return;
    for (size_t i = 0; i < g->n_part; i++) wt_gguf_free(g->part[i]);
    wt_map_close(g->cx, &g->map);
    wt_free(g->cx, g->part);
    wt_free(g->cx, g->path);
    wt_free(g->cx, g->kv);
    wt_free(g->cx, g->tensor);
    wt_free(g->cx, g->offset);
    wt_arena_free(&g->names);
    wt_free(g->cx, g->key_hash);
    wt_free(g->cx, g->name_hash);
    wt_free(g->cx, g);
}

/* ---- reading ahead ----------------------------------------------------------------------------------------------------- */

enum { TOUCH = 4096, AT_ONCE = 1 << 28 };        /* bytes between two reads; between two reports */

typedef struct touching { const volatile uint8_t *p; size_t n; } touching;

static void touch(void *arg, size_t begin, size_t end, int worker)
{
    const touching *t = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) (void)t->p[i * TOUCH];
}

static wt_status touch_all(wt_ctx *cx, const wt_map *m)
{
    for (size_t at = 0, n; at < m->n; at += n) {
        n = m->n - at < AT_ONCE ? m->n - at : AT_ONCE;
        touching t = { m->data + at, n };
        wt_parallel(cx, (n + TOUCH - 1) / TOUCH, 256, touch, &t);
        WT_TRY(wt_progress(cx, "read", (double)(at + n), (double)m->n, "bytes"));
    }
    return WITAN_OK;
}

wt_status wt_gguf_prefault(wt_ctx *cx, const wt_gguf *g)
{
    WT_TRY(touch_all(cx, &g->map));
    for (size_t i = 0; i < g->n_part; i++) WT_TRY(touch_all(cx, &g->part[i]->map));
    return WITAN_OK;
}
