/* The tape: what ops record while they compute, so that gradients can be had by walking it backwards.
 *
 * An op that computes with a tape attached (wt_run.tape) adds one record: a function that adds to the gradients of its inputs, given that of its
 * output. Gradients of activations are made when first written, from the run's arena; those of weights are the trainer's memory (wt_tensor.grad;
 * NULL: frozen, nothing is computed for them). What needs no gradient is never recorded: a tensor is `tracked` if an op that gave it had a tracked
 * input or a weight that learns.
 *
 * Whether a tape is attached also chooses the products of float matrices (gemm instead of matmul); whether it records does not, so a layer gives the
 * same bits when it runs again. Threads: a tape belongs to one run; ops use workers inside. */
#ifndef WT_OP_TAPE_H
#define WT_OP_TAPE_H

#include "op/run.h"

typedef struct wt_rec wt_rec;
typedef wt_status (*wt_back_fn)(wt_run *r, const wt_rec *e);

struct wt_rec {
    wt_back_fn back;
    wt_tensor *out;
    const wt_tensor *in[3];      /* inputs and weights whose gradients back adds to; NULL: none */
    const void *op;              /* the op's own data, in the run's arena */
    float num[2];
    int32_t layer;               /* filled by wt_record */
};

struct wt_tape {
    wt_ctx *cx;
    bool on;                     /* records; off while something runs that is going to run again */
    bool training;               /* routers may draw and filters drop; off where a pass only looks */
    bool replay;                 /* something runs again: observers are silent, routes are taken from `routes` */
    bool checkpoint;             /* option: keep only the inputs of layers */
    bool half;                   /* option: what is kept of experts is BF16 */
    bool half_products;          /* option: products round their operands to BF16 (kernels' gemm_bf16) */
    float seed_grad;             /* gradient of the loss: set before the forward pass */
    float balance_scale;         /* factor of the losses of balance methods */
    wt_rec *rec; size_t n, cap;
    struct wt_kept_route *route; size_t cap_route;   /* choices of layers that run again, by layer (moe/router.c) */
};

void wt_tape_init(wt_tape *t, wt_ctx *cx);
void wt_tape_free(wt_tape *t);
void wt_tape_reset(wt_tape *t);                      /* forgets the records; memory stays for the next step. The run's arena is the caller's to rewind. */

static inline bool wt_taping(const wt_run *r) { return r->tape && r->tape->on; }

/* Adds a record if the tape records and any of e->in learns; marks e->out as tracked. e is copied. WT_ENOMEM. */
wt_status wt_record(wt_run *r, const wt_rec *e);
/* Runs all records from last to first, those that are added meanwhile included. Afterwards the tape is empty. */
wt_status wt_tape_backward(wt_run *r);

static inline bool wt_learns(const wt_tensor *t) { return t && (t->tracked || t->grad); }
/* The gradient of t to write to: *add says whether it holds something already (add to it) or nothing yet (write all of it). NULL: no memory. */
float *wt_grad(wt_run *r, const wt_tensor *t, bool *add);
/* The same, zeroed where it held nothing, so that adding is always right. */
float *wt_grad_zeroed(wt_run *r, const wt_tensor *t);
/* Adds src [t->n] to the gradient of t, if t learns. The second may make src itself the gradient, where t has none yet: src must then be nothing
 * that is used any more, and live as long. */
wt_status wt_grad_add(wt_run *r, const wt_tensor *t, const float *src);
wt_status wt_grad_hand_over(wt_run *r, const wt_tensor *t, float *src);
/* Gradient of an op's output; NULL where nothing behind it gave it any. */
static inline float *wt_grad_out(const wt_rec *e) { return e->out->grad_set ? e->out->grad : NULL; }

/* One piece of a model (a layer) as one step of the tape: *y = fn(x). Its gradients' memory is given back after its backward. With tape->checkpoint
 * only x and y are kept, and fn runs again in backward. fn gets `y` to write to, or makes a new tensor where *y is NULL. arg must live until then. */
typedef wt_status (*wt_piece_fn)(wt_run *r, void *arg, const wt_tensor *x, wt_tensor **y);
wt_status wt_op_piece(wt_run *r, wt_piece_fn fn, void *arg, const wt_tensor *x, wt_tensor **y);

/* ---- products of matrices for training ------------------------------------------------------------------------------------ */

/* C [m, n] (+)= op(A) op(B) (+ op(A2) op(B2), of the same shapes); see wt_kernels.gemm. */
typedef struct wt_gemm {
    float *c; size_t ldc;
    const float *a; size_t lda; bool ta;
    const float *b; size_t ldb; bool tb;
    size_t m, n, k;
    bool add;
    const float *a2, *b2;        /* NULL: none; strides as of a and b */
} wt_gemm;

/* Computes n products side by side; none may read what another writes. Results do not depend on the threads. */
wt_status wt_gemm_run(wt_run *r, const wt_gemm *g, size_t n);
static inline wt_gemm_fn wt_gemm_of(const wt_run *r) { return r->tape && r->tape->half_products ? r->k->gemm_bf16 : r->k->gemm; }

/* Sums over rows, in a fixed order: dst [width] += sum over t < n_row of what row(arg, t, sum) adds to sum [width]. */
typedef void (*wt_sum_fn)(void *arg, size_t t, float *sum);
wt_status wt_sum_rows(wt_run *r, float *dst, size_t width, size_t n_row, wt_sum_fn row, void *arg);

#endif
