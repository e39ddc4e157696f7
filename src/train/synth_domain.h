/* synth_domain.h: what a domain of the synthetic corpus provides, and the small tools its files share.
 *
 * Internal to train/synth*.c. A domain writes prompts and solves them from their text; it never sees splits.
 */
#ifndef WT_TRAIN_SYNTH_DOMAIN_H
#define WT_TRAIN_SYNTH_DOMAIN_H

#include <stddef.h>

#include "base/rng.h"
#include "train/synth.h"

typedef struct wt_synth_domain {
    const char *name, *about;
    void (*ask)(wt_rng *rng, int difficulty, char prompt[WT_SYNTH_MAX]);   /* difficulty: 1 to 3 */
    bool (*solve)(const char *prompt, char answer[WT_SYNTH_MAX]);          /* false: not a prompt of ours */
    bool (*look_up)(uint64_t book, const char *prompt, char answer[WT_SYNTH_MAX]);   /* instead of solve, where answers are in a book */
} wt_synth_domain;

extern const wt_synth_domain wt_synth_arithmetic, wt_synth_units, wt_synth_dates;   /* synth_number.c, synth_dates.c */
extern const wt_synth_domain wt_synth_sets, wt_synth_recall, wt_synth_grammar;      /* synth_words.c, synth_grammar.c */
extern const wt_synth_domain wt_synth_json, wt_synth_code;                          /* synth_code.c */
extern const wt_synth_domain wt_synth_graph, wt_synth_phonebook;                    /* synth_graph.c, synth_book.c */
extern const wt_synth_domain wt_synth_roman, wt_synth_spelling;                     /* synth_numeral.c */
extern const wt_synth_domain wt_synth_cipher, wt_synth_brackets;                    /* synth_symbol.c */

/* Appends to a NUL-terminated buffer of WT_SYNTH_MAX bytes. What does not fit is cut off. */
void wt_synth_put(char *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Uniform in [lo, hi]. */
int wt_synth_between(wt_rng *rng, int lo, int hi);

/* n different numbers of [0, range) in random order; n <= range <= 64. */
void wt_synth_distinct(wt_rng *rng, int range, int n, int *out);

/* Sorts upwards. */
void wt_synth_order(int *v, int n);

/* Reading. Each moves *s behind what it read, or leaves it alone and returns false. */
bool wt_synth_skip(const char **s, const char *text);
bool wt_synth_int(const char **s, int *out);                             /* up to 6 digits */
bool wt_synth_word(const char **s, char *out, int size);                 /* letters */
bool wt_synth_pick(const char **s, const char *const *list, int *out);   /* a whole word of a NULL-ended list */

/* Where the list holds the word, or -1. */
int wt_synth_find(const char *const *list, const char *word);

#endif
