/* Panels of keys and values: writing a position, reading a page. */
#include "op/kv.h"

#include <string.h>

enum { BLOCK = 32, BLOCK_BYTES = 34 };

static size_t blocks(int32_t d_head) { return ((size_t)d_head + BLOCK - 1) / BLOCK; }

size_t wt_kv_panel_bytes(wt_type type, int32_t d_head)
{
    return WT_PAGE * (type == WT_Q8_0 ? blocks(d_head) * BLOCK_BYTES : (size_t)d_head * (type == WT_F16 ? 2 : 4));
}

size_t wt_kv_room(int32_t d_head) { return blocks(d_head) * BLOCK * WT_PAGE; }

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* 32 values of a head, or the n that are left of it, as one block. */
static void block(const wt_kernels *k, uint8_t *dst, const float *x, size_t n)
{
    float whole[BLOCK] = { 0 };
    if (n < BLOCK) x = memcpy(whole, x, n * sizeof *x);
    k->keep_byte(dst, x, BLOCK);
}

static void put_bytes(const wt_kernels *k, uint8_t *keys, uint8_t *values, const float *key, const float *value, size_t d, size_t at)
{
    uint8_t b[BLOCK_BYTES];
    values += at * blocks((int32_t)d) * BLOCK_BYTES;
    for (size_t i = 0; i < d; i += BLOCK, keys += WT_PAGE * BLOCK_BYTES, values += BLOCK_BYTES) {
        size_t n = d - i < BLOCK ? d - i : BLOCK;
        block(k, values, value + i, n);
        block(k, b, key + i, n);
        memcpy(keys + 2 * at, b, 2);
        for (size_t j = 0; j < BLOCK; j++) keys[(2 + j) * WT_PAGE + at] = b[2 + j];
    }
}

static void put_halves(const wt_kernels *k, uint16_t *keys, uint16_t *values, const float *key, const float *value, size_t d, size_t at)
{
    uint16_t h[BLOCK];
    k->keep_half(values + at * d, value, d);
    for (size_t i = 0; i < d; i += BLOCK) {
        size_t n = d - i < BLOCK ? d - i : BLOCK;
        k->keep_half(h, key + i, n);
        for (size_t j = 0; j < n; j++) keys[(i + j) * WT_PAGE + at] = h[j];
    }
}

static void put_floats(float *keys, float *values, const float *key, const float *value, size_t d, size_t at)
{
    memcpy(values + at * d, value, d * sizeof *values);
    for (size_t i = 0; i < d; i++) keys[i * WT_PAGE + at] = key[i];
}

void wt_kv_put(const wt_kernels *k, const wt_kv_view *kv, void *keys, void *values, int32_t at, const float *key, const float *value)
{
    size_t d = (size_t)kv->d_head;
    if (kv->type == WT_F32) put_floats(keys, values, key, value, d, (size_t)at);
    else if (kv->type == WT_F16) put_halves(k, keys, values, key, value, d, (size_t)at);
    else put_bytes(k, keys, values, key, value, d, (size_t)at);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

const float *wt_kv_keys(const wt_kernels *k, const wt_kv_view *kv, const void *panel, int32_t n, float *room)
{
    const uint8_t *p = panel;
    size_t d = (size_t)kv->d_head;
    if (kv->type == WT_F32) return panel;
    if (kv->type == WT_Q8_0)
        for (size_t b = 0; b < blocks(kv->d_head); b++) k->spread_byte(room + b * BLOCK * WT_PAGE, p + b * BLOCK_BYTES * WT_PAGE, WT_PAGE, (size_t)n);
    else if (n == WT_PAGE) k->unpack[WT_F16](room, p, d * WT_PAGE);
    else for (size_t i = 0; i < d; i++) k->unpack[WT_F16](room + i * WT_PAGE, p + 2 * i * WT_PAGE, (size_t)n);
    return room;
}

const float *wt_kv_values(const wt_kernels *k, const wt_kv_view *kv, const void *panel, int32_t n, float *room, size_t *ld)
{
    *ld = kv->type == WT_Q8_0 ? blocks(kv->d_head) * BLOCK : (size_t)kv->d_head;
    if (kv->type == WT_F32) return panel;
    k->unpack[kv->type](room, panel, (size_t)n * *ld);
    return room;
}
