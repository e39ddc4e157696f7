/* Element-wise ops, gates and softmax of rows. Rows are shared out among workers; none depends on another. */
#include "op/ops.h"

#include "base/thread.h"
#include <math.h>

typedef struct job job;
struct job { const wt_kernels *k; void (*row)(const job *j, size_t t); const float *a, *b, *w; float *y; size_t n, d; };   /* n: width of a row of y, d: of a where it differs */

static void rows(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++) j->row(j, t);
}

static void by_rows_into(wt_run *r, job j, wt_tensor *y)
{
    j.k = r->k;
    j.y = y->f32;
    j.n = (size_t)y->shape[y->n_dim - 1];
    wt_parallel(r->cx, y->n / j.n, 16384 / j.n + 1, rows, &j);
}

static wt_status by_rows(wt_run *r, job j, const wt_tensor *like, wt_tensor **y)
{
    wt_tensor *out;                              /* y may be where an input comes from */
    WT_TRY(wt_tensor_new(r->a, like->n_dim, like->shape, &out));
    by_rows_into(r, j, out);
    *y = out;
    return WITAN_OK;
}

static void add(const job *j, size_t t) { j->k->add(j->y + t * j->n, j->a + t * j->n, j->b + t * j->n, j->n); }
static void bias(const job *j, size_t t) { j->k->add(j->y + t * j->n, j->a + t * j->n, j->b, j->n); }
static void silu_mul(const job *j, size_t t) { j->k->silu_mul(j->y + t * j->n, j->a + t * j->n, j->b + t * j->n, j->n); }
static void softmax(const job *j, size_t t) { j->k->softmax(j->y + t * j->n, j->a + t * j->n, j->n); }

static void gate(const job *j, size_t t)
{
    float z = j->k->dot(j->a + t * j->d, j->w, j->d);
    j->k->scale(j->y + t * j->n, j->b + t * j->n, 1.0f / (1.0f + expf(-z)), j->n);
}

wt_status wt_op_add(wt_run *r, const wt_tensor *a, const wt_tensor *b, wt_tensor **y)
{
    wt_assert(a->n == b->n);
    return by_rows(r, (job){ .row = add, .a = a->f32, .b = b->f32 }, a, y);
}

void wt_op_add_into(wt_run *r, const wt_tensor *a, const wt_tensor *b, wt_tensor *y)
{
    wt_assert(a->n == b->n && a->n == y->n);
    by_rows_into(r, (job){ .row = add, .a = a->f32, .b = b->f32 }, y);
}

wt_status wt_op_bias(wt_run *r, const wt_tensor *x, const wt_tensor *b, wt_tensor **y)
{
    wt_assert(b->type == WT_F32 && x->shape[x->n_dim - 1] == (int64_t)b->n);
    return by_rows(r, (job){ .row = bias, .a = x->f32, .b = b->data }, x, y);
}

wt_status wt_op_silu_mul(wt_run *r, const wt_tensor *gate_, const wt_tensor *up, wt_tensor **y)
{
    wt_assert(gate_->n == up->n);
    return by_rows(r, (job){ .row = silu_mul, .a = gate_->f32, .b = up->f32 }, gate_, y);
}

wt_status wt_op_gate_rows(wt_run *r, const wt_tensor *x, const wt_tensor *w, const wt_tensor *v, wt_tensor **y)
{
    wt_assert(w->type == WT_F32 && x->n / w->n == v->n / (size_t)v->shape[v->n_dim - 1]);
    return by_rows(r, (job){ .row = gate, .a = x->f32, .b = v->f32, .w = w->data, .d = w->n }, v, y);
}

wt_status wt_op_softmax(wt_run *r, const wt_tensor *x, wt_tensor **y) { return by_rows(r, (job){ .row = softmax, .a = x->f32 }, x, y); }
