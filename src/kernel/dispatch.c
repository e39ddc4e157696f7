/* Chooses the kernels of this machine, once per model. */
#include "kernel/kernel.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char *const tier_name[WT_N_TIER] = { "ref", "avx2", "avx2q" };

const char *wt_tier_name(wt_tier t) { return tier_name[t]; }

bool wt_tier_parse(const char *name, wt_tier *t)
{
    for (int i = 0; i < WT_N_TIER; i++)
        if (!strcmp(name, tier_name[i])) { *t = (wt_tier)i; return true; }
    return false;
}

wt_tier wt_cpu_tier(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;
    __builtin_cpu_init();                        /* also asks whether the system saves the wide registers */
    bool half = __get_cpuid(1, &a, &b, &c, &d) && c >> 29 & 1;   /* F16C; clang has no name for it */
    if (half && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return WT_TIER_AVX2Q;
#endif
    return WT_TIER_REF;
}

void wt_kernels_init(wt_kernels *k, wt_tier limit)
{
    wt_tier have = wt_cpu_tier(), use = have < limit ? have : limit;
    wt_kernels_ref(k);
#if defined(__x86_64__)
    if (use >= WT_TIER_AVX2) { wt_kernels_avx2(k); wt_peaks_avx2(k); }
    if (use >= WT_TIER_AVX2Q) wt_kernels_avx2_q(k);
#endif
    (void)use;
}
