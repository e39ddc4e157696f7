/* Products of weights in blocks with activations as bytes, and of matrices of floats, beside what the machine can do at most:
 *     build/kernels [THREADS [TYPE | gemm ...]]
 * For every block type, plain and interleaved: reading weights that lie in memory, for one token, and computing with weights that lie in the cache,
 * for many. Shares are of the machine's own reading and byte arithmetic, measured in between. Best of several rounds, as for the limits.
 * gemm: the products that training consists of, every thread its own, with operands in F32 and rounded to BF16; shares of the arithmetic on each. */
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

/* ---- matrices of floats ---------------------------------------------------------------------------------------------------- */

typedef struct shape { const char *name; bool ta, tb; size_t m, n, k; } shape;

/* An expert's products for few and many tokens: forward, gradients of its input and of its weights; and those of an output layer. */
static const shape shapes[] = {
    { "Y = X W^T", false, true, 64, 256, 512 }, { "Y = X W^T", false, true, 256, 256, 512 }, { "Y = X W^T", false, true, 512, 512, 512 },
    { "dX = dY W", false, false, 64, 512, 256 }, { "dX = dY W", false, false, 256, 512, 256 }, { "dX = dY W", false, false, 512, 512, 512 },
    { "dW = dY^T X", true, false, 256, 512, 64 }, { "dW = dY^T X", true, false, 256, 512, 256 }, { "dW = dY^T X", true, false, 512, 512, 4096 },
    { "Y, output", false, true, 512, 4096, 512 }, { "dX, output", false, false, 512, 512, 4096 }, { "dW, output", true, false, 4096, 512, 512 },
};

enum { MOST_VALUES = 4096 * 512 };               /* of an operand or a result */

typedef double (*peak_fn)(size_t rounds);
typedef struct matrices {
    wt_ctx *cx;
    wt_gemm_fn gemm; peak_fn peak;
    shape s;
    float *abc, *scratch;        /* [worker][3, MOST_VALUES], [worker][WT_GEMM_SCRATCH] */
    size_t again;
    double ops[MOST_THREADS];    /* of the last run of peak */
} matrices;

static void same_product(void *arg, size_t begin, size_t end, int worker)
{
    const matrices *x = arg;
    const shape *s = &x->s;
    float *a = x->abc + (size_t)worker * 3 * MOST_VALUES, *b = a + MOST_VALUES, *c = b + MOST_VALUES;
    for (size_t i = begin; i < end; i++)
        for (size_t n = 0; n < x->again; n++)
            x->gemm(c, s->n, a, s->ta ? s->m : s->k, s->ta, b, s->tb ? s->k : s->n, s->tb, s->m, s->n, s->k, false, x->scratch + (size_t)worker * WT_GEMM_SCRATCH);
}

static void peak(void *arg, size_t begin, size_t end, int worker)
{
    matrices *x = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) x->ops[i] = x->peak(1 << 18);
}

/* The limit is measured in turns with the product, so that both see the same machine. */
static void print_speed(matrices *x, wt_gemm_fn gemm, peak_fn limit)
{
    const size_t threads = (size_t)x->cx->threads;
    const double ops = 2.0 * (double)x->s.m * (double)x->s.n * (double)x->s.k;
    double best = 0, most = 0;
    x->gemm = gemm;
    x->peak = limit;
    x->again = (size_t)(1e8 / ops) + 1;
    for (int i = 0; i < ROUNDS; i++) {
        double start = wt_now(), sum = 0;
        wt_parallel(x->cx, threads, 1, same_product, x);
        double between = wt_now(), speed = ops * (double)(x->again * threads) / (between - start);
        wt_parallel(x->cx, threads, 1, peak, x);
        double seconds = wt_now() - between;
        for (size_t t = 0; t < threads; t++) sum += x->ops[t];
        if (speed > best) best = speed;
        if (sum / seconds > most) most = sum / seconds;
    }
    printf(" %9.1f %3.0f %%", best / 1e9, 100 * best / most);
}

static bool matrix_rows(wt_ctx *cx, const wt_kernels *k)
{
    const size_t n = (size_t)cx->threads;
    matrices x = { .cx = cx, .abc = malloc(n * 3 * MOST_VALUES * sizeof *x.abc), .scratch = aligned_alloc(64, n * WT_GEMM_SCRATCH * sizeof *x.scratch) };
    bool ok = x.abc && x.scratch;
    if (ok) {
        for (size_t i = 0; i < n * 3 * MOST_VALUES; i++) x.abc[i] = (float)(i % 1021) / 512 - 1;
        printf("\n%zu threads, tier %s; products of matrices of floats, every thread its own. GFLOP/s and share of the arithmetic\n%-12s %5s %5s %5s %15s %15s\n", n,
               wt_tier_name(k->tier), "", "m", "n", "k", "F32", "BF16");
    }
    for (size_t i = 0; ok && i < sizeof shapes / sizeof *shapes; i++) {
        x.s = shapes[i];
        printf("%-12s %5zu %5zu %5zu", x.s.name, x.s.m, x.s.n, x.s.k);
        print_speed(&x, k->gemm, k->peak_f32);
        if (k->peak_bf16) print_speed(&x, k->gemm_bf16, k->peak_bf16);
        else printf(" %15s", "no instructions");
        printf("\n");
        fflush(stdout);
    }
    free(x.abc);
    free(x.scratch);
    return ok;
}

static bool asked(int argc, char **argv, const char *name)
{
    bool yes = argc <= 2;
    for (int i = 2; i < argc; i++) yes |= !strcmp(argv[i], name);
    return yes;
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
    if (argc != 3 || strcmp(argv[2], "gemm"))
        printf("%zu threads, tier %s; rows of %d values. One token with weights in memory: GB/s and share of reading. Weights in the cache: GOP/s and share of the\n"
               "byte arithmetic for\n%29s %13d %13d %13d %13d %13d tokens\n", n, wt_tier_name(b.k.tier), N_IN, "1", 2, 4, 8, 32, MOST_TOK);
    for (uint32_t t = 0; t < WT_N_TYPE; t++)
        if (b.k.qmul[t] && asked(argc, argv, wt_type_get(t)->name)) type_row(&b, t);
    if (asked(argc, argv, "gemm") && !matrix_rows(b.cx, &b.k)) return 1;
    free(b.cold);
    free(b.x);
    free(b.y);
    free(b.scratch);
    witan_ctx_free(b.cx);
    return 0;
}
