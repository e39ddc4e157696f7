/* Tokenizers from GGUF metadata: byte-level BPE ("gpt2") with the splitting rules of text/split.c, and SentencePiece BPE ("llama").
 *
 * Literal tokens (user-defined ones always, control and unknown ones with WITAN_TOK_SPECIAL) are cut out of the text first: from left to
 * right, at each place the longest. What lies between is split, for BPE, and merged.
 *
 * SentencePiece: a space is put before the text and behind each literal token (unless tokenizer.ggml.add_space_prefix is false); nothing
 * else about white space is changed. U+2581 in text is the same as a space. A character that no token has becomes its bytes; where those
 * have no tokens either, one unknown token stands for all such characters in a row. */
#ifndef WT_TEXT_TOKENIZER_H
#define WT_TEXT_TOKENIZER_H

#include "tensor/gguf.h"

typedef struct wt_vocab wt_vocab;

/* Token types of GGUF. */
enum { WT_TOK_NORMAL = 1, WT_TOK_UNKNOWN = 2, WT_TOK_CONTROL = 3, WT_TOK_USER = 4, WT_TOK_UNUSED = 5, WT_TOK_BYTE = 6 };

/* Copies what it needs. Checks lengths of arrays, merges, scores, special ids.
 * pre: the splitting rule to use where the file names none or an unknown one (logged as a warning); NULL: gpt-2's for none, and an unknown
 * one is refused.
 * Errors: WT_EFORMAT naming the key, WT_EUNSUPPORTED naming an unknown model or rule, WT_EARG if pre is itself unknown. */
wt_status wt_vocab_open(wt_ctx *cx, const wt_gguf *g, const char *pre, wt_vocab **out);
void wt_vocab_free(wt_vocab *v);
int32_t wt_vocab_size(const wt_vocab *v);
int32_t wt_vocab_bos(const wt_vocab *v);
int32_t wt_vocab_eos(const wt_vocab *v);
bool wt_vocab_add_bos(const wt_vocab *v);
bool wt_vocab_is_control(const wt_vocab *v, int32_t id);

/* flags: WITAN_TOK_*. *ids handed over. Any bytes are legal: for splitting, each byte that is not UTF-8 counts as a symbol (neither letter,
 * number nor space); decoding gives the same bytes back. Only where a byte-level vocabulary lacks a byte (some lack those that never occur in
 * UTF-8) it is replaced by U+FFFD. O(n log n). */
wt_status wt_vocab_encode(wt_ctx *cx, const wt_vocab *v, const char *text, size_t len, int flags, int32_t **ids, size_t *n);

/* Appends the bytes of one token to t. skip_special leaves out control and unknown tokens. SentencePiece: U+2581 as a space, also at the
 * beginning: right for text that goes on. */
wt_status wt_vocab_decode(wt_ctx *cx, const wt_vocab *v, int32_t id, bool skip_special, wt_text *t);
/* A whole text: what wt_vocab_encode put before it, and behind literal tokens, is left out again (one space, if there is one). Not behind
 * an unknown token, which as a rule stands for characters. */
wt_status wt_vocab_decode_all(wt_ctx *cx, const wt_vocab *v, const int32_t *ids, size_t n, bool skip_special, wt_text *t);

#endif
