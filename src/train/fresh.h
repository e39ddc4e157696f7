/* Models: the fresh one that training begins with, and the trained one that comes out. */
#ifndef WT_TRAIN_FRESH_H
#define WT_TRAIN_FRESH_H

#include "model/trainable.h"
#include "moe/balance.h"

/* Writes a model of fresh weights with the shape that o states, in F32: matrices normal with o->init_std, norms 1, biases 0. Depends on the shape and the
 * seed alone, not on the threads. n_vocab: 0, or where no tokenizer is named the size of a vocabulary of bytes. */
wt_status wt_fresh_model(wt_ctx *cx, const witan_train_options *o, int32_t n_vocab, const char *path);

/* Writes the weights of t with the metadata of its model and an entry of their history. How the command was called is left out of both files: a run that
 * was interrupted and resumed gives the same bytes. */
typedef struct wt_export {
    const char *path, *name;             /* name NULL: as the model was called before */
    const char *type;                    /* as witan_convert_options.type */
    const char *config;                  /* JSON of the run's options */
    const char *data;                    /* digest of the training data */
    const wt_balance_set *balance;       /* its selection biases are added; NULL: none */
    int64_t steps, tokens, seed;
} wt_export;
wt_status wt_train_export(wt_ctx *cx, const wt_trainable *t, const wt_export *e);

#endif
