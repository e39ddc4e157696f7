/* Products of matrices, for the tiers with vectors: one body, included by each tier's file, which defines before it
 *     N_LANE, MOST_ROWS      lanes of a vector; rows of a tile (2 MOST_ROWS sums and a few operands fit the registers)
 *     PAIR                   values of k in one 32-bit word: 1 (F32) or 2 (BF16)
 *     vf                     N_LANE sums
 *     f_zero, f_load, f_store, f_add, f_flip(v)   the last transposes N_LANE vectors in place
 *     f_load_n(p, n), f_store_n(p, v, n)          the first n < N_LANE lanes; others read as zero, are not written, and not touched
 *     w_load, w_store, w_set, w_fma, w_flip       the same on words: type vw; w_fma(a, b, sum) adds a product (PAIR 2: two) to each sum
 *     w_along(p, n)          words of the first n values at p, which follow each other in k; zeros behind them
 *     w_across(p, ld, n, k)  words of n columns at p; the next value of k lies ld further, and there are k of them
 * The order of sums is that of ref_gemm.c.
 *
 * A tile is up to MOST_ROWS rows of C by two vectors. Blocks of k are taken one after the other; of each, strips of B as wide as a tile are packed
 * so that a step of k is two vectors, as many as WT_GEMM_SCRATCH has room for (half of a usual second cache); they stream through the first cache
 * while a few rows of A stay there, packed so that every word of them has a constant place: a copy, whichever way A lies, since its words are
 * broadcast one by one. Rows are shared out evenly among tiles. B needs transposing if it lies as [n, k], and where it has far more columns than A
 * has rows, C^T = B^T A^T is computed instead, whose tiles are transposed when they are done. */

#define INLINE static inline __attribute__((always_inline))

typedef uint32_t word;

enum { WIDE = 2 * N_LANE, DEEP = WT_GEMM_DEEP / PAIR, PITCH = DEEP + 16, ACROSS = 16, MOST_COLS = 512 * PAIR };

_Static_assert(WT_GEMM_DEEP % (PAIR * N_LANE) == 0 && (int)MOST_ROWS <= (int)ACROSS && (int)N_LANE <= (int)ACROSS && MOST_COLS % WIDE == 0, "whole vectors");
_Static_assert(ACROSS * PITCH + DEEP * MOST_COLS <= WT_GEMM_SCRATCH, "room in scratch");

INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* ---- packing ------------------------------------------------------------------------------------------------------------ */

/* o[r * PITCH + p]: word p of row r; k follows itself in memory. */
static void pack_rows(word *o, const float *a, size_t ld, size_t n_row, size_t k)
{
    for (size_t r = 0; r < n_row; r++, a += ld, o += PITCH)
        for (size_t p = 0; p < k; p += PAIR * N_LANE) w_store(o + p / PAIR, w_along(a + p, k - p));
}

/* o[p * pitch + j]: word p of column j; columns follow each other in memory. Whole vectors are written: n columns, then zeros. */
INLINE void pack_across(word *o, const size_t pitch, const float *a, size_t ld, size_t n, size_t k)
{
    for (size_t p = 0; p < k; p += PAIR, a += PAIR * ld, o += pitch)
        for (size_t j = 0; j < n; j += N_LANE) w_store(o + j, w_across(a + j, ld, n - j, k - p));
}

static void pack_columns(word *o, const float *a, size_t ld, size_t n, size_t k) { pack_across(o, ACROSS, a, ld, n, k); }
static void pack_strip(word *o, const float *b, size_t ld, size_t n, size_t k) { pack_across(o, WIDE, b, ld, n, k); }

/* The same strip from columns of which each follows itself in memory, ld apart. */
static void flip_strip(word *o, const float *b, size_t ld, size_t n, size_t k)
{
    for (size_t j = 0; j < n; j += N_LANE)
        for (size_t p = 0; p < k; p += PAIR * N_LANE) {
            vw v[N_LANE];
            size_t here = least(N_LANE, n - j), words = least(N_LANE, (k - p + PAIR - 1) / PAIR);
            for (size_t i = 0; i < N_LANE; i++) v[i] = i < here ? w_along(b + (j + i) * ld + p, k - p) : w_set(0);
            w_flip(v);
            for (size_t i = 0; i < words; i++) w_store(o + (p / PAIR + i) * WIDE + j, v[i]);
        }
}

/* ---- tiles -------------------------------------------------------------------------------------------------------------- */

/* C of R rows and V vectors: a block's products with `words` words of rows of A (word p of row r at a[r * row + p * step]) and of a strip of B
 * (ldb words from one to the next). row, step, R and V are constants. */
INLINE void tile(float *c, size_t ldc, bool add, const word *a, const size_t row, const size_t step, const word *b, size_t ldb, size_t words,
                 const int R, const int V)
{
    vf sum[MOST_ROWS][2];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) {
            sum[r][v] = f_zero();
            __builtin_prefetch(c + (size_t)r * ldc + v * N_LANE, 1);
        }
    for (size_t p = 0; p < words; p++, a += step, b += ldb) {
        vw bv[2];
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) bv[v] = w_load(b + v * N_LANE);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            vw av = w_set(a[(size_t)r * row]);
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) sum[r][v] = w_fma(av, bv[v], sum[r][v]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++, c += ldc)
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) f_store(c + v * N_LANE, add ? f_add(f_load(c + v * N_LANE), sum[r][v]) : sum[r][v]);
}

typedef void (*tile_fn)(float *c, size_t ldc, bool add, const word *a, const word *b, size_t ldb, size_t words);

#define TILE(R) \
    static void rows_##R(float *c, size_t ldc, bool add, const word *a, const word *b, size_t ldb, size_t words) \
    { tile(c, ldc, add, a, PITCH, 1, b, ldb, words, R, 2); } \
    static void half_rows_##R(float *c, size_t ldc, bool add, const word *a, const word *b, size_t ldb, size_t words) \
    { tile(c, ldc, add, a, PITCH, 1, b, ldb, words, R, 1); } \
    static void across_##R(float *c, size_t ldc, bool add, const word *a, const word *b, size_t ldb, size_t words) \
    { tile(c, ldc, add, a, 1, ACROSS, b, ldb, words, R, 2); } \
    static void half_across_##R(float *c, size_t ldc, bool add, const word *a, const word *b, size_t ldb, size_t words) \
    { tile(c, ldc, add, a, 1, ACROSS, b, ldb, words, R, 1); }
EACH_ROWS(TILE)

/* By how A is packed, vectors, and rows. */
#define NAME(R) rows_##R,
#define HALF(R) half_rows_##R,
#define NAME_ACROSS(R) across_##R,
#define HALF_ACROSS(R) half_across_##R,
static const tile_fn tile_of[2][2][MOST_ROWS] = { { { EACH_ROWS(HALF) }, { EACH_ROWS(NAME) } }, { { EACH_ROWS(HALF_ACROSS) }, { EACH_ROWS(NAME_ACROSS) } } };

/* To C, what a tile left at t [n_row, WIDE]; n columns. */
static void put(float *c, size_t ldc, bool add, const float *t, size_t n_row, size_t n)
{
    for (size_t r = 0; r < n_row; r++, c += ldc, t += WIDE)
        for (size_t j = 0; j < n; j += N_LANE) {
            size_t here = n - j;
            vf v = f_load(t + j);
            if (here >= N_LANE) f_store(c + j, add ? f_add(f_load(c + j), v) : v);
            else f_store_n(c + j, add ? f_add(f_load_n(c + j, here), v) : v, here);
        }
}

/* The same where t is a tile of C^T: its n columns are rows of C, its rows columns. */
static void put_flipped(float *c, size_t ldc, bool add, const float *t, size_t n_row, size_t n)
{
    for (size_t r = 0; r < n_row; r += N_LANE)
        for (size_t j = 0; j < n; j += N_LANE) {
            vf v[N_LANE];
            size_t here = n_row - r, rows = least(N_LANE, n - j);
            for (size_t i = 0; i < N_LANE; i++) v[i] = i < here ? f_load(t + (r + i) * WIDE + j) : f_zero();
            f_flip(v);
            for (size_t i = 0; i < rows; i++) {
                float *to = c + (j + i) * ldc + r;
                if (here >= N_LANE) f_store(to, add ? f_add(f_load(to), v[i]) : v[i]);
                else f_store_n(to, add ? f_add(f_load_n(to, here), v[i]) : v[i], here);
            }
        }
}

/* ---- the whole ---------------------------------------------------------------------------------------------------------- */

/* op(X): turned: columns lie ld apart, else rows. */
typedef struct operand { const float *p; size_t ld; bool turned; } operand;

INLINE const float *at(operand x, size_t row, size_t col) { return x.p + (x.turned ? col * x.ld + row : row * x.ld + col); }

/* C, or the matrix whose transpose is wanted. */
typedef struct result { float *p; size_t ld; bool flipped; } result;

typedef struct block { const word *a, *b; size_t ldb, words; bool across, add; } block;

/* One tile: n_row by n at (i, j). */
static void one_tile(result c, const block *k, size_t i, size_t j, size_t n_row, size_t n)
{
    _Alignas(64) float t[MOST_ROWS * WIDE];
    tile_fn fn = tile_of[k->across][n > N_LANE][n_row - 1];
    if (c.flipped) {
        fn(t, WIDE, false, k->a, k->b, k->ldb, k->words);
        put_flipped(c.p + j * c.ld + i, c.ld, k->add, t, n_row, n);
    } else if (n % N_LANE) {
        fn(t, WIDE, false, k->a, k->b, k->ldb, k->words);
        put(c.p + i * c.ld + j, c.ld, k->add, t, n_row, n);
    } else fn(c.p + i * c.ld + j, c.ld, k->add, k->a, k->b, k->ldb, k->words);
}

/* Strips of B for n columns and k values. */
static void pack_strips(word *o, operand b, size_t p, size_t j, size_t n, size_t k)
{
    for (size_t x = 0; x < n; x += WIDE, o += DEEP * WIDE)
        (b.turned ? flip_strip : pack_strip)(o, at(b, p, j + x), b.ld, least(WIDE, n - x), k);
}

/* All rows by n columns at j, for k values at p. */
static void block_of(result c, operand a, operand b, size_t p, size_t j, size_t m, size_t n, size_t k, bool add, word *scratch)
{
    word *pa = scratch, *pb = scratch + ACROSS * PITCH;
    size_t n_panel = (m + MOST_ROWS - 1) / MOST_ROWS, i = 0;
    block at_hand = { .a = pa, .ldb = WIDE, .words = (k + PAIR - 1) / PAIR, .across = a.turned, .add = add };
    pack_strips(pb, b, p, j, n, k);
    for (size_t panel = 0, rows; panel < n_panel; panel++, i += rows) {
        rows = (m - i) / (n_panel - panel);
        (a.turned ? pack_columns : pack_rows)(pa, at(a, i, p), a.ld, rows, k);
        for (size_t x = 0; x < n; x += WIDE) {
            at_hand.b = pb + x * DEEP;
            one_tile(c, &at_hand, i, j + x, rows, least(WIDE, n - x));
        }
    }
}

static void gemm(float *c, size_t ldc, const float *pa, size_t lda, bool ta, const float *pb, size_t ldb, bool tb, size_t m, size_t n, size_t k, bool add,
                 float *scratch)
{
    operand a = { pa, lda, ta }, b = { pb, ldb, tb };
    result out = { c, ldc, tb && (ta || 2 * m <= n) };
    if (out.flipped) {
        a = (operand){ pb, ldb, !tb };
        b = (operand){ pa, lda, !ta };
        size_t other = m;
        m = n;
        n = other;
    }
    if (!k && !add)
        for (size_t i = 0; i < (out.flipped ? n : m); i++) memset(c + i * ldc, 0, (out.flipped ? m : n) * sizeof *c);
    for (size_t j = 0; j < n; j += MOST_COLS)
        for (size_t p = 0; p < k; p += WT_GEMM_DEEP)
            block_of(out, a, b, p, j, m, least(MOST_COLS, n - j), least(WT_GEMM_DEEP, k - p), add || p, (word *)scratch);
}
