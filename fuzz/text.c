/* Any bytes as text for each of a set of vocabularies: first byte which, second how. Byte-level ones give every text back. */
#include "vocabulary.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 128 };
static witan_model *vocabulary[MOST];
static const char *not_back[MOST];
static size_t n_vocabulary;

/* Opened once, in a context of their own that lives as long as the process. */
static void open_all(void)
{
    static fuzz f;
    static witan_ctx *cx;
    fuzz_vocabulary v;
    if (cx) return;
    cx = fuzz_begin(&f, (const uint8_t *)"", 0, false);
    for (size_t i = 0; fuzz_vocabulary_get(i, &v); i++) {
        FUZZ_CHECK(i < MOST && fuzz_vocabulary_write(cx, &v, "new") == WITAN_OK, "a vocabulary is written");
        FUZZ_CHECK(witan_vocab_open(cx, "out", NULL, vocabulary + i) == WITAN_OK, "a fixed vocabulary opens");
        not_back[i] = v.not_back;
        n_vocabulary = i + 1;
        free(f.out);
        f.out = NULL;                             /* what is mapped is a copy */
        f.n_out = f.cap_out = 0;
    }
}

static void there_and_back(witan_ctx *cx, const witan_model *m, const char *text, size_t n, int flags, bool exact)
{
    int32_t *ids, n_vocab = witan_model_get_info(m)->n_vocab;
    size_t k, len;
    char *back;
    FUZZ_CHECK(witan_tokenize(cx, m, text, n, flags, &ids, &k) == WITAN_OK, "any text has tokens");
    for (size_t i = 0; i < k; i++) FUZZ_CHECK(ids[i] >= 0 && ids[i] < n_vocab, "tokens are in the vocabulary");
    bool begin = flags & WITAN_TOK_BEGIN && witan_model_get_info(m)->bos >= 0;
    FUZZ_CHECK(!begin || (k && ids[0] == witan_model_get_info(m)->bos), "the begin token stands first");
    FUZZ_CHECK(witan_detokenize(cx, m, ids + begin, k - begin, false, &back, &len) == WITAN_OK, "tokens have text");
    FUZZ_CHECK(!exact || (len == n && !memcmp(back, text, n)), "the text comes back");
    witan_free(cx, back);
    FUZZ_CHECK(witan_detokenize(cx, m, ids, k, true, &back, &len) == WITAN_OK, "tokens have text without the special ones");
    witan_free(cx, back);
    witan_free(cx, ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) return 0;
    open_all();
    fuzz f;
    witan_ctx *cx = fuzz_begin(&f, data, n, false);
    size_t which = data[0] % n_vocabulary;
    int flags = data[1] & (WITAN_TOK_SPECIAL | WITAN_TOK_BEGIN);
    char *text = malloc(n - 2 ? n - 2 : 1);       /* of exactly the right size */
    if (!text) abort();
    memcpy(text, data + 2, n - 2);
    const char *other = not_back[which];
    there_and_back(cx, vocabulary[which], text, n - 2, flags, !other || !memmem(text, n - 2, other, strlen(other)));
    FUZZ_CHECK(witan_utf8_check(text, n - 2) <= n - 2, "the first bad byte is in the text");
    free(text);
    fuzz_end(&f, cx);
    return 0;
}
