/* Qwen1.5-MoE and Qwen2-MoE (arXiv 2407.10671): biases on q, k and v; softmax over all experts, top-k, weights as they are; a shared expert
 * whose output is multiplied by a sigmoid gate of its own. */
#include "model/model.h"

const wt_arch wt_arch_qwen2moe = {
    .name = "qwen2moe", .title = "Qwen2-MoE",
    .qk_norm = WT_QK_NONE, .rope = WT_ROPE_HALVES, .rope_base = 1000000,
    .bias = true, .experts = WT_ALWAYS, .shared = true, .activation = WT_ACT_SOFTMAX, .renorm = false,
};
