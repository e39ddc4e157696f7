/* Calibration records as JSON. The schema is in docs/record.md. */
#include "edit/record.h"

#include "base/file.h"
#include <stdio.h>
#include <string.h>

enum { MOST_BYTES = 1 << 30 };

/* ---- writing -------------------------------------------------------------------------------------------------------- */

static void put_field(wt_text *t, const wt_record_layer *l, const wt_sum_field *f)
{
    wt_text_printf(t, ",\"%s\":[", f->name);
    for (int32_t e = 0; e < l->n_exp; e++) {
        if (e) wt_text_puts(t, ",");
        wt_text_num(t, *(const double *)((const char *)(l->sum + e) + f->offset));
    }
    wt_text_puts(t, "]");
}

static void put_layer(wt_text *t, const wt_record_layer *l, int32_t number)
{
    wt_text_printf(t, "%s\n   {\"layer\":%d,\"experts\":%d,\"sum_c\":", number ? "," : "", number, l->n_exp);
    wt_text_num(t, l->c);
    for (const wt_sum_field *f = wt_sum_fields; f->name; f++) put_field(t, l, f);
    wt_text_puts(t, ",\"together\":[");
    bool first = true;
    for (int32_t a = 0; a < l->n_exp; a++)
        for (int32_t b = a + 1; b < l->n_exp; b++, first = false) {
            if (!first) wt_text_puts(t, ",");
            wt_text_num(t, l->co[(size_t)a * (size_t)l->n_exp + (size_t)b]);
        }
    wt_text_puts(t, "]}");
}

static void put_all(wt_text *t, const wt_record *r)
{
    wt_text_puts(t, "{\"witan_record\":1,\"model\":{\"name\":");
    wt_text_json(t, r->model_name, strlen(r->model_name));
    wt_text_printf(t, ",\"fingerprint\":\"%s\"},\"data\":\"%s\",\"experts_used\":%d,\"domains\":[", r->fingerprint, r->data_digest, r->n_exp_used);
    for (size_t i = 0; i < r->n_domain; i++) {
        const wt_record_domain *d = r->domain[i];
        wt_text_puts(t, i ? ",\n  {\"name\":" : "\n  {\"name\":");
        wt_text_json(t, d->name, strlen(d->name));
        wt_text_printf(t, ",\"documents\":%lld,\"tokens\":%lld,\"layers\":[", (long long)d->n_doc, (long long)d->n_tok);
        for (int32_t l = 0; l < r->n_layer; l++) put_layer(t, d->layer + l, l);
        wt_text_puts(t, "]}");
    }
    wt_text_puts(t, "]}\n");
}

wt_status witan_record_save(wt_ctx *cx, const wt_record *r, const char *path)
{
    wt_text t;
    char *s;
    size_t n;
    wt_text_init(&t, cx);
    put_all(&t, r);
    WT_TRY(wt_text_take(&t, &s, &n));
    wt_status st = wt_file_write(cx, path, s, n);
    wt_free(cx, s);
    return st;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

wt_status wt_digest_read(wt_ctx *cx, const json_t *o, const char *where, const char *key, bool may_be_empty, char out[65])
{
    const char *s;
    WT_TRY(wt_json_str(cx, o, where, key, &s));
    size_t n = strlen(s);
    if (!(n == 64 && strspn(s, "0123456789abcdef") == 64) && !(may_be_empty && !n))
        return wt_fail(cx, WT_EFORMAT, "%s: \"%s\" is not 64 hexadecimal digits", where, key);
    memcpy(out, s, n + 1);
    return WITAN_OK;
}

static wt_status numbers(wt_ctx *cx, const json_t *o, const char *where, const char *key, size_t n, double *v, size_t stride)
{
    json_t *a;
    WT_TRY(wt_json_array(cx, o, where, key, &a));
    if (json_array_size(a) != n) return wt_fail(cx, WT_EFORMAT, "%s: \"%s\" has %zu entries, expected %zu", where, key, json_array_size(a), n);
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(a, i);
        if (!json_is_number(x) || json_number_value(x) < 0) return wt_fail(cx, WT_EFORMAT, "%s: \"%s\" entry %zu is not a number of 0 or more", where, key, i);
        v[i * stride] = json_number_value(x);
    }
    return WITAN_OK;
}

static wt_status get_together(wt_ctx *cx, const json_t *o, const char *where, wt_record_layer *l)
{
    size_t e = (size_t)l->n_exp, n = e * (e - 1) / 2, i = 0;
    double *v = wt_alloc(cx, n, sizeof *v);
    if (!v) return WT_ENOMEM;
    wt_status st = numbers(cx, o, where, "together", n, v, 1);
    for (size_t a = 0; st == WITAN_OK && a < e; a++) {
        l->co[a * e + a] = l->sum[a].n;
        for (size_t b = a + 1; b < e; b++) l->co[a * e + b] = l->co[b * e + a] = v[i++];
    }
    wt_free(cx, v);
    return st;
}

static wt_status get_layer(wt_ctx *cx, const json_t *o, const char *where, wt_record_layer *l)
{
    WT_TRY(wt_json_num(cx, o, where, "sum_c", &l->c));
    for (const wt_sum_field *f = wt_sum_fields; f->name; f++)
        WT_TRY(numbers(cx, o, where, f->name, (size_t)l->n_exp, (double *)((char *)l->sum + f->offset), sizeof(wt_sums) / sizeof(double)));
    return get_together(cx, o, where, l);
}

static wt_status get_domain(wt_ctx *cx, const json_t *o, const char *path, wt_record *r)
{
    const char *name;
    json_t *layers;
    wt_record_domain *d;
    WT_TRY(wt_json_str(cx, o, path, "name", &name));
    size_t before = r->n_domain;
    WT_TRY(wt_record_domain_add(r, name, &d));
    if (r->n_domain == before) return wt_fail(cx, WT_EFORMAT, "%s: domain \"%s\" occurs twice", path, name);
    WT_TRY(wt_json_int(cx, o, path, "documents", 0, INT64_MAX, &d->n_doc));
    WT_TRY(wt_json_int(cx, o, path, "tokens", 0, INT64_MAX, &d->n_tok));
    WT_TRY(wt_json_array(cx, o, path, "layers", &layers));
    if (json_array_size(layers) != (size_t)r->n_layer) return wt_fail(cx, WT_EFORMAT, "%s: domain \"%s\" has %zu layers, expected %d", path, name, json_array_size(layers), r->n_layer);
    for (int32_t i = 0; i < r->n_layer; i++) {
        char where[600];
        snprintf(where, sizeof where, "%s: domain %.60s, layer %d", path, name, i);
        WT_TRY(get_layer(cx, json_array_get(layers, (size_t)i), where, d->layer + i));
    }
    return WITAN_OK;
}

/* The shape stands in every domain; the first one tells it, the others are checked against it by their array lengths. */
static wt_status shape_of(wt_ctx *cx, const json_t *domains, const char *path, int64_t used, wt_record **out)
{
    json_t *layers;
    WT_TRY(wt_json_array(cx, json_array_get(domains, 0), path, "layers", &layers));
    size_t n = json_array_size(layers);
    if (n < 1 || n > 1024) return wt_fail(cx, WT_EFORMAT, "%s: %zu layers, expected 1 to 1024", path, n);
    int32_t *n_exp = wt_alloc(cx, n, sizeof *n_exp);
    if (!n_exp) return WT_ENOMEM;
    wt_status st = WITAN_OK;
    for (size_t i = 0; st == WITAN_OK && i < n; i++) {
        json_t *first = json_array_get(layers, i), *list;
        int64_t e;
        st = wt_json_int(cx, first, path, "experts", 1, 65536, &e);
        if (st == WITAN_OK) st = wt_json_array(cx, first, path, "n", &list);   /* memory is taken only for what the file really lists */
        if (st == WITAN_OK && json_array_size(list) != (size_t)e) st = wt_fail(cx, WT_EFORMAT, "%s: layer %zu lists %zu of %lld experts", path, i, json_array_size(list), (long long)e);
        n_exp[i] = (int32_t)e;
    }
    if (st == WITAN_OK) st = wt_record_new(cx, (int32_t)n, n_exp, (int32_t)used, out);
    wt_free(cx, n_exp);
    return st;
}

static wt_status get_record(wt_ctx *cx, const json_t *o, const char *path, wt_record **out)
{
    int64_t version, used;
    const char *name;
    char fingerprint[65], data[65];
    json_t *domains;
    WT_TRY(wt_json_int(cx, o, path, "witan_record", 1, 1, &version));
    const json_t *model = json_object_get(o, "model");
    WT_TRY(wt_json_str(cx, model, path, "name", &name));
    WT_TRY(wt_digest_read(cx, model, path, "fingerprint", false, fingerprint));
    WT_TRY(wt_digest_read(cx, o, path, "data", true, data));
    WT_TRY(wt_json_int(cx, o, path, "experts_used", 1, 65536, &used));
    WT_TRY(wt_json_array(cx, o, path, "domains", &domains));
    WT_TRY(shape_of(cx, domains, path, used, out));
    memcpy((*out)->fingerprint, fingerprint, sizeof fingerprint);
    memcpy((*out)->data_digest, data, sizeof data);
    (*out)->model_name = wt_strdup(cx, name);
    if (!(*out)->model_name) return WT_ENOMEM;
    for (size_t i = 0; i < json_array_size(domains); i++) WT_TRY(get_domain(cx, json_array_get(domains, i), path, *out));
    return WITAN_OK;
}

wt_status witan_record_load(wt_ctx *cx, const char *path, wt_record **out)
{
    char *data;
    size_t n;
    json_t *o;
    wt_record *r = NULL;
    WT_TRY(wt_file_read(cx, path, MOST_BYTES, &data, &n));
    wt_status st = wt_json_parse(cx, data, n, path, &o);
    wt_free(cx, data);
    WT_TRY(st);
    st = get_record(cx, o, path, &r);
    json_decref(o);
    if (st != WITAN_OK) witan_record_free(r); else *out = r;
    return st;
}
