/* From scores to a choice: scores of a layer over all domains, how many experts may stay, and which. */
#ifndef WT_EDIT_BUDGET_H
#define WT_EDIT_BUDGET_H

#include "edit/plan.h"
#include "op/method.h"

/* Scores of one layer, [n_exp]. Several domains are mixed as the card easy-ep says (step 5): each domain's scores are divided by their
 * sum and added. r NULL: for methods that need no data. */
wt_status wt_score_layer(wt_ctx *cx, const wt_method *method, const void *opts, const wt_record *r, int32_t layer, int32_t n_exp,
                         int32_t n_used, int64_t seed, double *score);
/* round(keep * n_exp). Fewer than the router chooses: WT_ELIMIT with the smallest legal share. */
wt_status wt_budget_uniform(wt_ctx *cx, int32_t n_exp, int32_t n_used, int32_t layer, double keep, int32_t *n_keep);
/* Keeps the n_keep best; ties to the lower id. */
void wt_keep_best(const double *score, int32_t n_keep, wt_mask_layer *l);

#endif
