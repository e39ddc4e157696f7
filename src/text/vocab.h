/* Inside of a vocabulary: shared by the files of src/text only. */
#ifndef WT_TEXT_VOCAB_H
#define WT_TEXT_VOCAB_H

#include "text/split.h"
#include "text/tokenizer.h"

typedef struct wt_merge { uint64_t pair; int32_t rank, to; } wt_merge;   /* pair: left id << 32 | right id, plus one; 0: empty slot */

struct wt_vocab {
    wt_ctx *cx;
    const wt_split_rule *split;
    int32_t n, bos, eos;
    bool add_bos;
    uint8_t *type;               /* [n] WT_TOK_* */
    char *bytes; size_t *at;     /* decoded tokens one after another; token i is bytes[at[i]] .. bytes[at[i + 1]] */
    int32_t byte_id[256];        /* token of a single byte, -1: none */
    wt_merge *merge; size_t n_slot;
    int32_t *whole; size_t n_whole;       /* ids + 1 by the hash of their bytes; with split->whole_first */
    int32_t *special; size_t n_special;   /* control and user-defined tokens, longest first */
    bool special_first[256];     /* first bytes of those */
};

/* The token that is exactly these bytes, -1: none. Only where split->whole_first. */
int32_t wt_vocab_whole(const wt_vocab *v, const char *s, size_t n);

/* Merges the bytes of one piece and appends ids to *ids. Work buffers are kept in w and reused. */
typedef struct wt_bpe_work { wt_ctx *cx; struct wt_bpe_sym *sym; size_t cap_sym; struct wt_bpe_cand *heap; size_t cap_heap, n_heap; } wt_bpe_work;
wt_status wt_bpe_piece(const wt_vocab *v, wt_bpe_work *w, const char *s, size_t n, int32_t **ids, size_t *n_ids, size_t *cap_ids);
void wt_bpe_free(wt_bpe_work *w);

#endif
