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
    INT("expert_count", n_exp_max, false, 0, 65536),
    INT("expert_used_count", n_exp_used, false, 0, 4096),
    INT("leading_dense_block_count", n_dense_lead, false, 0, 1024),
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

/* Keys that change the computation in a way witan does not have must not be ignored. */
static wt_status refuse(wt_ctx *cx, const wt_gguf *g, const wt_arch *arch, const wt_config *c)
{
    char name[160];
    const struct { const char *suffix; int64_t most; } limit[] = {
        { "expert_shared_count", arch->shared ? 1 << 10 : 0 },
        { "expert_group_count", 1 },                                     /* one group is no grouping */
        { "interleave_moe_layer_step", 1 }, { "moe_every_n_layers", 1 }, { "nextn_predict_layers", 0 }, { "moe_latent_size", 0 },
    };
    int64_t v, width = c->d_head;
    for (size_t i = 0; i < sizeof limit / sizeof *limit; i++) {
        snprintf(name, sizeof name, "%s.%s", arch->name, limit[i].suffix);
        v = 0;
        WT_TRY(wt_gguf_int(cx, g, name, false, 0, INT32_MAX, &v));
        if (v > limit[i].most)
            return wt_fail(cx, WT_EUNSUPPORTED, "%s: %s is %lld; family %s has no such thing in witan", g->path, name, (long long)v, arch->name);
    }
    snprintf(name, sizeof name, "%s.attention.sliding_window", arch->name);
    v = 0;
    WT_TRY(wt_gguf_int(cx, g, name, false, 0, INT32_MAX, &v));
    if (v && v < c->n_ctx_train)
        return wt_fail(cx, WT_EUNSUPPORTED, "%s: %s is %lld; attention over a sliding window is not supported yet", g->path, name, (long long)v);
    snprintf(name, sizeof name, "%s.attention.value_length", arch->name);
    WT_TRY(wt_gguf_int(cx, g, name, false, 1, 4096, &width));
    if (width == c->d_head) return WITAN_OK;
    return wt_fail(cx, WT_EUNSUPPORTED, "%s: values of %lld beside keys of %d per head are not supported", g->path, (long long)width, c->d_head);
}

static wt_status consistent(wt_ctx *cx, const wt_gguf *g, const wt_arch *arch, const wt_config *c)
{
    if (c->n_head % c->n_head_kv)
        return wt_fail(cx, WT_ESHAPE, "%s: %d query heads cannot share %d key/value heads evenly", g->path, c->n_head, c->n_head_kv);
    if (c->d_head < 2 || c->d_head % 2 || c->n_rot % 2 || c->n_rot > c->d_head)
        return wt_fail(cx, WT_ESHAPE, "%s: heads of %d with %d rotated values; expected even numbers, rotated <= head", g->path, c->d_head, c->n_rot);
    if (arch->experts == WT_ALWAYS && !c->n_exp_max)
        return wt_fail(cx, WT_EFORMAT, "%s: key %s.expert_count is missing or 0", g->path, arch->name);
    if (arch->experts == WT_NEVER && c->n_exp_max)
        return wt_fail(cx, WT_EUNSUPPORTED, "%s: %s.expert_count is %d, but family %s has no experts", g->path, arch->name, c->n_exp_max, arch->name);
    if (c->n_exp_max && !c->n_exp_used)
        return wt_fail(cx, WT_EFORMAT, "%s: key %s.expert_used_count is missing or 0", g->path, arch->name);
    if (c->n_exp_used > c->n_exp_max)
        return wt_fail(cx, WT_ESHAPE, "%s: %d experts used per token, but only %d exist", g->path, c->n_exp_used, c->n_exp_max);
    return WITAN_OK;
}

/* How routing weights come about: the family's way, unless the file says otherwise. */
static wt_status routing(wt_ctx *cx, const wt_gguf *g, const wt_arch *arch, wt_config *c)
{
    char name[160];
    int64_t act = arch->activation ? arch->activation : WT_ACT_SOFTMAX;
    double scale = 1;
    c->renorm = arch->renorm;
    snprintf(name, sizeof name, "%s.expert_gating_func", arch->name);
    WT_TRY(wt_gguf_int(cx, g, name, false, WT_ACT_SOFTMAX, WT_ACT_SQRT_SOFTPLUS, &act));
    snprintf(name, sizeof name, "%s.expert_weights_norm", arch->name);
    WT_TRY(wt_gguf_bool(cx, g, name, false, &c->renorm));
    snprintf(name, sizeof name, "%s.expert_weights_scale", arch->name);
    WT_TRY(wt_gguf_num(cx, g, name, false, 0, 1e6, &scale));
    c->activation = (wt_activation)act;
    c->route_scale = scale > 0 ? (float)scale : 1;
    return WITAN_OK;
}

wt_status wt_config_read(wt_ctx *cx, const wt_gguf *g, const wt_arch *arch, wt_config *c)
{
    *c = (wt_config){ .rope_base = (float)arch->rope_base };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) WT_TRY(read_key(cx, g, arch->name, keys + i, c));
    if (!c->n_head_kv) c->n_head_kv = c->n_head;
    if (!c->d_head) c->d_head = c->d_model / c->n_head;
    if (!c->n_rot) c->n_rot = c->d_head;
    WT_TRY(consistent(cx, g, arch, c));
    WT_TRY(refuse(cx, g, arch, c));
    WT_TRY(routing(cx, g, arch, c));
    return wt_config_rope(cx, g, arch, c);
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
