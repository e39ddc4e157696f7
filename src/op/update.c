/* The step of Adam that AdamW is made of and that other rules use for what they do not handle themselves. */
#include "op/update.h"

#include "base/thread.h"
#include <math.h>

enum { GRAIN = 1 << 14 };

typedef struct job { const wt_kernels *k; const wt_update *u; wt_adam c; } job;

static void some(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    const wt_update *u = j->u;
    (void)worker;
    j->k->adam(u->w + begin, u->grad + begin, u->state + begin, u->state + u->n + begin, end - begin, &j->c);
}

void wt_adam_step(wt_run *r, const wt_adam_rule *a, const wt_update *u)
{
    double t = (double)u->step, decay = u->decays ? a->decay : 0;
    job j = { r->k, u, { .scale = (float)u->scale, .b1 = (float)a->beta1, .a1 = (float)(1 - a->beta1), .b2 = (float)a->beta2, .a2 = (float)(1 - a->beta2),
                         .keep = (float)(1 - a->lr * decay), .rate = (float)(a->lr / (1 - pow(a->beta1, t))), .root = (float)(1 / sqrt(1 - pow(a->beta2, t))),
                         .eps = (float)a->eps } };
    wt_parallel(r->cx, u->n, GRAIN, some, &j);
}
