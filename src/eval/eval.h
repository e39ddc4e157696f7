/* Inside of evaluation: rows being added up, shared by perplexity and tasks. */
#ifndef WT_EVAL_EVAL_H
#define WT_EVAL_EVAL_H

#include "base/docs.h"
#include "model/kv.h"

/* Sums of one domain. */
typedef struct wt_tally {
    const char *domain;                          /* owned by the list */
    double n_doc, nll, tok, nll2, nll_tok, tok2; /* over documents: sums of a_i, b_i and their products */
    double asked, right;
} wt_tally;

typedef struct wt_tallies { wt_ctx *cx; wt_tally *t; size_t n; int64_t computed; } wt_tallies;

/* The tally of a domain, made when it is new. Pointers are valid until the next call. NULL: out of memory. */
wt_tally *wt_tally_of(wt_tallies *ts, const char *domain);

/* Sequences that may run side by side within about 256 MiB of KV cache, at most 16. */
int32_t wt_eval_seqs(wt_ctx *cx, const wt_model *m, const witan_eval_options *o, int32_t n_ctx);

/* Of the options these use the plan, the type of the cache, and max_new. */
wt_status wt_eval_perplexity(wt_ctx *cx, const wt_model *m, const wt_docs *docs, int32_t n_ctx, const witan_eval_options *o, wt_tallies *ts);
wt_status wt_eval_task(wt_ctx *cx, const wt_model *m, const wt_docs *docs, int32_t n_ctx, const witan_eval_options *o, wt_tallies *ts);

#endif
