/* Which block type the tensors of each part of a model get: one rule for converting and for making models. */
#ifndef WT_MODEL_PART_TYPES_H
#define WT_MODEL_PART_TYPES_H

#include "model/role.h"
#include "tensor/type.h"

/* type[part] for every part, -1: as it is. tied: the embedding is the head too. Errors: WT_EARG naming option and legal types. */
wt_status wt_part_types(wt_ctx *cx, const witan_convert_options *o, bool tied, int32_t type[WT_N_PART]);
/* The wanted type, or one of about the same size where a row of so many values is not whole blocks of it. */
wt_type wt_type_that_fits(wt_type wanted, int64_t row);
/* The number that general.file_type uses for a file mostly of this type; -1: there is none. */
int32_t wt_file_type(int32_t type);

#endif
