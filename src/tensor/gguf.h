/* GGUF version 2 and 3, reading and writing, in one file or several. The file is mapped; every count, length, offset and shape is checked before use
 * and nothing is allocated that the remaining bytes cannot justify. Strings point into the mapping (not NUL-terminated). */
#ifndef WT_TENSOR_GGUF_H
#define WT_TENSOR_GGUF_H

#include "base/arena.h"
#include "base/file.h"
#include "tensor/tensor.h"

typedef enum wt_kv_type {
    WT_KV_U8, WT_KV_I8, WT_KV_U16, WT_KV_I16, WT_KV_U32, WT_KV_I32, WT_KV_F32, WT_KV_BOOL, WT_KV_STR, WT_KV_ARRAY,
    WT_KV_U64, WT_KV_I64, WT_KV_F64, WT_KV_N
} wt_kv_type;
const char *wt_kv_type_name(wt_kv_type t);

typedef struct wt_str { const char *s; size_t n; } wt_str;

typedef struct wt_kv {
    const char *key;             /* NUL-terminated, owned by the gguf */
    wt_kv_type type, item;       /* item: of an array */
    union { uint64_t u; int64_t i; double f; bool b; wt_str str; } v;   /* by type: unsigned, signed, float, bool, string */
    uint64_t count;              /* array: items */
    const uint8_t *items;        /* array: packed items in the file (unaligned); strings: u64 length + bytes each */
    const uint8_t *raw; size_t raw_n;   /* the value's bytes in the file (behind the type), for copying */
} wt_kv;

typedef struct wt_gguf {
    wt_ctx *cx;
    char *path;                              /* of the first file */
    wt_map map;
    uint32_t version, alignment;
    wt_kv *kv; size_t n_kv;
    wt_tensor *tensor; size_t n_tensor;      /* names owned; data points into the mapping */
    uint64_t *offset;                        /* of each tensor, relative to data_at */
    uint64_t data_at;                        /* start of the data part */
    wt_arena names;                          /* storage of keys and names */
    uint32_t *key_hash, *name_hash; size_t n_key_hash, n_name_hash;   /* open addressing, index + 1 */
    struct wt_gguf **part; size_t n_part;    /* the second file, the third ...; their tensors are in tensor[] too */
    size_t first;                            /* of a part: index of its first tensor in the whole */
} wt_gguf;

/* Look-up tables over keys and names; duplicates are WT_EFORMAT. Part of opening. */
wt_status wt_gguf_index_keys(wt_gguf *g);
wt_status wt_gguf_index_tensors(wt_gguf *g);

/* Reads all mapped files to their ends, with the context's threads and progress, so that they are in the page cache. */
wt_status wt_gguf_prefault(wt_ctx *cx, const wt_gguf *g);

/* Opens the other files of a split model (gguf_split.c). Part of opening. */
wt_status wt_gguf_join(wt_gguf *g);
wt_status wt_gguf_open_one(wt_ctx *cx, const char *path, wt_gguf **out);   /* without the others */
/* STEM-00002-of-00007.gguf for no 1 of 7; handed over (wt_free), NULL on failure. */
char *wt_gguf_part_name(wt_ctx *cx, const char *stem, size_t n_stem, int64_t no, int64_t count);

/* A file, or the first of several (split.count). */
wt_status wt_gguf_open(wt_ctx *cx, const char *path, wt_gguf **out);
const wt_gguf *wt_gguf_home(const wt_gguf *g, size_t tensor);   /* the file that holds a tensor */
void wt_gguf_free(wt_gguf *g);
/* SHA-256 (hex) over the headers and the first and last 2 KiB of every tensor: cheap for any size, and other for other weights. */
void wt_gguf_fingerprint(const wt_gguf *g, char hex[65]);
const wt_kv *wt_gguf_kv(const wt_gguf *g, const char *key);             /* NULL: absent */
const wt_tensor *wt_gguf_tensor(const wt_gguf *g, const char *name);    /* NULL: absent */

/* Typed look-ups. Absent: *v keeps its value and WT_OK unless required. Wrong type or out of [lo, hi]: WT_EFORMAT with the key's
 * name. Integers of any width are accepted where the value fits. */
wt_status wt_gguf_int(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, int64_t lo, int64_t hi, int64_t *v);
wt_status wt_gguf_num(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, double lo, double hi, double *v);
wt_status wt_gguf_bool(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, bool *v);
wt_status wt_gguf_str(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, wt_str *v);
/* An array of strings as views into the file; *v is handed over (wt_free). Absent and not required: *v NULL, *n 0. */
wt_status wt_gguf_strs(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, wt_str **v, size_t *n);
/* An array of any integer or float type, converted; handed over. */
wt_status wt_gguf_ints(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, int64_t **v, size_t *n);
wt_status wt_gguf_nums(wt_ctx *cx, const wt_gguf *g, const char *key, bool required, float **v, size_t *n);

/* Writing, streaming: describe everything, then give the data of each tensor in that order. The writer fills in offsets. */
typedef struct wt_gguf_out wt_gguf_out;
wt_status wt_gguf_out_open(wt_ctx *cx, const char *path, wt_gguf_out **out);
wt_status wt_gguf_put_raw(wt_gguf_out *o, const wt_kv *kv);              /* copies a value of another file; replaces an equal key */
wt_status wt_gguf_put_str(wt_gguf_out *o, const char *key, const char *v);
wt_status wt_gguf_put_u16(wt_gguf_out *o, const char *key, uint16_t v);
wt_status wt_gguf_put_u32(wt_gguf_out *o, const char *key, uint32_t v);
wt_status wt_gguf_put_u64(wt_gguf_out *o, const char *key, uint64_t v);
wt_status wt_gguf_put_i64(wt_gguf_out *o, const char *key, int64_t v);
wt_status wt_gguf_put_f32(wt_gguf_out *o, const char *key, float v);
wt_status wt_gguf_put_f64(wt_gguf_out *o, const char *key, double v);
wt_status wt_gguf_put_bool(wt_gguf_out *o, const char *key, bool v);
wt_status wt_gguf_put_strs(wt_gguf_out *o, const char *key, const wt_str *v, size_t n);
wt_status wt_gguf_put_i32s(wt_gguf_out *o, const char *key, const int32_t *v, size_t n);
wt_status wt_gguf_put_u32s(wt_gguf_out *o, const char *key, const uint32_t *v, size_t n);
wt_status wt_gguf_put_f32s(wt_gguf_out *o, const char *key, const float *v, size_t n);
wt_status wt_gguf_add_tensor(wt_gguf_out *o, const char *name, wt_type type, int32_t n_dim, const int64_t *shape /* slowest first */);
/* Several files of at most so many bytes of tensor data each (a larger tensor has its own), named as wt_gguf_part_name with path
 * without its ".gguf"; where one is enough the name stays as it is. The first gets its name last. */
void wt_gguf_out_split(wt_gguf_out *o, uint64_t most);
/* After the last description: data of the tensors in order, in pieces of any size. A tensor begun must be filled exactly. */
wt_status wt_gguf_write(wt_gguf_out *o, const void *p, size_t n);
/* How many files there will be, and (handed over) the name of the first. After the last description. */
wt_status wt_gguf_out_parts(wt_gguf_out *o, size_t *n, char **first);
wt_status wt_gguf_out_commit(wt_gguf_out **o);   /* checks that everything was written; then as wt_out_commit */
void wt_gguf_out_abort(wt_gguf_out **o);

#endif
