/* A model of fresh weights. Values come from streams of their own for every 16384 of a tensor, so that threads may share the work. */
#include "train/fresh.h"

#include "base/rng.h"
#include "base/thread.h"
#include "model/config.h"
#include "model/history.h"
#include "model/shape.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STREAM = 1 << 14 /* values of one stream */, PIECE = 1 << 20 };

typedef struct job {
    wt_ctx *cx;
    const witan_train_options *o;
    wt_gguf_out *out;
    float *buf;                  /* [PIECE] */
    bool write;                  /* second walk */
    uint64_t number;             /* of the tensor */
    double done, total;
} job;

/* ---- shape ------------------------------------------------------------------------------------------------------------- */

static wt_status dims_of(wt_ctx *cx, const witan_train_options *o, int32_t n_vocab, wt_dims *d)
{
    const wt_arch *a = NULL;
    char known[256] = "";
    for (const wt_arch *const *p = wt_archs; *p; p++) {
        size_t at = strlen(known);
        if (!strcmp((*p)->name, o->arch)) a = *p;
        snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", (*p)->name);
    }
    if (!a) return wt_fail(cx, WT_EARG, "train: no family \"%s\"; there are: %s", o->arch, known);
    if (a->experts == WT_ALWAYS && !o->n_exp) return wt_fail(cx, WT_EARG, "train: family %s has experts; n_exp is 0", a->name);
    if (a->experts == WT_NEVER && o->n_exp) return wt_fail(cx, WT_EARG, "train: family %s has no experts; n_exp is %d", a->name, o->n_exp);
    if (o->d_ff_shared && !a->shared) return wt_fail(cx, WT_EARG, "train: family %s has no shared expert; d_ff_shared is %d", a->name, o->d_ff_shared);
    if (a->shared && !o->d_ff_shared) return wt_fail(cx, WT_EARG, "train: family %s has a shared expert: say its width, d_ff_shared", a->name);
    *d = (wt_dims){ .arch = a->name, .n_layer = o->n_layer, .d_model = o->d_model, .n_head = o->n_head, .n_head_kv = o->n_head_kv, .d_head = o->d_head,
                    .d_ff = o->n_exp ? 0 : o->d_ff, .n_exp = o->n_exp, .n_used = o->n_exp ? o->n_used : 0, .d_ff_exp = o->n_exp ? o->d_ff_exp : 0,
                    .d_ff_shared = o->d_ff_shared, .n_vocab = n_vocab, .n_ctx = o->n_ctx, .rope_base = (float)o->rope_base,
                    .eps = (float)o->norm_eps, .tied = o->tied, .bias = a->bias, .qk_full = a->qk_norm == WT_QK_FULL, .qk_head = a->qk_norm == WT_QK_HEAD };
    return WITAN_OK;
}

static wt_status metadata(job *j, const wt_dims *d, const wt_gguf *vocab)
{
    wt_text entry;
    WT_TRY(wt_shape_keys(j->out, d, j->o->name ? j->o->name : "fresh", 0));
    if (!vocab) WT_TRY(wt_shape_vocabulary(j->cx, j->out, d->n_vocab, "gpt-2"));
    for (size_t i = 0; vocab && i < vocab->n_kv; i++)
        if (!strncmp(vocab->kv[i].key, "tokenizer.", 10)) WT_TRY(wt_gguf_put_raw(j->out, vocab->kv + i));
    WT_TRY(wt_gguf_put_str(j->out, "witan.version", WITAN_VERSION));
    wt_history_begin(&entry, j->cx, "fresh weights", "", NULL);
    wt_text_printf(&entry, ",\"seed\":%lld", (long long)j->o->seed);
    return wt_history_end(&entry, j->out, NULL);
}

/* ---- values ------------------------------------------------------------------------------------------------------------ */

typedef struct drawing { float *y; size_t n; uint64_t seed, stream; double std; } drawing;

/* Box and Muller's two normal values from two uniform ones. */
static void draw(void *arg, size_t begin, size_t end, int worker)
{
    const drawing *d = arg;
    (void)worker;
    for (size_t s = begin; s < end; s++) {
        wt_rng rng;
        wt_rng_seed(&rng, d->seed, d->stream + s);
        size_t to = d->n - s * STREAM < STREAM ? d->n : (s + 1) * STREAM;
        for (size_t i = s * STREAM; i < to; i += 2) {
            double r = d->std * sqrt(-2 * log(1 - (double)wt_rng_float(&rng))), a = 2 * M_PI * (double)wt_rng_float(&rng);
            d->y[i] = (float)(r * cos(a));
            if (i + 1 < to) d->y[i + 1] = (float)(r * sin(a));
        }
    }
}

/* Into the residual stream write the output of attention and what experts and feed-forwards end with. */
static double std_of(const job *j, const char *name)
{
    bool writes = strstr(name, "attn_output") || strstr(name, "ffn_down");
    return writes && j->o->init_depth ? j->o->init_std / sqrt(2.0 * j->o->n_layer) : j->o->init_std;
}

static wt_status fill(job *j, const char *name, size_t n, bool constant, float value)
{
    uint64_t stream = j->number << 32;
    for (size_t left = n, k; left; left -= k) {
        k = left < PIECE ? left : PIECE;
        if (constant) for (size_t i = 0; i < k; i++) j->buf[i] = value;
        else wt_parallel(j->cx, (k + STREAM - 1) / STREAM, 1, draw, &(drawing){ j->buf, k, (uint64_t)j->o->seed, stream, std_of(j, name) });
        stream += PIECE / STREAM;
        WT_TRY(wt_gguf_write(j->out, j->buf, k * sizeof *j->buf));
        j->done += (double)k;
        WT_TRY(wt_progress(j->cx, "fresh weights", j->done, j->total, "weights"));
    }
    return WITAN_OK;
}

static wt_status tensor(void *arg, const char *name, int32_t n_dim, const int64_t *shape)
{
    job *j = arg;
    size_t n = 1;
    for (int32_t i = 0; i < n_dim; i++) n *= (size_t)shape[i];
    j->number++;
    if (!j->write) { j->total += (double)n; return wt_gguf_add_tensor(j->out, name, WT_F32, n_dim, shape); }
    if (strstr(name, "norm.")) return fill(j, name, n, true, 1);
    return fill(j, name, n, strstr(name, ".bias") != NULL, 0);
}

static wt_status make(job *j, const wt_gguf *vocab, int32_t n_vocab)
{
    wt_dims d;
    const wt_kv *tokens = vocab ? wt_gguf_kv(vocab, "tokenizer.ggml.tokens") : NULL;
    if (vocab && (!tokens || tokens->type != WT_KV_ARRAY || !tokens->count || tokens->count > INT32_MAX))
        return wt_fail(j->cx, WT_EFORMAT, "%s: holds no vocabulary (tokenizer.ggml.tokens)", j->o->tokenizer);
    WT_TRY(dims_of(j->cx, j->o, tokens ? (int32_t)tokens->count : n_vocab, &d));
    WT_TRY(metadata(j, &d, vocab));
    WT_TRY(wt_shape_walk(&d, tensor, j));
    j->write = true;
    j->number = 0;
    return wt_shape_walk(&d, tensor, j);
}

wt_status wt_fresh_model(wt_ctx *cx, const witan_train_options *o, int32_t n_vocab, const char *path)
{
    job j = { .cx = cx, .o = o, .buf = wt_realloc(cx, NULL, PIECE, sizeof(float)) };
    wt_gguf *vocab = NULL;
    wt_status st = !j.buf ? WT_ENOMEM : o->tokenizer ? wt_gguf_open(cx, o->tokenizer, &vocab) : WITAN_OK;
    if (st == WITAN_OK) st = wt_gguf_out_open(cx, path, &j.out);
    if (st == WITAN_OK) st = make(&j, vocab, n_vocab);
    if (st == WITAN_OK) st = wt_gguf_out_commit(&j.out); else wt_gguf_out_abort(&j.out);
    wt_gguf_free(vocab);
    wt_free(cx, j.buf);
    return st;
}
