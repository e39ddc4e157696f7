/* Element and block types of GGUF, and plain-C conversion between them and float. A row is always whole blocks. */
#ifndef WT_TENSOR_TYPE_H
#define WT_TENSOR_TYPE_H

#include "base/status.h"

/* Numbers as in GGUF files. */
typedef enum wt_type {
    WT_F32 = 0, WT_F16 = 1, WT_Q4_0 = 2, WT_Q4_1 = 3, WT_Q5_0 = 6, WT_Q5_1 = 7, WT_Q8_0 = 8, WT_Q2_K = 10, WT_Q3_K = 11,
    WT_Q4_K = 12, WT_Q5_K = 13, WT_Q6_K = 14, WT_IQ4_NL = 20, WT_IQ4_XS = 23, WT_I8 = 24, WT_I16 = 25, WT_I32 = 26,
    WT_I64 = 27, WT_F64 = 28, WT_BF16 = 30, WT_MXFP4 = 39,
    /* Ours: eight rows interleaved, see group. 200 more than the type of the rows. */
    WT_X8 = 200,
    WT_Q4_0_X8 = WT_X8 + WT_Q4_0, WT_Q4_1_X8 = WT_X8 + WT_Q4_1, WT_Q5_0_X8 = WT_X8 + WT_Q5_0, WT_Q5_1_X8 = WT_X8 + WT_Q5_1, WT_Q8_0_X8 = WT_X8 + WT_Q8_0,
    WT_Q2_K_X8 = WT_X8 + WT_Q2_K, WT_Q3_K_X8 = WT_X8 + WT_Q3_K, WT_Q4_K_X8 = WT_X8 + WT_Q4_K, WT_Q5_K_X8 = WT_X8 + WT_Q5_K, WT_Q6_K_X8 = WT_X8 + WT_Q6_K,
    WT_IQ4_NL_X8 = WT_X8 + WT_IQ4_NL, WT_IQ4_XS_X8 = WT_X8 + WT_IQ4_XS, WT_MXFP4_X8 = WT_X8 + WT_MXFP4,
    WT_N_TYPE
} wt_type;

typedef struct wt_type_info {
    const char *name;                     /* "Q8_0" */
    uint32_t block, bytes;                /* values and bytes of one block; block 0: unknown type */
    void (*unpack)(float *dst, const void *src, size_t n);   /* n values, whole blocks; NULL: sizes known, cannot be read */
    void (*pack)(void *dst, const float *src, size_t n);     /* NULL: cannot be written */
    /* Types whose rows are interleaved in groups of WT_GROUP, so that kernels find what they need side by side: the same blocks of `base` in
     * another order (group.c). Rows can be addressed in whole groups only. */
    bool group;
    wt_type base;
} wt_type_info;

enum { WT_GROUP = 8 };

const wt_type_info *wt_type_get(uint32_t type);              /* never NULL: unknown types have block 0 and name "?" */
bool wt_row_bytes(uint32_t type, uint64_t n, size_t *bytes); /* false: unknown type, part of a block, or overflow */

/* Whether matrices of this type can be read: by values, or by groups of rows. */
bool wt_readable(uint32_t type);
/* The interleaved form of a type; false: there is none. */
bool wt_grouped(uint32_t type, wt_type *out);
/* One group of rows of n values each, one after another, to the interleaved form t and back. */
void wt_regroup(const wt_type_info *t, void *dst, const void *src, size_t n);
void wt_ungroup(const wt_type_info *t, void *dst, const void *src, size_t n);

float wt_half_to_float(uint16_t h);
uint16_t wt_float_to_half(float f);      /* round to nearest even; overflow gives infinity */
static inline float wt_bf16_to_float(uint16_t h) { union { uint32_t u; float f; } v = { (uint32_t)h << 16 }; return v.f; }
uint16_t wt_float_to_bf16(float f);      /* round to nearest even; NaN stays NaN */

#endif
