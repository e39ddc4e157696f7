/* Counting words: each worker fills a table of its own, which are added up after every block. See words.h. */
#include "train/words.h"

#include "base/hash.h"
#include "base/rng.h"
#include "train/source.h"
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 8 << 20 };

/* ---- tables --------------------------------------------------------------------------------------------------------- */

/* The slot may depend on keys of this process (base/hash.h): nothing is ever read in the order of slots. */
static uint64_t hash(const char *s, size_t n)
{
    uint64_t h = n * 0x9E3779B97F4A7C15u, part;
    for (; n >= 8; s += 8, n -= 8) {
        memcpy(&part, s, 8);
        h = wt_mix64(h ^ part);
    }
    part = 0;
    memcpy(&part, s, n);
    return wt_mix64(h ^ part);
}

static wt_word *find(const wt_words *w, uint64_t h, const char *s, size_t n)
{
    size_t i = wt_hash_slot(h >> 3, w->n_slot);
    for (; w->slot[i].count; i = (i + 1) & (w->n_slot - 1))
        if (w->slot[i].hash == h && w->slot[i].n == n && !memcmp(w->text + w->slot[i].at, s, n)) break;
    return w->slot + i;
}

static wt_status grow(wt_words *w)
{
    size_t n_slot = w->n_slot ? w->n_slot * 2 : 1024;
    wt_word *old = w->slot, *slot = wt_alloc(w->cx, n_slot, sizeof *slot);
    if (!slot) return WT_ENOMEM;
    for (size_t i = 0; i < w->n_slot; i++) {
        if (!old[i].count) continue;
        size_t k = wt_hash_slot(old[i].hash >> 3, n_slot);
        while (slot[k].count) k = (k + 1) & (n_slot - 1);
        slot[k] = old[i];
    }
    wt_free(w->cx, old);
    w->slot = slot;
    w->n_slot = n_slot;
    return WITAN_OK;
}

static wt_status add(wt_words *w, uint64_t h, const char *s, size_t n, int64_t count)
{
    if (w->n * 2 >= w->n_slot) WT_TRY(grow(w));
    wt_word *x = find(w, h, s, n);
    if (x->count) { x->count += count; return WITAN_OK; }
    if (w->cap_text - w->n_text < n) {
        size_t cap = w->cap_text * 2 + n + 4096;
        char *t = wt_realloc(w->cx, w->text, cap, 1);
        if (!t) return WT_ENOMEM;
        w->text = t;
        w->cap_text = cap;
    }
    memcpy(w->text + w->n_text, s, n);
    *x = (wt_word){ h, count, w->n_text, (uint32_t)n };
    w->n_text += n;
    w->n++;
    return WITAN_OK;
}

static void clear(wt_words *w)
{
    if (w->n) memset(w->slot, 0, w->n_slot * sizeof *w->slot);
    w->n = w->n_text = 0;
}

void wt_words_free(wt_words *w)
{
    wt_free(w->cx, w->slot);
    wt_free(w->cx, w->text);
    *w = (wt_words){ .cx = w->cx };
}

/* ---- the bound ------------------------------------------------------------------------------------------------------ */

/* How many words have each count below `most`. The least count that must go so that `keep` words or fewer stay. */
static wt_status threshold(const wt_words *w, size_t keep, int64_t *out)
{
    int64_t most = 1;
    for (;; most *= 16) {                         /* counts above `most` share the last place */
        size_t *n = wt_alloc(w->cx, (size_t)most + 2, sizeof *n), left = w->n;
        if (!n) return WT_ENOMEM;
        for (size_t i = 0; i < w->n_slot; i++)
            if (w->slot[i].count) n[w->slot[i].count > most ? most + 1 : w->slot[i].count]++;
        int64_t c = 0;
        while (left > keep && c < most) left -= n[++c];
        bool all = n[most + 1] == 0;
        wt_free(w->cx, n);
        if (left <= keep || all) { *out = c; return WITAN_OK; }
    }
}

static wt_status forget(wt_words *w, size_t keep, int64_t *dropped)
{
    int64_t least;
    wt_words kept = { .cx = w->cx };
    WT_TRY(threshold(w, keep, &least));
    wt_status st = WITAN_OK;
    for (size_t i = 0; st == WITAN_OK && i < w->n_slot; i++) {
        const wt_word *x = w->slot + i;
        if (x->count > least) st = add(&kept, x->hash, w->text + x->at, x->n, x->count);
        else *dropped += x->count;
    }
    if (st != WITAN_OK) { wt_words_free(&kept); return st; }
    wt_words_free(w);
    *w = kept;
    return WITAN_OK;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

typedef struct share { wt_words words; int64_t n_byte, n_piece; } share;   /* of one worker */
typedef struct job { const wt_words_options *o; share *share; wt_words_result *out; } job;

static wt_status piece(void *arg, const char *s, size_t n)
{
    share *m = arg;
    if (n > UINT32_MAX) return wt_fail(m->words.cx, WT_ELIMIT, "a piece of %zu bytes without a break is too long", n);
    m->n_piece++;
    return add(&m->words, hash(s, n), s, n, 1);
}

static wt_status part(const job *j, share *m, const char *s, size_t n)
{
    m->n_byte += (int64_t)n;
    return n ? wt_split(j->o->split, s, n, piece, m) : WITAN_OK;
}

static wt_status each(void *arg, wt_ctx *side, int worker, size_t i, const wt_source_doc *doc)
{
    job *j = arg;
    share *m = j->share + worker;
    (void)i;
    m->words.cx = side;
    if (doc->text) return part(j, m, doc->text, doc->n_text);
    WT_TRY(part(j, m, doc->prompt, doc->n_prompt));
    return part(j, m, doc->answer, doc->n_answer);
}

static wt_status end(void *arg, wt_ctx *cx, size_t n)
{
    job *j = arg;
    wt_words *all = &j->out->words;
    j->out->n_doc += (int64_t)n;
    for (int w = 0; w < cx->threads; w++) {
        share *m = j->share + w;
        for (size_t i = 0; i < m->words.n_slot; i++) {
            const wt_word *x = m->words.slot + i;
            if (x->count) WT_TRY(add(all, x->hash, m->words.text + x->at, x->n, x->count));
        }
        j->out->n_byte += m->n_byte;
        j->out->n_piece += m->n_piece;
        m->n_byte = m->n_piece = 0;
        clear(&m->words);
    }
    return (int64_t)all->n > j->o->most ? forget(all, (size_t)j->o->most / 2, &j->out->dropped) : WITAN_OK;
}

static wt_status read_all(wt_ctx *cx, wt_sides *sides, job *j, const char *const *path, size_t n_path)
{
    wt_source_reader r = { .each = each, .end = end, .arg = j, .pieces = true, .block = BLOCK, .total = wt_source_bytes(path, n_path), .phase = "count" };
    for (size_t i = 0; i < n_path; i++) WT_TRY(wt_source_read(cx, sides, path[i], &r));
    return WITAN_OK;
}

wt_status wt_words_count(wt_ctx *cx, const char *const *path, size_t n_path, const wt_words_options *o, wt_words_result *out)
{
    job j = { .o = o, .out = out };
    wt_sides *sides = NULL;
    *out = (wt_words_result){ .words = { .cx = cx } };
    wt_status st = wt_sides_open(cx, &sides);
    if (st == WITAN_OK && !(j.share = wt_alloc(cx, (size_t)cx->threads, sizeof *j.share))) st = WT_ENOMEM;
    if (st == WITAN_OK) st = read_all(cx, sides, &j, path, n_path);
    for (int w = 0; j.share && w < cx->threads; w++) {
        j.share[w].words.cx = cx;
        wt_words_free(&j.share[w].words);
    }
    wt_free(cx, j.share);
    wt_sides_free(sides);
    if (st != WITAN_OK) wt_words_free(&out->words);
    return st;
}
