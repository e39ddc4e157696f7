/* Adam, 8 values at a time: the operations of ref_adam.c in their order, none fused. The rest of a row goes through the same instructions in a
 * buffer of its own. */
#include "kernel/kernel.h"

#include <immintrin.h>
#include <string.h>

enum { LANES = 8 };
typedef __m256 vec;

static inline vec all(float x) { return _mm256_set1_ps(x); }
static inline vec mul(vec a, vec b) { return _mm256_mul_ps(a, b); }

static inline void step(float *w, float *grad, float *m, float *v, const wt_adam *c)
{
    vec g = mul(all(c->scale), _mm256_loadu_ps(grad));
    vec m1 = _mm256_add_ps(mul(all(c->b1), _mm256_loadu_ps(m)), mul(all(c->a1), g));
    vec v1 = _mm256_add_ps(mul(all(c->b2), _mm256_loadu_ps(v)), mul(mul(all(c->a2), g), g));
    vec below = _mm256_add_ps(mul(_mm256_sqrt_ps(v1), all(c->root)), all(c->eps));
    _mm256_storeu_ps(m, m1);
    _mm256_storeu_ps(v, v1);
    _mm256_storeu_ps(w, _mm256_sub_ps(mul(all(c->keep), _mm256_loadu_ps(w)), _mm256_div_ps(mul(all(c->rate), m1), below)));
    _mm256_storeu_ps(grad, _mm256_setzero_ps());
}

static void adam(float *w, float *grad, float *m, float *v, size_t n, const wt_adam *c)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) step(w + i, grad + i, m + i, v + i, c);
    if (i == n) return;
    float rest[4][LANES] = { { 0 } };
    float *const at[4] = { w + i, grad + i, m + i, v + i };
    for (int j = 0; j < 4; j++) memcpy(rest[j], at[j], (n - i) * sizeof(float));
    step(rest[0], rest[1], rest[2], rest[3], c);
    for (int j = 0; j < 4; j++) memcpy(at[j], rest[j], (n - i) * sizeof(float));
}

void wt_kernels_avx2_adam(wt_kernels *k) { k->adam = adam; }
