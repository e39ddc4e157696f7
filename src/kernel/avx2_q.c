/* Products of weights in blocks with activations as bytes, AVX2: eight rows in the lanes of a vector, up to four tokens at once. The body is
 * rows_q.h.
 *
 * vpmaddubsw multiplies unsigned with signed bytes and adds pairs to 16 bits. Weights are the unsigned ones; where they have signs and fill their
 * byte, their magnitudes are multiplied and the token's bytes take the signs. As many of these sums are added in 16 bits as there is room for. */
#include "kernel/kernel.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { N_LANE = 8, MOST_ROWS = 1, MOST_TOK = 4, SIGNED_BITS = 0 };

typedef __m256i vi;
typedef __m256 vf;
typedef __m256i vp;              /* each scale twice, in 16 bits: for both sums of a row's four bytes */

/* ---- vectors ----------------------------------------------------------------------------------------------------------- */

INLINE vi v_set(int32_t a) { return _mm256_set1_epi32(a); }
INLINE vi v_and(vi a, vi b) { return _mm256_and_si256(a, b); }
INLINE vi v_or(vi a, vi b) { return _mm256_or_si256(a, b); }
INLINE vi v_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
INLINE vi v_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
INLINE vi v_mul(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
INLINE vi v_shl(vi a, int n) { return _mm256_slli_epi32(a, n); }
INLINE vi v_shr(vi a, int n) { return _mm256_srli_epi32(a, n); }
INLINE vi v_sar(vi a, int n) { return _mm256_srai_epi32(a, n); }
INLINE vf v_to_float(vi a) { return _mm256_cvtepi32_ps(a); }
INLINE vi p_scale(vi a) { return v_or(v_and(a, v_set(0xffff)), v_shl(a, 16)); }
INLINE vf f_set(float a) { return _mm256_set1_ps(a); }
INLINE vf f_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
INLINE vf f_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
INLINE vf f_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vf f_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
INLINE vf f_high_half(vi a) { vi h = v_shr(a, 16); return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1))); }
INLINE vf f_low_half(vi a) { return f_high_half(v_shl(a, 16)); }

INLINE vi v_byte_table(vi i, const int8_t table[16])
{
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table)), i);
}

/* 2^(e - 128), denormals below. */
INLINE vf f_power(vi e)
{
    vi usual = v_shl(v_sub(e, v_set(1)), 23), small = _mm256_sllv_epi32(v_set(0x200000), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(usual, small, _mm256_cmpgt_epi32(v_set(2), e)));
}

INLINE __m256i first_lanes(size_t n)
{
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i *)(ones + 8 - n));
}

INLINE void row_store(float *y, vf v, size_t n) { if (n >= 8) _mm256_storeu_ps(y, v); else _mm256_maskstore_ps(y, first_lanes(n), v); }
INLINE vf row_load(const float *y, size_t n) { return n >= 8 ? _mm256_loadu_ps(y) : _mm256_maskload_ps(y, first_lanes(n)); }

/* ---- rows -------------------------------------------------------------------------------------------------------------- */

typedef struct rows { const uint8_t *p; size_t stride; } rows;

INLINE __m128i load16(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)p); }
INLINE vi load32(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }

/* 16 bytes of rows k and k + 4. */
INLINE vi two(const uint8_t *p, size_t s) { return _mm256_inserti128_si256(_mm256_castsi128_si256(load16(p)), load16(p + 4 * s), 1); }

INLINE void take(const bool x8, rows r, size_t at, vi out[4])
{
    if (x8) {
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) out[j] = load32(r.p + 8 * (at + 4 * j));
        return;
    }
    const uint8_t *p = r.p + at;
    vi a = two(p, r.stride), b = two(p + r.stride, r.stride), c = two(p + 2 * r.stride, r.stride), d = two(p + 3 * r.stride, r.stride);
    vi e = _mm256_unpacklo_epi32(a, b), f = _mm256_unpackhi_epi32(a, b), g = _mm256_unpacklo_epi32(c, d), h = _mm256_unpackhi_epi32(c, d);
    out[0] = _mm256_unpacklo_epi64(e, g);
    out[1] = _mm256_unpackhi_epi64(e, g);
    out[2] = _mm256_unpacklo_epi64(f, h);
    out[3] = _mm256_unpackhi_epi64(f, h);
}

INLINE int32_t u32_at(const uint8_t *p) { int32_t v; memcpy(&v, p, 4); return v; }
INLINE short u16_at(const uint8_t *p) { short v; memcpy(&v, p, 2); return v; }

#define EIGHT(f) f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7)

INLINE vi word(const bool x8, rows r, size_t at)
{
    if (x8) return load32(r.p + 8 * at);
    const uint8_t *p = r.p + at;
#define ROW(i) u32_at(p + (i) * r.stride)
    return _mm256_setr_epi32(EIGHT(ROW));
#undef ROW
}

INLINE vf half_of(const bool x8, rows r, size_t at)
{
    if (x8) return _mm256_cvtph_ps(load16(r.p + 8 * at));
    const uint8_t *p = r.p + at;
#define ROW(i) u16_at(p + (i) * r.stride)
    return _mm256_cvtph_ps(_mm_setr_epi16(EIGHT(ROW)));
#undef ROW
}

INLINE vi byte_of(const bool x8, rows r, size_t at)
{
    if (x8) return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(r.p + 8 * at)));
    const uint8_t *p = r.p + at;
#define ROW(i) (char)p[(i) * r.stride]
    return _mm256_cvtepu8_epi32(_mm_setr_epi8(EIGHT(ROW), 0, 0, 0, 0, 0, 0, 0, 0));
#undef ROW
}

/* Part i of eight of `bytes` bytes of the rows that stand `ahead` behind these. soon: to be used once and at once. */
INLINE void ask_for(const bool x8, const bool soon, rows r, size_t at, size_t bytes, size_t ahead, size_t i)
{
    const uintptr_t p = (uintptr_t)r.p + ahead + (x8 ? 8 * at + i * bytes : i * r.stride + at);
    for (size_t k = 0; k < bytes; k += 64)
        if (soon) _mm_prefetch((const char *)(p + k), _MM_HINT_NTA);
        else _mm_prefetch((const char *)(p + k), _MM_HINT_T1);
}

#include "kernel/rows_q.h"

/* ---- products ---------------------------------------------------------------------------------------------------------- */

/* Products of bytes (at most so large, times 127, in pairs) that may be added in 16 bits. */
INLINE int sums16(const int type)
{
    if (type == WT_Q8_0 || type == WT_IQ4_NL || type == WT_IQ4_XS) return 1;
    if (type == WT_Q6_K) return 2;
    return in_pairs(type) || type == WT_Q5_0 || type == WT_Q5_1 || type == WT_Q5_K ? 4 : 8;
}

INLINE vi products(const int type, vi w, vi x)
{
    return is_signed(type) ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) : _mm256_maddubs_epi16(w, x);
}

/* Two 16-bit numbers in each lane: scales of both halves, and sums of both halves. */
INLINE vi both_halves(const vp scale[2]) { return _mm256_blend_epi16(scale[0], scale[1], 0xaa); }
INLINE vi half_sums(const wt_q8 *x) { return v_set(u32_at((const uint8_t *)x->nhalf)); }

INLINE void dot_bytes(const int type, vf out[MOST_ROWS][MOST_TOK], const part *w, const tokens *x, const int R, const int T)
{
    (void)R;
    const int bits = offset_bits(type);
    vi sum[MOST_TOK];
#pragma GCC unroll 4
    for (int t = 0; t < T; t++)
        sum[t] = !bits ? v_set(0) : v_shl(in_pairs(type) ? _mm256_madd_epi16(both_halves(w->scale), half_sums(token(x, t))) : v_set(token(x, t)->nsum), bits);
#pragma GCC unroll 8
    for (int j = 0; j < 8; j += sums16(type)) {
        vi some[MOST_TOK], by = in_pairs(type) ? w->scale[j / 4] : _mm256_set1_epi16(1);
#pragma GCC unroll 8
        for (int k = 0; k < sums16(type); k++)
#pragma GCC unroll 4
            for (int t = 0; t < T; t++) {
                vi p = products(type, w->w[j + k], v_set(u32_at((const uint8_t *)token(x, t)->q + 4 * (j + k))));
                some[t] = k ? _mm256_add_epi16(some[t], p) : p;
                __asm__("" : "+x"(some[t]));                         /* in this order: a tree of sums would need more registers than there are */
            }
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) sum[t] = _mm256_add_epi32(sum[t], _mm256_madd_epi16(some[t], by));
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) out[0][t] = v_to_float(sum[t]);
}

INLINE vf dot_mins(const part *w, const wt_q8 *x) { return v_to_float(_mm256_madd_epi16(both_halves(w->min), half_sums(x))); }

EACH_LIKE(DEFINE_TILES)
EACH(DEFINE)

/* ---- activations ------------------------------------------------------------------------------------------------------- */

INLINE float largest(__m256 v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}

INLINE int32_t sum_of(__m128i bytes)             /* 16 signed bytes */
{
    __m128i s = _mm_sad_epu8(_mm_xor_si128(bytes, _mm_set1_epi8((char)0x80)), _mm_setzero_si128());   /* plus 128 each */
    return _mm_cvtsi128_si32(s) + _mm_extract_epi16(s, 4) - 16 * 128;
}

static void quantize(wt_q8 *dst, const float *x, size_t n_block)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    for (size_t b = 0; b < n_block; b++, x += 32, dst++) {
        __m256 v[4], top = _mm256_setzero_ps(), strange = top;
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            v[i] = _mm256_loadu_ps(x + 8 * i);
            top = _mm256_max_ps(_mm256_and_ps(v[i], magnitude), top);
            strange = _mm256_or_ps(strange, _mm256_sub_ps(v[i], v[i]));      /* NaN for NaN and infinities, else 0 */
        }
        float most = largest(top);
        bool bad = _mm256_movemask_ps(_mm256_cmp_ps(strange, strange, _CMP_UNORD_Q)) != 0;
        float d = bad ? __builtin_nanf("") : most / 127.0f, inv = bad || !(most > 0) ? 0 : 127.0f / most;
        if (!(inv < __builtin_inff())) { inv = 0; d = 0; }                    /* smaller than any product could show */
        __m256i q[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(bad ? _mm256_setzero_ps() : v[i], _mm256_set1_ps(inv)));
        __m256i p = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
        p = _mm256_permutevar8x32_epi32(p, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256((__m256i *)dst->q, p);
        int32_t a = sum_of(_mm256_castsi256_si128(p)), c = sum_of(_mm256_extracti128_si256(p, 1));
        dst->nhalf[0] = (int16_t)-a;
        dst->nhalf[1] = (int16_t)-c;
        dst->nsum = -(a + c);
        dst->d = d;
        dst->ds = d * (float)(a + c);
    }
}

void wt_kernels_avx2_q(wt_kernels *k)
{
    k->quantize = quantize;
    EACH(FILL)
}
