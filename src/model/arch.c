/* The families witan knows. A family is data: one file in arch/, one line here. */
#include "model/model.h"

extern const wt_arch wt_arch_llama, wt_arch_olmoe, wt_arch_qwen2, wt_arch_qwen2moe, wt_arch_qwen3, wt_arch_qwen3moe;

const wt_arch *const wt_archs[] = { &wt_arch_llama, &wt_arch_olmoe, &wt_arch_qwen2, &wt_arch_qwen2moe, &wt_arch_qwen3, &wt_arch_qwen3moe, NULL };
