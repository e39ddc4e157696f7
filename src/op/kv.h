/* Keys and values as the cache keeps them: for each layer, page of WT_PAGE positions and head, one panel of keys and one of values, as F32, F16
 * or Q8_0.
 *
 * A panel of keys has positions side by side, so that a query's scores of a whole page are one mix (kernel.h), each score its own sum:
 *   F32, F16   [d_head, WT_PAGE]
 *   Q8_0       for every 32 values of a head: scales [WT_PAGE], then bytes [32, WT_PAGE]
 * A panel of values has the values of a position side by side, so that the result is a mix of them:
 *   F32, F16   [WT_PAGE, d_head];   Q8_0   [WT_PAGE] rows of blocks
 * As Q8_0 a head whose size is no multiple of 32 is filled up with zeros. Values that F16, or the scale of a block, cannot hold become the largest
 * that it can. */
#ifndef WT_OP_KV_H
#define WT_OP_KV_H

#include "kernel/kernel.h"

enum { WT_PAGE = 64 };

/* A cache, to write to and to read from. */
typedef struct wt_kv_view {
    const void *self;
    wt_type type;
    int32_t n_head, d_head;
    /* The panels of page p of a sequence, 64-byte aligned where the cache's memory is. */
    void (*panels)(const void *self, int32_t layer, int32_t seq, int32_t p, int32_t head, void **keys, void **values);
} wt_kv_view;

size_t wt_kv_panel_bytes(wt_type type, int32_t d_head);      /* of one panel, of either kind; a multiple of 64 */
size_t wt_kv_room(int32_t d_head);                           /* floats that a panel needs when it is unpacked */

/* Keeps one position's key and value [d_head] at place `at` of its page. */
void wt_kv_put(const wt_kernels *k, const wt_kv_view *kv, void *keys, void *values, int32_t at, const float *key, const float *value);
/* The first n positions of a panel as floats: keys [d_head, WT_PAGE], values [n, *ld]. In the panel itself where it is F32, else in room. */
const float *wt_kv_keys(const wt_kernels *k, const wt_kv_view *kv, const void *panel, int32_t n, float *room);
const float *wt_kv_values(const wt_kernels *k, const wt_kv_view *kv, const void *panel, int32_t n, float *room, size_t *ld);

#endif
