/* What a published method is to the rest of the code: one const descriptor with its options, its source and the functions
 * of its kind. Lower layers call methods through this interface without knowing any. */
#ifndef WT_OP_METHOD_H
#define WT_OP_METHOD_H

#include "base/option.h"
#include "op/run.h"

typedef enum wt_kind { WT_KIND_ROUTER, WT_KIND_FILTER, WT_KIND_BALANCE, WT_KIND_IMPORTANCE, WT_KIND_OPTIM, WT_N_KIND } wt_kind;
const char *wt_kind_name(wt_kind k);     /* "router", "filter" ... */

typedef struct wt_cite { const char *paper, *authors, *id; int32_t year; const char *where; } wt_cite;

/* router: the select stage. score is what is ranked, [n_tok, n_exp] (masked experts hold -inf); fills rt token by token. side_by_side: it may be
 * called for parts of a batch at the same time, each with its own tokens, scores and rt; such a one is independent of the batch, takes no memory
 * and cannot fail. */
typedef struct wt_router_ops {
    bool causal, batch_independent, side_by_side;
    wt_status (*select)(wt_run *r, const void *opt, const wt_tensor *score, wt_route *rt);
} wt_router_ops;

/* filter: changes a route after selection and weighing. Only removes pairs: rt->keep [n_pair], all true before, gets false for those that go;
 * shared code removes them and counts them (rt->n_dropped). */
typedef struct wt_filter_ops {
    bool causal, batch_independent;
    wt_status (*apply)(wt_run *r, const void *opt, wt_route *rt);
} wt_filter_ops;

/* What a balance method sees of one layer's route of one micro-batch, and where its gradients go. */
typedef struct wt_balance_view {
    int32_t n_tok, n_exp, n_used;
    const float *logit;          /* [n_tok, n_exp] */
    const float *share;          /* [n_tok, n_exp] scores as a distribution over the experts of a token: softmax as it is (also where only the chosen
                                  * are normalised), other activations divided by their sum */
    const double *share_mean;    /* [n_exp] over tokens */
    const int64_t *count;        /* [n_exp] pairs chosen, before any filter */
    const int64_t *step_count;   /* [n_exp] the same over the micro-batches of this step so far, this one included */
    float scale;                 /* factor of gradients, not of the loss that is returned */
    float *d_share_all;          /* [n_exp] add here what every token's share gets alike */
    float *d_logit;              /* [n_tok, n_exp] add here what each logit gets; only for methods with `per_token` */
} wt_balance_view;

/* balance: keeps experts evenly used in training. state [n_state * n_exp] floats of one layer, zero at first, saved in checkpoints. All may be NULL. */
typedef struct wt_balance_ops {
    int32_t n_state;             /* floats per expert */
    bool per_token;              /* loss writes d_logit */
    const char *by_k;            /* whether the loss divides by the number of experts per token; "" without a loss */
    /* Before selection: *bias [n_exp], in r->a or in state, is added to what is ranked (never to weights). score [n_tok, n_exp]. learn: state may
     * change; else it is used as it is. */
    wt_status (*before)(wt_run *r, const void *opt, float *state, const wt_tensor *score, int32_t n_used, bool learn, const float **bias);
    /* In backward, once per micro-batch and layer: *loss is set, gradients are added to v's. */
    wt_status (*loss)(wt_run *r, const void *opt, const float *state, const wt_balance_view *v, double *loss);
    /* After each step of the optimizer: count [n_exp] pairs chosen in the whole step. */
    void (*after)(const void *opt, float *state, int32_t n_exp, const int64_t *count);
    /* Adds to bias [n_exp] what an exported model needs to route as in training. NULL: nothing. */
    void (*bias)(const void *opt, const float *state, int32_t n_exp, float *bias);
    void (*take_bias)(const void *opt, float *state, int32_t n_exp, const float *bias);   /* makes the state one that gives this bias */
} wt_balance_ops;

/* importance: numbers from a calibration record. score [n_exp] of one layer and domain; larger stays. */
struct wt_record_view;
typedef struct wt_importance_ops {
    bool needs_data;                                     /* false: legal without a record (random) */
    wt_status (*score)(wt_ctx *cx, const void *opt, const struct wt_record_view *v, int64_t seed, double *score);
} wt_importance_ops;

/* optim: how a weight learns from its gradient. Weights are stepped one after the other; inside a step the context's threads work. The same bits come
 * out for any number of threads. */
struct wt_update;                                        /* op/update.h */
typedef struct wt_optim_ops {
    size_t (*state)(const void *opt, const struct wt_update *u);      /* floats kept for this weight from step to step; zero before the first */
    size_t (*scratch)(const void *opt, const struct wt_update *u);    /* floats needed during its step; NULL: none */
    wt_status (*step)(wt_run *r, const void *opt, const struct wt_update *u);   /* changes w and state, leaves the gradient zero */
} wt_optim_ops;

typedef struct wt_method {
    const char *name;
    wt_kind kind;
    const char *title, *about;
    wt_cite cite;
    const wt_param *param; size_t opt_size;
    const void *ops;                                     /* wt_router_ops, wt_filter_ops ... by kind */
} wt_method;

/* The generated registry (method/registry.c). */
extern const wt_method *const wt_methods[];
extern const size_t wt_n_methods;
/* WT_EARG with the list of names, and the nearest, if there is none. */
wt_status wt_method_find(wt_ctx *cx, wt_kind kind, const char *name, const wt_method **out);

#endif
