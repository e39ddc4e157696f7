/* The paged KV cache. */
#include "model/kv.h"

wt_status wt_kv_open(wt_ctx *cx, wt_kv_cache *kv, int32_t n_layer, int32_t width, int32_t n_seq, int32_t n_ctx)
{
    *kv = (wt_kv_cache){ .cx = cx, .n_layer = n_layer, .width = width, .n_seq = n_seq };
    kv->pages_per_seq = (n_ctx + WT_PAGE - 1) / WT_PAGE;
    size_t n_page, row, all;
    bool over = wt_mul_over((size_t)n_seq, (size_t)kv->pages_per_seq, &n_page) || n_page > INT32_MAX;
    over = over || wt_mul_over((size_t)n_layer * 2 * WT_PAGE, (size_t)width, &row) || wt_mul_over(row, n_page, &all);
    if (over) return wt_fail(cx, WT_ELIMIT, "KV cache: %d sequences of %d tokens are more than memory can address", n_seq, n_ctx);
    kv->n_page = (int32_t)n_page;
    kv->data = wt_realloc(cx, NULL, all, sizeof *kv->data);   /* not zeroed: untouched pages cost nothing */
    kv->table = wt_alloc(cx, n_page, sizeof *kv->table);
    kv->spare = wt_alloc(cx, n_page, sizeof *kv->spare);
    if (!kv->data || !kv->table || !kv->spare) { wt_kv_free(kv); return WITAN_ENOMEM; }
    for (int32_t i = 0; i < kv->n_page; i++) {
        kv->table[i] = -1;
        kv->spare[i] = kv->n_page - 1 - i;
    }
    kv->n_spare = kv->n_page;
    return WITAN_OK;
}

void wt_kv_free(wt_kv_cache *kv)
{
    wt_free(kv->cx, kv->data);
    wt_free(kv->cx, kv->table);
    wt_free(kv->cx, kv->spare);
    *kv = (wt_kv_cache){ .cx = kv->cx };
}

void wt_kv_reserve(wt_kv_cache *kv, int32_t seq, int32_t n)
{
    int32_t *t = kv->table + (size_t)seq * (size_t)kv->pages_per_seq;
    for (int32_t p = 0; p * WT_PAGE < n; p++)
        if (t[p] < 0) {
            wt_assert(kv->n_spare > 0);
            t[p] = kv->spare[--kv->n_spare];
        }
}

void wt_kv_clear(wt_kv_cache *kv, int32_t seq)
{
    int32_t *t = kv->table + (size_t)seq * (size_t)kv->pages_per_seq;
    for (int32_t p = kv->pages_per_seq - 1; p >= 0; p--)
        if (t[p] >= 0) {
            kv->spare[kv->n_spare++] = t[p];
            t[p] = -1;
        }
}

static float *page_at(const wt_kv_cache *kv, int32_t layer, int32_t seq, int32_t p)
{
    int32_t page = kv->table[(size_t)seq * (size_t)kv->pages_per_seq + (size_t)p];
    return kv->data + ((size_t)page * (size_t)kv->n_layer + (size_t)layer) * 2 * WT_PAGE * (size_t)kv->width;
}

void wt_kv_slot(const wt_kv_cache *kv, int32_t layer, int32_t seq, int32_t pos, float **k, float **v)
{
    *k = page_at(kv, layer, seq, pos / WT_PAGE) + (size_t)(pos % WT_PAGE) * (size_t)kv->width;
    *v = *k + (size_t)WT_PAGE * (size_t)kv->width;
}

static void rows(const void *self, int32_t layer, int32_t seq, int32_t p, const float **k, const float **v)
{
    const wt_kv_cache *kv = self;
    *k = page_at(kv, layer, seq, p);
    *v = *k + (size_t)WT_PAGE * (size_t)kv->width;
}

wt_kv_view wt_kv_view_of(const wt_kv_cache *kv) { return (wt_kv_view){ kv, WT_PAGE, rows }; }
