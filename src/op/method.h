/* What a published method is to the rest of the code: one const descriptor with its options, its source and the functions
 * of its kind. Lower layers call methods through this interface without knowing any. */
#ifndef WT_OP_METHOD_H
#define WT_OP_METHOD_H

#include "base/option.h"
#include "op/run.h"

typedef enum wt_kind { WT_KIND_ROUTER, WT_KIND_IMPORTANCE, WT_N_KIND } wt_kind;
const char *wt_kind_name(wt_kind k);     /* "router", "importance" */

typedef struct wt_cite { const char *paper, *authors, *id; int32_t year; const char *where; } wt_cite;

/* router: the select stage. score is what is ranked, [n_tok, n_exp] (masked experts hold -inf); fills rt token by token. side_by_side: it may be
 * called for parts of a batch at the same time, each with its own tokens, scores and rt; such a one is independent of the batch, takes no memory
 * and cannot fail. */
typedef struct wt_router_ops {
    bool causal, batch_independent, side_by_side;
    wt_status (*select)(wt_run *r, const void *opt, const wt_tensor *score, wt_route *rt);
} wt_router_ops;

/* importance: numbers from a calibration record. score [n_exp] of one layer and domain; larger stays. */
struct wt_record_view;
typedef struct wt_importance_ops {
    bool needs_data;                                     /* false: legal without a record (random) */
    wt_status (*score)(wt_ctx *cx, const void *opt, const struct wt_record_view *v, int64_t seed, double *score);
} wt_importance_ops;

typedef struct wt_method {
    const char *name;
    wt_kind kind;
    const char *title, *about;
    wt_cite cite;
    const wt_param *param; size_t opt_size;
    const void *ops;                                     /* wt_router_ops, wt_importance_ops ... by kind */
} wt_method;

/* The generated registry (method/registry.c). */
extern const wt_method *const wt_methods[];
extern const size_t wt_n_methods;
/* WT_EARG with the list of names, and the nearest, if there is none. */
wt_status wt_method_find(wt_ctx *cx, wt_kind kind, const char *name, const wt_method **out);

#endif
