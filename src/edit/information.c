/* What a calibration record says about specialisation: how much the choice of experts tells about the domain. */
#include "edit/record.h"

#include <math.h>
#include <stdlib.h>

static double choices(const wt_record_layer *l)
{
    double n = 0;
    for (int32_t e = 0; e < l->n_exp; e++) n += l->sum[e].n;
    return n;
}

double witan_record_information(const wt_record *r, int32_t layer)
{
    if (layer < 0 || layer >= r->n_layer || !r->n_exp[layer]) return NAN;
    double all = 0, sum = 0;
    for (size_t d = 0; d < r->n_domain; d++) all += choices(r->domain[d]->layer + layer);
    for (int32_t e = 0; e < r->n_exp[layer]; e++) {
        double of_expert = 0;
        for (size_t d = 0; d < r->n_domain; d++) of_expert += r->domain[d]->layer[layer].sum[e].n;
        for (size_t d = 0; d < r->n_domain; d++) {
            const wt_record_layer *l = r->domain[d]->layer + layer;
            double n = l->sum[e].n;
            if (n > 0) sum += n / all * log(n * all / (choices(l) * of_expert));
        }
    }
    return all > 0 ? sum : NAN;
}

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

double witan_record_spread(const wt_record *r, size_t domain, double share)
{
    double total = 0;
    int32_t layers = 0;
    if (domain >= r->n_domain) return NAN;
    for (int32_t i = 0; i < r->n_layer; i++) {
        const wt_record_layer *l = r->domain[domain]->layer + i;
        if (!l->n_exp) continue;
        double *n = wt_alloc(r->cx, (size_t)l->n_exp, sizeof *n), want = share * choices(l), got = 0;
        if (!n) return NAN;
        for (int32_t e = 0; e < l->n_exp; e++) n[e] = l->sum[e].n;
        qsort(n, (size_t)l->n_exp, sizeof *n, falling);
        for (int32_t e = 0; e < l->n_exp && got < want; e++, total++) got += n[e];
        wt_free(r->cx, n);
        layers++;
    }
    return layers ? total / layers : NAN;
}
