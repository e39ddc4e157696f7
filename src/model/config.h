/* Reading a model's family and configuration from GGUF metadata. */
#ifndef WT_MODEL_CONFIG_H
#define WT_MODEL_CONFIG_H

#include "model/model.h"

/* The family that general.architecture names; WT_EUNSUPPORTED lists those that witan knows. */
wt_status wt_config_arch(wt_ctx *cx, const wt_gguf *g, const wt_arch **arch);
/* Fills all of c but n_vocab and d_ff_exp, which tensors tell. c->rope_freq is handed over, also after an error. */
wt_status wt_config_read(wt_ctx *cx, const wt_gguf *g, const wt_arch *arch, wt_config *c);
/* The frequencies of rope: base, factors of the file, linear or YaRN scaling. Part of wt_config_read. */
wt_status wt_config_rope(wt_ctx *cx, const wt_gguf *g, const wt_arch *arch, wt_config *c);

#endif
