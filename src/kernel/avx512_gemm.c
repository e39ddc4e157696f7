/* The avx512 tier: products of matrices of floats. The body is gemm.h. Compiled twice: with the BF16 instructions operands are rounded to BF16
 * while they are packed, and one instruction adds two products to each sum, the second of a pair first, each addition rounded. Those instructions
 * take denormal operands as zero, and make denormal sums zero, whatever the CPU is set to. */
#include "kernel/kernel.h"

#include <immintrin.h>
#include <string.h>

enum { N_LANE = 16, MOST_ROWS = 14 };
#define LANES 0
#define EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

#define F static inline __attribute__((always_inline))

typedef __m512 vf;
typedef __m512i vw;

F __mmask16 mask_of(size_t n) { return n < 16 ? (__mmask16)((1u << n) - 1) : (__mmask16)0xffff; }

F vf f_zero(void) { return _mm512_setzero_ps(); }
F vf f_load(const float *p) { return _mm512_loadu_ps(p); }
F vf f_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(mask_of(n), p); }
F void f_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
F void f_store_n(float *p, vf v, size_t n) { _mm512_mask_storeu_ps(p, mask_of(n), v); }
F vf f_add(vf a, vf b) { return _mm512_add_ps(a, b); }

F vw w_load(const uint32_t *p) { return _mm512_loadu_si512(p); }
F void w_store(uint32_t *p, vw v) { _mm512_storeu_si512(p, v); }
F vw w_set(uint32_t x) { return _mm512_set1_epi32((int)x); }

/* Pairs of rows, pairs of pairs, then quarters. */
F void w_flip(vw v[16])
{
    vw t[16], u[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4)                    /* u[i + x]: column x of each quarter of rows i..i+3 */
#pragma GCC unroll 2
        for (int x = 0; x < 2; x++) {
            u[i + 2 * x] = _mm512_unpacklo_epi64(t[i + x], t[i + 2 + x]);
            u[i + 2 * x + 1] = _mm512_unpackhi_epi64(t[i + x], t[i + 2 + x]);
        }
#pragma GCC unroll 4
    for (int x = 0; x < 4; x++) {
        vw a = _mm512_shuffle_i32x4(u[x], u[4 + x], 0x88), b = _mm512_shuffle_i32x4(u[x], u[4 + x], 0xdd);         /* quarters 0 and 2; 1 and 3 */
        vw c = _mm512_shuffle_i32x4(u[8 + x], u[12 + x], 0x88), d = _mm512_shuffle_i32x4(u[8 + x], u[12 + x], 0xdd);
        v[x] = _mm512_shuffle_i32x4(a, c, 0x88);
        v[4 + x] = _mm512_shuffle_i32x4(b, d, 0x88);
        v[8 + x] = _mm512_shuffle_i32x4(a, c, 0xdd);
        v[12 + x] = _mm512_shuffle_i32x4(b, d, 0xdd);
    }
}

#ifdef __AVX512BF16__
enum { PAIR = 2 };

F vf w_fma(vw a, vw b, vf sum) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }

F vw w_along(const float *p, size_t n)
{
    vf low = f_load_n(p, n), high = n > 16 ? f_load_n(p + 16, n - 16) : f_zero();
    return (vw)_mm512_cvtne2ps_pbh(high, low);
}

F vw w_across(const float *p, size_t ld, size_t n, size_t k)
{
    const vw beside = _mm512_set_epi32(0x1f000f, 0x1e000e, 0x1d000d, 0x1c000c, 0x1b000b, 0x1a000a, 0x190009, 0x180008,
                                       0x170007, 0x160006, 0x150005, 0x140004, 0x130003, 0x120002, 0x110001, 0x100000);
    vf first = f_load_n(p, n), second = k > 1 ? f_load_n(p + ld, n) : f_zero();
    return _mm512_permutexvar_epi16(beside, (vw)_mm512_cvtne2ps_pbh(second, first));
}
#else
enum { PAIR = 1 };

F vf w_fma(vw a, vw b, vf sum) { return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum); }
F vw w_along(const float *p, size_t n) { return _mm512_castps_si512(f_load_n(p, n)); }
F vw w_across(const float *p, size_t ld, size_t n, size_t k) { (void)ld; (void)k; return _mm512_castps_si512(f_load_n(p, n)); }
#endif

#include "kernel/gemm.h"

#ifdef __AVX512BF16__
void wt_kernels_avx512_bf16(wt_kernels *k) { k->gemm_bf16 = gemm; }
#else
void wt_kernels_avx512_gemm(wt_kernels *k) { k->gemm = gemm; }
#endif
