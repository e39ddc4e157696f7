/* Worker threads. The range [0, n) is cut into pieces of at least grain; each piece is done by one worker. Which worker
 * does which piece never changes a result, because every output element is written by one piece alone. */
#ifndef WT_BASE_THREAD_H
#define WT_BASE_THREAD_H

#include "base/ctx.h"

#define WT_MAX_THREADS 256

typedef void (*wt_range_fn)(void *arg, size_t begin, size_t end, int worker);   /* worker in [0, threads) */
void wt_parallel(wt_ctx *cx, size_t n, size_t grain, wt_range_fn fn, void *arg);
void wt_pool_free(wt_ctx *cx);   /* ends the workers; part of freeing a context */
int32_t wt_cpu_count(const wt_ctx *cx);   /* processors the calling thread could run on before cx pinned it, at most its container's share */

#endif
