/* The fixtures of tests/gold (tools/oracle/make_tiny.py), and a recorder of routes, shared by the tests that compare with them. */
#ifndef TEST_GOLD_H
#define TEST_GOLD_H

#include "model/model.h"

enum { GOLD_SEQ = 2, GOLD_LAYERS = 4, GOLD_USED = 4 };

/* What a router chose for one token in one layer, best first; n 0 in a layer without experts. */
typedef struct gold_route { int32_t n, expert[GOLD_USED]; float weight[GOLD_USED]; } gold_route;

typedef struct gold_seq {
    int32_t *ids; size_t n;
    size_t first;                 /* logits are known from this position on */
    const float *logits;          /* [n - first, n_vocab] */
    gold_route last[GOLD_LAYERS]; /* routing of the last token */
} gold_seq;

typedef struct gold {
    char model[64], *text;
    int32_t *text_ids; size_t n_text;
    size_t n_vocab, n_seq, n_layer;
    gold_seq seq[GOLD_SEQ];
    float *logits;                /* all rows */
} gold;

extern const char *const gold_names[];      /* NULL-terminated */
void gold_open(gold *g, const char *name);  /* a test failure when it cannot be read */
void gold_free(gold *g);

/* An observer that keeps the route of the last token of sequence `seq` in every layer. */
typedef struct gold_watch { int32_t seq; gold_route last[GOLD_LAYERS]; } gold_watch;
wt_observer gold_observer(gold_watch *w);
void gold_check_route(const char *where, const gold_route *found, const gold_route *expected, float tolerance);

/* Fails with the place of the worst value unless every |a - b| <= tolerance; equal bits are asked for with tolerance 0. */
void gold_check_row(const char *where, const float *found, const float *expected, size_t n, float tolerance);

#endif
