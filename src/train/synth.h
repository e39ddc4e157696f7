/* synth.h: a deterministic corpus of short questions in fourteen domains, whose answers a program can check.
 *
 * It trains, calibrates and tests small models without any download. An item is a prompt and an answer; the document
 * is the two joined ("Compute 47 + 8 =" and " 55"). A prompt never ends in a space and an answer always begins with
 * one, so a byte-level BPE tokenizer cuts the document at the same place whether it sees the prompt alone or all of it.
 *
 * The answer is computed from the prompt's text alone: wt_synth_make writes a prompt and solves it with the function
 * that wt_synth_check uses, so a model's answer to any prompt of the same form can be judged too. One domain asks for what
 * no prompt tells: the numbers of a phone book, which a model must learn by heart. Which book is a number beside the prompt.
 *
 * The four splits are disjoint by construction: a hash of the prompt's text says to which split it belongs, and prompts
 * are drawn until one fits. A test question therefore never occurs in training, whatever the seeds and difficulties. (The
 * facts of the phone book do, in other words: every fact has tens of wordings, of which most are in training.)
 *
 * No allocation, no files, no state; every function may be called from any thread.
 */
#ifndef WT_TRAIN_SYNTH_H
#define WT_TRAIN_SYNTH_H

#include <stdbool.h>
#include <stdint.h>

#define WT_SYNTH_MAX 512   /* bytes of a prompt or an answer, with the closing NUL */

typedef struct wt_synth_item {
    char prompt[WT_SYNTH_MAX];
    char answer[WT_SYNTH_MAX];
} wt_synth_item;

typedef enum wt_synth_split {
    WT_SYNTH_TRAIN,   /* 17 of 20 prompts */
    WT_SYNTH_VALID,   /* 1 of 20 */
    WT_SYNTH_TEST,    /* 1 of 20 */
    WT_SYNTH_DEMOS    /* 1 of 20: for calibration and few-shot prompts */
} wt_synth_split;

enum { WT_SYNTH_EASY = 1, WT_SYNTH_USUAL = 2, WT_SYNTH_HARD = 3 };   /* the shipped model is trained on usual ones */

typedef struct wt_synth_how {
    uint64_t seed;     /* of the items */
    uint64_t book;     /* of the phone book: another one holds other numbers */
    int difficulty;    /* WT_SYNTH_EASY ...; 0: usual. Solvers answer prompts of any */
} wt_synth_how;

int         wt_synth_domains(void);           /* how many */
const char *wt_synth_domain_name(int d);      /* "arithmetic" ...; NULL if d is out of range */
const char *wt_synth_domain_about(int d);     /* one clause; NULL if d is out of range */

/* Item number `index` of a split: a pure function of its arguments. Items may repeat within a split.
 * false if the domain, split or difficulty does not exist, or (chance below 1e-20) if no prompt of the split was met. */
bool wt_synth_make(int domain, wt_synth_split split, const wt_synth_how *how, uint64_t index, wt_synth_item *out);

/* The right answer to a prompt of the domain's forms, with its leading space. false if the prompt is of no such form. */
bool wt_synth_solve(int domain, uint64_t book, const char *prompt, char answer[WT_SYNTH_MAX]);

/* Is this the right answer? White space around it does not count. */
bool wt_synth_check(int domain, uint64_t book, const char *prompt, const char *answer);

/* The split a prompt belongs to. */
wt_synth_split wt_synth_split_of(const char *prompt);

#endif
