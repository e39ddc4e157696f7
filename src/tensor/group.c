/* Interleaving eight rows. For every block (or super-block) the eight rows' parts stand together: heads first (halves, scales), row by row
 * within each part; then the values, four bytes of each row in turn:
 *   Q4_0_X8   8 halves; 4 x (8 rows x 4 bytes of nibbles)
 *   Q8_0_X8   8 halves; 8 x (8 rows x 4 bytes)
 *   Q4_K_X8   8 halves d; 8 halves dmin; 8 x 12 bytes of scales; 4 x 8 x (8 rows x 4 bytes of nibbles)
 * Sizes stay the same. A vector of 32 bytes then holds four values of each row, which is what a product with four values of a token needs. */
#include "tensor/blocks.h"

#include "tensor/type.h"
#include <string.h>

/* A block as parts: lengths in bytes, the last one in pieces of four bytes; 0 ends. */
typedef struct layout { size_t block, bytes, part[4]; } layout;

static const layout q4_0 = { 32, 18, { 2, 16 } }, q8_0 = { 32, 34, { 2, 32 } }, q4_k = { 256, 144, { 2, 2, 12, 128 } };

static void move(uint8_t *group, uint8_t *plain, size_t n, bool into)
{
    memcpy(into ? group : plain, into ? plain : group, n);
}

/* group [blocks][parts interleaved], plain [8][blocks]. into: plain to group, else back. */
static void shuffle(const layout *l, uint8_t *group, uint8_t *plain, size_t n, bool into)
{
    size_t n_block = n / l->block;
    for (size_t b = 0; b < n_block; b++) {
        size_t at = 0;
        for (int k = 0; k < 4 && l->part[k]; k++) {
            bool last = k == 3 || !l->part[k + 1];
            size_t piece = last ? 4 : l->part[k];
            for (size_t i = 0; i < l->part[k]; i += piece)
                for (size_t r = 0; r < WT_GROUP; r++, group += piece) move(group, plain + (r * n_block + b) * l->bytes + at + i, piece, into);
            at += l->part[k];
        }
    }
}

static void regroup(const layout *l, void *dst, const void *src, size_t n) { shuffle(l, dst, (uint8_t *)(uintptr_t)src, n, true); }
static void ungroup(const layout *l, void *dst, const void *src, size_t n) { shuffle(l, (uint8_t *)(uintptr_t)src, dst, n, false); }

void wt_regroup_q4_0(void *dst, const void *src, size_t n) { regroup(&q4_0, dst, src, n); }
void wt_regroup_q8_0(void *dst, const void *src, size_t n) { regroup(&q8_0, dst, src, n); }
void wt_regroup_q4_k(void *dst, const void *src, size_t n) { regroup(&q4_k, dst, src, n); }
void wt_ungroup_q4_0(void *dst, const void *src, size_t n) { ungroup(&q4_0, dst, src, n); }
void wt_ungroup_q8_0(void *dst, const void *src, size_t n) { ungroup(&q8_0, dst, src, n); }
void wt_ungroup_q4_k(void *dst, const void *src, size_t n) { ungroup(&q4_k, dst, src, n); }
