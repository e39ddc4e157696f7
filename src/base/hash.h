/* SHA-256 for identity, as lower-case hex. */
#ifndef WT_BASE_HASH_H
#define WT_BASE_HASH_H

#include "base/ctx.h"
#include <sha2.h>

typedef SHA2_CTX wt_sha;
void wt_sha_init(wt_sha *h);
void wt_sha_add(wt_sha *h, const void *p, size_t n);
void wt_sha_end(wt_sha *h, char hex[65]);

#endif
