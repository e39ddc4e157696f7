/* Splitting rules (pre-tokenizers): text is cut into pieces, and no token crosses a cut. */
#ifndef WT_TEXT_SPLIT_H
#define WT_TEXT_SPLIT_H

#include "base/status.h"
#include "text/pattern.h"

typedef struct wt_split_rule {
    wt_pattern *step[7];   /* applied one after another, NULL at the end: each cuts every piece so far into its matches and the gaps between */
    bool whole_first;      /* a piece that is a token is not merged ("ignore merges") */
    bool begin;            /* begin with the begin token unless the file says otherwise */
} wt_split_rule;

/* The rule that files call by this name (tokenizer.ggml.pre), NULL: unknown. */
const wt_split_rule *wt_split_find(const char *name, size_t n);
/* The i-th known name, NULL behind the last. */
const char *wt_split_name(size_t i);
extern const wt_split_rule wt_split_gpt2;

/* Calls each for the pieces of the text in order; together they are the text. Stops at the first failure. Linear in n: whatever the text,
 * a step looks at a character a bounded number of times. Any bytes are legal, see text/chars.h. */
typedef wt_status wt_piece_fn(void *arg, const char *s, size_t n);
wt_status wt_split(const wt_split_rule *r, const char *s, size_t n, wt_piece_fn *each, void *arg);

#endif
