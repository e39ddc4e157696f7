/* The ops of the forward pass. Each computes at once; results live in r->a. Shapes are checked by the model when it is
 * opened, so ops assert them. x, y [n_tok, width] unless stated. */
#ifndef WT_OP_OPS_H
#define WT_OP_OPS_H

#include "op/kv.h"
#include "op/run.h"

/* y[t] = row ids[t] of table [n_vocab, d]. Ids are checked by the caller. */
wt_status wt_op_embed(wt_run *r, const wt_tensor *table, const int32_t *ids, int32_t n_tok, wt_tensor **y);
/* y = x / sqrt(mean(x^2) + eps) * w, over pieces of w's length: the whole row, or each head when w is [d_head]. bytes: y is going to meet weights
 * in blocks, so y->q8 is made too. */
wt_status wt_op_norm(wt_run *r, const wt_tensor *x, const wt_tensor *w, float eps, bool bytes, wt_tensor **y);
/* y = x W^T, W [n_out, n_in] of any readable block type. Where the tier has a product for the type, x is rounded to bytes, once for all its
 * products (x->q8). */
wt_status wt_op_linear(wt_run *r, wt_tensor *x, const wt_tensor *w, wt_tensor **y);
/* The same for n <= 4 matrices w that share x, in one pass: *y[i] = x w[i]^T. */
wt_status wt_op_linear_n(wt_run *r, wt_tensor *x, size_t n, const wt_tensor *const w[], wt_tensor **y[]);
/* Cosines and sines of a batch, [n_tok, 2, n_rot / 2]: of angle pos[t] * freq[i], times size. freq [n_rot / 2]. Shared by all layers and heads. */
wt_status wt_op_rope_table(wt_run *r, const int32_t *pos, int32_t n_tok, const double *freq, int32_t n_rot, float size, wt_tensor **table);
/* Turns the first n_rot values of every head of q and k by the table, in place (backward turns their gradients back, in place too), and keeps k and v
 * in the cache, whose pages are there. halves: value
 * i turns with i + n_rot/2; else 2i with 2i+1. q [n_tok, group * n_head, d_head], k, v [n_tok, n_head, d_head] with kv's n_head and d_head. */
wt_status wt_op_rope_keep(wt_run *r, wt_tensor *q, wt_tensor *k, const wt_tensor *v, const wt_tensor *table, bool halves, const wt_kv_view *kv,
                          const int32_t *seq, const int32_t *pos);
/* y = a + b; the second into a tensor that is there, other than a and b, and only where no tape records. */
wt_status wt_op_add(wt_run *r, const wt_tensor *a, const wt_tensor *b, wt_tensor **y);
void wt_op_add_into(wt_run *r, const wt_tensor *a, const wt_tensor *b, wt_tensor *y);
/* y[t] = x[t] + b, b [width] F32 */
wt_status wt_op_bias(wt_run *r, const wt_tensor *x, const wt_tensor *b, wt_tensor **y);
/* y = gate / (1 + exp(-gate)) * up */
wt_status wt_op_silu_mul(wt_run *r, const wt_tensor *gate, const wt_tensor *up, wt_tensor **y);
/* y[t] = sigmoid(w . x[t]) v[t]; x [n_tok, d], w [d] F32, v, y [n_tok, width] */
wt_status wt_op_gate_rows(wt_run *r, const wt_tensor *x, const wt_tensor *w, const wt_tensor *v, wt_tensor **y);
/* y = softmax of each row. */
wt_status wt_op_softmax(wt_run *r, const wt_tensor *x, wt_tensor **y);
/* y [n, width] = rows at[0 .. n) of x, each at most once. at lives as long as y. */
wt_status wt_op_rows(wt_run *r, const wt_tensor *x, const int32_t *at, int32_t n, wt_tensor **y);

/* What a model's answers cost: of logits x w^T, x [n, d], w [n_vocab, d] F32, the -log softmax of each row's target. With a tape that records, the
 * gradients of x and w are computed at once, of sum of weight * loss times the tape's seed_grad; logits are made block by block and not kept. */
typedef struct wt_loss {
    const int32_t *target;       /* [n] in [0, n_vocab) or -1: ignored */
    const float *weight;         /* [n], NULL: 1 */
    float *row;                  /* [n] out: -log p of each row, unweighted, 0 where it is ignored; in r->a */
} wt_loss;
wt_status wt_op_head_loss(wt_run *r, const wt_tensor *x, const wt_tensor *w, wt_loss *loss);

/* Causal grouped-query attention: as many query heads as q has for each of kv's read one key/value head, in order; token t sees positions
 * 0 .. pos[t] of its sequence, which the cache holds. q, y [n_tok, group * n_head * d_head]; scores scaled by 1/sqrt(d_head). The order of every
 * sum depends on the position only. k, v [n_tok, n_head * d_head]: what wt_op_rope_keep kept, where backward puts gradients; NULL where no tape records.
 * Backward wants a cache in F32 that still holds them, and sequences that begin in this batch. */
wt_status wt_op_attention(wt_run *r, const wt_tensor *q, const wt_tensor *k, const wt_tensor *v, const wt_kv_view *kv, const int32_t *seq,
                          const int32_t *pos, wt_tensor **y);

#endif
