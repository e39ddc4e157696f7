/* Masks: which experts of each layer may be used. */
#include "moe/mask.h"

#include <string.h>

wt_status wt_mask_init(wt_ctx *cx, wt_mask *m, int32_t n_layer, const int32_t *n_exp)
{
    *m = (wt_mask){ .n_layer = n_layer };
    m->layer = wt_alloc(cx, (size_t)n_layer, sizeof *m->layer);
    if (!m->layer) return WITAN_ENOMEM;
    for (int32_t i = 0; i < n_layer; i++) {
        wt_mask_layer *l = m->layer + i;
        l->keep = wt_alloc(cx, (size_t)n_exp[i] + 1, 1);      /* a dense layer has an empty, valid list */
        if (!l->keep) { wt_mask_free(cx, m); return WITAN_ENOMEM; }
        l->n_exp = l->n_keep = n_exp[i];
        memset(l->keep, 1, (size_t)n_exp[i]);
    }
    return WITAN_OK;
}

void wt_mask_free(wt_ctx *cx, wt_mask *m)
{
    for (int32_t i = 0; m->layer && i < m->n_layer; i++) wt_free(cx, m->layer[i].keep);
    wt_free(cx, m->layer);
    *m = (wt_mask){ 0 };
}
