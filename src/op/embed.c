/* Embedding: rows of a table by token id. */
#include "op/ops.h"

wt_status wt_op_embed(wt_run *r, const wt_tensor *table, const int32_t *ids, int32_t n_tok, wt_tensor **y)
{
    int64_t d = table->shape[table->n_dim - 1];
    size_t row_bytes = table->bytes / (table->n / (size_t)d);
    WT_TRY(wt_tensor_new(r->a, 2, (int64_t[]){ n_tok, d }, y));
    for (int32_t t = 0; t < n_tok; t++)
        r->k->unpack[table->type]((*y)->f32 + (size_t)t * (size_t)d, wt_row(table, ids[t], row_bytes), (size_t)d);
    return WITAN_OK;
}
