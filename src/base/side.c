/* Side contexts: what lets workers allocate and fail. See thread.h. */
#include "base/thread.h"

#include <pthread.h>
#include <string.h>

struct wt_sides { wt_ctx *cx; int32_t n; pthread_mutex_t lock; wt_ctx side[]; };

static void *side_alloc(void *user, size_t n)
{
    wt_sides *s = user;
    pthread_mutex_lock(&s->lock);
    void *p = s->cx->mem.alloc(s->cx->mem.user, n);
    pthread_mutex_unlock(&s->lock);
    return p;
}

static void *side_realloc(void *user, void *old, size_t n)
{
    wt_sides *s = user;
    pthread_mutex_lock(&s->lock);
    void *p = s->cx->mem.realloc(s->cx->mem.user, old, n);
    pthread_mutex_unlock(&s->lock);
    return p;
}

static void side_free(void *user, void *p)
{
    wt_sides *s = user;
    pthread_mutex_lock(&s->lock);
    s->cx->mem.free(s->cx->mem.user, p);
    pthread_mutex_unlock(&s->lock);
}

wt_status wt_sides_open(wt_ctx *cx, wt_sides **out)
{
    wt_sides *s = wt_realloc(cx, NULL, 1, sizeof *s + (size_t)cx->threads * sizeof *s->side);
    if (!s) return WT_ENOMEM;
    s->cx = cx;
    s->n = cx->threads;
    pthread_mutex_init(&s->lock, NULL);
    for (int32_t i = 0; i < s->n; i++) {
        wt_ctx *side = s->side + i;
        memset(side, 0, sizeof *side);
        side->mem = (witan_allocator){ side_alloc, side_realloc, side_free, s };
        side->io = cx->io;
        side->threads = side->usual_threads = 1;
        side->exact = cx->exact;
        memcpy(side->tier, cx->tier, sizeof side->tier);
        atomic_init(&side->canceled, false);
    }
    *out = s;
    return WITAN_OK;
}

wt_ctx *wt_side(wt_sides *s, int worker)
{
    wt_assert(worker >= 0 && worker < s->n);
    return s->side + worker;
}

void wt_sides_free(wt_sides *s)
{
    if (!s) return;
    pthread_mutex_destroy(&s->lock);
    wt_free(s->cx, s);
}
