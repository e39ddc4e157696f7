/* Products of matrices, for the tiers with vectors: one body, included by each tier's file, which defines before it
 *     N_LANE, MOST_ROWS      lanes of a vector; rows of a tile (2 MOST_ROWS sums and a few operands fit the registers)
 *     PAIR                   values of k in one 32-bit word: 1 (F32) or 2 (BF16)
 *     vf                     N_LANE sums
 *     f_zero, f_load, f_store, f_add
 *     f_load_n(p, n), f_store_n(p, v, n)          the first n < N_LANE lanes; others read as zero, are not written, and not touched
 *     w_load, w_store, w_set, w_fma   on vectors of words, vw; w_fma(a, b, sum) adds a product (PAIR 2: two) to each sum
 *     w_flip(v)              transposes N_LANE vectors in place
 *     LANES                  1: words of A are best loaded by the vector, and w_fma_lane(a, lane, b, sum) takes one of them (lane is a constant)
 *     w_along(p, n)          words of the first n values at p, which follow each other in k; zeros behind them
 *     w_across(p, ld, n, k)  words of n columns at p; the next value of k lies ld further, and there are k of them
 * The order of sums is that of ref_gemm.c.
 *
 * A tile is up to MOST_ROWS rows of C by two vectors. Blocks of k are taken one after the other; of each, strips of B as wide as a tile are packed
 * so that a step of k is two vectors, as many as WT_GEMM_SCRATCH has room for. They stay in the second cache, from where they stream past the few
 * rows of A that stay in the first, packed so that every word of them has a constant place: that is a copy, whichever way A lies, where its words
 * are broadcast one by one. A B that lies as [n, k] needs transposing. Rows are shared out evenly among tiles: 64 are 5 tiles of 13 or 12,
 * not 4 of 14 and one of 8. Tiles at the right edge that end within a vector go through a whole tile beside C. */

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef uint32_t word;

enum { WIDE = 2 * N_LANE, DEEP = WT_GEMM_DEEP / PAIR, PITCH = DEEP + 16, ACROSS = 16, MOST_COLS = 512 * PAIR };
/* Word p of row r of A is packed at r * ROW + p * STEP if k follows itself in memory, else always at r + p * ACROSS. */
enum { ROW = LANES ? 1 : PITCH, STEP = LANES ? ACROSS : 1 };

_Static_assert(WT_GEMM_DEEP % (PAIR * N_LANE) == 0 && (int)MOST_ROWS <= (int)ACROSS && (int)N_LANE <= (int)ACROSS && MOST_COLS % WIDE == 0, "whole vectors");
_Static_assert(ACROSS * PITCH + DEEP * MOST_COLS <= WT_GEMM_SCRATCH, "room in scratch");

INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* ---- packing ------------------------------------------------------------------------------------------------------------ */

/* Asks for what is wanted soon, `by` values further on; it need not exist. Caches follow no other pattern than memory in order by themselves. */
INLINE void ask(const float *p, size_t by) { __builtin_prefetch((const void *)((uintptr_t)p + by * sizeof *p)); }

/* o[r * PITCH + p]: word p of row r; k follows itself in memory. */
INLINE void copy_rows(word *o, const float *a, size_t ld, size_t n_row, size_t k)
{
    for (size_t r = 0; r < n_row; r++, a += ld, o += PITCH)
        for (size_t p = 0; p < k; p += PAIR * N_LANE) w_store(o + p / PAIR, w_along(a + p, k - p));
}

/* o[p * pitch + j]: word p of column j; columns follow each other in memory. Whole vectors are written: n columns, then zeros. */
INLINE void pack_across(word *o, const size_t pitch, const float *a, size_t ld, size_t n, size_t k)
{
    for (size_t p = 0; p < k; p += PAIR, a += PAIR * ld, o += pitch) {
        ask(a, 4 * PAIR * ld);
        ask(a, n);                                   /* the next columns: usually the next call's */
        for (size_t j = 0; j < n; j += N_LANE) w_store(o + j, w_across(a + j, ld, n - j, k - p));
    }
}

/* The same from columns of which each follows itself in memory, ld apart. */
INLINE void pack_flipped(word *o, const size_t pitch, const float *b, size_t ld, size_t n, size_t k)
{
    for (size_t j = 0; j < n; j += N_LANE)
        for (size_t p = 0; p < k; p += PAIR * N_LANE) {
            vw v[N_LANE];
            size_t here = least(N_LANE, n - j), words = least(N_LANE, (k - p + PAIR - 1) / PAIR);
            for (size_t i = 0; i < N_LANE; i++) {
                v[i] = i < here ? w_along(b + (j + i) * ld + p, k - p) : w_set(0);
                ask(b + p, (j + i) * ld + 64);
            }
            w_flip(v);
            for (size_t i = 0; i < words; i++) w_store(o + (p / PAIR + i) * pitch + j, v[i]);
        }
}

static void pack_rows(word *o, const float *a, size_t ld, size_t n, size_t k)
{
    if (LANES) pack_flipped(o, ACROSS, a, ld, n, k);
    else copy_rows(o, a, ld, n, k);
}

static void pack_columns(word *o, const float *a, size_t ld, size_t n, size_t k) { pack_across(o, ACROSS, a, ld, n, k); }
static void pack_strip(word *o, const float *b, size_t ld, size_t n, size_t k) { pack_across(o, WIDE, b, ld, n, k); }
static void flip_strip(word *o, const float *b, size_t ld, size_t n, size_t k) { pack_flipped(o, WIDE, b, ld, n, k); }

/* ---- tiles -------------------------------------------------------------------------------------------------------------- */

/* C of R rows and V vectors: a block's products with `words` words of rows of A (word p of row r at a[r * row + p * step]) and of a strip of B.
 * row (1 where LANES), step, R and V are constants. */
INLINE void tile(float *c, size_t ldc, bool add, const word *a, const size_t row, const size_t step, const word *b, size_t words,
                 const int R, const int V)
{
    vf sum[MOST_ROWS][2];
    (void)row;
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++) {
            sum[r][v] = f_zero();
            __builtin_prefetch(c + (size_t)r * ldc + v * N_LANE, 1);
        }
    for (size_t p = 0; p < words; p++, a += step, b += WIDE) {
        vw av, bv[2];
        UNROLL for (int v = 0; v < V; v++) bv[v] = w_load(b + v * N_LANE);
        UNROLL for (int r = 0; r < R; r++) {
#if LANES
            if (r % N_LANE == 0) av = w_load(a + r);
            UNROLL for (int v = 0; v < V; v++) sum[r][v] = w_fma_lane(av, r % N_LANE, bv[v], sum[r][v]);
#else
            av = w_set(a[(size_t)r * row]);
            UNROLL for (int v = 0; v < V; v++) sum[r][v] = w_fma(av, bv[v], sum[r][v]);
#endif
        }
    }
    UNROLL for (int r = 0; r < R; r++, c += ldc)
        UNROLL for (int v = 0; v < V; v++) f_store(c + v * N_LANE, add ? f_add(f_load(c + v * N_LANE), sum[r][v]) : sum[r][v]);
}

typedef void (*tile_fn)(float *c, size_t ldc, bool add, const word *a, const word *b, size_t words);

#define TILE(R) \
    static void rows_##R(float *c, size_t ldc, bool add, const word *a, const word *b, size_t words) \
    { tile(c, ldc, add, a, ROW, STEP, b, words, R, 2); } \
    static void half_rows_##R(float *c, size_t ldc, bool add, const word *a, const word *b, size_t words) \
    { tile(c, ldc, add, a, ROW, STEP, b, words, R, 1); } \
    static void across_##R(float *c, size_t ldc, bool add, const word *a, const word *b, size_t words) \
    { tile(c, ldc, add, a, 1, ACROSS, b, words, R, 2); } \
    static void half_across_##R(float *c, size_t ldc, bool add, const word *a, const word *b, size_t words) \
    { tile(c, ldc, add, a, 1, ACROSS, b, words, R, 1); }
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

/* ---- the whole ---------------------------------------------------------------------------------------------------------- */

/* op(X): turned: columns lie ld apart, else rows. */
typedef struct operand { const float *p; size_t ld; bool turned; } operand;

INLINE const float *at(operand x, size_t row, size_t col) { return x.p + (x.turned ? col * x.ld + row : row * x.ld + col); }

typedef struct result { float *p; size_t ld; bool add; } result;
typedef struct block { const word *a, *b; size_t words; bool across; } block;

/* One tile: n_row by n at c. */
static void one_tile(result c, const block *k, size_t n_row, size_t n)
{
    _Alignas(64) float t[MOST_ROWS * WIDE];
    tile_fn fn = tile_of[k->across][n > N_LANE][n_row - 1];
    if (n % N_LANE) {
        fn(t, WIDE, false, k->a, k->b, k->words);
        put(c.p, c.ld, c.add, t, n_row, n);
    } else fn(c.p, c.ld, c.add, k->a, k->b, k->words);
}

/* All m rows by n columns, for k values. */
static void one_block(result c, operand a, operand b, size_t m, size_t n, size_t k, word *scratch)
{
    word *pa = scratch, *pb = scratch + ACROSS * PITCH;
    size_t n_panel = (m + MOST_ROWS - 1) / MOST_ROWS, i = 0;
    for (size_t panel = 0, rows; panel < n_panel; panel++, i += rows) {
        rows = (m - i) / (n_panel - panel);
        (a.turned ? pack_columns : pack_rows)(pa, at(a, i, 0), a.ld, rows, k);
        for (size_t j = 0; j < n; j += WIDE) {
            size_t wide = least(WIDE, n - j);
            block here = { pa, pb + j * DEEP, (k + PAIR - 1) / PAIR, a.turned };
            if (panel == 0) (b.turned ? flip_strip : pack_strip)(pb + j * DEEP, at(b, 0, j), b.ld, wide, k);      /* so that its first use finds it near */
            one_tile((result){ c.p + i * c.ld + j, c.ld, c.add }, &here, rows, wide);
        }
    }
}

static void gemm(float *c, size_t ldc, const float *pa, size_t lda, bool ta, const float *pb, size_t ldb, bool tb, size_t m, size_t n, size_t k, bool add,
                 float *scratch)
{
    operand a = { pa, lda, ta }, b = { pb, ldb, tb };
    if (!k && !add)
        for (size_t i = 0; i < m; i++) memset(c + i * ldc, 0, n * sizeof *c);
    for (size_t j = 0; j < n; j += MOST_COLS)
        for (size_t p = 0; p < k; p += WT_GEMM_DEEP)
            one_block((result){ c + j, ldc, add || p }, (operand){ at(a, 0, p), lda, ta }, (operand){ at(b, p, j), ldb, tb }, m, least(MOST_COLS, n - j),
                      least(WT_GEMM_DEEP, k - p), (word *)scratch);
}
