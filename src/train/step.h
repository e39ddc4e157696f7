/* One micro-batch: forward through the one forward pass with a tape, the loss, and backward into the weights' gradients. */
#ifndef WT_TRAIN_STEP_H
#define WT_TRAIN_STEP_H

#include "model/trainable.h"
#include "moe/balance.h"

/* Tokens of whole sequences: the tokens of a sequence follow each other, its positions are 0, 1, 2 ... Sequence numbers are in [0, n_tok). */
typedef struct wt_train_batch {
    int32_t n_tok;
    const int32_t *id, *seq, *pos;       /* [n_tok] */
    const int32_t *target;               /* [n_tok] the token to predict, -1: ignored */
    const float *weight;                 /* [n_tok] of the loss, NULL: 1 */
    const int32_t *domain;               /* [n_tok] in [0, n_domain), NULL: no figures per domain */
    int32_t n_domain;
} wt_train_batch;

typedef struct wt_train_options {
    float scale;                         /* gradients of the loss sum are added times this: 1 / targets of the whole step */
    float balance_scale;                 /* the same for balance losses, which are means: 1 / micro-batches of the step */
    bool forward_only;                   /* losses and figures, no gradients; balance methods learn nothing, filters drop nothing */
    bool checkpoint;                     /* layers run again in backward: memory of one layer instead of all */
    bool half;                           /* what experts keep for backward is BF16 */
    bool half_products;                  /* products of matrices round their operands to BF16, sums stay float */
    uint64_t seed;                       /* of routers that draw; another for every micro-batch */
    wt_balance_set *balance;             /* NULL: none */
} wt_train_options;

typedef struct wt_train_layer {
    int32_t n_exp;                       /* 0: dense; the rest is then NULL and 0 */
    int64_t *count;                      /* [n_exp] pairs chosen, before any filter */
    double *share;                       /* [n_exp] mean probability, as a balance method sees it */
    double entropy;                      /* mean over tokens of that of the probabilities, nats */
    int64_t n_pair, n_dropped;           /* pairs computed; dropped by a filter */
    double max_vio;                      /* largest count over the mean count, minus 1 */
} wt_train_layer;

typedef struct wt_train_result {
    double loss;                         /* sum of weight * -log p over targets */
    double weight;                       /* sum of weights */
    int64_t n_target;
    const double *domain_loss, *domain_weight;   /* [n_domain] the same per domain */
    const wt_train_layer *layer;         /* [n_layer] */
    double balance_loss[WT_MOST_BALANCE];        /* of each method, summed over layers, as it defines it */
} wt_train_result;                       /* arrays belong to the pass and live until its next run */

/* What is reused from micro-batch to micro-batch: tape, arenas, a KV cache in F32. One owner, no sharing. */
typedef struct wt_pass wt_pass;
wt_status wt_pass_open(wt_ctx *cx, wt_trainable *t, wt_pass **out);
void wt_pass_free(wt_pass *p);

/* Adds scale times the gradients of the loss into t->weight[].grad. Losses that are not finite are reported, not refused.
 * Errors: WT_EARG for ids, targets, domains or positions out of range, WT_ENOMEM, WT_EFORMAT where a router gives no numbers. */
wt_status wt_pass_run(wt_pass *p, const wt_train_batch *b, const wt_train_options *o, wt_train_result *out);

#endif
