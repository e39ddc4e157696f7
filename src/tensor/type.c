/* Element and block types: sizes of all that GGUF knows, plain-C conversion of those witan reads and writes. */
#include "tensor/type.h"

#include "tensor/blocks.h"
#include <math.h>
#include <string.h>

/* ---- half precision ------------------------------------------------------------------------------------------------ */

float wt_half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, man = h & 1023, u;
    if (exp == 31) u = sign | 0x7f800000 | man << 13;
    else if (exp) u = sign | (exp + 112) << 23 | man << 13;
    else return (sign ? -1.0f : 1.0f) * ldexpf((float)man, -24);
    float f;
    memcpy(&f, &u, 4);
    return f;
}

uint16_t wt_float_to_half(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    uint32_t sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00);           /* rounds to 65536 or more */
    if (a < 0x38800000) {                                            /* denormal or zero: units of 2^-24 */
        float r = nearbyintf(ldexpf(fabsf(f), 24));
        return (uint16_t)(sign | (uint32_t)r);
    }
    a += 0xc8000fff + (a >> 13 & 1);                                 /* re-bias the exponent, round half to even */
    return (uint16_t)(sign | a >> 13);
}

uint16_t wt_float_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 64);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static uint16_t u16_at(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static void u16_put(uint8_t *p, uint16_t v) { p[0] = (uint8_t)v; p[1] = (uint8_t)(v >> 8); }

/* ---- conversion ---------------------------------------------------------------------------------------------------- */

static void unpack_f32(float *dst, const void *src, size_t n) { memcpy(dst, src, n * sizeof *dst); }
static void pack_f32(void *dst, const float *src, size_t n) { memcpy(dst, src, n * sizeof *src); }

static void unpack_f16(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = wt_half_to_float(u16_at((const uint8_t *)src + 2 * i));
}

static void pack_f16(void *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) u16_put((uint8_t *)dst + 2 * i, wt_float_to_half(src[i]));
}

static void unpack_bf16(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = wt_bf16_to_float(u16_at((const uint8_t *)src + 2 * i));
}

static void pack_bf16(void *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) u16_put((uint8_t *)dst + 2 * i, wt_float_to_bf16(src[i]));
}

static void unpack_q8_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 34, dst += 32) {
        float d = wt_half_to_float(u16_at(p));
        for (int i = 0; i < 32; i++) dst[i] = d * (float)(int8_t)p[2 + i];
    }
}

/* To the nearest whole number, halves away from zero, within -127 .. 127; what is no number becomes 0. */
static int8_t round_to_byte(float v)
{
    v = v > 127 ? 127 : v > -127 ? v : v <= -127 ? -127 : 0;
    int whole = (int)v;
    float rest = v - (float)whole;
    return (int8_t)(whole + (rest >= 0.5f) - (rest <= -0.5f));
}

/* d = largest |x| / 127; values rounded by the unrounded d, as ggml does. Where 1 / d overflows any half of d is 0, and so are the values. */
static void pack_q8_0(void *dst, const float *src, size_t n)
{
    uint8_t *p = dst;
    for (size_t b = 0; b < n / 32; b++, p += 34, src += 32) {
        float top = 0;
        for (int i = 0; i < 32; i++) top = fabsf(src[i]) > top ? fabsf(src[i]) : top;
        float d = top / 127.0f, inv = d != 0 ? 1.0f / d : 0;
        u16_put(p, wt_float_to_half(d));
        if (!isfinite(inv)) inv = 0;
        for (int i = 0; i < 32; i++) p[2 + i] = (uint8_t)round_to_byte(src[i] * inv);
    }
}

static void unpack_q4_0(float *dst, const void *src, size_t n)
{
    const uint8_t *p = src;
    for (size_t b = 0; b < n / 32; b++, p += 18, dst += 32) {
        float d = wt_half_to_float(u16_at(p));
        for (int i = 0; i < 16; i++) {
            dst[i] = d * (float)((p[2 + i] & 15) - 8);
            dst[i + 16] = d * (float)((p[2 + i] >> 4) - 8);
        }
    }
}

/* Cut off, within 0 .. 15; what is no number becomes 8, which stands for 0. */
static int to_nibble(float v) { return v >= 15 ? 15 : v > 0 ? (int)v : v <= 0 ? 0 : 8; }

/* d = (the value of largest magnitude, with its sign) / -8, so that it becomes exactly -8; others as x / d + 8.5 cut off. Where 1 / d
 * overflows any half of d is 0, and nothing is left to choose. */
static void pack_q4_0(void *dst, const float *src, size_t n)
{
    uint8_t *p = dst;
    for (size_t b = 0; b < n / 32; b++, p += 18, src += 32) {
        float top = 0, at = 0;
        for (int i = 0; i < 32; i++) if (fabsf(src[i]) > top) { top = fabsf(src[i]); at = src[i]; }
        float d = at / -8.0f, inv = d != 0 ? 1.0f / d : 0;
        u16_put(p, wt_float_to_half(d));
        if (isfinite(inv)) for (int i = 0; i < 16; i++) p[2 + i] = (uint8_t)(to_nibble(src[i] * inv + 8.5f) | to_nibble(src[i + 16] * inv + 8.5f) << 4);
        else memset(p + 2, 0, 16);
    }
}

/* Formats that are searched for, all columns alike. */
static void pack_q2_k(void *dst, const float *src, size_t n) { wt_pack_q2_k_weighted(dst, src, NULL, n); }
static void pack_q3_k(void *dst, const float *src, size_t n) { wt_pack_q3_k_weighted(dst, src, NULL, n); }
static void pack_q4_k(void *dst, const float *src, size_t n) { wt_pack_q4_k_weighted(dst, src, NULL, n); }
static void pack_q5_k(void *dst, const float *src, size_t n) { wt_pack_q5_k_weighted(dst, src, NULL, n); }
static void pack_q6_k(void *dst, const float *src, size_t n) { wt_pack_q6_k_weighted(dst, src, NULL, n); }
static void pack_iq4_nl(void *dst, const float *src, size_t n) { wt_pack_iq4_nl_weighted(dst, src, NULL, n); }
static void pack_iq4_xs(void *dst, const float *src, size_t n) { wt_pack_iq4_xs_weighted(dst, src, NULL, n); }
static void pack_mxfp4(void *dst, const float *src, size_t n) { wt_pack_mxfp4_weighted(dst, src, NULL, n); }

/* ---- the table ------------------------------------------------------------------------------------------------------ */

static const wt_type_info info[WT_N_TYPE] = {
    [WT_F32] = { "F32", 1, 4, unpack_f32, pack_f32 },
    [WT_F16] = { "F16", 1, 2, unpack_f16, pack_f16 },
    [WT_Q4_0] = { "Q4_0", 32, 18, unpack_q4_0, pack_q4_0 },
    [WT_Q4_1] = { "Q4_1", 32, 20, wt_unpack_q4_1, wt_pack_q4_1 },
    [WT_Q5_0] = { "Q5_0", 32, 22, wt_unpack_q5_0, wt_pack_q5_0 },
    [WT_Q5_1] = { "Q5_1", 32, 24, wt_unpack_q5_1, wt_pack_q5_1 },
    [WT_Q8_0] = { "Q8_0", 32, 34, unpack_q8_0, pack_q8_0 },
    [9] = { "Q8_1", 32, 36, NULL, NULL },
    [WT_Q2_K] = { "Q2_K", 256, 84, wt_unpack_q2_k, pack_q2_k },
    [WT_Q3_K] = { "Q3_K", 256, 110, wt_unpack_q3_k, pack_q3_k },
    [WT_Q4_K] = { "Q4_K", 256, 144, wt_unpack_q4_k, pack_q4_k },
    [WT_Q5_K] = { "Q5_K", 256, 176, wt_unpack_q5_k, pack_q5_k },
    [WT_Q6_K] = { "Q6_K", 256, 210, wt_unpack_q6_k, pack_q6_k },
    [15] = { "Q8_K", 256, 292, NULL, NULL },
    [16] = { "IQ2_XXS", 256, 66, NULL, NULL },
    [17] = { "IQ2_XS", 256, 74, NULL, NULL },
    [18] = { "IQ3_XXS", 256, 98, NULL, NULL },
    [19] = { "IQ1_S", 256, 50, NULL, NULL },
    [WT_IQ4_NL] = { "IQ4_NL", 32, 18, wt_unpack_iq4_nl, pack_iq4_nl },
    [21] = { "IQ3_S", 256, 110, NULL, NULL },
    [22] = { "IQ2_S", 256, 82, NULL, NULL },
    [WT_IQ4_XS] = { "IQ4_XS", 256, 136, wt_unpack_iq4_xs, pack_iq4_xs },
    [WT_I8] = { "I8", 1, 1, NULL, NULL },
    [WT_I16] = { "I16", 1, 2, NULL, NULL },
    [WT_I32] = { "I32", 1, 4, NULL, NULL },
    [WT_I64] = { "I64", 1, 8, NULL, NULL },
    [WT_F64] = { "F64", 1, 8, NULL, NULL },
    [29] = { "IQ1_M", 256, 56, NULL, NULL },
    [WT_BF16] = { "BF16", 1, 2, unpack_bf16, pack_bf16 },
    [34] = { "TQ1_0", 256, 54, NULL, NULL },
    [35] = { "TQ2_0", 256, 66, NULL, NULL },
    [WT_MXFP4] = { "MXFP4", 32, 17, wt_unpack_mxfp4, pack_mxfp4 },
    [40] = { "NVFP4", 64, 36, NULL, NULL },
    [41] = { "Q1_0", 128, 18, NULL, NULL },
    [42] = { "Q2_0", 64, 18, NULL, NULL },
#define X8(T, block, bytes) [WT_##T##_X8] = { #T "_X8", block, bytes, .group = true, .base = WT_##T },
    X8(Q4_0, 32, 18) X8(Q4_1, 32, 20) X8(Q5_0, 32, 22) X8(Q5_1, 32, 24) X8(Q8_0, 32, 34) X8(IQ4_NL, 32, 18) X8(MXFP4, 32, 17)
    X8(Q2_K, 256, 84) X8(Q3_K, 256, 110) X8(Q4_K, 256, 144) X8(Q5_K, 256, 176) X8(Q6_K, 256, 210) X8(IQ4_XS, 256, 136)
};

const wt_type_info *wt_type_get(uint32_t type)
{
    static const wt_type_info unknown = { .name = "?" };
    return type < WT_N_TYPE && info[type].name ? info + type : &unknown;
}

bool wt_readable(uint32_t type) { return wt_type_get(type)->unpack || wt_type_get(type)->group; }

bool wt_grouped(uint32_t type, wt_type *out)
{
    if (type >= WT_X8 || !wt_type_get(WT_X8 + type)->group) return false;
    *out = (wt_type)(WT_X8 + type);
    return true;
}

bool wt_row_bytes(uint32_t type, uint64_t n, size_t *bytes)
{
    const wt_type_info *t = wt_type_get(type);
    return t->block && n % t->block == 0 && !wt_mul_over(n / t->block, t->bytes, bytes);
}
