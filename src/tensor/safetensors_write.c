/* Writing safetensors. Sizes are known before the first byte of data, so every header is written once, data follows, and nothing is held in memory.
 * Headers are padded with spaces so that data begins at a multiple of 64. */
#include "tensor/safetensors.h"

#include <stdio.h>
#include <string.h>

enum { ALIGN = 64 };

typedef struct desc { char *name; wt_type type; int32_t n_dim; int64_t shape[4]; size_t bytes, part; } desc;

struct wt_st_out {
    wt_ctx *cx;
    char *dir;
    uint64_t most;
    desc *t; size_t n, cap;
    size_t n_part, at, done;     /* tensor being filled, its bytes so far */
    wt_out **file; size_t n_file;   /* begun; all but the last are sealed */
    bool begun;
};

wt_status wt_st_open(wt_ctx *cx, const char *dir, uint64_t most, wt_st_out **out)
{
    wt_st_out *o = wt_alloc(cx, 1, sizeof *o);
    if (!o) return WT_ENOMEM;
    *o = (wt_st_out){ .cx = cx, .dir = wt_strdup(cx, dir), .most = most };
    if (!o->dir) { wt_st_abort(&o); return WT_ENOMEM; }
    *out = o;
    return WITAN_OK;
}

wt_status wt_st_add(wt_st_out *o, const char *name, wt_type type, int32_t n_dim, const int64_t *shape)
{
    wt_assert(!o->begun && n_dim >= 1 && n_dim <= 4 && (type == WT_F32 || type == WT_F16 || type == WT_BF16));
    if (o->n == o->cap) {
        desc *t = wt_realloc(o->cx, o->t, o->cap * 2 + 64, sizeof *t);
        if (!t) return WT_ENOMEM;
        o->t = t;
        o->cap = o->cap * 2 + 64;
    }
    desc *d = o->t + o->n;
    *d = (desc){ .name = wt_strdup(o->cx, name), .type = type, .n_dim = n_dim, .bytes = type == WT_F32 ? 4 : 2 };
    if (!d->name) return WT_ENOMEM;
    o->n++;
    for (int32_t i = 0; i < n_dim; i++) {
        d->shape[i] = shape[i];
        if (wt_mul_over(d->bytes, (size_t)shape[i], &d->bytes)) return wt_fail(o->cx, WT_ELIMIT, "%s: tensor %s is too large", o->dir, name);
    }
    return WITAN_OK;
}

/* Which file each tensor goes to. */
static void share_out(wt_st_out *o)
{
    uint64_t sum = 0;
    size_t part = 0;
    for (size_t i = 0; i < o->n; i++) {
        if (o->most && sum && sum + o->t[i].bytes > o->most) { part++; sum = 0; }
        o->t[i].part = part;
        sum += o->t[i].bytes;
    }
    o->n_part = part + 1;
}

static char *file_name(const wt_st_out *o, size_t part)
{
    return o->n_part == 1 ? wt_strdup(o->cx, "model.safetensors") : wt_printf(o->cx, "model-%05zu-of-%05zu.safetensors", part + 1, o->n_part);
}

static void header(const wt_st_out *o, size_t part, wt_text *t)
{
    size_t at = 0;
    wt_text_puts(t, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < o->n; i++) {
        const desc *d = o->t + i;
        if (d->part != part) continue;
        wt_text_printf(t, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", d->name, d->type == WT_F32 ? "F32" : d->type == WT_F16 ? "F16" : "BF16");
        for (int32_t k = 0; k < d->n_dim; k++) wt_text_printf(t, "%s%lld", k ? "," : "", (long long)d->shape[k]);
        wt_text_printf(t, "],\"data_offsets\":[%zu,%zu]}", at, at + d->bytes);
        at += d->bytes;
    }
    wt_text_puts(t, "}");
    while ((t->n + 8) % ALIGN && !t->failed) wt_text_puts(t, " ");
}

/* The next file: name, length of the header, header. */
static wt_status begin_file(wt_st_out *o, size_t part)
{
    char *name = file_name(o, part), *path = name ? wt_printf(o->cx, "%s/%s", o->dir, name) : NULL, *text = NULL;
    size_t n = 0;
    wt_text t;
    wt_text_init(&t, o->cx);
    header(o, part, &t);
    wt_status st = wt_text_take(&t, &text, &n);
    if (st == WITAN_OK && !path) st = WT_ENOMEM;
    if (st == WITAN_OK && part) st = wt_out_seal(o->file[part - 1]);
    if (st == WITAN_OK) st = wt_out_open(o->cx, path, o->file + part);
    if (st == WITAN_OK) {
        o->n_file = part + 1;
        st = wt_out_write(o->file[part], &(uint64_t){ n }, 8);
    }
    if (st == WITAN_OK) st = wt_out_write(o->file[part], text, n);
    wt_free(o->cx, text);
    wt_free(o->cx, path);
    wt_free(o->cx, name);
    return st;
}

static wt_status begin(wt_st_out *o)
{
    o->begun = true;
    share_out(o);
    o->file = wt_alloc(o->cx, o->n_part, sizeof *o->file);
    return o->file ? begin_file(o, 0) : WT_ENOMEM;
}

wt_status wt_st_write(wt_st_out *o, const void *p, size_t n)
{
    if (!o->begun) WT_TRY(begin(o));
    for (const char *s = p; n;) {
        wt_assert(o->at < o->n);
        const desc *d = o->t + o->at;
        size_t k = d->bytes - o->done < n ? d->bytes - o->done : n;
        if (d->part == o->n_file) WT_TRY(begin_file(o, d->part));
        WT_TRY(wt_out_write(o->file[d->part], s, k));
        s += k;
        n -= k;
        o->done += k;
        if (o->done == d->bytes) { o->at++; o->done = 0; }
    }
    return WITAN_OK;
}

static wt_status write_index(const wt_st_out *o)
{
    char *path = wt_printf(o->cx, "%s/model.safetensors.index.json", o->dir), *text = NULL;
    size_t n, total = 0;
    wt_text t;
    wt_text_init(&t, o->cx);
    for (size_t i = 0; i < o->n; i++) total += o->t[i].bytes;
    wt_text_printf(&t, "{\"metadata\":{\"total_size\":%zu},\"weight_map\":{", total);
    for (size_t i = 0; i < o->n; i++) {
        char *name = file_name(o, o->t[i].part);
        wt_text_printf(&t, "%s\n\"%s\":\"%s\"", i ? "," : "", o->t[i].name, name ? name : "");
        t.failed |= !name;
        wt_free(o->cx, name);
    }
    wt_text_puts(&t, "}}\n");
    wt_status st = wt_text_take(&t, &text, &n);
    if (st == WITAN_OK) st = path ? wt_file_write(o->cx, path, text, n) : WT_ENOMEM;
    wt_free(o->cx, text);
    wt_free(o->cx, path);
    return st;
}

wt_status wt_st_commit(wt_st_out **out)
{
    wt_st_out *o = *out;
    wt_assert(o->begun && o->at == o->n && !o->done);
    wt_status st = wt_out_seal(o->file[o->n_file - 1]);
    for (size_t i = 0; st == WITAN_OK && i < o->n_file; i++) st = wt_out_commit(o->file + i);
    if (st == WITAN_OK && o->n_part > 1) st = write_index(o);
    wt_st_abort(out);
    return st;
}

void wt_st_abort(wt_st_out **out)
{
    wt_st_out *o = *out;
    if (!o) return;
    for (size_t i = 0; i < o->n_file; i++) wt_out_abort(o->file + i);
    for (size_t i = 0; i < o->n; i++) wt_free(o->cx, o->t[i].name);
    wt_free(o->cx, o->file);
    wt_free(o->cx, o->t);
    wt_free(o->cx, o->dir);
    wt_free(o->cx, o);
    *out = NULL;
}
