/* Muon: the momentum of a matrix is replaced by the nearest matrix with all singular values near one, found by five rounds of a quintic
 * Newton-Schulz iteration. Every expert of a stack is a matrix of its own; so is the router. Embedding, head, norms and biases learn by AdamW.
 *
 * Momentum is M = mu M + g, the step is taken from g + mu M (nesterov) or M; both as in the first description. Iteration on X = step / |step| with
 * the wider side last: A = X X', X = a X + (b A + c A A) X, (a, b, c) = (3.4445, -4.7750, 2.0315). scale: `rms` multiplies by 0.2 sqrt(max(rows, cols)),
 * which gives steps of AdamW's size, so that learning rate and decay of AdamW fit (arXiv:2502.16982, section 2.2); `shape` by
 * sqrt(max(1, rows / cols)), as first described. The published code iterates in bfloat16; this is float. */
#include "op/update.h"

#include "base/thread.h"
#include <math.h>
#include <string.h>

typedef struct opts { double momentum, decay, beta1, beta2, eps; int32_t rounds, scale; bool plain; } opts;

static const char *const scales[] = { "rms", "shape", NULL };
static const wt_param param[] = {
    WT_NUM(opts, momentum, 0.95, 0, 0.9999, "how much of the sum of gradients stays"),
    WT_NUM(opts, decay, 0.1, 0, 10,         "weight decay per step, times the learning rate"),
    WT_NUM(opts, rounds, 5, 1, 20,          "rounds of the iteration"),
    WT_CHOICE(opts, scale, 0, scales,       "size of a step: rms, as AdamW's; shape, as first described"),
    WT_FLAG(opts, plain,                    "momentum without looking ahead (nesterov)"),
    WT_NUM(opts, beta1, 0.9,  0, 0.9999,    "of AdamW, for what is no matrix of a layer"),
    WT_NUM(opts, beta2, 0.95, 0, 0.999999,  "of AdamW"),
    WT_NUM(opts, eps,   1e-8, 1e-15, 1,     "of AdamW"),
    { 0 }
};

static bool orthogonal(const wt_update *u) { return u->hidden && u->n_dim > 1; }

static size_t state(const void *opt, const wt_update *u)
{
    (void)opt;
    return orthogonal(u) ? u->n : 2 * u->n;
}

/* Of one matrix: X, its transpose, the next X [n each], A and b A + c A A [side, side each]. */
static size_t one(const wt_stack *s)
{
    size_t side = s->rows < s->cols ? s->rows : s->cols;
    return 3 * s->rows * s->cols + 2 * side * side;
}

static size_t scratch(const void *opt, const wt_update *u)
{
    (void)opt;
    wt_stack s = wt_stack_of(u);
    return orthogonal(u) ? s.count * (one(&s) + 1) : 0;
}

typedef struct job {
    const wt_kernels *k;
    const opts *o;
    const wt_update *u;
    wt_stack s;
    size_t side, wide;           /* shorter and longer side of a matrix */
    bool turned;                 /* rows are longer than columns: X is the transpose */
    float *size;                 /* [count] 1 / |step| */
    float *x, *xt, *next, *a, *p;   /* [count, ...] */
} job;

enum { BLOCK = 32 };             /* rows of a product that one task computes */

/* Momentum, and the step before its iteration into `next`, in the weight's own layout. */
static void momentum(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    const wt_update *u = j->u;
    float mu = (float)j->o->momentum, scale = (float)u->scale;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        float g = scale * u->grad[i], m = mu * u->state[i] + g;
        u->state[i] = m;
        u->grad[i] = 0;
        j->next[i] = j->o->plain ? m : g + mu * m;
    }
}

static void sizes(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    size_t n = j->s.rows * j->s.cols;
    (void)worker;
    for (size_t m = begin; m < end; m++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += (double)j->next[m * n + i] * (double)j->next[m * n + i];
        j->size[m] = (float)(1 / (sqrt(sum) + 1e-7));
    }
}

/* X and its transpose from the step, scaled; rows of X are long. */
static void begin_x(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    size_t n = j->side * j->wide;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        size_t m = i / j->side, r = i % j->side;
        const float *from = j->next + m * n;
        for (size_t c = 0; c < j->wide; c++) {
            float v = j->size[m] * (j->turned ? from[c * j->side + r] : from[r * j->wide + c]);
            j->x[m * n + r * j->wide + c] = v;
            j->xt[m * n + c * j->side + r] = v;
        }
    }
}

static size_t blocks(const job *j) { return (j->side + BLOCK - 1) / BLOCK; }
static size_t in_block(const job *j, size_t first) { return j->side - first < BLOCK ? j->side - first : BLOCK; }

/* A = X X' */
static void gram(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    size_t n = j->side * j->wide, nn = j->side * j->side;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        size_t m = i / blocks(j), r = i % blocks(j) * BLOCK;
        const float *x = j->x + m * n;
        j->k->matmul(j->a + m * nn + r * j->side, j->side, x, j->wide, x + r * j->wide, j->wide, j->side, in_block(j, r), j->wide);
    }
}

/* P = b A + c A A; A equals its transpose. */
static void polynomial(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    size_t nn = j->side * j->side;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        size_t m = i / blocks(j), r = i % blocks(j) * BLOCK, k = in_block(j, r);
        const float *a = j->a + m * nn;
        float *p = j->p + m * nn + r * j->side;
        j->k->matmul(p, j->side, a, j->side, a + r * j->side, j->side, j->side, k, j->side);
        for (size_t v = 0; v < k * j->side; v++) p[v] = -4.7750f * a[r * j->side + v] + 2.0315f * p[v];
    }
}

/* The next X = a X + P X, and its transpose, which the products of this round still read: it goes to `next` and back. */
static void advance(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    size_t n = j->side * j->wide, nn = j->side * j->side;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        size_t m = i / blocks(j), r = i % blocks(j) * BLOCK, k = in_block(j, r);
        float *y = j->next + m * n + r * j->wide;
        j->k->matmul(y, j->wide, j->xt + m * n, j->side, j->p + m * nn + r * j->side, j->side, j->wide, k, j->side);
        for (size_t v = 0; v < k * j->wide; v++) y[v] = 3.4445f * j->x[m * n + r * j->wide + v] + y[v];
    }
}

static void settle(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    size_t n = j->side * j->wide;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        size_t m = i / j->side, r = i % j->side;
        for (size_t c = 0; c < j->wide; c++) {
            float v = j->next[m * n + r * j->wide + c];
            j->x[m * n + r * j->wide + c] = v;
            j->xt[m * n + c * j->side + r] = v;
        }
    }
}

static void apply(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    const wt_update *u = j->u;
    double rows = (double)j->s.rows, cols = (double)j->s.cols;
    double scale = j->o->scale == 0 ? 0.2 * sqrt(fmax(rows, cols)) : sqrt(fmax(1, rows / cols));
    float keep = (float)(1 - u->lr * (u->decays ? j->o->decay : 0)), rate = (float)(u->lr * scale);
    const float *step = j->turned ? j->xt : j->x;
    (void)worker;
    for (size_t i = begin; i < end; i++) u->w[i] = keep * u->w[i] - rate * step[i];
}

static wt_status step(wt_run *r, const void *opt, const wt_update *u)
{
    const opts *o = opt;
    if (!orthogonal(u)) {
        wt_adam_step(r, &(wt_adam_rule){ o->beta1, o->beta2, o->eps, o->decay, u->lr }, u);
        return WITAN_OK;
    }
    wt_stack s = wt_stack_of(u);
    job j = { .k = r->k, .o = o, .u = u, .s = s, .turned = s.rows > s.cols, .side = s.rows < s.cols ? s.rows : s.cols, .wide = s.rows < s.cols ? s.cols : s.rows };
    size_t nn = s.count * j.side * j.side;
    j.x = u->scratch;
    j.xt = j.x + u->n;
    j.next = j.xt + u->n;
    j.a = j.next + u->n;
    j.p = j.a + nn;
    j.size = j.p + nn;
    wt_parallel(r->cx, u->n, 1 << 14, momentum, &j);
    wt_parallel(r->cx, s.count, 1, sizes, &j);
    wt_parallel(r->cx, s.count * j.side, 8, begin_x, &j);
    for (int32_t i = 0; i < o->rounds; i++) {
        wt_parallel(r->cx, s.count * blocks(&j), 1, gram, &j);
        wt_parallel(r->cx, s.count * blocks(&j), 1, polynomial, &j);
        wt_parallel(r->cx, s.count * blocks(&j), 1, advance, &j);
        wt_parallel(r->cx, s.count * j.side, 8, settle, &j);
    }
    wt_parallel(r->cx, u->n, 1 << 14, apply, &j);
    return WITAN_OK;
}

const wt_method wt_optim_muon = {
    .name = "muon", .kind = WT_KIND_OPTIM,
    .title = "Muon",
    .about = "Orthogonalised momentum for the matrices of the layers, each expert by itself; AdamW for the rest.",
    .cite = { "Muon is Scalable for LLM Training", "Liu et al.", "arXiv:2502.16982", 2025, "sections 2.1 and 2.2; the rule itself is Jordan et al., 2024" },
    .param = param, .opt_size = sizeof(opts),
    .ops = &(const wt_optim_ops){ .state = state, .scratch = scratch, .step = step },
};
