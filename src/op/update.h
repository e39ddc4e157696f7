/* What a learning rule sees of a weight, and the piece that several rules share: a step of Adam. */
#ifndef WT_OP_UPDATE_H
#define WT_OP_UPDATE_H

#include "op/method.h"

typedef struct wt_update {
    const char *name;             /* of the tensor */
    int32_t n_dim; int64_t shape[WT_MAX_DIM]; size_t n;
    float *w, *grad;              /* [n] */
    float *state, *scratch;       /* as many floats as the rule asked for */
    bool decays;                  /* weight decay is meant for it: matrices; not norms and biases */
    bool hidden;                  /* a matrix, or a stack of matrices, inside the layers; not the embedding and not the head */
    double lr;                    /* of this step, from the schedule */
    double scale;                 /* the gradient counts times this: 1, or less where the global norm was clipped */
    int64_t step;                 /* from 1 */
} wt_update;

/* A stack of matrices: count of [rows, cols], one after another. A vector is one row. */
typedef struct wt_stack { size_t count, rows, cols; } wt_stack;
static inline wt_stack wt_stack_of(const wt_update *u)
{
    wt_stack s = { 1, 1, (size_t)u->shape[u->n_dim - 1] };
    if (u->n_dim > 1) s.rows = (size_t)u->shape[u->n_dim - 2];
    s.count = u->n ? u->n / (s.rows * s.cols) : 0;
    return s;
}

/* Adam with bias correction and decoupled decay: state is m [n], then v [n]. decay counts only where u->decays. */
typedef struct wt_adam_rule { double beta1, beta2, eps, decay, lr; } wt_adam_rule;
void wt_adam_step(wt_run *r, const wt_adam_rule *a, const wt_update *u);

#endif
