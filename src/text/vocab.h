/* Inside of a vocabulary: shared by the files of src/text only. */
#ifndef WT_TEXT_VOCAB_H
#define WT_TEXT_VOCAB_H

#include "text/split.h"
#include "text/tokenizer.h"

typedef struct wt_merge { uint64_t pair; int32_t rank, to; } wt_merge;   /* pair: left id << 32 | right id, plus one; 0: empty slot */

struct wt_vocab {
    wt_ctx *cx;
    int32_t n, bos, eos, sep, unk;   /* ids, -1: none */
    bool add_bos, add_eos, add_sep;
    bool spm;                    /* SentencePiece: merges by score; else byte-level BPE: merges by rank */
    bool prefix;                 /* SentencePiece: a space is put before text at the start and behind literal tokens */
    bool words;                  /* SentencePiece: no token has a space behind another character, so no merge crosses such a place */
    bool strip_right;            /* literal tokens swallow the white space behind them (wt_vocab_strips) */
    const wt_split_rule *split;  /* byte-level BPE */
    uint8_t *type;               /* [n] WT_TOK_* */
    char *bytes; size_t *at;     /* decoded tokens one after another; token i is bytes[at[i]] .. bytes[at[i + 1]] */
    int32_t byte_id[256];        /* token of a single byte, -1: none */
    bool all_bytes;              /* there is one for each */
    wt_merge *merge; size_t n_slot;       /* byte-level BPE */
    int32_t *rank; size_t longest;        /* SentencePiece: [n] place by score, best first, equal scores equal; bytes of the longest token */
    int32_t *whole; size_t n_whole;       /* ids + 1 by the hash of their bytes; SentencePiece, or with split->whole_first */
    int32_t *literal; size_t n_literal;   /* literal tokens by their bytes, equal ones by id */
    int32_t first[257];          /* those that begin with byte b: literal[first[b]] .. literal[first[b + 1]] */
};

/* Tokens that are found in text as they stand, before anything is split. Control and unknown ones only when asked for. */
static inline bool wt_vocab_special(const wt_vocab *v, int32_t id) { return v->type[id] == WT_TOK_CONTROL || v->type[id] == WT_TOK_UNKNOWN; }
static inline bool wt_vocab_literal(const wt_vocab *v, int32_t id) { return v->type[id] == WT_TOK_USER || wt_vocab_special(v, id); }

/* Sorts the literal tokens; part of opening. */
wt_status wt_literal_index(wt_vocab *v);
/* The longest literal token that begins at s (n > 0 bytes), special ones only if asked for; -1: none. Of equal ones the lowest id. */
int32_t wt_literal_at(const wt_vocab *v, const char *s, size_t n, bool special, size_t *len);
/* Whether this literal token swallows the white space behind it. */
bool wt_vocab_strips(const wt_vocab *v, int32_t id);

/* Byte-level BPE: the byte that each character of its alphabet stands for, -1: none. */
typedef struct wt_alphabet { int16_t byte[512]; } wt_alphabet;
void wt_alphabet_init(wt_alphabet *a);
/* Decodes a token's text into out (room for s.n bytes); returns the length. Text outside the alphabet stands for itself. */
size_t wt_alphabet_bytes(const wt_alphabet *a, wt_str s, char *out);
/* Reads the merges of tokens tok [v->n]; part of opening. Errors: WT_EFORMAT for what is no pair, or not of tokens. */
wt_status wt_vocab_merges(wt_vocab *v, const wt_gguf *g, const wt_str *tok);

/* The token that is exactly these bytes and may come from text by merging, -1: none. Only where v->whole is. */
int32_t wt_vocab_whole(const wt_vocab *v, const char *s, size_t n);

/* Merging. Ids are appended to `ids`; work buffers are kept and reused. */
typedef struct wt_merger {
    wt_ctx *cx;
    const wt_vocab *v;
    int32_t *ids; size_t n_ids, cap_ids;
    struct wt_bpe_sym *sym; size_t cap_sym;
    struct wt_bpe_cand *heap; size_t cap_heap, n_heap;
    char *text; size_t cap_text;       /* a copy that had to be changed */
    const char *s;                     /* what the symbols are cut from */
    bool unknown;                      /* the last id is an unknown token */
} wt_merger;
wt_status wt_merge_push(wt_merger *w, int32_t id);
wt_status wt_merge_bpe(wt_merger *w, const char *s, size_t n);                /* one piece, n > 0 */
wt_status wt_merge_spm(wt_merger *w, const char *s, size_t n, bool prefix);   /* n > 0 */
void wt_merge_free(wt_merger *w);      /* all but ids */

#endif
