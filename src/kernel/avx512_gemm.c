/* The avx512 tier: products of matrices of floats. The body is gemm.h. */
#include "kernel/kernel.h"

#include <immintrin.h>
#include <string.h>

enum { N_LANE = 16, MOST_ROWS = 14, PAIR = 1 };
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

#define F static inline __attribute__((always_inline))

typedef __m512 vf, vw;

F __mmask16 mask_of(size_t n) { return n < 16 ? (__mmask16)((1u << n) - 1) : (__mmask16)0xffff; }

F vf f_zero(void) { return _mm512_setzero_ps(); }
F vf f_load(const float *p) { return _mm512_loadu_ps(p); }
F vf f_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(mask_of(n), p); }
F void f_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
F void f_store_n(float *p, vf v, size_t n) { _mm512_mask_storeu_ps(p, mask_of(n), v); }
F vf f_add(vf a, vf b) { return _mm512_add_ps(a, b); }

/* Pairs of rows, pairs of pairs, then quarters: 64 shuffles. */
F void f_flip(vf v[16])
{
    __m512d t[16];
    vf u[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_castps_pd(_mm512_unpacklo_ps(v[i], v[i + 1]));
        t[i + 1] = _mm512_castps_pd(_mm512_unpackhi_ps(v[i], v[i + 1]));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4)                    /* u[i + x]: column x of each quarter of rows i..i+3 */
#pragma GCC unroll 2
        for (int x = 0; x < 2; x++) {
            u[i + 2 * x] = _mm512_castpd_ps(_mm512_unpacklo_pd(t[i + x], t[i + 2 + x]));
            u[i + 2 * x + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(t[i + x], t[i + 2 + x]));
        }
#pragma GCC unroll 4
    for (int x = 0; x < 4; x++) {
        vf a = _mm512_shuffle_f32x4(u[x], u[4 + x], 0x88), b = _mm512_shuffle_f32x4(u[x], u[4 + x], 0xdd);         /* quarters 0 and 2; 1 and 3 */
        vf c = _mm512_shuffle_f32x4(u[8 + x], u[12 + x], 0x88), d = _mm512_shuffle_f32x4(u[8 + x], u[12 + x], 0xdd);
        v[x] = _mm512_shuffle_f32x4(a, c, 0x88);
        v[4 + x] = _mm512_shuffle_f32x4(b, d, 0x88);
        v[8 + x] = _mm512_shuffle_f32x4(a, c, 0xdd);
        v[12 + x] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
}

F vw w_load(const uint32_t *p) { return _mm512_loadu_ps(p); }
F void w_store(uint32_t *p, vw v) { _mm512_storeu_ps(p, v); }
F vw w_set(uint32_t x) { return _mm512_castsi512_ps(_mm512_set1_epi32((int)x)); }
F vf w_fma(vw a, vw b, vf sum) { return _mm512_fmadd_ps(a, b, sum); }
F void w_flip(vw v[16]) { f_flip(v); }
F vw w_along(const float *p, size_t n) { return _mm512_maskz_loadu_ps(mask_of(n), p); }
F vw w_across(const float *p, size_t ld, size_t n, size_t k) { (void)ld; (void)k; return _mm512_maskz_loadu_ps(mask_of(n), p); }

#include "kernel/gemm.h"

void wt_kernels_avx512_gemm(wt_kernels *k) { k->gemm = gemm; }
