/* Provenance: every file that witan writes from another says what was done to which parent. */
#ifndef WT_MODEL_HISTORY_H
#define WT_MODEL_HISTORY_H

#include "tensor/gguf.h"

/* Begins an entry of witan.history, {"op":...,"witan":...,"parent":fingerprint (unless that is ""), and "command" if there is one; the caller appends members
 * (each beginning with a comma) and calls wt_history_end, which closes it, copies the parent's entries and adds it. entry is freed. */
void wt_history_begin(wt_text *entry, wt_ctx *cx, const char *op, const char *fingerprint, const char *command);
void wt_history_str(wt_text *entry, const char *key, const char *v);    /* ,"key":"v" */
wt_status wt_history_end(wt_text *entry, wt_gguf_out *out, const wt_gguf *parent);   /* parent NULL: nothing was there before */

#endif
