/* Causal grouped-query attention over a paged cache, with the softmax taken piece by piece (online softmax, Milakov and Gimelshein, arXiv
 * 1805.02867; over blocks of keys as in FlashAttention, arXiv 2205.14135): no row of scores is longer than a page.
 *
 * A block is some tokens of one sequence that stand at consecutive positions, with the query heads that share one key/value head: rows that
 * read the same pages. A page is unpacked once for all of them. Pages are taken in order; every SPAN of them starts anew, and what the spans
 * gave is joined in order. Pages and spans are counted from position 0, so that the sums of a row are a property of its position: spans may
 * be computed side by side where there are fewer blocks than threads, and no bit depends on that, nor on what else is in the block. */
#include "op/ops.h"

#include "base/thread.h"
#include "op/tape.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { ROWS = 64 /* of a block */, SPAN = 8 /* pages */, SPAN_TOKENS = SPAN * WT_PAGE };
enum { FEW_ROWS = 6 /* mix halves faster than they are unpacked */ };
enum { MOST_PARTS = 1 << 22 /* floats kept of spans computed side by side */ };

typedef struct block { int32_t first, n_tok; } block;    /* tokens of the batch */

/* What rows have got so far: values weighted by exp(score - top), and the sum of these weights. */
typedef struct partial { float *y, *top, *sum; } partial;   /* y [rows, d_head] */

/* A worker's own memory. */
typedef struct room {
    float *q, *score, *keys, *values, *keep;     /* q [rows, d_head], scaled; score [rows, WT_PAGE] */
    partial span, all;
    int32_t *whole, *seen;                       /* [rows] d_head; how many keys of a page each row sees */
} room;

typedef struct job {
    const wt_run *r;
    const wt_kv_view *kv;
    const float *q;
    float *y;
    const int32_t *seq, *pos;
    const block *block; size_t n_block;
    size_t group, d, rows;                       /* rows: of the largest block */
    size_t n_span;                               /* computed side by side; 1: one after the other */
    partial part;                                /* [n_block, n_head, n_span, rows] where they are side by side */
    room *room;                                  /* [threads] */
    float *lse;                                  /* [n_tok, heads of q] for backward: top + log(sum) of each row, or NULL */
} job;

static int32_t last_pos(const job *j, const block *b) { return j->pos[b->first] + b->n_tok - 1; }

static size_t row_at(const job *j, const block *b, size_t head, size_t r)   /* where the r-th row of a block stands in q and y */
{
    size_t t = (size_t)b->first + r / j->group;
    return ((t * (size_t)j->kv->n_head + head) * j->group + r % j->group) * j->d;
}

/* ---- one block of rows ------------------------------------------------------------------------------------------------- */

/* Adds one page to the rows that see any of it: those from `from` on. */
static void page(const job *j, room *w, const block *b, size_t head, int32_t p)
{
    const wt_kernels *k = j->r->k;
    size_t rows = (size_t)b->n_tok * j->group, d = j->d, from, ld;
    int32_t before = p * WT_PAGE - j->pos[b->first], most = last_pos(j, b) + 1 - p * WT_PAGE;
    void *keys, *values;
    if (most > WT_PAGE) most = WT_PAGE;
    from = before > 0 ? (size_t)before * j->group : 0;
    for (size_t r = from; r < rows; r++) {
        int32_t n = (int32_t)(r / j->group) - before + 1;
        w->seen[r] = n < WT_PAGE ? n : WT_PAGE;
    }
    j->kv->panels(j->kv->self, j->r->layer, j->seq[b->first], p, (int32_t)head, &keys, &values);
    if (j->kv->type == WT_F16 && rows - from <= FEW_ROWS) {
        k->mix_half(w->score, WT_PAGE, NULL, w->q + from * d, d, w->whole, rows - from, keys, WT_PAGE, (size_t)most);
        k->soften(w->score, WT_PAGE, w->seen + from, rows - from, w->span.top + from, w->span.sum + from, w->keep);
        k->mix_half(w->span.y + from * d, d, w->keep, w->score, WT_PAGE, w->seen + from, rows - from, values, d, d);
        return;
    }
    const float *kf = wt_kv_keys(k, j->kv, keys, most, w->keys);
    k->mix(w->score, WT_PAGE, NULL, w->q + from * d, d, w->whole, rows - from, kf, WT_PAGE, (size_t)most);
    k->soften(w->score, WT_PAGE, w->seen + from, rows - from, w->span.top + from, w->span.sum + from, w->keep);
    const float *vf = wt_kv_values(k, j->kv, values, most, w->values, &ld);
    k->mix(w->span.y + from * d, d, w->keep, w->score, WT_PAGE, w->seen + from, rows - from, vf, ld, d);
}

/* The pages of one span, from nothing. */
static void span(const job *j, room *w, const block *b, size_t head, size_t s)
{
    size_t rows = (size_t)b->n_tok * j->group;
    int32_t end = last_pos(j, b) / WT_PAGE + 1, p = (int32_t)s * SPAN;
    if (end > p + SPAN) end = p + SPAN;
    for (size_t r = 0; r < rows; r++) {
        w->span.top[r] = -FLT_MAX;               /* not -infinity: a difference of two of them is no number */
        w->span.sum[r] = 0;
    }
    memset(w->span.y, 0, rows * j->d * sizeof *w->span.y);
    for (; p < end; p++) page(j, w, b, head, p);
}

/* Joins what span s gave to rows: the first as it is. Rows that see nothing of it are left alone. */
static void join(const job *j, partial *all, const partial *more, const block *b, size_t s)
{
    const wt_kernels *k = j->r->k;
    for (size_t r = 0; r < (size_t)b->n_tok * j->group; r++) {
        float *y = all->y + r * j->d;
        const float *part = more->y + r * j->d;
        if (j->pos[b->first] + (int32_t)(r / j->group) < (int32_t)s * SPAN_TOKENS) continue;
        if (!s) {
            memcpy(y, part, j->d * sizeof *y);
            all->top[r] = more->top[r];
            all->sum[r] = more->sum[r];
            continue;
        }
        float top = all->top[r] > more->top[r] ? all->top[r] : more->top[r];
        float old = expf(all->top[r] - top), fresh = expf(more->top[r] - top);
        k->scale(y, y, old, j->d);
        k->axpy(y, fresh, part, j->d);
        all->sum[r] = old * all->sum[r] + fresh * more->sum[r];
        all->top[r] = top;
    }
}

static void finish(const job *j, const partial *all, const block *b, size_t head)
{
    for (size_t r = 0; r < (size_t)b->n_tok * j->group; r++) {
        size_t at = row_at(j, b, head, r);
        j->r->k->scale(j->y + at, all->y + r * j->d, 1 / all->sum[r], j->d);
        if (j->lse) j->lse[at / j->d] = all->top[r] + logf(all->sum[r]);
    }
}

static void gather(const job *j, room *w, const block *b, size_t head)
{
    float scale = 1 / sqrtf((float)j->d);
    for (size_t r = 0; r < (size_t)b->n_tok * j->group; r++)
        j->r->k->scale(w->q + r * j->d, j->q + row_at(j, b, head, r), scale, j->d);
}

/* ---- tasks ------------------------------------------------------------------------------------------------------------- */

static partial part_of(const job *j, size_t at, size_t head, size_t s)
{
    size_t row = ((at * (size_t)j->kv->n_head + head) * j->n_span + s) * j->rows;
    return (partial){ j->part.y + row * j->d, j->part.top + row, j->part.sum + row };
}

/* Blocks from last to first: in a prompt later ones cost more, and what is begun first is finished first. */
static void whole_blocks(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    room *w = j->room + worker;
    for (size_t i = begin; i < end; i++) {
        const block *b = j->block + j->n_block - 1 - i / (size_t)j->kv->n_head;
        size_t head = i % (size_t)j->kv->n_head;
        gather(j, w, b, head);
        for (size_t s = 0; (int32_t)s * SPAN_TOKENS <= last_pos(j, b); s++) {
            span(j, w, b, head, s);
            join(j, &w->all, &w->span, b, s);
        }
        finish(j, &w->all, b, head);
    }
}

static void single_spans(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    room w = j->room[worker];
    for (size_t i = begin; i < end; i++) {
        size_t s = i % j->n_span, head = i / j->n_span % (size_t)j->kv->n_head, at = i / j->n_span / (size_t)j->kv->n_head;
        const block *b = j->block + at;
        if ((int32_t)s * SPAN_TOKENS > last_pos(j, b)) continue;
        gather(j, &w, b, head);
        w.span = part_of(j, at, head, s);
        span(j, &w, b, head, s);
    }
}

static void join_spans(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    room *w = j->room + worker;
    for (size_t i = begin; i < end; i++) {
        size_t at = i / (size_t)j->kv->n_head, head = i % (size_t)j->kv->n_head;
        const block *b = j->block + at;
        for (size_t s = 0; (int32_t)s * SPAN_TOKENS <= last_pos(j, b); s++) {
            partial part = part_of(j, at, head, s);
            join(j, &w->all, &part, b, s);
        }
        finish(j, &w->all, b, head);
    }
}

/* ---- the op ------------------------------------------------------------------------------------------------------------ */

/* Cuts the batch where the sequence changes, and else so that a block has about ROWS rows. */
static size_t cut(const int32_t *seq, const int32_t *pos, int32_t n_tok, int32_t most, block *out)
{
    size_t n = 0;
    for (int32_t t = 0; t < n_tok; t++) {
        bool goes_on = n && seq[t] == seq[t - 1] && pos[t] == pos[t - 1] + 1 && out[n - 1].n_tok < most;
        if (goes_on) out[n - 1].n_tok++; else out[n++] = (block){ t, 1 };
    }
    return n;
}

static partial partial_new(wt_arena *a, size_t rows, size_t d)
{
    return (partial){ wt_take_n(a, rows, d * sizeof(float)), wt_take_n(a, rows, sizeof(float)), wt_take_n(a, rows, sizeof(float)) };
}

static bool whole(const partial *p) { return p->y && p->top && p->sum; }

static bool room_new(const job *j, room *w)
{
    wt_arena *a = j->r->a;
    size_t panel = wt_kv_room(j->kv->d_head) * sizeof(float);
    *w = (room){ .q = wt_take_n(a, j->rows, j->d * sizeof(float)), .score = wt_take_n(a, j->rows, WT_PAGE * sizeof(float)),
                 .keys = wt_take(a, panel), .values = wt_take(a, panel), .keep = wt_take_n(a, j->rows, sizeof(float)),
                 .span = partial_new(a, j->rows, j->d), .all = partial_new(a, j->rows, j->d),
                 .whole = wt_take_n(a, j->rows, sizeof(int32_t)), .seen = wt_take_n(a, j->rows, sizeof(int32_t)) };
    if (!w->q || !w->score || !w->keys || !w->values || !w->keep || !whole(&w->span) || !whole(&w->all) || !w->whole || !w->seen) return false;
    for (size_t r = 0; r < j->rows; r++) w->whole[r] = (int32_t)j->d;
    return true;
}

/* Spans side by side where blocks and heads alone are too few for the threads, and what they give is not too much to keep. */
static size_t spans_side_by_side(const job *j, int32_t n_pos)
{
    size_t n = ((size_t)n_pos + SPAN_TOKENS - 1) / SPAN_TOKENS, tasks = j->n_block * (size_t)j->kv->n_head, threads = (size_t)j->r->cx->threads;
    return threads > 1 && tasks < 4 * threads && tasks * n * j->rows <= MOST_PARTS / j->d ? n : 1;
}

static wt_status compute(job *j, int32_t n_pos)
{
    wt_ctx *cx = j->r->cx;
    size_t tasks = j->n_block * (size_t)j->kv->n_head, work = (size_t)n_pos * j->d * j->rows;   /* of one task, at most */
    j->room = wt_take_n(j->r->a, (size_t)cx->threads, sizeof *j->room);
    if (!j->room) return WITAN_ENOMEM;
    for (int32_t i = 0; i < cx->threads; i++) if (!room_new(j, j->room + i)) return WITAN_ENOMEM;
    j->n_span = spans_side_by_side(j, n_pos);
    if (j->n_span == 1) {
        wt_parallel(cx, tasks, 65536 / (work + 1) + 1, whole_blocks, j);
        return WITAN_OK;
    }
    j->part = partial_new(j->r->a, tasks * j->n_span * j->rows, j->d);
    if (!whole(&j->part)) return WITAN_ENOMEM;
    wt_parallel(cx, tasks * j->n_span, 65536 / (SPAN_TOKENS * j->d * j->rows + 1) + 1, single_spans, j);
    wt_parallel(cx, tasks, 65536 / (j->n_span * j->d * j->rows + 1) + 1, join_spans, j);
    return WITAN_OK;
}

/* ---- backward ------------------------------------------------------------------------------------------------------------ *
 * With P = exp(scale q k - lse) and D = dy . y of each row: dV = P^T dY; dS = P (dY V^T - D); dQ = scale dS K; dK = scale dS^T Q (as in
 * FlashAttention, section 3.1). A task is one sequence and one key/value head with all query heads that read it: it alone adds to their dK and dV. */

enum { Q_ROWS = 64, K_ROWS = 512 };

typedef struct kept { const float *lse; const int32_t *seq, *pos; size_t n_head, d; } kept;

typedef struct back_room { float *q, *p, *ds, *dq, *gemm; } back_room;   /* q, dq [Q_ROWS, d]; p, ds [Q_ROWS, K_ROWS] */

typedef struct back_job {
    const wt_run *r;
    const block *run; size_t n_run;
    const kept *o;
    const float *q, *k, *v, *y, *dy;
    float *mix;                                  /* [n_tok, heads of q] dy . y of each row */
    float *dq, *dk, *dv;                         /* NULL: not wanted */
    bool add_q, add_k, add_v;
    size_t group, wide, narrow;                  /* floats of a token in q and in k */
    float scale;
    back_room *room;
} back_job;

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* P and dS of query rows [row, row + m) against keys [key, key + n) of a sequence; q points at its first token's head, k and v too. */
static void scores(const back_job *j, back_room *w, const float *k, const float *v, const float *mix, const float *dy, const float *lse, size_t row, size_t m,
                   size_t key, size_t n)
{
    const wt_kernels *kn = j->r->k;
    size_t d = j->o->d;
    kn->gemm(w->p, K_ROWS, w->q, d, false, k + key * j->narrow, j->narrow, true, m, n, d, false, w->gemm);
    kn->gemm(w->ds, K_ROWS, dy + row * j->wide, j->wide, false, v + key * j->narrow, j->narrow, true, m, n, d, false, w->gemm);
    for (size_t i = 0; i < m; i++) {
        float *p = w->p + i * K_ROWS, *ds = w->ds + i * K_ROWS, top = lse[(row + i) * (j->wide / d)], sum = 0, keep;
        size_t seen = row + i < key ? 0 : smaller(row + i + 1 - key, n);
        int32_t len = (int32_t)seen;
        kn->soften(p, K_ROWS, &len, 1, &top, &sum, &keep);
        kn->mul(ds, ds, p, seen);
        kn->axpy(ds, -mix[(row + i) * (j->wide / d)], p, seen);
        memset(p + seen, 0, (n - seen) * sizeof *p);
        memset(ds + seen, 0, (n - seen) * sizeof *ds);
    }
}

/* One query head of one sequence of n tokens. first: dk and dv hold nothing yet. */
static void back_head(const back_job *j, back_room *w, size_t t0, size_t n, size_t q_head, size_t kv_head, bool first)
{
    const wt_kernels *kn = j->r->k;
    size_t d = j->o->d, at = t0 * j->wide + q_head * d, kv_at = t0 * j->narrow + kv_head * d;
    size_t head_at = t0 * (j->wide / d) + q_head;
    const float *dy = j->dy + at, *lse = j->o->lse + head_at;
    for (size_t row = 0, m; row < n; row += m) {
        m = smaller(Q_ROWS, n - row);
        for (size_t i = 0; i < m; i++) kn->scale(w->q + i * d, j->q + at + (row + i) * j->wide, j->scale, d);
        for (size_t key = 0, many; key < row + m; key += many) {
            many = smaller(K_ROWS, row + m - key);
            scores(j, w, j->k + kv_at, j->v + kv_at, j->mix + head_at, dy, lse, row, m, key, many);
            if (j->dq) kn->gemm(w->dq, d, w->ds, K_ROWS, false, j->k + kv_at + key * j->narrow, j->narrow, false, m, d, many, key > 0, w->gemm);
            /* Rows of keys that no row before has reached hold nothing yet. */
            size_t old = first && row > key ? smaller(row - key, many) : first ? 0 : many;
            float *dk = j->dk + kv_at + key * j->narrow, *dv = j->dv + kv_at + key * j->narrow;
            if (j->dk && old) kn->gemm(dk, j->narrow, w->ds, K_ROWS, true, w->q, d, false, old, d, m, true, w->gemm);
            if (j->dk && old < many) kn->gemm(dk + old * j->narrow, j->narrow, w->ds + old, K_ROWS, true, w->q, d, false, many - old, d, m, false, w->gemm);
            if (j->dv && old) kn->gemm(dv, j->narrow, w->p, K_ROWS, true, dy + row * j->wide, j->wide, false, old, d, m, true, w->gemm);
            if (j->dv && old < many)
                kn->gemm(dv + old * j->narrow, j->narrow, w->p + old, K_ROWS, true, dy + row * j->wide, j->wide, false, many - old, d, m, false, w->gemm);
        }
        for (size_t i = 0; j->dq && i < m; i++) {
            float *dq = j->dq + at + (row + i) * j->wide;
            if (j->add_q) kn->axpy(dq, j->scale, w->dq + i * d, d); else kn->scale(dq, w->dq + i * d, j->scale, d);
        }
    }
}

static void back_tasks(void *arg, size_t begin, size_t end, int worker)
{
    const back_job *j = arg;
    for (size_t i = begin; i < end; i++) {
        const block *b = j->run + i / j->o->n_head;
        size_t head = i % j->o->n_head;
        for (size_t g = 0; g < j->group; g++)
            back_head(j, j->room + worker, (size_t)b->first, (size_t)b->n_tok, head * j->group + g, head, g == 0 && !j->add_k && !j->add_v);
    }
}

static void mix_rows(void *arg, size_t begin, size_t end, int worker)
{
    const back_job *j = arg;
    size_t d = j->o->d;
    (void)worker;
    for (size_t i = begin; i < end; i++) j->mix[i] = j->r->k->dot(j->dy + i * d, j->y + i * d, d);
}

/* Where gradients go. Those of k and v begin together: both empty or both zeroed. */
static wt_status back_outputs(wt_run *r, const wt_rec *e, back_job *j)
{
    const wt_tensor *q = e->in[0], *k = e->in[1], *v = e->in[2];
    if (wt_learns(q) && !(j->dq = wt_grad(r, q, &j->add_q))) return WITAN_ENOMEM;
    bool together = !wt_learns(k) || !wt_learns(v) || k->grad_set == v->grad_set;
    if (wt_learns(k) && !(j->dk = together ? wt_grad(r, k, &j->add_k) : wt_grad_zeroed(r, k))) return WITAN_ENOMEM;
    if (wt_learns(v) && !(j->dv = together ? wt_grad(r, v, &j->add_v) : wt_grad_zeroed(r, v))) return WITAN_ENOMEM;
    if (!together) j->add_k = true;
    return WITAN_OK;
}

static wt_status back_rooms(wt_run *r, back_job *j)
{
    size_t d = j->o->d;
    j->room = wt_take_n(r->a, (size_t)r->cx->threads, sizeof *j->room);
    if (!j->room) return WITAN_ENOMEM;
    for (int32_t i = 0; i < r->cx->threads; i++) {
        back_room *w = j->room + i;
        *w = (back_room){ wt_take_n(r->a, Q_ROWS, d * sizeof(float)), wt_take_n(r->a, Q_ROWS, K_ROWS * sizeof(float)),
                          wt_take_n(r->a, Q_ROWS, K_ROWS * sizeof(float)), wt_take_n(r->a, Q_ROWS, d * sizeof(float)),
                          wt_take_n(r->a, WT_GEMM_SCRATCH, sizeof(float)) };
        if (!w->q || !w->p || !w->ds || !w->dq || !w->gemm) return WITAN_ENOMEM;
    }
    return WITAN_OK;
}

static wt_status back(wt_run *r, const wt_rec *e)
{
    const wt_tensor *q = e->in[0], *k = e->in[1], *v = e->in[2];
    const kept *o = e->op;
    int32_t n_tok = (int32_t)q->shape[0];
    back_job j = { .r = r, .o = o, .q = q->f32, .k = k->f32, .v = v->f32, .y = e->out->f32, .dy = wt_grad_out(e), .group = q->n / k->n,
                   .wide = q->n / (size_t)n_tok, .narrow = k->n / (size_t)n_tok, .scale = 1 / sqrtf((float)o->d) };
    if (!j.dy) return WITAN_OK;
    WT_TRY(back_outputs(r, e, &j));
    wt_mark m = wt_mark_set(r->a);
    block *run = wt_take_n(r->a, (size_t)n_tok, sizeof *run);
    if (!run) return WITAN_ENOMEM;
    j.n_run = cut(o->seq, o->pos, n_tok, INT32_MAX, run);
    j.run = run;
    for (size_t i = 0; i < j.n_run; i++)
        if (o->pos[run[i].first]) return wt_fail(r->cx, WT_EARG, "training: a sequence begins at position %d of the batch instead of 0", o->pos[run[i].first]);
    WT_TRY(back_rooms(r, &j));
    j.mix = wt_take_n(r->a, q->n / o->d, sizeof *j.mix);
    if (!j.mix) return WITAN_ENOMEM;
    wt_parallel(r->cx, q->n / o->d, 8192 / o->d + 1, mix_rows, &j);
    wt_parallel(r->cx, j.n_run * o->n_head, 1, back_tasks, &j);
    wt_rewind(r->a, m);
    return WITAN_OK;
}

static wt_status record(wt_run *r, const wt_tensor *q, const wt_tensor *k, const wt_tensor *v, const job *j, wt_tensor *y)
{
    kept *o = wt_take(r->a, sizeof *o);
    if (!o) return WITAN_ENOMEM;
    *o = (kept){ j->lse, j->seq, j->pos, (size_t)j->kv->n_head, j->d };
    return wt_record(r, &(wt_rec){ .back = back, .out = y, .in = { q, k, v }, .op = o });
}

/* ---- the op, forward ----------------------------------------------------------------------------------------------------- */

wt_status wt_op_attention(wt_run *r, const wt_tensor *q, const wt_tensor *k, const wt_tensor *v, const wt_kv_view *kv, const int32_t *seq,
                          const int32_t *pos, wt_tensor **y)
{
    int32_t n_tok = (int32_t)q->shape[0], n_pos = 0, tokens = 0;
    float *lse = NULL;
    WT_TRY(wt_tensor_new(r->a, q->n_dim, q->shape, y));
    if (wt_taping(r) && !(lse = wt_take_n(r->a, q->n / (size_t)kv->d_head, sizeof *lse))) return WITAN_ENOMEM;
    wt_mark m = wt_mark_set(r->a);
    job j = { .lse = lse, .r = r, .kv = kv, .q = q->f32, .y = (*y)->f32, .seq = seq, .pos = pos, .d = (size_t)kv->d_head };
    j.group = q->n / ((size_t)n_tok * (size_t)kv->n_head * j.d);
    block *b = wt_take_n(r->a, (size_t)n_tok, sizeof *b);
    if (!b) return WITAN_ENOMEM;
    j.n_block = cut(seq, pos, n_tok, j.group < ROWS ? (int32_t)(ROWS / j.group) : 1, b);
    j.block = b;
    for (size_t i = 0; i < j.n_block; i++) {
        if (b[i].n_tok > tokens) tokens = b[i].n_tok;
        if (last_pos(&j, b + i) >= n_pos) n_pos = last_pos(&j, b + i) + 1;
    }
    j.rows = (size_t)tokens * j.group;
    wt_status st = compute(&j, n_pos);
    wt_rewind(r->a, m);
    return st == WITAN_OK && wt_taping(r) ? record(r, q, k, v, &j, *y) : st;
}
