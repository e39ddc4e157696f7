/* SHA-256 through libmd. */
#include "base/hash.h"

#include <stdio.h>

void wt_sha_init(wt_sha *h) { SHA256Init(h); }
void wt_sha_add(wt_sha *h, const void *p, size_t n) { SHA256Update(h, p, n); }

void wt_sha_end(wt_sha *h, char hex[65])
{
    uint8_t d[SHA256_DIGEST_LENGTH];
    SHA256Final(d, h);
    for (size_t i = 0; i < sizeof d; i++) snprintf(hex + 2 * i, 3, "%02x", d[i]);
}
