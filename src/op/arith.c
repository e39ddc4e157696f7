/* Element-wise ops, gates and softmax of rows. Rows are shared out among workers; none depends on another. */
#include "op/ops.h"

#include "base/thread.h"
#include "op/tape.h"
#include <math.h>
#include <string.h>

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

/* ---- sums ---------------------------------------------------------------------------------------------------------------- */

static wt_status add_back(wt_run *r, const wt_rec *e)
{
    float *dy = wt_grad_out(e);
    if (!dy) return WITAN_OK;
    WT_TRY(wt_grad_add(r, e->in[1], dy));        /* first: in[0] may take dy over and add to it */
    return wt_grad_hand_over(r, e->in[0], dy);
}

wt_status wt_op_add(wt_run *r, const wt_tensor *a, const wt_tensor *b, wt_tensor **y)
{
    wt_assert(a->n == b->n);
    WT_TRY(by_rows(r, (job){ .row = add, .a = a->f32, .b = b->f32 }, a, y));
    return wt_record(r, &(wt_rec){ .back = add_back, .out = *y, .in = { a, b } });
}

void wt_op_add_into(wt_run *r, const wt_tensor *a, const wt_tensor *b, wt_tensor *y)
{
    wt_assert(a->n == b->n && a->n == y->n && !wt_taping(r));
    by_rows_into(r, (job){ .row = add, .a = a->f32, .b = b->f32 }, y);
}

typedef struct rows_of { const wt_kernels *k; const float *x, *s; size_t n; } rows_of;

static void add_row(void *arg, size_t t, float *sum)
{
    const rows_of *j = arg;
    if (j->s) j->k->axpy(sum, j->s[t], j->x + t * j->n, j->n);
    else j->k->add(sum, sum, j->x + t * j->n, j->n);
}

static wt_status bias_back(wt_run *r, const wt_rec *e)
{
    float *dy = wt_grad_out(e);
    size_t n = e->in[1]->n;
    if (!dy) return WITAN_OK;
    if (e->in[1]->grad) WT_TRY(wt_sum_rows(r, e->in[1]->grad, n, e->out->n / n, add_row, &(rows_of){ r->k, dy, NULL, n }));
    return wt_grad_hand_over(r, e->in[0], dy);
}

wt_status wt_op_bias(wt_run *r, const wt_tensor *x, const wt_tensor *b, wt_tensor **y)
{
    wt_assert(b->type == WT_F32 && x->shape[x->n_dim - 1] == (int64_t)b->n);
    wt_tensor *out;
    WT_TRY(by_rows(r, (job){ .row = bias, .a = x->f32, .b = b->data }, x, &out));
    WT_TRY(wt_record(r, &(wt_rec){ .back = bias_back, .out = out, .in = { x, b } }));
    *y = out;
    return WITAN_OK;
}

/* ---- gates --------------------------------------------------------------------------------------------------------------- */

/* Backward by rows: dy in, da and db out, for the ops below. */
typedef struct back_job back_job;
struct back_job {
    const wt_run *r;
    void (*row)(const back_job *j, size_t t, float *tmp);
    const float *a, *b, *w, *y, *dy;
    float *da, *db, *dz, *tmp;                   /* tmp: two rows of each worker; dz: one value of each row */
    bool add_a, add_b;
    size_t n, d;
};

static void back_rows(void *arg, size_t begin, size_t end, int worker)
{
    const back_job *j = arg;
    for (size_t t = begin; t < end; t++) j->row(j, t, j->tmp + (size_t)worker * 2 * j->n);
}

static wt_status back_by_rows(wt_run *r, back_job *j, size_t n_row)
{
    j->r = r;
    j->tmp = wt_take_n(r->a, (size_t)r->cx->threads * 2 * j->n, sizeof *j->tmp);
    if (!j->tmp) return WITAN_ENOMEM;
    wt_parallel(r->cx, n_row, 8192 / j->n + 1, back_rows, j);
    return WITAN_OK;
}

static void silu_mul_row(const back_job *j, size_t t, float *tmp)
{
    const wt_kernels *k = j->r->k;
    size_t n = j->n, at = t * n;
    float *da = j->da && !j->add_a ? j->da + at : tmp, *db = j->db && !j->add_b ? j->db + at : tmp + n;
    k->silu_mul_back(da, db, NULL, j->a + at, j->b + at, j->dy + at, 1, n);
    if (j->da && j->add_a) k->add(j->da + at, j->da + at, da, n);
    if (j->db && j->add_b) k->add(j->db + at, j->db + at, db, n);
}

static wt_status silu_mul_back(wt_run *r, const wt_rec *e)
{
    back_job j = { .row = silu_mul_row, .a = e->in[0]->f32, .b = e->in[1]->f32, .dy = wt_grad_out(e), .n = (size_t)e->out->shape[e->out->n_dim - 1] };
    if (!j.dy) return WITAN_OK;
    if (wt_learns(e->in[0]) && !(j.da = wt_grad(r, e->in[0], &j.add_a))) return WITAN_ENOMEM;
    if (wt_learns(e->in[1]) && !(j.db = wt_grad(r, e->in[1], &j.add_b))) return WITAN_ENOMEM;
    wt_mark m = wt_mark_set(r->a);
    WT_TRY(back_by_rows(r, &j, e->out->n / j.n));
    wt_rewind(r->a, m);
    return WITAN_OK;
}

wt_status wt_op_silu_mul(wt_run *r, const wt_tensor *gate_, const wt_tensor *up, wt_tensor **y)
{
    wt_assert(gate_->n == up->n);
    wt_tensor *out;
    WT_TRY(by_rows(r, (job){ .row = silu_mul, .a = gate_->f32, .b = up->f32 }, gate_, &out));
    WT_TRY(wt_record(r, &(wt_rec){ .back = silu_mul_back, .out = out, .in = { gate_, up } }));
    *y = out;
    return WITAN_OK;
}

/* With s = sigmoid(w . x): dv = s dy; the gradient of w . x is s (1 - s) v . dy. */
static void gate_row(const back_job *j, size_t t, float *tmp)
{
    const wt_kernels *k = j->r->k;
    const float *x = j->a + t * j->d, *v = j->b + t * j->n, *dy = j->dy + t * j->n;
    float s = 1.0f / (1.0f + expf(-k->dot(x, j->w, j->d)));
    (void)tmp;
    j->dz[t] = s * (1 - s) * k->dot(v, dy, j->n);
    if (j->da && !j->add_a) k->scale(j->da + t * j->d, j->w, j->dz[t], j->d);
    else if (j->da) k->axpy(j->da + t * j->d, j->dz[t], j->w, j->d);
    if (j->db && !j->add_b) k->scale(j->db + t * j->n, dy, s, j->n);
    else if (j->db) k->axpy(j->db + t * j->n, s, dy, j->n);
}

static wt_status gate_rows_back(wt_run *r, const wt_rec *e)
{
    const wt_tensor *x = e->in[0], *w = e->in[1], *v = e->in[2];
    back_job j = { .row = gate_row, .a = x->f32, .b = v->f32, .w = w->data, .dy = wt_grad_out(e), .n = (size_t)v->shape[v->n_dim - 1], .d = w->n };
    size_t n_row = v->n / j.n;
    if (!j.dy) return WITAN_OK;
    if (wt_learns(x) && !(j.da = wt_grad(r, x, &j.add_a))) return WITAN_ENOMEM;
    if (wt_learns(v) && !(j.db = wt_grad(r, v, &j.add_b))) return WITAN_ENOMEM;
    wt_mark m = wt_mark_set(r->a);
    j.dz = wt_take_n(r->a, n_row, sizeof *j.dz);
    if (!j.dz) return WITAN_ENOMEM;
    WT_TRY(back_by_rows(r, &j, n_row));
    if (w->grad) WT_TRY(wt_sum_rows(r, w->grad, j.d, n_row, add_row, &(rows_of){ r->k, x->f32, j.dz, j.d }));
    wt_rewind(r->a, m);
    return WITAN_OK;
}

wt_status wt_op_gate_rows(wt_run *r, const wt_tensor *x, const wt_tensor *w, const wt_tensor *v, wt_tensor **y)
{
    wt_assert(w->type == WT_F32 && x->n / w->n == v->n / (size_t)v->shape[v->n_dim - 1]);
    wt_tensor *out;
    WT_TRY(by_rows(r, (job){ .row = gate, .a = x->f32, .b = v->f32, .w = w->data, .d = w->n }, v, &out));
    WT_TRY(wt_record(r, &(wt_rec){ .back = gate_rows_back, .out = out, .in = { x, w, v } }));
    *y = out;
    return WITAN_OK;
}

/* ---- softmax ------------------------------------------------------------------------------------------------------------- */

/* dx = y (dy - y . dy) */
static void softmax_row(const back_job *j, size_t t, float *tmp)
{
    const wt_kernels *k = j->r->k;
    size_t n = j->n, at = t * n;
    const float *y = j->y + at, *dy = j->dy + at;
    float *dx = j->add_a ? tmp : j->da + at;
    k->mul(dx, y, dy, n);
    k->axpy(dx, -k->dot(y, dy, n), y, n);
    if (j->add_a) k->add(j->da + at, j->da + at, dx, n);
}

static wt_status softmax_back(wt_run *r, const wt_rec *e)
{
    back_job j = { .row = softmax_row, .y = e->out->f32, .dy = wt_grad_out(e), .n = (size_t)e->out->shape[e->out->n_dim - 1] };
    if (!j.dy) return WITAN_OK;
    if (!(j.da = wt_grad(r, e->in[0], &j.add_a))) return WITAN_ENOMEM;
    wt_mark m = wt_mark_set(r->a);
    WT_TRY(back_by_rows(r, &j, e->out->n / j.n));
    wt_rewind(r->a, m);
    return WITAN_OK;
}

wt_status wt_op_softmax(wt_run *r, const wt_tensor *x, wt_tensor **y)
{
    wt_tensor *out;
    WT_TRY(by_rows(r, (job){ .row = softmax, .a = x->f32 }, x, &out));
    WT_TRY(wt_record(r, &(wt_rec){ .back = softmax_back, .out = out, .in = { x } }));
    *y = out;
    return WITAN_OK;
}

/* ---- some rows ----------------------------------------------------------------------------------------------------------- */

typedef struct picking { const float *src; float *dst; const int32_t *at; size_t n; } picking;

static void pick(void *arg, size_t begin, size_t end, int worker)
{
    const picking *j = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) memcpy(j->dst + i * j->n, j->src + (size_t)j->at[i] * j->n, j->n * sizeof *j->dst);
}

typedef struct returning { const wt_kernels *k; float *dst; const float *src; const int32_t *at; size_t n; } returning;

static void give_back(void *arg, size_t begin, size_t end, int worker)   /* rows are other than each other */
{
    const returning *j = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        float *dst = j->dst + (size_t)j->at[i] * j->n;
        j->k->add(dst, dst, j->src + i * j->n, j->n);
    }
}

static wt_status rows_back(wt_run *r, const wt_rec *e)
{
    returning j = { .k = r->k, .src = wt_grad_out(e), .at = e->op, .n = (size_t)e->out->shape[1] };
    if (!j.src) return WITAN_OK;
    if (!(j.dst = wt_grad_zeroed(r, e->in[0]))) return WITAN_ENOMEM;
    wt_parallel(r->cx, e->out->n / j.n, 16384 / j.n + 1, give_back, &j);
    return WITAN_OK;
}

wt_status wt_op_rows(wt_run *r, const wt_tensor *x, const int32_t *at, int32_t n, wt_tensor **y)
{
    wt_tensor *out;
    WT_TRY(wt_tensor_new(r->a, 2, (int64_t[]){ n, x->shape[1] }, &out));
    picking j = { x->f32, out->f32, at, (size_t)x->shape[1] };
    wt_parallel(r->cx, (size_t)n, 16384 / j.n + 1, pick, &j);
    WT_TRY(wt_record(r, &(wt_rec){ .back = rows_back, .out = out, .in = { x }, .op = at }));
    *y = out;
    return WITAN_OK;
}
