/* Learning rates. */
#include "train/schedule.h"

#include <math.h>

double wt_schedule_lr(const wt_schedule *s, int64_t step)
{
    double share = 1, rise = s->warmup > 0 ? fmin(1, (double)step / (double)s->warmup) : 1;
    if (step > s->steps) step = s->steps;
    int64_t falling = step - (s->steps - s->decay);      /* 1 in the first step of the decay */
    if (s->kind == WT_SCHEDULE_COSINE && s->steps > 0) share = (1 + cos(M_PI * (double)(step - 1) / (double)s->steps)) / 2;
    if (s->kind == WT_SCHEDULE_WSD && s->decay > 0 && falling > 0) share = 1 - sqrt((double)falling / (double)s->decay);
    return s->lr * rise * (s->floor + (1 - s->floor) * share);
}
