/* AdamW: Adam's step, divided by the running size of each gradient, and a decay of the weights that does not pass through it. Decay is for
 * matrices only: norms and biases keep theirs, as in nearly all recipes for language models. Defaults of beta2, 0.95, and decay, 0.1, are theirs too;
 * the paper leaves the decay to the task. One pass reads weight, gradient and both moments once. */
#include "op/update.h"

typedef struct opts { double beta1, beta2, eps, decay; bool decay_all; } opts;

static const wt_param param[] = {
    WT_NUM(opts, beta1, 0.9,  0, 0.9999,   "how much of the running mean of gradients stays"),
    WT_NUM(opts, beta2, 0.95, 0, 0.999999, "how much of the running mean of their squares stays"),
    WT_NUM(opts, eps,   1e-8, 1e-15, 1,    "added to the root, so that nothing is divided by zero"),
    WT_NUM(opts, decay, 0.1,  0, 10,       "weight decay per step, times the learning rate"),
    WT_FLAG(opts, decay_all,               "decay norms and biases too"),
    { 0 }
};

static size_t state(const void *opt, const wt_update *u)
{
    (void)opt;
    return 2 * u->n;
}

static wt_status step(wt_run *r, const void *opt, const wt_update *given)
{
    const opts *o = opt;
    wt_update u = *given;
    u.decays |= o->decay_all;
    wt_adam_step(r, &(wt_adam_rule){ o->beta1, o->beta2, o->eps, o->decay, u.lr }, &u);
    return WITAN_OK;
}

const wt_method wt_optim_adamw = {
    .name = "adamw", .kind = WT_KIND_OPTIM,
    .title = "AdamW",
    .about = "Steps scaled by running means of gradients and their squares; weight decay apart from them.",
    .cite = { "Decoupled Weight Decay Regularization", "Loshchilov and Hutter", "arXiv:1711.05101", 2017, "algorithm 2, AdamW, with the schedule outside" },
    .param = param, .opt_size = sizeof(opts),
    .ops = &(const wt_optim_ops){ .state = state, .step = step },
};
