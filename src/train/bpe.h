/* Learning the merges of byte-level BPE from counted words.
 *
 * Begins with one symbol for each byte and joins, again and again, the pair of neighbours that occurs most often over all words; of equally
 * frequent pairs the one with the lower left id, then the lower right id. Within a word pairs are joined from left to right.
 * Source: Sennrich et al., arXiv:1508.07909, algorithm 1; on bytes as in GPT-2. Counts are kept up to date pair by pair, with a heap, so a merge
 * costs what it changes. */
#ifndef WT_TRAIN_BPE_H
#define WT_TRAIN_BPE_H

#include "train/words.h"

typedef struct wt_bpe_options {
    int32_t n_token;         /* wanted: special tokens, 256 bytes, then merges */
    int32_t n_special;       /* ids 0 .. n_special - 1 are left to the caller; bytes follow in the order of GPT-2's alphabet */
    int64_t min_count;       /* pairs that occur less often are not joined, at least 1 */
    bool digits;             /* what holds an ASCII digit is never joined with anything */
} wt_bpe_options;

typedef struct wt_bpe_pair { int32_t left, right, to; } wt_bpe_pair;

typedef struct wt_bpe {
    wt_ctx *cx;
    int32_t n_token;                          /* fewer than wanted where pairs ran out */
    char *text; size_t *at; size_t cap_text;  /* token i's bytes are text[at[i]] .. text[at[i + 1]]; none for special ones */
    wt_bpe_pair *merge; size_t n_merge;       /* by rank; may be more than there are new tokens: two pairs can give the same text */
    int64_t n_left;                           /* tokens that the corpus has in the end */
} wt_bpe;

/* Errors: WT_ENOMEM, WT_ELIMIT (more than 2^32 places of pairs). No thread but the caller's; the same result whatever the order of words. */
wt_status wt_bpe_learn(wt_ctx *cx, const wt_words *w, const wt_bpe_options *o, wt_bpe *out);
void wt_bpe_free(wt_bpe *b);

#endif
