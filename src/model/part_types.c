/* Block types of the parts of a model. */
#include "model/part_types.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static wt_status parse_type(wt_ctx *cx, const char *option, const char *text, int32_t *type)
{
    char known[256] = "";
    size_t at = 0;
    *type = -1;
    if (!text || !strcmp(text, "same")) return WITAN_OK;
    for (uint32_t i = 0; i < WT_N_TYPE; i++) {
        const wt_type_info *t = wt_type_get(i);
        if (!t->pack) continue;
        if (!strcasecmp(t->name, text)) { *type = (int32_t)i; return WITAN_OK; }
        at += (size_t)snprintf(known + at, sizeof known - at, "%s, ", t->name);
    }
    return wt_fail(cx, WT_EARG, "%s: block type \"%s\" cannot be written; expected %sor same", option, text, known);
}

static double bits(int32_t type) { return type < 0 ? 32 : 8.0 * wt_type_get((uint32_t)type)->bytes / wt_type_get((uint32_t)type)->block; }

/* The head decides every token, so below six bits it gets six unless it is asked for; the embedding too where it is the head as well. */
wt_status wt_part_types(wt_ctx *cx, const witan_convert_options *o, bool tied, int32_t type[WT_N_PART])
{
    int32_t all, part;
    const struct { const char *option, *text; wt_part part; } over[] = {
        { "experts", o->experts, WT_PART_EXPERT }, { "shared", o->shared, WT_PART_SHARED }, { "attention", o->attention, WT_PART_ATTENTION },
        { "embed", o->embed, WT_PART_EMBED }, { "head", o->head, WT_PART_HEAD } };
    WT_TRY(parse_type(cx, "type", o->type, &all));
    for (int i = 0; i < WT_N_PART; i++) type[i] = all;
    type[WT_PART_ROUTER] = type[WT_PART_NORM] = type[WT_PART_ROPE] = -1;
    if (bits(all) < 6) type[tied ? WT_PART_EMBED : WT_PART_HEAD] = WT_Q6_K;
    for (size_t i = 0; i < sizeof over / sizeof *over; i++) {
        WT_TRY(parse_type(cx, over[i].option, over[i].text, &part));
        if (over[i].text) type[over[i].part] = part;
    }
    return WITAN_OK;
}

wt_type wt_type_that_fits(wt_type type, int64_t row)
{
    static const struct { wt_type type, instead; } other[] = {
        { WT_Q2_K, WT_Q4_0 }, { WT_Q3_K, WT_Q4_0 }, { WT_IQ4_XS, WT_IQ4_NL }, { WT_Q4_K, WT_Q5_0 }, { WT_Q5_K, WT_Q5_1 }, { WT_Q6_K, WT_Q8_0 } };
    for (size_t i = 0; row % wt_type_get(type)->block && i < sizeof other / sizeof *other; i++)
        if (other[i].type == type) type = other[i].instead;
    if (!wt_type_get(type)->pack) type = WT_Q8_0;
    return row % wt_type_get(type)->block ? WT_F16 : type;
}

int32_t wt_file_type(int32_t type)
{
    static const struct { int32_t type, number; } known[] = {
        { WT_F32, 0 }, { WT_F16, 1 }, { WT_Q4_0, 2 }, { WT_Q4_1, 3 }, { WT_Q8_0, 7 }, { WT_Q5_0, 8 }, { WT_Q5_1, 9 }, { WT_Q2_K, 10 }, { WT_Q3_K, 11 },
        { WT_Q4_K, 14 }, { WT_Q5_K, 16 }, { WT_Q6_K, 18 }, { WT_IQ4_NL, 25 }, { WT_IQ4_XS, 30 }, { WT_BF16, 32 }, { WT_MXFP4, 38 } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) if (known[i].type == type) return known[i].number;
    return -1;
}
