/* Products of weights in blocks with activations as bytes, AVX-512: sixteen rows in the lanes of a vector, up to 32 rows and six tokens at once.
 * The body is rows_q.h. Compiled twice, with VNNI and without.
 *
 * With it, vpdpbusd multiplies unsigned with signed bytes and adds four products to 32 bits. Weights are the unsigned ones, larger than their
 * values by a power of two where they have signs; what that adds to a sum is the same multiple of the token's own sum in every lane, and sums begin
 * with its negative. Without it, vpmaddubsw adds pairs of products to 16 bits, which cannot hold those of whole unsigned bytes: weights that
 * fill their byte are multiplied as magnitudes, and the token's bytes take the signs, as in avx2_q.c. */
#include "kernel/kernel.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#ifdef __AVX512VNNI__
enum { N_LANE = 16, MOST_ROWS = 2, MOST_TOK = 6, SIGNED_BITS = 7 };
#else
enum { N_LANE = 16, MOST_ROWS = 2, MOST_TOK = 6, SIGNED_BITS = 0 };
#endif

typedef __m512i vi;
typedef __m512 vf;
typedef __m512 vp;

/* ---- vectors ----------------------------------------------------------------------------------------------------------- */

INLINE vi v_set(int32_t a) { return _mm512_set1_epi32(a); }
INLINE vi v_and(vi a, vi b) { return _mm512_and_si512(a, b); }
INLINE vi v_or(vi a, vi b) { return _mm512_or_si512(a, b); }
INLINE vi v_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
INLINE vi v_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
INLINE vi v_mul(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
INLINE vi v_shl(vi a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
INLINE vi v_shr(vi a, int n) { return _mm512_srli_epi32(a, (unsigned)n); }
INLINE vi v_sar(vi a, int n) { return _mm512_srai_epi32(a, (unsigned)n); }
INLINE vf v_to_float(vi a) { return _mm512_cvtepi32_ps(a); }
INLINE vf p_scale(vi a) { return v_to_float(a); }
INLINE vf f_set(float a) { return _mm512_set1_ps(a); }
INLINE vf f_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
INLINE vf f_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
INLINE vf f_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vf f_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
INLINE vf f_low_half(vi a) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(a)); }
INLINE vf f_high_half(vi a) { return f_low_half(v_shr(a, 16)); }

/* A table of signed bytes, as bytes larger by 128 where SIGNED_BITS says so. */
INLINE vi v_byte_table(vi i, const int8_t table[16])
{
    __m128i t = _mm_xor_si128(_mm_loadu_si128((const __m128i *)table), _mm_set1_epi8(SIGNED_BITS ? (char)0x80 : 0));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(t), i);
}

/* 2^(e - 128), denormals below. */
INLINE vf f_power(vi e)
{
    vi usual = v_shl(v_sub(e, v_set(1)), 23), small = _mm512_sllv_epi32(v_set(0x200000), e);
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(usual, _mm512_cmplt_epi32_mask(e, v_set(2)), small));
}

INLINE __mmask16 first_lanes(size_t n) { return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffff); }
INLINE void row_store(float *y, vf v, size_t n) { _mm512_mask_storeu_ps(y, first_lanes(n), v); }
INLINE vf row_load(const float *y, size_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), y); }

/* ---- rows -------------------------------------------------------------------------------------------------------------- */

typedef struct rows { const uint8_t *p; size_t stride; } rows;

INLINE __m128i load16(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)p); }

INLINE vi two(const uint8_t *a, const uint8_t *b)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)a)), _mm256_loadu_si256((const __m256i *)b), 1);
}

/* 16 bytes of rows k, k + 4, k + 8, k + 12. */
INLINE vi four(const uint8_t *p, size_t s)
{
    vi v = _mm512_castsi128_si512(load16(p));
    v = _mm512_inserti32x4(v, load16(p + 4 * s), 1);
    v = _mm512_inserti32x4(v, load16(p + 8 * s), 2);
    return _mm512_inserti32x4(v, load16(p + 12 * s), 3);
}

INLINE void take(const bool x8, rows r, size_t at, vi out[4])
{
    if (x8) {
#pragma GCC unroll 4
        for (size_t j = 0; j < 4; j++) out[j] = two(r.p + 8 * (at + 4 * j), r.p + r.stride + 8 * (at + 4 * j));
        return;
    }
    const uint8_t *p = r.p + at;
    vi a = four(p, r.stride), b = four(p + r.stride, r.stride), c = four(p + 2 * r.stride, r.stride), d = four(p + 3 * r.stride, r.stride);
    vi e = _mm512_unpacklo_epi32(a, b), f = _mm512_unpackhi_epi32(a, b), g = _mm512_unpacklo_epi32(c, d), h = _mm512_unpackhi_epi32(c, d);
    out[0] = _mm512_unpacklo_epi64(e, g);
    out[1] = _mm512_unpackhi_epi64(e, g);
    out[2] = _mm512_unpacklo_epi64(f, h);
    out[3] = _mm512_unpackhi_epi64(f, h);
}

INLINE int32_t u32_at(const uint8_t *p) { int32_t v; memcpy(&v, p, 4); return v; }
INLINE short u16_at(const uint8_t *p) { short v; memcpy(&v, p, 2); return v; }

#define EIGHT(f, i) f(i), f(i + 1), f(i + 2), f(i + 3), f(i + 4), f(i + 5), f(i + 6), f(i + 7)

INLINE vi word(const bool x8, rows r, size_t at)
{
    if (x8) return two(r.p + 8 * at, r.p + r.stride + 8 * at);
    const uint8_t *p = r.p + at;
#define ROW(i) u32_at(p + (i) * r.stride)
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_setr_epi32(EIGHT(ROW, 0))), _mm256_setr_epi32(EIGHT(ROW, 8)), 1);
#undef ROW
}

INLINE vf half_of(const bool x8, rows r, size_t at)
{
    if (x8) return _mm512_cvtph_ps(_mm256_set_m128i(load16(r.p + r.stride + 8 * at), load16(r.p + 8 * at)));
    const uint8_t *p = r.p + at;
#define ROW(i) u16_at(p + (i) * r.stride)
    return _mm512_cvtph_ps(_mm256_setr_epi16(EIGHT(ROW, 0), EIGHT(ROW, 8)));
#undef ROW
}

INLINE vi byte_of(const bool x8, rows r, size_t at)
{
    const uint8_t *p = r.p + at;
    if (x8) return _mm512_cvtepu8_epi32(_mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)(r.p + 8 * at)), _mm_loadl_epi64((const __m128i *)(r.p + r.stride + 8 * at))));
#define ROW(i) (char)p[(i) * r.stride]
    return _mm512_cvtepu8_epi32(_mm_setr_epi8(EIGHT(ROW, 0), EIGHT(ROW, 8)));
#undef ROW
}

/* Part i of eight of `bytes` bytes of the rows that stand `ahead` behind these. soon: to be used once and at once. */
INLINE void ask_for(const bool x8, const bool soon, rows r, size_t at, size_t bytes, size_t ahead, size_t i)
{
    const uintptr_t p = (uintptr_t)r.p + ahead + (x8 ? 8 * at + i * bytes : 2 * i * r.stride + at);
    for (size_t k = 0; k < bytes; k += 64) {
        const char *a = (const char *)(p + k), *b = (const char *)(p + r.stride + k);
        if (soon) { _mm_prefetch(a, _MM_HINT_NTA); _mm_prefetch(b, _MM_HINT_NTA); }
        else { _mm_prefetch(a, _MM_HINT_T1); _mm_prefetch(b, _MM_HINT_T1); }
    }
}

#include "kernel/rows_q.h"

/* ---- products ---------------------------------------------------------------------------------------------------------- */

/* Adds values 4 from .. 4 to - 1 of a block to the sums. */
#ifdef __AVX512VNNI__
INLINE void add_products(const int type, vi sum[MOST_ROWS][MOST_TOK], const part *w, const tokens *x, const int from, const int to, const int R, const int T)
{
    (void)type;
#pragma GCC unroll 8
    for (int j = from; j < to; j++)
#pragma GCC unroll 8
        for (int t = 0; t < T; t++) {
            vi xv = v_set(u32_at((const uint8_t *)token(x, t)->q + 4 * j));
#pragma GCC unroll 2
            for (int r = 0; r < R; r++) sum[r][t] = _mm512_dpbusd_epi32(sum[r][t], w[r * SPAN].w[j], xv);
        }
}
#else
/* Products of bytes (at most so large, times 127, in pairs) that may be added in 16 bits; at most 4, which is what there are registers for. */
INLINE int sums16(const int type) { return is_signed(type) ? 1 : type == WT_Q6_K ? 2 : 4; }

INLINE vi products(const int type, vi w, vi x)
{
    if (!is_signed(type)) return _mm512_maddubs_epi16(w, x);
    return _mm512_maddubs_epi16(_mm512_abs_epi8(w), _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x));
}

INLINE void add_products(const int type, vi sum[MOST_ROWS][MOST_TOK], const part *w, const tokens *x, const int from, const int to, const int R, const int T)
{
#pragma GCC unroll 8
    for (int j = from; j < to; j += sums16(type))
#pragma GCC unroll 8
        for (int t = 0; t < T; t++) {
            vi some[MOST_ROWS];
#pragma GCC unroll 4
            for (int k = 0; k < sums16(type); k++) {
                vi xv = v_set(u32_at((const uint8_t *)token(x, t)->q + 4 * (j + k)));
#pragma GCC unroll 2
                for (int r = 0; r < R; r++) {
                    vi p = products(type, w[r * SPAN].w[j + k], xv);
                    some[r] = k ? _mm512_add_epi16(some[r], p) : p;
                }
            }
#pragma GCC unroll 2
            for (int r = 0; r < R; r++) sum[r][t] = _mm512_add_epi32(sum[r][t], _mm512_madd_epi16(some[r], _mm512_set1_epi16(1)));
        }
}
#endif

/* Where the sums of a token begin: half -1 for the whole block. */
INLINE vi begin(const wt_q8 *x, const int bits, const int half)
{
    if (!bits) return v_set(0);
    return half < 0 ? v_shl(v_set(x->nsum), bits) : v_set(x->nhalf[half] * (1 << bits));
}

INLINE void dot_bytes(const int type, vf out[MOST_ROWS][MOST_TOK], const part *w, const tokens *x, const int R, const int T)
{
    vi sum[MOST_ROWS][MOST_TOK];
    const int bits = offset_bits(type);
#pragma GCC unroll 8
    for (int t = 0; t < T; t++)
#pragma GCC unroll 2
        for (int r = 0; r < R; r++) sum[r][t] = begin(token(x, t), bits, in_pairs(type) ? 0 : -1);
    add_products(type, sum, w, x, 0, in_pairs(type) ? 4 : 8, R, T);
#pragma GCC unroll 2
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int t = 0; t < T; t++) out[r][t] = v_to_float(sum[r][t]);
    if (!in_pairs(type)) return;
#pragma GCC unroll 8
    for (int t = 0; t < T; t++)
#pragma GCC unroll 2
        for (int r = 0; r < R; r++) {
            out[r][t] = f_mul(out[r][t], w[r * SPAN].scale[0]);
            sum[r][t] = begin(token(x, t), bits, 1);
        }
    add_products(type, sum, w, x, 4, 8, R, T);
#pragma GCC unroll 2
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int t = 0; t < T; t++) out[r][t] = f_fma(v_to_float(sum[r][t]), w[r * SPAN].scale[1], out[r][t]);
}

INLINE vf dot_mins(const part *w, const wt_q8 *x)
{
    return f_fma(w->min[1], f_set((float)x->nhalf[1]), f_mul(w->min[0], f_set((float)x->nhalf[0])));
}

EACH_LIKE(DEFINE_TILES)
EACH(DEFINE)

#ifdef __AVX512VNNI__
void wt_kernels_vnni_q(wt_kernels *k)
#else
void wt_kernels_avx512_q(wt_kernels *k)
#endif
{
    EACH(FILL)
}
