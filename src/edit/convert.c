/* Converting a model to other block types, tensor by tensor and in pieces of rows, straight from the map: memory does not grow with
 * the file. Nothing of the model is understood here but what its tensors are for. */
#include "model/history.h"
#include "model/part_types.h"

#include "base/thread.h"
#include <string.h>

enum { PIECE = 1 << 20 /* values unpacked at once */, COPY = 4 << 20 };

typedef struct job {
    wt_ctx *cx;
    const wt_gguf *in;
    wt_gguf_out *out;
    int32_t type[WT_N_PART];         /* wanted for each part, -1: as it is */
    bool repack;
    wt_type *to;                     /* [n_tensor] */
    float *f; uint8_t *packed, *spare;   /* of one piece */
    double done, total;
    witan_convert_result r;
} job;

/* ---- which type ------------------------------------------------------------------------------------------------------ */

static wt_status choose(job *j, size_t i)
{
    const wt_tensor *t = j->in->tensor + i;
    size_t len = strlen(t->name);
    wt_role role = wt_role_of(t->name);
    int32_t want = j->type[role.part];
    bool matrix = t->n_dim >= 2 && len > 7 && !strcmp(t->name + len - 7, ".weight") && !strstr(t->name, "norm");
    int64_t row = t->shape[t->n_dim - 1];
    j->to[i] = t->type;
    if (!matrix) return WITAN_OK;
    if (want < 0) want = (int32_t)t->type;
    wt_type to = want == (int32_t)t->type ? t->type : wt_type_that_fits((wt_type)want, row);
    if (to != (wt_type)want) {
        j->r.n_other++;
        wt_log(j->cx, WITAN_INFO, "%s: rows of %lld values are not whole blocks of %s; stored as %s", t->name, (long long)row,
               wt_type_get((uint32_t)want)->name, wt_type_get(to)->name);
    }
    bool rows = role.part != WT_PART_EMBED && role.part != WT_PART_OTHER && t->shape[t->n_dim - 2] % WT_GROUP == 0;   /* never asked for one by one */
    if (j->repack && rows) wt_grouped(to, &to);
    if (to != t->type && !wt_type_get(t->type)->unpack)
        return wt_fail(j->cx, WT_EUNSUPPORTED, "%s: %s: block type %s cannot be read yet", j->in->path, t->name, wt_type_get(t->type)->name);
    j->to[i] = to;
    j->r.n_changed += to != t->type;
    j->r.requantized |= to != t->type && wt_type_get(to)->base != t->type && wt_type_get(t->type)->block > 1;
    return WITAN_OK;
}

static wt_status describe(job *j)
{
    for (size_t i = 0; i < j->in->n_tensor; i++) {
        const wt_tensor *t = j->in->tensor + i;
        size_t row_bytes;
        WT_TRY(choose(j, i));
        WT_TRY(wt_gguf_add_tensor(j->out, t->name, j->to[i], t->n_dim, t->shape));
        wt_row_bytes(j->to[i], (uint64_t)t->shape[t->n_dim - 1], &row_bytes);
        j->r.bytes_before += (int64_t)t->bytes;
        j->r.bytes_after += (int64_t)(row_bytes * (t->n / (size_t)t->shape[t->n_dim - 1]));
        j->total += (double)t->bytes;
    }
    if (j->r.requantized) wt_log(j->cx, WITAN_WARN, "weights that were quantized already are quantized again: their errors add up");
    return WITAN_OK;
}

/* ---- metadata -------------------------------------------------------------------------------------------------------- */

static wt_status metadata(job *j, const witan_convert_options *o)
{
    wt_text entry;
    char parent[65];
    for (size_t i = 0; i < j->in->n_kv; i++)
        if (strncmp(j->in->kv[i].key, "split.", 6)) WT_TRY(wt_gguf_put_raw(j->out, j->in->kv + i));
    int32_t number = wt_file_type(j->type[WT_PART_EXPERT]);
    if (o->type && number >= 0) WT_TRY(wt_gguf_put_u32(j->out, "general.file_type", (uint32_t)number));
    if (o->type) WT_TRY(wt_gguf_put_u32(j->out, "general.quantization_version", 2));
    WT_TRY(wt_gguf_put_str(j->out, "witan.version", WITAN_VERSION));
    wt_gguf_fingerprint(j->in, parent);
    wt_history_begin(&entry, j->cx, "convert", parent, o->command);
    for (int i = 0; i < WT_N_PART; i++)
        if (j->type[i] >= 0) wt_history_str(&entry, wt_part_name((wt_part)i), wt_type_get((uint32_t)j->type[i])->name);
    return wt_history_end(&entry, j->out, j->in);
}

/* ---- data ------------------------------------------------------------------------------------------------------------ */

typedef struct piece { const wt_type_info *from, *to; const uint8_t *src; float *f; uint8_t *dst, *spare; size_t row; } piece;

static void rows(void *arg, size_t begin, size_t end, int worker)
{
    const piece *p = arg;
    size_t in = p->row / p->from->block * p->from->bytes, out = p->row / p->to->block * p->to->bytes;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        p->from->unpack(p->f + i * p->row, p->src + i * in, p->row);
        p->to->pack(p->dst + i * out, p->f + i * p->row, p->row);
    }
}

/* Groups of rows: each first in the type that the group is made of, in the place of its floats where it is that already. */
static void groups(void *arg, size_t begin, size_t end, int worker)
{
    const piece *p = arg;
    const wt_type_info *base = wt_type_get(p->to->base);
    size_t in = p->row / p->from->block * p->from->bytes, out = p->row / p->to->block * p->to->bytes;
    (void)worker;
    for (size_t g = begin; g < end; g++) {
        const uint8_t *plain = p->src + g * WT_GROUP * in;
        if (p->from != base) {
            float *f = p->f + g * WT_GROUP * p->row;
            uint8_t *packed = p->spare + g * WT_GROUP * out;
            for (size_t r = 0; r < WT_GROUP; r++) {
                p->from->unpack(f + r * p->row, plain + r * in, p->row);
                base->pack(packed + r * out, f + r * p->row, p->row);
            }
            plain = packed;
        }
        wt_regroup(p->to, p->dst + g * WT_GROUP * out, plain, p->row);
    }
}

static wt_status report(job *j, size_t n)
{
    j->done += (double)n;
    return wt_progress(j->cx, "convert", j->done, j->total, "bytes");
}

static wt_status copy(job *j, const wt_tensor *t)
{
    for (size_t at = 0, n; at < t->bytes; at += n) {
        n = t->bytes - at < COPY ? t->bytes - at : COPY;
        WT_TRY(wt_gguf_write(j->out, (const uint8_t *)t->data + at, n));
        WT_TRY(report(j, n));
    }
    return WITAN_OK;
}

/* Pieces of whole rows, as many as fit into PIECE values; a row that is longer is cut at whole blocks of both types. */
static wt_status recode(job *j, const wt_tensor *t, wt_type to)
{
    piece p = { .from = wt_type_get(t->type), .to = wt_type_get(to), .src = t->data, .f = j->f, .dst = j->packed, .spare = j->spare };
    size_t row = (size_t)t->shape[t->n_dim - 1], unit = p.to->group ? WT_GROUP : 1;
    if (row > PIECE && row % 32 == 0 && unit == 1) row = row % 256 ? 32 : 256;    /* blocks of both types divide it, as they divide the row */
    if (row * unit > PIECE) return wt_fail(j->cx, WT_ELIMIT, "%s: rows of %zu values are too long to convert", t->name, row);
    p.row = row;
    for (size_t left = t->n / row, n; left; left -= n) {
        n = PIECE / row < left ? PIECE / row / unit * unit : left;
        if (unit > 1) wt_parallel(j->cx, n / unit, 65536 / (row * unit) + 1, groups, &p);
        else wt_parallel(j->cx, n, 65536 / row + 1, rows, &p);
        size_t in = n * (row / p.from->block * p.from->bytes);
        WT_TRY(wt_gguf_write(j->out, j->packed, n * (row / p.to->block * p.to->bytes)));
        p.src += in;
        WT_TRY(report(j, in));
    }
    return WITAN_OK;
}

static wt_status data(job *j)
{
    for (size_t i = 0; i < j->in->n_tensor; i++) {
        const wt_tensor *t = j->in->tensor + i;
        WT_TRY(j->to[i] == t->type ? copy(j, t) : recode(j, t, j->to[i]));
        wt_map_forget(j->cx, &wt_gguf_home(j->in, i)->map, t->data, t->bytes);
    }
    return WITAN_OK;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

static wt_status convert(job *j, const witan_convert_options *o)
{
    j->to = wt_alloc(j->cx, j->in->n_tensor + 1, sizeof *j->to);
    j->f = wt_realloc(j->cx, NULL, PIECE, sizeof *j->f);
    j->packed = wt_realloc(j->cx, NULL, PIECE, sizeof *j->f);
    j->spare = wt_realloc(j->cx, NULL, o->repack ? PIECE : 1, sizeof *j->f);
    if (!j->to || !j->f || !j->packed || !j->spare) return WT_ENOMEM;
    j->repack = o->repack;
    WT_TRY(wt_part_types(j->cx, o, !wt_gguf_tensor(j->in, "output.weight"), j->type));
    WT_TRY(metadata(j, o));
    WT_TRY(describe(j));
    if (o->split > 0) wt_gguf_out_split(j->out, (uint64_t)o->split);
    WT_TRY(wt_gguf_out_parts(j->out, &j->r.n_file, &j->r.first));
    for (size_t i = 0; i <= j->in->n_part; i++)
        if (wt_file_same(j->r.first, i ? j->in->part[i - 1]->path : j->in->path))
            return wt_fail(j->cx, WT_EARG, "%s: is the model itself; choose another output name", j->r.first);
    return data(j);
}

wt_status witan_convert(wt_ctx *cx, const char *in, const char *out, const witan_convert_options *opts, witan_convert_result *result)
{
    wt_gguf *g;
    job j = { .cx = cx };
    WT_TRY(wt_gguf_open(cx, in, &g));
    j.in = g;
    wt_status st = wt_file_same(out, in) ? wt_fail(cx, WT_EARG, "%s: is the model itself; choose another output name", out) : wt_gguf_out_open(cx, out, &j.out);
    if (st == WITAN_OK) st = convert(&j, opts);
    if (st == WITAN_OK) st = wt_gguf_out_commit(&j.out); else wt_gguf_out_abort(&j.out);
    wt_free(cx, j.to);
    wt_free(cx, j.f);
    wt_free(cx, j.packed);
    wt_free(cx, j.spare);
    wt_gguf_free(g);
    if (st == WITAN_OK && result) *result = j.r; else wt_free(cx, j.r.first);
    return st;
}
