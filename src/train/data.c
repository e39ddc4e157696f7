/* Reading training data: documents become token streams, one for each domain. Rows are cut in rows.c. See data.h. */
#include "train/data.h"

#include "base/hash.h"
#include "train/source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CTX = 1 << 20 };

static const char *const packs[] = { "window", "documents", NULL }, *const too_longs[] = { "split", "cut", NULL };

const wt_param wt_data_param[] = {
    WT_NUM(wt_data_options, n_ctx, 256, 2, MOST_CTX, "tokens of a row"),
    WT_CHOICE(wt_data_options, pack, WT_PACK_WINDOW, packs, "rows are windows of the running text, or whole documents that do not see each other"),
    WT_CHOICE(wt_data_options, too_long, WT_TOO_LONG_SPLIT, too_longs, "documents longer than a row, when whole documents are packed"),
    WT_NUM(wt_data_options, prompt_weight, 1, 0, 1, "weight of a prompt's tokens in the loss; answers count 1"),
    WT_TEXT(wt_data_options, weights, "sqrt", "WEIGHTS", "how often each domain is drawn: proportional, sqrt, uniform, or code=2,units=1"),
    { 0 }
};

/* ---- one document --------------------------------------------------------------------------------------------------- */

typedef struct part { int32_t *ids; size_t n; } part;
typedef struct found { char *domain; part prompt, text; } found;   /* text: or the answer */
typedef struct job { wt_data *d; const wt_vocab *v; found *doc; size_t cap; size_t cap_domain; } job;

static wt_status each(void *arg, wt_ctx *side, int worker, size_t i, const wt_source_doc *doc)
{
    job *j = arg;
    found *f = j->doc + i;
    (void)worker;
    if (!(f->domain = wt_strndup(side, doc->domain, doc->n_domain))) return WT_ENOMEM;
    if (doc->text) return wt_vocab_encode(side, j->v, doc->text, doc->n_text, 0, &f->text.ids, &f->text.n);
    WT_TRY(wt_vocab_encode(side, j->v, doc->prompt, doc->n_prompt, 0, &f->prompt.ids, &f->prompt.n));
    return wt_vocab_encode(side, j->v, doc->answer, doc->n_answer, 0, &f->text.ids, &f->text.n);
}

/* ---- a block of documents ------------------------------------------------------------------------------------------- */

static wt_status begin(void *arg, wt_ctx *cx, size_t n)
{
    job *j = arg;
    if (n <= j->cap) return WITAN_OK;
    found *p = wt_realloc(cx, j->doc, n, sizeof *p);
    if (!p) return WT_ENOMEM;
    memset(p + j->cap, 0, (n - j->cap) * sizeof *p);
    j->doc = p;
    j->cap = n;
    return WITAN_OK;
}

static void forget(job *j, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        wt_free(j->d->cx, j->doc[i].domain);
        wt_free(j->d->cx, j->doc[i].prompt.ids);
        wt_free(j->d->cx, j->doc[i].text.ids);
        j->doc[i] = (found){ 0 };
    }
}

/* The domain of this name; a new one takes the name over. */
static wt_status domain_of(job *j, char **name, wt_data_domain **out)
{
    wt_data *d = j->d;
    int32_t i = wt_data_find(d, *name);
    if (i >= 0) { *out = d->domain + i; return WITAN_OK; }
    if (d->n_domain == j->cap_domain) {
        wt_data_domain *p = wt_realloc(d->cx, d->domain, j->cap_domain * 2 + 16, sizeof *p);
        if (!p) return WT_ENOMEM;
        d->domain = p;
        j->cap_domain = j->cap_domain * 2 + 16;
    }
    *out = d->domain + d->n_domain++;
    **out = (wt_data_domain){ .name = *name };
    *name = NULL;
    return WITAN_OK;
}

static wt_status room(wt_ctx *cx, wt_data_domain *m, size_t n)
{
    if (m->n_tok + n > m->cap_tok) {
        size_t cap = m->cap_tok + m->cap_tok / 2 + n + 1024;
        int32_t *ids = wt_realloc(cx, m->ids, cap, sizeof *ids);
        if (!ids) return WT_ENOMEM;
        m->ids = ids;
        uint8_t *prompt = wt_realloc(cx, m->prompt, cap, 1);
        if (!prompt) return WT_ENOMEM;
        m->prompt = prompt;
        m->cap_tok = cap;
    }
    if (m->n_doc + 2 > m->cap_doc) {
        size_t *doc = wt_realloc(cx, m->doc, m->cap_doc * 2 + 64, sizeof *doc);
        if (!doc) return WT_ENOMEM;
        m->doc = doc;
        m->cap_doc = m->cap_doc * 2 + 64;
    }
    return WITAN_OK;
}

static void append(wt_data_domain *m, const int32_t *ids, size_t n, uint8_t prompt)
{
    if (!n) return;
    memcpy(m->ids + m->n_tok, ids, n * sizeof *ids);
    memset(m->prompt + m->n_tok, prompt, n);
    m->n_tok += n;
}

static wt_status add(job *j, found *f)
{
    wt_data_domain *m;
    WT_TRY(domain_of(j, &f->domain, &m));
    size_t n = f->prompt.n + f->text.n + 1;
    if (n == 1) { m->n_empty++; return WITAN_OK; }
    WT_TRY(room(j->d->cx, m, n));
    if (!m->n_doc) m->doc[0] = 0;
    append(m, f->prompt.ids, f->prompt.n, 1);
    append(m, f->text.ids, f->text.n, 0);
    append(m, &j->d->end, 1, 0);
    m->doc[++m->n_doc] = m->n_tok;
    m->n_long += n > (size_t)j->d->o.n_ctx;
    return WITAN_OK;
}

static wt_status end(void *arg, wt_ctx *cx, size_t n)
{
    job *j = arg;
    (void)cx;
    for (size_t i = 0; i < n; i++) WT_TRY(add(j, j->doc + i));
    forget(j, n);
    return WITAN_OK;
}

static wt_status read_all(wt_data *d, const wt_vocab *v, const char *const *path, size_t n_path)
{
    job j = { .d = d, .v = v };
    wt_sides *sides = NULL;
    wt_source_reader r = { .begin = begin, .each = each, .end = end, .arg = &j, .total = wt_source_bytes(path, n_path), .phase = "read" };
    wt_status st = wt_sides_open(d->cx, &sides);
    for (size_t i = 0; st == WITAN_OK && i < n_path; i++) st = wt_source_read(d->cx, sides, path[i], &r);
    forget(&j, j.cap);
    wt_free(d->cx, j.doc);
    wt_sides_free(sides);
    return st;
}

/* ---- weights of domains --------------------------------------------------------------------------------------------- */

static wt_status no_domain(const wt_data *d, const char *name)
{
    char list[256] = "";
    for (size_t i = 0; i < d->n_domain; i++) {
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", d->domain[i].name);
    }
    return wt_fail(d->cx, WT_ELIMIT, "weights: there are no documents of domain \"%s\"; there are: %s", name, list);
}

/* One "name=number" of n bytes. */
static wt_status one_weight(wt_data *d, const char *s, size_t n)
{
    static const wt_param row[] = { { .name = "weight", .type = WITAN_P_F64, .max = 1e9 }, { 0 } };
    const char *eq = memchr(s, '=', n);
    char name[128], number[32];
    size_t n_name = eq ? (size_t)(eq - s) : n, n_number = eq ? n - n_name - 1 : 0;
    double w = 0;
    bool good = eq && n_name && n_name < sizeof name && n_number < sizeof number;
    if (good) {
        snprintf(name, sizeof name, "%.*s", (int)n_name, s);
        snprintf(number, sizeof number, "%.*s", (int)n_number, eq + 1);
        good = witan_opt_set(d->cx, row, &w, "weight", number) == WITAN_OK;
    }
    if (!good)
        return wt_fail(d->cx, WT_EARG, "weights: \"%.*s\": expected proportional, sqrt, uniform, or DOMAIN=NUMBER from 0 to 1e9, separated by commas",
                       (int)(n < 60 ? n : 60), s);
    int32_t i = wt_data_find(d, name);
    if (i < 0) return no_domain(d, name);
    d->domain[i].share = w;
    return WITAN_OK;
}

static wt_status set_shares(wt_data *d, const char *weights)
{
    enum { PROPORTIONAL, SQRT, UNIFORM, N };
    static const char *const rule[N] = { "proportional", "sqrt", "uniform" };
    double sum = 0;
    int k = SQRT;
    if (weights && *weights) for (k = 0; k < N && strcmp(weights, rule[k]); k++);
    for (size_t i = 0; i < d->n_domain; i++) {
        double n = (double)d->domain[i].n_tok;
        d->domain[i].share = k == PROPORTIONAL ? n : k == SQRT ? sqrt(n) : k == UNIFORM ? 1 : 0;
    }
    for (const char *s = weights; k == N && *s;) {
        size_t n = strcspn(s, ",");
        WT_TRY(one_weight(d, s, n));
        s += n + (s[n] == ',');
    }
    for (size_t i = 0; i < d->n_domain; i++) sum += d->domain[i].share;
    if (!(sum > 0)) return wt_fail(d->cx, WT_EARG, "weights: \"%.60s\": all are 0", weights);
    for (size_t i = 0; i < d->n_domain; i++) d->domain[i].share /= sum;
    return WITAN_OK;
}

/* ---- pieces and rows for validation --------------------------------------------------------------------------------- */

/* With out NULL only counts. */
static size_t cut_document(const wt_data *d, size_t from, size_t to, wt_data_piece *out)
{
    size_t n = 0, most = (size_t)d->o.n_ctx;
    for (size_t at = from; at < to; at += most, n++) {
        size_t len = to - at < most ? to - at : most;
        if (out) out[n] = (wt_data_piece){ at, (int32_t)len, at == from };
        if (d->o.too_long == WT_TOO_LONG_CUT) return 1;
    }
    return n;
}

static wt_status cut_documents(wt_data *d, wt_data_domain *m)
{
    size_t n = 0, left = 0;
    for (size_t i = 0; i < m->n_doc; i++) n += cut_document(d, m->doc[i], m->doc[i + 1], NULL);
    m->piece = wt_alloc(d->cx, n, sizeof *m->piece);
    m->row = wt_alloc(d->cx, n + 1, sizeof *m->row);
    if (!m->piece || !m->row) return WT_ENOMEM;
    for (size_t i = 0; i < m->n_doc; i++) m->n_piece += cut_document(d, m->doc[i], m->doc[i + 1], m->piece + m->n_piece);
    for (size_t i = 0; i < m->n_piece; i++) {
        size_t len = (size_t)m->piece[i].n;
        if (len > left) { m->row[m->n_row++] = i; left = (size_t)d->o.n_ctx; }
        left -= len;
    }
    m->row[m->n_row] = m->n_piece;
    return WITAN_OK;
}

static wt_status make_rows(wt_data *d)
{
    for (size_t i = 0; i < d->n_domain; i++) {
        wt_data_domain *m = d->domain + i;
        if (d->o.pack == WT_PACK_DOCUMENTS) { WT_TRY(cut_documents(d, m)); continue; }
        m->n_row = (m->n_tok - 1) / (size_t)d->o.n_ctx;
        if (!m->n_row) m->n_row = 1;
    }
    return WITAN_OK;
}

/* ---- opening -------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) { return strcmp(((const wt_data_domain *)a)->name, ((const wt_data_domain *)b)->name); }

static void note(const wt_data *d)
{
    size_t n_long = 0, empty = 0, docs = 0;
    for (size_t i = 0; i < d->n_domain; i++) {
        n_long += d->domain[i].n_long;
        empty += d->domain[i].n_empty;
        docs += d->domain[i].n_doc + d->domain[i].n_empty;
    }
    if (n_long && d->o.pack == WT_PACK_DOCUMENTS)
        wt_log(d->cx, WITAN_INFO, "%zu of %zu documents are longer than %d tokens and were %s", n_long, docs, d->o.n_ctx,
               d->o.too_long == WT_TOO_LONG_CUT ? "cut" : "split");
    if (empty) wt_log(d->cx, WITAN_INFO, "%zu of %zu documents hold no text and were left out", empty, docs);
    for (size_t i = 0; i < d->n_domain; i++)
        if (d->domain[i].share == 0) wt_log(d->cx, WITAN_INFO, "domain \"%s\" has no weight: no row is of it", d->domain[i].name);
}

static void digest(wt_data *d)
{
    wt_sha h;
    wt_sha_init(&h);
    for (size_t i = 0; i < d->n_domain; i++) {
        const wt_data_domain *m = d->domain + i;
        wt_sha_add(&h, m->name, strlen(m->name) + 1);
        wt_sha_add(&h, m->ids, m->n_tok * sizeof *m->ids);
        wt_sha_add(&h, m->doc, (m->n_doc + 1) * sizeof *m->doc);
        wt_sha_add(&h, m->prompt, m->n_tok);
    }
    wt_sha_end(&h, d->digest);
}

static wt_status finish(wt_data *d, const char *weights)
{
    qsort(d->domain, d->n_domain, sizeof *d->domain, by_name);
    for (size_t i = 0; i < d->n_domain; i++) {
        const wt_data_domain *m = d->domain + i;
        if (!m->n_doc) return wt_fail(d->cx, WT_ELIMIT, "domain \"%s\" has no document with text (%zu are empty)", m->name, m->n_empty);
        d->n_tok += (int64_t)m->n_tok;
    }
    WT_TRY(set_shares(d, weights));
    WT_TRY(make_rows(d));
    digest(d);
    note(d);
    return WITAN_OK;
}

static wt_status open_all(wt_data *d, const wt_vocab *v, const char *const *path, size_t n_path, const char *weights)
{
    if (d->o.n_ctx < 2 || d->o.n_ctx > MOST_CTX) return wt_fail(d->cx, WT_EARG, "n_ctx is %d, expected 2 to %d", d->o.n_ctx, MOST_CTX);
    if (!n_path) return wt_fail(d->cx, WT_EARG, "no data: expected files of documents");
    d->end = wt_vocab_eos(v) >= 0 ? wt_vocab_eos(v) : wt_vocab_bos(v);
    d->begin = wt_vocab_bos(v) >= 0 ? wt_vocab_bos(v) : d->end;
    if (d->end < 0) return wt_fail(d->cx, WT_EUNSUPPORTED, "the vocabulary names neither an end token nor a begin token to put between documents");
    WT_TRY(read_all(d, v, path, n_path));
    return finish(d, weights);
}

wt_status wt_data_open(wt_ctx *cx, const wt_vocab *v, const char *const *path, size_t n_path, const wt_data_options *o, wt_data **out)
{
    wt_data *d = wt_alloc(cx, 1, sizeof *d);
    if (!d) return WT_ENOMEM;
    d->cx = cx;
    d->o = *o;
    d->o.weights = NULL;
    wt_status st = open_all(d, v, path, n_path, o->weights);
    if (st != WITAN_OK) wt_data_free(d); else *out = d;
    return st;
}

void wt_data_free(wt_data *d)
{
    if (!d) return;
    for (size_t i = 0; i < d->n_domain; i++) {
        wt_data_domain *m = d->domain + i;
        wt_free(d->cx, m->name);
        wt_free(d->cx, m->ids);
        wt_free(d->cx, m->prompt);
        wt_free(d->cx, m->doc);
        wt_free(d->cx, m->piece);
        wt_free(d->cx, m->row);
    }
    wt_free(d->cx, d->domain);
    wt_free(d->cx, d);
}

int32_t wt_data_find(const wt_data *d, const char *domain)
{
    for (size_t i = 0; i < d->n_domain; i++)
        if (!strcmp(d->domain[i].name, domain)) return (int32_t)i;
    return -1;
}
