/* A plan says which experts of each layer stay. It is made from scores and a budget, printed as JSON, worn at run time as a mask,
 * or applied to write a smaller file. */
#ifndef WT_EDIT_PLAN_H
#define WT_EDIT_PLAN_H

#include "moe/mask.h"
#include "edit/record.h"

struct witan_plan {
    wt_ctx *cx;
    char fingerprint[65];            /* of the model it was made for */
    char *model_name, *arch;
    char *method, *method_opts;      /* "easy-ep", "name=value,..." */
    char data_digest[65];
    char *domains;                   /* "math, code" */
    int64_t n_tok, n_doc, seed;
    double keep;
    wt_mask mask;                    /* gate mode and, per layer, which experts stay */
};
typedef struct witan_plan wt_plan;

#endif
