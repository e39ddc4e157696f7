/* Llama (arXiv 2302.13971, 2407.21783) and, with experts, Mixtral (arXiv 2401.04088): rope on consecutive pairs; softmax over all experts, top-k,
 * weights divided by their sum (the same as a softmax over the chosen). */
#include "model/model.h"

const wt_arch wt_arch_llama = {
    .name = "llama", .title = "Llama and Mixtral",
    .qk_norm = WT_QK_NONE, .rope = WT_ROPE_PAIRS, .rope_base = 10000,
    .experts = WT_MAYBE, .activation = WT_ACT_SOFTMAX, .renorm = true,
};
