/* Intervals for measured numbers. */
#ifndef WT_EVAL_STATS_H
#define WT_EVAL_STATS_H

/* 95 % interval of a ratio of sums, sum a / sum b over n units (documents), by the delta method: a and b are the sums, aa, ab, bb
 * the sums of a_i^2, a_i b_i, b_i^2. Fewer than two units: lo and hi are NaN. */
void wt_ratio_interval(double n, double a, double b, double aa, double ab, double bb, double *lo, double *hi);

/* 95 % interval of a proportion (Wilson, "Probable inference, the law of succession, and statistical inference", 1927). n = 0: NaN. */
void wt_wilson_interval(double hits, double n, double *lo, double *hi);

#endif
