/* Tokenizers from GGUF metadata. Now: byte-level BPE ("gpt2") with the splitting rules of text/split.c. */
#ifndef WT_TEXT_TOKENIZER_H
#define WT_TEXT_TOKENIZER_H

#include "tensor/gguf.h"

typedef struct wt_vocab wt_vocab;

/* Token types of GGUF. */
enum { WT_TOK_NORMAL = 1, WT_TOK_UNKNOWN = 2, WT_TOK_CONTROL = 3, WT_TOK_USER = 4, WT_TOK_UNUSED = 5, WT_TOK_BYTE = 6 };

/* Copies what it needs. Checks lengths of arrays, merges, special ids. Errors: WT_EFORMAT naming the key, WT_EUNSUPPORTED
 * naming an unknown model or pre-tokenizer. */
wt_status wt_vocab_open(wt_ctx *cx, const wt_gguf *g, wt_vocab **out);
void wt_vocab_free(wt_vocab *v);
int32_t wt_vocab_size(const wt_vocab *v);
int32_t wt_vocab_bos(const wt_vocab *v);
int32_t wt_vocab_eos(const wt_vocab *v);
bool wt_vocab_add_bos(const wt_vocab *v);
bool wt_vocab_is_control(const wt_vocab *v, int32_t id);

/* flags: WITAN_TOK_*. *ids handed over. Any bytes are legal: for splitting, each byte that is not UTF-8 counts as a symbol (neither letter,
 * number nor space); decoding gives the same bytes back. */
wt_status wt_vocab_encode(wt_ctx *cx, const wt_vocab *v, const char *text, size_t len, int flags, int32_t **ids, size_t *n);
/* Appends the bytes of one token to t. */
wt_status wt_vocab_decode(wt_ctx *cx, const wt_vocab *v, int32_t id, bool skip_special, wt_text *t);

#endif
