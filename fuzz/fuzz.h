/* What the fuzz targets share: a context whose files are memory and whose memory is counted. No target touches a disk. */
#ifndef WITAN_FUZZ_H
#define WITAN_FUZZ_H

#include "witan.h"

/* The name under which targets open their input. It is also the name of the first of two files, see fuzz_begin. */
#define FUZZ_FILE "fuzz-00001-of-00002.gguf"

typedef struct fuzz {
    const uint8_t *data; size_t n;       /* FUZZ_FILE */
    uint8_t *second; size_t n_second;    /* the other part */
    uint8_t *out; size_t n_out, cap_out; /* what was written last, under any name; opened as "out" */
    size_t at[8];                        /* where each descriptor stands */
    long live; size_t bytes, peak;       /* memory of the library */
    const char *word;                    /* eight bytes: memory that is taken is filled with them; NULL: left as it is */
} fuzz;

/* A context over these bytes. with_parts: from a second "GGUF" on they are the other file of a split model. The bytes must outlive it. */
witan_ctx *fuzz_begin(fuzz *f, const uint8_t *data, size_t n, bool with_parts);

/* Frees the context. Aborts if a block leaks or if more memory was taken than 64 MiB + 8 x input. */
void fuzz_end(fuzz *f, witan_ctx *cx);

/* A property that does not hold: says so and aborts, which is how libFuzzer learns of it. */
#define FUZZ_CHECK(ok, what) do { if (!(ok)) fuzz_broken(__FILE__, __LINE__, what); } while (0)
_Noreturn void fuzz_broken(const char *file, int line, const char *what);

/* A failed call must say why. Returns whether it succeeded. */
bool fuzz_ok(witan_ctx *cx, witan_status st);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#endif
