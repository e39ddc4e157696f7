/* A model's configuration: every key is read through one table (name, type, range, default), then derived sizes are checked
 * against each other before anything is allocated. */
#include "model/config.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct key {
    const char *suffix;
    size_t offset;
    bool required, real;
    double lo, hi;
} key;

#define INT(s, f, req, lo, hi) { s, offsetof(wt_config, f), req, false, lo, hi }
#define REAL(s, f, req, lo, hi) { s, offsetof(wt_config, f), req, true, lo, hi }

static const key keys[] = {
    INT("block_count", n_layer, true, 1, 1024),
    INT("embedding_length", d_model, true, 1, 1 << 20),
    INT("attention.head_count", n_head, true, 1, 4096),
    INT("attention.head_count_kv", n_head_kv, false, 1, 4096),
    INT("attention.key_length", d_head, false, 2, 4096),
    INT("context_length", n_ctx_train, true, 1, 1 << 24),
    INT("rope.dimension_count", n_rot, false, 2, 4096),
    INT("expert_count", n_exp_max, true, 1, 65536),
    INT("expert_used_count", n_exp_used, true, 1, 4096),
    REAL("attention.layer_norm_rms_epsilon", norm_eps, true, 0, 1),
    REAL("rope.freq_base", rope_base, false, 1, 1e12),
};

static wt_status read_key(wt_ctx *cx, const wt_gguf *g, const char *arch, const key *k, wt_config *c)
{
    char name[160];
    snprintf(name, sizeof name, "%s.%s", arch, k->suffix);
    if (k->real) {
        float *field = (float *)((char *)c + k->offset);
        double v = *field;
        WT_TRY(wt_gguf_num(cx, g, name, k->required, k->lo, k->hi, &v));
        *field = (float)v;
    } else {
        int32_t *field = (int32_t *)((char *)c + k->offset);
        int64_t v = *field;
        WT_TRY(wt_gguf_int(cx, g, name, k->required, (int64_t)k->lo, (int64_t)k->hi, &v));
        *field = (int32_t)v;
    }
    return WITAN_OK;
}

/* Keys that change the computation in a way witan does not have yet must not be ignored. */
static wt_status refuse(wt_ctx *cx, const wt_gguf *g, const char *arch)
{
    char name[160];
    wt_str scaling = { "none", 4 };
    snprintf(name, sizeof name, "%s.rope.scaling.type", arch);
    WT_TRY(wt_gguf_str(cx, g, name, false, &scaling));
    if (scaling.n != 4 || memcmp(scaling.s, "none", 4))
        return wt_fail(cx, WT_EUNSUPPORTED, "%s: %s is \"%.*s\"; only \"none\" is supported yet", g->path, name, (int)(scaling.n < 40 ? scaling.n : 40), scaling.s);
    static const char *const absent[] = { "expert_shared_count", "expert_group_count", "leading_dense_block_count", "attention.sliding_window" };
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        int64_t v = 0;
        snprintf(name, sizeof name, "%s.%s", arch, absent[i]);
        WT_TRY(wt_gguf_int(cx, g, name, false, 0, INT32_MAX, &v));
        if (v > (i == 1))   /* one group is no grouping */
            return wt_fail(cx, WT_EUNSUPPORTED, "%s: %s is %lld; family %s has no such thing in witan", g->path, name, (long long)v, arch);
    }
    return WITAN_OK;
}

static wt_status consistent(wt_ctx *cx, const wt_gguf *g, const wt_config *c)
{
    if (c->n_head % c->n_head_kv)
        return wt_fail(cx, WT_ESHAPE, "%s: %d query heads cannot share %d key/value heads evenly", g->path, c->n_head, c->n_head_kv);
    if (c->d_head < 2 || c->d_head % 2 || c->n_rot % 2 || c->n_rot > c->d_head)
        return wt_fail(cx, WT_ESHAPE, "%s: heads of %d with %d rotated values; expected even numbers, rotated <= head", g->path, c->d_head, c->n_rot);
    if (c->n_exp_used > c->n_exp_max)
        return wt_fail(cx, WT_ESHAPE, "%s: %d experts used per token, but only %d exist", g->path, c->n_exp_used, c->n_exp_max);
    return WITAN_OK;
}

wt_status wt_config_read(wt_ctx *cx, const wt_gguf *g, const wt_arch *arch, wt_config *c)
{
    *c = (wt_config){ .rope_base = (float)arch->rope_base };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) WT_TRY(read_key(cx, g, arch->name, keys + i, c));
    if (!c->n_head_kv) c->n_head_kv = c->n_head;
    if (!c->d_head) c->d_head = c->d_model / c->n_head;
    if (!c->n_rot) c->n_rot = c->d_head;
    WT_TRY(refuse(cx, g, arch->name));
    return consistent(cx, g, c);
}

wt_status wt_config_arch(wt_ctx *cx, const wt_gguf *g, const wt_arch **arch)
{
    wt_str name;
    char known[256] = "";
    WT_TRY(wt_gguf_str(cx, g, "general.architecture", true, &name));
    for (const wt_arch *const *a = wt_archs; *a; a++) {
        if (strlen((*a)->name) == name.n && !memcmp((*a)->name, name.s, name.n)) { *arch = *a; return WITAN_OK; }
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", (*a)->name);
    }
    return wt_fail(cx, WT_EUNSUPPORTED, "%s: family \"%.*s\" is not supported; known families: %s", g->path,
                   (int)(name.n < 60 ? name.n : 60), name.s, known);
}
