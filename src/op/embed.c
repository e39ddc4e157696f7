/* Embedding: rows of a table by token id. Backward adds rows of the same id in the order of their tokens, so that the sum is always the same. */
#include "op/ops.h"

#include "base/thread.h"
#include "op/tape.h"
#include <string.h>

typedef struct lookup { const wt_run *r; const wt_tensor *table; const int32_t *ids; float *y; size_t d, row_bytes; } lookup;

static void rows(void *arg, size_t begin, size_t end, int worker)
{
    const lookup *j = arg;
    (void)worker;
    for (size_t t = begin; t < end; t++)
        j->r->k->unpack[j->table->type](j->y + t * j->d, wt_row(j->table, j->ids[t], j->row_bytes), j->d);
}

typedef struct scatter { const wt_kernels *k; const int32_t *first, *order, *ids; const float *dy; float *dw; size_t d; } scatter;

static void sums(void *arg, size_t begin, size_t end, int worker)
{
    const scatter *j = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        float *dst = j->dw + (size_t)j->ids[j->order[j->first[i]]] * j->d;
        for (int32_t k = j->first[i]; k < j->first[i + 1]; k++) j->k->add(dst, dst, j->dy + (size_t)j->order[k] * j->d, j->d);
    }
}

/* Tokens grouped by id, in token order within: order [n_tok]; first [number of ids + 1]. */
static size_t group(const int32_t *ids, size_t n_tok, size_t n_vocab, int32_t *at, int32_t *order, int32_t *first)
{
    size_t n = 0;
    int32_t sum = 0;
    memset(at, 0, n_vocab * sizeof *at);
    for (size_t t = 0; t < n_tok; t++) at[ids[t]]++;
    for (size_t v = 0; v < n_vocab; v++) {
        if (!at[v]) continue;
        int32_t many = at[v];
        first[n++] = at[v] = sum;
        sum += many;
    }
    first[n] = sum;
    for (size_t t = 0; t < n_tok; t++) order[at[ids[t]]++] = (int32_t)t;
    return n;
}

static wt_status back(wt_run *r, const wt_rec *e)
{
    const wt_tensor *table = e->in[0];
    size_t d = (size_t)e->out->shape[1], n_tok = (size_t)e->out->shape[0], n_vocab = table->n / d;
    const float *dy = wt_grad_out(e);
    if (!dy || !table->grad) return WITAN_OK;
    wt_mark m = wt_mark_set(r->a);
    int32_t *at = wt_take_n(r->a, n_vocab, sizeof *at), *order = wt_take_n(r->a, n_tok, sizeof *order), *first = wt_take_n(r->a, n_tok + 1, sizeof *first);
    if (!at || !order || !first) return WITAN_ENOMEM;
    size_t n = group(e->op, n_tok, n_vocab, at, order, first);
    wt_parallel(r->cx, n, 8192 / d + 1, sums, &(scatter){ r->k, first, order, e->op, dy, table->grad, d });
    wt_rewind(r->a, m);
    return WITAN_OK;
}

wt_status wt_op_embed(wt_run *r, const wt_tensor *table, const int32_t *ids, int32_t n_tok, wt_tensor **y)
{
    int64_t d = table->shape[table->n_dim - 1];
    WT_TRY(wt_tensor_new(r->a, 2, (int64_t[]){ n_tok, d }, y));
    lookup j = { r, table, ids, (*y)->f32, (size_t)d, table->bytes / (table->n / (size_t)d) };
    wt_parallel(r->cx, (size_t)n_tok, 16384 / j.d + 1, rows, &j);
    return wt_record(r, &(wt_rec){ .back = back, .out = *y, .in = { table }, .op = ids });
}
