/* A context whose allocator and files fail on demand, and the loop that makes every n-th call fail in turn. */
#ifndef TEST_FAULT_H
#define TEST_FAULT_H

#include "witan.h"

typedef enum fault_kind { FAULT_ALLOC, FAULT_OPEN, FAULT_READ, FAULT_WRITE, FAULT_FSYNC, FAULT_RENAME, FAULT_MAP, FAULT_CLOSE, FAULT_N } fault_kind;
extern const char *const fault_name[FAULT_N];

typedef struct fault {
    long count[FAULT_N];         /* calls so far */
    long fail[FAULT_N];          /* this call fails, counted from 1; 0: none */
    bool hit;                    /* it did */
    bool short_io, eintr;        /* reads and writes of few bytes; every other call interrupted */
    long live; size_t bytes, peak;   /* blocks and bytes in use, most bytes ever */
} fault;

witan_ctx *fault_ctx(fault *f);  /* one thread, the given faults; f must outlive it */

/* A folder of this test's own under /tmp; fault_folder_free removes it with all it holds. */
const char *fault_folder(void);
void fault_folder_free(void);
char *fault_path(const char *name);   /* in that folder; static storage, eight at a time */
bool fault_exists(const char *path);
int fault_leftovers(void);            /* files with .tmp. in their name in that folder */

/* Runs `scene` with the first call of `kind` failing, then the second ..., until none fails any more. Checks every time: an error or a
 * success, a message when it is an error, no block left, no temporary file left, and that `out` (may be NULL) exists only after a
 * success. At most `most` rounds; beyond 100 calls only every 7th fails, so that long scenes stay affordable. Returns the rounds. */
typedef witan_status (*fault_scene)(witan_ctx *cx, void *arg);
long fault_each(fault_kind kind, fault_scene scene, void *arg, const char *out, long most);

#endif
