/* Any bytes as a GGUF file, or as the two files of a split model: describe it, open it as a model, feed two tokens, write it anew. */
#include "fuzz.h"

#include "base/json.h"
#include <string.h>

static void feed(witan_ctx *cx, const witan_model *m)
{
    witan_session *s;
    const witan_model_info *info = witan_model_get_info(m);
    int32_t ids[2] = { 0, info->n_vocab - 1 };
    if (!fuzz_ok(cx, witan_session_new(cx, m, &(witan_session_options){ .n_ctx = 4 }, &s))) return;
    if (fuzz_ok(cx, witan_feed(s, 0, ids, 2))) FUZZ_CHECK(witan_logits(s, 0), "a feed leaves logits");
    FUZZ_CHECK(witan_feed(s, 0, (int32_t[]){ info->n_vocab }, 1) == WITAN_EARG, "an id outside the vocabulary is refused");
    witan_session_free(s);
}

static void text(witan_ctx *cx, const witan_model *m)
{
    int32_t *ids;
    size_t n, len;
    char *s;
    if (!fuzz_ok(cx, witan_tokenize(cx, m, "a b<|end|>\xFF", 11, WITAN_TOK_BEGIN | WITAN_TOK_SPECIAL, &ids, &n))) return;
    if (fuzz_ok(cx, witan_detokenize(cx, m, ids, n, false, &s, &len))) witan_free(cx, s);
    witan_free(cx, ids);
}

/* JSON, whatever the file holds: also numbers beyond 63 bits and text with NUL. */
static void describe(witan_ctx *cx)
{
    char *json;
    if (!fuzz_ok(cx, witan_inspect(cx, FUZZ_FILE, &json))) return;
    json_t *o = json_loadb(json, strlen(json), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    FUZZ_CHECK(o, "a description is JSON");
    json_decref(o);
    witan_free(cx, json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz f;
    witan_ctx *cx = fuzz_begin(&f, data, n, true);
    witan_model *m;
    witan_convert_result r;
    describe(cx);
    if (fuzz_ok(cx, witan_model_open(cx, FUZZ_FILE, &(witan_model_options){ .resident = n & 1 }, &m))) {
        feed(cx, m);
        text(cx, m);
        witan_model_free(m);
    }
    if (fuzz_ok(cx, witan_convert(cx, FUZZ_FILE, "out", &(witan_convert_options){ .type = n & 2 ? "Q8_0" : "F16", .repack = n & 4 }, &r))) witan_free(cx, r.first);
    fuzz_end(&f, cx);
    return 0;
}
