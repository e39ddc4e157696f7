/* Worker threads: a small pool that belongs to a context.
 *
 * The caller publishes a job, takes pieces itself, and at the end waits only for workers that have taken one: a worker that the
 * system has not woken yet is not missed. Idle workers spin for a moment and then sleep. Both matter on machines that are shared: with
 * OpenMP's barriers, and another program at low priority on the same two cores, prefill of a small model fell from 3,750 to 270 tokens/s.
 *
 * While everybody spins nothing is locked. One word says it all: the number of the job, whether it may be joined, and how many workers are
 * inside; a worker joins by adding itself to the word it has seen, so it cannot join a job that was closed or replaced in between. */
#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

enum { SPIN = 4000 };            /* some tens of microseconds: the gap between two jobs of one forward pass */

/* Of the word: bits 0 .. 15 workers inside, bit 16 open, from 17 on the number of the job. */
#define INSIDE 0xffffu
#define OPEN ((uint64_t)1 << 16)
#define JOB ((uint64_t)1 << 17)

typedef struct worker { struct wt_pool *pool; pthread_t thread; int number; } worker;

struct wt_pool {
    wt_ctx *cx;
    pthread_mutex_t lock;        /* for sleeping only */
    pthread_cond_t wake, idle;
    worker w[WT_MAX_THREADS];
    int n;                       /* threads made, besides the caller */
    bool pinned;                 /* pinning was tried */
    pthread_t caller; cpu_set_t before;   /* who was pinned besides the workers, and where it could run until then; empty: nobody was */
    atomic_bool stop;
    atomic_int asleep, waiting;  /* workers; the caller */
    int wanted;                  /* workers that may join this job: those with numbers up to it */
    wt_range_fn fn;
    void *arg;
    size_t total, grain, share;  /* a piece is a share-th of what is left, at least grain */
    char apart[64];              /* the two that all write stand in lines of their own */
    atomic_uint_fast64_t word;
    char apart2[64];
    atomic_size_t next;
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

int32_t wt_cpu_count(const wt_ctx *cx)
{
    const struct wt_pool *p = cx->pool;
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1, limit = quota();
    if (p && CPU_COUNT(&p->before) && pthread_equal(p->caller, pthread_self())) n = CPU_COUNT(&p->before);   /* it stays on one now */
    if (limit && limit < n) n = limit;
    return n < 1 ? 1 : n > WT_MAX_THREADS ? WT_MAX_THREADS : n;
}

/* ---- processors -------------------------------------------------------------------------------------------------------- */

/* The first of the processors that share a core with this one; itself where the system does not tell. */
static int core_of(int cpu)
{
    char path[80];
    int first = cpu;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "re");
    if (!f) return cpu;
    if (fscanf(f, "%d", &first) != 1) first = cpu;
    fclose(f);
    return first;
}

/* The n-th processor that this process may use, counting one of each core before second ones; -1: there are fewer. */
static int nth_cpu(int n)
{
    cpu_set_t may, used;
    if (sched_getaffinity(0, sizeof may, &may)) return -1;
    for (int round = 0; round < CPU_SETSIZE && CPU_COUNT(&may); round++) {
        CPU_ZERO(&used);                         /* cores taken in this round, by their first processor */
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            if (!CPU_ISSET(cpu, &may) || CPU_ISSET(core_of(cpu), &used)) continue;
            CPU_SET(core_of(cpu), &used);
            CPU_CLR(cpu, &may);
            if (!n--) return cpu;
        }
    }
    return -1;
}

static void pin(pthread_t thread, int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(thread, sizeof one, &one);        /* only speed depends on it */
}

/* Caller and workers, or nobody. */
static void pin_all(struct wt_pool *p)
{
    int cpu[WT_MAX_THREADS + 1];
    for (int i = 0; i <= p->n; i++) if ((cpu[i] = nth_cpu(i)) < 0) return;
    for (int i = 0; i < p->n; i++) pin(p->w[i].thread, cpu[i + 1]);
    p->caller = pthread_self();
    if (sched_getaffinity(0, sizeof p->before, &p->before)) CPU_ZERO(&p->before);
    pin(p->caller, cpu[0]);
}

static void unpin(const struct wt_pool *p)
{
    if (CPU_COUNT(&p->before) && pthread_equal(p->caller, pthread_self())) pthread_setaffinity_np(p->caller, sizeof p->before, &p->before);
}

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Pieces grow smaller towards the end: large ones are read straight on, small ones let everybody finish together. */
static void take_pieces(struct wt_pool *p, int number)
{
    size_t begin = atomic_load_explicit(&p->next, memory_order_relaxed), n;
    while (begin < p->total) {
        n = (p->total - begin) / p->share;
        if (n < p->grain) n = p->total - begin < p->grain ? p->total - begin : p->grain;
        if (!atomic_compare_exchange_weak_explicit(&p->next, &begin, begin + n, memory_order_relaxed, memory_order_relaxed)) continue;
        p->fn(p->arg, begin, begin + n, number);
        begin = atomic_load_explicit(&p->next, memory_order_relaxed);
    }
}

/* Waits until there is another job than `seen`; returns the word. */
static uint64_t next_job(struct wt_pool *p, uint64_t seen)
{
    uint64_t w = 0;
    for (int i = 0; i < SPIN; i++) {
        if ((w = atomic_load(&p->word)) / JOB != seen) return w;
        pause_briefly();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->asleep, 1);             /* before the last look: who publishes looks for sleepers behind publishing */
    while ((w = atomic_load(&p->word)) / JOB == seen && !atomic_load(&p->stop)) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->asleep, 1);
    pthread_mutex_unlock(&p->lock);
    return w;
}

static bool join(struct wt_pool *p, uint64_t w)
{
    uint64_t job = w / JOB;
    while (w & OPEN && w / JOB == job)
        if (atomic_compare_exchange_weak(&p->word, &w, w + 1)) return true;
    return false;
}

static void *work(void *arg)
{
    worker *me = arg;
    struct wt_pool *p = me->pool;
    uint64_t seen = 0;
    for (;;) {
        uint64_t w = next_job(p, seen);
        if (atomic_load(&p->stop)) return NULL;
        seen = w / JOB;
        if (!join(p, w)) continue;
        if (me->number <= p->wanted) take_pieces(p, me->number);
        if ((atomic_fetch_sub(&p->word, 1) & INSIDE) == 1 && atomic_load(&p->waiting)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->idle);
            pthread_mutex_unlock(&p->lock);
        }
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
    if (p->pinned && p->n < n) {                 /* workers begin where their maker may run */
        unpin(p);
        p->pinned = false;
    }
    sigset_t before;
    quiet_signals(&before);
    for (; p->n < n; p->n++) {
        worker *w = p->w + p->n;
        *w = (worker){ .pool = p, .number = p->n + 1 };
        if (pthread_create(&w->thread, NULL, work, w)) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (cx->pin && !p->pinned) { pin_all(p); p->pinned = true; }
    return p;
}

void wt_pool_free(wt_ctx *cx)
{
    struct wt_pool *p = cx->pool;
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    atomic_fetch_add(&p->word, JOB);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n; i++) pthread_join(p->w[i].thread, NULL);
    unpin(p);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->idle);
    wt_free(cx, p);
    cx->pool = NULL;
}

/* What a job is may only change while nobody can be inside: finish() has closed the last one. */
static void publish(struct wt_pool *p, int wanted, size_t total, size_t grain, wt_range_fn fn, void *arg)
{
    p->fn = fn;
    p->arg = arg;
    p->total = total;
    p->grain = grain;
    p->share = 2 * (size_t)(wanted + 1);
    p->wanted = wanted;
    atomic_store(&p->next, 0);
    atomic_store(&p->word, (atomic_load(&p->word) / JOB + 1) * JOB + OPEN);
    if (!atomic_load(&p->asleep)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void finish(struct wt_pool *p)
{
    atomic_fetch_and(&p->word, ~OPEN);
    for (int i = 0; i < SPIN && atomic_load(&p->word) & INSIDE; i++) pause_briefly();
    if (!(atomic_load(&p->word) & INSIDE)) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->waiting, 1);
    while (atomic_load(&p->word) & INSIDE) pthread_cond_wait(&p->idle, &p->lock);
    atomic_store(&p->waiting, 0);
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
    publish(p, threads - 1, n, grain > 1 ? grain : 1, fn, arg);
    take_pieces(p, 0);
    finish(p);
}
