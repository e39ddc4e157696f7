/* Writing safetensors, in one file or several with an index: describe every tensor, then give their data in that order. */
#ifndef WT_TENSOR_SAFETENSORS_H
#define WT_TENSOR_SAFETENSORS_H

#include "base/file.h"
#include "tensor/type.h"

typedef struct wt_st_out wt_st_out;

/* Files go into the folder dir, which exists: model.safetensors, or model-00001-of-0000N.safetensors and model.safetensors.index.json, each of at most
 * `most` bytes of tensors (a larger tensor has its own; 0: one file). Names are given by wt_st_commit, the index's last. */
wt_status wt_st_open(wt_ctx *cx, const char *dir, uint64_t most, wt_st_out **out);
/* type: F32, F16 or BF16. name is copied; no quotes or control characters. shape slowest first. */
wt_status wt_st_add(wt_st_out *o, const char *name, wt_type type, int32_t n_dim, const int64_t *shape);
wt_status wt_st_write(wt_st_out *o, const void *p, size_t n);   /* pieces of any size; a tensor begun must be filled exactly */
wt_status wt_st_commit(wt_st_out **o);      /* also frees; on failure no file that was not there before has its final name */
void wt_st_abort(wt_st_out **o);

#endif
