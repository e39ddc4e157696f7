/* The paged KV cache. */
#include "model/kv.h"

enum { ALIGN = 64 };

wt_type wt_kv_type_of(const wt_ctx *cx, witan_kv asked)
{
    static const wt_type type[] = { [WITAN_KV_F32] = WT_F32, [WITAN_KV_F16] = WT_F16, [WITAN_KV_Q8_0] = WT_Q8_0 };
    return asked > WITAN_KV_AUTO && asked <= WITAN_KV_Q8_0 ? type[asked] : cx->exact ? WT_F32 : WT_F16;
}

size_t wt_kv_bytes(const wt_config *c, wt_type type)
{
    return 2 * (size_t)c->n_layer * (size_t)c->n_head_kv * (wt_kv_panel_bytes(type, c->d_head) / WT_PAGE);
}

wt_status wt_kv_open(wt_ctx *cx, wt_kv_cache *kv, const wt_config *c, wt_type type, int32_t n_seq, int32_t n_ctx)
{
    *kv = (wt_kv_cache){ .cx = cx, .type = type, .n_layer = c->n_layer, .n_head = c->n_head_kv, .d_head = c->d_head, .n_seq = n_seq };
    kv->pages_per_seq = (n_ctx + WT_PAGE - 1) / WT_PAGE;
    kv->panel = wt_kv_panel_bytes(type, c->d_head);
    size_t n_page, page, all;
    bool over = wt_mul_over((size_t)n_seq, (size_t)kv->pages_per_seq, &n_page) || n_page > INT32_MAX;
    over = over || wt_mul_over((size_t)c->n_layer * 2 * (size_t)c->n_head_kv, kv->panel, &page) || wt_mul_over(page, n_page, &all);
    if (over || wt_add_over(all, ALIGN, &all))
        return wt_fail(cx, WT_ELIMIT, "KV cache: %d sequences of %d tokens are more than memory can address", n_seq, n_ctx);
    kv->n_page = (int32_t)n_page;
    kv->memory = wt_realloc(cx, NULL, all, 1);   /* not zeroed: untouched pages cost nothing */
    kv->table = wt_alloc(cx, n_page, sizeof *kv->table);
    kv->spare = wt_alloc(cx, n_page, sizeof *kv->spare);
    if (!kv->memory || !kv->table || !kv->spare) { wt_kv_free(kv); return WITAN_ENOMEM; }
    kv->data = (uint8_t *)kv->memory + (ALIGN - (uintptr_t)kv->memory % ALIGN) % ALIGN;
    for (int32_t i = 0; i < kv->n_page; i++) {
        kv->table[i] = -1;
        kv->spare[i] = kv->n_page - 1 - i;
    }
    kv->n_spare = kv->n_page;
    return WITAN_OK;
}

void wt_kv_free(wt_kv_cache *kv)
{
    wt_free(kv->cx, kv->memory);
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

static void panels(const void *self, int32_t layer, int32_t seq, int32_t p, int32_t head, void **keys, void **values)
{
    const wt_kv_cache *kv = self;
    size_t page = (size_t)kv->table[(size_t)seq * (size_t)kv->pages_per_seq + (size_t)p];
    uint8_t *at = kv->data + ((page * (size_t)kv->n_layer + (size_t)layer) * (size_t)kv->n_head + (size_t)head) * 2 * kv->panel;
    *keys = at;
    *values = at + kv->panel;
}

wt_kv_view wt_kv_view_of(const wt_kv_cache *kv) { return (wt_kv_view){ kv, kv->type, kv->n_head, kv->d_head, panels }; }
