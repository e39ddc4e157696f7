/* Products of weights in blocks with activations as bytes, beside what the machine can do at most:
 *     build/kernels [THREADS [TYPE ...]]
 * For every block type, plain and interleaved: reading weights that lie in memory, for one token, and computing with weights that lie in the cache,
 * for many. Shares are of the machine's own reading and byte arithmetic, measured in between. Best of several rounds, as for the limits. */
#include "base/thread.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_IN = 2048, ROWS_HOT = 64, MOST_TOK = 96, ROUNDS = 15, MOST_THREADS = 64 };
static const size_t COLD = (size_t)1 << 28;      /* bytes of weights: far more than any cache */

typedef struct bench {
    wt_ctx *cx;
    wt_kernels k;
    uint32_t type;
    size_t row_bytes, n_tok;
    uint8_t *cold;               /* [COLD] */
    wt_q8 *x;                    /* [MOST_TOK, N_IN / 32] */
    float *y; size_t ld;         /* [worker][n_tok, ld] */
    uint8_t *scratch;            /* [worker] */
    size_t again;                /* hot: passes over the same rows */
} bench;

static void product(const bench *b, size_t row, size_t n_row, int worker)
{
    b->k.qmul[b->type](b->y + (size_t)worker * MOST_TOK * b->ld, b->ld, b->cold + row * b->row_bytes, b->row_bytes, n_row, b->x, b->n_tok, N_IN / 32, NULL,
                       b->scratch + (size_t)worker * (WT_QMUL_PARTS + (N_IN / 32) * WT_QMUL_ROWS));
}

static void read_rows(void *arg, size_t begin, size_t end, int worker)
{
    for (size_t i = begin; i < end; i++) product(arg, i * ROWS_HOT, ROWS_HOT, worker);
}

static void same_rows(void *arg, size_t begin, size_t end, int worker)
{
    const bench *b = arg;
    for (size_t i = begin; i < end; i++)
        for (size_t n = 0; n < b->again; n++) product(b, (size_t)worker * ROWS_HOT, ROWS_HOT, worker);
}

/* Values for one token a second: bytes of weights, and operations. */
static double seconds(const bench *b, size_t n, wt_range_fn fn)
{
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double start = wt_now();
        wt_parallel(b->cx, n, 1, fn, (void *)(uintptr_t)b);
        double t = wt_now() - start;
        if (t < best) best = t;
    }
    return best;
}

static void type_row(bench *b, uint32_t type)
{
    static const size_t many[] = { 1, 2, 4, 8, 32, MOST_TOK };
    const double threads = b->cx->threads;
    witan_machine m;
    b->type = type;
    if (!wt_row_bytes(type, N_IN, &b->row_bytes)) return;
    if (witan_machine_measure(b->cx, &m) != WITAN_OK) return;
    size_t pieces = COLD / (b->row_bytes * ROWS_HOT);
    b->n_tok = 1;
    double bytes = (double)(pieces * ROWS_HOT * b->row_bytes) / seconds(b, pieces, read_rows);
    printf("%-10s %7.1f %5.0f %%  ", wt_type_get(type)->name, bytes / 1e9, 100 * bytes / m.read_bytes);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        b->n_tok = many[i];
        b->again = 400 / many[i] + 1;
        double ops = 2.0 * N_IN * ROWS_HOT * (double)b->n_tok * (double)b->again * threads / seconds(b, (size_t)threads, same_rows);
        printf(" %7.0f %3.0f %%", ops / 1e9, 100 * ops / m.i8_ops);
    }
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int32_t threads = argc > 1 ? atoi(argv[1]) : 0;
    bench b = { .cx = witan_ctx_new(&(witan_config){ .threads = threads }), .ld = ROWS_HOT };
    if (!b.cx || b.cx->threads > MOST_THREADS || wt_kernels_choose(b.cx, &b.k) != WITAN_OK) { fprintf(stderr, "kernels: %s\n", b.cx ? witan_error(b.cx) : "no memory"); return 1; }
    size_t n = (size_t)b.cx->threads;
    b.cold = malloc(COLD);
    b.x = aligned_alloc(64, MOST_TOK * (N_IN / 32) * sizeof *b.x);
    b.y = malloc(n * MOST_TOK * b.ld * sizeof *b.y);
    b.scratch = aligned_alloc(64, n * (WT_QMUL_PARTS + (N_IN / 32) * WT_QMUL_ROWS));
    if (!b.cold || !b.x || !b.y || !b.scratch) return 1;
    memset(b.cold, 0x11, COLD);
    memset(b.x, 0, MOST_TOK * (N_IN / 32) * sizeof *b.x);
    printf("%zu threads, tier %s; rows of %d values. One token with weights in memory: GB/s and share of reading. Weights in the cache: GOP/s and share of the\n"
           "byte arithmetic for\n%29s %13d %13d %13d %13d %13d tokens\n", n, wt_tier_name(b.k.tier), N_IN, "1", 2, 4, 8, 32, MOST_TOK);
    for (uint32_t t = 0; t < WT_N_TYPE; t++) {
        bool asked = argc <= 2;
        for (int i = 2; i < argc; i++) asked |= !strcmp(argv[i], wt_type_get(t)->name);
        if (asked && b.k.qmul[t]) type_row(&b, t);
    }
    free(b.cold);
    free(b.x);
    free(b.y);
    free(b.scratch);
    witan_ctx_free(b.cx);
    return 0;
}
