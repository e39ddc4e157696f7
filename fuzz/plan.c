/* Any bytes as a plan. One that is read prints, and what it prints reads and prints the same. */
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz f;
    witan_ctx *cx = fuzz_begin(&f, data, n, false);
    witan_plan *p, *q;
    char *first, *second;
    if (fuzz_ok(cx, witan_plan_parse(cx, (const char *)data, n, &p))) {
        FUZZ_CHECK(witan_plan_count(p, 0) >= 0 && witan_plan_count(p, -1) == -1, "a plan has layers");
        FUZZ_CHECK(!witan_plan_keeps(p, 0, -1) && !witan_plan_keeps(p, 1 << 20, 0), "nothing is kept outside");
        FUZZ_CHECK(witan_plan_json(cx, p, &first) == WITAN_OK, "a plan prints");
        FUZZ_CHECK(witan_plan_parse(cx, first, strlen(first), &q) == WITAN_OK, "a printed plan reads");
        FUZZ_CHECK(witan_plan_json(cx, q, &second) == WITAN_OK && !strcmp(first, second), "and prints the same");
        witan_free(cx, first);
        witan_free(cx, second);
        witan_plan_free(p);
        witan_plan_free(q);
    }
    fuzz_end(&f, cx);
    return 0;
}
