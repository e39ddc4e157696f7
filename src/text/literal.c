/* Tokens that are found in text as they stand: added tokens of a user, control tokens. They lie sorted, and a search narrows the range
 * of those that agree with the text byte by byte, so thousands of tokens that begin alike cost no more than their common part. */
#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1024 };   /* longer ones are not looked for: this bounds the work at each byte of a text, whatever the file says */

static size_t length(const wt_vocab *v, int32_t id) { return v->at[id + 1] - v->at[id]; }

static int by_bytes(const void *a, const void *b, void *vocab)
{
    const wt_vocab *v = vocab;
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    size_t n = length(v, i), m = length(v, j);
    int c = memcmp(v->bytes + v->at[i], v->bytes + v->at[j], n < m ? n : m);
    return c ? c : n != m ? (n > m) - (n < m) : (i > j) - (i < j);
}

static bool looked_for(const wt_vocab *v, int32_t id)
{
    return wt_vocab_literal(v, id) && length(v, id) > 0 && length(v, id) <= LONGEST;
}

wt_status wt_literal_index(wt_vocab *v)
{
    size_t n = 0;
    for (int32_t i = 0; i < v->n; i++) n += looked_for(v, i);
    v->literal = wt_alloc(v->cx, n, sizeof *v->literal);
    if (!v->literal) return WT_ENOMEM;
    for (int32_t i = 0; i < v->n; i++)
        if (looked_for(v, i)) {
            v->literal[v->n_literal++] = i;
            v->first[(uint8_t)v->bytes[v->at[i]] + 1]++;
        }
    for (int b = 0; b < 256; b++) v->first[b + 1] += v->first[b];
    qsort_r(v->literal, n, sizeof *v->literal, by_bytes, v);
    return WITAN_OK;
}

/* The first place in [lo, hi) whose token has at least `want` as its byte at depth d; all there agree before d and are longer. */
static int32_t lower(const wt_vocab *v, int32_t lo, int32_t hi, size_t d, int want)
{
    while (lo < hi) {
        int32_t mid = lo + (hi - lo) / 2;
        if ((uint8_t)v->bytes[v->at[v->literal[mid]] + d] < want) lo = mid + 1; else hi = mid;
    }
    return lo;
}

int32_t wt_literal_at(const wt_vocab *v, const char *s, size_t n, bool special, size_t *len)
{
    int32_t best = -1, lo = v->first[(uint8_t)*s], hi = v->first[(uint8_t)*s + 1];
    for (size_t d = 1; lo < hi; d++) {
        int32_t here = -1;
        for (; lo < hi && length(v, v->literal[lo]) == d; lo++)
            if (here < 0 && (special || !wt_vocab_special(v, v->literal[lo]))) here = v->literal[lo];
        if (here >= 0) { best = here; *len = d; }
        if (d == n) break;
        int byte = (uint8_t)s[d];
        lo = lower(v, lo, hi, d, byte);
        hi = lower(v, lo, hi, d, byte + 1);
    }
    return best;
}

bool wt_vocab_strips(const wt_vocab *v, int32_t id)
{
    static const char *const plain[] = { "<s>", "<unk>", "<|endoftext|>" };
    for (size_t i = 0; v->strip_right && i < sizeof plain / sizeof *plain; i++)
        if (length(v, id) == strlen(plain[i]) && !memcmp(v->bytes + v->at[id], plain[i], strlen(plain[i]))) return false;
    return v->strip_right;
}
