/* Vocabularies for fuzzing, written with the GGUF writer: the fixed ones of the target `text`, and any that bytes describe (`vocab`). */
#ifndef WITAN_FUZZ_VOCABULARY_H
#define WITAN_FUZZ_VOCABULARY_H

#include "fuzz.h"
#include "tensor/gguf.h"

/* One kind of tokenizer. A new one is one line in vocabulary.c. */
typedef struct fuzz_vocabulary {
    const char *model, *pre;     /* tokenizer.ggml.model, tokenizer.ggml.pre; pre NULL: one vocabulary for each splitting rule there is */
    const char *not_back;        /* a text that does not hold this comes back from its tokens byte for byte; NULL: every text does */
} fuzz_vocabulary;

/* The i-th vocabulary, kinds and their rules multiplied out; false behind the last. */
bool fuzz_vocabulary_get(size_t i, fuzz_vocabulary *v);
size_t fuzz_vocabulary_count(void);

/* Writes it to path: a begin token, the 256 bytes, some merged pieces. */
wt_status fuzz_vocabulary_write(wt_ctx *cx, const fuzz_vocabulary *v, const char *path);

/* Writes the vocabulary that lines of text describe: model, pre, flags; then tokens, each with its type as first character; an empty line;
 * then merges. Anything is a description; most are of vocabularies that must be refused. */
wt_status fuzz_vocabulary_describe(wt_ctx *cx, const char *text, size_t n, const char *path);

#endif
