/* What backward passes share: products of matrices side by side, and sums over rows. */
#include "op/tape.h"

#include "base/thread.h"
#include <string.h>

/* ---- products ------------------------------------------------------------------------------------------------------------ */

typedef struct products { wt_gemm_fn fn; const wt_gemm *g; const size_t *task; size_t n, rows, cols; float *scratch; } products;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t pieces(size_t n, size_t each) { return (n + each - 1) / each; }

static const float *corner(const float *p, size_t ld, bool stepped, size_t at) { return p + (stepped ? at * ld : at); }

static void tile(const products *j, const wt_gemm *g, size_t i, float *scratch)
{
    size_t wide = pieces(g->n, j->cols), row = i / wide * j->rows, col = i % wide * j->cols;
    size_t m = least(j->rows, g->m - row), n = least(j->cols, g->n - col);
    float *c = g->c + row * g->ldc + col;
    j->fn(c, g->ldc, corner(g->a, g->lda, !g->ta, row), g->lda, g->ta, corner(g->b, g->ldb, g->tb, col), g->ldb, g->tb, m, n, g->k, g->add, scratch);
    if (!g->a2) return;
    j->fn(c, g->ldc, corner(g->a2, g->lda, !g->ta, row), g->lda, g->ta, corner(g->b2, g->ldb, g->tb, col), g->ldb, g->tb, m, n, g->k, true, scratch);
}

static void tiles(void *arg, size_t begin, size_t end, int worker)
{
    const products *j = arg;
    float *scratch = j->scratch + (size_t)worker * WT_GEMM_SCRATCH;
    size_t lo = 0, hi = j->n;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (j->task[mid] <= begin) lo = mid; else hi = mid;
    }
    for (size_t i = begin; i < end; i++) {
        while (i >= j->task[lo + 1]) lo++;
        tile(j, j->g + lo, i - j->task[lo], scratch);
    }
}

static size_t lay_out(const wt_gemm *g, size_t n, size_t rows, size_t cols, size_t *task)
{
    task[0] = 0;
    for (size_t i = 0; i < n; i++) task[i + 1] = task[i] + pieces(g[i].m, rows) * pieces(g[i].n, cols);
    return task[n];
}

wt_status wt_gemm_run(wt_run *r, const wt_gemm *g, size_t n)
{
    static const struct { size_t rows, cols; } size[] = { { 768, 512 }, { 384, 512 }, { 384, 256 }, { 192, 256 }, { 192, 128 }, { 96, 128 }, { 96, 64 },
                                                          { 48, 64 }, { 24, 32 } };
    size_t threads = (size_t)r->cx->threads;
    wt_mark mark = wt_mark_set(r->a);
    size_t *task = wt_take_n(r->a, n + 1, sizeof *task), total = 0;
    products j = { wt_gemm_of(r), g, task, n, 0, 0, wt_take_n(r->a, (size_t)r->cx->threads, WT_GEMM_SCRATCH * sizeof(float)) };
    if (!task || !j.scratch) return WITAN_ENOMEM;
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {     /* the largest pieces that keep all threads busy */
        j.rows = size[i].rows;
        j.cols = size[i].cols;
        total = lay_out(g, n, j.rows, j.cols, task);
        if (10 * total >= 9 * threads * pieces(total, threads)) break;          /* the last round is nearly full */
    }
    if (total) wt_parallel(r->cx, total, 1, tiles, &j);
    wt_rewind(r->a, mark);
    return WITAN_OK;
}

/* ---- sums over rows ------------------------------------------------------------------------------------------------------ */

enum { SUMS = 64 /* side by side */ };

typedef struct sums { wt_sum_fn row; void *arg; float *part; size_t width, n_row, each; } sums;

static void some_sums(void *arg, size_t begin, size_t end, int worker)
{
    const sums *j = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        float *sum = j->part + i * j->width;
        memset(sum, 0, j->width * sizeof *sum);
        for (size_t t = i * j->each; t < least((i + 1) * j->each, j->n_row); t++) j->row(j->arg, t, sum);
    }
}

wt_status wt_sum_rows(wt_run *r, float *dst, size_t width, size_t n_row, wt_sum_fn row, void *arg)
{
    wt_mark mark = wt_mark_set(r->a);
    sums j = { row, arg, NULL, width, n_row, pieces(n_row, SUMS) };
    if (!n_row) return WITAN_OK;
    size_t n = pieces(n_row, j.each);
    j.part = wt_take_n(r->a, n * width, sizeof *j.part);
    if (!j.part) return WITAN_ENOMEM;
    wt_parallel(r->cx, n, 8192 / (j.each * width) + 1, some_sums, &j);
    for (size_t i = 0; i < n; i++) r->k->add(dst, dst, j.part + i * width, width);
    wt_rewind(r->a, mark);
    return WITAN_OK;
}
