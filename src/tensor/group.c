/* Interleaving eight rows. A block of a row is cut into pieces of four bytes; for every block the eight rows' pieces stand together, first
 * the first piece of each row, then the second of each, and so on. Where the bytes of a block are no multiple of four, the rest is a shorter
 * piece: the first one of blocks of 32 values, which begin with a scale of one or two bytes, else the last. So byte i of a block stands at 8 i,
 * and a vector of 32 bytes holds four values of each row, which is what a product with four values of a token needs. Sizes stay the same. */
#include "tensor/tensor.h"

#include "base/thread.h"

#include <string.h>

/* One block of each of eight rows; row r of plain stands stride bytes behind row r - 1. into: plain to group, else back. */
static void shuffle_block(uint8_t *group, uint8_t *plain, size_t stride, size_t bytes, size_t lead, bool into)
{
    for (size_t at = 0, n; at < bytes; at += n) {
        n = at == 0 && lead ? lead : bytes - at < 4 ? bytes - at : 4;
        for (size_t r = 0; r < WT_GROUP; r++, group += n) memcpy(into ? group : plain + r * stride + at, into ? plain + r * stride + at : group, n);
    }
}

static void shuffle(const wt_type_info *t, uint8_t *group, uint8_t *plain, size_t n, bool into)
{
    size_t n_block = n / t->block, lead = t->block == 32 ? t->bytes % 4 : 0;
    for (size_t b = 0; b < n_block; b++) shuffle_block(group + b * WT_GROUP * t->bytes, plain + b * t->bytes, n_block * t->bytes, t->bytes, lead, into);
}

void wt_regroup(const wt_type_info *t, void *dst, const void *src, size_t n) { shuffle(t, dst, (uint8_t *)(uintptr_t)src, n, true); }
void wt_ungroup(const wt_type_info *t, void *dst, const void *src, size_t n) { shuffle(t, (uint8_t *)(uintptr_t)src, dst, n, false); }

bool wt_can_interleave(const wt_tensor *t, wt_type *as) { return t->n_dim == 2 && t->shape[0] % WT_GROUP == 0 && wt_grouped(t->type, as); }

typedef struct copy { const wt_type_info *t; const uint8_t *src; uint8_t *dst; size_t bytes, n; } copy;

static void groups(void *arg, size_t begin, size_t end, int worker)
{
    const copy *c = arg;
    (void)worker;
    for (size_t g = begin; g < end; g++) wt_regroup(c->t, c->dst + g * c->bytes, c->src + g * c->bytes, c->n);
}

void wt_interleave(wt_ctx *cx, wt_tensor *t, wt_type as, void *dst)
{
    size_t n = (size_t)t->shape[0] / WT_GROUP;
    copy c = { wt_type_get(as), t->data, dst, t->bytes / n, (size_t)t->shape[1] };
    wt_parallel(cx, n, 65536 / c.bytes + 1, groups, &c);
    t->type = as;
    t->data = dst;
}
