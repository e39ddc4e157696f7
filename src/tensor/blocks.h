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
void wt_pack_q4_k(void *dst, const float *src, size_t n);
void wt_pack_q5_k(void *dst, const float *src, size_t n);
void wt_pack_q6_k(void *dst, const float *src, size_t n);

/* Eight rows of n values, one after another, to their interleaved form and back (group.c). */
void wt_regroup_q4_0(void *dst, const void *src, size_t n);
void wt_regroup_q8_0(void *dst, const void *src, size_t n);
void wt_regroup_q4_k(void *dst, const void *src, size_t n);
void wt_ungroup_q4_0(void *dst, const void *src, size_t n);
void wt_ungroup_q8_0(void *dst, const void *src, size_t n);
void wt_ungroup_q4_k(void *dst, const void *src, size_t n);

#endif
