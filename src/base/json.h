/* JSON through Jansson, with our allocator, limits and error lines. The only file that touches Jansson's globals. */
#ifndef WT_BASE_JSON_H
#define WT_BASE_JSON_H

#include "base/ctx.h"
#include <jansson.h>

/* Jansson has one pair of allocation functions per process. Loading the library replaces them by a pair that serves everyone: memory comes
 * from the context inside the calls below, from malloc elsewhere. A program that uses Jansson too needs nothing: it may free what json_dumps
 * gives it, and set functions of its own while no call of the library runs. Free values before their context. */

/* Parses one value. Duplicate names, bad UTF-8, NaN and depth over 256 are errors; where names the source in the message
 * ("demos.jsonl:12"). */
wt_status wt_json_parse(wt_ctx *cx, const char *s, size_t n, const char *where, json_t **out);

/* Members of an object. Missing or of another type: WT_EFORMAT naming where and key. */
wt_status wt_json_str(wt_ctx *cx, const json_t *o, const char *where, const char *key, const char **v);
wt_status wt_json_num(wt_ctx *cx, const json_t *o, const char *where, const char *key, double *v);
wt_status wt_json_int(wt_ctx *cx, const json_t *o, const char *where, const char *key, int64_t lo, int64_t hi, int64_t *v);
wt_status wt_json_array(wt_ctx *cx, const json_t *o, const char *where, const char *key, json_t **v);

/* Appends s as a JSON string with quotes; bytes that are not UTF-8 become U+FFFD. */
void wt_text_json(wt_text *t, const char *s, size_t n);

#endif
