/* Writing the synthetic corpus: one file per domain and split, and one per split with all domains, whose items take turns. */
#include "base/file.h"
#include "base/option.h"
#include "train/synth.h"

#include <stdio.h>
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

/* ---- options -------------------------------------------------------------------------------------------------------- */

const witan_param witan_synth_param[] = {
    WT_NUM(witan_synth_options, seed, 1, 0, 9007199254740992.0, "same seed, same bytes"),
    WT_NUM(witan_synth_options, train, 2000, 0, 10000000, "training items per domain"),
    WT_NUM(witan_synth_options, valid, 100, 0, 1000000, "validation items per domain"),
    WT_NUM(witan_synth_options, test, 200, 0, 1000000, "test items per domain"),
    WT_NUM(witan_synth_options, demos, 10, 0, 1000000, "few-shot demonstrations per domain"),
    WT_NUM(witan_synth_options, difficulty, WT_SYNTH_USUAL, WT_SYNTH_EASY, WT_SYNTH_HARD, "1 easy, 2 what the shipped model is trained on, 3 hard"),
    WT_TEXT(witan_synth_options, difficulty_of, NULL, "LIST", "of some domains instead, such as graph=1,json=3"),
    WT_TEXT(witan_synth_options, domains, NULL, "LIST", "only these domains, such as units,graph"),
    WT_NUM(witan_synth_options, book, 1, 1, 9007199254740992.0, "which phone book: other numbers to learn by heart"),
    { 0 }
};

static wt_status find_domain(wt_ctx *cx, const char *what, const char *name, size_t n, int *d)
{
    const char *word[MOST_DOMAIN], *near;
    char typed[64];
    int n_domain = wt_synth_domains();
    for (int i = 0; i < n_domain; i++) word[i] = wt_synth_domain_name(i);
    for (*d = 0; *d < n_domain; ++*d)
        if (strlen(word[*d]) == n && !memcmp(word[*d], name, n)) return WITAN_OK;
    snprintf(typed, sizeof typed, "%.*s", (int)(n < 60 ? n : 60), name);
    near = witan_did_you_mean(typed, word, (size_t)n_domain);
    return wt_fail(cx, WT_EARG, "%s: no domain \"%s\"%s%s%s", what, typed, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* What is made of a domain; difficulty 0: nothing. */
typedef struct choice { int difficulty[MOST_DOMAIN]; } choice;

/* "graph=1,json=3", or with only != 0 "graph,json", which all get that difficulty. */
static wt_status read_list(wt_ctx *cx, const char *what, const char *list, int only, choice *c)
{
    for (const char *s = list; s && *s;) {
        size_t n = strcspn(s, ","), name = strcspn(s, only ? "," : ",=");
        int d;
        WT_TRY(find_domain(cx, what, s, name, &d));
        bool digit = n == name + 2 && s[name + 1] >= '0' + WT_SYNTH_EASY && s[name + 1] <= '0' + WT_SYNTH_HARD;
        if (!only && !digit) return wt_fail(cx, WT_EARG, "%s: \"%.*s\": expected DOMAIN=1, 2 or 3", what, (int)(n < 60 ? n : 60), s);
        if (only) c->difficulty[d] = only;
        else if (c->difficulty[d]) c->difficulty[d] = s[name + 1] - '0';
        s += n + (s[n] == ',');
    }
    return WITAN_OK;
}

static wt_status choose(wt_ctx *cx, const witan_synth_options *o, choice *c)
{
    int usual = o->difficulty ? o->difficulty : WT_SYNTH_USUAL;
    *c = (choice){ { 0 } };
    if (usual < WT_SYNTH_EASY || usual > WT_SYNTH_HARD) return wt_fail(cx, WT_EARG, "difficulty is %d, expected 1, 2 or 3", usual);
    if (o->domains) WT_TRY(read_list(cx, "domains", o->domains, usual, c));
    else for (int d = 0; d < wt_synth_domains(); d++) c->difficulty[d] = usual;
    return read_list(cx, "difficulty_of", o->difficulty_of, 0, c);
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

typedef struct job {
    wt_ctx *cx;
    const witan_synth_options *o;
    const choice *choice;
    int split;
    int32_t n;
    uint64_t next[MOST_DOMAIN];
    seen seen[MOST_DOMAIN];
    wt_out *one[MOST_DOMAIN], *all;
} job;

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
    wt_synth_how how = { (uint64_t)j->o->seed, (uint64_t)(j->o->book ? j->o->book : 1), j->choice->difficulty[domain] };
    for (int tries = 0; tries < 20000; tries++) {
        if (!wt_synth_make(domain, (wt_synth_split)j->split, &how, j->next[domain]++, &it)) break;
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
        if (!j->choice->difficulty[d]) continue;
        WT_TRY(open_one(j, wt_synth_domain_name(d), &j->one[d]));
        j->seen[d] = (seen){ wt_alloc(j->cx, n_slot, sizeof(uint64_t)), n_slot, 0 };
        if (!j->seen[d].slot) return WT_ENOMEM;
    }
    return open_one(j, "all", &j->all);
}

static wt_status split(job *j)
{
    bool done[MOST_DOMAIN];
    for (int d = 0; d < wt_synth_domains(); d++) done[d] = !j->choice->difficulty[d];
    WT_TRY(prepare(j));
    for (int32_t i = 0; i < j->n; i++) {
        if (i % 256 == 0) WT_TRY(wt_progress(j->cx, split_name[j->split], i, j->n, "items"));
        for (int d = 0; d < wt_synth_domains(); d++)
            if (!done[d]) WT_TRY(one_item(j, d, &done[d]));
    }
    for (int d = 0; d < wt_synth_domains(); d++) if (j->one[d]) WT_TRY(wt_out_commit(&j->one[d]));
    return wt_out_commit(&j->all);
}

wt_status witan_synth(wt_ctx *cx, const witan_synth_options *o)
{
    const int32_t n[N_SPLIT] = { o->train, o->valid, o->test, o->demos };
    choice c;
    wt_assert(wt_synth_domains() <= MOST_DOMAIN);
    WT_TRY(choose(cx, o, &c));
    WT_TRY(wt_folder_make(cx, o->dir));
    for (int s = 0; s < N_SPLIT; s++) {
        if (n[s] < 0) return wt_fail(cx, WT_EARG, "%s: %d items asked, expected 0 or more", split_name[s], n[s]);
        job j = { .cx = cx, .o = o, .choice = &c, .split = s, .n = n[s] };
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
