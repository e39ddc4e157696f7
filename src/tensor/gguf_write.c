/* Writing GGUF version 3, streaming. Key-value pairs are kept as bytes until the first tensor data comes; then the header, whose
 * offsets are all known, is written once, and data follows in the order of description. A model in several files is written one file
 * after the other; names are given at the end, the first file's last. */
#include "tensor/gguf.h"

#include "base/hash.h"
#include <string.h>

typedef struct pair { char *key; uint32_t type; uint8_t *raw; size_t n; } pair;
typedef struct desc { char name[64]; uint32_t type; int32_t n_dim; int64_t shape[WT_MAX_DIM]; size_t bytes, part; } desc;

struct wt_gguf_out {
    wt_ctx *cx;
    wt_out *out;                 /* the file being written */
    wt_out **sealed; size_t n_sealed, n_part;   /* files that are complete but for their names */
    uint64_t most;               /* bytes of tensors in one file, 0: all */
    pair *kv; size_t n_kv, cap_kv;
    uint32_t *slot; size_t n_slot;              /* look-up table over keys, index + 1 */
    desc *tensor; size_t n_tensor, cap_tensor;
    size_t at, done;             /* tensor being filled, its bytes so far */
    uint32_t alignment;
    bool begun;
    char *path;
};

wt_status wt_gguf_out_open(wt_ctx *cx, const char *path, wt_gguf_out **out)
{
    wt_gguf_out *o = wt_alloc(cx, 1, sizeof *o);
    if (!o) return WT_ENOMEM;
    o->cx = cx;
    o->alignment = 32;
    o->path = wt_strdup(cx, path);
    wt_status st = o->path ? wt_out_open(cx, path, &o->out) : WT_ENOMEM;
    if (st != WITAN_OK) wt_gguf_out_abort(&o); else *out = o;
    return st;
}

/* ---- description ---------------------------------------------------------------------------------------------------- */

static wt_status grow(wt_ctx *cx, void *p, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return WITAN_OK;
    void *q = wt_realloc(cx, *(void **)p, *cap * 2 + 16, size);
    if (!q) return WT_ENOMEM;
    *(void **)p = q;
    *cap = *cap * 2 + 16;
    return WITAN_OK;
}

/* Slot of a key: its own, or the free one where it would go. */
static uint32_t *slot_of(const wt_gguf_out *o, const char *key)
{
    size_t i = wt_hash_slot(wt_name_hash(0, key, strlen(key)), o->n_slot);
    while (o->slot[i] && strcmp(o->kv[o->slot[i] - 1].key, key)) i = (i + 1) & (o->n_slot - 1);
    return o->slot + i;
}

/* Room for one more key, table at most half full. */
static wt_status room(wt_gguf_out *o)
{
    WT_TRY(grow(o->cx, &o->kv, o->n_kv, &o->cap_kv, sizeof *o->kv));
    if (o->n_kv * 2 < o->n_slot) return WITAN_OK;
    size_t n = o->n_slot ? o->n_slot * 2 : 64;
    uint32_t *slot = wt_alloc(o->cx, n, sizeof *slot);
    if (!slot) return WT_ENOMEM;
    wt_free(o->cx, o->slot);
    o->slot = slot;
    o->n_slot = n;
    for (size_t i = 0; i < o->n_kv; i++) *slot_of(o, o->kv[i].key) = (uint32_t)i + 1;
    return WITAN_OK;
}

static wt_status put(wt_gguf_out *o, const char *key, wt_kv_type type, const void *raw, size_t n)
{
    wt_assert(!o->begun);
    pair fresh = { wt_strdup(o->cx, key), type, wt_realloc(o->cx, NULL, n, 1), n };
    wt_status st = fresh.key && fresh.raw ? room(o) : WT_ENOMEM;
    if (st != WITAN_OK) {
        wt_free(o->cx, fresh.key);
        wt_free(o->cx, fresh.raw);
        return st;
    }
    uint32_t *slot = slot_of(o, key);
    if (!*slot) *slot = (uint32_t)++o->n_kv;
    else { wt_free(o->cx, o->kv[*slot - 1].key); wt_free(o->cx, o->kv[*slot - 1].raw); }
    if (n) memcpy(fresh.raw, raw, n);
    o->kv[*slot - 1] = fresh;
    return WITAN_OK;
}

wt_status wt_gguf_put_raw(wt_gguf_out *o, const wt_kv *kv)
{
    if (!strcmp(kv->key, "general.alignment") && kv->type == WT_KV_U32) o->alignment = (uint32_t)kv->v.u;
    return put(o, kv->key, kv->type, kv->raw, kv->raw_n);
}

/* This machine is little-endian, as GGUF is. */
wt_status wt_gguf_put_u16(wt_gguf_out *o, const char *key, uint16_t v) { return put(o, key, WT_KV_U16, &v, 2); }
wt_status wt_gguf_put_u32(wt_gguf_out *o, const char *key, uint32_t v) { return put(o, key, WT_KV_U32, &v, 4); }
wt_status wt_gguf_put_u64(wt_gguf_out *o, const char *key, uint64_t v) { return put(o, key, WT_KV_U64, &v, 8); }
wt_status wt_gguf_put_i64(wt_gguf_out *o, const char *key, int64_t v) { return put(o, key, WT_KV_I64, &v, 8); }
wt_status wt_gguf_put_f32(wt_gguf_out *o, const char *key, float v) { return put(o, key, WT_KV_F32, &v, 4); }
wt_status wt_gguf_put_f64(wt_gguf_out *o, const char *key, double v) { return put(o, key, WT_KV_F64, &v, 8); }
wt_status wt_gguf_put_bool(wt_gguf_out *o, const char *key, bool v) { return put(o, key, WT_KV_BOOL, &(uint8_t){ v }, 1); }

static void text_u64(wt_text *t, uint64_t v) { wt_text_put(t, (const char *)&v, 8); }
static void text_u32(wt_text *t, uint32_t v) { wt_text_put(t, (const char *)&v, 4); }

static wt_status put_text(wt_gguf_out *o, const char *key, wt_kv_type type, wt_text *t)
{
    wt_status st = t->failed ? wt_fail(o->cx, WT_ENOMEM, "out of memory writing %s", key) : put(o, key, type, t->s, t->n);
    wt_text_free(t);
    return st;
}

wt_status wt_gguf_put_str(wt_gguf_out *o, const char *key, const char *v)
{
    wt_text t;
    wt_text_init(&t, o->cx);
    text_u64(&t, strlen(v));
    wt_text_puts(&t, v);
    return put_text(o, key, WT_KV_STR, &t);
}

wt_status wt_gguf_put_strs(wt_gguf_out *o, const char *key, const wt_str *v, size_t n)
{
    wt_text t;
    wt_text_init(&t, o->cx);
    text_u32(&t, WT_KV_STR);
    text_u64(&t, n);
    for (size_t i = 0; i < n; i++) {
        text_u64(&t, v[i].n);
        wt_text_put(&t, v[i].s, v[i].n);
    }
    return put_text(o, key, WT_KV_ARRAY, &t);
}

static wt_status put_array(wt_gguf_out *o, const char *key, wt_kv_type item, const void *v, size_t n, size_t size)
{
    wt_text t;
    wt_text_init(&t, o->cx);
    text_u32(&t, item);
    text_u64(&t, n);
    wt_text_put(&t, v, n * size);
    return put_text(o, key, WT_KV_ARRAY, &t);
}

wt_status wt_gguf_put_i32s(wt_gguf_out *o, const char *key, const int32_t *v, size_t n) { return put_array(o, key, WT_KV_I32, v, n, 4); }
wt_status wt_gguf_put_u32s(wt_gguf_out *o, const char *key, const uint32_t *v, size_t n) { return put_array(o, key, WT_KV_U32, v, n, 4); }
wt_status wt_gguf_put_f32s(wt_gguf_out *o, const char *key, const float *v, size_t n) { return put_array(o, key, WT_KV_F32, v, n, 4); }

wt_status wt_gguf_add_tensor(wt_gguf_out *o, const char *name, wt_type type, int32_t n_dim, const int64_t *shape)
{
    wt_assert(!o->begun && strlen(name) < 64 && n_dim >= 1 && n_dim <= WT_MAX_DIM);
    desc d = { .type = type, .n_dim = n_dim };
    size_t rows = 1;
    strcpy(d.name, name);
    for (int32_t i = 0; i < n_dim; i++) d.shape[i] = shape[i];
    for (int32_t i = 0; i + 1 < n_dim; i++)
        if (wt_mul_over(rows, (size_t)shape[i], &rows)) return wt_fail(o->cx, WT_ELIMIT, "%s: tensor %s is too large", o->path, name);
    if (!wt_row_bytes(type, (uint64_t)shape[n_dim - 1], &d.bytes) || wt_mul_over(d.bytes, rows, &d.bytes))
        return wt_fail(o->cx, WT_EARG, "%s: tensor %s: rows of %lld values cannot be stored as %s", o->path, name, (long long)shape[n_dim - 1],
                       wt_type_get(type)->name);
    WT_TRY(grow(o->cx, &o->tensor, o->n_tensor, &o->cap_tensor, sizeof *o->tensor));
    o->tensor[o->n_tensor++] = d;
    return WITAN_OK;
}

/* ---- bytes ---------------------------------------------------------------------------------------------------------- */

static wt_status w_u32(wt_out *f, uint32_t v) { return wt_out_write(f, &v, 4); }
static wt_status w_u64(wt_out *f, uint64_t v) { return wt_out_write(f, &v, 8); }

static wt_status w_name(wt_out *f, const char *s)
{
    WT_TRY(w_u64(f, strlen(s)));
    return wt_out_write(f, s, strlen(s));
}

static wt_status pad(wt_gguf_out *o) { return wt_out_zero(o->out, (size_t)(-wt_out_pos(o->out) & (o->alignment - 1))); }

static size_t padded(const wt_gguf_out *o, size_t n) { return (n + o->alignment - 1) / o->alignment * o->alignment; }

static size_t part_first(const wt_gguf_out *o, size_t part)
{
    size_t i = 0;
    while (i < o->n_tensor && o->tensor[i].part < part) i++;
    return i;
}

static wt_status w_pair(wt_out *f, const pair *kv)
{
    WT_TRY(w_name(f, kv->key));
    WT_TRY(w_u32(f, kv->type));
    return wt_out_write(f, kv->raw, kv->n);
}

/* The first file has all keys, the others what tells them apart and how they are aligned. */
static bool belongs(const pair *kv, size_t part)
{
    return !part || !strcmp(kv->key, "general.alignment") || !strncmp(kv->key, "split.", 6);
}

static wt_status header(wt_gguf_out *o, size_t part)
{
    wt_out *f = o->out;
    uint64_t offset = 0, n_kv = 0;
    size_t from = part_first(o, part), to = part_first(o, part + 1);
    if (o->n_part > 1) {
        o->begun = false;                         /* the one key that differs from file to file */
        WT_TRY(wt_gguf_put_u16(o, "split.no", (uint16_t)part));
    }
    o->begun = true;
    for (size_t i = 0; i < o->n_kv; i++) n_kv += belongs(o->kv + i, part);
    WT_TRY(wt_out_write(f, "GGUF", 4));
    WT_TRY(w_u32(f, 3));
    WT_TRY(w_u64(f, to - from));
    WT_TRY(w_u64(f, n_kv));
    for (size_t i = 0; i < o->n_kv; i++) if (belongs(o->kv + i, part)) WT_TRY(w_pair(f, o->kv + i));
    for (size_t i = from; i < to; i++) {
        const desc *d = o->tensor + i;
        WT_TRY(w_name(f, d->name));
        WT_TRY(w_u32(f, (uint32_t)d->n_dim));
        for (int32_t j = d->n_dim; j > 0; j--) WT_TRY(w_u64(f, (uint64_t)d->shape[j - 1]));
        WT_TRY(w_u32(f, d->type));
        WT_TRY(w_u64(f, offset));
        offset += padded(o, d->bytes);
    }
    return pad(o);
}

/* ---- several files --------------------------------------------------------------------------------------------------- */

void wt_gguf_out_split(wt_gguf_out *o, uint64_t most) { o->most = most; }

static void lay_out(wt_gguf_out *o)
{
    uint64_t bytes = 0;
    size_t part = 0;
    for (size_t i = 0; i < o->n_tensor; i++) {
        if (o->most && bytes && bytes + o->tensor[i].bytes > o->most) { part++; bytes = 0; }
        o->tensor[i].part = part;
        bytes += o->tensor[i].bytes;
    }
    o->n_part = part + 1;
}

static char *part_path(const wt_gguf_out *o, size_t part)
{
    size_t n = strlen(o->path);
    if (n > 5 && !strcmp(o->path + n - 5, ".gguf")) n -= 5;
    return o->n_part > 1 ? wt_gguf_part_name(o->cx, o->path, n, (int64_t)part, (int64_t)o->n_part) : wt_strdup(o->cx, o->path);
}

wt_status wt_gguf_out_parts(wt_gguf_out *o, size_t *n, char **first)
{
    lay_out(o);
    *n = o->n_part;
    *first = part_path(o, 0);
    return *first ? WITAN_OK : WT_ENOMEM;
}

static wt_status seal(wt_gguf_out *o)
{
    WT_TRY(wt_out_seal(o->out));
    o->sealed[o->n_sealed++] = o->out;
    o->out = NULL;
    return WITAN_OK;
}

static wt_status open_part(wt_gguf_out *o, size_t part)
{
    if (o->n_part > 1) {
        wt_out_abort(&o->out);                    /* the one that showed that the folder can be written, if it is the first */
        char *path = part_path(o, part);
        if (!path) return WT_ENOMEM;
        wt_status st = wt_out_open(o->cx, path, &o->out);
        wt_free(o->cx, path);
        WT_TRY(st);
    }
    return header(o, part);
}

static wt_status begin(wt_gguf_out *o)
{
    lay_out(o);
    if (o->n_part > 1000) return wt_fail(o->cx, WT_ELIMIT, "%s: would need %zu files, at most 1000 are possible: allow larger ones", o->path, o->n_part);
    o->sealed = wt_alloc(o->cx, o->n_part, sizeof *o->sealed);
    if (!o->sealed) return WT_ENOMEM;
    if (o->n_part > 1) {
        int32_t n = (int32_t)o->n_tensor;
        WT_TRY(wt_gguf_put_u16(o, "split.count", (uint16_t)o->n_part));
        WT_TRY(put(o, "split.tensors.count", WT_KV_I32, &n, 4));
    }
    return open_part(o, 0);
}

wt_status wt_gguf_write(wt_gguf_out *o, const void *p, size_t n)
{
    if (!o->begun) WT_TRY(begin(o));
    while (n) {
        wt_assert(o->at < o->n_tensor);
        const desc *d = o->tensor + o->at;
        if (d->part > o->n_sealed) {
            WT_TRY(seal(o));
            WT_TRY(open_part(o, d->part));
        }
        size_t left = d->bytes - o->done, k = n < left ? n : left;
        WT_TRY(wt_out_write(o->out, p, k));
        p = (const uint8_t *)p + k;
        n -= k;
        o->done += k;
        if (o->done < d->bytes) continue;
        WT_TRY(pad(o));
        o->at++;
        o->done = 0;
    }
    return WITAN_OK;
}

static void drop(wt_gguf_out *o)
{
    for (size_t i = 0; i < o->n_kv; i++) {
        wt_free(o->cx, o->kv[i].key);
        wt_free(o->cx, o->kv[i].raw);
    }
    wt_free(o->cx, o->sealed);
    wt_free(o->cx, o->kv);
    wt_free(o->cx, o->slot);
    wt_free(o->cx, o->tensor);
    wt_free(o->cx, o->path);
    wt_free(o->cx, o);
}

/* Names from the last file to the first: who finds the first finds all. */
static wt_status name_all(wt_gguf_out *o)
{
    wt_status st = seal(o);
    size_t k = o->n_sealed;
    while (st == WITAN_OK && k) st = wt_out_commit(&o->sealed[--k]);
    for (k++; st != WITAN_OK && k < o->n_sealed; k++) {           /* one has no name: the others are of no use */
        char *path = part_path(o, k);
        if (path) o->cx->io.unlink(o->cx->io.user, path);
        wt_free(o->cx, path);
    }
    return st;
}

wt_status wt_gguf_out_commit(wt_gguf_out **out)
{
    wt_gguf_out *o = *out;
    wt_status st = o->begun ? WITAN_OK : begin(o);
    if (st == WITAN_OK) wt_assert(o->at == o->n_tensor);
    if (st == WITAN_OK) st = name_all(o);
    wt_gguf_out_abort(out);
    return st;
}

void wt_gguf_out_abort(wt_gguf_out **out)
{
    if (!*out) return;
    for (size_t i = 0; i < (*out)->n_sealed; i++) wt_out_abort(&(*out)->sealed[i]);
    wt_out_abort(&(*out)->out);
    drop(*out);
    *out = NULL;
}
