/* Configurations of training: the table, JSON files of it, what may differ when a run is resumed. */
#ifndef WT_TRAIN_CONFIG_H
#define WT_TRAIN_CONFIG_H

#include "model/shape.h"

/* The options of the run as JSON, a member for each row of the table but `out` and `resume`, and "witan", the version; ends with a line end. Can be read
 * as a configuration again. Handed over. */
wt_status wt_train_config_text(wt_ctx *cx, const witan_train_options *o, char **text, size_t *n);
/* Refuses a run that is resumed with other options than those in its config.json at path, naming each that changed. How long it goes on, and what is
 * watched, kept and written at the end, may change. WT_EMISMATCH. */
wt_status wt_train_config_same(wt_ctx *cx, const char *path, const witan_train_options *o);
/* What contradicts itself, or is missing. Fills in what follows from the rest (heads of keys and values, width of heads). */
wt_status wt_train_config_check(wt_ctx *cx, witan_train_options *o);
/* The shape of a fresh model, as part of it. */
wt_status wt_train_config_shape(wt_ctx *cx, witan_train_options *o);
/* Cuts "a,b,c" at its commas, in place; *list [n] is handed over and points into text. */
wt_status wt_train_list(wt_ctx *cx, char *text, const char ***list, size_t *n);

#endif
