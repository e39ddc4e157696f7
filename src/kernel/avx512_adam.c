/* Adam, 16 values at a time: the operations of ref_adam.c in their order, none fused. The rest of a row goes through the same instructions in a
 * buffer of its own. */
#include "kernel/kernel.h"

#include <immintrin.h>
#include <string.h>

enum { LANES = 16 };
typedef __m512 vec;

static inline vec all(float x) { return _mm512_set1_ps(x); }
static inline vec mul(vec a, vec b) { return _mm512_mul_ps(a, b); }

static inline void step(float *w, float *grad, float *m, float *v, const wt_adam *c)
{
    vec g = mul(all(c->scale), _mm512_loadu_ps(grad));
    vec m1 = _mm512_add_ps(mul(all(c->b1), _mm512_loadu_ps(m)), mul(all(c->a1), g));
    vec v1 = _mm512_add_ps(mul(all(c->b2), _mm512_loadu_ps(v)), mul(mul(all(c->a2), g), g));
    vec below = _mm512_add_ps(mul(_mm512_sqrt_ps(v1), all(c->root)), all(c->eps));
    _mm512_storeu_ps(m, m1);
    _mm512_storeu_ps(v, v1);
    _mm512_storeu_ps(w, _mm512_sub_ps(mul(all(c->keep), _mm512_loadu_ps(w)), _mm512_div_ps(mul(all(c->rate), m1), below)));
    _mm512_storeu_ps(grad, _mm512_setzero_ps());
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

void wt_kernels_avx512_adam(wt_kernels *k) { k->adam = adam; }
