/* Applying a plan: writes the smaller model, tensor by tensor, straight from the map. Blocks of kept experts are copied untouched, never
 * quantized again; memory does not grow with the file. */
#include "edit/plan.h"

#include "model/history.h"
#include "model/model.h"
#include <stdio.h>
#include <string.h>

enum { PIECE = 4 << 20 };

typedef struct job {
    wt_ctx *cx;
    const wt_model *m;
    const wt_plan *p;
    const char *command;
    wt_gguf_out *out;
    double done, total;
} job;

/* ---- which tensors are cut ------------------------------------------------------------------------------------------ */

/* What happens to a tensor: stays whole (layer NULL), loses slices of its slowest dimension, or, where every expert has its own tensor, goes
 * or gets a new number. */
typedef struct cut { const wt_mask_layer *layer; int32_t expert; } cut;

static cut cut_of(const job *j, const wt_tensor *t)
{
    wt_role role = wt_role_of(t->name);
    if ((role.part != WT_PART_EXPERT && role.part != WT_PART_ROUTER) || role.layer >= j->p->mask.n_layer) return (cut){ 0 };
    return (cut){ j->p->mask.layer + role.layer, role.expert };
}

static int32_t new_number(const wt_mask_layer *l, int32_t expert)
{
    int32_t n = 0;
    for (int32_t e = 0; e < expert; e++) n += l->keep[e];
    return n;
}

/* "blk.3.ffn_up.7.weight" becomes "blk.3.ffn_up.4.weight". */
static void rename_expert(const wt_mask_layer *l, const wt_tensor *t, int32_t expert, char name[64])
{
    const char *tail = strrchr(t->name, '.'), *number = tail;
    while (number[-1] != '.') number--;
    snprintf(name, 64, "%.*s%d%s", (int)(number - t->name), t->name, new_number(l, expert), tail);
}

static wt_status describe_tensors(job *j)
{
    for (size_t i = 0; i < j->m->file->n_tensor; i++) {
        const wt_tensor *t = j->m->file->tensor + i;
        cut c = cut_of(j, t);
        int64_t shape[WT_MAX_DIM];
        char name[64];
        if (c.layer && c.expert >= 0 && !c.layer->keep[c.expert]) continue;
        memcpy(shape, t->shape, sizeof shape);
        if (c.layer && c.expert < 0) shape[0] = c.layer->n_keep;
        if (c.layer && c.expert >= 0) rename_expert(c.layer, t, c.expert, name);
        WT_TRY(wt_gguf_add_tensor(j->out, c.layer && c.expert >= 0 ? name : t->name, t->type, t->n_dim, shape));
        j->total += c.layer && c.expert < 0 ? (double)t->bytes * c.layer->n_keep / c.layer->n_exp : (double)t->bytes;
    }
    return WITAN_OK;
}

static wt_status copy(job *j, const uint8_t *p, size_t n)
{
    while (n) {
        size_t k = n < PIECE ? n : PIECE;
        WT_TRY(wt_gguf_write(j->out, p, k));
        p += k;
        n -= k;
        j->done += (double)k;
        WT_TRY(wt_progress(j->cx, "write", j->done, j->total, "bytes"));
    }
    return WITAN_OK;
}

static wt_status copy_kept(job *j, const wt_tensor *t, const wt_mask_layer *l)
{
    size_t each = t->bytes / (size_t)l->n_exp;
    for (int32_t e = 0; e < l->n_exp; e++)
        if (l->keep[e]) WT_TRY(copy(j, (const uint8_t *)t->data + (size_t)e * each, each));
    return WITAN_OK;
}

static wt_status copy_tensors(job *j)
{
    for (size_t i = 0; i < j->m->file->n_tensor; i++) {
        const wt_tensor *t = j->m->file->tensor + i;
        cut c = cut_of(j, t);
        if (!c.layer) WT_TRY(copy(j, t->data, t->bytes));
        else if (c.expert >= 0) WT_TRY(c.layer->keep[c.expert] ? copy(j, t->data, t->bytes) : WITAN_OK);
        else WT_TRY(copy_kept(j, t, c.layer));
        wt_map_forget(j->cx, &wt_gguf_home(j->m->file, i)->map, t->data, t->bytes);
    }
    return WITAN_OK;
}

/* ---- metadata ------------------------------------------------------------------------------------------------------- */

static wt_status expert_counts(job *j)
{
    const wt_mask *m = &j->p->mask;
    char key[160];
    int32_t most = 0;
    bool ragged = false;
    uint32_t *per = wt_alloc(j->cx, (size_t)m->n_layer, sizeof *per);
    if (!per) return WT_ENOMEM;
    for (int32_t i = 0; i < m->n_layer; i++) {
        per[i] = (uint32_t)m->layer[i].n_keep;
        if (m->layer[i].n_keep > most) most = m->layer[i].n_keep;
        ragged |= per[i] != per[0];
    }
    snprintf(key, sizeof key, "%s.expert_count", j->m->info.arch);
    wt_status st = wt_gguf_put_u32(j->out, key, (uint32_t)most);
    if (st == WITAN_OK && ragged) {
        wt_log(j->cx, WITAN_WARN, "layers keep different numbers of experts: only witan can load the result");
        st = wt_gguf_put_u32s(j->out, "witan.expert_count_per_layer", per, (size_t)m->n_layer);
    }
    wt_free(j->cx, per);
    return st;
}

static wt_status new_name(job *j)
{
    char *name = wt_printf(j->cx, "%s-e%d", j->m->info.name, j->p->mask.layer[0].n_keep);
    if (!name) return WT_ENOMEM;
    wt_status st = wt_gguf_put_str(j->out, "general.name", name);
    wt_free(j->cx, name);
    return st;
}

/* What was done, with what, on which data. */
static wt_status history(job *j)
{
    const wt_plan *p = j->p;
    wt_text t;
    wt_history_begin(&t, j->cx, "prune experts", j->m->info.fingerprint, j->command);
    wt_history_str(&t, "parent_name", j->m->info.name);
    wt_history_str(&t, "method", p->method);
    wt_history_str(&t, "options", p->method_opts);
    wt_history_str(&t, "gate", p->mask.gate == WITAN_GATE_KEEP ? "keep" : "renorm");
    wt_history_str(&t, "data", p->data_digest);
    wt_history_str(&t, "domains", p->domains);
    wt_text_puts(&t, ",\"keep\":");
    wt_text_num(&t, p->keep);
    wt_text_printf(&t, ",\"seed\":%lld,\"documents\":%lld,\"tokens\":%lld", (long long)p->seed, (long long)p->n_doc, (long long)p->n_tok);
    return wt_history_end(&t, j->out, j->m->file);
}

static wt_status metadata(job *j)
{
    for (size_t i = 0; i < j->m->file->n_kv; i++) {
        const wt_kv *kv = j->m->file->kv + i;
        /* Sizes in words would be wrong now; the per-layer counts are written again if they are needed. */
        if (!strcmp(kv->key, "general.size_label") || !strcmp(kv->key, "witan.expert_count_per_layer") || !strncmp(kv->key, "split.", 6)) continue;
        WT_TRY(wt_gguf_put_raw(j->out, kv));
    }
    WT_TRY(expert_counts(j));
    WT_TRY(new_name(j));
    WT_TRY(wt_gguf_put_str(j->out, "witan.version", WITAN_VERSION));
    char *plan;
    WT_TRY(witan_plan_json(j->cx, j->p, &plan));
    wt_status st = wt_gguf_put_str(j->out, "witan.plan", plan);
    wt_free(j->cx, plan);
    WT_TRY(st);
    return history(j);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

/* A file holds router rows, not masks: it cannot say "leave the gates as they were" where a softmax over all experts makes them. */
static wt_status expressible(wt_ctx *cx, const wt_model *m, const wt_plan *p)
{
    for (int32_t i = 0; i < m->cfg.n_layer; i++)
        if (p->mask.gate == WITAN_GATE_KEEP && p->mask.layer[i].n_keep < p->mask.layer[i].n_exp && !m->layer[i].route.renorm &&
            m->layer[i].route.activation == WT_ACT_SOFTMAX)
            return wt_fail(cx, WT_EUNSUPPORTED, "gate=keep cannot be written for family %s: deleting router rows renormalises the gates; "
                           "use gate=renorm, or wear the plan at run time", m->info.arch);
    return WITAN_OK;
}

wt_status witan_plan_apply(wt_ctx *cx, const wt_model *m, const wt_plan *p, const char *command, const char *path)
{
    job j = { .cx = cx, .m = m, .p = p, .command = command };
    WT_TRY(witan_plan_check(cx, p, m));
    WT_TRY(expressible(cx, m, p));
    if (wt_file_same(path, m->file->path)) return wt_fail(cx, WT_EARG, "%s: is the model itself; choose another output name", path);
    WT_TRY(wt_gguf_out_open(cx, path, &j.out));
    wt_status st = metadata(&j);
    if (st == WITAN_OK) st = describe_tensors(&j);
    if (st == WITAN_OK) st = copy_tensors(&j);
    if (st == WITAN_OK) return wt_gguf_out_commit(&j.out);
    wt_gguf_out_abort(&j.out);
    return st;
}
