/* What a tensor of a GGUF model is for, told from its name. One place knows the names; opening, pruning, converting and
 * measuring ask here. */
#ifndef WT_MODEL_ROLE_H
#define WT_MODEL_ROLE_H

#include <stdint.h>

typedef enum wt_part {
    WT_PART_OTHER,        /* unknown to witan */
    WT_PART_EMBED,        /* token_embd */
    WT_PART_HEAD,         /* output */
    WT_PART_NORM,
    WT_PART_ATTENTION,    /* q, k, v, output projections and their biases */
    WT_PART_ROUTER,       /* ffn_gate_inp, exp_probs_b: slowest dimension counts experts */
    WT_PART_EXPERT,       /* routed experts: stacked, or one tensor per expert as files of 2023 have them */
    WT_PART_SHARED,       /* the shared expert and its gate */
    WT_PART_DENSE,        /* feed-forward of a layer without experts */
    WT_PART_ROPE,         /* frequency factors */
    WT_N_PART
} wt_part;

typedef struct wt_role {
    wt_part part;
    int32_t layer;        /* -1: none */
    int32_t expert;       /* WT_PART_EXPERT: -1 where the tensor holds all experts of its layer */
} wt_role;

wt_role wt_role_of(const char *name);
const char *wt_part_name(wt_part p);   /* "embed", "head" ... */

#endif
