/* Qwen3 (arXiv 2505.09388), dense: norms on q and k within each head. */
#include "model/model.h"

const wt_arch wt_arch_qwen3 = {
    .name = "qwen3", .title = "Qwen3",
    .qk_norm = WT_QK_HEAD, .rope = WT_ROPE_HALVES, .rope_base = 1000000,
    .experts = WT_NEVER,
};
