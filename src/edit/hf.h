/* Writing a model as a Hugging Face folder: config.json, weights, tokenizer. */
#ifndef WT_EDIT_HF_H
#define WT_EDIT_HF_H

#include "model/model.h"

/* tokenizer.json, tokenizer_config.json and generation_config.json in dir. A vocabulary that cannot be expressed here (SentencePiece, or a splitting rule
 * whose expression is not known) is left out with a warning. */
wt_status wt_hf_vocabulary(wt_ctx *cx, const wt_model *m, const char *dir);

#endif
