/* SHA-256 for identity, as lower-case hex; and hashes for look-up tables. */
#ifndef WT_BASE_HASH_H
#define WT_BASE_HASH_H

#include "base/ctx.h"
#include <sha2.h>

typedef SHA2_CTX wt_sha;
void wt_sha_init(wt_sha *h);
void wt_sha_add(wt_sha *h, const void *p, size_t n);
void wt_sha_end(wt_sha *h, char hex[65]);

/* For tables whose names or numbers come from files. The keys differ from process to process, so that no file can hold names that all fall
 * into one slot, which would make a table slow beyond measure. Nothing but the speed of look-ups may depend on these values. */
uint64_t wt_name_hash(uint64_t before, const char *s, size_t n);   /* before: 0, or the hash of text that stands in front of s */
size_t wt_hash_slot(uint64_t hash, size_t n_slot);                 /* also of any number up to 2^61 - 2; n_slot: a power of two, at least 2 */
uint64_t wt_hash_key(void);                                        /* for hash functions of libraries */

#endif
