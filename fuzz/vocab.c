/* Any bytes as a vocabulary: as a GGUF file where they begin like one, else as a description (vocabulary.h). One that opens must take any
 * text and give back text for every id. */
#include "vocabulary.h"

#include <string.h>

static void use(witan_ctx *cx, const witan_model *m)
{
    static const char *const text[] = { "the aaaaaaaaaaaaaaaaa", "a b\n\n  c'll 123456 \xC3\xA9\xF0\x9F\x98\x80", "<|end|> <s><tool>x", "\xFF\xC3(\x80 \xE5\xAD" };
    const witan_model_info *info = witan_model_get_info(m);
    int32_t *ids, id;
    size_t n, len;
    char *s;
    FUZZ_CHECK(info->n_vocab > 0 && info->bos < info->n_vocab && info->eos < info->n_vocab, "special ids are in the vocabulary");
    for (int i = 0; i < 4; i++)
        for (int flags = 0; flags < 16; flags++) {
            if (!fuzz_ok(cx, witan_tokenize(cx, m, text[i], strlen(text[i]), flags, &ids, &n))) continue;
            for (size_t k = 0; k < n; k++) FUZZ_CHECK(ids[k] >= 0 && ids[k] < info->n_vocab, "tokens are in the vocabulary");
            FUZZ_CHECK(witan_detokenize(cx, m, ids, n, flags & 1, &s, &len) == WITAN_OK, "tokens have text");
            witan_free(cx, s);
            witan_free(cx, ids);
        }
    for (id = 0; id < info->n_vocab && id < 2000; id++) {
        FUZZ_CHECK(witan_detokenize(cx, m, &id, 1, false, &s, &len) == WITAN_OK, "every token has text");
        witan_free(cx, s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz f;
    witan_ctx *cx = fuzz_begin(&f, data, n, false);
    bool file = n >= 4 && !memcmp(data, "GGUF", 4);
    witan_model *m;
    if (!file) FUZZ_CHECK(fuzz_vocabulary_describe(cx, (const char *)data, n, "new") == WITAN_OK, "a description is written");
    if (fuzz_ok(cx, witan_vocab_open(cx, file ? FUZZ_FILE : "out", NULL, &m))) {
        use(cx, m);
        witan_model_free(m);
    }
    fuzz_end(&f, cx);
    return 0;
}
