/* Checkpoints: writing, reading, keeping the ones that matter. */
#include "train/checkpoint.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/thread.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC = 8, HEX = 64, START = MAGIC + 8 + HEX, ALIGN = 64, PIECE = 1 << 22, MOST_HEADER = 1 << 20 };
static const char magic[MAGIC + 1] = "WITANCK1";

/* ---- digests ----------------------------------------------------------------------------------------------------------- */

typedef struct hashing { const uint8_t *p; size_t n; char (*hex)[65]; } hashing;

static void hash_some(void *arg, size_t begin, size_t end, int worker)
{
    const hashing *h = arg;
    (void)worker;
    for (size_t i = begin; i < end; i++) {
        wt_sha sha;
        wt_sha_init(&sha);
        wt_sha_add(&sha, h->p + i * PIECE, h->n - i * PIECE < PIECE ? h->n - i * PIECE : PIECE);
        wt_sha_end(&sha, h->hex[i]);
    }
}

/* SHA-256 over those of pieces of 4 MiB, which the threads share. */
static wt_status digest(wt_ctx *cx, const void *p, size_t n, char hex[65])
{
    size_t pieces = (n + PIECE - 1) / PIECE;
    hashing h = { p, n, wt_alloc(cx, pieces + 1, sizeof *h.hex) };
    wt_sha sha;
    if (!h.hex) return WT_ENOMEM;
    wt_parallel(cx, pieces, 1, hash_some, &h);
    wt_sha_init(&sha);
    for (size_t i = 0; i < pieces; i++) wt_sha_add(&sha, h.hex[i], HEX);
    wt_sha_end(&sha, hex);
    wt_free(cx, h.hex);
    return WITAN_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------------- */

static wt_status header(wt_ctx *cx, const wt_checkpoint_facts *f, const wt_checkpoint_part *part, size_t n_part, char **text, size_t *n)
{
    wt_text t;
    wt_text_init(&t, cx);
    wt_text_printf(&t, "{\"witan_checkpoint\":1,\"witan\":\"%s\",\"step\":%lld,\"best_step\":%lld,\"best_loss\":", WITAN_VERSION, (long long)f->step,
                   (long long)f->best_step);
    wt_text_num(&t, f->best_loss);
    wt_text_printf(&t, ",\"model\":\"%s\",\"data\":\"%s\",\"parts\":[", f->model, f->data);
    for (size_t i = 0; i < n_part; i++) {
        char hex[65];
        wt_status st = digest(cx, part[i].data, part[i].bytes, hex);
        if (st != WITAN_OK) { wt_text_free(&t); return st; }
        wt_text_printf(&t, "%s{\"name\":\"%s\",\"bytes\":%zu,\"digest\":\"%s\"}", i ? "," : "", part[i].name, part[i].bytes, hex);
    }
    wt_text_puts(&t, "]}");
    return wt_text_take(&t, text, n);
}

static wt_status pad(wt_out *o) { return wt_out_zero(o, (size_t)(-wt_out_pos(o) & (ALIGN - 1))); }

static wt_status put(wt_ctx *cx, wt_out *o, const char *head, size_t n_head, const wt_checkpoint_part *part, size_t n_part)
{
    char hex[65];
    wt_sha sha;
    wt_sha_init(&sha);
    wt_sha_add(&sha, head, n_head);
    wt_sha_end(&sha, hex);
    WT_TRY(wt_out_write(o, magic, MAGIC));
    WT_TRY(wt_out_write(o, &(uint64_t){ n_head }, 8));
    WT_TRY(wt_out_write(o, hex, HEX));
    WT_TRY(wt_out_write(o, head, n_head));
    for (size_t i = 0; i < n_part; i++) {
        WT_TRY(pad(o));
        for (size_t at = 0, k; at < part[i].bytes; at += k) {
            k = part[i].bytes - at < PIECE ? part[i].bytes - at : PIECE;
            WT_TRY(wt_out_write(o, (const uint8_t *)part[i].data + at, k));
            WT_TRY(wt_progress(cx, "checkpoint", (double)(at + k), (double)part[i].bytes, "bytes"));
        }
    }
    return WITAN_OK;
}

wt_status wt_checkpoint_write(wt_ctx *cx, const char *path, const wt_checkpoint_facts *f, const wt_checkpoint_part *part, size_t n_part)
{
    char *head;
    size_t n_head;
    wt_out *o = NULL;
    WT_TRY(header(cx, f, part, n_part, &head, &n_head));
    wt_status st = wt_out_open(cx, path, &o);
    if (st == WITAN_OK) st = put(cx, o, head, n_head, part, n_part);
    if (st == WITAN_OK) st = wt_out_commit(&o); else wt_out_abort(&o);
    wt_free(cx, head);
    return st;
}

/* ---- reading ----------------------------------------------------------------------------------------------------------- */

static wt_status broken(wt_ctx *cx, const char *path, const char *why) { return wt_fail(cx, WT_EFORMAT, "%s: is damaged or no checkpoint: %s", path, why); }

static wt_status read_header(wt_ctx *cx, const char *path, const wt_map *m, json_t **head, size_t *end)
{
    uint64_t n;
    char hex[65];
    wt_sha sha;
    if (m->n < START || memcmp(m->data, magic, MAGIC)) return broken(cx, path, "it does not begin like one");
    memcpy(&n, m->data + MAGIC, 8);
    if (n > MOST_HEADER || n > m->n - START) return broken(cx, path, "its header would be longer than the file");
    wt_sha_init(&sha);
    wt_sha_add(&sha, m->data + START, (size_t)n);
    wt_sha_end(&sha, hex);
    if (memcmp(hex, m->data + MAGIC + 8, HEX)) return broken(cx, path, "its header has another digest than it says");
    *end = START + (size_t)n;
    return wt_json_parse(cx, (const char *)m->data + START, (size_t)n, path, head);
}

static wt_status read_facts(wt_ctx *cx, const char *path, const json_t *head, wt_checkpoint_facts *f)
{
    const char *model, *data;
    int64_t version;
    const json_t *best = json_object_get(head, "best_loss");
    WT_TRY(wt_json_int(cx, head, path, "witan_checkpoint", 1, INT32_MAX, &version));
    if (version != 1) return wt_fail(cx, WT_EUNSUPPORTED, "%s: is a checkpoint of format %lld, expected 1", path, (long long)version);
    WT_TRY(wt_json_int(cx, head, path, "step", 0, INT64_MAX, &f->step));
    WT_TRY(wt_json_int(cx, head, path, "best_step", 0, INT64_MAX, &f->best_step));
    WT_TRY(wt_json_str(cx, head, path, "model", &model));
    WT_TRY(wt_json_str(cx, head, path, "data", &data));
    f->best_loss = json_is_number(best) ? json_number_value(best) : NAN;
    snprintf(f->model, sizeof f->model, "%s", model);
    snprintf(f->data, sizeof f->data, "%s", data);
    return WITAN_OK;
}

/* Where a part's data lies, once its name, size and digest are what they should be. */
static wt_status check_part(wt_ctx *cx, const char *path, const wt_map *m, const json_t *entry, const wt_checkpoint_part *part, size_t *at)
{
    const char *name, *hex;
    char found[65];
    int64_t bytes;
    WT_TRY(wt_json_str(cx, entry, path, "name", &name));
    WT_TRY(wt_json_str(cx, entry, path, "digest", &hex));
    WT_TRY(wt_json_int(cx, entry, path, "bytes", 0, INT64_MAX, &bytes));
    if (strcmp(name, part->name) || (uint64_t)bytes != part->bytes)
        return wt_fail(cx, WT_ESHAPE, "%s: has %lld bytes of \"%s\" where %zu of \"%s\" are expected: it belongs to another run", path, (long long)bytes, name,
                       part->bytes, part->name);
    *at = (*at + ALIGN - 1) / ALIGN * ALIGN;
    if (*at > m->n || part->bytes > m->n - *at) return broken(cx, path, "it ends too early");
    WT_TRY(digest(cx, m->data + *at, part->bytes, found));
    return strcmp(hex, found) ? wt_fail(cx, WT_EFORMAT, "%s: is damaged: \"%s\" has another digest than when it was written", path, part->name) : WITAN_OK;
}

static wt_status read_parts(wt_ctx *cx, const char *path, const wt_map *m, const json_t *head, size_t at, const wt_checkpoint_part *part, size_t n_part)
{
    json_t *list;
    size_t first = at;
    WT_TRY(wt_json_array(cx, head, path, "parts", &list));
    if (json_array_size(list) != n_part)
        return wt_fail(cx, WT_ESHAPE, "%s: has %zu parts, expected %zu: it belongs to another run", path, json_array_size(list), n_part);
    for (size_t i = 0; i < n_part; at += part[i].bytes, i++) WT_TRY(check_part(cx, path, m, json_array_get(list, i), part + i, &at));
    if (at != m->n) return broken(cx, path, "it is longer than it should be");
    at = first;
    for (size_t i = 0; i < n_part; at += part[i].bytes, i++) {
        at = (at + ALIGN - 1) / ALIGN * ALIGN;
        if (part[i].bytes) memcpy(part[i].data, m->data + at, part[i].bytes);
    }
    return WITAN_OK;
}

wt_status wt_checkpoint_read(wt_ctx *cx, const char *path, wt_checkpoint_facts *f, const wt_checkpoint_part *part, size_t n_part)
{
    wt_map m;
    json_t *head = NULL;
    size_t at = 0;
    wt_checkpoint_facts facts;
    WT_TRY(wt_map_open(cx, path, &m));
    wt_status st = read_header(cx, path, &m, &head, &at);
    if (st == WITAN_OK) st = read_facts(cx, path, head, &facts);
    if (st == WITAN_OK) st = read_parts(cx, path, &m, head, at, part, n_part);
    if (st == WITAN_OK) *f = facts;
    json_decref(head);
    wt_map_close(cx, &m);
    return st;
}

/* ---- the folder ---------------------------------------------------------------------------------------------------------- */

char *wt_checkpoint_path(wt_ctx *cx, const char *dir, int64_t step) { return wt_printf(cx, "%s/checkpoint-%08lld.witan", dir, (long long)step); }

static int newest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

wt_status wt_checkpoint_list(wt_ctx *cx, const char *dir, int64_t **step, size_t *n)
{
    size_t cap = 0;
    *step = NULL;
    *n = 0;
    DIR *d = opendir(dir);
    if (!d) return wt_fail(cx, WT_EIO, "%s: cannot open the folder: %s", dir, strerror(errno));
    for (struct dirent *e; (e = readdir(d));) {
        long long s;
        int end = 0;
        if (sscanf(e->d_name, "checkpoint-%18lld.witan%n", &s, &end) != 1 || !end || e->d_name[end] || s < 0) continue;
        if (*n == cap) {
            int64_t *p = wt_realloc(cx, *step, cap = 2 * cap + 16, sizeof *p);
            if (!p) { closedir(d); wt_free(cx, *step); *step = NULL; return WT_ENOMEM; }
            *step = p;
        }
        (*step)[(*n)++] = s;
    }
    closedir(d);
    if (*n) qsort(*step, *n, sizeof **step, newest_first);
    return WITAN_OK;
}

wt_status wt_checkpoint_tidy(wt_ctx *cx, const char *dir, int64_t step, int64_t best)
{
    int64_t *all;
    size_t n, kept = 0;
    WT_TRY(wt_checkpoint_list(cx, dir, &all, &n));
    for (size_t i = 0; i < n; i++) {
        bool newest = all[i] <= step && kept < 2;
        kept += newest;
        if (newest || all[i] == best) continue;
        char *path = wt_checkpoint_path(cx, dir, all[i]);
        if (path) cx->io.unlink(cx->io.user, path);
        wt_free(cx, path);
    }
    wt_free(cx, all);
    return WITAN_OK;
}
