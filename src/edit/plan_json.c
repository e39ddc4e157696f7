/* Plans as JSON. The schema is in docs/record.md. The reader is strict: a plan that is not exactly right is refused. */
#include "edit/plan.h"

#include "base/file.h"
#include <stdio.h>
#include <string.h>

enum { MOST_BYTES = 256 << 20 };

/* ---- writing -------------------------------------------------------------------------------------------------------- */

static void put_str(wt_text *t, const char *key, const char *v)
{
    wt_text_printf(t, "\"%s\":", key);
    wt_text_json(t, v, strlen(v));
}

static void put_layers(wt_text *t, const wt_mask *m)
{
    for (int32_t i = 0; i < m->n_layer; i++) {
        const wt_mask_layer *l = m->layer + i;
        bool first = true;
        wt_text_printf(t, "%s\n  {\"layer\":%d,\"experts\":%d,\"keep\":[", i ? "," : "", i, l->n_exp);
        for (int32_t e = 0; e < l->n_exp; e++)
            if (l->keep[e]) { wt_text_printf(t, first ? "%d" : ",%d", e); first = false; }
        wt_text_puts(t, "]}");
    }
}

wt_status witan_plan_json(wt_ctx *cx, const wt_plan *p, char **json)
{
    wt_text t;
    wt_text_init(&t, cx);
    wt_text_puts(&t, "{\"witan_plan\":1,\n \"model\":{");
    put_str(&t, "name", p->model_name);
    wt_text_puts(&t, ",");
    put_str(&t, "arch", p->arch);
    wt_text_printf(&t, ",\"fingerprint\":\"%s\"},\n \"method\":{", p->fingerprint);
    put_str(&t, "name", p->method);
    wt_text_puts(&t, ",");
    put_str(&t, "options", p->method_opts);
    wt_text_printf(&t, "},\n \"gate\":\"%s\",\"keep\":", p->mask.gate == WITAN_GATE_KEEP ? "keep" : "renorm");
    wt_text_num(&t, p->keep);
    wt_text_printf(&t, ",\"seed\":%lld,\n \"calibration\":{\"digest\":\"%s\",", (long long)p->seed, p->data_digest);
    put_str(&t, "domains", p->domains);
    wt_text_printf(&t, ",\"documents\":%lld,\"tokens\":%lld},\n \"layers\":[", (long long)p->n_doc, (long long)p->n_tok);
    put_layers(&t, &p->mask);
    wt_text_puts(&t, "]}\n");
    return wt_text_take(&t, json, NULL);
}

wt_status witan_plan_save(wt_ctx *cx, const wt_plan *p, const char *path)
{
    char *s;
    WT_TRY(witan_plan_json(cx, p, &s));
    wt_status st = wt_file_write(cx, path, s, strlen(s));
    wt_free(cx, s);
    return st;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

typedef struct reader { wt_ctx *cx; const char *where; wt_plan *p; } reader;

static wt_status own(reader *r, const json_t *o, const char *key, char **v)
{
    const char *s;
    WT_TRY(wt_json_str(r->cx, o, r->where, key, &s));
    *v = wt_strdup(r->cx, s);
    return *v ? WITAN_OK : WT_ENOMEM;
}

static wt_status layer_shape(reader *r, const json_t *o, int32_t i, int64_t *n_exp, json_t **keep)
{
    int64_t number;
    char where[600];
    snprintf(where, sizeof where, "%.500s: layer %d", r->where, i);
    WT_TRY(wt_json_int(r->cx, o, where, "layer", i, i, &number));
    WT_TRY(wt_json_int(r->cx, o, where, "experts", 0, 65536, n_exp));
    WT_TRY(wt_json_array(r->cx, o, where, "keep", keep));
    size_t n = json_array_size(*keep);
    if (n > (size_t)*n_exp || (*n_exp && !n)) return wt_fail(r->cx, WT_EFORMAT, "%s keeps %zu of %lld experts", where, n, (long long)*n_exp);
    return WITAN_OK;
}

static wt_status layer_keep(reader *r, const json_t *keep, int32_t i, wt_mask_layer *l)
{
    int64_t last = -1;
    memset(l->keep, 0, (size_t)l->n_exp);
    l->n_keep = (int32_t)json_array_size(keep);
    for (size_t k = 0; k < json_array_size(keep); k++) {
        const json_t *x = json_array_get(keep, k);
        int64_t e = json_integer_value(x);
        if (!json_is_integer(x) || e <= last || e >= l->n_exp)
            return wt_fail(r->cx, WT_EFORMAT, "%s: layer %d: \"keep\" must list experts 0 to %d in rising order", r->where, i, l->n_exp - 1);
        l->keep[e] = 1;
        last = e;
    }
    return WITAN_OK;
}

static wt_status layers(reader *r, const json_t *list)
{
    size_t n = json_array_size(list);
    if (n < 1 || n > 1024) return wt_fail(r->cx, WT_EFORMAT, "%s: %zu layers, expected 1 to 1024", r->where, n);
    int32_t *n_exp = wt_alloc(r->cx, n, sizeof *n_exp);
    if (!n_exp) return WT_ENOMEM;
    wt_status st = WITAN_OK;
    json_t *keep;
    int64_t e;
    for (size_t i = 0; st == WITAN_OK && i < n; i++) {
        st = layer_shape(r, json_array_get(list, i), (int32_t)i, &e, &keep);
        n_exp[i] = st == WITAN_OK ? (int32_t)e : 0;
    }
    if (st == WITAN_OK) st = wt_mask_init(r->cx, &r->p->mask, (int32_t)n, n_exp);
    wt_free(r->cx, n_exp);
    for (size_t i = 0; st == WITAN_OK && i < n; i++)
        st = layer_keep(r, json_object_get(json_array_get(list, i), "keep"), (int32_t)i, r->p->mask.layer + i);
    return st;
}

static wt_status read_plan(reader *r, const json_t *o)
{
    int64_t version;
    const char *gate;
    json_t *list;
    wt_plan *p = r->p;
    if (!json_object_get(o, "witan_plan")) return wt_fail(r->cx, WT_EFORMAT, "%s: is not a plan: it has no \"witan_plan\"", r->where);
    WT_TRY(wt_json_int(r->cx, o, r->where, "witan_plan", 1, 1, &version));
    const json_t *model = json_object_get(o, "model"), *method = json_object_get(o, "method"), *cal = json_object_get(o, "calibration");
    WT_TRY(own(r, model, "name", &p->model_name));
    WT_TRY(own(r, model, "arch", &p->arch));
    WT_TRY(wt_digest_read(r->cx, model, r->where, "fingerprint", false, p->fingerprint));
    WT_TRY(own(r, method, "name", &p->method));
    WT_TRY(own(r, method, "options", &p->method_opts));
    WT_TRY(wt_json_str(r->cx, o, r->where, "gate", &gate));
    if (strcmp(gate, "keep") && strcmp(gate, "renorm")) return wt_fail(r->cx, WT_EFORMAT, "%s: \"gate\" is \"%.40s\", expected keep or renorm", r->where, gate);
    WT_TRY(wt_json_num(r->cx, o, r->where, "keep", &p->keep));
    if (!(p->keep > 0 && p->keep <= 1)) return wt_fail(r->cx, WT_EFORMAT, "%s: \"keep\" is %g, expected a share above 0, at most 1", r->where, p->keep);
    WT_TRY(wt_json_int(r->cx, o, r->where, "seed", INT64_MIN, INT64_MAX, &p->seed));
    WT_TRY(wt_digest_read(r->cx, cal, r->where, "digest", true, p->data_digest));
    WT_TRY(own(r, cal, "domains", &p->domains));
    WT_TRY(wt_json_int(r->cx, cal, r->where, "documents", 0, INT64_MAX, &p->n_doc));
    WT_TRY(wt_json_int(r->cx, cal, r->where, "tokens", 0, INT64_MAX, &p->n_tok));
    WT_TRY(wt_json_array(r->cx, o, r->where, "layers", &list));
    WT_TRY(layers(r, list));
    p->mask.gate = strcmp(gate, "keep") ? WITAN_GATE_RENORM : WITAN_GATE_KEEP;
    return WITAN_OK;
}

static wt_status parse(wt_ctx *cx, const char *s, size_t n, const char *where, wt_plan **out)
{
    json_t *o;
    WT_TRY(wt_json_parse(cx, s, n, where, &o));
    reader r = { cx, where, wt_alloc(cx, 1, sizeof(wt_plan)) };
    if (r.p) r.p->cx = cx;
    wt_status st = r.p ? read_plan(&r, o) : WT_ENOMEM;
    json_decref(o);
    if (st != WITAN_OK) witan_plan_free(r.p); else *out = r.p;
    return st;
}

wt_status witan_plan_parse(wt_ctx *cx, const char *json, size_t len, wt_plan **out) { return parse(cx, json, len, "plan", out); }

wt_status witan_plan_load(wt_ctx *cx, const char *path, wt_plan **out)
{
    char *data;
    size_t n;
    WT_TRY(wt_file_read(cx, path, MOST_BYTES, &data, &n));
    wt_status st = parse(cx, data, n, path, out);
    wt_free(cx, data);
    return st;
}
