/* rng.c: see rng.h. */
#include "base/rng.h"

static const uint64_t golden = 0x9e3779b97f4a7c15u;   /* splitmix64's increment */

uint64_t wt_mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void wt_rng_seed(wt_rng *rng, uint64_t seed, uint64_t stream)
{
    /* Mixing the stream first keeps (seed, stream) and (seed + 1, stream - 1) apart. */
    uint64_t x = wt_mix64(seed + golden) ^ wt_mix64(~stream * golden);
    for (int i = 0; i < 4; i++) rng->s[i] = wt_mix64(x += golden);   /* never all zero: the mix is a bijection */
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t wt_rng_u64(wt_rng *rng)
{
    uint64_t *s = rng->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t wt_rng_below(wt_rng *rng, uint64_t n)
{
    if (n == 0) return 0;
    uint64_t skip = -n % n;   /* 2^64 mod n: values below it would make the low remainders likelier */
    uint64_t x;
    do x = wt_rng_u64(rng); while (x < skip);
    return x % n;
}

float wt_rng_float(wt_rng *rng)
{
    return (float)(wt_rng_u64(rng) >> 40) * 0x1p-24f;
}
