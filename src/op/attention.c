/* Causal grouped-query attention over a paged cache of keys and values.
 *
 * A task is one token and one key/value head; the query heads that share it are scored together. Scores of all positions
 * are kept, normalised once, and values are added in order of position, so a result depends on nothing but its own past. */
#include "op/ops.h"

#include "base/thread.h"
#include <math.h>
#include <string.h>

typedef struct job {
    const wt_run *r;
    const float *q;
    float *y, *score;                            /* score: [worker][group][n_pos] */
    const wt_kv_view *kv;
    const int32_t *seq, *pos;
    int32_t n_head_kv, group, d_head, n_pos;     /* n_pos: room for the longest sequence of the batch */
} job;

static void one(const job *j, int32_t t, int32_t hk, float *score)
{
    const wt_kernels *k = j->r->k;
    size_t dh = (size_t)j->d_head, ld = (size_t)j->n_head_kv * dh, n = (size_t)j->pos[t] + 1, page = (size_t)j->kv->page;
    size_t group = (size_t)j->group, room = (size_t)j->n_pos, at = ((size_t)t * (size_t)j->n_head_kv + (size_t)hk) * group * dh;
    const float *kr, *vr;
    for (size_t p = 0; p < n; p += page) {
        j->kv->rows(j->kv->self, j->r->layer, j->seq[t], (int32_t)(p / page), &kr, &vr);
        k->matmul(score + p, room, kr + (size_t)hk * dh, ld, j->q + at, dh, n - p < page ? n - p : page, group, dh);
    }
    float s = 1.0f / sqrtf((float)dh);
    for (size_t g = 0; g < group; g++) {
        k->scale(score + g * room, score + g * room, s, n);
        k->softmax(score + g * room, score + g * room, n);
    }
    memset(j->y + at, 0, group * dh * sizeof *j->y);
    for (size_t p = 0; p < n; p += page) {
        j->kv->rows(j->kv->self, j->r->layer, j->seq[t], (int32_t)(p / page), &kr, &vr);
        for (size_t g = 0; g < group; g++)
            for (size_t i = p; i < n && i < p + page; i++)
                k->axpy(j->y + at + g * dh, score[g * room + i], vr + (i - p) * ld + (size_t)hk * dh, dh);
    }
}

static void tasks(void *arg, size_t begin, size_t end, int worker)
{
    const job *j = arg;
    float *score = j->score + (size_t)worker * (size_t)j->group * (size_t)j->n_pos;
    for (size_t i = begin; i < end; i++) one(j, (int32_t)(i / (size_t)j->n_head_kv), (int32_t)(i % (size_t)j->n_head_kv), score);
}

wt_status wt_op_attention(wt_run *r, const wt_tensor *q, const wt_kv_view *kv, const int32_t *seq, const int32_t *pos,
                          int32_t n_head, int32_t n_head_kv, int32_t d_head, wt_tensor **y)
{
    int32_t n_tok = (int32_t)q->shape[0], n_pos = 0, group = n_head / n_head_kv;
    WT_TRY(wt_tensor_new(r->a, q->n_dim, q->shape, y));
    for (int32_t t = 0; t < n_tok; t++) if (pos[t] >= n_pos) n_pos = pos[t] + 1;
    wt_mark m = wt_mark_set(r->a);
    float *score = wt_take_n(r->a, (size_t)r->cx->threads * (size_t)group * (size_t)n_pos, sizeof *score);
    if (!score) return WITAN_ENOMEM;
    job j = { r, q->f32, (*y)->f32, score, kv, seq, pos, n_head_kv, group, d_head, n_pos };
    size_t work = (size_t)n_pos * (size_t)d_head * (size_t)group;   /* of one task, at most */
    wt_parallel(r->cx, (size_t)n_tok * (size_t)n_head_kv, 65536 / (work + 1) + 1, tasks, &j);
    wt_rewind(r->a, m);
    return WITAN_OK;
}
