/* What a trainer reads: documents (train/source.h) as one array of tokens per domain, and rows of them.
 *
 * A domain's stream is its documents in file order, each followed by the end token. Prompt and answer are tokenized one after the other, as they
 * are when a model answers. Domains are in alphabetical order, so that two data sets with the same domains number them alike.
 *
 * The rows of a step are a pure function of (data, seed, step, row): nothing is shuffled or remembered, so a run that is resumed at any step
 * sees what it would have seen, and a step's rows may be taken in slices, on any machine. */
#ifndef WT_TRAIN_DATA_H
#define WT_TRAIN_DATA_H

#include "base/option.h"
#include "text/tokenizer.h"

/* Tokens of one or several rows, in row order; arrays [n_tok] belong to the caller, with room for rows * n_ctx. */
typedef struct wt_rows {
    int32_t n_tok;
    int32_t *id;
    int32_t *seq;            /* sequence of each token: 0, 1, 2 ... in the order in which they stand; attention does not leave a sequence */
    int32_t *pos;            /* position in its sequence, from 0 */
    int32_t *target;         /* the token to predict, -1: ignored */
    float *weight;           /* of the loss at this token; 0 where target is -1 */
    int32_t *domain;         /* index of wt_data.domain */
} wt_rows;

/* How rows are cut from a domain's stream.
 * WINDOW: n_ctx + 1 tokens from a random place on, as if the stream were one text: one sequence, no room is lost.
 * DOCUMENTS: whole documents drawn at random, each a sequence of its own that begins with the begin token, until no drawn one fits; the rest of the
 * row is one ignored sequence of end tokens. */
typedef enum wt_pack { WT_PACK_WINDOW, WT_PACK_DOCUMENTS } wt_pack;

/* Documents longer than a row, with WT_PACK_DOCUMENTS: cut behind n_ctx tokens, or split into pieces of n_ctx, each a sequence of its own.
 * With WT_PACK_WINDOW length does not matter. */
typedef enum wt_too_long { WT_TOO_LONG_SPLIT, WT_TOO_LONG_CUT } wt_too_long;

typedef struct wt_data_options {
    int32_t n_ctx;           /* tokens of a row */
    int32_t pack;            /* wt_pack */
    int32_t too_long;        /* wt_too_long */
    float prompt_weight;     /* of the loss at a prompt's tokens; those of answers and texts, and end tokens, count 1 */
    const char *weights;     /* how often a row is of a domain: "proportional" to its tokens, "sqrt" of them, "uniform"; or "code=2,units=1",
                                domains that are not named then being left out. NULL: sqrt */
} wt_data_options;
extern const wt_param wt_data_param[];

typedef struct wt_data_piece { size_t from; int32_t n; bool first; } wt_data_piece;   /* targets: n tokens of the stream; first: of a document */

typedef struct wt_data_domain {
    char *name;
    int32_t *ids; size_t n_tok, cap_tok;         /* the stream */
    uint8_t *prompt;                             /* [n_tok] 1: a prompt's token */
    size_t *doc; size_t n_doc, cap_doc;          /* document i is ids[doc[i]] .. ids[doc[i + 1]], its end token included */
    size_t n_empty, n_long;                      /* documents without tokens, which are left out; with more than n_ctx, end token included */
    wt_data_piece *piece; size_t n_piece;        /* DOCUMENTS only */
    size_t *row; size_t n_row;                   /* validation: DOCUMENTS: row i holds pieces row[i] .. row[i + 1]; WINDOW: row is NULL */
    double share;                                /* chance of a row to be of this domain; all add up to 1 */
} wt_data_domain;

typedef struct wt_data {
    wt_ctx *cx;
    wt_data_options o;
    int32_t begin, end;                          /* token ids */
    wt_data_domain *domain; size_t n_domain;
    int64_t n_tok;
    char digest[65];                             /* SHA-256 (hex) over names, tokens, ends of documents and prompts */
} wt_data;

/* Reads and tokenizes the files, with all threads of the context; the same result for any number. Progress: "read". What was cut, split or left
 * out is logged in one line. The text of weights is not kept.
 * Errors: WT_EFORMAT naming file and line (empty file, no UTF-8, no JSON), WT_ELIMIT (a domain without documents), WT_EARG (weights, n_ctx),
 * WT_EUNSUPPORTED for a vocabulary without an end token, WT_EIO, WT_ENOMEM. */
wt_status wt_data_open(wt_ctx *cx, const wt_vocab *v, const char *const *path, size_t n_path, const wt_data_options *o, wt_data **out);
void wt_data_free(wt_data *d);                   /* NULL is fine */
int32_t wt_data_find(const wt_data *d, const char *domain);   /* its number, -1: there is none */

/* Rows first .. first + n - 1 of a step, of which there are 2^24. May be called from any thread. */
void wt_data_batch(const wt_data *d, int64_t seed, int64_t step, int32_t first, int32_t n, wt_rows *b);
/* For validation: rows of one domain in file order, each token once; first + n <= domain[i].n_row. With WINDOW a last row that is not full
 * is left out, unless it is the only one. */
void wt_data_valid(const wt_data *d, int32_t domain, int32_t first, int32_t n, wt_rows *b);

#endif
