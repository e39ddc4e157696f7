/* What the route pipeline needs for training; part of wt_route_run. */
#ifndef WT_MOE_ROUTER_BACK_H
#define WT_MOE_ROUTER_BACK_H

#include "moe/router.h"

/* Puts the pipeline on the tape. place [pairs of rt->all]: where filters left each pair in rt, -1: dropped; NULL where there were no filters. */
wt_status wt_route_record(wt_run *r, const wt_route_spec *spec, wt_route *rt, const int32_t *place, const wt_tensor *logit, const wt_tensor *prob);
/* The choices of the layer that is being computed, kept by the tape; and the same again, into an empty route. */
wt_status wt_route_keep_choice(wt_run *r, const wt_route *rt);
void wt_route_take_choice(const wt_run *r, wt_route *rt);
void wt_route_count(const wt_route *rt, int64_t *count);      /* adds the pairs of each expert */

#endif
