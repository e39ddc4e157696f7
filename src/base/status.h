/* Status codes and error messages. A function that can fail for a reason outside the code returns wt_status; the
 * message is written once, with wt_fail, where the facts are. */
#ifndef WT_BASE_STATUS_H
#define WT_BASE_STATUS_H

#include "witan.h"

typedef witan_status wt_status;
typedef witan_ctx wt_ctx;

/* Short names inside the library. */
#define WT_OK WITAN_OK
#define WT_EARG WITAN_EARG
#define WT_ENOMEM WITAN_ENOMEM
#define WT_EIO WITAN_EIO
#define WT_EFORMAT WITAN_EFORMAT
#define WT_ESHAPE WITAN_ESHAPE
#define WT_ELIMIT WITAN_ELIMIT
#define WT_EUNSUPPORTED WITAN_EUNSUPPORTED
#define WT_EMISMATCH WITAN_EMISMATCH
#define WT_ECANCELED WITAN_ECANCELED

#define WT_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Writes the message (control characters are replaced, so that a hostile file name stays one line) and returns code. */
wt_status wt_fail(wt_ctx *cx, int code, const char *fmt, ...) WT_PRINTF(3, 4);

#define WT_TRY(call) do { wt_status wt_try_ = (call); if (wt_try_ != WITAN_OK) return wt_try_; } while (0)
/* In functions that must tidy up: sets the local `st` and goes to `done`. */
#define WT_GO(call) do { st = (call); if (st != WITAN_OK) goto done; } while (0)

/* For mistakes of ours only, never for input. */
#define wt_assert(x) do { if (!(x)) wt_bug(__FILE__, __LINE__, #x); } while (0)
_Noreturn void wt_bug(const char *file, int line, const char *what);

/* Sizes that come from files are combined with these only. True: the result overflowed. */
static inline bool wt_mul_over(size_t a, size_t b, size_t *r) { return __builtin_mul_overflow(a, b, r); }
static inline bool wt_add_over(size_t a, size_t b, size_t *r) { return __builtin_add_overflow(a, b, r); }

#endif
