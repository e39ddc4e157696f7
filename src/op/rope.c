/* Rotary position embedding (RoFormer, arXiv 2104.09864, eq. 34), with the angles of a batch computed once; and keeping what it turned. */
#include "op/ops.h"

#include "base/thread.h"
#include "op/tape.h"
#include <math.h>
#include <string.h>

/* ---- angles ------------------------------------------------------------------------------------------------------------ */

typedef struct angles { const int32_t *pos; const double *freq; size_t half; float size, *out; } angles;

static void angles_of_tokens(void *arg, size_t begin, size_t end, int worker)
{
    const angles *a = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *out = a->out + t * 2 * a->half;
        for (size_t i = 0; i < a->half; i++) {
            double angle = a->pos[t] * a->freq[i];
            out[i] = a->size * (float)cos(angle);
            out[a->half + i] = a->size * (float)sin(angle);
        }
    }
}

wt_status wt_op_rope_table(wt_run *r, const int32_t *pos, int32_t n_tok, const double *freq, int32_t n_rot, float size, wt_tensor **table)
{
    WT_TRY(wt_tensor_new(r->a, 3, (int64_t[]){ n_tok, 2, n_rot / 2 }, table));
    angles a = { pos, freq, (size_t)n_rot / 2, size, (*table)->f32 };
    wt_parallel(r->cx, (size_t)n_tok, 256 / (a.half + 1) + 1, angles_of_tokens, &a);
    return WITAN_OK;
}

/* ---- turning and keeping ----------------------------------------------------------------------------------------------- */

typedef struct job {
    const wt_run *r;
    float *q, *k;
    const float *v, *table;
    const wt_kv_view *kv;
    const int32_t *seq, *pos;
    size_t n_tok, half, group;
    bool halves;
} job;

enum { AHEAD = 4 /* tokens */ };

/* One key/value head of one token, with the query heads that read it. */
static void keep(const job *j, size_t t, size_t head)
{
    const wt_kernels *k = j->r->k;
    size_t d = (size_t)j->kv->d_head, at = t * (size_t)j->kv->n_head + head;
    const float *cs = j->table + t * 2 * j->half;
    void *keys, *values;
    for (size_t g = 0; g < j->group; g++) k->turn(j->q + (at * j->group + g) * d, cs, j->half, j->halves);
    k->turn(j->k + at * d, cs, j->half, j->halves);
    j->kv->panels(j->kv->self, j->r->layer, j->seq[t], j->pos[t] / WT_PAGE, (int32_t)head, &keys, &values);
    wt_kv_put(k, j->kv, keys, values, j->pos[t] % WT_PAGE, j->k + at * d, j->v + at * d);
}

static void ask(const float *x, size_t n) { for (size_t i = 0; i < n; i += 16) __builtin_prefetch(x + i); }

/* Heads outside, tokens inside: neighbours in a panel are written one after another. What is read lies a row apart, which no hardware foresees. */
static void tasks(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    size_t d = (size_t)j->kv->d_head;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        size_t t = i % j->n_tok, head = i / j->n_tok, at = (t + AHEAD) * (size_t)j->kv->n_head + head;
        if (t + AHEAD < j->n_tok) {
            ask(j->q + at * j->group * d, j->group * d);
            ask(j->k + at * d, d);
            ask(j->v + at * d, d);
        }
        keep(j, t, head);
    }
}

/* ---- backward ------------------------------------------------------------------------------------------------------------ */

/* A rotation's transpose turns back: the same with sines negated. Heads of gradients of q and k, as they lie. */
typedef struct turning { const wt_kernels *k; float *dx[2]; const float *cs; size_t n[2], d, half; bool halves; } turning;   /* n: values of a token */

static void turn_back(void *arg, size_t begin, size_t end, int worker)
{
    const turning *j = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++)
        for (int i = 0; i < 2; i++)
            for (size_t at = 0; j->dx[i] && at < j->n[i]; at += j->d) j->k->turn(j->dx[i] + t * j->n[i] + at, j->cs + t * 2 * j->half, j->half, j->halves);
}

typedef struct kept { const wt_tensor *q, *table; size_t d; bool halves; } kept;

static wt_status back(wt_run *r, const wt_rec *e)
{
    const kept *o = e->op;
    const wt_tensor *q = o->q, *k = e->out;
    size_t n_tok = (size_t)o->table->shape[0], half = (size_t)o->table->shape[2];
    turning j = { .k = r->k, .dx = { q->grad_set ? q->grad : NULL, k->grad_set ? k->grad : NULL }, .n = { q->n / n_tok, k->n / n_tok },
                  .d = o->d, .half = half, .halves = o->halves };
    wt_mark m = wt_mark_set(r->a);
    float *cs = wt_take_n(r->a, o->table->n, sizeof *cs);
    if (!cs) return WITAN_ENOMEM;
    for (size_t t = 0; t < n_tok; t++)
        for (size_t i = 0; i < 2 * half; i++) cs[t * 2 * half + i] = i < half ? o->table->f32[t * 2 * half + i] : -o->table->f32[t * 2 * half + i];
    j.cs = cs;
    wt_parallel(r->cx, n_tok, 8192 / (j.n[0] + j.n[1]) + 1, turn_back, &j);
    wt_rewind(r->a, m);
    return WITAN_OK;
}

/* q and k are input and output at once. */
static wt_status record(wt_run *r, wt_tensor *q, wt_tensor *k, const wt_tensor *table, size_t d, bool halves)
{
    if (!wt_taping(r) || !(wt_learns(q) || wt_learns(k))) return WITAN_OK;
    kept *o = wt_take(r->a, sizeof *o);
    if (!o) return WITAN_ENOMEM;
    *o = (kept){ q, table, d, halves };
    q->tracked = true;
    return wt_record(r, &(wt_rec){ .back = back, .out = k, .in = { q, k }, .op = o });
}

wt_status wt_op_rope_keep(wt_run *r, wt_tensor *q, wt_tensor *k, const wt_tensor *v, const wt_tensor *table, bool halves, const wt_kv_view *kv,
                          const int32_t *seq, const int32_t *pos)
{
    size_t n_tok = (size_t)table->shape[0], d = (size_t)kv->d_head;
    wt_assert(k->n == n_tok * (size_t)kv->n_head * d && v->n == k->n && q->n % k->n == 0);
    job j = { r, q->f32, k->f32, v->f32, table->f32, kv, seq, pos, n_tok, (size_t)table->shape[2], q->n / k->n, halves };
    wt_parallel(r->cx, n_tok * (size_t)kv->n_head, 8192 / (d * (j.group + 3)) + 1, tasks, &j);
    return record(r, q, k, table, d, halves);
}
