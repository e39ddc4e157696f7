/* Worker threads. The range [0, n) is cut into pieces of at least grain; each piece is done by one worker. Which worker
 * does which piece never changes a result, because every output element is written by one piece alone. */
#ifndef WT_BASE_THREAD_H
#define WT_BASE_THREAD_H

#include "base/ctx.h"

#define WT_MAX_THREADS 256

typedef void (*wt_range_fn)(void *arg, size_t begin, size_t end, int worker);   /* worker in [0, threads) */
void wt_parallel(wt_ctx *cx, size_t n, size_t grain, wt_range_fn fn, void *arg);
/* Contexts for the workers of a job that allocate or fail: calls in a worker get the side context of that worker. Its memory is the context's
 * (one allocation at a time), its error is its own, it reports nothing and has one thread. Blocks may be given back through either. */
typedef struct wt_sides wt_sides;
wt_status wt_sides_open(wt_ctx *cx, wt_sides **out);    /* as many as the context has threads */
wt_ctx *wt_side(wt_sides *s, int worker);
void wt_sides_free(wt_sides *s);                         /* NULL is fine */

void wt_pool_free(wt_ctx *cx);   /* ends the workers; part of freeing a context */
int32_t wt_cpu_count(const wt_ctx *cx);   /* processors the calling thread could run on before cx pinned it, at most its container's share */

#endif
