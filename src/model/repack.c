/* Interleaving at opening: weights in blocks are copied, eight rows side by side, where a matrix allows it. Experts are copied by their store. */
#include "model/model.h"

#include "base/memory.h"

/* Tensors of one layer that are matrices every token meets. */
enum { N_OF_LAYER = 11 };

static void of_layer(wt_layer *l, const wt_tensor **t[N_OF_LAYER])
{
    const wt_tensor **all[N_OF_LAYER] = { &l->wq, &l->wk, &l->wv, &l->wo, &l->router, &l->dense.gate, &l->dense.up, &l->dense.down,
                                          &l->shared.gate, &l->shared.up, &l->shared.down };
    for (int i = 0; i < N_OF_LAYER; i++) t[i] = all[i];
}

/* One block of memory holds the tensor's description and its data. */
static wt_status repack(wt_model *m, const wt_tensor **t, bool huge)
{
    wt_type as;
    size_t all;
    if (!*t || !wt_can_interleave(*t, &as)) return WITAN_OK;
    const size_t head = (sizeof **t + 63) / 64 * 64;
    if (wt_add_over((*t)->bytes, head + 64, &all)) return wt_fail(m->cx, WT_ENOMEM, "%s: too large to copy", (*t)->name);
    uint8_t *p = wt_realloc(m->cx, NULL, all, 1);
    if (!p) return WITAN_ENOMEM;
    m->own[m->n_own++] = p;
    if (huge) wt_huge_pages(p, all);
    wt_tensor *copy = (wt_tensor *)p;
    *copy = **t;
    wt_interleave(m->cx, copy, as, p + head + (64 - (uintptr_t)p % 64) % 64);
    *t = copy;
    return WITAN_OK;
}

wt_status wt_weights_repack(wt_model *m, bool huge)
{
    m->own = wt_alloc(m->cx, (size_t)m->cfg.n_layer * N_OF_LAYER + 1, sizeof *m->own);
    if (!m->own) return WITAN_ENOMEM;
    for (int32_t i = 0; i < m->cfg.n_layer; i++) {
        const wt_tensor **t[N_OF_LAYER];
        of_layer(m->layer + i, t);
        for (int k = 0; k < N_OF_LAYER; k++) WT_TRY(repack(m, t[k], huge));
        WT_TRY(wt_progress(m->cx, "repack", i + 1, m->cfg.n_layer, "layers"));
    }
    return m->head == m->embed ? WITAN_OK : repack(m, &m->head, huge);      /* rows of the embedding are asked for one by one */
}
