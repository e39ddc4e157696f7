/* rng.h: a small seedable random number generator (xoshiro256**, seeded through splitmix64).
 *
 * The same seed and stream give the same numbers on every machine: corpora, samplers and tests depend on that.
 * Streams of one seed are unrelated sequences, so item 7 of something can be drawn without drawing items 0..6.
 * Not for secrets.
 *
 * Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018 (public domain).
 */
#ifndef WT_BASE_RNG_H
#define WT_BASE_RNG_H

#include <stdint.h>

typedef struct wt_rng { uint64_t s[4]; } wt_rng;

/* One step of splitmix64's output function: a good 64-bit mix, used for seeds and for hashes. */
uint64_t wt_mix64(uint64_t x);

void     wt_rng_seed(wt_rng *rng, uint64_t seed, uint64_t stream);
uint64_t wt_rng_u64(wt_rng *rng);

/* Uniform in [0, n), without bias; n = 0 gives 0. */
uint64_t wt_rng_below(wt_rng *rng, uint64_t n);

/* Uniform in [0, 1), a multiple of 2^-24. */
float    wt_rng_float(wt_rng *rng);

#endif
