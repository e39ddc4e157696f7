/* The avx2 tier: products of matrices of floats. The body is gemm.h. */
#include "kernel/kernel.h"

#include <immintrin.h>
#include <string.h>

enum { N_LANE = 8, MOST_ROWS = 6, PAIR = 1 };
#define LANES 0
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)

#define F static inline __attribute__((always_inline))

typedef __m256 vf, vw;

F __m256i mask_of(size_t n)                      /* n in 0..7: that many lanes */
{
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i *)(ones + 8 - n));
}

F vf f_zero(void) { return _mm256_setzero_ps(); }
F vf f_load(const float *p) { return _mm256_loadu_ps(p); }
F vf f_load_n(const float *p, size_t n) { return _mm256_maskload_ps(p, mask_of(n)); }
F void f_store(float *p, vf v) { _mm256_storeu_ps(p, v); }
F void f_store_n(float *p, vf v, size_t n) { _mm256_maskstore_ps(p, mask_of(n), v); }
F vf f_add(vf a, vf b) { return _mm256_add_ps(a, b); }

F vw w_load(const uint32_t *p) { return _mm256_loadu_ps((const float *)p); }
F void w_store(uint32_t *p, vw v) { _mm256_storeu_ps((float *)p, v); }
F vw w_set(uint32_t x) { return _mm256_castsi256_ps(_mm256_set1_epi32((int)x)); }
F vf w_fma(vw a, vw b, vf sum) { return _mm256_fmadd_ps(a, b, sum); }
F vw w_along(const float *p, size_t n) { return n < 8 ? f_load_n(p, n) : f_load(p); }
F vw w_across(const float *p, size_t ld, size_t n, size_t k) { (void)ld; (void)k; return n < 8 ? f_load_n(p, n) : f_load(p); }

/* Pairs of rows, pairs of pairs, then halves. */
F void w_flip(vw v[8])
{
    vf t[8], u[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4)                     /* u[i + x]: column x of each half of rows i..i+3 */
#pragma GCC unroll 2
        for (int x = 0; x < 2; x++) {
            u[i + 2 * x] = _mm256_shuffle_ps(t[i + x], t[i + 2 + x], 0x44);
            u[i + 2 * x + 1] = _mm256_shuffle_ps(t[i + x], t[i + 2 + x], 0xee);
        }
#pragma GCC unroll 4
    for (int x = 0; x < 4; x++) {
        v[x] = _mm256_permute2f128_ps(u[x], u[4 + x], 0x20);
        v[4 + x] = _mm256_permute2f128_ps(u[x], u[4 + x], 0x31);
    }
}

#include "kernel/gemm.h"

void wt_kernels_avx2_gemm(wt_kernels *k) { k->gemm = gemm; }
