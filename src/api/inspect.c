/* witan_inspect: any GGUF file as JSON. */
#include "base/json.h"
#include "model/model.h"

#include <stdio.h>
#include <string.h>

enum { LONG_ARRAY = 16, LONG_TEXT = 4096 };

static void key(wt_text *t, const char *k, bool first)
{
    if (!first) wt_text_puts(t, ",");
    wt_text_json(t, k, strlen(k));
    wt_text_puts(t, ":");
}

static void key_int(wt_text *t, const char *k, long long v, bool first)
{
    key(t, k, first);
    wt_text_printf(t, "%lld", v);
}

static void key_str(wt_text *t, const char *k, const char *s, size_t n, bool first)
{
    key(t, k, first);
    wt_text_json(t, s, n);
}

/* ---- metadata ------------------------------------------------------------------------------------------------------- */

static wt_status put_array(wt_ctx *cx, wt_text *t, const wt_gguf *g, const wt_kv *kv)
{
    size_t n = 0;
    wt_str *s = NULL;
    int64_t *v = NULL;
    float *f = NULL;
    bool real = kv->item == WT_KV_F32 || kv->item == WT_KV_F64;
    if (kv->count > LONG_ARRAY || kv->item == WT_KV_BOOL) {
        wt_text_printf(t, "{\"array\":\"%s\",\"count\":%llu}", wt_kv_type_name(kv->item), (unsigned long long)kv->count);
        return WITAN_OK;
    }
    if (kv->item == WT_KV_STR) WT_TRY(wt_gguf_strs(cx, g, kv->key, true, &s, &n));
    else if (real) WT_TRY(wt_gguf_nums(cx, g, kv->key, true, &f, &n));
    else WT_TRY(wt_gguf_ints(cx, g, kv->key, true, &v, &n));
    wt_text_puts(t, "[");
    for (size_t i = 0; i < n; i++) {
        if (i) wt_text_puts(t, ",");
        if (s) wt_text_json(t, s[i].s, s[i].n < LONG_TEXT ? s[i].n : LONG_TEXT);
        else if (f) wt_text_num(t, f[i]);
        else if (kv->item == WT_KV_U64) wt_text_printf(t, "%llu", (unsigned long long)v[i]);
        else wt_text_printf(t, "%lld", (long long)v[i]);
    }
    wt_text_puts(t, "]");
    wt_free(cx, s);
    wt_free(cx, v);
    wt_free(cx, f);
    return WITAN_OK;
}

static wt_status put_value(wt_ctx *cx, wt_text *t, const wt_gguf *g, const wt_kv *kv)
{
    switch (kv->type) {
    case WT_KV_STR: wt_text_json(t, kv->v.str.s, kv->v.str.n < LONG_TEXT ? kv->v.str.n : LONG_TEXT); break;
    case WT_KV_ARRAY: return put_array(cx, t, g, kv);
    case WT_KV_BOOL: wt_text_puts(t, kv->v.b ? "true" : "false"); break;
    case WT_KV_F32: case WT_KV_F64: wt_text_num(t, kv->v.f); break;
    case WT_KV_I8: case WT_KV_I16: case WT_KV_I32: case WT_KV_I64: wt_text_printf(t, "%lld", (long long)kv->v.i); break;
    default: wt_text_printf(t, "%llu", (unsigned long long)kv->v.u);
    }
    return WITAN_OK;
}

static wt_status put_kv(wt_ctx *cx, wt_text *t, const wt_gguf *g, const char *prefix)
{
    bool first = true;
    wt_text_puts(t, "{");
    for (size_t i = 0; i < g->n_kv; i++) {
        if (strncmp(g->kv[i].key, prefix, strlen(prefix))) continue;
        key(t, g->kv[i].key, first);
        WT_TRY(put_value(cx, t, g, g->kv + i));
        first = false;
    }
    wt_text_puts(t, "}");
    return WITAN_OK;
}

/* ---- tensors -------------------------------------------------------------------------------------------------------- */

static void put_types(wt_text *t, const wt_gguf *g)
{
    bool first = true;
    wt_text_puts(t, "[");
    for (uint32_t type = 0; type < WT_N_TYPE; type++) {
        long long count = 0, bytes = 0, params = 0;
        for (size_t i = 0; i < g->n_tensor; i++)
            if (g->tensor[i].type == type) { count++; bytes += (long long)g->tensor[i].bytes; params += (long long)g->tensor[i].n; }
        if (!count) continue;
        wt_text_printf(t, "%s{\"type\":\"%s\",\"count\":%lld,\"bytes\":%lld,\"params\":%lld}", first ? "" : ",", wt_type_get(type)->name, count, bytes, params);
        first = false;
    }
    wt_text_puts(t, "]");
}

static void put_tensors(wt_text *t, const wt_gguf *g)
{
    char shape[64];
    wt_text_puts(t, "[");
    for (size_t i = 0; i < g->n_tensor; i++) {
        const wt_tensor *x = g->tensor + i;
        wt_text_puts(t, i ? ",{" : "{");
        key_str(t, "name", x->name, strlen(x->name), true);
        key_str(t, "type", wt_type_get(x->type)->name, strlen(wt_type_get(x->type)->name), false);
        wt_text_printf(t, ",\"shape\":%s,\"bytes\":%zu,\"offset\":%llu}", wt_shape_text(x, shape), x->bytes, (unsigned long long)(wt_gguf_home(g, i)->data_at + g->offset[i]));
    }
    wt_text_puts(t, "]");
}

/* ---- the model ------------------------------------------------------------------------------------------------------ */

static void put_layers(wt_text *t, const wt_model *m)
{
    for (int32_t i = 0; i < m->cfg.n_layer; i++) {
        const wt_expert_layer *l = wt_expert_store_layer(m->experts, i);
        size_t bytes = 0;
        for (int32_t e = 0; e < l->n_exp; e++) bytes += l->expert[e].gate.bytes + l->expert[e].up.bytes + l->expert[e].down.bytes;
        const wt_ffn *d = &m->layer[i].dense;
        const wt_tensor *gate = l->n_exp ? &l->expert->gate : d->gate, *up = l->n_exp ? &l->expert->up : d->up, *down = l->n_exp ? &l->expert->down : d->down;
        wt_text_printf(t, "%s{\"layer\":%d,\"experts\":%d,\"width\":%lld,\"types\":[\"%s\",\"%s\",\"%s\"],\"bytes\":%zu}", i ? "," : "", i,
                       l->n_exp, (long long)gate->shape[0], wt_type_get(gate->type)->name, wt_type_get(up->type)->name,
                       wt_type_get(down->type)->name, l->n_exp ? bytes : gate->bytes + up->bytes + down->bytes);
    }
}

/* "softmax over all, top-k, weights divided by their sum" */
static void put_router(wt_text *t, const wt_config *c)
{
    static const char *const act[] = { "", "softmax over all", "sigmoid", "softmax over the chosen", "square root of softplus" };
    char s[128];
    int n = snprintf(s, sizeof s, "%s, top-k, weights %s", act[c->activation], c->renorm ? "divided by their sum" : "as they are");
    if (c->n_exp_max) key_str(t, "router", s, (size_t)n, false);
}

static void put_model(wt_text *t, const wt_model *m)
{
    const witan_model_info *f = &m->info;
    const struct { const char *name; long long v; } field[] = {
        { "layers", f->n_layer }, { "d_model", f->d_model }, { "heads", f->n_head }, { "heads_kv", f->n_head_kv }, { "d_head", f->d_head },
        { "vocabulary", f->n_vocab }, { "context", f->n_ctx_train }, { "experts", f->n_exp }, { "experts_used", f->n_exp_used },
        { "d_ff_expert", f->d_ff_exp }, { "params", f->n_param }, { "params_active", f->n_param_active }, { "bytes", f->n_byte },
        { "bytes_experts", f->n_byte_expert }, { "bytes_per_token", f->n_byte_token }, { "bos", f->bos }, { "eos", f->eos } };
    wt_text_puts(t, "{");
    key_str(t, "family", m->arch->title, strlen(m->arch->title), true);
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) key_int(t, field[i].name, field[i].v, false);
    put_router(t, &m->cfg);
    key_str(t, "fingerprint", f->fingerprint, strlen(f->fingerprint), false);
    wt_text_puts(t, "}");
}

/* A file that is no model of ours is still worth describing: the reason stands where the model would. */
static void model_part(wt_ctx *cx, wt_text *t, const char *path)
{
    wt_model *m;
    key(t, "model", false);
    if (witan_model_open(cx, path, NULL, &m)) {
        const char *why = witan_error(cx);
        wt_text_puts(t, "null");
        key_str(t, "reason", why, strlen(why), false);
        wt_text_puts(t, ",\"layers\":[]");
        return;
    }
    put_model(t, m);
    wt_text_puts(t, ",\"layers\":[");
    put_layers(t, m);
    wt_text_puts(t, "]");
    witan_model_free(m);
}

static wt_status describe(wt_ctx *cx, const wt_gguf *g, wt_text *t)
{
    wt_str arch = { "", 0 }, name = { "", 0 };
    long long bytes = 0;
    const wt_kv *a = wt_gguf_kv(g, "general.architecture"), *n = wt_gguf_kv(g, "general.name");
    if (a && a->type == WT_KV_STR) arch = a->v.str;
    if (n && n->type == WT_KV_STR) name = n->v.str;
    for (size_t i = 0; i < g->n_tensor; i++) bytes += (long long)g->tensor[i].bytes;
    wt_text_puts(t, "{");
    key_str(t, "file", g->path, strlen(g->path), true);
    long long file_bytes = (long long)g->map.n;
    for (size_t i = 0; i < g->n_part; i++) file_bytes += (long long)g->part[i]->map.n;
    key_int(t, "file_bytes", file_bytes, false);
    key_int(t, "files", (long long)g->n_part + 1, false);
    key_int(t, "version", g->version, false);
    key_int(t, "alignment", g->alignment, false);
    key_str(t, "arch", arch.s, arch.n, false);
    key_str(t, "name", name.s, name.n, false);
    key_int(t, "n_byte", bytes, false);
    key_int(t, "n_tensor", (long long)g->n_tensor, false);
    key(t, "types", false);
    put_types(t, g);
    model_part(cx, t, g->path);
    key(t, "provenance", false);
    if (wt_gguf_kv(g, "witan.history")) WT_TRY(put_kv(cx, t, g, "witan.")); else wt_text_puts(t, "null");
    key(t, "kv", false);
    WT_TRY(put_kv(cx, t, g, ""));
    key(t, "tensors", false);
    put_tensors(t, g);
    wt_text_puts(t, "}\n");
    return WITAN_OK;
}

wt_status witan_inspect(wt_ctx *cx, const char *path, char **json)
{
    wt_gguf *g;
    wt_text t;
    WT_TRY(wt_gguf_open(cx, path, &g));
    wt_text_init(&t, cx);
    wt_status st = describe(cx, g, &t);
    wt_gguf_free(g);
    if (st != WITAN_OK) { wt_text_free(&t); return st; }
    return wt_text_take(&t, json, NULL);
}
