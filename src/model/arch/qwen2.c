/* Qwen2 (arXiv 2407.10671), dense: biases on q, k and v. */
#include "model/model.h"

const wt_arch wt_arch_qwen2 = {
    .name = "qwen2", .title = "Qwen2",
    .qk_norm = WT_QK_NONE, .rope = WT_ROPE_HALVES, .rope_base = 1000000,
    .bias = true, .experts = WT_NEVER,
};
