/* The smallest models there can be, one of each family and layout: two layers, two experts, eight tokens, rows of eight values, headers of
 * less than 3 KB. For crafted files and fuzzing, where every byte of a file is tried. Values are a fixed pattern. */
#ifndef TEST_MINI_H
#define TEST_MINI_H

#include "tensor/gguf.h"

enum { MINI_LAYERS = 2, MINI_EXPERTS = 2, MINI_VOCAB = 8 };

typedef enum mini_layout { MINI_STACKED, MINI_JOINED, MINI_SEPARATE, MINI_DENSE } mini_layout;

typedef struct mini {
    const char *name, *arch;
    const char *scaling;                       /* of rope, NULL: none */
    mini_layout layout;                        /* of the experts */
    bool norm_full, norm_head, bias, shared, tied;
    int32_t width;
    wt_type type;                              /* of matrices whose rows are whole blocks (and groups), else F16 */
} mini;

extern const mini minis[];                     /* the last has no name; the first is an olmoe in F32 */

/* Writes it to path; in several files if split is not 0 (see wt_gguf_out_split). first: NULL, or takes the name of the first file
 * (handed over, wt_free). */
wt_status mini_write(wt_ctx *cx, const mini *m, const char *path, uint64_t split, char **first);
wt_status mini_vocabulary(wt_gguf_out *o);     /* only its keys */

#endif
