/* Which experts a layer may use: a plan that is worn. The first filter of the route pipeline. */
#ifndef WT_MOE_MASK_H
#define WT_MOE_MASK_H

#include "base/ctx.h"

typedef struct wt_mask_layer { int32_t n_exp, n_keep; uint8_t *keep; /* [n_exp] 0/1 */ } wt_mask_layer;
typedef struct wt_mask { witan_gate gate; int32_t n_layer; wt_mask_layer *layer; } wt_mask;

wt_status wt_mask_init(wt_ctx *cx, wt_mask *m, int32_t n_layer, const int32_t *n_exp);   /* everything kept */
void wt_mask_free(wt_ctx *cx, wt_mask *m);

/* The mask inside a plan, owned by it. Plans are made and defined above this layer (edit/plan.c); here they are only worn. */
const wt_mask *wt_plan_mask(const witan_plan *p);

#endif
