/* Worker threads through OpenMP. */
#include "base/thread.h"

#include <omp.h>
#include <sched.h>

int32_t wt_cpu_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n > WT_MAX_THREADS ? WT_MAX_THREADS : n;
}

void wt_parallel(wt_ctx *cx, size_t n, size_t grain, wt_range_fn fn, void *arg)
{
    size_t most = grain ? (n + grain - 1) / grain : n;
    int threads = (size_t)cx->threads < most ? cx->threads : (int)most;
    if (threads <= 1) {
        if (n) fn(arg, 0, n, 0);
        return;
    }
    size_t pieces = (size_t)threads * 4 < most ? (size_t)threads * 4 : most;   /* a few each, so that a slow core does not hold all */
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (size_t i = 0; i < pieces; i++) {
        size_t begin = n * i / pieces, end = n * (i + 1) / pieces;
        if (begin < end) fn(arg, begin, end, omp_get_thread_num());
    }
}
