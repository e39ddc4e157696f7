/* Reading documents in blocks, each block's in parallel. See source.h. */
#include "train/source.h"

#include "base/file.h"
#include "base/json.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { BLOCK = 4 << 20, PIECE = 256 << 10, MOST_TEXT = 1 << 30 };

typedef struct line { const char *s; size_t n, number; } line;

typedef struct job {
    wt_ctx *cx;
    wt_sides *sides;
    const char *path;
    wt_source_reader *r;
    bool json;
    line *line; size_t n, cap, number;   /* lines, or pieces of text, of the block; lines of the file so far */
    size_t documents;
    size_t *first_bad;                   /* [workers] line of this worker's first error, SIZE_MAX: none */
    char (*error)[sizeof ((wt_ctx *)0)->error];
    wt_status *code;
} job;

/* ---- one document --------------------------------------------------------------------------------------------------- */

static bool jsonl(const char *path)
{
    const char *dot = strrchr(path, '.');
    return !strcmp(path, "-") || (dot && (!strcmp(dot, ".jsonl") || !strcmp(dot, ".ndjson")));
}

static void file_domain(const char *path, wt_source_doc *doc)
{
    const char *slash = strrchr(path, '/');
    doc->domain = !strcmp(path, "-") ? "input" : slash ? slash + 1 : path;
    doc->n_domain = strcspn(doc->domain, ".");
    if (!doc->n_domain) doc->n_domain = strlen(doc->domain);
}

static wt_status member(wt_ctx *cx, const json_t *o, const char *where, const char *key, const char **s, size_t *n)
{
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v)) return WITAN_OK;
    if (!json_is_string(v)) return wt_fail(cx, WT_EFORMAT, "%s: expected text under \"%s\"", where, key);
    *s = json_string_value(v);
    *n = json_string_length(v);
    return WITAN_OK;
}

static wt_status read_object(wt_ctx *cx, const json_t *o, const char *where, wt_source_doc *doc)
{
    const char *domain = NULL;
    size_t n_domain = 0;
    if (!json_is_object(o)) return wt_fail(cx, WT_EFORMAT, "%s: expected a JSON object with \"text\", or \"prompt\" and \"answer\"", where);
    WT_TRY(member(cx, o, where, "domain", &domain, &n_domain));
    WT_TRY(member(cx, o, where, "text", &doc->text, &doc->n_text));
    WT_TRY(member(cx, o, where, "prompt", &doc->prompt, &doc->n_prompt));
    WT_TRY(member(cx, o, where, "answer", &doc->answer, &doc->n_answer));
    if (n_domain) { doc->domain = domain; doc->n_domain = n_domain; }
    if (doc->prompt && doc->answer) { doc->text = NULL; doc->n_text = 0; return WITAN_OK; }
    if (!doc->text) return wt_fail(cx, WT_EFORMAT, "%s: expected \"text\", or \"prompt\" and \"answer\"", where);
    doc->prompt = doc->answer = NULL;
    return WITAN_OK;
}

/* Bytes that are no UTF-8 become "?", so that the domain can still be read. */
static wt_status parse_bad(wt_ctx *cx, const line *l, const char *where, json_t **o)
{
    char *clean = wt_strndup(cx, l->s, l->n);
    if (!clean) return WT_ENOMEM;
    for (size_t at = 0; (at += witan_utf8_check(clean + at, l->n - at)) < l->n;) clean[at] = '?';
    wt_status st = wt_json_parse(cx, clean, l->n, where, o);
    wt_free(cx, clean);
    return st;
}

static wt_status one_text(job *j, wt_ctx *side, int worker, size_t i)
{
    const line *l = j->line + i;
    wt_source_doc doc = { .text = l->s, .n_text = l->n };
    size_t bad = witan_utf8_check(l->s, l->n);
    if (bad < l->n && !j->r->keep_bad) return wt_fail(side, WT_EFORMAT, "%s: not UTF-8", j->path);
    if (bad < l->n) doc = (wt_source_doc){ .bad = true };
    file_domain(j->path, &doc);
    return j->r->each(j->r->arg, side, worker, i, &doc);
}

static wt_status one_line(job *j, wt_ctx *side, int worker, size_t i)
{
    const line *l = j->line + i;
    wt_source_doc doc = { 0 };
    char where[512];
    json_t *o = NULL;
    size_t bad = witan_utf8_check(l->s, l->n);
    snprintf(where, sizeof where, "%s:%zu", j->path, l->number);
    if (bad < l->n && !j->r->keep_bad) return wt_fail(side, WT_EFORMAT, "%s: not UTF-8 (byte %zu of the line)", where, bad + 1);
    wt_status st = bad < l->n ? parse_bad(side, l, where, &o) : wt_json_parse(side, l->s, l->n, where, &o);
    if (st == WT_EFORMAT) return wt_fail(side, st, "%s; expected one JSON object a line", side->error);
    file_domain(j->path, &doc);
    if (st == WITAN_OK) st = read_object(side, o, where, &doc);
    if (bad < l->n) doc = (wt_source_doc){ .domain = doc.domain, .n_domain = doc.n_domain, .bad = true };
    if (st == WITAN_OK) st = j->r->each(j->r->arg, side, worker, i, &doc);
    json_decref(o);
    return st;
}

/* ---- blocks --------------------------------------------------------------------------------------------------------- */

/* Every line is tried, whatever failed before: which error is reported must not depend on who was faster. */
static void some(void *arg, size_t from, size_t to, int worker)
{
    job *j = arg;
    wt_ctx *side = wt_side(j->sides, worker);
    for (size_t i = from; i < to; i++) {
        wt_status st = j->json ? one_line(j, side, worker, i) : one_text(j, side, worker, i);
        if (st == WITAN_OK || i >= j->first_bad[worker]) continue;
        j->first_bad[worker] = i;
        j->code[worker] = st;
        memcpy(j->error[worker], side->error, sizeof *j->error);
    }
}

static wt_status first_error(job *j)
{
    int worst = 0;
    for (int w = 1; w < j->cx->threads; w++) if (j->first_bad[w] < j->first_bad[worst]) worst = w;
    return j->first_bad[worst] == SIZE_MAX ? WITAN_OK : wt_fail(j->cx, (int)j->code[worst], "%s", j->error[worst]);
}

static wt_status add_line(job *j, const char *s, size_t n)
{
    if (j->n == j->cap) {
        line *p = wt_realloc(j->cx, j->line, j->cap * 2 + 1024, sizeof *p);
        if (!p) return WT_ENOMEM;
        j->line = p;
        j->cap = j->cap * 2 + 1024;
    }
    j->line[j->n++] = (line){ s, n, j->number };
    return WITAN_OK;
}

static wt_status split_lines(job *j, const char *text, size_t n)
{
    const char *s;
    size_t at = !j->number && n > 2 && !memcmp(text, "\xEF\xBB\xBF", 3) ? 3 : 0, len;
    j->n = 0;
    while (wt_line_next(text, n, &at, &s, &len)) {
        size_t blank = 0;
        j->number++;
        while (blank < len && (s[blank] == ' ' || s[blank] == '\t')) blank++;
        if (blank < len) WT_TRY(add_line(j, s, len));
    }
    return WITAN_OK;
}

/* What was read in n bytes. */
static wt_status block(job *j, size_t n)
{
    wt_source_reader *r = j->r;
    if (r->begin && j->n) WT_TRY(r->begin(r->arg, j->cx, j->n));
    for (int w = 0; w < j->cx->threads; w++) j->first_bad[w] = SIZE_MAX;
    wt_parallel(j->cx, j->n, j->json ? 8 : 1, some, j);
    WT_TRY(first_error(j));
    if (r->end && j->n) WT_TRY(r->end(r->arg, j->cx, j->n));
    j->documents += j->n;
    r->read += (double)n;
    return wt_progress(j->cx, r->phase, r->read, r->total, "bytes");
}

static wt_status read_lines(job *j, wt_in *in)
{
    const char *text;
    size_t n;
    for (;;) {
        WT_TRY(wt_in_block(in, j->r->block ? j->r->block : BLOCK, false, &text, &n));
        if (!n) return WITAN_OK;
        WT_TRY(split_lines(j, text, n));
        WT_TRY(block(j, n));
    }
}

/* ---- plain text ----------------------------------------------------------------------------------------------------- */

static bool visible(char c) { return c != ' ' && (c < '\t' || c > '\r'); }

/* Pieces of at least PIECE bytes, cut where wt_in_block would cut. */
static wt_status split_pieces(job *j, const char *text, size_t n)
{
    size_t from = 0;
    j->n = 0;
    for (size_t i = PIECE; i < n; i++)
        if (text[i - 1] == '\n' && visible(text[i])) {
            WT_TRY(add_line(j, text + from, i - from));
            from = i;
            i += PIECE;
        }
    return from < n ? add_line(j, text + from, n - from) : WITAN_OK;
}

static wt_status read_pieces(job *j, wt_in *in)
{
    const char *text;
    size_t n;
    for (;;) {
        WT_TRY(wt_in_block(in, j->r->block ? j->r->block : BLOCK, true, &text, &n));
        if (!n) return WITAN_OK;
        WT_TRY(split_pieces(j, text, n));
        WT_TRY(block(j, n));
    }
}

static wt_status read_whole(job *j)
{
    char *text;
    size_t n;
    WT_TRY(wt_file_read(j->cx, j->path, MOST_TEXT, &text, &n));
    wt_status st = n ? add_line(j, text, n) : WITAN_OK;
    if (st == WITAN_OK && n) st = block(j, n);
    wt_free(j->cx, text);
    return st;
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

static wt_status prepare(job *j)
{
    size_t n = (size_t)j->cx->threads;
    j->first_bad = wt_alloc(j->cx, n, sizeof *j->first_bad);
    j->error = wt_alloc(j->cx, n, sizeof *j->error);
    j->code = wt_alloc(j->cx, n, sizeof *j->code);
    return j->first_bad && j->error && j->code ? WITAN_OK : WT_ENOMEM;
}

wt_status wt_source_read(wt_ctx *cx, wt_sides *sides, const char *path, wt_source_reader *r)
{
    job j = { .cx = cx, .sides = sides, .path = path, .r = r, .json = jsonl(path) };
    wt_in *in = NULL;
    double before = r->read;
    wt_status st = prepare(&j);
    bool in_blocks = j.json || r->pieces;
    if (st == WITAN_OK && in_blocks) st = wt_in_open(cx, path, &in);
    if (st == WITAN_OK) st = j.json ? read_lines(&j, in) : in ? read_pieces(&j, in) : read_whole(&j);
    if (st == WITAN_OK && !j.documents)
        st = r->read > before ? wt_fail(cx, WT_EFORMAT, "%s: holds no documents", path) : wt_fail(cx, WT_EFORMAT, "%s: is empty", path);
    wt_in_free(in);
    wt_free(cx, j.line);
    wt_free(cx, j.first_bad);
    wt_free(cx, j.error);
    wt_free(cx, j.code);
    return st;
}

double wt_source_bytes(const char *const *path, size_t n)
{
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        struct stat s;
        if (stat(path[i], &s) || !S_ISREG(s.st_mode)) return 0;
        total += (double)s.st_size;
    }
    return total;
}
