/* See crafted.h. */
#include "crafted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- bytes ---------------------------------------------------------------------------------------------------------- */

void put(bytes *f, const void *p, size_t n)
{
    if (f->n + n > f->cap) {
        f->cap = (f->n + n) * 2;
        f->b = realloc(f->b, f->cap);
        if (!f->b) abort();
    }
    if (n) memcpy(f->b + f->n, p, n);
    f->n += n;
}

void put_u8(bytes *f, uint8_t v) { put(f, &v, 1); }
void put_u32(bytes *f, uint32_t v) { put(f, &v, 4); }
void put_u64(bytes *f, uint64_t v) { put(f, &v, 8); }
void put_f32(bytes *f, float v) { put(f, &v, 4); }
void put_str(bytes *f, const char *s) { put_u64(f, strlen(s)); put(f, s, strlen(s)); }
void put_zeros(bytes *f, size_t n) { while (n--) put_u8(f, 0); }
void pad(bytes *f, size_t to) { while (f->n % to) put_u8(f, 0); }

void head(bytes *f, uint32_t version, uint64_t n_tensor, uint64_t n_kv)
{
    f->n = 0;
    put(f, "GGUF", 4);
    put_u32(f, version);
    put_u64(f, n_tensor);
    put_u64(f, n_kv);
}

void tensor(bytes *f, const char *name, uint32_t n_dim, const uint64_t *ne, uint32_t type, uint64_t offset)
{
    put_str(f, name);
    put_u32(f, n_dim);
    for (uint32_t i = 0; i < n_dim && i < 8; i++) put_u64(f, ne[i]);
    put_u32(f, type);
    put_u64(f, offset);
}

void load_mini(bytes *f, const mini *m)
{
    fuzz z;
    witan_ctx *cx = fuzz_begin(&z, (const uint8_t *)"", 0, false);
    f->n = 0;
    if (mini_write(cx, m, "out", 0, NULL)) fail_msg("%s: %s", m->name, witan_error(cx));
    put(f, z.out, z.n_out);
    fuzz_end(&z, cx);
}

size_t header_bytes(const bytes *f)
{
    fuzz z;
    wt_gguf *g;
    witan_ctx *cx = fuzz_begin(&z, f->b, f->n, false);
    if (wt_gguf_open(cx, FUZZ_FILE, &g)) fail_msg("%s", witan_error(cx));
    size_t n = g->data_at;
    wt_gguf_free(g);
    fuzz_end(&z, cx);
    return n;
}

void insert_key(bytes *f, const char *key, const bytes *value)
{
    bytes in = { 0 };
    uint64_t n_kv;
    put_str(&in, key);
    put(&in, value->b, value->n);
    put_str(&in, "x.pad");
    put_u32(&in, 8);
    put_u64(&in, (64 - (in.n + 8) % 32) % 32);
    while (in.n % 32) put_u8(&in, 'x');
    put_zeros(f, in.n);
    memmove(f->b + 24 + in.n, f->b + 24, f->n - 24 - in.n);
    memcpy(f->b + 24, in.b, in.n);
    memcpy(&n_kv, f->b + 16, 8);
    n_kv += 2;
    memcpy(f->b + 16, &n_kv, 8);
    free(in.b);
}

void patch(bytes *f, const char *key, const void *value, size_t n)
{
    uint8_t *at = memmem(f->b, f->n, key, strlen(key));
    if (!at) fail_msg("there is no key %s", key);
    memcpy(at + strlen(key) + 4, value, n);
}

/* ---- names that collide ---------------------------------------------------------------------------------------------- */

enum { BLOCKS = 17 };       /* seventeen times in a row, two blocks of four letters with the same result */
static char block[BLOCKS][2][5];

static uint32_t fnv(uint32_t h, const char *s)
{
    for (int i = 0; i < 4; i++) h = (h ^ (uint8_t)s[i]) * 16777619u;
    return h;
}

/* Two different blocks that lead from h to the same value, which is returned. */
static uint32_t twins(uint32_t h, char out[2][5])
{
    enum { SLOTS = 1 << 20 };
    char (*seen)[4] = calloc(SLOTS, 4);
    if (!seen) abort();
    for (unsigned seed = 1;;) {
        char s[5] = "";
        for (int i = 0; i < 4; i++) s[i] = (char)('!' + rand_r(&seed) / 64 % 94);
        uint32_t x = fnv(h, s), at = x * 2654435761u >> 12;
        for (; seen[at][0]; at = (at + 1) % SLOTS)
            if (fnv(h, seen[at]) == x && memcmp(seen[at], s, 4)) {
                memcpy(out[0], seen[at], 4);
                memcpy(out[1], s, 4);
                free(seen);
                return x;
            }
        memcpy(seen[at], s, 4);
    }
}

void colliding(size_t i, char name[COLLIDING_BYTES + 1])
{
    uint32_t h = 2166136261u;
    for (int b = 0; !*block[BLOCKS - 1][0] && b < BLOCKS; b++) h = twins(h, block[b]);
    for (int b = 0; b < BLOCKS; b++) memcpy(name + 4 * b, block[b][i >> b & 1], 4);
    name[COLLIDING_BYTES] = 0;
}

/* ---- a child -------------------------------------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1, SLOWER = 20 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { SANITIZED = 1, SLOWER = 20 };
#else
enum { SANITIZED = 0, SLOWER = 1 };
#endif
#else
enum { SANITIZED = 0, SLOWER = 1 };
#endif

/* Address space as it is now, and 64 MiB + 8 x file for the library, three copies of the file, and 32 MiB for everybody else. */
static void limit_memory(size_t n_file)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (SANITIZED || !f || fscanf(f, "%lu", &pages) != 1 || !pages) { if (f) fclose(f); return; }
    fclose(f);
    rlim_t most = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)96 << 20) + 11 * (rlim_t)n_file;
    setrlimit(RLIMIT_AS, &(struct rlimit){ most, most });
}

/* Processor time, so that other work on the machine does no harm; SIGPROF ends the process. */
static void limit_time(double seconds)
{
    struct itimerval t = { .it_value = { (time_t)seconds, (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6) } };
    setitimer(ITIMER_PROF, &t, NULL);
}

void in_child(void (*fn)(size_t i), size_t n, size_t n_file, double seconds)
{
    volatile size_t *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    assert_true(at != MAP_FAILED);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
        for (int s = 1; s < 32; s++) signal(s, SIG_DFL);      /* cmocka catches some */
        limit_memory(n_file);
        alarm(600);                                           /* for one that sleeps for ever */
        for (*at = 0; *at < n; ++*at) {
            limit_time(seconds * SLOWER);
            fn(*at);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    size_t last = *at;
    munmap((void *)(uintptr_t)at, sizeof *at);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF) fail_msg("attempt %zu takes more than %g s", last, seconds * SLOWER);
    if (WIFSIGNALED(status)) fail_msg("attempt %zu: %s", last, strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status)) fail_msg("attempt %zu: exit status %d", last, WEXITSTATUS(status));
}

/* ---- attempts ------------------------------------------------------------------------------------------------------- */

static const bytes *file;
static int named, must_fail;
static const char *wanted;

static witan_status attempt(witan_ctx *cx, int call)
{
    char *json = NULL;
    witan_model *m = NULL;
    witan_convert_result r = { 0 };
    witan_status st;
    if (call == INSPECT) st = witan_inspect(cx, FUZZ_FILE, &json);
    else if (call == MODEL) st = witan_model_open(cx, FUZZ_FILE, NULL, &m);
    else if (call == VOCAB) st = witan_vocab_open(cx, FUZZ_FILE, NULL, &m);
    else st = witan_convert(cx, FUZZ_FILE, "out", &(witan_convert_options){ .type = "Q8_0" }, &r);
    witan_free(cx, json);
    witan_free(cx, r.first);
    witan_model_free(m);
    return st;
}

static void check(witan_ctx *cx, int call, witan_status st)
{
    const char *why = witan_error(cx);
    bool good = st ? must_fail && strstr(why, wanted) && strstr(why, "fuzz-0000") && !strchr(why, '\n') : !must_fail;
    if (good) return;
    const char *name = call == INSPECT ? "inspect" : call == MODEL ? "model" : call == VOCAB ? "vocabulary" : "convert";
    fprintf(stderr, "%s: %s; expected %s%s\n", name, st ? why : "accepted", must_fail ? "a refusal that says " : "success", must_fail ? wanted : "");
    _exit(3);
}

static void try_call(size_t i)
{
    int call = 1 << i;
    fuzz z;
    witan_ctx *cx = fuzz_begin(&z, file->b, file->n, true);
    witan_status st = attempt(cx, call);
    fuzz_ok(cx, st);
    if (named & call) check(cx, call, st);
    fuzz_end(&z, cx);
}

static void try_all(const bytes *f, int calls, bool fails, const char *must_say, double seconds)
{
    file = f;
    named = calls;
    must_fail = fails;
    wanted = must_say;
    in_child(try_call, 4, f->n, seconds);
}

void refused_within(const bytes *f, int calls, const char *must_say, double seconds) { try_all(f, calls, true, must_say, seconds); }
void refused(const bytes *f, int calls, const char *must_say) { try_all(f, calls, true, must_say, 2); }
void accepted(const bytes *f, int calls) { try_all(f, calls, false, "", 2); }
