/* Any bytes as documents in JSON lines, as demonstrations and as questions, with every way of choosing. */
#include "fuzz.h"

#include "base/docs.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz f;
    witan_ctx *cx = fuzz_begin(&f, data, n, false);
    wt_docs d;
    for (int way = 0; way < 4; way++) {
        if (!fuzz_ok(cx, wt_docs_read(cx, FUZZ_FILE, way & 1, way == 2 ? "a" : NULL, way, way == 3 ? 7 : 0, &d))) continue;
        FUZZ_CHECK(d.n > 0, "documents that are read are some");
        for (size_t i = 0; i < d.n; i++) FUZZ_CHECK(strlen(d.doc[i].text) <= d.doc[i].n_text, "text ends where it says");
        wt_docs_free(&d);
    }
    fuzz_end(&f, cx);
    return 0;
}
