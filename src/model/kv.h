/* The KV cache: keys and values of all layers in pages of WT_PAGE tokens. A sequence is a list of pages; pages of a cleared
 * sequence go back to the pool. All memory is asked for at once when the session is made, and touched only when used. */
#ifndef WT_MODEL_KV_H
#define WT_MODEL_KV_H

#include "model/model.h"
#include "op/kv.h"

typedef struct wt_kv_cache {
    wt_ctx *cx;
    wt_type type;                /* F32, F16 or Q8_0 */
    int32_t n_layer, n_head, d_head, n_seq, pages_per_seq, n_page;
    size_t panel;                /* bytes */
    void *memory;
    uint8_t *data;               /* of it, aligned: [n_page, n_layer, n_head, 2] panels (op/kv.h) */
    int32_t *table;              /* [n_seq, pages_per_seq] page numbers, -1: none */
    int32_t *spare, n_spare;     /* stack of free pages */
} wt_kv_cache;

/* What keys and values are kept as: what is asked for, else F16, and F32 where results are to be exact. */
wt_type wt_kv_type_of(const wt_ctx *cx, witan_kv asked);
size_t wt_kv_bytes(const wt_config *c, wt_type type);    /* that one position takes, in all layers */
wt_status wt_kv_open(wt_ctx *cx, wt_kv_cache *kv, const wt_config *c, wt_type type, int32_t n_seq, int32_t n_ctx);
void wt_kv_free(wt_kv_cache *kv);
/* Makes sure that positions [0, n) of a sequence have pages. There is always room up to n_ctx. */
void wt_kv_reserve(wt_kv_cache *kv, int32_t seq, int32_t n);
void wt_kv_clear(wt_kv_cache *kv, int32_t seq);
wt_kv_view wt_kv_view_of(const wt_kv_cache *kv);

#endif
