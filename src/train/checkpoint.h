/* Checkpoints: one file each, complete or absent. Magic, a header of JSON with the digest of every part, the parts. Reading trusts nothing: lengths
 * against the file, digests against the data, and nothing is changed before all of it is right. */
#ifndef WT_TRAIN_CHECKPOINT_H
#define WT_TRAIN_CHECKPOINT_H

#include "base/ctx.h"

typedef struct wt_checkpoint_part { const char *name; void *data; size_t bytes; } wt_checkpoint_part;

typedef struct wt_checkpoint_facts {
    int64_t step;                /* steps done */
    int64_t best_step;           /* of the best validation so far; 0: none */
    double best_loss;            /* NaN: none */
    char model[65];              /* fingerprint of the model that training began with */
    char data[65];               /* digest of the training data */
} wt_checkpoint_facts;

/* "DIR/checkpoint-00000120.witan"; handed over (wt_free), NULL: no memory. */
char *wt_checkpoint_path(wt_ctx *cx, const char *dir, int64_t step);
/* Steps of all checkpoints in the folder, newest first; handed over. */
wt_status wt_checkpoint_list(wt_ctx *cx, const char *dir, int64_t **step, size_t *n);

wt_status wt_checkpoint_write(wt_ctx *cx, const char *path, const wt_checkpoint_facts *f, const wt_checkpoint_part *part, size_t n_part);
/* Fills f and all parts, or changes nothing. Errors: WT_EFORMAT (damaged, or of another kind), WT_ESHAPE (parts of other sizes), WT_EIO. */
wt_status wt_checkpoint_read(wt_ctx *cx, const char *path, wt_checkpoint_facts *f, const wt_checkpoint_part *part, size_t n_part);
/* Removes all but the two newest up to `step` and the best. Those behind `step`, of a run that went on from an older one, go too. */
wt_status wt_checkpoint_tidy(wt_ctx *cx, const char *dir, int64_t step, int64_t best);

#endif
