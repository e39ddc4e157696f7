/* Models in several files. The first, NAME-00001-of-00007.gguf, has all metadata and says how many there are; every file describes and
 * holds its own tensors. Joined, they look like one file. */
#include "tensor/gguf.h"

#include <stdio.h>
#include <string.h>

enum { MOST_PARTS = 1000, TAIL = 20 /* "-00001-of-00007.gguf" */ };

char *wt_gguf_part_name(wt_ctx *cx, const char *stem, size_t n_stem, int64_t no, int64_t count)
{
    return wt_printf(cx, "%.*s-%05lld-of-%05lld.gguf", (int)n_stem, stem, (long long)no + 1, (long long)count);
}

static wt_status number(wt_gguf *g, const char *key, int64_t hi, int64_t *v) { return wt_gguf_int(g->cx, g, key, false, 0, hi, v); }

/* The part's own word on which it is, checked. */
static wt_status check_part(const wt_gguf *first, wt_gguf *p, int64_t no, int64_t count)
{
    int64_t found_no = -1, found_count = count;
    WT_TRY(number(p, "split.no", MOST_PARTS, &found_no));
    WT_TRY(number(p, "split.count", MOST_PARTS, &found_count));
    if (found_no == no && found_count == count) return WITAN_OK;
    return wt_fail(p->cx, WT_EFORMAT, "%s: says it is part %lld of %lld, expected part %lld of %lld of %s", p->path, (long long)found_no + 1,
                   (long long)found_count, (long long)no + 1, (long long)count, first->path);
}

static wt_status take_tensors(wt_gguf *g, wt_gguf *p)
{
    size_t n = g->n_tensor + p->n_tensor;
    wt_tensor *t = wt_realloc(g->cx, g->tensor, n, sizeof *t);
    if (t) g->tensor = t;
    uint64_t *offset = t ? wt_realloc(g->cx, g->offset, n, sizeof *offset) : NULL;
    if (!offset) return WT_ENOMEM;
    g->offset = offset;
    memcpy(t + g->n_tensor, p->tensor, p->n_tensor * sizeof *t);
    memcpy(offset + g->n_tensor, p->offset, p->n_tensor * sizeof *offset);
    p->first = g->n_tensor;
    g->n_tensor = n;
    return WITAN_OK;
}

static wt_status add_part(wt_gguf *g, size_t stem, int64_t no, int64_t count)
{
    char *path = wt_gguf_part_name(g->cx, g->path, stem, no, count);
    wt_gguf *p;
    if (!path) return WT_ENOMEM;
    wt_status st = wt_gguf_open_one(g->cx, path, &p);
    wt_free(g->cx, path);
    WT_TRY(st);
    g->part[g->n_part++] = p;
    WT_TRY(check_part(g, p, no, count));
    return take_tensors(g, p);
}

wt_status wt_gguf_join(wt_gguf *g)
{
    int64_t count = 0, no = 0, total = -1;
    WT_TRY(number(g, "split.count", MOST_PARTS, &count));
    if (count < 2) return WITAN_OK;
    WT_TRY(number(g, "split.no", MOST_PARTS, &no));
    WT_TRY(number(g, "split.tensors.count", INT32_MAX, &total));
    size_t n = strlen(g->path), stem = n > TAIL ? n - TAIL : 0;
    char *own = stem ? wt_gguf_part_name(g->cx, g->path, stem, no, count) : NULL;
    bool named = own && !strcmp(own, g->path);
    wt_free(g->cx, own);
    if (!named) return wt_fail(g->cx, WT_EFORMAT, "%s: is part %lld of %lld of a model; expected a name that ends in -%05lld-of-%05lld.gguf", g->path,
                               (long long)no + 1, (long long)count, (long long)no + 1, (long long)count);
    if (no) return wt_fail(g->cx, WT_EARG, "%s: is part %lld of %lld; open the first, %.*s-00001-of-%05lld.gguf", g->path, (long long)no + 1,
                           (long long)count, (int)stem, g->path, (long long)count);
    g->part = wt_alloc(g->cx, (size_t)count, sizeof *g->part);
    if (!g->part) return WT_ENOMEM;
    for (no = 1; no < count; no++) WT_TRY(add_part(g, stem, no, count));
    if (total >= 0 && (uint64_t)total != g->n_tensor)
        return wt_fail(g->cx, WT_EFORMAT, "%s: the %lld parts hold %zu tensors, expected %lld", g->path, (long long)count, g->n_tensor, (long long)total);
    wt_free(g->cx, g->name_hash);
    g->name_hash = NULL;
    return wt_gguf_index_tensors(g);
}

const wt_gguf *wt_gguf_home(const wt_gguf *g, size_t i)
{
    for (size_t k = g->n_part; k--;)
        if (i >= g->part[k]->first) return g->part[k];
    return g;
}
