/* For tests of hostile files: a writer of bytes without any checks, and attempts at reading them in a child process whose time and memory
 * are limited. Files are memory (fuzz/fuzz.h); what an attempt does is what the fuzz target fuzz/gguf.c does. */
#ifndef TEST_CRAFTED_H
#define TEST_CRAFTED_H

#include "fuzz.h"
#include "mini.h"

/* ---- bytes ---------------------------------------------------------------------------------------------------------- */

typedef struct bytes { uint8_t *b; size_t n, cap; } bytes;       /* grows; free(b) */
void put(bytes *f, const void *p, size_t n);
void put_u8(bytes *f, uint8_t v);
void put_u32(bytes *f, uint32_t v);
void put_u64(bytes *f, uint64_t v);
void put_f32(bytes *f, float v);
void put_str(bytes *f, const char *s);                           /* with its length in front */
void put_zeros(bytes *f, size_t n);
void pad(bytes *f, size_t to);
void head(bytes *f, uint32_t version, uint64_t n_tensor, uint64_t n_kv);                     /* begins anew */
void tensor(bytes *f, const char *name, uint32_t n_dim, const uint64_t *ne, uint32_t type, uint64_t offset);
void load_mini(bytes *f, const mini *m);                         /* the whole file */
size_t header_bytes(const bytes *f);                             /* of a well-formed file: where its data begin */

/* Puts a key in front of the others of a well-formed file, and a second one so that the data stay aligned. value: as in the file, type first. */
void insert_key(bytes *f, const char *key, const bytes *value);
/* Changes bytes behind a key (its value, behind the type) in place. */
void patch(bytes *f, const char *key, const void *value, size_t n);

/* The i-th of 131,072 names that all have the same value in FNV-1a, the hash that everybody uses: a table over them would be a list. */
enum { COLLIDING = 1 << 17, COLLIDING_BYTES = 68 };
void colliding(size_t i, char name[COLLIDING_BYTES + 1]);

/* ---- attempts ------------------------------------------------------------------------------------------------------- */

enum { INSPECT = 1, MODEL = 2, VOCAB = 4, CONVERT = 8, ALL = 15, NONE = 0 };

/* Each of the four calls reads the file in a child of its own making. Those named in `calls` must refuse it with one line that names the
 * file and holds must_say; the others may do as they like. All must end within `seconds` of processor time and 64 MiB + 8 x file of memory,
 * free everything, and crash never. */
void refused(const bytes *f, int calls, const char *must_say);
void refused_within(const bytes *f, int calls, const char *must_say, double seconds);
void accepted(const bytes *f, int calls);                        /* those named must succeed */

/* Runs fn(0) to fn(n - 1) in one child, each with two seconds of processor time. fn aborts (FUZZ_CHECK) where something is wrong. */
void in_child(void (*fn)(size_t i), size_t n, size_t n_file, double seconds);

#endif
