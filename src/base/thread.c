/* Worker threads: a small pool that belongs to a context.
 *
 * The caller publishes a job, takes pieces itself, and at the end waits only for workers that have taken one: a worker that the
 * system has not woken yet is not missed. Idle workers spin for a moment and then sleep. Both matter on machines that are shared: with
 * OpenMP's barriers, and another program at low priority on the same two cores, prefill of a small model fell from 3,750 to 270 tokens/s. */
#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

enum { SPIN = 4000 };            /* some microseconds: the gap between two jobs of one forward pass */

typedef struct worker { struct wt_pool *pool; pthread_t thread; int number; } worker;

struct wt_pool {
    wt_ctx *cx;
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    worker w[WT_MAX_THREADS];
    int n;                       /* threads made, besides the caller */
    int wanted;                  /* of them, those that may join this job */
    int inside;                  /* workers that have joined it */
    bool open, stop;
    atomic_uint round;           /* counts jobs */
    wt_range_fn fn;
    void *arg;
    size_t total, pieces;
    atomic_size_t next;
    atomic_int busy;             /* inside, for spinning */
};

/* A container's share of processor time in whole processors, rounded up; 0: no limit, or not known. More threads than that would
 * only wait for each other. */
static int quota(void)
{
    long long most, period;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f) return 0;
    int got = fscanf(f, "%lld %lld", &most, &period);    /* "max 100000" where there is none */
    fclose(f);
    return got == 2 && most > 0 && period > 0 && most / period < WT_MAX_THREADS ? (int)((most + period - 1) / period) : 0;
}

int32_t wt_cpu_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1, limit = quota();
    if (limit && limit < n) n = limit;
    return n < 1 ? 1 : n > WT_MAX_THREADS ? WT_MAX_THREADS : n;
}

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void take_pieces(struct wt_pool *p, int number)
{
    size_t i;
    while ((i = atomic_fetch_add(&p->next, 1)) < p->pieces)
        p->fn(p->arg, p->total * i / p->pieces, p->total * (i + 1) / p->pieces, number);
}

static void *work(void *arg)
{
    worker *w = arg;
    struct wt_pool *p = w->pool;
    unsigned seen = 0;
    for (;;) {
        for (int i = 0; i < SPIN && atomic_load(&p->round) == seen; i++) pause_briefly();
        pthread_mutex_lock(&p->lock);
        while (!p->stop && atomic_load(&p->round) == seen) pthread_cond_wait(&p->wake, &p->lock);
        seen = atomic_load(&p->round);
        bool join = p->open && w->number <= p->wanted, stop = p->stop;
        if (join) atomic_store(&p->busy, ++p->inside);
        pthread_mutex_unlock(&p->lock);
        if (stop) return NULL;
        if (!join) continue;
        take_pieces(p, w->number);
        pthread_mutex_lock(&p->lock);
        atomic_store(&p->busy, --p->inside);
        if (!p->inside) pthread_cond_signal(&p->idle);
        pthread_mutex_unlock(&p->lock);
    }
}

/* Workers inherit this: signals to the process are for threads of the program, whose system calls they are to interrupt. What a thread
 * does to itself (a bad address) stays deliverable. */
static void quiet_signals(sigset_t *before)
{
    static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP };
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&set, own[i]);
    pthread_sigmask(SIG_BLOCK, &set, before);
}

/* A pool with at least n workers if the system gives them; fewer are fine, none too. */
static struct wt_pool *pool_of(wt_ctx *cx, int n)
{
    struct wt_pool *p = cx->pool;
    if (!p) {
        wt_status before = cx->code;
        p = wt_alloc(cx, 1, sizeof *p);
        if (!p) { cx->code = before; return NULL; }   /* not an error: the caller works alone */
        p->cx = cx;
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->wake, NULL);
        pthread_cond_init(&p->idle, NULL);
        cx->pool = p;
    }
    sigset_t before;
    quiet_signals(&before);
    for (; p->n < n; p->n++) {
        worker *w = p->w + p->n;
        *w = (worker){ .pool = p, .number = p->n + 1 };
        if (pthread_create(&w->thread, NULL, work, w)) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return p;
}

void wt_pool_free(wt_ctx *cx)
{
    struct wt_pool *p = cx->pool;
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    atomic_fetch_add(&p->round, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n; i++) pthread_join(p->w[i].thread, NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->idle);
    wt_free(cx, p);
    cx->pool = NULL;
}

static void publish(struct wt_pool *p, int wanted, size_t total, size_t pieces, wt_range_fn fn, void *arg)
{
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->arg = arg;
    p->total = total;
    p->pieces = pieces;
    p->wanted = wanted;
    p->open = true;
    atomic_store(&p->next, 0);
    atomic_fetch_add(&p->round, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void finish(struct wt_pool *p)
{
    for (int i = 0; i < SPIN && atomic_load(&p->busy); i++) pause_briefly();
    pthread_mutex_lock(&p->lock);
    p->open = false;
    while (p->inside) pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void wt_parallel(wt_ctx *cx, size_t n, size_t grain, wt_range_fn fn, void *arg)
{
    size_t most = grain > 1 ? n / grain : n;
    int threads = (size_t)cx->threads < most ? cx->threads : (int)most;
    struct wt_pool *p = threads > 1 ? pool_of(cx, threads - 1) : NULL;
    if (!p || !p->n) {
        if (n) fn(arg, 0, n, 0);
        return;
    }
    size_t pieces = (size_t)threads * 4 < most ? (size_t)threads * 4 : most;   /* a few each, so that a slow core does not hold all */
    publish(p, threads - 1, n, pieces, fn, arg);
    take_pieces(p, 0);
    finish(p);
}
