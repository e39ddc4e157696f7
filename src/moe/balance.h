/* Balance methods at work: several may be active together. A set holds their options and, for each layer with experts, their state and the
 * counts of the step. It belongs to who trains; the route pipeline looks at it through wt_run.balance. */
#ifndef WT_MOE_BALANCE_H
#define WT_MOE_BALANCE_H

#include "op/method.h"

enum { WT_MOST_BALANCE = 8 };

typedef struct wt_balance {
    const wt_method *method;
    void *opt;                           /* parsed options */
    float **state;                       /* [n_layer] into the set's memory; NULL in dense layers */
    double loss;                         /* of the last pass, summed over layers */
} wt_balance;

struct wt_balance_set {
    wt_ctx *cx;
    int32_t n_layer;
    int32_t *n_exp;                      /* [n_layer] */
    wt_balance b[WT_MOST_BALANCE]; size_t n;
    float *state; size_t n_state;        /* all states, one after another: what a checkpoint saves */
    int64_t **count;                     /* [n_layer][n_exp] pairs chosen in this step so far */
    bool learn;                          /* false: a pass that only looks */
};

/* n_exp [n_layer], 0 for dense layers. An empty set; methods are added before the first pass. */
wt_status wt_balance_open(wt_ctx *cx, int32_t n_layer, const int32_t *n_exp, wt_balance_set **out);
/* Adds the method called name with options "name=value,...". States become zero. */
wt_status wt_balance_add(wt_balance_set *s, const char *name, const char *options);
void wt_balance_free(wt_balance_set *s);
void wt_balance_begin_pass(wt_balance_set *s, bool learn);       /* losses of the pass become 0 */
/* After the optimizer's step: states follow the counts of the step, which become 0. */
void wt_balance_after_step(wt_balance_set *s);
/* Whether a method has a selection bias of its own. It then takes the place of the model's (exp_probs_b), which training passes ignore. */
bool wt_balance_has_bias(const wt_balance_set *s);
/* Sum over methods of the selection bias of a layer, for the model's exp_probs_b; and back, before training goes on from a model that has one.
 * bias [n_exp]. False: no method has one. */
bool wt_balance_bias(const wt_balance_set *s, int32_t layer, float *bias);
bool wt_balance_take_bias(wt_balance_set *s, int32_t layer, const float *bias);

#endif
