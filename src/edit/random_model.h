/* Models of random weights with the true dimensions of known checkpoints. */
#ifndef WT_EDIT_RANDOM_MODEL_H
#define WT_EDIT_RANDOM_MODEL_H

#include "model/shape.h"

extern const wt_dims wt_random_dims[];   /* ends with a row whose name is NULL */

#endif
