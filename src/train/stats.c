/* What is in a data set: documents, bytes, tokens, lengths, repetitions and bad text, for each domain. */
#include "base/hash.h"
#include "base/rng.h"
#include "model/model.h"
#include "train/source.h"

#include <stdlib.h>
#include <string.h>

typedef struct found { char *domain; int64_t bytes, length; uint64_t hash; bool bad; } found;   /* of one document of a block */

typedef struct domain { witan_data_stats_row row; int64_t *length; size_t n, cap; } domain;

typedef struct job {
    wt_ctx *cx;
    const wt_vocab *v;           /* NULL: no tokens */
    found *doc; size_t cap_doc;
    domain *d; size_t n_d, cap_d;
    uint64_t *seen; size_t n_seen, n_slot;
} job;

/* ---- one document --------------------------------------------------------------------------------------------------- */

static uint64_t hash(uint64_t h, const char *s, size_t n)
{
    uint64_t part;
    for (; n >= 8; s += 8, n -= 8) {
        memcpy(&part, s, 8);
        h = wt_mix64(h ^ part) * 0x9E3779B97F4A7C15u;
    }
    for (; n; s++, n--) h = wt_mix64(h ^ (uint8_t)*s) * 0x9E3779B97F4A7C15u;
    return h;
}

static wt_status measure(job *j, wt_ctx *side, found *f, const char *s, size_t n)
{
    int32_t *ids;
    size_t n_id = n;
    f->bytes += (int64_t)n;
    if (j->v) {
        WT_TRY(wt_vocab_encode(side, j->v, s, n, 0, &ids, &n_id));
        wt_free(side, ids);
    }
    f->length += (int64_t)n_id;
    return WITAN_OK;
}

static wt_status each(void *arg, wt_ctx *side, int worker, size_t i, const wt_source_doc *doc)
{
    job *j = arg;
    found *f = j->doc + i;
    (void)worker;
    *f = (found){ .bad = doc->bad };
    if (!(f->domain = wt_strndup(side, doc->domain, doc->n_domain))) return WT_ENOMEM;
    if (doc->bad) return WITAN_OK;
    if (doc->text) {
        f->hash = wt_mix64(hash(0, doc->text, doc->n_text)) | 1;
        return measure(j, side, f, doc->text, doc->n_text);
    }
    char *whole = wt_realloc(side, NULL, doc->n_prompt + doc->n_answer, 1);   /* the hash is that of the whole text */
    if (!whole) return WT_ENOMEM;
    memcpy(whole, doc->prompt, doc->n_prompt);
    memcpy(whole + doc->n_prompt, doc->answer, doc->n_answer);
    f->hash = wt_mix64(hash(0, whole, doc->n_prompt + doc->n_answer)) | 1;
    wt_free(side, whole);
    WT_TRY(measure(j, side, f, doc->prompt, doc->n_prompt));
    return measure(j, side, f, doc->answer, doc->n_answer);
}

/* ---- a block -------------------------------------------------------------------------------------------------------- */

static wt_status begin(void *arg, wt_ctx *cx, size_t n)
{
    job *j = arg;
    if (n > j->cap_doc) {
        found *p = wt_realloc(cx, j->doc, n, sizeof *p);
        if (!p) return WT_ENOMEM;
        memset(p + j->cap_doc, 0, (n - j->cap_doc) * sizeof *p);
        j->doc = p;
        j->cap_doc = n;
    }
    return WITAN_OK;
}

/* New text? 64 bits of hash: among a million documents two that differ are taken for equal once in 40 million data sets. */
static wt_status is_new(job *j, uint64_t h, bool *fresh)
{
    if (j->n_seen * 2 >= j->n_slot) {
        size_t n = j->n_slot ? j->n_slot * 2 : 1024;
        uint64_t *p = wt_alloc(j->cx, n, sizeof *p);
        if (!p) return WT_ENOMEM;
        for (size_t i = 0; i < j->n_slot; i++) {
            size_t k = j->seen[i] ? wt_hash_slot(j->seen[i] >> 3, n) : 0;
            while (j->seen[i] && p[k]) k = (k + 1) & (n - 1);
            if (j->seen[i]) p[k] = j->seen[i];
        }
        wt_free(j->cx, j->seen);
        j->seen = p;
        j->n_slot = n;
    }
    size_t i = wt_hash_slot(h >> 3, j->n_slot);
    while (j->seen[i] && j->seen[i] != h) i = (i + 1) & (j->n_slot - 1);
    *fresh = !j->seen[i];
    j->seen[i] = h;
    j->n_seen += *fresh;
    return WITAN_OK;
}

/* The domain of this name; the name is taken over by the first document. */
static wt_status domain_of(job *j, char **name, domain **out)
{
    for (size_t i = 0; i < j->n_d; i++)
        if (!strcmp(j->d[i].row.domain, *name)) { *out = j->d + i; return WITAN_OK; }
    if (j->n_d == j->cap_d) {
        domain *p = wt_realloc(j->cx, j->d, j->cap_d * 2 + 16, sizeof *p);
        if (!p) return WT_ENOMEM;
        j->d = p;
        j->cap_d = j->cap_d * 2 + 16;
    }
    *out = j->d + j->n_d++;
    **out = (domain){ .row = { .domain = *name } };
    *name = NULL;
    return WITAN_OK;
}

static wt_status add(job *j, found *f)
{
    domain *d;
    bool fresh;
    WT_TRY(domain_of(j, &f->domain, &d));
    if (f->bad) { d->row.bad_utf8++; return WITAN_OK; }
    WT_TRY(is_new(j, f->hash, &fresh));
    d->row.documents++;
    d->row.bytes += f->bytes;
    d->row.tokens += j->v ? f->length : 0;
    d->row.duplicates += !fresh;
    if (d->n == d->cap) {
        int64_t *p = wt_realloc(j->cx, d->length, d->cap * 2 + 256, sizeof *p);
        if (!p) return WT_ENOMEM;
        d->length = p;
        d->cap = d->cap * 2 + 256;
    }
    d->length[d->n++] = f->length;
    return WITAN_OK;
}

static void forget_block(job *j, size_t n)
{
    for (size_t i = 0; i < n; i++) wt_free(j->cx, j->doc[i].domain);
    if (n) memset(j->doc, 0, n * sizeof *j->doc);
}

static wt_status end(void *arg, wt_ctx *cx, size_t n)
{
    job *j = arg;
    (void)cx;
    for (size_t i = 0; i < n; i++) WT_TRY(add(j, j->doc + i));
    forget_block(j, n);
    return WITAN_OK;
}

/* ---- the result ----------------------------------------------------------------------------------------------------- */

static int upwards(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The smallest length that so many per cent of the documents do not exceed. */
static int64_t percentile(const domain *d, size_t per_cent)
{
    size_t rank = (d->n * per_cent + 99) / 100;
    return d->n ? d->length[rank ? rank - 1 : 0] : 0;
}

static void lengths(domain *d)
{
    double sum = 0;
    if (d->n) qsort(d->length, d->n, sizeof *d->length, upwards);
    for (size_t i = 0; i < d->n; i++) sum += (double)d->length[i];
    d->row.mean = d->n ? sum / (double)d->n : 0;
    d->row.min = percentile(d, 0);
    d->row.p10 = percentile(d, 10);
    d->row.p50 = percentile(d, 50);
    d->row.p90 = percentile(d, 90);
    d->row.p99 = percentile(d, 99);
    d->row.max = percentile(d, 100);
}

static wt_status total(job *j, domain *all)
{
    size_t n = 0;
    for (size_t i = 0; i < j->n_d; i++) n += j->d[i].n;
    *all = (domain){ .row = { .domain = "all" }, .n = 0, .length = wt_alloc(j->cx, n, sizeof *all->length) };
    if (!all->length) return WT_ENOMEM;
    for (size_t i = 0; i < j->n_d; i++) {
        const domain *d = j->d + i;
        all->row.documents += d->row.documents;
        all->row.bytes += d->row.bytes;
        all->row.tokens += d->row.tokens;
        all->row.duplicates += d->row.duplicates;
        all->row.bad_utf8 += d->row.bad_utf8;
        if (d->n) memcpy(all->length + all->n, d->length, d->n * sizeof *d->length);
        all->n += d->n;
    }
    lengths(all);
    return WITAN_OK;
}

static wt_status hand_over(job *j, witan_data_stats_result **out)
{
    domain all;
    witan_data_stats_result *r = wt_alloc(j->cx, 1, sizeof *r);
    if (!r) return WT_ENOMEM;
    r->row = wt_alloc(j->cx, j->n_d + 1, sizeof *r->row);
    wt_status st = r->row ? total(j, &all) : WT_ENOMEM;
    if (st != WITAN_OK) { witan_data_stats_free(j->cx, r); return st; }
    for (size_t i = 0; i < j->n_d; i++) {
        lengths(j->d + i);
        r->row[i] = j->d[i].row;
        j->d[i].row.domain = NULL;
    }
    r->n_row = j->n_d + 1;
    r->has_tokens = j->v != NULL;
    r->row[j->n_d] = all.row;
    wt_free(j->cx, all.length);
    *out = r;
    return WITAN_OK;
}

wt_status witan_data_stats(wt_ctx *cx, const char *const *path, size_t n_path, const witan_model *vocabulary, witan_data_stats_result **out)
{
    job j = { .cx = cx, .v = vocabulary ? vocabulary->vocab : NULL };
    wt_sides *sides = NULL;
    if (!n_path) return wt_fail(cx, WT_EARG, "no file to read");
    wt_source_reader r = { .begin = begin, .each = each, .end = end, .arg = &j, .keep_bad = true, .total = wt_source_bytes(path, n_path), .phase = "read" };
    wt_status st = wt_sides_open(cx, &sides);
    for (size_t i = 0; st == WITAN_OK && i < n_path; i++) st = wt_source_read(cx, sides, path[i], &r);
    if (st == WITAN_OK) st = hand_over(&j, out);
    if (j.doc) forget_block(&j, j.cap_doc);
    for (size_t i = 0; i < j.n_d; i++) {
        wt_free(cx, (char *)(uintptr_t)j.d[i].row.domain);
        wt_free(cx, j.d[i].length);
    }
    wt_free(cx, j.doc);
    wt_free(cx, j.d);
    wt_free(cx, j.seen);
    wt_sides_free(sides);
    return st;
}

void witan_data_stats_free(wt_ctx *cx, witan_data_stats_result *r)
{
    if (!r) return;
    for (size_t i = 0; i + 1 < r->n_row; i++) wt_free(cx, (char *)(uintptr_t)r->row[i].domain);
    wt_free(cx, r->row);
    wt_free(cx, r);
}
