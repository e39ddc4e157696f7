/* The expert op: pairs grouped by expert; gate, up and activation in one pass over blocks of rows; then down, whose outputs are added to their
 * tokens at once, expert by expert in order of their numbers. Where the tier multiplies with bytes, tokens are rounded once for gate and up, and
 * what they give is rounded by the task that made it: a block of 32 rows is a block of 32 values of its token.
 *
 * The first pass has tasks (expert, row block), so one token's few experts keep all workers busy. The second has blocks of outputs, each of
 * which walks through all experts: a sum is written by one task in one order, and two passes are all that has to be waited for. In prefill
 * each weight block is unpacked once for up to CHUNK tokens of its expert. Nothing depends on which worker does what. */
#include "op/expert.h"

#include "base/thread.h"
#include "op/expert_train.h"
#include "op/linear.h"
#include <string.h>

enum { CHUNK = 128 };            /* tokens of an expert at once: what they give stays in the cache of a worker */

/* x: its tokens, rows of floats or of bytes. */
typedef struct group { wt_expert w; wt_rows_x x; int32_t expert, pair0, n_pair; int64_t d_ff; size_t task; } group;

typedef struct job {
    const wt_run *r;
    const wt_route *rt;
    group *grp; size_t n_grp;
    size_t d, ff;                     /* model width, widest expert of this call */
    wt_tensor *x;
    float *xg; wt_q8 *xq;             /* inputs in grouped order, where they do not lie so already */
    float *h; wt_q8 *hq;              /* hidden values in grouped order, as floats or bytes; NULL: not needed so */
    bool floats, bytes;               /* some gate or up needs its input so */
    bool hidden_floats, hidden_bytes; /* some down does */
    const int32_t *tok;               /* [n_pair] token of each grouped pair */
    float *scratch; size_t n_scratch; /* per worker: of wt_rows_matmul, then n_out outputs */
    size_t n_out, rows;               /* rows: outputs that the second pass computes at once */
    float *out, *pair_y;              /* pair_y [n_pair, d] in pair order; NULL: nobody looks */
} job;

static size_t n_block(int64_t rows) { return (size_t)((rows + WT_ROW_BLOCK - 1) / WT_ROW_BLOCK); }
static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

/* The group that task i of the first pass belongs to. */
static const group *find(const job *j, size_t i)
{
    size_t lo = 0, hi = j->n_grp;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (j->grp[mid].task <= i) lo = mid; else hi = mid;
    }
    return j->grp + lo;
}

static int32_t pair_token(const wt_route *rt, int32_t pair)   /* tokens usually have equal shares: start near, then walk */
{
    int32_t t = (int32_t)((int64_t)pair * rt->n_tok / rt->n_pair);
    while (rt->tok_off[t] > pair) t--;
    while (rt->tok_off[t + 1] <= pair) t++;
    return t;
}

/* ---- inputs ------------------------------------------------------------------------------------------------------------ */

static void gather(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    size_t n = j->d / 32;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        if (j->xg) memcpy(j->xg + i * j->d, j->x->f32 + (size_t)j->tok[i] * j->d, j->d * sizeof *j->xg);
        if (j->xq) memcpy(j->xq + i * n, j->x->q8 + (size_t)j->tok[i] * n, n * sizeof *j->xq);
    }
}

static bool in_a_row(const job *j, const group *g)
{
    for (int32_t i = 1; i < g->n_pair; i++) if (j->tok[g->pair0 + i] != j->tok[g->pair0] + i) return false;
    return true;
}

/* Where the tokens of each group lie; copies them where some group's are scattered. */
static wt_status inputs(job *j)
{
    const wt_run *r = j->r;
    size_t n = (size_t)j->rt->n_pair;
    bool scattered = false;
    for (size_t i = 0; i < j->n_grp; i++) scattered |= !in_a_row(j, j->grp + i);
    if (scattered) {
        if (j->floats && !(j->xg = wt_take_n(r->a, n * j->d, sizeof *j->xg))) return WITAN_ENOMEM;
        if (j->bytes && !(j->xq = wt_take_n(r->a, n * (j->d / 32), sizeof *j->xq))) return WITAN_ENOMEM;
        wt_parallel(r->cx, n, 65536 / j->d + 1, gather, j);
    }
    for (size_t i = 0; i < j->n_grp; i++) {
        group *g = j->grp + i;
        size_t p = (size_t)g->pair0, t = (size_t)j->tok[p];
        g->x = (wt_rows_x){ j->xg ? j->xg + p * j->d : j->x->f32 + t * j->d, j->d, j->xq ? j->xq + p * (j->d / 32) : j->x->q8 ? j->x->q8 + t * (j->d / 32) : NULL };
    }
    return WITAN_OK;
}

static wt_rows_x from(const wt_rows_x *x, size_t t, size_t n_in)
{
    return (wt_rows_x){ x->f ? x->f + t * x->ldf : NULL, x->ldf, x->q ? x->q + t * (n_in / 32) : NULL };
}

/* ---- first pass -------------------------------------------------------------------------------------------------------- */

static float *hidden_floats(const job *j, const group *g, size_t t) { return j->h + ((size_t)g->pair0 + t) * j->ff; }
static wt_q8 *hidden_bytes(const job *j, const group *g, size_t t) { return j->hq + (size_t)g->pair0 * (j->ff / 32 + 1) + t * (size_t)(g->d_ff / 32); }

/* Rows of an expert that are computed at once for up to CHUNK tokens, so that their outputs fit in `room` floats. */
static size_t rows_at_once(const group *g, size_t room) { return room / min_size(CHUNK, (size_t)g->n_pair) / WT_ROW_BLOCK * WT_ROW_BLOCK; }

/* Hidden values [row, row + n) of tokens [t, t + m) of an expert out of gate and up [m, n]; n is a multiple of 32 or reaches the end. */
static void keep_hidden(const job *j, const group *g, size_t row, size_t n, size_t t, size_t m, float *gate, const float *up)
{
    const wt_kernels *k = j->r->k;
    bool bytes = wt_uses_bytes(k, &g->w.down);
    for (size_t p = 0; p < m; p++, gate += n, up += n) {
        for (size_t i = 0; i < n; i += WT_ROW_BLOCK) k->silu_mul(gate + i, gate + i, up + i, min_size(WT_ROW_BLOCK, n - i));
        if (bytes) k->quantize(hidden_bytes(j, g, t + p) + row / 32, gate, n / 32);
        else memcpy(hidden_floats(j, g, t + p) + row, gate, n * sizeof *gate);
    }
}

/* Tasks that follow each other in an expert are done together, as many as there is room for: weights are then read straight on. */
static void gate_up(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    const wt_kernels *k = j->r->k;
    float *scratch = j->scratch + (size_t)worker * j->n_scratch, *gate = scratch + j->n_scratch - j->n_out, *up = gate + j->n_out / 2;
    for (size_t i = begin, blocks; i < end; i += blocks) {
        const group *g = find(j, i);
        blocks = min_size(min_size(end - i, g->task + n_block(g->d_ff) - i), rows_at_once(g, j->n_out / 2) / WT_ROW_BLOCK);
        size_t row = (i - g->task) * WT_ROW_BLOCK, n = min_size(blocks * WT_ROW_BLOCK, (size_t)g->d_ff - row);
        const void *next = i + blocks == end ? NULL : row + n < (size_t)g->d_ff ? wt_row_at(&g->w.gate, row + n) : g[1].w.gate.data;
        for (size_t t = 0, m; t < (size_t)g->n_pair; t += m) {
            m = min_size(CHUNK, (size_t)g->n_pair - t);
            wt_rows_x x = from(&g->x, t, j->d);
            wt_rows_matmul(k, &g->w.gate, (int64_t)row, (int64_t)n, &x, m, gate, n, wt_row_at(&g->w.up, row), scratch);
            wt_rows_matmul(k, &g->w.up, (int64_t)row, (int64_t)n, &x, m, up, n, next, scratch);
            keep_hidden(j, g, row, n, t, m, gate, up);
        }
    }
}

/* ---- second pass ------------------------------------------------------------------------------------------------------- */

/* Adds what an expert gives for outputs [row, row + n) of its tokens. */
static void add_expert(const job *j, const group *g, size_t row, size_t n, const void *next, float *y, float *scratch)
{
    const wt_kernels *k = j->r->k;
    wt_rows_x hidden = { j->h ? hidden_floats(j, g, 0) : NULL, j->ff, j->hq ? hidden_bytes(j, g, 0) : NULL };
    for (size_t t = 0, m; t < (size_t)g->n_pair; t += m) {
        m = min_size(CHUNK, (size_t)g->n_pair - t);
        wt_rows_x x = from(&hidden, t, (size_t)g->d_ff);
        wt_rows_matmul(k, &g->w.down, (int64_t)row, (int64_t)n, &x, m, y, n, next, scratch);
        for (size_t p = 0; p < m; p++) {
            size_t at = (size_t)g->pair0 + t + p, pair = (size_t)j->rt->order[at];
            k->axpy(j->out + (size_t)j->tok[at] * j->d + row, j->rt->weight[pair], y + p * n, n);
            if (j->pair_y) memcpy(j->pair_y + pair * j->d + row, y + p * n, n * sizeof *y);
        }
    }
}

static void down(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    float *scratch = j->scratch + (size_t)worker * j->n_scratch, *y = scratch + j->n_scratch - j->n_out;
    size_t stop = min_size(end * WT_ROW_BLOCK, j->d);
    for (size_t row = begin * WT_ROW_BLOCK, n; row < stop; row += n) {
        n = min_size(j->rows, stop - row);
        for (size_t t = 0; t < (size_t)j->rt->n_tok; t++) memset(j->out + t * j->d + row, 0, n * sizeof *j->out);
        for (size_t e = 0; e < j->n_grp; e++) {
            const void *next = e + 1 < j->n_grp ? wt_row_at(&j->grp[e + 1].w.down, row) : row + n < stop ? wt_row_at(&j->grp[0].w.down, row + n) : NULL;
            add_expert(j, j->grp + e, row, n, next, y, scratch);
        }
    }
}

/* ---- the op ------------------------------------------------------------------------------------------------------------ */

/* Acquires the experts that have pairs and lays out the tasks of the first pass. */
static wt_status groups(job *j, const wt_expert_source *src, size_t *n_task)
{
    const wt_route *rt = j->rt;
    *n_task = 0;
    for (int32_t e = 0; e < rt->n_exp; e++) {
        int32_t n = rt->exp_off[e + 1] - rt->exp_off[e];
        if (!n) continue;
        group *g = j->grp + j->n_grp;
        WT_TRY(src->acquire(src->self, j->r->cx, j->r->layer, e, &g->w));
        j->n_grp++;
        g->expert = e;
        g->pair0 = rt->exp_off[e];
        g->n_pair = n;
        g->d_ff = g->w.gate.shape[0];
        g->task = *n_task;
        *n_task += n_block(g->d_ff);
        bool gate = wt_uses_bytes(j->r->k, &g->w.gate), up = wt_uses_bytes(j->r->k, &g->w.up), bytes = wt_uses_bytes(j->r->k, &g->w.down);
        j->bytes |= gate || up;
        j->floats |= !gate || !up;
        j->hidden_bytes |= bytes;
        j->hidden_floats |= !bytes;
        if ((size_t)g->d_ff > j->ff) j->ff = (size_t)g->d_ff;
    }
    return WITAN_OK;
}

static wt_status buffers(job *j)
{
    wt_run r = *j->r;
    size_t n = (size_t)j->rt->n_pair, widest = j->d > j->ff ? j->d : j->ff;
    int32_t *tok = wt_take_n(r.a, n, sizeof *tok);
    size_t most = 1;                                         /* tokens of one expert at once */
    for (size_t e = 0; e < j->n_grp; e++) if ((size_t)j->grp[e].n_pair > most) most = (size_t)j->grp[e].n_pair;
    j->n_out = CHUNK * 128;
    j->rows = j->n_out / min_size(CHUNK, most) / WT_ROW_BLOCK * WT_ROW_BLOCK;
    if (j->hidden_floats && !(j->h = wt_take_n(r.a, n * j->ff, sizeof *j->h))) return WITAN_ENOMEM;
    if (j->hidden_bytes && !(j->hq = wt_take_n(r.a, n * (j->ff / 32 + 1), sizeof *j->hq))) return WITAN_ENOMEM;
    j->n_scratch = (WT_SCRATCH(widest) + j->n_out + 15) / 16 * 16;
    j->scratch = wt_take_n(r.a, (size_t)r.cx->threads * j->n_scratch, sizeof *j->scratch);
    if (!tok || !j->scratch) return WITAN_ENOMEM;
    for (int32_t i = 0; i < j->rt->n_pair; i++) tok[i] = pair_token(j->rt, j->rt->order[i]);
    j->tok = tok;
    return WITAN_OK;
}

static bool watched(const wt_run *r)
{
    for (size_t i = 0; i < r->n_obs; i++) if (r->obs[i].taps >> WT_TAP_EXPERT & 1) return true;
    return false;
}

static wt_status compute(wt_run *r, job *j, size_t n_task)
{
    if (j->bytes) WT_TRY(wt_as_bytes(r, j->x));
    WT_TRY(buffers(j));
    WT_TRY(inputs(j));
    size_t share = (size_t)j->rt->n_pair / j->n_grp + 1;     /* tokens of a usual expert */
    wt_parallel(r->cx, n_task, (wt_block_grain(r->k, &j->grp->w.gate, share) + 1) / 2, gate_up, j);
    /* Outputs of a piece are computed for all experts, which read their hidden values again for each: not too few of them. */
    size_t grain = wt_block_grain(r->k, &j->grp->w.down, share) / j->n_grp + 1, blocks = n_block((int64_t)j->d), usual = blocks / (4 * (size_t)r->cx->threads);
    if (j->rt->n_tok > 16 && grain < usual) grain = usual < 4 ? usual : 4;
    wt_parallel(r->cx, blocks, grain, down, j);
    return WITAN_OK;
}

static wt_status infer(wt_run *r, const wt_expert_source *src, wt_route *rt, wt_tensor *x, wt_tensor *out, const float **pair_y)
{
    size_t d = (size_t)x->shape[1], n_task, most = (size_t)(rt->n_pair < rt->n_exp ? rt->n_pair : rt->n_exp);
    job j = { .r = r, .rt = rt, .d = d, .x = x, .out = out->f32 };
    j.grp = wt_take_n(r->a, most, sizeof *j.grp);
    if (!j.grp) return WITAN_ENOMEM;
    if (watched(r) && !(j.pair_y = wt_take_n(r->a, (size_t)rt->n_pair * d, sizeof *j.pair_y))) return WITAN_ENOMEM;
    wt_status st = groups(&j, src, &n_task);
    if (st == WITAN_OK) st = compute(r, &j, n_task);
    for (size_t i = 0; i < j.n_grp; i++) src->release(src->self, r->layer, j.grp[i].expert);
    if (st == WITAN_OK) *pair_y = j.pair_y;
    return st;
}

wt_status wt_op_experts(wt_run *r, const wt_expert_source *src, wt_route *rt, wt_tensor *x, wt_tensor **out, const float **pair_y)
{
    size_t d = (size_t)x->shape[1];
    *pair_y = NULL;
    WT_TRY(wt_tensor_new(r->a, 2, x->shape, out));
    if (!rt->order) WT_TRY(wt_route_group(r->cx, rt, r->a));
    if (r->tape) WT_TRY(wt_experts_train(r, src, rt, x, watched(r), out, pair_y));
    else WT_TRY(infer(r, src, rt, x, *out, pair_y));
    if (!*pair_y) return WITAN_OK;
    return wt_tap_send(r, (wt_tap_event){ .tap = WT_TAP_EXPERT, .n_tok = rt->n_tok, .n_exp = rt->n_exp, .d_model = (int32_t)d,
                                          .route = rt, .x = x->f32, .pair_y = *pair_y });
}
