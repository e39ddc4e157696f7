/* A tiny random olmoe checkpoint written by our own GGUF writer: for tests of files, faults and edits, where numbers need no oracle. */
#ifndef TEST_TINY_H
#define TEST_TINY_H

#include "tensor/gguf.h"

enum { TINY_LAYERS = 2, TINY_WIDTH = 32, TINY_EXPERTS = 8, TINY_USED = 2, TINY_FF = 32, TINY_VOCAB = 257 };

/* Writes it to path with expert tensors of the given type. Same seed, same bytes. */
wt_status tiny_write(wt_ctx *cx, const char *path, wt_type expert_type, uint64_t seed);
/* Four demonstrations, three lines of domain "a" and one of "b". */
void tiny_demos(const char *path);

#endif
