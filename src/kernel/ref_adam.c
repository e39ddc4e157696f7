/* Adam in plain C: the definition that the other tiers reproduce to the last bit. */
#include "kernel/kernel.h"

#include <math.h>

static void adam(float *w, float *grad, float *m, float *v, size_t n, const wt_adam *c)
{
    for (size_t i = 0; i < n; i++) {
        float g = c->scale * grad[i];
        m[i] = c->b1 * m[i] + c->a1 * g;
        v[i] = c->b2 * v[i] + c->a2 * g * g;
        w[i] = c->keep * w[i] - c->rate * m[i] / (sqrtf(v[i]) * c->root + c->eps);
        grad[i] = 0;
    }
}

void wt_kernels_ref_adam(wt_kernels *k) { k->adam = adam; }
