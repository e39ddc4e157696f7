/* The KV cache: keys and values of all layers in pages of WT_PAGE tokens. A sequence is a list of pages; pages of a cleared
 * sequence go back to the pool. All memory is asked for at once when the session is made, and touched only when used. */
#ifndef WT_MODEL_KV_H
#define WT_MODEL_KV_H

#include "op/ops.h"

enum { WT_PAGE = 64 };

typedef struct wt_kv_cache {
    wt_ctx *cx;
    int32_t n_layer, width, n_seq, pages_per_seq, n_page;   /* width: n_head_kv * d_head */
    float *data;                 /* [n_page, n_layer, 2, WT_PAGE, width] */
    int32_t *table;              /* [n_seq, pages_per_seq] page numbers, -1: none */
    int32_t *spare, n_spare;     /* stack of free pages */
} wt_kv_cache;

wt_status wt_kv_open(wt_ctx *cx, wt_kv_cache *kv, int32_t n_layer, int32_t width, int32_t n_seq, int32_t n_ctx);
void wt_kv_free(wt_kv_cache *kv);
/* Makes sure that positions [0, n) of a sequence have pages. There is always room up to n_ctx. */
void wt_kv_reserve(wt_kv_cache *kv, int32_t seq, int32_t n);
void wt_kv_clear(wt_kv_cache *kv, int32_t seq);
/* Where the key and the value of (layer, seq, pos) go. */
void wt_kv_slot(const wt_kv_cache *kv, int32_t layer, int32_t seq, int32_t pos, float **k, float **v);
wt_kv_view wt_kv_view_of(const wt_kv_cache *kv);

#endif
