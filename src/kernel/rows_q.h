/* Products of weights in blocks with activations as bytes: the part that is alike for every width of vectors. A tier's file says what its
 * vectors are and what can be done with them, and includes this. Everything here is static and inlined, so that nothing compiled with a tier's
 * flags can be linked into another.
 *
 * A vector holds one row in each lane. The blocks of N_LANE rows are taken apart into eight vectors, each with four values of every row, which
 * meet the same four values of a token. So nothing has to be folded, the sums of the lanes are independent, and ref_q.c's order of adding up is
 * kept without effort. Plain rows are turned into that shape four by four in registers; interleaved ones (tensor/group.c) lie so.
 *   few tokens    blocks are taken apart and used at once
 *   many tokens   SPAN blocks of some rows are taken apart once, into the first cache, and used for all tokens; then the next SPAN
 * Every format is a set of small answers (its bytes, its scales, what to subtract), chosen when this is compiled.
 *
 * What the file that includes this defines before:
 *   vi, vf, vp      vectors of N_LANE int32_t, of N_LANE floats, and of the small scales of half blocks as dot_bytes wants them
 *   MOST_ROWS, MOST_TOK   vectors of rows, and tokens, of one tile
 *   SIGNED_BITS     signed weights are larger than their values by two to this power; 0: they are signed bytes
 *   v_..., f_...    operations on them; p_scale: from vi to vp
 *   rows            N_LANE rows: `stride` bytes apart, or groups of eight that are stride apart
 *   take, word, byte_of, half_of   16, 4, 1 and 2 bytes at offset `at` of each row; the last as float
 *   ask_for         prefetches a part of rows
 *   row_store       the first n lanes
 * and behind: dot_bytes, dot_mins, EACH_LIKE(DEFINE_TILES) and EACH(DEFINE). */

/* ---- formats ----------------------------------------------------------------------------------------------------------- */

/* 16 values share a scale, not 32: scales are small integers there and part of the integer sums. */
INLINE bool in_pairs(const int type) { return type == WT_Q6_K || type == WT_Q3_K || type == WT_Q2_K; }
INLINE bool has_min(const int type) { return type == WT_Q4_1 || type == WT_Q5_1 || type == WT_Q4_K || type == WT_Q5_K; }
INLINE bool is_signed(const int type) { return type == WT_Q8_0 || type == WT_IQ4_NL || type == WT_IQ4_XS || type == WT_MXFP4; }
/* Bytes are larger than the values by two to this power; 0: they are the values. */
INLINE int offset_bits(const int type)
{
    return is_signed(type) ? SIGNED_BITS : type == WT_Q4_0 ? 3 : type == WT_Q5_0 ? 4 : type == WT_Q6_K ? 5 : type == WT_Q3_K ? 2 : 0;
}
INLINE bool super(const int type) { return in_pairs(type) || type == WT_Q4_K || type == WT_Q5_K || type == WT_IQ4_XS; }
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

/* ---- bytes ------------------------------------------------------------------------------------------------------------- */

/* One block of N_LANE rows taken apart. Members that a format has no use for are not set. */
typedef struct part { vi w[8]; vf s, m; vp scale[2], min[2]; } part;      /* w[j]: bytes 4j .. 4j + 3 of each row */

_Static_assert(MOST_ROWS * 16 * sizeof(part) <= WT_QMUL_PARTS, "scratch of rows that were taken apart");

/* Bits [shift, shift + n) of every byte. */
INLINE vi bits_at(vi v, const int shift, const int n) { return v_and(v_shr(v, shift), v_set(0x01010101 * ((1 << n) - 1))); }

/* 16 bytes of nibbles: low ones first, then high ones. */
INLINE void nibbles(const bool x8, rows r, size_t at, vi w[8])
{
    vi q[4];
    take(x8, r, at, q);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        w[j] = bits_at(q[j], 0, 4);
        w[j + 4] = bits_at(q[j], 4, 4);
    }
}

/* Bits 4j .. 4j + 3 of each lane to 16 in its four bytes. */
INLINE vi fifth_bits(vi bits, const int j)
{
    vi four = v_and(v_shr(bits, 4 * j), v_set(15));
    return v_shl(v_and(v_mul(four, v_set(0x00204081)), v_set(0x01010101)), 4);
}

INLINE void take32(const bool x8, rows r, size_t at, vi q[8])
{
    take(x8, r, at, q);
    take(x8, r, at + 16, q + 4);
}

static const int8_t iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
static const int8_t fp4[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

/* Block i of the super-block at `at`. */
INLINE void super_bytes(const int type, const bool x8, rows r, size_t at, const int i, vi w[8])
{
    const int half = i / 4, quarter = i % 4;
    vi h[8];
    switch (type) {
    case WT_Q4_K: case WT_Q5_K:
        take32(x8, r, at + (type == WT_Q4_K ? 16 : 48) + 32 * (size_t)(i / 2), w);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) w[j] = bits_at(w[j], 4 * (i % 2), 4);
        if (type == WT_Q4_K) break;
        take32(x8, r, at + 16, h);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) w[j] = v_or(w[j], v_shl(bits_at(h[j], i, 1), 4));
        break;
    case WT_Q6_K:
        take32(x8, r, at + 64 * (size_t)half + 32 * (size_t)(quarter % 2), w);
        take32(x8, r, at + 128 + 32 * (size_t)half, h);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            vi low = quarter < 2 ? w[j] : v_shr(w[j], 4), high = quarter < 2 ? v_shl(h[j], 4 - 2 * quarter) : v_shr(h[j], 2 * quarter - 4);
            w[j] = v_or(v_and(low, v_set(0x0f0f0f0f)), v_and(high, v_set(0x30303030)));
        }
        break;
    case WT_Q3_K:
        take32(x8, r, at + 32 + 32 * (size_t)half, w);
        take32(x8, r, at, h);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) w[j] = v_or(bits_at(w[j], 2 * quarter, 2), v_shl(bits_at(h[j], i, 1), 2));
        break;
    case WT_Q2_K:
        take32(x8, r, at + 16 + 32 * (size_t)half, w);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) w[j] = bits_at(w[j], 2 * quarter, 2);
        break;
    default:                                                                 /* IQ4_XS */
        nibbles(x8, r, at + 8 + 16 * (size_t)i, w);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) w[j] = v_byte_table(w[j], iq4);
    }
}

INLINE void simple_bytes(const int type, const bool x8, rows r, size_t at, vi w[8])
{
    if (type == WT_Q8_0) {
        take32(x8, r, at + 2, w);
#pragma GCC unroll 8
        for (int j = 0; SIGNED_BITS != 0 && j < 8; j++) w[j] = v_xor(w[j], v_set((int32_t)0x80808080));
        return;
    }
    nibbles(x8, r, at + unit(type) - 16, w);
    if (type == WT_IQ4_NL || type == WT_MXFP4)
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) w[j] = v_byte_table(w[j], type == WT_MXFP4 ? fp4 : iq4);
    if (type == WT_Q5_0 || type == WT_Q5_1) {
        vi bits = word(x8, r, at + unit(type) - 20);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) w[j] = v_or(w[j], fifth_bits(bits, j));
    }
}

/* ---- scales ------------------------------------------------------------------------------------------------------------ */

/* Of the eight blocks of a super-block. */
typedef struct scales { vf s[8], m[8]; vp scale[16], min[16]; } scales;

INLINE vi lane_byte(vi v, const int k) { return v_and(v_shr(v, 8 * k), v_set(255)); }
INLINE vi lane_signed_byte(vi v, const int k) { return v_sar(v_shl(v, 24 - 8 * k), 24); }

/* Q4_K, Q5_K: two halves, then six-bit scales and minima in twelve bytes. */
INLINE void scales_k45(const bool x8, rows r, size_t at, scales *o)
{
    vi q[4], s[2], m[2];
    take(x8, r, at, q);
    vf d = f_low_half(q[0]), dmin = f_high_half(q[0]);
    const vi six = v_set(0x3f3f3f3f), low = v_set(0x0f0f0f0f), high = v_set(0x30303030);
    s[0] = v_and(q[1], six);
    m[0] = v_and(q[2], six);
    s[1] = v_or(v_and(q[3], low), v_and(v_shr(q[1], 2), high));
    m[1] = v_or(v_and(v_shr(q[3], 4), low), v_and(v_shr(q[2], 2), high));
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        o->s[i] = f_mul(d, v_to_float(lane_byte(s[i / 4], i % 4)));
        o->m[i] = f_mul(dmin, v_to_float(lane_byte(m[i / 4], i % 4)));
    }
}

INLINE void scales_q6(const bool x8, rows r, size_t at, scales *o)
{
    vi q[4];
    take(x8, r, at + 192, q);
    o->s[0] = half_of(x8, r, at + 208);
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++) o->scale[k] = p_scale(lane_signed_byte(q[k / 4], k % 4));
}

/* Sixteen six-bit scales in twelve bytes, minus 32. */
INLINE void scales_q3(const bool x8, rows r, size_t at, scales *o)
{
    vi w[3];
#pragma GCC unroll 4
    for (size_t k = 0; k < 3; k++) w[k] = word(x8, r, at + 96 + 4 * k);
    o->s[0] = half_of(x8, r, at + 108);
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++) {
        vi low = v_and(v_shr(lane_byte(w[k / 4 % 2], k % 4), k < 8 ? 0 : 4), v_set(15)), high = v_and(v_shr(lane_byte(w[2], k % 4), 2 * (k / 4)), v_set(3));
        o->scale[k] = p_scale(v_sub(v_or(low, v_shl(high, 4)), v_set(32)));
    }
}

INLINE void scales_q2(const bool x8, rows r, size_t at, scales *o)
{
    vi q[4], d = word(x8, r, at + 80);
    take(x8, r, at, q);
    o->s[0] = f_low_half(d);
    o->m[0] = f_high_half(d);
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++) {
        vi b = lane_byte(q[k / 4], k % 4);
        o->scale[k] = p_scale(v_and(b, v_set(15)));
        o->min[k] = p_scale(v_shr(b, 4));
    }
}

INLINE void scales_iq4_xs(const bool x8, rows r, size_t at, scales *o)
{
    vi q = word(x8, r, at), low = word(x8, r, at + 4);
    vf d = f_low_half(q);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        vi s = v_or(v_and(v_shr(low, 4 * i), v_set(15)), v_shl(v_and(v_shr(q, 16 + 2 * i), v_set(3)), 4));
        o->s[i] = f_mul(d, v_to_float(v_sub(s, v_set(32))));
    }
}

INLINE void super_scales(const int type, const bool x8, rows r, size_t at, scales *o)
{
    switch (type) {
    case WT_Q4_K: case WT_Q5_K: scales_k45(x8, r, at, o); break;
    case WT_Q6_K: scales_q6(x8, r, at, o); break;
    case WT_Q3_K: scales_q3(x8, r, at, o); break;
    case WT_Q2_K: scales_q2(x8, r, at, o); break;
    default: scales_iq4_xs(x8, r, at, o);
    }
}

/* ---- one block --------------------------------------------------------------------------------------------------------- */

/* Block i of the super-block at `at`, whose scales are known. */
INLINE void super_part(const int type, const bool x8, rows r, size_t at, const int i, const scales *sc, part *o)
{
    super_bytes(type, x8, r, at, i, o->w);
    o->s = sc->s[in_pairs(type) ? 0 : i];
    if (has_min(type)) o->m = sc->m[i];
    if (type == WT_Q2_K) o->m = sc->m[0];
#pragma GCC unroll 2
    for (int k = 0; k < 2; k++) {
        if (in_pairs(type)) o->scale[k] = sc->scale[2 * i + k];
        if (type == WT_Q2_K) o->min[k] = sc->min[2 * i + k];
    }
}

INLINE void simple_part(const int type, const bool x8, rows r, size_t at, part *o)
{
    simple_bytes(type, x8, r, at, o->w);
    if (type == WT_MXFP4) o->s = f_power(byte_of(x8, r, at));
    else if (has_min(type)) {
        vi d = word(x8, r, at);
        o->s = f_low_half(d);
        o->m = f_sub(f_set(0), f_high_half(d));
    } else o->s = half_of(x8, r, at);
}

/* Where T tokens lie: stride bytes apart. Every third has a register of its own. */
typedef struct tokens { const uint8_t *p[(MOST_TOK + 2) / 3]; size_t stride; } tokens;

INLINE tokens tokens_at(const wt_q8 *x, size_t n_block, const int T)
{
    tokens o = { .stride = n_block * sizeof *x };
    for (int i = 0; i < (T + 2) / 3; i++) o.p[i] = (const uint8_t *)x + 3 * (size_t)i * o.stride;
    return o;
}

INLINE const wt_q8 *token(const tokens *x, const int t) { return (const wt_q8 *)(x->p[t / 3] + (size_t)(t % 3) * x->stride); }

INLINE void next_block(tokens *x, const int T) { for (int i = 0; i < (T + 2) / 3; i++) x->p[i] += sizeof(wt_q8); }

enum { SPAN = 16 };

/* sum[r][t]: products of a block of vector r of rows (w[r * SPAN]) with token t < T, added up, as floats; where half blocks have scales, each half
 * times its own. */
INLINE void dot_bytes(const int type, vf sum[MOST_ROWS][MOST_TOK], const part *w, const tokens *x, const int R, const int T);
/* Minima of half blocks times the sums of their bytes, negative. */
INLINE vf dot_mins(const part *w, const wt_q8 *x);

/* What one block adds to the sums of R vectors of rows and T tokens. */
INLINE void add_block(const int type, vf acc[MOST_ROWS][MOST_TOK], const part *w, const tokens *x, const int R, const int T)
{
    vf f[MOST_ROWS][MOST_TOK];
    dot_bytes(type, f, w, x, R, T);
#pragma GCC unroll 2
    for (int r = 0; r < R; r++, w += SPAN)
#pragma GCC unroll 8
        for (int t = 0; t < T; t++) {
            const wt_q8 *xt = token(x, t);
            acc[r][t] = f_fma(f[r][t], f_mul(w->s, f_set(xt->d)), acc[r][t]);
            if (has_min(type)) acc[r][t] = f_fnma(w->m, f_set(xt->ds), acc[r][t]);
            if (type == WT_Q2_K) acc[r][t] = f_fma(dot_mins(w, xt), f_mul(w->m, f_set(xt->d)), acc[r][t]);
        }
}

/* ---- rows by tokens ---------------------------------------------------------------------------------------------------- */

/* Adds to y what n_block <= SPAN blocks of R vectors of rows give with T tokens. Tokens are x_block blocks apart. */
INLINE void tile(const int type, float *y, size_t ldy, size_t n_row, const part *w, const wt_q8 *x, size_t x_block, size_t n_block, bool first, const int R,
                 const int T)
{
    vf acc[MOST_ROWS][MOST_TOK];
    tokens at = tokens_at(x, x_block, T);
#pragma GCC unroll 2
    for (size_t r = 0; r < (size_t)R; r++)
#pragma GCC unroll 8
        for (size_t t = 0; t < (size_t)T; t++) acc[r][t] = first ? f_set(0) : row_load(y + t * ldy + r * N_LANE, n_row - r * N_LANE);
    for (size_t b = 0; b < n_block; b++, next_block(&at, T)) {
#pragma GCC unroll 8
        for (int t = 0; t < T; t++) __builtin_prefetch((const void *)((uintptr_t)token(&at, t) + (size_t)T * at.stride));   /* the next tile's */
        add_block(type, acc, w + b, &at, R, T);
    }
#pragma GCC unroll 2
    for (size_t r = 0; r < (size_t)R; r++)
#pragma GCC unroll 8
        for (size_t t = 0; t < (size_t)T; t++) row_store(y + t * ldy + r * N_LANE, acc[r][t], n_row - r * N_LANE);
}

/* Bytes of n blocks of a row, or of the group it is in. */
INLINE size_t bytes_of(const int type, const bool x8, size_t n) { return (x8 ? 8 : 1) * (super(type) ? n / 8 : n) * unit(type); }

/* How many blocks ahead of those in use others are asked for: enough to cover the way to memory, and little enough that they stay in the first
 * cache until they are used, however long rows are. */
INLINE size_t lead_of(const int type, size_t n_block)
{
    const size_t lead = 9216 / (unit(type) * N_LANE / (super(type) ? 8 : 1)) / 8 * 8;
    return lead > n_block ? n_block : lead;
}

/* Asks for the blocks that are wanted `lead` blocks after block b. ahead: bytes from a row to the one that is wanted next in its place, 0: none. */
INLINE void ask_ahead(const int type, const bool x8, rows r, size_t b, size_t n_block, size_t lead, size_t ahead)
{
    if (b + lead >= n_block && !ahead) return;
    size_t by = b + lead < n_block ? bytes_of(type, x8, lead) : ahead - bytes_of(type, x8, n_block - lead);
    if (super(type)) ask_for(x8, true, r, b / 8 * unit(type), unit(type), by, b % 8);
    else ask_for(x8, true, r, (b - b % 8) * unit(type), 8 * unit(type), by, b % 8);
}

/* All blocks of one vector of rows, as they lie. */
INLINE void direct(const int type, const bool x8, float *y, size_t ldy, size_t n_row, rows r, const wt_q8 *x, size_t n_block, size_t ahead, const int T)
{
    vf acc[MOST_ROWS][MOST_TOK];
    tokens at = tokens_at(x, n_block, T);
    part w;
    const size_t lead = lead_of(type, n_block);
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) acc[0][t] = f_set(0);
    if (super(type)) {
        for (size_t b = 0, p = 0; b < n_block; b += 8, p += unit(type)) {
            scales sc;
            super_scales(type, x8, r, p, &sc);
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++, next_block(&at, T)) {
                ask_ahead(type, x8, r, b + (size_t)i, n_block, lead, ahead);
                super_part(type, x8, r, p, i, &sc, &w);
                add_block(type, acc, &w, &at, 1, T);
            }
        }
    } else
        for (size_t b = 0, p = 0; b < n_block; b++, p += unit(type), next_block(&at, T)) {
            ask_ahead(type, x8, r, b, n_block, lead, ahead);
            simple_part(type, x8, r, p, &w);
            add_block(type, acc, &w, &at, 1, T);
        }
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) row_store(y + (size_t)t * ldy, acc[0][t], n_row);
}

/* Takes blocks [b, b + n) of a vector of rows apart; b is a multiple of 8. ahead: bytes from them to those that are wanted next. */
INLINE void unfold(const int type, const bool x8, part *o, rows r, size_t b, size_t n, size_t ahead)
{
    if (super(type))
        for (size_t k = 0, p = b / 8 * unit(type); k < n; k += 8, p += unit(type)) {
            scales sc;
            super_scales(type, x8, r, p, &sc);
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++) {
                if (ahead) ask_for(x8, false, r, p, unit(type), ahead, (size_t)i);
                super_part(type, x8, r, p, i, &sc, o + k + i);
            }
        }
    else
        for (size_t k = 0; k < n; k++) {
            if (ahead) ask_for(x8, false, r, (b + k - k % 8) * unit(type), 8 * unit(type), ahead, k % 8);
            simple_part(type, x8, r, (b + k) * unit(type), o + k);
        }
}

/* Tokens [t, n_tok), as many at once as there is room for, then fewer. */
#define BY_TOKENS(most, call) do { \
    while (n_tok - t >= most) { call(most); t += most; } \
    if (most > 4) while (n_tok - t >= 4) { call(4); t += 4; } \
    if (most > 2) while (n_tok - t >= 2) { call(2); t += 2; } \
    while (n_tok - t >= 1) { call(1); t += 1; } \
} while (0)

/* One span of R vectors of rows with all tokens. */
INLINE void tiles(const int type, float *y, size_t ldy, size_t n_row, const part *w, const wt_q8 *x, size_t n_tok, size_t x_block, size_t n_block, bool first, const int R)
{
    size_t t = 0;
#define TILE(T) tile(type, y + t * ldy, ldy, n_row, w, x + t * x_block, x_block, n_block, first, R, T)
    if (in_pairs(type) && MOST_TOK > 4) BY_TOKENS(4, TILE);      /* two sums each: there are no registers for more */
    else BY_TOKENS(MOST_TOK, TILE);
#undef TILE
}

typedef void (*tiles_fn)(float *y, size_t ldy, size_t n_row, const part *w, const wt_q8 *x, size_t n_tok, size_t x_block, size_t n_block, bool first);

enum { FEW = 4 };                /* up to so many tokens are computed directly */

/* Vectors of rows that are less than full: plain rows are copied, so that every lane reads something; of interleaved ones the last group fills all. */
INLINE rows last_rows(const bool x8, rows r, size_t row_bytes, size_t n_row, uint8_t *copy)
{
    if (x8) return (rows){ r.p, 0 };
    for (size_t i = 0; i < N_LANE; i++) __builtin_memcpy(copy + i * row_bytes, r.p + (i < n_row ? i : n_row - 1) * row_bytes, row_bytes);
    return (rows){ copy, row_bytes };
}

typedef struct matrix { const uint8_t *p; size_t row_bytes, n_row, n_block; const uint8_t *next; uint8_t *copy; } matrix;

/* The vector of rows that begins with row i. */
INLINE rows rows_at(const bool x8, const matrix *m, size_t i)
{
    size_t n = m->n_row - i;
    rows r = { m->p + i * m->row_bytes, x8 ? 8 * m->row_bytes : m->row_bytes };
    return n < N_LANE ? last_rows(x8, r, m->row_bytes, n, m->copy) : r;
}

/* Bytes from row i to the one that is wanted n rows later; 0: nothing is. May wrap: it is added to an address. */
INLINE size_t ahead_of(const matrix *m, size_t i, size_t n)
{
    if (i + n < m->n_row) return n * m->row_bytes;
    return m->next ? (size_t)((uintptr_t)m->next - (uintptr_t)(m->p + i * m->row_bytes)) : 0;
}

INLINE void few_tokens(const int type, const bool x8, float *y, size_t ldy, const matrix *m, const wt_q8 *x, size_t n_tok)
{
    for (size_t i = 0; i < m->n_row; i += N_LANE) {
        rows r = rows_at(x8, m, i);
        size_t t = 0, n = m->n_row - i < N_LANE ? m->n_row - i : N_LANE, ahead = ahead_of(m, i, N_LANE);
#define DIRECT(T) direct(type, x8, y + t * ldy + i, ldy, n, r, x + t * m->n_block, m->n_block, t ? 0 : ahead, T)
        BY_TOKENS(FEW, DIRECT);
#undef DIRECT
    }
}

INLINE void many_tokens(const int type, const bool x8, tiles_fn one, tiles_fn most, float *y, size_t ldy, const matrix *m, const wt_q8 *x, size_t n_tok, part *w)
{
    for (size_t i = 0, k; i < m->n_row; i += k * N_LANE) {
        k = m->n_row - i > (MOST_ROWS - 1) * N_LANE ? MOST_ROWS : 1;
        size_t n = m->n_row - i < k * N_LANE ? m->n_row - i : k * N_LANE;
        for (size_t b = 0; b < m->n_block; b += SPAN) {
            size_t span = m->n_block - b < SPAN ? m->n_block - b : SPAN;
            size_t more = ahead_of(m, i, k * N_LANE), ahead = b + span < m->n_block ? bytes_of(type, x8, span) : more ? more - bytes_of(type, x8, b) : 0;
            for (size_t r = 0; r < k; r++) unfold(type, x8, w + r * SPAN, rows_at(x8, m, i + r * N_LANE), b, span, ahead);
            (k == MOST_ROWS ? most : one)(y + i, ldy, n, w, x + b, n_tok, m->n_block, span, b == 0);
        }
    }
}

/* Tokens of which this many bytes are used again and again while rows pass: a share of the second cache. */
enum { IN_CACHE = 3 << 17 };

INLINE void all_rows(const int type, const bool x8, tiles_fn one, tiles_fn most, float *y, size_t ldy, const void *w, size_t row_bytes, size_t n_row,
                     const wt_q8 *x, size_t n_tok, size_t n_block, const void *next, void *scratch)
{
    matrix m = { w, row_bytes, n_row, n_block, next, (uint8_t *)scratch + MOST_ROWS * SPAN * sizeof(part) };
    if (n_tok <= FEW) { few_tokens(type, x8, y, ldy, &m, x, n_tok); return; }
    size_t at_once = IN_CACHE / (n_block * sizeof *x) / MOST_TOK * MOST_TOK;
    if (at_once < 8 * MOST_TOK) at_once = 8 * MOST_TOK;
    for (size_t t = 0; t < n_tok; t += at_once)
        many_tokens(type, x8, one, most, y + t * ldy, ldy, &m, x + t * n_block, n_tok - t < at_once ? n_tok - t : at_once, scratch);
}

/* Types, and types whose blocks are alike once they have been taken apart. */
#define EACH(X) X(Q4_0, Q4_0) X(Q4_1, Q4_1) X(Q5_0, Q5_0) X(Q5_1, Q5_1) X(Q8_0, Q8_0) X(IQ4_NL, Q8_0) X(MXFP4, Q8_0) \
                X(Q2_K, Q2_K) X(Q3_K, Q3_K) X(Q4_K, Q4_1) X(Q5_K, Q5_1) X(Q6_K, Q6_K) X(IQ4_XS, Q8_0)
#define EACH_LIKE(X) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0) X(Q2_K) X(Q3_K) X(Q6_K)
#define ARGS float *y, size_t ldy, const void *w, size_t row_bytes, size_t n_row, const wt_q8 *x, size_t n_tok, size_t n_block, const void *next, void *scratch
#define TILES float *y, size_t ldy, size_t n_row, const part *w, const wt_q8 *x, size_t n_tok, size_t x_block, size_t n_block, bool first
#define DEFINE_TILES(T) \
    static __attribute__((noinline)) void one_##T(TILES) { tiles(WT_##T, y, ldy, n_row, w, x, n_tok, x_block, n_block, first, 1); } \
    static __attribute__((noinline)) void most_##T(TILES) { tiles(WT_##T, y, ldy, n_row, w, x, n_tok, x_block, n_block, first, MOST_ROWS); }
#define DEFINE(T, LIKE) \
    static void qmul_##T(ARGS) { all_rows(WT_##T, false, one_##LIKE, most_##LIKE, y, ldy, w, row_bytes, n_row, x, n_tok, n_block, next, scratch); } \
    static void qmul_##T##_X8(ARGS) { all_rows(WT_##T, true, one_##LIKE, most_##LIKE, y, ldy, w, row_bytes, n_row, x, n_tok, n_block, next, scratch); }
#define FILL(T, LIKE) k->qmul[WT_##T] = qmul_##T; k->qmul[WT_##T##_X8] = qmul_##T##_X8;
