/* The ref tier: products of matrices of floats, as training needs them. This is the definition of their sums.
 *
 * k is walked in blocks of WT_GEMM_DEEP from the first to the last. The products of a block are added from the first to the last, starting from
 * zero; the block's sum is then added to what C holds (the first one replaces it where nothing is to be added). An element's bits therefore
 * depend on its row of A and its column of B alone, and C may be computed in any pieces. Here a product is rounded before it is added; the tiers
 * with vectors fuse both (one rounding), and all of those give the same bits. */
#include "kernel/kernel.h"

#include <math.h>
#include <string.h>

enum { STRIP = 64 };             /* columns whose sums run side by side */

/* An operand as op(X): element (i, j) is p[i * row + j * col]. */
typedef struct view { const float *p; size_t row, col; } view;

static view view_of(const float *p, size_t ld, bool transposed) { return transposed ? (view){ p, 1, ld } : (view){ p, ld, 1 }; }

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static void clear(float *c, size_t ldc, size_t m, size_t n)
{
    for (size_t i = 0; i < m; i++) memset(c + i * ldc, 0, n * sizeof *c);
}

/* One row of a block and one strip of columns: what k products give. */
static void row_f32(float *sum, const float *a, size_t step, view b, size_t n, size_t k)
{
    for (size_t p = 0; p < k; p++)
        for (size_t j = 0; j < n; j++) sum[j] += a[p * step] * b.p[p * b.row + j * b.col];
}

/* Rounded to the nearest BF16, ties to even; NaN stays. */
static float to_bfloat(float x)
{
    uint32_t u;
    if (isnan(x)) return x;
    memcpy(&u, &x, 4);
    u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000;
    memcpy(&x, &u, 4);
    return x;
}

/* The same with operands rounded to BF16. Of each pair of products the second is added first, as the instructions do; a last one alone is a
 * pair with zero. Products of BF16 are exact. */
static void row_bf16(float *sum, const float *a, size_t step, view b, size_t n, size_t k)
{
    for (size_t p = 0; p < k; p += 2)
        for (size_t q = least(p + 2, k); q-- > p;)
            for (size_t j = 0; j < n; j++) sum[j] += to_bfloat(a[q * step]) * to_bfloat(b.p[q * b.row + j * b.col]);
}

typedef void (*row_fn)(float *sum, const float *a, size_t step, view b, size_t n, size_t k);

static void product(row_fn row, float *c, size_t ldc, view a, view b, size_t m, size_t n, size_t k, bool add)
{
    if (!k && !add) clear(c, ldc, m, n);
    for (size_t p = 0; p < k; p += WT_GEMM_DEEP)
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j += STRIP) {
                float sum[STRIP] = { 0 }, *to = c + i * ldc + j;
                size_t wide = least(STRIP, n - j);
                row(sum, a.p + i * a.row + p * a.col, a.col, (view){ b.p + p * b.row + j * b.col, b.row, b.col }, wide, least(WT_GEMM_DEEP, k - p));
                for (size_t x = 0; x < wide; x++) to[x] = add || p ? to[x] + sum[x] : sum[x];
            }
}

static void gemm(float *c, size_t ldc, const float *a, size_t lda, bool ta, const float *b, size_t ldb, bool tb, size_t m, size_t n, size_t k, bool add,
                 float *scratch)
{
    (void)scratch;
    product(row_f32, c, ldc, view_of(a, lda, ta), view_of(b, ldb, tb), m, n, k, add);
}

static void gemm_bf16(float *c, size_t ldc, const float *a, size_t lda, bool ta, const float *b, size_t ldb, bool tb, size_t m, size_t n, size_t k,
                      bool add, float *scratch)
{
    (void)scratch;
    product(row_bf16, c, ldc, view_of(a, lda, ta), view_of(b, ldb, tb), m, n, k, add);
}

void wt_kernels_ref_gemm(wt_kernels *k)
{
    k->gemm = gemm;
    k->gemm_bf16 = gemm_bf16;
}
