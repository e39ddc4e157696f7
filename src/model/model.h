/* A model: its family's description, its checked configuration, its weights and vocabulary. Constant after opening. */
#ifndef WT_MODEL_MODEL_H
#define WT_MODEL_MODEL_H

#include "model/role.h"
#include "moe/router.h"
#include "moe/store.h"
#include "text/tokenizer.h"

/* What a family is, as data. A quirk of a family is a field here, never a branch on its name elsewhere. */
typedef enum wt_qk_norm { WT_QK_NONE, WT_QK_FULL /* over all heads */, WT_QK_HEAD /* within each head */ } wt_qk_norm;
typedef enum wt_rope { WT_ROPE_HALVES, WT_ROPE_PAIRS } wt_rope;
typedef enum wt_has { WT_NEVER, WT_MAYBE, WT_ALWAYS } wt_has;

typedef struct wt_arch {
    const char *name;              /* general.architecture */
    const char *title;
    wt_qk_norm qk_norm;
    wt_rope rope;
    double rope_base;              /* where the key is absent */
    wt_has experts;                /* MAYBE: by expert_count */
    bool bias;                     /* q, k and v of fresh models have biases; files say by what they hold */
    bool shared;                   /* a shared expert beside the routed ones, with a gate of its own */
    wt_activation activation;      /* of the router, where expert_gating_func is absent */
    bool renorm;                   /* routing weights divided by their sum, where expert_weights_norm is absent */
} wt_arch;

extern const wt_arch *const wt_archs[];   /* NULL-terminated */

typedef struct wt_config {
    int32_t n_layer, d_model, n_head, n_head_kv, d_head, n_vocab, n_ctx_train, n_rot;
    int32_t n_exp_max, n_exp_used, d_ff_exp;     /* 0: dense */
    int32_t n_dense_lead;                        /* first layers without experts, as the file says */
    float norm_eps, rope_base;
    wt_activation activation; bool renorm; float route_scale;
    double *rope_freq; float rope_size;          /* [n_rot / 2], owned by the model; factor of cosines and sines */
} wt_config;

/* A gated feed-forward: a dense layer's, or the shared expert's. gate NULL: there is none. */
typedef struct wt_ffn { const wt_tensor *gate, *up, *down; } wt_ffn;

typedef struct wt_layer {
    const wt_tensor *attn_norm, *wq, *wk, *wv, *wo, *bq, *bk, *bv, *bo, *q_norm, *k_norm, *ffn_norm, *router;   /* biases, norms of q and k: may be NULL */
    const wt_tensor *select_bias;  /* [n_exp] added to scores for selection only (exp_probs_b), or NULL */
    wt_ffn dense, shared;
    const wt_tensor *shared_gate;  /* [d_model] NULL: the shared expert is added as it is */
    int32_t n_exp;                 /* of this layer, 0: dense */
    wt_route_spec route;
} wt_layer;

struct witan_model {
    wt_ctx *cx;
    wt_gguf *file;
    const wt_arch *arch;           /* NULL: vocabulary only */
    wt_config cfg;
    const wt_tensor *embed, *out_norm, *head;
    wt_layer *layer;               /* [n_layer] */
    wt_expert_store *experts;
    void **own; size_t n_own;      /* copies of weights */
    wt_vocab *vocab;
    wt_kernels k;
    witan_model_info info;
    char *name;
};
typedef struct witan_model wt_model;

/* Finds all weights, checks their shapes, opens the expert store; refuses files with tensors that no part of the model would use.
 * Part of opening (model.c). */
wt_status wt_weights_open(wt_model *m, const witan_model_options *o);
/* Copies the weights that every token uses, rows interleaved where that is possible (repack.c). */
wt_status wt_weights_repack(wt_model *m, bool huge);

/* The kernels of the tier that the context asks for. */
wt_status wt_kernels_choose(wt_ctx *cx, wt_kernels *k);

/* Feeds one batch. See witan_feed_batch; observers look at the taps of this call. */
wt_status wt_session_feed(witan_session *s, const witan_token *tok, size_t n, const wt_observer *obs, size_t n_obs);

/* For edits: the GGUF name of a layer's tensor, "blk.3.ffn_up_exps.weight". */
const char *wt_layer_tensor_name(char buf[64], int32_t layer, const char *part);

#endif
