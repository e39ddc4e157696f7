/* Chooses the kernels of this machine, once per model. */
#include "kernel/kernel.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

static const char *const tier_name[WT_N_TIER] = { "ref", "neon", "avx2", "avx512f", "avx512" };
const char wt_tier_names[] = "ref, neon, avx2, avx512f or avx512";

const char *wt_tier_name(wt_tier t) { return tier_name[t]; }

bool wt_tier_parse(const char *name, wt_tier *t)
{
    for (int i = 0; i < WT_N_TIER; i++)
        if (!strcmp(name, tier_name[i])) { *t = (wt_tier)i; return true; }
    return false;
}

#if defined(__x86_64__)
/* Bit `bit` of register ecx of a CPU leaf; for features that clang 14 has no name for. */
static bool ecx_bit(unsigned leaf, unsigned bit)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(leaf, 0, &a, &b, &c, &d) && c >> bit & 1;
}

static bool have_avx2(void)
{
    __builtin_cpu_init();                        /* also asks whether the system saves the wide registers */
    return ecx_bit(1, 29) /* F16C */ && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool have_avx512(void)
{
    return have_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

static bool have_vnni(void) { return have_avx512() && ecx_bit(7, 11); }

static bool have_bf16(void)
{
    unsigned a, b, c, d;
    return have_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 5 & 1;
}
#elif defined(__aarch64__) && defined(__linux__)
static bool have_dot(void) { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }
#elif defined(__aarch64__)
static bool have_dot(void) { return false; }     /* until another system's way to ask is known here */
#endif

bool wt_tier_here(wt_tier t)
{
    if (t == WT_TIER_REF) return true;
#if defined(__x86_64__)
    return (t == WT_TIER_AVX2 && have_avx2()) || (t == WT_TIER_AVX512F && have_avx512()) || (t == WT_TIER_AVX512 && have_vnni());
#elif defined(__aarch64__)
    return t == WT_TIER_NEON;
#else
    return false;
#endif
}

wt_tier wt_cpu_tier(void)
{
    int t = WT_N_TIER - 1;
    while (!wt_tier_here((wt_tier)t)) t--;
    return (wt_tier)t;
}

void wt_kernels_init(wt_kernels *k, wt_tier limit, bool exact)
{
    while (!wt_tier_here(limit)) limit--;
    wt_kernels_ref(k);
    wt_kernels_ref_q(k);
    wt_kernels_ref_attn(k);
    wt_kernels_ref_adam(k);
    wt_kernels_ref_gemm(k);
    wt_kernels_ref_train(k);
#if defined(__x86_64__)
    if (limit >= WT_TIER_AVX2) { wt_kernels_avx2(k); wt_kernels_avx2_attn(k); wt_kernels_avx2_adam(k); wt_kernels_avx2_q(k); wt_kernels_avx2_gemm(k); wt_peaks_avx2(k); }
    if (limit >= WT_TIER_AVX512F) { wt_kernels_avx512(k); wt_kernels_avx512_attn(k); wt_kernels_avx512_adam(k); wt_kernels_avx512_q(k); wt_kernels_avx512_gemm(k); wt_peaks_avx512(k); }
    if (limit >= WT_TIER_AVX512) { wt_kernels_vnni_q(k); wt_peaks_vnni(k); }
    if (limit >= WT_TIER_AVX2) wt_kernels_avx2_train(k);
    if (limit >= WT_TIER_AVX512F) wt_kernels_avx512_train(k);
    if (limit >= WT_TIER_AVX512F && have_bf16()) { wt_kernels_avx512_bf16(k); wt_peaks_bf16(k); }
#elif defined(__aarch64__)
    if (limit >= WT_TIER_NEON) { wt_kernels_neon(k); wt_kernels_neon_attn(k); wt_kernels_neon_gemm(k); wt_kernels_neon_q(k); wt_peaks_neon(k); }
    if (limit >= WT_TIER_NEON && have_dot()) { wt_kernels_neon_dot_q(k); wt_peaks_neon_dot(k); }
#endif
    k->tier = limit;
    if (!exact) return;
    memset(k->qmul, 0, sizeof k->qmul);
    k->quantize = NULL;
}
