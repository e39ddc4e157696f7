/* Counting the different pieces ("words") of a corpus, in bounded memory: what a trainer of byte-level BPE needs to know of its text. */
#ifndef WT_TRAIN_WORDS_H
#define WT_TRAIN_WORDS_H

#include "base/thread.h"
#include "text/split.h"

typedef struct wt_word { uint64_t hash; int64_t count; size_t at; uint32_t n; } wt_word;   /* n bytes at `at`; count 0: an empty slot */

/* A table of words; a slot is found by the hash. */
typedef struct wt_words {
    wt_ctx *cx;
    wt_word *slot; size_t n_slot, n;
    char *text; size_t n_text, cap_text;
} wt_words;

typedef struct wt_words_options {
    const wt_split_rule *split;
    int64_t most;            /* different words that are kept, at least 1 */
} wt_words_options;

typedef struct wt_words_result {
    wt_words words;
    int64_t n_byte, n_doc, n_piece;   /* of the corpus */
    int64_t dropped;                  /* pieces that were counted and then forgotten because there were too many different ones */
} wt_words_result;

/* Counts the pieces of all files (train/source.h). Above `most` different words after a block of 8 MB, the rarest are forgotten, so that half
 * of `most` or fewer stay: all of those with the smallest count, then the next ... A forgotten word that comes again is counted from 0 again
 * (lossy counting: counts are too small by little where a corpus has far more different words than `most`). Blocks do not depend on
 * threads, so the result does not either. Errors: as wt_source_read. */
wt_status wt_words_count(wt_ctx *cx, const char *const *path, size_t n_path, const wt_words_options *o, wt_words_result *out);
void wt_words_free(wt_words *w);

#endif
