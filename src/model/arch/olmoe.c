/* OLMoE (arXiv 2409.02060): norms on q and k over the whole width; softmax over all experts, top-k, weights as they are. */
#include "model/model.h"

const wt_arch wt_arch_olmoe = {
    .name = "olmoe", .title = "OLMoE",
    .qk_norm = WT_QK_FULL, .rope = WT_ROPE_HALVES, .rope_base = 10000,
    .experts = WT_ALWAYS, .activation = WT_ACT_SOFTMAX, .renorm = false,
};
