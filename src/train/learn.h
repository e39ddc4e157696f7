/* What happens between two forward passes: the norm of the gradients, one step of the optimizer on every weight, the running mean of the weights. */
#ifndef WT_TRAIN_LEARN_H
#define WT_TRAIN_LEARN_H

#include "model/trainable.h"
#include "op/update.h"

typedef struct wt_learner {
    wt_ctx *cx;
    const wt_kernels *k;
    wt_weight *weight; size_t n_weight;      /* the trainable's */
    const wt_method *method; void *opt;
    wt_update *update;                       /* [n_weight] what does not change from step to step */
    float *state; size_t n_state;            /* of all weights, one after another */
    float *scratch;
    float *ema; size_t n_ema;                /* running mean of all weights, one after another; NULL: not wanted */
    double decay;                            /* of it */
    double *part; size_t n_part;             /* sums of squares of pieces of gradients */
} wt_learner;

/* optim: a method of kind optim with its options, "adamw" or "muon:momentum=0.9,decay=0"; ema: how much of the running mean stays each step, 0: none is
 * kept. weights must outlive it. The running mean begins as the weights are. Errors: WT_EARG, WT_ENOMEM. */
wt_status wt_learner_open(wt_ctx *cx, const wt_kernels *k, wt_weight *weight, size_t n_weight, const char *optim, double ema, wt_learner *out);
void wt_learner_free(wt_learner *l);

/* Root of the sum of squares over all gradients, in double, in an order that depends on nothing but their sizes. Not finite if any is not. */
double wt_learner_norm(wt_learner *l);
/* One step, from 1; scale: what the gradients count (clipping). Gradients are zero afterwards. */
wt_status wt_learner_step(wt_learner *l, int64_t step, double lr, double scale);
/* The weights as their running mean, and back: exchanges the two. */
void wt_learner_swap(wt_learner *l);

/* The first weight in the order of the model that holds a value that is not finite, or whose gradient does, counted from the end of the model, where
 * gradients come from. NULL: none. */
const wt_weight *wt_bad_weight(const wt_weight *w, size_t n);
const wt_weight *wt_bad_gradient(const wt_weight *w, size_t n);

/* "name" and "options" of "name:options"; text is changed. */
char *wt_spec_cut(char *text);

#endif
