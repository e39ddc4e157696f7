/* The learning rate of every step, a pure function of the step: nothing of it has to be saved. */
#ifndef WT_TRAIN_SCHEDULE_H
#define WT_TRAIN_SCHEDULE_H

#include "base/ctx.h"

typedef enum wt_schedule_kind { WT_SCHEDULE_CONSTANT, WT_SCHEDULE_COSINE, WT_SCHEDULE_WSD } wt_schedule_kind;

typedef struct wt_schedule {
    int32_t kind;
    double lr;                   /* highest */
    double floor;                /* share of it that is left at the end */
    int64_t steps, warmup, decay;   /* all; of them the first ones rise evenly; wsd: the last ones fall */
} wt_schedule;

/* Of step 1 .. steps; later steps have the last one's.
 * constant: lr. cosine: floor + (1 - floor) (1 + cos(pi (step - 1) / steps)) / 2 of lr (arXiv:1608.03983, eq. 5, one period). wsd: lr, then in the last
 * `decay` steps down to the floor by 1 - sqrt(done / decay) (warmup, stable, decay: arXiv:2404.06395; this form of the decay: arXiv:2405.18392, eq. 1).
 * All are multiplied by min(1, step / warmup). */
double wt_schedule_lr(const wt_schedule *s, int64_t step);

#endif
