/* Any bytes as a calibration record. One that is read can be written, read again and merged. */
#include "fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Written, read, written: the same bytes. */
static void again(witan_ctx *cx, fuzz *f, witan_record *r)
{
    witan_record *q;
    FUZZ_CHECK(witan_record_save(cx, r, "new") == WITAN_OK, "a record is written");
    size_t n = f->n_out;
    char *first = malloc(n);
    if (!first) abort();
    memcpy(first, f->out, n);
    FUZZ_CHECK(witan_record_load(cx, "out", &q) == WITAN_OK, "a written record reads");
    FUZZ_CHECK(witan_record_save(cx, q, "new") == WITAN_OK && f->n_out == n && !memcmp(f->out, first, n), "and writes the same");
    free(first);
    fuzz_ok(cx, witan_record_merge(cx, q, r));
    witan_record_free(q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz f;
    witan_ctx *cx = fuzz_begin(&f, data, n, false);
    witan_record *r;
    if (fuzz_ok(cx, witan_record_load(cx, FUZZ_FILE, &r))) {
        size_t k = witan_record_domains(r);
        for (size_t d = 0; d < k; d++) {
            FUZZ_CHECK(witan_record_domain(r, d) && witan_record_tokens(r, d) >= 0, "every domain has a name and a count");
            witan_record_get(r, d, 0, 0, "easy_ep");
        }
        FUZZ_CHECK(isnan(witan_record_get(r, k, 0, 0, "n")) && isnan(witan_record_get(r, 0, 0, 1 << 20, "n")), "there is nothing outside");
        again(cx, &f, r);
        witan_record_free(r);
    }
    fuzz_end(&f, cx);
    return 0;
}
