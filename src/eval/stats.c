/* Intervals for measured numbers. */
#include "eval/stats.h"

#include <math.h>

static const double z = 1.959963984540054;   /* 97.5 % point of the normal distribution */

void wt_ratio_interval(double n, double a, double b, double aa, double ab, double bb, double *lo, double *hi)
{
    *lo = *hi = NAN;
    if (n < 2 || !(b > 0)) return;
    double r = a / b, rest = aa - 2 * r * ab + r * r * bb;   /* sum of (a_i - r b_i)^2 */
    double se = sqrt((rest > 0 ? rest : 0) * n / (n - 1)) / b;
    *lo = r - z * se;
    *hi = r + z * se;
}

void wt_wilson_interval(double hits, double n, double *lo, double *hi)
{
    *lo = *hi = NAN;
    if (!(n > 0)) return;
    double p = hits / n, d = 1 + z * z / n, mid = (p + z * z / (2 * n)) / d;
    double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d;
    *lo = mid - half > 0 ? mid - half : 0;
    *hi = mid + half < 1 ? mid + half : 1;
}
