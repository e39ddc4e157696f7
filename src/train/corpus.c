/* Writing the synthetic corpus: one file per domain and split, and one per split with all domains, whose items take turns. */
#include "base/file.h"
#include "train/synth.h"

#include <string.h>

enum { N_SPLIT = 4, MOST_DOMAIN = 64 };
static const char *const split_name[N_SPLIT] = { "train", "valid", "test", "demos" };

size_t witan_synth_domain_count(void) { return (size_t)wt_synth_domains(); }

const char *witan_synth_domain(size_t i, const char **about)
{
    if (i >= witan_synth_domain_count()) return NULL;
    if (about) *about = wt_synth_domain_about((int)i);
    return wt_synth_domain_name((int)i);
}

/* ---- questions seen ------------------------------------------------------------------------------------------------- */

/* 64-bit hashes of questions: outside the training split no question is asked twice. */
typedef struct seen { uint64_t *slot; size_t n_slot, n; } seen;

static uint64_t hash(const char *s)
{
    uint64_t h = 14695981039346656037u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h | 1;                                 /* 0 marks an empty slot */
}

static bool add(seen *s, uint64_t h)
{
    size_t i = (size_t)(h >> 7) & (s->n_slot - 1);
    for (; s->slot[i]; i = (i + 1) & (s->n_slot - 1)) if (s->slot[i] == h) return false;
    s->slot[i] = h;
    return true;
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

typedef struct job { wt_ctx *cx; const witan_synth_options *o; int split; int32_t n; uint64_t next[MOST_DOMAIN]; seen seen[MOST_DOMAIN]; wt_out *one[MOST_DOMAIN], *all; } job;

static void put_member(wt_text *t, const char *key, const char *a, const char *b)
{
    wt_text_printf(t, "%s\"%s\":\"", strcmp(key, "domain") ? "," : "{", key);
    for (int part = 0; part < 2; part++)
        for (const char *c = part ? b : a; *c; c++) wt_text_printf(t, *c == '"' || *c == '\\' ? "\\%c" : *c == '\n' ? "\\n" : "%c", *c);
    wt_text_puts(t, "\"");
}

static wt_status write_item(job *j, int domain, const wt_synth_item *it)
{
    wt_text t;
    wt_text_init(&t, j->cx);
    put_member(&t, "domain", wt_synth_domain_name(domain), "");
    put_member(&t, "prompt", it->prompt, "");
    put_member(&t, "answer", it->answer, "");
    put_member(&t, "text", it->prompt, it->answer);
    wt_text_puts(&t, "}\n");
    wt_status st = t.failed ? wt_fail(j->cx, WT_ENOMEM, "out of memory while writing items") : wt_out_write(j->one[domain], t.s, t.n);
    if (st == WITAN_OK) st = wt_out_write(j->all, t.s, t.n);
    wt_text_free(&t);
    return st;
}

/* Writes one more item. Outside training a domain that has run out of different questions writes no more: *done. */
static wt_status one_item(job *j, int domain, bool *done)
{
    wt_synth_item it;
    for (int tries = 0; tries < 20000; tries++) {
        if (!wt_synth_make(domain, (wt_synth_split)j->split, (uint64_t)j->o->seed, j->next[domain]++, &it)) break;
        if (j->split != WT_SYNTH_TRAIN && !add(&j->seen[domain], hash(it.prompt))) continue;
        j->seen[domain].n++;
        return write_item(j, domain, &it);
    }
    *done = true;
    wt_log(j->cx, WITAN_INFO, "%s has only %zu different questions for the %s split", wt_synth_domain_name(domain), j->seen[domain].n, split_name[j->split]);
    return WITAN_OK;
}

static wt_status open_one(job *j, const char *name, wt_out **out)
{
    char *path = wt_printf(j->cx, "%s/%s.%s.jsonl", j->o->dir, name, split_name[j->split]);
    if (!path) return WT_ENOMEM;
    wt_status st = wt_out_open(j->cx, path, out);
    wt_free(j->cx, path);
    return st;
}

static wt_status prepare(job *j)
{
    size_t n_slot = 16;
    while (n_slot < (size_t)j->n * 2) n_slot *= 2;
    for (int d = 0; d < wt_synth_domains(); d++) {
        WT_TRY(open_one(j, wt_synth_domain_name(d), &j->one[d]));
        j->seen[d] = (seen){ wt_alloc(j->cx, n_slot, sizeof(uint64_t)), n_slot, 0 };
        if (!j->seen[d].slot) return WT_ENOMEM;
    }
    return open_one(j, "all", &j->all);
}

static wt_status split(job *j)
{
    bool done[MOST_DOMAIN] = { false };
    WT_TRY(prepare(j));
    for (int32_t i = 0; i < j->n; i++) {
        if (i % 256 == 0) WT_TRY(wt_progress(j->cx, split_name[j->split], i, j->n, "items"));
        for (int d = 0; d < wt_synth_domains(); d++)
            if (!done[d]) WT_TRY(one_item(j, d, &done[d]));
    }
    for (int d = 0; d < wt_synth_domains(); d++) WT_TRY(wt_out_commit(&j->one[d]));
    return wt_out_commit(&j->all);
}

wt_status witan_synth(wt_ctx *cx, const witan_synth_options *o)
{
    const int32_t n[N_SPLIT] = { o->train, o->valid, o->test, o->demos };
    wt_assert(wt_synth_domains() <= MOST_DOMAIN);
    WT_TRY(wt_folder_make(cx, o->dir));
    for (int s = 0; s < N_SPLIT; s++) {
        if (n[s] < 0) return wt_fail(cx, WT_EARG, "%s: %d items asked, expected 0 or more", split_name[s], n[s]);
        job j = { .cx = cx, .o = o, .split = s, .n = n[s] };
        wt_status st = n[s] ? split(&j) : WITAN_OK;
        for (int d = 0; d < wt_synth_domains(); d++) {
            wt_out_abort(&j.one[d]);
            wt_free(cx, j.seen[d].slot);
        }
        wt_out_abort(&j.all);
        WT_TRY(st);
    }
    return WITAN_OK;
}
