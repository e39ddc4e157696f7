/* Qwen3-MoE (arXiv 2505.09388): norms on q and k within each head; softmax over all experts, top-k, weights divided by their sum. */
#include "model/model.h"

const wt_arch wt_arch_qwen3moe = {
    .name = "qwen3moe", .title = "Qwen3-MoE",
    .qk_norm = WT_QK_HEAD, .rope = WT_ROPE_HALVES, .rope_base = 1000000,
    .experts = WT_ALWAYS, .activation = WT_ACT_SOFTMAX, .renorm = true,
};
