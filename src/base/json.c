/* JSON through Jansson. Jansson keeps one pair of allocation functions per process; ours take from the context whose call is running on
 * this thread, and are malloc and free for everyone else: a program may hand to free what json_dumps gave it, and values that were made
 * before the library was loaded are freed as they should.
 *
 * What tells a context's block is its address: eight bytes beside the multiples of sixteen, where malloc puts nothing. Jansson's own
 * structures need no more than eight. */
#include "base/json.h"

#include "base/hash.h"
#include <stdlib.h>
#include <string.h>

static _Thread_local wt_ctx *current;

typedef struct head { wt_ctx *cx; void *block; } head;   /* stands before a context's block */

enum { LINE = 16, MARK = 8 };                            /* the block's address is MARK beyond a multiple of LINE */

static bool has_head(const void *p) { return (uintptr_t)p % LINE == MARK; }

static void *block_new(size_t n)
{
    if (!current) return malloc(n < LINE ? LINE : n);    /* small blocks may be aligned less */
    size_t room = sizeof(head) + LINE + MARK;            /* the context's allocator need not align as malloc does */
    char *block = n <= SIZE_MAX - room ? wt_realloc(current, NULL, n + room, 1) : NULL;
    if (!block) return NULL;
    char *p = block + sizeof(head);
    p += (LINE + MARK - (uintptr_t)p % LINE) % LINE;
    memcpy(p - sizeof(head), &(head){ current, block }, sizeof(head));
    return p;
}

static void block_free(void *p)
{
    if (!has_head(p)) { free(p); return; }
    head h;
    memcpy(&h, (char *)p - sizeof h, sizeof h);
    wt_free(h.cx, h.block);
}

/* When the library is loaded. A program that has set functions of its own before keeps them: memory for JSON then comes from there. */
__attribute__((constructor)) static void set_up(void)
{
    json_malloc_t take;
    json_free_t give;
    json_object_seed((size_t)wt_hash_key());       /* order of keys is kept anyway */
    json_get_alloc_funcs(&take, &give);
    if (take == malloc && give == free) json_set_alloc_funcs(block_new, block_free);
}

/* From here to leave, Jansson takes memory from cx. */
static void enter(wt_ctx *cx) { current = cx; }
static void leave(void) { current = NULL; }

static bool too_deep(const json_t *v, int depth)
{
    size_t i;
    const char *key;
    json_t *item;
    if (depth > 256) return true;
    if (json_is_array(v)) { json_array_foreach(v, i, item) if (too_deep(item, depth + 1)) return true; }
    if (json_is_object(v)) { json_object_foreach((json_t *)(uintptr_t)v, key, item) if (too_deep(item, depth + 1)) return true; }
    return false;
}

wt_status wt_json_parse(wt_ctx *cx, const char *s, size_t n, const char *where, json_t **out)
{
    json_error_t e;
    cx->code = WITAN_OK;
    enter(cx);
    json_t *v = json_loadb(s, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    leave();
    if (!v && json_error_code(&e) == json_error_out_of_memory) return wt_fail(cx, WT_ENOMEM, "%s: out of memory", where);
    if (!v && cx->code == WT_ENOMEM) return WT_ENOMEM;
    if (!v && !memchr(s, '\n', n)) return wt_fail(cx, WT_EFORMAT, "%s: not valid JSON: %s (column %d)", where, e.text, e.column);
    if (!v) return wt_fail(cx, WT_EFORMAT, "%s: not valid JSON: %s (line %d, column %d)", where, e.text, e.line, e.column);
    if (too_deep(v, 0)) {
        json_decref(v);
        return wt_fail(cx, WT_EFORMAT, "%s: JSON is nested deeper than 256", where);
    }
    *out = v;
    return WITAN_OK;
}

/* ---- members ------------------------------------------------------------------------------------------------------ */

wt_status wt_json_str(wt_ctx *cx, const json_t *o, const char *where, const char *key, const char **v)
{
    *v = json_string_value(json_object_get(o, key));
    return *v ? WITAN_OK : wt_fail(cx, WT_EFORMAT, "%s: expected text under \"%s\"", where, key);
}

wt_status wt_json_num(wt_ctx *cx, const json_t *o, const char *where, const char *key, double *v)
{
    const json_t *x = json_object_get(o, key);
    *v = json_number_value(x);
    return json_is_number(x) ? WITAN_OK : wt_fail(cx, WT_EFORMAT, "%s: expected a number under \"%s\"", where, key);
}

wt_status wt_json_int(wt_ctx *cx, const json_t *o, const char *where, const char *key, int64_t lo, int64_t hi, int64_t *v)
{
    const json_t *x = json_object_get(o, key);
    *v = json_integer_value(x);
    if (json_is_integer(x) && *v >= lo && *v <= hi) return WITAN_OK;
    return wt_fail(cx, WT_EFORMAT, "%s: expected a whole number in [%lld, %lld] under \"%s\"", where, (long long)lo, (long long)hi, key);
}

wt_status wt_json_array(wt_ctx *cx, const json_t *o, const char *where, const char *key, json_t **v)
{
    *v = json_object_get(o, key);
    return json_is_array(*v) ? WITAN_OK : wt_fail(cx, WT_EFORMAT, "%s: expected an array under \"%s\"", where, key);
}

/* ---- writing strings ---------------------------------------------------------------------------------------------- */

/* Length of the valid UTF-8 character at s (n bytes left), 0 if there is none. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
    size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : s[0] >= 0xE0 && s[0] < 0xF0 ? 3 : s[0] >= 0xF0 && s[0] < 0xF5 ? 4 : 0;
    if (!len || len > n) return 0;
    for (size_t i = 1; i < len; i++) if ((s[i] & 0xC0) != 0x80) return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F)) return 0;
    return len;
}

size_t witan_utf8_check(const char *text, size_t n)
{
    size_t at = 0, len;
    while (at < n && (len = utf8_len((const unsigned char *)text + at, n - at))) at += len;
    return at;
}

void wt_text_json(wt_text *t, const char *s, size_t n)
{
    wt_text_put(t, "\"", 1);
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        size_t len = utf8_len((const unsigned char *)s + i, n - i);
        if (!len) wt_text_puts(t, "\\ufffd");
        else if (c == '"' || c == '\\') wt_text_printf(t, "\\%c", c);
        else if (c == '\n') wt_text_puts(t, "\\n");
        else if (c < 32 || c == 127) wt_text_printf(t, "\\u%04x", c);
        else wt_text_put(t, s + i, len);
        i += len ? len : 1;
    }
    wt_text_put(t, "\"", 1);
}
