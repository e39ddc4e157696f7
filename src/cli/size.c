/* Sizes as people write them. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool cli_size(const char *s, int64_t *bytes)
{
    static const char unit[] = "kMGT";
    char *end;
    double v = strtod(s, &end);
    const char *u = *end ? strchr(unit, *end == 'K' ? 'k' : *end) : NULL;
    if (end == s || !(v > 0)) return false;
    if (u) { v *= pow(1000, (double)(u - unit + 1)); end++; }
    if (*end == 'B') end++;
    if (*end || v > 9e15 || v < 1) return false;
    *bytes = (int64_t)v;
    return true;
}
