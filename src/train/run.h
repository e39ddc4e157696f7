/* A run of training, while it goes: what it is made of and the pieces that work on it. One owner. */
#ifndef WT_TRAIN_RUN_H
#define WT_TRAIN_RUN_H

#include "train/checkpoint.h"
#include "train/config.h"
#include "train/data.h"
#include "train/fresh.h"
#include "train/learn.h"
#include "train/log.h"
#include "train/schedule.h"
#include "train/step.h"

/* What the log says of a layer: sums over the micro-batches of a step. */
typedef struct wt_layer_sum { int32_t n_exp; int64_t *count; double entropy; int64_t n_tok, n_pair, n_dropped; } wt_layer_sum;

typedef struct wt_training {
    wt_ctx *cx;
    witan_train_options o;                   /* resolved */
    const char *dir;
    char *config;                            /* the options as JSON */
    wt_kernels k;
    wt_model *m;
    wt_trainable *t;
    wt_pass *pass;
    wt_balance_set *balance; float *balance_before;      /* states at the beginning of the step */
    void *router_opt, *filter_opt;
    wt_learner learn;
    wt_schedule schedule;
    wt_data *data, *valid;
    wt_rows rows;                       /* of a whole step, or of a validation row */
    int32_t *keep[6];                        /* its memory */
    wt_layer_sum *layer;                     /* [n_layer] of the last step */
    wt_run_log log;
    int lock;
    wt_checkpoint_facts facts;               /* of the last step done */
    int64_t saved;                           /* step of the newest checkpoint on disk, -1: none */
    double began;                            /* wall clock of this call */
    double loss, norm, lr, balance_loss[WT_MOST_BALANCE];   /* of the last step */
    double valid_loss;
    int64_t first;                           /* step that this call began with */
} wt_training;

/* run_setup.c: folder, model, data, memory, state of the newest good checkpoint. */
wt_status wt_training_open(wt_ctx *cx, const witan_train_options *o, wt_training *r);
void wt_training_free(wt_training *r);
/* The model's part of it, without a folder: for measuring speed too. r->o, r->cx and r->m are set. */
wt_status wt_training_machine(wt_training *r);

/* run_step.c */
wt_status wt_training_step(wt_training *r, int64_t step);
wt_status wt_training_validate(wt_training *r, double *loss, wt_text *line);   /* appends "valid": {...} to line; *loss: the mean over all targets */
/* Tokens of a step, targets or not. */
static inline int64_t wt_training_tokens(const wt_training *r) { return (int64_t)r->o.batch * r->o.n_ctx; }

/* run_save.c */
wt_status wt_training_log(wt_training *r, int64_t step, bool load, const wt_text *valid);
wt_status wt_training_save(wt_training *r);              /* checkpoint of r->facts.step; older ones that do not matter go */
wt_status wt_training_restore(wt_training *r);           /* the newest good one, or the beginning */
wt_status wt_training_pictures(wt_training *r);
wt_status wt_training_models(wt_training *r, char name[512]);   /* model.gguf, model-ema.gguf; takes the first one's name */

#endif
