/* Documents in JSON lines. */
#include "base/docs.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/rng.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 30 };

/* Grows *p so that element n exists. */
static bool grow(wt_ctx *cx, void *p, size_t n, size_t size)
{
    if (n & (n - 1)) return true;                 /* room is doubled at powers of two */
    void *q = wt_realloc(cx, *(void **)p, n ? n * 2 : 1, size);
    if (q) *(void **)p = q;
    return q != NULL;
}

/* Text that lives as long as the list. */
static const char *own(wt_docs *d, const char *s, size_t n)
{
    if (!grow(d->cx, &d->own, d->n_own, sizeof *d->own)) return NULL;
    char *c = wt_strndup(d->cx, s, n);
    if (c) d->own[d->n_own++] = c;
    return c;
}

static wt_status optional(wt_docs *d, const json_t *o, const char *where, const char *key, const char **v, size_t *n)
{
    const json_t *x = json_object_get(o, key);
    *v = NULL;
    *n = 0;
    if (!x || json_is_null(x)) return WITAN_OK;
    if (!json_is_string(x)) return wt_fail(d->cx, WT_EFORMAT, "%s: expected text under \"%s\"", where, key);
    *n = json_string_length(x);
    *v = own(d, json_string_value(x), *n);
    return *v ? WITAN_OK : WT_ENOMEM;
}

/* "units, dates, sets": what could have been asked for. */
static void note_domain(wt_docs *d, const char *name)
{
    size_t at = strlen(d->domains), n = strlen(name);
    for (const char *s = d->domains; (s = strstr(s, name)); s += n)
        if ((s == d->domains || s[-1] == ' ') && (!s[n] || s[n] == ',')) return;
    if (at + n + 8 < sizeof d->domains) snprintf(d->domains + at, sizeof d->domains - at, "%s%s", at ? ", " : "", name);
    else if (at > 3 && at + 5 < sizeof d->domains && strcmp(d->domains + at - 3, "...")) strcat(d->domains, ", ...");
}

static wt_status add(wt_docs *d, const json_t *o, const char *where, bool want_task, const char *domain)
{
    size_t n_text, n_prompt, n_answer, n_domain;
    wt_doc doc = { 0 };
    if (!json_is_object(o)) return wt_fail(d->cx, WT_EFORMAT, "%s: expected a JSON object with \"text\", or \"prompt\" and \"answer\"", where);
    WT_TRY(optional(d, o, where, "domain", &doc.domain, &n_domain));
    if (doc.domain && n_domain) note_domain(d, doc.domain);
    if (domain && (!doc.domain || strcmp(doc.domain, domain))) return WITAN_OK;
    WT_TRY(optional(d, o, where, "text", &doc.text, &n_text));
    WT_TRY(optional(d, o, where, "prompt", &doc.prompt, &n_prompt));
    WT_TRY(optional(d, o, where, "answer", &doc.answer, &n_answer));
    bool task = doc.prompt && doc.answer;
    if (!task && (want_task || !doc.text))
        return wt_fail(d->cx, WT_EFORMAT, "%s: expected %s", where, want_task ? "\"prompt\" and \"answer\"" : "\"text\", or \"prompt\" and \"answer\"");
    if (!doc.text) {
        char *joined = wt_printf(d->cx, "%s%s", doc.prompt, doc.answer);
        if (!joined) return WT_ENOMEM;
        n_text = strlen(joined);
        doc.text = own(d, joined, n_text);
        wt_free(d->cx, joined);
        if (!doc.text) return WT_ENOMEM;
    }
    doc.n_text = n_text;
    if (!grow(d->cx, &d->doc, d->n, sizeof *d->doc)) return WT_ENOMEM;
    d->doc[d->n++] = doc;
    return WITAN_OK;
}

static wt_status lines(wt_docs *d, const char *path, const char *data, size_t n, bool want_task, const char *domain)
{
    size_t at = n > 2 && !memcmp(data, "\xEF\xBB\xBF", 3) ? 3 : 0, len, number = 0;   /* some editors put a mark first */
    const char *line;
    char where[512];
    while (wt_line_next(data, n, &at, &line, &len)) {
        json_t *o;
        size_t blank = 0;
        number++;
        while (blank < len && (line[blank] == ' ' || line[blank] == '\t')) blank++;
        if (blank == len) continue;
        snprintf(where, sizeof where, "%s:%zu", path, number);
        if (wt_json_parse(d->cx, line, len, where, &o))
            return d->cx->code == WITAN_EFORMAT ? wt_fail(d->cx, WT_EFORMAT, "%s; expected one JSON object a line", d->cx->error) : d->cx->code;
        wt_status st = add(d, o, where, want_task, domain);
        json_decref(o);
        WT_TRY(st);
    }
    return WITAN_OK;
}

/* A document in the order of choosing: by domain, then by key. */
typedef struct turn { const char *domain; uint64_t key; size_t i; } turn;

static int by_domain(const turn *x, const turn *y)
{
    if (!x->domain || !y->domain) return (x->domain != NULL) - (y->domain != NULL);
    return strcmp(x->domain, y->domain);
}

static int by_turn(const void *a, const void *b)
{
    const turn *x = a, *y = b;
    int d = by_domain(x, y);
    if (d) return d;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->i < y->i ? -1 : x->i > y->i;
}

/* Keeps `limit` documents of each domain: the first ones, or with a seed those with the smallest random keys; file order stays. */
static wt_status thin(wt_docs *d, int32_t limit, int64_t seed)
{
    turn *order = wt_alloc(d->cx, d->n, sizeof *order);
    bool *keep = wt_alloc(d->cx, d->n, sizeof *keep);
    if (!order || !keep) { wt_free(d->cx, order); wt_free(d->cx, keep); return WT_ENOMEM; }
    for (size_t i = 0; i < d->n; i++) {
        wt_rng rng;
        wt_rng_seed(&rng, (uint64_t)seed, i);
        order[i] = (turn){ d->doc[i].domain, seed ? wt_rng_u64(&rng) : i, i };
    }
    qsort(order, d->n, sizeof *order, by_turn);
    size_t before = 0;
    for (size_t i = 0; i < d->n; i++) {
        before = i && !by_domain(order + i, order + i - 1) ? before + 1 : 0;
        keep[order[i].i] = before < (size_t)limit;
    }
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) if (keep[i]) d->doc[n++] = d->doc[i];
    d->n = n;
    wt_free(d->cx, order);
    wt_free(d->cx, keep);
    return WITAN_OK;
}

static void digest(const char *data, size_t n, char hex[65])
{
    wt_sha h;
    wt_sha_init(&h);
    wt_sha_add(&h, data, n);
    wt_sha_end(&h, hex);
}

wt_status wt_docs_read(wt_ctx *cx, const char *path, bool want_task, const char *domain, int32_t limit, int64_t seed, wt_docs *out)
{
    char *data;
    size_t n;
    *out = (wt_docs){ .cx = cx };
    WT_TRY(wt_file_read(cx, path, MOST_BYTES, &data, &n));
    digest(data, n, out->digest);
    wt_status st = lines(out, path, data, n, want_task, domain);
    wt_free(cx, data);
    if (st == WITAN_OK && !out->n)
        st = domain ? wt_fail(cx, WT_ELIMIT, "%s: holds no document of domain \"%s\"%s%s", path, domain, *out->domains ? "; there are: " : "", out->domains)
                    : wt_fail(cx, WT_ELIMIT, "%s: holds no documents", path);
    if (st == WITAN_OK && limit > 0) st = thin(out, limit, seed);
    if (st != WITAN_OK) wt_docs_free(out);
    return st;
}

void wt_docs_free(wt_docs *d)
{
    for (size_t i = 0; i < d->n_own; i++) wt_free(d->cx, d->own[i]);
    wt_free(d->cx, d->own);
    wt_free(d->cx, d->doc);
    *d = (wt_docs){ .cx = d->cx };
}
