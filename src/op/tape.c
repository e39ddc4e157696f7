/* The tape: records, walking them backwards, pieces that run again. */
#include "op/tape.h"

#include "base/thread.h"
#include <string.h>

void wt_tape_init(wt_tape *t, wt_ctx *cx) { *t = (wt_tape){ .cx = cx, .on = true, .training = true, .seed_grad = 1, .balance_scale = 1 }; }

void wt_tape_free(wt_tape *t)
{
    wt_free(t->cx, t->rec);
    *t = (wt_tape){ .cx = t->cx };
}

void wt_tape_reset(wt_tape *t)
{
    t->n = 0;
    t->on = true;
    t->replay = false;
}

static wt_status put(wt_run *r, const wt_rec *e)
{
    wt_tape *t = r->tape;
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 256;
        wt_rec *p = wt_realloc(t->cx, t->rec, cap, sizeof *p);
        if (!p) return WITAN_ENOMEM;
        t->rec = p;
        t->cap = cap;
    }
    t->rec[t->n] = *e;
    t->rec[t->n++].layer = r->layer;
    return WITAN_OK;
}

wt_status wt_record(wt_run *r, const wt_rec *e)
{
    bool learns = false;
    if (!wt_taping(r)) return WITAN_OK;
    for (size_t i = 0; i < sizeof e->in / sizeof *e->in; i++) learns |= wt_learns(e->in[i]);
    if (!learns) return WITAN_OK;
    e->out->tracked = true;
    return put(r, e);
}

/* Backward may add records (a piece that runs again): they take the places of those that are done. */
static wt_status walk(wt_run *r, size_t down_to)
{
    wt_tape *t = r->tape;
    while (t->n > down_to) {
        wt_rec e = t->rec[--t->n];
        r->layer = e.layer;
        WT_TRY(e.back(r, &e));
    }
    return WITAN_OK;
}

wt_status wt_tape_backward(wt_run *r)
{
    r->tape->on = false;
    wt_status st = walk(r, 0);
    wt_tape_reset(r->tape);
    return st;
}

/* ---- gradients ----------------------------------------------------------------------------------------------------------- */

/* Headers of activations lie in arenas and are ours to change. */
static float *room(wt_run *r, const wt_tensor *t)
{
    wt_tensor *own = (wt_tensor *)t;
    if (!t->grad && t->tracked) own->grad = wt_take_n(r->a, t->n, sizeof *t->grad);
    return t->grad;
}

float *wt_grad(wt_run *r, const wt_tensor *t, bool *add)
{
    *add = !t->tracked || t->grad_set;
    float *g = room(r, t);
    if (g && t->tracked) ((wt_tensor *)t)->grad_set = true;
    return g;
}

float *wt_grad_zeroed(wt_run *r, const wt_tensor *t)
{
    bool add;
    float *g = wt_grad(r, t, &add);
    if (g && !add) memset(g, 0, t->n * sizeof *g);
    return g;
}

typedef struct adding { const wt_kernels *k; float *dst; const float *src; bool add; } adding;

enum { BLOCK = 1024 };

static void add_blocks(void *arg, size_t begin, size_t end, int worker)
{
    const adding *j = arg;
    (void)worker;
    if (j->add) j->k->add(j->dst + begin, j->dst + begin, j->src + begin, end - begin);
    else memcpy(j->dst + begin, j->src + begin, (end - begin) * sizeof *j->dst);
}

wt_status wt_grad_add(wt_run *r, const wt_tensor *t, const float *src)
{
    adding j = { .k = r->k, .src = src };
    if (!wt_learns(t)) return WITAN_OK;
    j.dst = wt_grad(r, t, &j.add);
    if (!j.dst) return WITAN_ENOMEM;
    wt_parallel(r->cx, t->n, 16 * BLOCK, add_blocks, &j);
    return WITAN_OK;
}

wt_status wt_grad_hand_over(wt_run *r, const wt_tensor *t, float *src)
{
    wt_tensor *own = (wt_tensor *)t;
    if (!t->tracked || t->grad) return wt_grad_add(r, t, src);
    own->grad = src;
    own->grad_set = true;
    return WITAN_OK;
}

/* ---- pieces -------------------------------------------------------------------------------------------------------------- */

typedef struct piece { wt_piece_fn fn; void *arg; wt_mark mark; } piece;

/* Backward of a piece begins here: all gradients that it makes, other than that of its input, are given back when it ends. */
static wt_status open_piece(wt_run *r, const wt_rec *e)
{
    piece *p = (piece *)e->op;
    if (e->in[0]->tracked && !room(r, e->in[0])) return WITAN_ENOMEM;
    p->mark = wt_mark_set(r->a);
    return WITAN_OK;
}

static wt_status close_piece(wt_run *r, const wt_rec *e)
{
    const piece *p = e->op;
    wt_rewind(r->a, p->mark);
    return WITAN_OK;
}

static wt_status run_again(wt_run *r, const wt_rec *e)
{
    wt_tape *t = r->tape;
    const piece *p = e->op;
    size_t n = t->n, n_obs = r->n_obs;
    wt_tensor *y = NULL;
    if (!wt_grad_out(e)) return WITAN_OK;
    if (e->in[0]->tracked && !room(r, e->in[0])) return WITAN_ENOMEM;
    wt_mark mark = wt_mark_set(r->a);
    t->on = t->replay = true;
    r->n_obs = 0;
    wt_status st = p->fn(r, p->arg, e->in[0], &y);
    t->on = t->replay = false;
    r->n_obs = n_obs;
    WT_TRY(st);
    y->grad = e->out->grad;
    y->grad_set = true;
    WT_TRY(walk(r, n));
    wt_rewind(r->a, mark);
    return WITAN_OK;
}

/* Runs fn now; what it needed is given back. *y is there. */
static wt_status run_plainly(wt_run *r, wt_piece_fn fn, void *arg, const wt_tensor *x, wt_tensor **y)
{
    wt_mark mark = wt_mark_set(r->a);
    wt_status st = fn(r, arg, x, y);
    wt_rewind(r->a, mark);
    return st;
}

wt_status wt_op_piece(wt_run *r, wt_piece_fn fn, void *arg, const wt_tensor *x, wt_tensor **y)
{
    if (!wt_taping(r)) return run_plainly(r, fn, arg, x, y);
    piece *p = wt_take(r->a, sizeof *p);
    if (!p) return WITAN_ENOMEM;
    *p = (piece){ .fn = fn, .arg = arg };
    if (!r->tape->checkpoint) {
        WT_TRY(put(r, &(wt_rec){ .back = close_piece, .op = p }));
        *y = NULL;
        WT_TRY(fn(r, arg, x, y));
        return put(r, &(wt_rec){ .back = open_piece, .out = *y, .in = { x }, .op = p });
    }
    WT_TRY(wt_tensor_new(r->a, x->n_dim, x->shape, y));
    r->tape->on = false;
    wt_status st = run_plainly(r, fn, arg, x, y);
    r->tape->on = true;
    (*y)->tracked = true;
    return st == WITAN_OK ? put(r, &(wt_rec){ .back = run_again, .out = *y, .in = { x }, .op = p }) : st;
}
