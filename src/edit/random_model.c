/* Writing models of random weights. A pool of normally distributed values is packed once for each block type and scale; every tensor is
 * then put together from randomly chosen blocks of it. So even 200 billion weights take no longer than their bytes take to write, and
 * memory does not grow with the model. Same name, options and seed, same bytes. */
#include "edit/random_model.h"

#include "base/rng.h"
#include "base/thread.h"
#include "model/history.h"
#include "model/part_types.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { POOL = 1 << 19 /* values */, POOLS = 6, PIECE = 1 << 22 /* values of one write */ };

typedef struct pool { int32_t type; float scale; uint64_t used; uint8_t *data; } pool;

typedef struct job {
    wt_ctx *cx;
    const wt_dims *d;            /* with the number of layers that was asked for */
    int64_t seed;
    wt_gguf_out *out;
    int32_t type[WT_N_PART];
    float *normal;               /* [POOL] */
    pool pool[POOLS];
    uint64_t clock;
    uint8_t *buf;
    bool write;                  /* second walk: data instead of descriptions */
    uint64_t number;             /* of the tensor */
    double done, total;
    int64_t bytes;
} job;

/* ---- keys ------------------------------------------------------------------------------------------------------------ */

static wt_status metadata(job *j, const witan_random_options *o)
{
    wt_text entry;
    char *name = wt_printf(j->cx, "random %s", j->d->name);
    wt_status st = name ? wt_shape_keys(j->out, j->d, name, wt_file_type(j->type[WT_PART_EXPERT])) : WT_ENOMEM;
    wt_free(j->cx, name);
    WT_TRY(st);
    WT_TRY(wt_shape_vocabulary(j->cx, j->out, j->d->n_vocab, j->d->pre));
    wt_history_begin(&entry, j->cx, "random weights", "", o->command);
    wt_history_str(&entry, "dimensions", j->d->name);
    wt_text_printf(&entry, ",\"seed\":%lld", (long long)j->seed);
    return wt_history_end(&entry, j->out, NULL);
}

/* ---- values ---------------------------------------------------------------------------------------------------------- */

/* Box and Muller's two normal values from two uniform ones. */
static void normal_values(float *x, int64_t seed)
{
    wt_rng rng;
    wt_rng_seed(&rng, (uint64_t)seed, 1);
    for (size_t i = 0; i < POOL; i += 2) {
        double r = sqrt(-2 * log(1 - (double)wt_rng_float(&rng))), a = 2 * M_PI * (double)wt_rng_float(&rng);
        x[i] = (float)(r * cos(a));
        x[i + 1] = (float)(r * sin(a));
    }
}

typedef struct packing { const wt_type_info *t; const float *x; float scale; uint8_t *dst; } packing;

static void pack_some(void *arg, size_t begin, size_t end, int worker)
{
    const packing *p = arg;
    float y[1024];
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        for (size_t k = 0; k < 1024; k++) y[k] = p->scale * p->x[i * 1024 + k];
        p->t->pack(p->dst + i * (1024 / p->t->block * p->t->bytes), y, 1024);
    }
}

/* The pool of a type and scale: kept ones are few, the one not used for longest gives way. */
static wt_status pool_of(job *j, wt_type type, float scale, const uint8_t **data)
{
    pool *p = j->pool;
    for (int i = 0; i < POOLS; i++) {
        if (j->pool[i].data && j->pool[i].type == (int32_t)type && j->pool[i].scale == scale) { p = j->pool + i; goto found; }
        if (j->pool[i].used < p->used) p = j->pool + i;
    }
    const wt_type_info *t = wt_type_get(type);
    wt_free(j->cx, p->data);
    *p = (pool){ (int32_t)type, scale, 0, wt_realloc(j->cx, NULL, POOL / t->block, t->bytes) };
    if (!p->data) return WT_ENOMEM;
    wt_parallel(j->cx, POOL / 1024, 8, pack_some, &(packing){ t, j->normal, scale, p->data });
found:
    p->used = ++j->clock;
    *data = p->data;
    return WITAN_OK;
}

typedef struct draw { const uint8_t *pool; uint8_t *dst; uint64_t seed, first; size_t unit, n_unit; } draw;

static void draw_some(void *arg, size_t begin, size_t end, int worker)
{
    const draw *d = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++)
        memcpy(d->dst + i * d->unit, d->pool + (size_t)(wt_mix64(d->seed + d->first + i) % d->n_unit) * d->unit, d->unit);
}

static wt_status fill(job *j, wt_type type, size_t n, int64_t row, float scale)
{
    const wt_type_info *t = wt_type_get(type);
    const uint8_t *data;
    WT_TRY(pool_of(j, type, scale, &data));
    size_t values = row % 256 == 0 ? 256 : row % 32 == 0 ? 32 : 1;
    draw d = { .pool = data, .dst = j->buf, .seed = wt_mix64((uint64_t)j->seed * 1000003 + j->number), .unit = values / t->block * t->bytes, .n_unit = POOL / values };
    for (size_t left = n / values, k; left; left -= k) {
        k = PIECE / values < left ? PIECE / values : left;
        wt_parallel(j->cx, k, 4096, draw_some, &d);
        d.first += k;
        WT_TRY(wt_gguf_write(j->out, j->buf, k * d.unit));
        j->done += (double)(k * d.unit);
        WT_TRY(wt_progress(j->cx, "write", j->done, j->total, "bytes"));
    }
    return WITAN_OK;
}

/* Vectors: norms near one, biases near zero. */
static wt_status fill_vector(job *j, size_t n, float middle, float spread)
{
    wt_rng rng;
    wt_rng_seed(&rng, (uint64_t)j->seed, 16 + j->number);
    for (size_t i = 0; i < n; i++) {
        float v = middle + spread * (2 * wt_rng_float(&rng) - 1);
        WT_TRY(wt_gguf_write(j->out, &v, sizeof v));
    }
    j->done += (double)n * 4;
    return WITAN_OK;
}

/* ---- tensors --------------------------------------------------------------------------------------------------------- */

/* Describes a tensor, or on the second walk writes it. */
static wt_status tensor(void *arg, const char *name, int32_t n_dim, const int64_t *shape)
{
    job *j = arg;
    int64_t row = shape[n_dim - 1];
    size_t n = (size_t)row, row_bytes;
    for (int32_t i = 0; i + 1 < n_dim; i++) n *= (size_t)shape[i];
    int32_t want = j->type[wt_role_of(name).part];
    wt_type type = n_dim == 1 || want < 0 ? WT_F32 : wt_type_that_fits((wt_type)want, row);
    j->number++;
    if (!j->write) {
        wt_row_bytes(type, (uint64_t)row, &row_bytes);
        j->total += (double)row_bytes * (double)(n / (size_t)row);
        return wt_gguf_add_tensor(j->out, name, type, n_dim, shape);
    }
    if (n_dim == 1) return fill_vector(j, n, strstr(name, "norm") ? 1 : 0, strstr(name, "norm") ? 0.1f : 0.02f);
    return fill(j, type, n, row, (strstr(name, "ffn_gate_inp") ? 2 : 1) / sqrtf((float)row));
}

static wt_status walk(job *j)
{
    j->number = 0;
    return wt_shape_walk(j->d, tensor, j);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

static wt_status find(wt_ctx *cx, const char *name, const wt_dims **out)
{
    const char *word[64];
    char known[640] = "";
    size_t n = 0, at = 0;
    for (const wt_dims *d = wt_random_dims; d->name; d++) {
        if (!strcmp(d->name, name)) { *out = d; return WITAN_OK; }
        word[n++] = d->name;
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", d->name);
    }
    const char *near = witan_did_you_mean(name, word, n);
    if (near) return wt_fail(cx, WT_EARG, "no dimensions called \"%s\"; did you mean \"%s\"?", name, near);
    return wt_fail(cx, WT_EARG, "no dimensions called \"%s\"; known: %s", name, known);
}

static wt_status make(job *j, const witan_random_options *o)
{
    witan_convert_options types = { .type = o->type ? o->type : "F32", .experts = o->experts };
    if (o->layers < 0 || o->layers > 1024) return wt_fail(j->cx, WT_EARG, "layers: %d is outside [0, 1024]", o->layers);
    WT_TRY(wt_part_types(j->cx, &types, j->d->tied, j->type));
    j->normal = wt_realloc(j->cx, NULL, POOL, sizeof *j->normal);
    j->buf = wt_realloc(j->cx, NULL, PIECE, sizeof(float));
    if (!j->normal || !j->buf) return WT_ENOMEM;
    normal_values(j->normal, j->seed);
    WT_TRY(metadata(j, o));
    WT_TRY(walk(j));
    j->write = true;
    return walk(j);
}

wt_status witan_random_model(wt_ctx *cx, const char *name, const witan_random_options *opts, const char *path)
{
    job j = { .cx = cx, .seed = opts->seed };
    const wt_dims *known = NULL;
    WT_TRY(find(cx, name, &known));
    wt_dims dims = *known;
    if (opts->layers > 0) dims.n_layer = opts->layers;
    j.d = &dims;
    WT_TRY(wt_gguf_out_open(cx, path, &j.out));
    if (opts->split > 0) wt_gguf_out_split(j.out, (uint64_t)opts->split);
    wt_status st = make(&j, opts);
    if (st == WITAN_OK) st = wt_gguf_out_commit(&j.out); else wt_gguf_out_abort(&j.out);
    for (int i = 0; i < POOLS; i++) wt_free(cx, j.pool[i].data);
    wt_free(cx, j.normal);
    wt_free(cx, j.buf);
    return st;
}

const char *witan_random_name(size_t i)
{
    for (const wt_dims *d = wt_random_dims; d->name; d++) if (!i--) return d->name;
    return NULL;
}
