/* Block formats: n values, whole blocks. Layouts: ggml's published formats. */
#ifndef WT_TENSOR_BLOCKS_H
#define WT_TENSOR_BLOCKS_H

#include <stddef.h>

void wt_unpack_q4_1(float *dst, const void *src, size_t n);
void wt_unpack_q5_0(float *dst, const void *src, size_t n);
void wt_unpack_q5_1(float *dst, const void *src, size_t n);
void wt_unpack_iq4_nl(float *dst, const void *src, size_t n);
void wt_unpack_mxfp4(float *dst, const void *src, size_t n);
void wt_unpack_q2_k(float *dst, const void *src, size_t n);
void wt_unpack_q3_k(float *dst, const void *src, size_t n);
void wt_unpack_q4_k(float *dst, const void *src, size_t n);
void wt_unpack_q5_k(float *dst, const void *src, size_t n);
void wt_unpack_q6_k(float *dst, const void *src, size_t n);
void wt_unpack_iq4_xs(float *dst, const void *src, size_t n);

void wt_pack_q4_1(void *dst, const float *src, size_t n);
void wt_pack_q5_0(void *dst, const float *src, size_t n);
void wt_pack_q5_1(void *dst, const float *src, size_t n);

/* These search for the least weighted error. Value i counts weight[i] times as much: not below 0, only ratios within a super-block (a block
 * of 32) matter; NULL: all alike. Any values and weights are legal. Deterministic, no allocation. */
void wt_pack_q2_k_weighted(void *dst, const float *src, const float *weight, size_t n);
void wt_pack_q3_k_weighted(void *dst, const float *src, const float *weight, size_t n);
void wt_pack_q4_k_weighted(void *dst, const float *src, const float *weight, size_t n);
void wt_pack_q5_k_weighted(void *dst, const float *src, const float *weight, size_t n);
void wt_pack_q6_k_weighted(void *dst, const float *src, const float *weight, size_t n);
void wt_pack_iq4_nl_weighted(void *dst, const float *src, const float *weight, size_t n);
void wt_pack_iq4_xs_weighted(void *dst, const float *src, const float *weight, size_t n);
void wt_pack_mxfp4_weighted(void *dst, const float *src, const float *weight, size_t n);

#endif
