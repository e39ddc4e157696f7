/* Causal grouped-query attention over a paged cache, with the softmax taken piece by piece (online softmax, Milakov and Gimelshein, arXiv
 * 1805.02867; over blocks of keys as in FlashAttention, arXiv 2205.14135): no row of scores is longer than a page.
 *
 * A block is some tokens of one sequence that stand at consecutive positions, with the query heads that share one key/value head: rows that
 * read the same pages. A page is unpacked once for all of them. Pages are taken in order; every SPAN of them starts anew, and what the spans
 * gave is joined in order. Pages and spans are counted from position 0, so that the sums of a row are a property of its position: spans may
 * be computed side by side where there are fewer blocks than threads, and no bit depends on that, nor on what else is in the block. */
#include "op/ops.h"

#include "base/thread.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { ROWS = 64 /* of a block */, SPAN = 8 /* pages */, SPAN_TOKENS = SPAN * WT_PAGE };
enum { FEW_ROWS = 6 /* mix halves and bytes faster than they are unpacked */ };
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
} job;

static int32_t last_pos(const job *j, const block *b) { return j->pos[b->first] + b->n_tok - 1; }

static size_t row_at(const job *j, const block *b, size_t head, size_t r)   /* where the r-th row of a block stands in q and y */
{
    size_t t = (size_t)b->first + r / j->group;
    return ((t * (size_t)j->kv->n_head + head) * j->group + r % j->group) * j->d;
}

/* ---- one block of rows ------------------------------------------------------------------------------------------------- */

/* A page as it lies, for rows [from, from + n), which see at most `most` positions of it. */
static void packed_page(const job *j, room *w, const void *keys, const void *values, size_t from, size_t n, size_t most)
{
    const wt_kernels *k = j->r->k;
    float *q = w->q + from * j->d, *y = w->span.y + from * j->d;
    bool half = j->kv->type == WT_F16;
    if (half) k->mix_half(w->score, WT_PAGE, NULL, q, j->d, w->whole, n, keys, WT_PAGE, most);
    else k->mix_spread(w->score, WT_PAGE, NULL, q, j->d, w->whole, n, keys, WT_PAGE, most);
    k->soften(w->score, WT_PAGE, w->seen + from, n, w->span.top + from, w->span.sum + from, w->keep);
    if (half) k->mix_half(y, j->d, w->keep, w->score, WT_PAGE, w->seen + from, n, values, j->d, j->d);
    else k->mix_byte(y, j->d, w->keep, w->score, WT_PAGE, w->seen + from, n, values, wt_kv_panel_bytes(WT_Q8_0, j->kv->d_head) / WT_PAGE, j->d);
}

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
    if (j->kv->type != WT_F32 && rows - from <= FEW_ROWS) {
        packed_page(j, w, keys, values, from, rows - from, (size_t)most);
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
    for (size_t r = 0; r < (size_t)b->n_tok * j->group; r++)
        j->r->k->scale(j->y + row_at(j, b, head, r), all->y + r * j->d, 1 / all->sum[r], j->d);
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

wt_status wt_op_attention(wt_run *r, const wt_tensor *q, const wt_kv_view *kv, const int32_t *seq, const int32_t *pos, wt_tensor **y)
{
    int32_t n_tok = (int32_t)q->shape[0], n_pos = 0, tokens = 0;
    WT_TRY(wt_tensor_new(r->a, q->n_dim, q->shape, y));
    wt_mark m = wt_mark_set(r->a);
    job j = { .r = r, .kv = kv, .q = q->f32, .y = (*y)->f32, .seq = seq, .pos = pos, .d = (size_t)kv->d_head };
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
    return st;
}
