/* The expert op: pairs grouped by expert, gate/up/activation in one pass over row blocks, then down, then each token's
 * pairs added in route order. Where the tier multiplies with bytes, tokens are rounded once for gate and up, and what they give is rounded
 * by the task that made it: a block of 32 rows is a block of 32 values of its token.
 *
 * Tasks are (expert, row block), so one token's few experts keep all workers busy, and in prefill each weight block is unpacked
 * once for all tokens of its expert. Every output element is written by one task; nothing depends on which worker does it. */
#include "op/expert.h"

#include "base/thread.h"
#include "op/linear.h"
#include <string.h>

typedef struct group { wt_expert w; int32_t expert, pair0, n_pair; int64_t d_ff; size_t task_up, task_down; } group;

typedef struct job {
    const wt_run *r;
    const wt_route *rt;
    group *grp; size_t n_grp;
    size_t d, ff;                     /* model width, widest expert of this call */
    wt_tensor *x;
    float *xg, *h, *u, *y;            /* grouped order: inputs (NULL: not needed as floats), gate -> hidden, up, outputs */
    wt_q8 *hq;                        /* hidden as bytes, NULL: not needed */
    bool floats, bytes;               /* some gate or up needs its input so */
    bool hidden_bytes;                /* some down does */
    const int32_t *tok;               /* [n_pair] token of each grouped pair */
    float *scratch; size_t n_scratch; /* per worker */
    float *out;
    const int32_t *place;             /* pair -> grouped position */
} job;

static size_t n_block(int64_t rows) { return (size_t)((rows + WT_ROW_BLOCK - 1) / WT_ROW_BLOCK); }

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

/* The group that task i belongs to, when its first task is at offset `task` bytes of the group. */
static const group *find(const job *j, size_t i, bool down)
{
    size_t lo = 0, hi = j->n_grp;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if ((down ? j->grp[mid].task_down : j->grp[mid].task_up) <= i) lo = mid; else hi = mid;
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

static void gather(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) memcpy(j->xg + i * j->d, j->x->f32 + (size_t)j->tok[i] * j->d, j->d * sizeof *j->xg);
}

static wt_q8 *hidden_of(const job *j, const group *g) { return j->hq + (size_t)g->pair0 * (j->ff / 32 + 1); }

static void gate_up(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    const wt_kernels *k = j->r->k;
    float *scratch = j->scratch + (size_t)worker * j->n_scratch;
    for (size_t i = begin; i < end; i++) {
        const group *g = find(j, i, false);
        int64_t block = (int64_t)(i - g->task_up), row = block * WT_ROW_BLOCK, n = min64(WT_ROW_BLOCK, g->d_ff - row);
        size_t p0 = (size_t)g->pair0, n_tok = (size_t)g->n_pair;
        wt_rows_x x = { j->xg ? j->xg + p0 * j->d : NULL, j->d, j->x->q8, j->tok + p0 };
        float *h = j->h + p0 * j->ff + row, *u = j->u + p0 * j->ff + row;
        wt_rows_matmul(k, &g->w.gate, row, n, &x, n_tok, h, j->ff, scratch);
        wt_rows_matmul(k, &g->w.up, row, n, &x, n_tok, u, j->ff, scratch);
        for (size_t p = 0; p < n_tok; p++) {
            k->silu_mul(h + p * j->ff, h + p * j->ff, u + p * j->ff, (size_t)n);
            if (wt_uses_bytes(k, &g->w.down)) k->quantize(hidden_of(j, g) + p * (size_t)(g->d_ff / 32) + block, h + p * j->ff, 1);
        }
    }
}

static void down(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    float *scratch = j->scratch + (size_t)worker * j->n_scratch;
    for (size_t i = begin; i < end; i++) {
        const group *g = find(j, i, true);
        int64_t row = (int64_t)(i - g->task_down) * WT_ROW_BLOCK, n = min64(WT_ROW_BLOCK, (int64_t)j->d - row);
        size_t p0 = (size_t)g->pair0;
        wt_rows_x x = { j->h + p0 * j->ff, j->ff, j->hq ? hidden_of(j, g) : NULL, NULL };
        wt_rows_matmul(j->r->k, &g->w.down, row, n, &x, (size_t)g->n_pair, j->y + p0 * j->d + row, j->d, scratch);
    }
}

static void combine(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *out = j->out + t * j->d;
        memset(out, 0, j->d * sizeof *out);
        for (int32_t p = j->rt->tok_off[t]; p < j->rt->tok_off[t + 1]; p++)
            j->r->k->axpy(out, j->rt->weight[p], j->y + (size_t)j->place[p] * j->d, j->d);
    }
}

/* Acquires the experts that have pairs and lays out their tasks. */
static wt_status groups(job *j, const wt_expert_source *src, size_t *n_up, size_t *n_down)
{
    const wt_route *rt = j->rt;
    *n_up = *n_down = 0;
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
        g->task_up = *n_up;
        g->task_down = *n_down;
        *n_up += n_block(g->d_ff);
        *n_down += n_block((int64_t)j->d);
        bool gate = wt_uses_bytes(j->r->k, &g->w.gate), up = wt_uses_bytes(j->r->k, &g->w.up);
        j->bytes |= gate || up;
        j->floats |= !gate || !up;
        j->hidden_bytes |= wt_uses_bytes(j->r->k, &g->w.down);
        if ((size_t)g->d_ff > j->ff) j->ff = (size_t)g->d_ff;
    }
    return WITAN_OK;
}

static wt_status buffers(job *j, wt_run *r)
{
    const wt_route *rt = j->rt;
    size_t n = (size_t)rt->n_pair, widest = j->d > j->ff ? j->d : j->ff;
    int32_t *place = wt_take_n(r->a, n, sizeof *place), *tok = wt_take_n(r->a, n, sizeof *tok);
    if (j->floats && !(j->xg = wt_take_n(r->a, n * j->d, sizeof *j->xg))) return WITAN_ENOMEM;
    if (j->hidden_bytes && !(j->hq = wt_take_n(r->a, n * (j->ff / 32 + 1), sizeof *j->hq))) return WITAN_ENOMEM;
    j->h = wt_take_n(r->a, n * j->ff, sizeof *j->h);
    j->u = wt_take_n(r->a, n * j->ff, sizeof *j->u);
    j->y = wt_take_n(r->a, n * j->d, sizeof *j->y);
    j->n_scratch = WT_SCRATCH_ROWS * widest;
    j->scratch = wt_take_n(r->a, (size_t)r->cx->threads * j->n_scratch, sizeof *j->scratch);
    if (!place || !tok || !j->h || !j->u || !j->y || !j->scratch) return WITAN_ENOMEM;
    for (int32_t i = 0; i < rt->n_pair; i++) {
        place[rt->order[i]] = i;
        tok[i] = pair_token(rt, rt->order[i]);
    }
    j->place = place;
    j->tok = tok;
    return WITAN_OK;
}

/* Observers see outputs in pair order. */
static wt_status tap(wt_run *r, const job *j, const wt_tensor *x, const float **pair_y)
{
    bool wanted = false;
    for (size_t i = 0; i < r->n_obs; i++) wanted |= r->obs[i].taps >> WT_TAP_EXPERT & 1;
    if (!wanted) return WITAN_OK;
    float *y = wt_take_n(r->a, (size_t)j->rt->n_pair * j->d, sizeof *y);
    if (!y) return WITAN_ENOMEM;
    for (int32_t p = 0; p < j->rt->n_pair; p++) memcpy(y + (size_t)p * j->d, j->y + (size_t)j->place[p] * j->d, j->d * sizeof *y);
    *pair_y = y;
    return wt_tap_send(r, (wt_tap_event){ .tap = WT_TAP_EXPERT, .n_tok = j->rt->n_tok, .n_exp = j->rt->n_exp, .d_model = (int32_t)j->d,
                                          .route = j->rt, .x = x->f32, .pair_y = y });
}

static wt_status compute(wt_run *r, job *j, size_t n_up, size_t n_down)
{
    if (j->bytes) WT_TRY(wt_as_bytes(r, j->x));
    WT_TRY(buffers(j, r));
    size_t share = (size_t)j->rt->n_pair / j->n_grp + 1;     /* tokens of a usual expert */
    if (j->floats) wt_parallel(r->cx, (size_t)j->rt->n_pair, 65536 / j->d + 1, gather, j);
    wt_parallel(r->cx, n_up, wt_block_grain(j->d * 2, share), gate_up, j);
    wt_parallel(r->cx, n_down, wt_block_grain(j->ff, share), down, j);
    wt_parallel(r->cx, (size_t)j->rt->n_tok, 16384 / j->d + 1, combine, j);
    return WITAN_OK;
}

wt_status wt_op_experts(wt_run *r, const wt_expert_source *src, wt_route *rt, wt_tensor *x, wt_tensor **out, const float **pair_y)
{
    size_t d = (size_t)x->shape[1], n_up, n_down;
    *pair_y = NULL;
    WT_TRY(wt_tensor_new(r->a, 2, x->shape, out));
    if (!rt->order) WT_TRY(wt_route_group(r->cx, rt, r->a));
    size_t most = (size_t)(rt->n_pair < rt->n_exp ? rt->n_pair : rt->n_exp);
    job j = { .r = r, .rt = rt, .d = d, .x = x, .out = (*out)->f32 };
    j.grp = wt_take_n(r->a, most, sizeof *j.grp);
    if (!j.grp) return WITAN_ENOMEM;
    wt_status st = groups(&j, src, &n_up, &n_down);
    if (st == WITAN_OK) st = compute(r, &j, n_up, n_down);
    for (size_t i = 0; i < j.n_grp; i++) src->release(src->self, r->layer, j.grp[i].expert);
    if (st == WITAN_OK) st = tap(r, &j, x, pair_y);
    return st;
}
