/* Products of quantized weights with activations as bytes, AVX2. Compiled with its own flags: static functions and a fill function only.
 *
 * Eight rows are computed side by side, one in each lane. For every block of 32 values the products are added as integers, which is
 * exact in any order; then lane r does acc = fma(sum, scale_r * d_x, acc), and where a format has minima acc = fma(-min_r, d_x sum_x, acc).
 * That order is a property of the row alone, so two ways of computing the integers give the same bits:
 *   direct   few tokens: the blocks of a row are used as they lie; eight vectors of partial sums are folded into one
 *   tiled    many tokens: blocks of eight rows are unpacked to bytes once and interleaved, so that four bytes of a token meet four
 *            bytes of each row and nothing has to be folded
 * Every format is a set of small answers: its bytes, its scales, what to subtract. They are chosen at compile time. */
#include "kernel/kernel.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* ---- formats ----------------------------------------------------------------------------------------------------------- */

/* 16 values share a scale, not 32: scales are small integers there and multiply the integer sums. */
INLINE bool in_pairs(const int type) { return type == WT_Q6_K || type == WT_Q3_K || type == WT_Q2_K; }
INLINE bool is_signed(const int type) { return type == WT_Q8_0 || type == WT_IQ4_NL || type == WT_IQ4_XS || type == WT_MXFP4; }
INLINE bool has_min(const int type) { return type == WT_Q4_1 || type == WT_Q5_1 || type == WT_Q4_K || type == WT_Q5_K; }
/* Bytes are larger than the values by two to this power; 0: they are the values. */
INLINE int offset_bits(const int type) { return type == WT_Q4_0 ? 3 : type == WT_Q5_0 ? 4 : type == WT_Q6_K ? 5 : type == WT_Q3_K ? 2 : 0; }
/* Products of bytes (at most so large, times 127, in pairs) that may be added in 16 bits. */
INLINE int sums16(const int type)
{
    if (type == WT_Q8_0 || type == WT_IQ4_NL || type == WT_IQ4_XS) return 1;
    if (type == WT_Q6_K) return 2;
    return in_pairs(type) || type == WT_Q5_0 || type == WT_Q5_1 || type == WT_Q5_K ? 4 : 8;
}
INLINE bool super(const int type)
{
    return type == WT_Q4_K || type == WT_Q5_K || type == WT_Q6_K || type == WT_Q3_K || type == WT_Q2_K || type == WT_IQ4_XS;
}
INLINE size_t unit(const int type)           /* bytes of a block */
{
    switch (type) {
    case WT_Q4_0: case WT_IQ4_NL: return 18;
    case WT_Q4_1: return 20;
    case WT_Q5_0: return 22;
    case WT_Q5_1: return 24;
    case WT_Q8_0: return 34;
    case WT_MXFP4: return 17;
    case WT_Q2_K: return 84;
    case WT_Q3_K: return 110;
    case WT_Q4_K: return 144;
    case WT_Q5_K: return 176;
    case WT_Q6_K: return 210;
    default: return 136;
    }
}

INLINE __m256i both(__m128i v) { return _mm256_broadcastsi128_si256(v); }
INLINE __m128i load16(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)p); }
INLINE __m256i load32(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }

/* 16 bytes of nibbles: low ones first, then high ones. */
INLINE __m256i nibbles(const uint8_t *p)
{
    __m128i v = load16(p);
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(v, 4), v), _mm256_set1_epi8(15));
}

/* 32 bits to 32 bytes, 16 where the bit is set. */
INLINE __m256i fifth_bits(const uint8_t *p)
{
    int32_t bits;
    memcpy(&bits, p, 4);
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i mask = _mm256_set1_epi64x((int64_t)0x8040201008040201);
    __m256i v = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(bits), spread), mask);
    return _mm256_and_si256(_mm256_cmpeq_epi8(v, mask), _mm256_set1_epi8(16));
}

/* Bits [shift, shift + n) of every byte. */
INLINE __m256i bits_at(__m256i v, int shift, int n) { return _mm256_and_si256(_mm256_srl_epi16(v, _mm_cvtsi32_si128(shift)), _mm256_set1_epi8((char)((1 << n) - 1))); }

INLINE __m256i look_up(const uint8_t *nib, __m128i table) { return _mm256_shuffle_epi8(both(table), nibbles(nib)); }

/* The 32 bytes of block b of a row, in order. */
INLINE __m256i bytes_of(const int type, const uint8_t *row, size_t b)
{
    const __m128i iq4 = _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
    const __m128i fp4 = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    const uint8_t *p = row + (super(type) ? b / 8 : b) * unit(type);
    int i = (int)(b % 8), half = i / 4, quarter = i % 4;
    switch (type) {
    case WT_Q4_0: return nibbles(p + 2);
    case WT_Q4_1: return nibbles(p + 4);
    case WT_Q5_0: return _mm256_or_si256(nibbles(p + 6), fifth_bits(p + 2));
    case WT_Q5_1: return _mm256_or_si256(nibbles(p + 8), fifth_bits(p + 4));
    case WT_Q8_0: return load32(p + 2);
    case WT_IQ4_NL: return look_up(p + 2, iq4);
    case WT_MXFP4: return look_up(p + 1, fp4);
    case WT_IQ4_XS: return look_up(p + 8 + 16 * i, iq4);
    case WT_Q4_K: return bits_at(load32(p + 16 + 32 * (i / 2)), 4 * (i % 2), 4);
    case WT_Q5_K: return _mm256_or_si256(bits_at(load32(p + 48 + 32 * (i / 2)), 4 * (i % 2), 4), _mm256_slli_epi16(bits_at(load32(p + 16), i, 1), 4));
    case WT_Q6_K: return _mm256_or_si256(bits_at(load32(p + 64 * half + 32 * (quarter % 2)), 4 * (quarter / 2), 4),
                                         _mm256_slli_epi16(bits_at(load32(p + 128 + 32 * half), 2 * quarter, 2), 4));
    case WT_Q3_K: return _mm256_or_si256(bits_at(load32(p + 32 + 32 * half), 2 * quarter, 2), _mm256_slli_epi16(bits_at(load32(p), i, 1), 2));
    default: return bits_at(load32(p + 16 + 32 * half), 2 * quarter, 2);       /* Q2_K */
    }
}

/* ---- scales ------------------------------------------------------------------------------------------------------------ */

/* Of up to eight blocks of eight rows; lane r belongs to row r. */
typedef struct scales {
    __m256 s[8], m[8];           /* scale; minimum (subtracted) */
    __m256i pair[8], mins[8];    /* two 16-bit scales, minima, of the halves of a block */
} scales;

INLINE uint16_t u16_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return h;
}

INLINE __m256 halves(const uint8_t *const p[8], size_t at)
{
    return _mm256_cvtph_ps(_mm_setr_epi16((short)u16_at(p[0] + at), (short)u16_at(p[1] + at), (short)u16_at(p[2] + at), (short)u16_at(p[3] + at),
                                          (short)u16_at(p[4] + at), (short)u16_at(p[5] + at), (short)u16_at(p[6] + at), (short)u16_at(p[7] + at)));
}

/* Rows of eight dwords become columns. */
INLINE void transpose(__m256i v[8])
{
    __m256i a[8], b[8];
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        b[4 * i] = _mm256_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 1] = _mm256_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 2] = _mm256_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        b[4 * i + 3] = _mm256_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        v[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

/* Eight six-bit scales and minima out of twelve bytes, as Q4_K and Q5_K pack them, as bytes: scales first. */
INLINE __m128i six_bits(const uint8_t *p)
{
    uint32_t w[3];
    memcpy(w, p, 12);
    const uint32_t low = 0x3f3f3f3f, nib = 0x0f0f0f0f, top = 0x03030303;
    return _mm_setr_epi32((int)(w[0] & low), (int)((w[2] & nib) | (w[0] >> 6 & top) << 4), (int)(w[1] & low), (int)((w[2] >> 4 & nib) | (w[1] >> 6 & top) << 4));
}

INLINE void scales_k45(scales *s, const uint8_t *const p[8])
{
    __m256i a[8], b[8];
    __m256 d = halves(p, 0), dmin = halves(p, 2);
    for (int r = 0; r < 8; r++) {
        __m128i v = six_bits(p[r] + 4);
        a[r] = _mm256_cvtepu8_epi32(v);
        b[r] = _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8));
    }
    transpose(a);
    transpose(b);
    for (int i = 0; i < 8; i++) {
        s->s[i] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(a[i]));
        s->m[i] = _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(b[i]));
    }
}

/* Sixteen bytes of each row, two for each block: 16-bit pairs. */
INLINE void pairs(__m256i out[8], const __m128i bytes[8], const bool sign)
{
    for (int r = 0; r < 8; r++) out[r] = sign ? _mm256_cvtepi8_epi16(bytes[r]) : _mm256_cvtepu8_epi16(bytes[r]);
    transpose(out);
}

/* Sixteen six-bit scales of Q3_K out of twelve bytes, minus 32. */
INLINE __m128i q3_scales(const uint8_t *p)
{
    uint32_t w[3];
    memcpy(w, p, 12);
    const uint32_t nib = 0x0f0f0f0f, two = 0x03030303;
    __m128i v = _mm_setr_epi32((int)((w[0] & nib) | (w[2] & two) << 4), (int)((w[1] & nib) | (w[2] >> 2 & two) << 4),
                               (int)((w[0] >> 4 & nib) | (w[2] >> 4 & two) << 4), (int)((w[1] >> 4 & nib) | (w[2] >> 6 & two) << 4));
    return _mm_sub_epi8(v, _mm_set1_epi8(32));
}

INLINE void scales_paired(const int type, scales *s, const uint8_t *const p[8])
{
    __m128i b[8], m[8];
    __m256 d = halves(p, type == WT_Q6_K ? 208 : type == WT_Q3_K ? 108 : 80);
    for (int r = 0; r < 8; r++) {
        b[r] = type == WT_Q6_K ? load16(p[r] + 192) : type == WT_Q3_K ? q3_scales(p[r] + 96) : load16(p[r]);
        if (type != WT_Q2_K) continue;
        m[r] = _mm_and_si128(_mm_srli_epi16(b[r], 4), _mm_set1_epi8(15));
        b[r] = _mm_and_si128(b[r], _mm_set1_epi8(15));
    }
    pairs(s->pair, b, true);
    if (type == WT_Q2_K) pairs(s->mins, m, false);
    __m256 dmin = type == WT_Q2_K ? halves(p, 82) : d;
    for (int i = 0; i < 8; i++) { s->s[i] = d; s->m[i] = dmin; }
}

INLINE void scales_iq4_xs(scales *s, const uint8_t *const p[8])
{
    __m256i a[8];
    __m256 d = halves(p, 0);
    for (int r = 0; r < 8; r++) {
        uint32_t low, high = u16_at(p[r] + 2);
        memcpy(&low, p[r] + 4, 4);
        const __m256i by4 = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28), by2 = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
        __m256i l = _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32((int)low), by4), _mm256_set1_epi32(15));
        __m256i h = _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32((int)high), by2), _mm256_set1_epi32(3));
        a[r] = _mm256_sub_epi32(_mm256_or_si256(l, _mm256_slli_epi32(h, 4)), _mm256_set1_epi32(32));
    }
    transpose(a);
    for (int i = 0; i < 8; i++) s->s[i] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(a[i]));
}

/* 2^(e - 128), with denormals below. */
INLINE float power(uint8_t e)
{
    uint32_t u = e >= 2 ? (uint32_t)(e - 1) << 23 : e ? 0x400000 : 0x200000;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* Scales of blocks [b, b + n), n <= 8; b is a multiple of 8. */
INLINE void scales_of(const int type, scales *s, const uint8_t *const row[8], size_t b, size_t n)
{
    const uint8_t *p[8];
    for (int r = 0; r < 8; r++) p[r] = row[r] + (super(type) ? b / 8 : b) * unit(type);
    if (type == WT_Q4_K || type == WT_Q5_K) scales_k45(s, p);
    else if (in_pairs(type)) scales_paired(type, s, p);
    else if (type == WT_IQ4_XS) scales_iq4_xs(s, p);
    else
        for (size_t i = 0; i < n; i++) {
            size_t at = i * unit(type);
            if (type == WT_MXFP4) s->s[i] = _mm256_setr_ps(power(p[0][at]), power(p[1][at]), power(p[2][at]), power(p[3][at]), power(p[4][at]),
                                                           power(p[5][at]), power(p[6][at]), power(p[7][at]));
            else s->s[i] = halves(p, at);
            if (has_min(type)) s->m[i] = _mm256_sub_ps(_mm256_setzero_ps(), halves(p, at + 2));
        }
}

/* ---- one block --------------------------------------------------------------------------------------------------------- */

/* Products of 32 bytes, pairs added in 16 bits. */
INLINE __m256i products(const int type, __m256i w, __m256i x)
{
    return is_signed(type) ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) : _mm256_maddubs_epi16(w, x);
}

/* What integer sums, scales and the block of a token add to eight rows. */
INLINE __m256 finish(const int type, __m256 acc, __m256i sum, __m256 s, __m256 m, __m256i pair, __m256i mins, const wt_q8 *x)
{
    __m256i half = _mm256_set1_epi32((int32_t)((uint32_t)(uint16_t)x->half[0] | (uint32_t)(uint16_t)x->half[1] << 16));
    __m256 d = _mm256_set1_ps(x->d);
    if (offset_bits(type) && in_pairs(type)) sum = _mm256_sub_epi32(sum, _mm256_slli_epi32(_mm256_madd_epi16(pair, half), offset_bits(type)));
    else if (offset_bits(type)) sum = _mm256_sub_epi32(sum, _mm256_set1_epi32((int32_t)((uint32_t)x->sum << offset_bits(type))));
    acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(s, d), acc);
    if (type == WT_Q2_K) acc = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(_mm256_madd_epi16(mins, half)), _mm256_mul_ps(m, d), acc);
    else if (has_min(type)) acc = _mm256_fnmadd_ps(m, _mm256_set1_ps(x->ds), acc);
    return acc;
}

INLINE void store(float *y, __m256 v, size_t n)
{
    static const int32_t ones[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    if (n == 8) _mm256_storeu_ps(y, v);
    else _mm256_maskstore_ps(y, _mm256_loadu_si256((const __m256i *)(ones + 8 - n)), v);
}

/* ---- direct ------------------------------------------------------------------------------------------------------------ */

/* Lane r: the sum of the eight values of v[r]. */
INLINE __m256i fold(const __m256i v[8])
{
    __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

/* The two scales of block b of a row, each over its half. */
INLINE __m256i pair_of(const int type, const uint8_t *row, size_t b)
{
    const uint8_t *p = row + b / 8 * unit(type);
    size_t i = 2 * (b % 8);
    short a, c;
    if (type == WT_Q6_K) { a = (int8_t)p[192 + i]; c = (int8_t)p[193 + i]; }
    else if (type == WT_Q2_K) { a = p[i] & 15; c = p[i + 1] & 15; }
    else {
        const uint8_t *s = p + 96;
        size_t k = i + 1;
        a = (short)(((i < 8 ? s[i] & 15 : s[i - 8] >> 4) | (s[8 + i % 4] >> 2 * (i / 4) & 3) << 4) - 32);
        c = (short)(((k < 8 ? s[k] & 15 : s[k - 8] >> 4) | (s[8 + k % 4] >> 2 * (k / 4) & 3) << 4) - 32);
    }
    return _mm256_set_m128i(_mm_set1_epi16(c), _mm_set1_epi16(a));
}

/* ahead: bytes from a row to the one that stands eight further; they are asked for while this one is used. */
INLINE void direct(const int type, float *y, const uint8_t *const row[8], size_t n_row, const wt_q8 *x, size_t n_block, size_t ahead)
{
    scales s;
    __m256 acc = _mm256_setzero_ps();
    const __m256i one = _mm256_set1_epi16(1);
    for (size_t g = 0; g < n_block; g += 8) {
        size_t n = n_block - g < 8 ? n_block - g : 8;
        scales_of(type, &s, row, g, n);
        for (int r = 0; ahead && r < 8; r++)
            for (size_t at = 0; at < 8 * unit(type) / (super(type) ? 8 : 1); at += 64)
                _mm_prefetch((const char *)row[r] + ahead + (super(type) ? g / 8 : g) * unit(type) + at, _MM_HINT_T0);
        for (size_t i = 0; i < n; i++) {
            __m256i v[8], xv = load32((const uint8_t *)x[g + i].q);
#pragma GCC unroll 8
            for (int r = 0; r < 8; r++)
                v[r] = _mm256_madd_epi16(products(type, bytes_of(type, row[r], g + i), xv), in_pairs(type) ? pair_of(type, row[r], g + i) : one);
            acc = finish(type, acc, fold(v), s.s[i], s.m[i], s.pair[i], s.mins[i], x + g + i);
        }
    }
    store(y, acc, n_row);
}

/* ---- tiled ------------------------------------------------------------------------------------------------------------- */

typedef struct block8 { __m256i w[8]; __m256 s, m; __m256i pair, mins; } block8;   /* w[j]: bytes 4j .. 4j + 3 of each row */

_Static_assert(sizeof(block8) <= WT_QMUL_SCRATCH, "scratch of a block");

INLINE void interleave(const int type, block8 *out, const uint8_t *const row[8], size_t n_block)
{
    scales s;
    for (size_t g = 0; g < n_block; g += 8) {
        size_t n = n_block - g < 8 ? n_block - g : 8;
        scales_of(type, &s, row, g, n);
        for (size_t i = 0; i < n; i++) {
            block8 *o = out + g + i;
            __m256i v[8];
#pragma GCC unroll 8
            for (int r = 0; r < 8; r++) v[r] = bytes_of(type, row[r], g + i);
            transpose(v);
            for (int j = 0; j < 8; j++) o->w[j] = v[j];
            o->s = s.s[i];
            if (has_min(type) || type == WT_Q2_K) o->m = s.m[i];
            if (in_pairs(type)) o->pair = s.pair[i];
            if (type == WT_Q2_K) o->mins = s.mins[i];
        }
    }
}

/* T tokens with eight rows. */
INLINE void tile(const int type, float *const y[4], size_t n_row, const block8 *w, const wt_q8 *const x[4], size_t n_block, const int T)
{
    __m256 acc[4];
    const __m256i one = _mm256_set1_epi16(1), low = _mm256_set1_epi32(0xffff);
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) acc[t] = _mm256_setzero_ps();
    for (size_t b = 0; b < n_block; b++, w++) {
        __m256i sum[4], half[2];
        if (in_pairs(type)) {                                        /* each scale twice: for both sums of a row's four bytes */
            __m256i a = _mm256_and_si256(w->pair, low), c = _mm256_andnot_si256(low, w->pair);
            half[0] = _mm256_or_si256(a, _mm256_slli_epi32(a, 16));
            half[1] = _mm256_or_si256(c, _mm256_srli_epi32(c, 16));
        }
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) sum[t] = _mm256_setzero_si256();
#pragma GCC unroll 8
        for (int j = 0; j < 8; j += sums16(type)) {
            __m256i part[4];
#pragma GCC unroll 8
            for (int k = 0; k < sums16(type); k++)
#pragma GCC unroll 4
                for (int t = 0; t < T; t++) {
                    int32_t four;
                    memcpy(&four, x[t][b].q + 4 * (j + k), 4);
                    __m256i p = products(type, w->w[j + k], _mm256_set1_epi32(four));
                    part[t] = k ? _mm256_add_epi16(part[t], p) : p;
                    __asm__("" : "+x"(part[t]));                     /* in this order: a tree of sums would need more registers than there are */
                }
#pragma GCC unroll 4
            for (int t = 0; t < T; t++) sum[t] = _mm256_add_epi32(sum[t], _mm256_madd_epi16(part[t], in_pairs(type) ? half[j / 4] : one));
        }
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) acc[t] = finish(type, acc[t], sum[t], w->s, w->m, w->pair, w->mins, x[t] + b);
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) store(y[t], acc[t], n_row);
}

/* Eight rows with tokens [t, n_tok), four at a time. */
INLINE void tiles(const int type, float *y, size_t ldy, size_t r0, size_t n_row, const void *w, const wt_q8 *x, const int32_t *pick, size_t t, size_t n_tok,
                  size_t n_block)
{
    while (t < n_tok) {
        const wt_q8 *xt[4];
        float *yt[4];
        size_t n = n_tok - t < 4 ? 1 : 4;
        for (size_t k = 0; k < n; k++) {
            xt[k] = x + (pick ? (size_t)pick[t + k] : t + k) * n_block;
            yt[k] = y + (t + k) * ldy + r0;
        }
        if (n == 4) tile(type, yt, n_row, w, xt, n_block, 4); else tile(type, yt, n_row, w, xt, n_block, 1);
        t += n;
    }
}

/* ---- interleaved on disk ------------------------------------------------------------------------------------------------ */

/* The eight vectors of block b of a group, as interleave() would make them, and its scales (i: place in a group of eight blocks). */
INLINE void fetch(const int type, const uint8_t *group, size_t b, __m256i w[8])
{
    const __m256i low = _mm256_set1_epi8(15);
    if (type == WT_Q8_0) {
        const uint8_t *p = group + b * 272 + 16;
        for (int j = 0; j < 8; j++) w[j] = load32(p + 32 * j);
    } else if (type == WT_Q4_0) {
        const uint8_t *p = group + b * 144 + 16;
        for (int j = 0; j < 4; j++) {
            __m256i v = load32(p + 32 * j);
            w[j] = _mm256_and_si256(v, low);
            w[j + 4] = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
        }
    } else {
        const uint8_t *p = group + b / 8 * 1152 + 128 + 256 * (b % 8 / 2);
        for (int j = 0; j < 8; j++) w[j] = bits_at(load32(p + 32 * j), 4 * (int)(b % 2), 4);
    }
}

INLINE void group_scales(const int type, scales *s, const uint8_t *group, size_t b, size_t n)
{
    if (type == WT_Q4_K) {
        const uint8_t *p = group + b / 8 * 1152;
        __m256 d = _mm256_cvtph_ps(load16(p)), dmin = _mm256_cvtph_ps(load16(p + 16));
        __m256i a[8], c[8];
        for (int r = 0; r < 8; r++) {
            __m128i v = six_bits(p + 32 + 12 * r);
            a[r] = _mm256_cvtepu8_epi32(v);
            c[r] = _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8));
        }
        transpose(a);
        transpose(c);
        for (int i = 0; i < 8; i++) {
            s->s[i] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(a[i]));
            s->m[i] = _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(c[i]));
        }
    } else
        for (size_t i = 0; i < n; i++) s->s[i] = _mm256_cvtph_ps(load16(group + (b + i) * (type == WT_Q4_0 ? 144 : 272)));
}

/* T tokens with a group of eight rows; the sums of tile(). ahead: bytes to the data that is wanted next. */
INLINE void tile_group(const int type, float *const y[4], const uint8_t *group, const wt_q8 *const x[4], size_t n_block, size_t ahead, const int T)
{
    scales s;
    __m256 acc[4];
    const __m256i one = _mm256_set1_epi16(1);
    const size_t bytes = type == WT_Q8_0 ? 272 : 144;
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) acc[t] = _mm256_setzero_ps();
    for (size_t g = 0; g < n_block; g += 8) {
        size_t n = n_block - g < 8 ? n_block - g : 8;
        group_scales(type, &s, group, g, n);
        for (size_t i = 0; i < n; i++) {
            __m256i w[8], sum[4];
            const uint8_t *next = group + (g + i) * bytes + ahead;
            for (size_t at = 0; ahead && at < bytes; at += 64) _mm_prefetch((const char *)next + at, _MM_HINT_T0);
            fetch(type, group, g + i, w);
#pragma GCC unroll 4
            for (int t = 0; t < T; t++) sum[t] = _mm256_setzero_si256();
#pragma GCC unroll 8
            for (int j = 0; j < 8; j += sums16(type)) {
                __m256i part[4];
#pragma GCC unroll 8
                for (int k = 0; k < sums16(type); k++)
#pragma GCC unroll 4
                    for (int t = 0; t < T; t++) {
                        int32_t four;
                        memcpy(&four, x[t][g + i].q + 4 * (j + k), 4);
                        __m256i p = products(type, w[j + k], _mm256_set1_epi32(four));
                        part[t] = k ? _mm256_add_epi16(part[t], p) : p;
                        __asm__("" : "+x"(part[t]));
                    }
#pragma GCC unroll 4
                for (int t = 0; t < T; t++) sum[t] = _mm256_add_epi32(sum[t], _mm256_madd_epi16(part[t], one));
            }
            __m256i none = _mm256_setzero_si256();
#pragma GCC unroll 4
            for (int t = 0; t < T; t++) acc[t] = finish(type, acc[t], sum[t], s.s[i], s.m[i], none, none, x[t] + g + i);
        }
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) _mm256_storeu_ps(y[t], acc[t]);
}

/* A group as interleave() would leave it. */
INLINE void unfold(const int type, block8 *out, const uint8_t *group, size_t n_block)
{
    scales s;
    for (size_t g = 0; g < n_block; g += 8) {
        size_t n = n_block - g < 8 ? n_block - g : 8;
        group_scales(type, &s, group, g, n);
        for (size_t i = 0; i < n; i++) {
            fetch(type, group, g + i, out[g + i].w);
            out[g + i].s = s.s[i];
            if (has_min(type)) out[g + i].m = s.m[i];
        }
    }
}

enum { MANY = 12 };              /* from so many tokens on it pays to unpack a group once for all of them */

/* n_row is a multiple of eight. */
INLINE void qmul_group(const int type, float *y, size_t ldy, const void *w, size_t row_bytes, size_t n_row, const wt_q8 *x, const int32_t *pick, size_t n_tok,
                       size_t n_block, void *scratch)
{
    for (size_t r0 = 0; r0 < n_row; r0 += 8) {
        const uint8_t *group = (const uint8_t *)w + r0 * row_bytes;
        if (n_tok >= MANY) {
            unfold(type, scratch, group, n_block);
            tiles(type, y, ldy, r0, 8, scratch, x, pick, 0, n_tok, n_block);
            continue;
        }
        for (size_t t = 0; t < n_tok;) {
            const wt_q8 *xt[4];
            float *yt[4];
            size_t n = n_tok - t < 4 ? 1 : 4, ahead = t + n >= n_tok ? 8 * row_bytes : 0;
            for (size_t k = 0; k < n; k++) {
                xt[k] = x + (pick ? (size_t)pick[t + k] : t + k) * n_block;
                yt[k] = y + (t + k) * ldy + r0;
            }
            if (n == 4) tile_group(type, yt, group, xt, n_block, ahead, 4); else tile_group(type, yt, group, xt, n_block, ahead, 1);
            t += n;
        }
    }
}

#define DEFINE_GROUP(T) static void qmul_##T##_x8(float *y, size_t ldy, const void *w, size_t row_bytes, size_t n_row, const wt_q8 *x, const int32_t *pick, \
                                                  size_t n_tok, size_t n_block, void *scratch) \
    { qmul_group(WT_##T, y, ldy, w, row_bytes, n_row, x, pick, n_tok, n_block, scratch); }
DEFINE_GROUP(Q4_0)
DEFINE_GROUP(Q8_0)
DEFINE_GROUP(Q4_K)

/* ---- all rows, all tokens ---------------------------------------------------------------------------------------------- */

enum { FEW = 3 };                /* up to so many tokens are computed directly */

INLINE void qmul(const int type, float *y, size_t ldy, const void *w, size_t row_bytes, size_t n_row, const wt_q8 *x, const int32_t *pick, size_t n_tok,
                 size_t n_block, void *scratch)
{
    for (size_t r0 = 0; r0 < n_row; r0 += 8) {
        const uint8_t *row[8];
        size_t n = n_row - r0 < 8 ? n_row - r0 : 8;
        for (size_t r = 0; r < 8; r++) row[r] = (const uint8_t *)w + (r0 + (r < n ? r : n - 1)) * row_bytes;   /* the last row stands in for rows that are not there */
        if (n_tok > FEW) {
            interleave(type, scratch, row, n_block);
            tiles(type, y, ldy, r0, n, scratch, x, pick, 0, n_tok, n_block);
            continue;
        }
        for (size_t t = 0; t < n_tok; t++)
            direct(type, y + t * ldy + r0, row, n, x + (pick ? (size_t)pick[t] : t) * n_block, n_block, t + 1 == n_tok ? 8 * row_bytes : 0);
    }
}

#define EACH(X) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0) X(IQ4_NL) X(MXFP4) X(Q2_K) X(Q3_K) X(Q4_K) X(Q5_K) X(Q6_K) X(IQ4_XS)
#define DEFINE(T) static void qmul_##T(float *y, size_t ldy, const void *w, size_t row_bytes, size_t n_row, const wt_q8 *x, const int32_t *pick, \
                                       size_t n_tok, size_t n_block, void *scratch) \
    { qmul(WT_##T, y, ldy, w, row_bytes, n_row, x, pick, n_tok, n_block, scratch); }
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
        for (int i = 0; i < 4; i++) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(bad ? _mm256_setzero_ps() : v[i], _mm256_set1_ps(inv)));
        __m256i p = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
        p = _mm256_permutevar8x32_epi32(p, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256((__m256i *)dst->q, p);
        int32_t a = sum_of(_mm256_castsi256_si128(p)), c = sum_of(_mm256_extracti128_si256(p, 1));
        dst->half[0] = (int16_t)a;
        dst->half[1] = (int16_t)c;
        dst->sum = a + c;
        dst->d = d;
        dst->ds = d * (float)(a + c);
    }
}

void wt_kernels_avx2_q(wt_kernels *k)
{
    k->quantize = quantize;
#define FILL(T) k->qmul[WT_##T] = qmul_##T;
    EACH(FILL)
    k->qmul[WT_Q4_0_X8] = qmul_Q4_0_x8;
    k->qmul[WT_Q8_0_X8] = qmul_Q8_0_x8;
    k->qmul[WT_Q4_K_X8] = qmul_Q4_K_x8;
}
