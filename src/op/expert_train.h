/* The expert op in training; part of wt_op_experts. */
#ifndef WT_OP_EXPERT_TRAIN_H
#define WT_OP_EXPERT_TRAIN_H

#include "op/expert.h"

/* As wt_op_experts, whose *out is there and whose route is grouped. Experts are F32 and stay where they are until backward. */
wt_status wt_experts_train(wt_run *r, const wt_expert_source *src, wt_route *rt, wt_tensor *x, bool watched, wt_tensor **out, const float **pair_y);

#endif
