/* An arena: memory that is taken piece by piece and given back together. Rewinding keeps the blocks, so a loop that
 * takes the same amounts each round stops allocating after the first. */
#ifndef WT_BASE_ARENA_H
#define WT_BASE_ARENA_H

#include "base/ctx.h"

typedef struct wt_arena_block wt_arena_block;
typedef struct wt_arena { wt_ctx *cx; wt_arena_block *first, *cur; size_t block_size; bool huge; /* ask for huge pages */ } wt_arena;
typedef struct wt_mark { wt_arena_block *block; size_t used; } wt_mark;

void wt_arena_init(wt_arena *a, wt_ctx *cx, size_t block_size);
void *wt_take(wt_arena *a, size_t bytes);          /* 64-byte aligned, not zeroed; NULL: allocation failed, error set */
void *wt_take_n(wt_arena *a, size_t n, size_t size);   /* the same for n * size, checked */
wt_mark wt_mark_set(const wt_arena *a);
void wt_rewind(wt_arena *a, wt_mark m);
void wt_arena_free(wt_arena *a);

#endif
