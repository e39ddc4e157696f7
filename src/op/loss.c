/* Cross-entropy of rows of logits, in place: forward leaves exp(logit - largest), backward makes it softmax minus target, which is the gradient. */
#include "op/ops.h"

#include "base/thread.h"
#include "op/tape.h"
#include <float.h>
#include <math.h>

typedef struct job { const wt_kernels *k; float *z, *sum; wt_loss l; float factor; size_t n; } job;

static void forward_rows(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *z = j->z + t * j->n, top = -FLT_MAX, keep, target;
        int32_t n = (int32_t)j->n, y = j->l.target[t];
        j->l.row[t] = j->sum[t] = 0;
        if (y < 0) continue;
        target = z[y];
        j->k->soften(z, j->n, &n, 1, &top, j->sum + t, &keep);
        j->l.row[t] = top - target + logf(j->sum[t]);
    }
}

static void backward_rows(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++) {
        float *z = j->z + t * j->n, w = j->factor * (j->l.weight ? j->l.weight[t] : 1);
        int32_t y = j->l.target[t];
        if (y < 0 || w == 0) {
            for (size_t i = 0; i < j->n; i++) z[i] = 0;
            continue;
        }
        j->k->scale(z, z, w / j->sum[t], j->n);
        z[y] -= w;
    }
}

static wt_status back(wt_run *r, const wt_rec *e)
{
    job j = *(const job *)e->op;
    wt_tensor *logits = (wt_tensor *)e->in[0];
    wt_assert(!logits->grad);
    j.factor = r->tape->seed_grad;
    wt_parallel(r->cx, logits->n / j.n, 16384 / j.n + 1, backward_rows, &j);
    return wt_grad_hand_over(r, logits, logits->f32);
}

wt_status wt_op_cross_entropy(wt_run *r, wt_tensor *logits, wt_loss *loss)
{
    size_t n_row = (size_t)logits->shape[0];
    wt_tensor *y;
    job *j = wt_take(r->a, sizeof *j);
    WT_TRY(wt_tensor_new(r->a, 1, (int64_t[]){ 1 }, &y));
    loss->row = wt_take_n(r->a, n_row, sizeof *loss->row);
    float *sum = wt_take_n(r->a, n_row, sizeof *sum);
    if (!j || !loss->row || !sum) return WITAN_ENOMEM;
    *j = (job){ r->k, logits->f32, sum, *loss, 1, (size_t)logits->shape[1] };
    wt_parallel(r->cx, n_row, 16384 / j->n + 1, forward_rows, j);
    return wt_record(r, &(wt_rec){ .back = back, .out = y, .in = { logits }, .op = j });
}
