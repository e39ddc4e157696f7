/* The forward pass: the only one, for every family. Running, profiling and evaluating all go through it. */
#ifndef WT_MODEL_FORWARD_H
#define WT_MODEL_FORWARD_H

#include "model/kv.h"
#include "model/model.h"
#include "op/ops.h"

/* One batch of tokens with their places. */
typedef struct wt_batch { int32_t n_tok; const int32_t *id, *seq, *pos; const uint8_t *want; int32_t n_want; } wt_batch;

/* Computes a batch. Keys and values go into kv, whose pages are reserved; rows of logits for the tokens with want set
 * go to logits [n_want, n_vocab]. mask may be NULL. r->a is rewound to where it stood. */
wt_status wt_forward(wt_run *r, const wt_model *m, const wt_mask *mask, const wt_kv_cache *kv, const wt_batch *b, float *logits);

/* The same of float weights, ending in the loss of the wanted rows (loss->target [n_want]), with the run's tape recording or not. What it took from r->a stays
 * there, for backward; b and what it points to too. */
wt_status wt_forward_loss(wt_run *r, const wt_model *m, const wt_kv_cache *kv, const wt_batch *b, wt_loss *loss);

#endif
