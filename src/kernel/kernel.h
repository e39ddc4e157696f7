/* Kernels: one table of typed pointers. `ref` fills every slot with plain C, each tier overwrites what it does better;
 * ref is the fallback and the judge in tests.
 *
 * The order of every sum is part of the contract: an output element is accumulated the same way whatever the other
 * rows and tokens of the call are, so a token's result does not depend on its batch. Kernels get checked sizes, return void,
 * never allocate, never log; any length is legal. */
#ifndef WT_KERNEL_KERNEL_H
#define WT_KERNEL_KERNEL_H

#include "tensor/type.h"

typedef enum wt_tier { WT_TIER_REF, WT_TIER_NEON, WT_TIER_AVX2, WT_TIER_AVX512, WT_N_TIER } wt_tier;   /* better ones last */

/* Activations as bytes: 32 values with one scale, value = d q. The sums serve formats whose bytes are not centred; two of them are kept negative,
 * as they are used. */
typedef struct wt_q8 { float d, ds /* d sum */; int32_t nsum /* -sum */; int16_t nhalf[2] /* of q[0..15], q[16..31] */; int8_t q[32]; } wt_q8;

enum { WT_QMUL_PARTS = 2 * 16 * 14 * 64, WT_QMUL_ROWS = 16 * 34 };   /* bytes of scratch: rows taken apart (see rows_q.h), and rows for each of their blocks */

/* y[t*ldy + r] = row r of w times token t of x [n_tok, n_block]; r < n_row, t < n_tok. Rows are row_bytes apart and hold n_block * 32 values; of
 * interleaved types n_row is a multiple of WT_GROUP. next: rows like these that are going to be wanted afterwards, or NULL; a hint. scratch: WT_QMUL_PARTS + n_block * WT_QMUL_ROWS bytes, 64-byte aligned. */
typedef void (*wt_qmul_fn)(float *y, size_t ldy, const void *w, size_t row_bytes, size_t n_row, const wt_q8 *x, size_t n_tok, size_t n_block, const void *next,
                           void *scratch);

/* g = scale grad; m = b1 m + a1 g; v = b2 v + a2 g g; w = keep w - rate m / (sqrt(v) root + eps); grad = 0. */
typedef struct wt_adam { float scale, b1, a1, b2, a2, keep, rate, root, eps; } wt_adam;

/* Products of matrices of floats: C [m, n] = op(A) [m, k] op(B) [k, n], added to C where `add`. Rows lie ldc, lda, ldb values apart; ta: A is stored
 * as [k, m]; tb: B as [n, k]. Any sizes (k 0 gives zeros), any alignment; C overlaps neither. Callers may cut C into pieces, best at multiples of
 * WT_GEMM_ROWS and WT_GEMM_COLS: the sum of an element is the same in every piece (blocks of WT_GEMM_DEEP products each, see ref_gemm.c).
 * scratch: WT_GEMM_SCRATCH floats, 64-byte aligned, one for each worker. */
enum { WT_GEMM_DEEP = 512, WT_GEMM_ROWS = 24, WT_GEMM_COLS = 32, WT_GEMM_SCRATCH = 16 * (WT_GEMM_DEEP + 16) + WT_GEMM_DEEP * 512 };
typedef void (*wt_gemm_fn)(float *c, size_t ldc, const float *a, size_t lda, bool ta, const float *b, size_t ldb, bool tb, size_t m, size_t n, size_t k,
                           bool add, float *scratch);

typedef struct wt_kernels {
    wt_tier tier;                                                                /* set by wt_kernels_init */
    /* Blocks to float: n values, whole blocks. NULL where the type cannot be read. */
    void (*unpack[WT_N_TYPE])(float *dst, const void *src, size_t n);
    /* y[t*ldy + r] = sum_i w[r*ldw + i] * x[t*ldx + i]; r < n_row, t < n_tok, i < n_in. */
    void (*matmul)(float *y, size_t ldy, const float *w, size_t ldw, const float *x, size_t ldx,
                   size_t n_row, size_t n_tok, size_t n_in);
    /* Weights in blocks times activations as bytes; NULL for types that are not in blocks, and for all where exact results are wanted: then
     * blocks are unpacked to float. quantize gives n_block blocks; where an input is not finite, d is NaN. */
    wt_qmul_fn qmul[WT_N_TYPE];
    void (*quantize)(wt_q8 *dst, const float *x, size_t n_block);
    wt_gemm_fn gemm;
    /* Operands rounded to BF16 (to nearest even) first, sums in F32. Never NULL; faster than gemm only where peak_bf16 says so. */
    wt_gemm_fn gemm_bf16;
    float (*dot)(const float *a, const float *b, size_t n);
    void (*axpy)(float *y, float s, const float *x, size_t n);                   /* y += s x */
    void (*add)(float *y, const float *a, const float *b, size_t n);             /* y = a + b */
    void (*mul)(float *y, const float *a, const float *b, size_t n);             /* y = a b */
    void (*scale)(float *y, const float *x, float s, size_t n);                  /* y = s x */
    void (*silu_mul)(float *y, const float *g, const float *u, size_t n);        /* y = g / (1 + exp(-g)) * u */
    void (*softmax)(float *y, const float *x, size_t n);                         /* y may be x; -inf gives 0 */
    /* ---- training ---- */
    /* Of h = silu(g) u and its gradient dh: dg and du get w times their gradients, h (NULL: not wanted) w h; returns sum of h dh, without w.
     * dg may be g, du may be u, h may be dh. */
    float (*silu_mul_back)(float *dg, float *du, float *h, const float *g, const float *u, const float *dh, float w, size_t n);
    void (*add_mul)(float *y, float s, const float *a, const float *b, size_t n);        /* y += s a b */
    void (*keep_bf16)(uint16_t *dst, const float *src, size_t n);                /* as wt_float_to_bf16 */
    /* ---- attention (ref_attn.c says more) ---- */
    /* y[r*ldy + j] = keep[r] * y[r*ldy + j] + sum over i < n[r] of a[r*lda + i] * b[i*ldb + j]; r < n_row, j < width, added in order of i.
     * keep NULL: y is not read. n never falls from row to row. Nothing of a and b behind n[r] is touched for row r. */
    void (*mix)(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const float *b, size_t ldb,
                size_t width);
    /* The same sums, b as F16: faster for few rows, which would not pay for unpacking it. */
    void (*mix_half)(float *y, size_t ldy, const float *keep, const float *a, size_t lda, const int32_t *n, size_t n_row, const uint16_t *b, size_t ldb,
                     size_t width);
    /* One step of a softmax over pieces, for each row: m = max(top, s[0..n)), keep = exp(top - m), s = exp(s - m), sum = keep * sum + sum of s,
     * top = m. Rows are lds apart. */
    void (*soften)(float *s, size_t lds, const int32_t *n, size_t n_row, float *top, float *sum, float *keep);
    /* Rotates pairs: cs [2, half] cosines, then sines. halves: value i with i + half, else 2i with 2i + 1. */
    void (*turn)(float *x, const float *cs, size_t half, bool halves);
    /* n floats as the cache keeps them; values out of range become the largest there are, NaN stays. half: as F16; byte: as n / 32 blocks of Q8_0. */
    void (*keep_half)(uint16_t *dst, const float *src, size_t n);
    void (*keep_byte)(void *dst, const float *src, size_t n);
    /* Blocks of Q8_0 that stand side by side, `many` of them: scales [many], then bytes [32, many]. dst [32, many]; at least the first n of each row. */
    void (*spread_byte)(float *dst, const void *src, size_t many, size_t n);
    /* ---- learning (ref_adam.c) ---- */
    /* One step of Adam on n values; c as in wt_adam. Element by element and without fused products: every tier gives the same bits. */
    void (*adam)(float *w, float *grad, float *m, float *v, size_t n, const wt_adam *c);
    /* What the machine can do at most: reading n bytes (result: their exclusive or, so that it is done), and operations (a product and a
     * sum count two) on floats and on bytes, as many as it returns. For measuring only. */
    uint64_t (*peak_read)(const void *p, size_t n);
    double (*peak_f32)(size_t rounds), (*peak_i8)(size_t rounds);
    double (*peak_bf16)(size_t rounds);   /* NULL: no instructions for it */
} wt_kernels;

bool wt_tier_here(wt_tier t);                                /* whether this CPU and system have it */
wt_tier wt_cpu_tier(void);                                   /* the best that they have */
bool wt_tier_parse(const char *name, wt_tier *t);
const char *wt_tier_name(wt_tier t);
/* The best tier here that is not above limit. exact: without products of bytes, so that blocks are unpacked to float. */
void wt_kernels_init(wt_kernels *k, wt_tier limit, bool exact);

/* For the tiers' own files. */
void wt_kernels_ref(wt_kernels *k);
void wt_kernels_ref_q(wt_kernels *k);
void wt_kernels_ref_attn(wt_kernels *k);
void wt_kernels_ref_adam(wt_kernels *k);
void wt_kernels_ref_gemm(wt_kernels *k);
void wt_kernels_ref_train(wt_kernels *k);
void wt_kernels_avx2_train(wt_kernels *k);
void wt_kernels_avx512_train(wt_kernels *k);
void wt_kernels_neon(wt_kernels *k);
void wt_kernels_neon_q(wt_kernels *k);
void wt_kernels_neon_gemm(wt_kernels *k);
void wt_peaks_neon(wt_kernels *k);
void wt_kernels_neon_dot_q(wt_kernels *k);    /* this and the next need the dot product extension */
void wt_peaks_neon_dot(wt_kernels *k);
void wt_kernels_avx2_attn(wt_kernels *k);
void wt_kernels_avx512_attn(wt_kernels *k);
void wt_kernels_avx2_adam(wt_kernels *k);
void wt_kernels_avx512_adam(wt_kernels *k);
void wt_kernels_avx2(wt_kernels *k);
void wt_kernels_avx2_gemm(wt_kernels *k);
void wt_kernels_avx2_q(wt_kernels *k);
void wt_peaks_avx2(wt_kernels *k);
void wt_kernels_avx512(wt_kernels *k);
void wt_kernels_avx512_gemm(wt_kernels *k);
void wt_peaks_avx512(wt_kernels *k);
void wt_kernels_avx512_q(wt_kernels *k);      /* this and the next need VNNI besides */
void wt_peaks_vnni(wt_kernels *k);
void wt_kernels_avx512_bf16(wt_kernels *k);   /* this and the next need the BF16 instructions besides */
void wt_peaks_bf16(wt_kernels *k);

#endif
