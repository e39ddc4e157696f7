/* SHA-256 through libmd; universal hashing for tables. */
#include "base/hash.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

void wt_sha_init(wt_sha *h) { SHA256Init(h); }
void wt_sha_add(wt_sha *h, const void *p, size_t n) { SHA256Update(h, p, n); }

void wt_sha_end(wt_sha *h, char hex[65])
{
    uint8_t d[SHA256_DIGEST_LENGTH];
    SHA256Final(d, h);
    for (size_t i = 0; i < sizeof d; i++) snprintf(hex + 2 * i, 3, "%02x", d[i]);
}

/* ---- tables ---------------------------------------------------------------------------------------------------------
 * A text is a polynomial whose coefficients are its bytes, taken at a secret point modulo the prime 2^61 - 1; a slot is the top of that
 * value times a secret odd number (Carter and Wegman, 1979; Dietzfelbinger et al., 1997). */

static const uint64_t prime = ((uint64_t)1 << 61) - 1;
static uint64_t point, factor;

/* When the library is loaded: before there are threads, and before other constructors ask for a key. */
__attribute__((constructor(200))) static void choose_keys(void)
{
    uint64_t r[2] = { 0, 0 };
    if (getrandom(r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r) {   /* early in the life of a machine */
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        r[0] = ((uint64_t)t.tv_nsec << 32 ^ (uint64_t)(uintptr_t)&t) * 0x9E3779B97F4A7C15u;
        r[1] = (r[0] ^ r[0] >> 29) * 0xBF58476D1CE4E5B9u;
    }
    point = 256 + r[0] % (prime - 512);
    factor = r[1] | 1;
}

uint64_t wt_name_hash(uint64_t before, const char *s, size_t n)
{
    uint64_t h = before;
    for (size_t i = 0; i < n; i++) {
        __uint128_t x = (__uint128_t)h * point + (uint8_t)s[i] + 1;     /* + 1: a NUL in front counts too */
        h = (uint64_t)(x & prime) + (uint64_t)(x >> 61);
        if (h >= prime) h -= prime;
    }
    return h;
}

size_t wt_hash_slot(uint64_t hash, size_t n_slot) { return (size_t)(hash * factor >> (64 - __builtin_ctzll(n_slot))); }

uint64_t wt_hash_key(void) { return point ^ factor; }
