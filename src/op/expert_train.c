/* The expert op in training: float experts, products as gemms, and backward.
 *
 * Forward has tasks of up to `rows` pairs of one expert: gather their tokens, gate, up, activation, down. What pairs give lies in grouped order and
 * is then added up token by token, in order of experts. Kept for backward: gate and up before the activation (as BF16 where the tape says so).
 * Backward takes experts in chunks, so that what it gathers stays in the cache: the same tasks give the gradients of hidden values, of the pair's
 * weight (h . W_down^T dy, which is the pair's output . dy) and of the input; then every expert's three matrices get theirs as one product each, over
 * its pairs in order. Nothing depends on the number of threads. */
#include "op/expert_train.h"

#include "base/thread.h"
#include "op/tape.h"
#include <string.h>

enum { MOST_ROWS = 384, CHUNK = 2048 /* pairs gathered at once for each thread, unless one expert has more */ };

typedef struct group { wt_expert w; size_t pair0, n_pair, d_ff; } group;
typedef struct tile { size_t group, row, n; } tile;             /* pairs [row, row + n) in grouped order */

/* Lives until backward. */
typedef struct kept {
    wt_route *rt;
    const wt_tensor *x;
    group *grp; size_t n_grp;
    size_t d, ff;                                               /* ff: widest expert */
    int32_t *tok, *slot;                                        /* [n_pair] token of each grouped pair; grouped pairs of each token, in order */
    float *gate, *up;                                           /* [n_pair, ff], or as BF16: */
    uint16_t *gate_half, *up_half;
    tile *tile; size_t n_tile;
} kept;

typedef struct job {
    wt_run *r;
    kept *o;
    size_t rows;                                                /* of the largest tile */
    float *scratch; size_t n_scratch;                           /* per worker */
    float *pair_y;                                              /* [n_pair, d] grouped */
    float *out; bool add;                                       /* [n_tok, d] */
    /* backward, of a chunk: */
    const float *dy;
    float *xg, *dyg, *h, *dg, *du, *dx;                         /* dx [n_pair, d] of all */
    size_t first_tile, pair0;
} job;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* ---- layout -------------------------------------------------------------------------------------------------------------- */

static wt_status groups(wt_run *r, kept *o, const wt_expert_source *src)
{
    const wt_route *rt = o->rt;
    o->grp = wt_take_n(r->a, (size_t)rt->n_exp, sizeof *o->grp);
    if (!o->grp) return WITAN_ENOMEM;
    for (int32_t e = 0; e < rt->n_exp; e++) {
        group *g = o->grp + o->n_grp;
        size_t n = (size_t)(rt->exp_off[e + 1] - rt->exp_off[e]);
        if (!n) continue;
        WT_TRY(src->acquire(src->self, r->cx, r->layer, e, &g->w));
        src->release(src->self, r->layer, e);                   /* weights that are trained stay where they are */
        if (g->w.gate.type != WT_F32 || g->w.up.type != WT_F32 || g->w.down.type != WT_F32)
            return wt_fail(r->cx, WT_EUNSUPPORTED, "training: experts of layer %d are not F32", r->layer);
        g->pair0 = (size_t)rt->exp_off[e];
        g->n_pair = n;
        g->d_ff = (size_t)g->w.gate.shape[0];
        if (g->d_ff > o->ff) o->ff = g->d_ff;
        o->n_grp++;
    }
    return WITAN_OK;
}

/* Pairs in grouped order, token by token: grouped pairs come by expert, so those of a token do too. */
static wt_status slots(wt_run *r, kept *o)
{
    const wt_route *rt = o->rt;
    size_t n = (size_t)rt->n_pair;
    o->tok = wt_take_n(r->a, n, sizeof *o->tok);
    o->slot = wt_take_n(r->a, n, sizeof *o->slot);
    wt_mark m = wt_mark_set(r->a);
    int32_t *at = wt_take_n(r->a, (size_t)rt->n_tok, sizeof *at), *of_pair = wt_take_n(r->a, n, sizeof *of_pair);
    if (!o->tok || !o->slot || !at || !of_pair) return WITAN_ENOMEM;
    for (int32_t t = 0; t < rt->n_tok; t++) {
        at[t] = rt->tok_off[t];
        for (int32_t i = rt->tok_off[t]; i < rt->tok_off[t + 1]; i++) of_pair[i] = t;
    }
    for (size_t i = 0; i < n; i++) {
        o->tok[i] = of_pair[rt->order[i]];
        o->slot[at[o->tok[i]]++] = (int32_t)i;
    }
    wt_rewind(r->a, m);
    return WITAN_OK;
}

/* Tiles as large as keeps all threads busy. */
static wt_status tiles(wt_run *r, kept *o, size_t *most)
{
    size_t rows = MOST_ROWS, n = (size_t)o->rt->n_pair;
    while (rows > WT_GEMM_ROWS && r->cx->threads > 1 && n / rows < 6 * (size_t)r->cx->threads) rows /= 2;
    o->tile = wt_take_n(r->a, n / rows + o->n_grp + 1, sizeof *o->tile);
    if (!o->tile) return WITAN_ENOMEM;
    for (size_t g = 0; g < o->n_grp; g++) {
        size_t n_pair = o->grp[g].n_pair, parts = (n_pair + rows - 1) / rows, each = (n_pair + parts - 1) / parts;
        for (size_t at = 0; at < n_pair; at += each) o->tile[o->n_tile++] = (tile){ g, o->grp[g].pair0 + at, least(each, n_pair - at) };
    }
    *most = rows;
    return WITAN_OK;
}

/* ---- forward ------------------------------------------------------------------------------------------------------------- */

static void gather(const job *j, const float *from, size_t row, size_t n, float *to)
{
    size_t d = j->o->d;
    for (size_t i = 0; i < n; i++) memcpy(to + i * d, from + (size_t)j->o->tok[row + i] * d, d * sizeof *to);
}

static void forward_tiles(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    const kept *o = j->o;
    const wt_kernels *k = j->r->k;
    wt_gemm_fn gemm = wt_gemm_of(j->r);
    float *scratch = j->scratch + (size_t)worker * j->n_scratch, *x = scratch + WT_GEMM_SCRATCH, *h = x + j->rows * o->d;
    for (size_t i = begin; i < end; i++) {
        const tile *t = o->tile + i;
        const group *g = o->grp + t->group;
        size_t ff = g->d_ff, d = o->d, ld = o->gate ? o->ff : ff;
        float *gate = o->gate ? o->gate + t->row * ld : h + j->rows * o->ff, *up = o->up ? o->up + t->row * ld : h + 2 * j->rows * o->ff;
        gather(j, o->x->f32, t->row, t->n, x);
        gemm(gate, ld, x, d, false, g->w.gate.data, d, true, t->n, ff, d, false, scratch);
        gemm(up, ld, x, d, false, g->w.up.data, d, true, t->n, ff, d, false, scratch);
        for (size_t p = 0; p < t->n; p++) {
            k->silu_mul(h + p * ff, gate + p * ld, up + p * ld, ff);
            if (!o->gate_half) continue;
            k->keep_bf16(o->gate_half + (t->row + p) * o->ff, gate + p * ld, ff);
            k->keep_bf16(o->up_half + (t->row + p) * o->ff, up + p * ld, ff);
        }
        gemm(j->pair_y + t->row * d, d, h, ff, false, g->w.down.data, ff, true, t->n, d, ff, false, scratch);
    }
}

/* out[t] = sum over the pairs of t, in order of experts, of weight * y (weights given) or of y. */
static void sum_token(const job *j, const float *y, bool weights, size_t t)
{
    const kept *o = j->o;
    const wt_kernels *k = j->r->k;
    float *out = j->out + t * o->d;
    bool add = j->add;
    for (int32_t i = o->rt->tok_off[t]; i < o->rt->tok_off[t + 1]; i++, add = true) {
        size_t at = (size_t)o->slot[i];
        float w = weights ? o->rt->weight[o->rt->order[at]] : 1;
        if (add) k->axpy(out, w, y + at * o->d, o->d); else k->scale(out, y + at * o->d, w, o->d);
    }
    if (!add) memset(out, 0, o->d * sizeof *out);
}

static void combine(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++) sum_token(j, j->pair_y, true, t);
}

static wt_status room_for_kept(wt_run *r, kept *o)
{
    size_t n = (size_t)o->rt->n_pair;
    if (!wt_taping(r)) return WITAN_OK;
    if (r->tape->half) {
        o->gate_half = wt_take_n(r->a, n, o->ff * sizeof *o->gate_half);
        o->up_half = wt_take_n(r->a, n, o->ff * sizeof *o->up_half);
        return o->gate_half && o->up_half ? WITAN_OK : WITAN_ENOMEM;
    }
    o->gate = wt_take_n(r->a, n, o->ff * sizeof *o->gate);
    o->up = wt_take_n(r->a, n, o->ff * sizeof *o->up);
    return o->gate && o->up ? WITAN_OK : WITAN_ENOMEM;
}

static wt_status scratch(job *j)
{
    size_t threads = (size_t)j->r->cx->threads;
    j->n_scratch = (WT_GEMM_SCRATCH + j->rows * (j->o->d + 3 * j->o->ff) + 15) / 16 * 16;
    j->scratch = wt_take_n(j->r->a, threads, j->n_scratch * sizeof *j->scratch);
    return j->scratch ? WITAN_OK : WITAN_ENOMEM;
}

/* Outputs of pairs in pair order, for observers. */
static float *in_pair_order(const job *j)
{
    const kept *o = j->o;
    float *y = wt_take_n(j->r->a, (size_t)o->rt->n_pair, o->d * sizeof *y);
    for (int32_t i = 0; y && i < o->rt->n_pair; i++) memcpy(y + (size_t)o->rt->order[i] * o->d, j->pair_y + (size_t)i * o->d, o->d * sizeof *y);
    return y;
}

static wt_status back(wt_run *r, const wt_rec *e);

/* What must live until backward comes first, the rest is given back unless an observer wants outputs of pairs. */
static wt_status forward(wt_run *r, job *j, bool watched, const float **pair_y)
{
    kept *o = j->o;
    WT_TRY(room_for_kept(r, o));
    wt_mark m = wt_mark_set(r->a);
    WT_TRY(scratch(j));
    j->pair_y = wt_take_n(r->a, (size_t)o->rt->n_pair + 1, o->d * sizeof *j->pair_y);
    if (!j->pair_y) return WITAN_ENOMEM;
    wt_parallel(r->cx, o->n_tile, 1, forward_tiles, j);
    wt_parallel(r->cx, (size_t)o->rt->n_tok, 16384 / o->d + 1, combine, j);
    if (watched && !(*pair_y = in_pair_order(j))) return WITAN_ENOMEM;
    if (!watched) wt_rewind(r->a, m);
    return WITAN_OK;
}

wt_status wt_experts_train(wt_run *r, const wt_expert_source *src, wt_route *rt, wt_tensor *x, bool watched, wt_tensor **out, const float **pair_y)
{
    kept *o = wt_take(r->a, sizeof *o);
    if (!o) return WITAN_ENOMEM;
    *o = (kept){ .rt = rt, .x = x, .d = (size_t)x->shape[1] };
    job j = { .r = r, .o = o, .out = (*out)->f32 };
    WT_TRY(groups(r, o, src));
    WT_TRY(slots(r, o));
    WT_TRY(tiles(r, o, &j.rows));
    WT_TRY(forward(r, &j, watched, pair_y));
    const wt_tensor *weights = o->n_grp ? &o->grp[0].w.gate : NULL;      /* stands for all: any expert that learns makes the output learn */
    for (size_t i = 0; i < o->n_grp; i++) {
        const wt_expert *w = &o->grp[i].w;
        if (w->gate.grad || w->up.grad || w->down.grad) weights = w->gate.grad ? &w->gate : w->up.grad ? &w->up : &w->down;
    }
    return wt_record(r, &(wt_rec){ .back = back, .out = *out, .in = { x, weights, rt->learns }, .op = o });
}

/* ---- backward ------------------------------------------------------------------------------------------------------------ */

static void back_tiles(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    const kept *o = j->o;
    const wt_kernels *k = j->r->k;
    wt_gemm_fn gemm = wt_gemm_of(j->r);
    float *scratch = j->scratch + (size_t)worker * j->n_scratch, *gate_row = scratch + WT_GEMM_SCRATCH, *up_row = gate_row + o->ff;
    for (size_t i = begin; i < end; i++) {
        const tile *t = o->tile + j->first_tile + i;
        const group *g = o->grp + t->group;
        size_t d = o->d, ff = g->d_ff, at = t->row - j->pair0;
        float *h = j->h + at * o->ff, *dg = j->dg + at * o->ff, *du = j->du + at * o->ff, *dyg = j->dyg + at * d;
        gather(j, o->x->f32, t->row, t->n, j->xg + at * d);
        gather(j, j->dy, t->row, t->n, dyg);
        gemm(h, o->ff, dyg, d, false, g->w.down.data, ff, false, t->n, ff, d, false, scratch);
        for (size_t p = 0; p < t->n; p++) {
            int32_t pair = o->rt->order[t->row + p];
            const float *gate = gate_row, *up = up_row;
            if (o->gate) { gate = o->gate + (t->row + p) * o->ff; up = o->up + (t->row + p) * o->ff; }
            else {
                k->unpack[WT_BF16](gate_row, o->gate_half + (t->row + p) * o->ff, ff);
                k->unpack[WT_BF16](up_row, o->up_half + (t->row + p) * o->ff, ff);
            }
            float *hp = h + p * o->ff;
            o->rt->grad[pair] = k->silu_mul_back(dg + p * o->ff, du + p * o->ff, hp, gate, up, hp, o->rt->weight[pair], ff);
        }
        if (!j->dx) continue;
        gemm(j->dx + t->row * d, d, dg, o->ff, false, g->w.gate.data, d, false, t->n, d, ff, false, scratch);
        gemm(j->dx + t->row * d, d, du, o->ff, false, g->w.up.data, d, false, t->n, d, ff, true, scratch);
    }
}

/* Of one matrix of one expert: grad [m, n] += a^T b over its pairs. */
static void weight_grad(wt_gemm *list, size_t *n, const wt_tensor *w, const float *a, size_t lda, const float *b, size_t ldb, size_t n_pair)
{
    if (!w->grad) return;
    list[(*n)++] = (wt_gemm){ .c = w->grad, .ldc = (size_t)w->shape[1], .a = a, .lda = lda, .ta = true, .b = b, .ldb = ldb,
                              .m = (size_t)w->shape[0], .n = (size_t)w->shape[1], .k = n_pair, .add = true };
}

/* Groups [first, end): their tiles, then their weights. */
static wt_status back_chunk(job *j, size_t first, size_t end, size_t n_tile, wt_gemm *list)
{
    const kept *o = j->o;
    size_t n = 0;
    j->pair0 = o->grp[first].pair0;
    wt_parallel(j->r->cx, n_tile, 1, back_tiles, j);
    j->first_tile += n_tile;
    for (size_t i = first; i < end; i++) {
        const group *g = o->grp + i;
        size_t at = g->pair0 - j->pair0;
        weight_grad(list, &n, &g->w.gate, j->dg + at * o->ff, o->ff, j->xg + at * o->d, o->d, g->n_pair);
        weight_grad(list, &n, &g->w.up, j->du + at * o->ff, o->ff, j->xg + at * o->d, o->d, g->n_pair);
        weight_grad(list, &n, &g->w.down, j->dyg + at * o->d, o->d, j->h + at * o->ff, o->ff, g->n_pair);
    }
    return wt_gemm_run(j->r, list, n);
}

/* The end of the chunk that begins with group `first`, and how many pairs it has. */
static size_t chunk_end(const job *j, size_t first, size_t *n_pair)
{
    const kept *o = j->o;
    size_t i = first, most = CHUNK * (size_t)j->r->cx->threads;
    for (*n_pair = 0; i < o->n_grp && (i == first || *n_pair + o->grp[i].n_pair <= most); i++) *n_pair += o->grp[i].n_pair;
    return i;
}

static wt_status back_room(job *j, wt_gemm **list)
{
    const kept *o = j->o;
    wt_arena *a = j->r->a;
    size_t most = 1, n;
    for (size_t g = 0; g < o->n_grp;) {
        g = chunk_end(j, g, &n);
        if (n > most) most = n;
    }
    j->xg = wt_take_n(a, most, o->d * sizeof(float));
    j->dyg = wt_take_n(a, most, o->d * sizeof(float));
    j->h = wt_take_n(a, most, o->ff * sizeof(float));
    j->dg = wt_take_n(a, most, o->ff * sizeof(float));
    j->du = wt_take_n(a, most, o->ff * sizeof(float));
    *list = wt_take_n(a, 3 * o->n_grp + 1, sizeof **list);
    return j->xg && j->dyg && j->h && j->dg && j->du && *list ? scratch(j) : WITAN_ENOMEM;
}

static void scatter(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++) sum_token(j, j->dx, false, t);
}

static wt_status back(wt_run *r, const wt_rec *e)
{
    kept *o = (kept *)e->op;
    job j = { .r = r, .o = o, .dy = wt_grad_out(e), .rows = 1 };
    wt_gemm *list;
    if (!j.dy) return WITAN_OK;
    if (!(o->rt->grad = wt_take_n(r->a, (size_t)o->rt->n_pair + 1, sizeof *o->rt->grad))) return WITAN_ENOMEM;
    if (wt_learns(o->x) && !(j.out = wt_grad(r, o->x, &j.add))) return WITAN_ENOMEM;
    wt_mark m = wt_mark_set(r->a);
    if (j.out && !(j.dx = wt_take_n(r->a, (size_t)o->rt->n_pair + 1, o->d * sizeof *j.dx))) return WITAN_ENOMEM;
    WT_TRY(back_room(&j, &list));
    for (size_t g = 0, end, n, n_tile; g < o->n_grp; g = end) {
        end = chunk_end(&j, g, &n);
        for (n_tile = 0; j.first_tile + n_tile < o->n_tile && o->tile[j.first_tile + n_tile].group < end; n_tile++) { }
        WT_TRY(back_chunk(&j, g, end, n_tile, list));
    }
    if (j.out) wt_parallel(r->cx, (size_t)o->rt->n_tok, 16384 / o->d + 1, scatter, &j);
    wt_rewind(r->a, m);
    return WITAN_OK;
}
