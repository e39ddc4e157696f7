/* The trained model as a file: the metadata of the model that training began with, the weights as they are now, in the block type that was asked for. */
#include "train/fresh.h"

#include "base/thread.h"
#include "model/history.h"
#include "model/part_types.h"
#include <string.h>

enum { PIECE = 1 << 20 /* values packed at once */ };

static wt_status metadata(wt_ctx *cx, wt_gguf_out *out, const wt_gguf *from, const wt_export *e, int32_t file_type)
{
    wt_text entry;
    char parent[65];
    for (size_t i = 0; i < from->n_kv; i++)
        if (strncmp(from->kv[i].key, "split.", 6)) WT_TRY(wt_gguf_put_raw(out, from->kv + i));
    if (e->name) WT_TRY(wt_gguf_put_str(out, "general.name", e->name));
    if (file_type >= 0) WT_TRY(wt_gguf_put_u32(out, "general.file_type", (uint32_t)file_type));
    WT_TRY(wt_gguf_put_u32(out, "general.quantization_version", 2));
    WT_TRY(wt_gguf_put_str(out, "witan.version", WITAN_VERSION));
    WT_TRY(wt_gguf_put_str(out, "witan.train", e->config));
    wt_gguf_fingerprint(from, parent);
    wt_history_begin(&entry, cx, "train", parent, NULL);
    wt_text_printf(&entry, ",\"steps\":%lld,\"tokens\":%lld,\"seed\":%lld", (long long)e->steps, (long long)e->tokens, (long long)e->seed);
    wt_history_str(&entry, "data", e->data);
    return wt_history_end(&entry, out, from);
}

typedef struct packing { const wt_type_info *t; const float *x; uint8_t *dst; size_t row; } packing;

static void pack_rows(void *arg, size_t begin, size_t end, int worker)
{
    const packing *p = arg;
    size_t bytes = p->row / p->t->block * p->t->bytes;
    (void)worker;
    for (size_t i = begin; i < end; i++) p->t->pack(p->dst + i * bytes, p->x + i * p->row, p->row);
}

static wt_type type_of(const wt_weight *w, const int32_t want[WT_N_PART])
{
    bool matrix = w->n_dim > 1 && !strstr(w->name, "norm");
    return matrix && want[w->part] >= 0 ? wt_type_that_fits((wt_type)want[w->part], w->shape[w->n_dim - 1]) : WT_F32;
}

/* Pieces of whole rows; a row that is longer than a piece is cut at 256 values, which blocks of every type divide. */
static wt_status data(wt_ctx *cx, wt_gguf_out *out, const wt_weight *w, wt_type type, uint8_t *buf)
{
    packing p = { .t = wt_type_get(type), .x = w->w, .dst = buf, .row = (size_t)w->shape[w->n_dim - 1] };
    if (type == WT_F32) return wt_gguf_write(out, w->w, w->n * sizeof *w->w);
    if (p.row > PIECE) p.row = p.row % 256 ? 32 : 256;
    for (size_t left = w->n / p.row, n; left; left -= n) {
        n = PIECE / p.row < left ? PIECE / p.row : left;
        wt_parallel(cx, n, 65536 / p.row + 1, pack_rows, &p);
        WT_TRY(wt_gguf_write(out, buf, n * (p.row / p.t->block * p.t->bytes)));
        p.x += n * p.row;
    }
    return WITAN_OK;
}

/* A selection bias is what training began with and what balance methods have added. */
static wt_status bias_data(wt_ctx *cx, wt_gguf_out *out, const wt_weight *w, const wt_balance_set *balance)
{
    float *b = wt_alloc(cx, w->n + 1, sizeof *b);
    if (!b) return WT_ENOMEM;
    if (balance && w->layer >= 0) wt_balance_bias(balance, w->layer, b);
    for (size_t i = 0; i < w->n; i++) b[i] += w->w[i];
    wt_status st = wt_gguf_write(out, b, w->n * sizeof *b);
    wt_free(cx, b);
    return st;
}

static wt_status put(wt_ctx *cx, wt_gguf_out *out, const wt_trainable *t, const wt_export *e, uint8_t *buf)
{
    int32_t want[WT_N_PART];
    witan_convert_options types = { .type = e->type };
    WT_TRY(wt_part_types(cx, &types, !wt_trainable_find(t, "output.weight"), want));
    WT_TRY(metadata(cx, out, t->m->file, e, wt_file_type(want[WT_PART_EXPERT])));
    for (size_t i = 0; i < t->n_weight; i++) {
        const wt_weight *w = t->weight + i;
        WT_TRY(wt_gguf_add_tensor(out, w->name, type_of(w, want), w->n_dim, w->shape));
    }
    for (size_t i = 0; i < t->n_weight; i++) {
        const wt_weight *w = t->weight + i;
        WT_TRY(strstr(w->name, "exp_probs_b") ? bias_data(cx, out, w, e->balance) : data(cx, out, w, type_of(w, want), buf));
        WT_TRY(wt_progress(cx, "write", (double)(i + 1), (double)t->n_weight, "tensors"));
    }
    return WITAN_OK;
}

wt_status wt_train_export(wt_ctx *cx, const wt_trainable *t, const wt_export *e)
{
    wt_gguf_out *out = NULL;
    uint8_t *buf = wt_realloc(cx, NULL, PIECE, sizeof(float));
    wt_status st = buf ? wt_gguf_out_open(cx, e->path, &out) : WT_ENOMEM;
    if (st == WITAN_OK) st = put(cx, out, t, e, buf);
    if (st == WITAN_OK) st = wt_gguf_out_commit(&out); else wt_gguf_out_abort(&out);
    wt_free(cx, buf);
    return st;
}
