/* The arena: a chain of blocks. Rewinding moves back along the chain; blocks stay and are used again. */
#include "base/arena.h"

#include "base/memory.h"

enum { ALIGN = 64 };

struct wt_arena_block { wt_arena_block *next; size_t size, used; uint8_t *data; };

void wt_arena_init(wt_arena *a, wt_ctx *cx, size_t block_size) { *a = (wt_arena){ .cx = cx, .block_size = block_size }; }

static wt_arena_block *block_new(wt_arena *a, size_t bytes)
{
    size_t size = bytes > a->block_size ? bytes : a->block_size, all;
    if (wt_add_over(size, sizeof(wt_arena_block) + ALIGN, &all)) { wt_fail(a->cx, WT_ENOMEM, "out of memory: %zu bytes asked", bytes); return NULL; }
    wt_arena_block *b = wt_realloc(a->cx, NULL, all, 1);
    if (!b) return NULL;
    if (a->huge) wt_huge_pages(b, all);
    uintptr_t at = ((uintptr_t)(b + 1) + ALIGN - 1) / ALIGN * ALIGN;
    *b = (wt_arena_block){ .size = size, .data = (uint8_t *)at };
    return b;
}

void *wt_take(wt_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) { wt_fail(a->cx, WT_ENOMEM, "out of memory: %zu bytes asked", bytes); return NULL; }
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    wt_arena_block *b = a->cur;
    while (b && b->size - b->used < bytes && b->next) b = b->next;
    if (!b || b->size - b->used < bytes) {
        wt_arena_block *fresh = block_new(a, bytes);
        if (!fresh) return NULL;
        if (b) b->next = fresh; else a->first = fresh;
        b = fresh;
    }
    a->cur = b;
    void *p = b->data + b->used;
    b->used += bytes;
    return p;
}

void *wt_take_n(wt_arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (wt_mul_over(n, size, &bytes)) { wt_fail(a->cx, WT_ENOMEM, "out of memory: %zu x %zu bytes asked", n, size); return NULL; }
    return wt_take(a, bytes);
}

wt_mark wt_mark_set(const wt_arena *a) { return (wt_mark){ a->cur, a->cur ? a->cur->used : 0 }; }

void wt_rewind(wt_arena *a, wt_mark m)
{
    wt_arena_block *b = m.block ? m.block->next : a->first;
    for (; b; b = b->next) b->used = 0;
    if (m.block) m.block->used = m.used;
    a->cur = m.block ? m.block : a->first;
}

void wt_arena_free(wt_arena *a)
{
    for (wt_arena_block *b = a->first, *next; b; b = next) {
        next = b->next;
        wt_free(a->cx, b);
    }
    a->first = a->cur = NULL;
}
