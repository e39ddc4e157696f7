/* Adafactor: the squares of a matrix of gradients are kept as one number per row and one per column, so that the state is nearly nothing; the
 * step is clipped by its own size. Vectors keep all their squares. Every expert of a stack is a matrix of its own.
 *
 * As in the paper: beta2 of step t is 1 - t^-0.8; eps1 is added to the squares; the step is divided by max(1, its root mean square / clip); and,
 * with scale, multiplied by max(eps2, root mean square of the weights). With relative the learning rate is min(lr, 1/sqrt(t)), the paper's with
 * lr = 0.01. The paper has no decay; ours is decoupled, as in AdamW.
 *
 * Sums run in double over blocks of 64 rows, and then over the blocks in order. */
#include "op/update.h"

#include "base/thread.h"
#include <math.h>
#include <string.h>

typedef struct opts { double power, eps1, eps2, clip, decay; bool relative, scale; } opts;

static const wt_param param[] = {
    WT_NUM(opts, power, 0.8,   0.01, 1,  "the running mean of squares keeps 1 - t^-power at step t"),
    WT_NUM(opts, eps1,  1e-30, 0, 1,     "added to the squares of gradients"),
    WT_NUM(opts, eps2,  1e-3,  0, 1,     "smallest size of weights that scales steps"),
    WT_NUM(opts, clip,  1,     0.01, 1e6, "largest root mean square of a step before the learning rate"),
    WT_NUM(opts, decay, 0,     0, 10,    "weight decay per step, times the learning rate; matrices only"),
    WT_FLAG(opts, relative,              "learning rate of min(lr, 1/sqrt(t)), as in the paper with lr 0.01"),
    { .name = "scale", .type = WITAN_P_BOOL, .offset = offsetof(opts, scale), .def = 1, .max = 1, .help = "multiply steps by the size of the weights" },
    { 0 }
};

enum { BLOCK = 64 };             /* rows */

static bool factored(const wt_update *u) { return u->n_dim > 1; }

/* Of one matrix: blocks of rows. A vector is cut as if it had rows of 4096. */
typedef struct job {
    const opts *o;
    const wt_update *u;
    wt_stack s;
    size_t n_block, row_state;   /* blocks and floats of state of one matrix */
    double beta, lr;
    double *col, *sum;           /* scratch: [count, n_block, cols] and [count, n_block, 2] */
    double *mean, *step;         /* [count] mean of the row numbers; factor of the step */
} job;

enum { PIECE = 4096 };

static wt_stack stack_of(const wt_update *u)
{
    wt_stack s = wt_stack_of(u);
    return factored(u) ? s : (wt_stack){ 1, (u->n + PIECE - 1) / PIECE, PIECE };
}

static size_t blocks(const wt_stack *s) { return (s->rows + BLOCK - 1) / BLOCK; }

static size_t state(const void *opt, const wt_update *u)
{
    (void)opt;
    wt_stack s = stack_of(u);
    return factored(u) ? s.count * (s.rows + s.cols) : u->n;
}

static size_t doubles(const wt_update *u)
{
    wt_stack s = stack_of(u);
    return s.count * (blocks(&s) * ((factored(u) ? s.cols : 0) + 2) + 2);
}

static size_t scratch(const void *opt, const wt_update *u)
{
    (void)opt;
    return 2 * doubles(u);
}

/* Where block b of all matrices begins and ends: first value and number of rows; the last row of a vector may be short. */
typedef struct span { size_t matrix, row, n_row, at; } span;
static span span_of(const job *j, size_t b)
{
    size_t m = b / j->n_block, row = b % j->n_block * BLOCK, n = j->s.rows - row < BLOCK ? j->s.rows - row : BLOCK;
    return (span){ m, row, n, (m * j->s.rows + row) * j->s.cols };
}

static size_t width(const job *j, size_t at) { return j->u->n - at < j->s.cols ? j->u->n - at : j->s.cols; }

/* Squares: row numbers at once, column sums per block. Vectors: their squares. */
static void squares(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    const wt_update *u = j->u;
    size_t cols = j->s.cols;
    (void)worker;
    for (size_t b = begin; b < end; b++) {
        span s = span_of(j, b);
        double *col = j->col + (factored(u) ? b * cols : 0);
        if (factored(u)) memset(col, 0, cols * sizeof *col);
        for (size_t r = 0; r < s.n_row; r++) {
            size_t at = s.at + r * cols, n = width(j, at);
            double sum = 0;
            for (size_t c = 0; c < n; c++) {
                double g = u->scale * (double)u->grad[at + c], sq = g * g + j->o->eps1;
                if (!factored(u)) u->state[at + c] = (float)(j->beta * (double)u->state[at + c] + (1 - j->beta) * sq);
                else { sum += sq; col[c] += sq; }
            }
            if (!factored(u)) continue;
            float *row = u->state + s.matrix * j->row_state + s.row + r;
            *row = (float)(j->beta * (double)*row + (1 - j->beta) * sum / (double)cols);
        }
    }
}

static void columns(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    size_t cols = j->s.cols;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        size_t m = i / cols, c = i % cols;
        float *col = j->u->state + m * j->row_state + j->s.rows + c;
        double sum = 0;
        for (size_t b = 0; b < j->n_block; b++) sum += j->col[(m * j->n_block + b) * cols + c];
        *col = (float)(j->beta * (double)*col + (1 - j->beta) * sum / (double)j->s.rows);
    }
}

/* What value c of a row is divided by: root of row number times column number over the mean of row numbers. */
static double below(const job *j, const span *s, size_t r, size_t c, size_t at)
{
    const float *state = j->u->state;
    if (!factored(j->u)) return sqrt((double)state[at + c]);
    const float *m = state + s->matrix * j->row_state;
    return sqrt((double)m[s->row + r] * (double)m[j->s.rows + c] / j->mean[s->matrix]);
}

static double unclipped(const job *j, const span *s, size_t r, size_t c, size_t at)
{
    double g = j->u->scale * (double)j->u->grad[at + c];
    return g == 0 ? 0 : g / below(j, s, r, c, at);
}

/* Sums of the squares of step and weights, per block. */
static void sizes(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    (void)worker;
    for (size_t b = begin; b < end; b++) {
        span s = span_of(j, b);
        double step = 0, weight = 0;
        for (size_t r = 0; r < s.n_row; r++)
            for (size_t at = s.at + r * j->s.cols, n = width(j, at), c = 0; c < n; c++) {
                double y = unclipped(j, &s, r, c, at), w = (double)j->u->w[at + c];
                step += y * y;
                weight += w * w;
            }
        j->sum[2 * b] = step;
        j->sum[2 * b + 1] = weight;
    }
}

static void apply(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    const wt_update *u = j->u;
    double keep = 1 - j->lr * (u->decays ? j->o->decay : 0);
    (void)worker;
    for (size_t b = begin; b < end; b++) {
        span s = span_of(j, b);
        for (size_t r = 0; r < s.n_row; r++)
            for (size_t at = s.at + r * j->s.cols, n = width(j, at), c = 0; c < n; c++) {
                u->w[at + c] = (float)(keep * (double)u->w[at + c] - j->step[s.matrix] * unclipped(j, &s, r, c, at));
                u->grad[at + c] = 0;
            }
    }
}

static void factors(job *j)
{
    double per = (double)(j->u->n / j->s.count);
    for (size_t m = 0; m < j->s.count; m++) {
        double step = 0, weight = 0;
        for (size_t b = 0; b < j->n_block; b++) {
            step += j->sum[2 * (m * j->n_block + b)];
            weight += j->sum[2 * (m * j->n_block + b) + 1];
        }
        double scale = j->o->scale ? fmax(j->o->eps2, sqrt(weight / per)) : 1;
        j->step[m] = j->lr * scale / fmax(1, sqrt(step / per) / j->o->clip);
    }
}

static wt_status step(wt_run *r, const void *opt, const wt_update *u)
{
    const opts *o = opt;
    double t = (double)u->step;
    wt_stack s = stack_of(u);
    job j = { .o = o, .u = u, .s = s, .n_block = blocks(&s), .row_state = s.rows + s.cols, .beta = 1 - pow(t, -o->power),
              .lr = o->relative ? fmin(u->lr, 1 / sqrt(t)) : u->lr };
    size_t all = s.count * j.n_block;
    j.mean = (double *)(void *)u->scratch;
    j.step = j.mean + s.count;
    j.sum = j.step + s.count;
    j.col = j.sum + 2 * all;
    wt_parallel(r->cx, all, 1, squares, &j);
    if (factored(u)) wt_parallel(r->cx, s.count * s.cols, 256, columns, &j);
    for (size_t m = 0; factored(u) && m < s.count; m++) {
        double sum = 0;
        for (size_t i = 0; i < s.rows; i++) sum += (double)u->state[m * j.row_state + i];
        j.mean[m] = sum / (double)s.rows;
    }
    wt_parallel(r->cx, all, 1, sizes, &j);
    factors(&j);
    wt_parallel(r->cx, all, 1, apply, &j);
    return WITAN_OK;
}

const wt_method wt_optim_adafactor = {
    .name = "adafactor", .kind = WT_KIND_OPTIM,
    .title = "Adafactor",
    .about = "Adam's scaling from one number per row and one per column; steps clipped by their own size.",
    .cite = { "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", "Shazeer and Stern", "arXiv:1804.04235", 2018, "algorithms 4 and 5, without momentum" },
    .param = param, .opt_size = sizeof(opts),
    .ops = &(const wt_optim_ops){ .state = state, .scratch = scratch, .step = step },
};
