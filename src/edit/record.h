/* The calibration record: sums that one streaming pass collects per (domain, layer, expert), in double, mergeable by
 * addition. Symbols: p router probability over all experts before selection, g the gate that multiplies the expert,
 * y expert output before the gate, m = |y|, r residual before the block, R routed output, c = max(0, 1 - cos(r, r + R)). */
#ifndef WT_EDIT_RECORD_H
#define WT_EDIT_RECORD_H

#include "base/docs.h"
#include "base/json.h"
#include "op/tap.h"

/* One expert of one layer. */
typedef struct wt_sums {
    double n;                                            /* C1: selections */
    double g, g2, p, p_all;                              /* C2: sum g, g^2, p of the selected; p over all tokens */
    double m, m2, gm, g2m2;                              /* C3 */
    double cgm;                                          /* C4: c g m */
} wt_sums;

typedef struct wt_record_layer {
    int32_t n_exp;                                       /* 0: dense */
    wt_sums *sum;                                        /* [n_exp] */
    double *co;                                          /* [n_exp, n_exp] C1: joint selections, symmetric, diagonal n */
    double c;                                            /* sum of c over tokens */
} wt_record_layer;

typedef struct wt_record_domain {
    char *name;
    int64_t n_tok, n_doc;
    wt_record_layer *layer;                              /* [n_layer] */
} wt_record_domain;

struct witan_record {
    wt_ctx *cx;
    char fingerprint[65], data_digest[65];               /* of the model; of the calibration file ("" when merged) */
    char *model_name;
    int32_t n_layer, n_exp_used;
    int32_t *n_exp;                                      /* [n_layer] */
    wt_record_domain **domain; size_t n_domain;          /* one block each: pointers to domains stay valid */
};
typedef struct witan_record wt_record;

/* Names of the sums, in documents and in witan_record_get. */
typedef struct wt_sum_field { const char *name; size_t offset; } wt_sum_field;
extern const wt_sum_field wt_sum_fields[];   /* ends with a NULL name */

/* What a score sees: one layer of one domain. */
typedef struct wt_record_view { int32_t layer, n_exp, n_exp_used; double n_tok; const wt_sums *sum; const double *co; } wt_record_view;

wt_status wt_record_new(wt_ctx *cx, int32_t n_layer, const int32_t *n_exp /* [n_layer] */, int32_t n_exp_used, wt_record **out);
wt_status wt_record_domain_add(wt_record *r, const char *name, wt_record_domain **out);   /* or finds it */

/* Member `key` of a document: a SHA-256 in hex, or "" where that is allowed. */
wt_status wt_digest_read(wt_ctx *cx, const json_t *o, const char *where, const char *key, bool may_be_empty, char out[65]);

/* The observer that fills a domain of a record. Set domain before each document. */
typedef struct wt_recorder { wt_record *rec; wt_record_domain *domain; double *scratch; size_t n_scratch; } wt_recorder;
wt_observer wt_recorder_observer(wt_recorder *rc);
void wt_recorder_free(wt_recorder *rc);

#endif
