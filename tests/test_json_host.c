/* A program that uses libwitan and Jansson side by side, as a user's would: linked with the shared library, through witan.h alone. Loading the
 * library sets Jansson's allocation functions; the program must not notice. */
#include "witan.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char plan[] = "{\"witan_plan\": 0, \"names\": [\"a\", \"bb\", \"ccc\", \"dddd\", \"eeeee\", 1.5, null, {\"x\": []}]}";

/* An allocator that counts its blocks, whose addresses are aligned no better than they must be. */
static size_t n_made, n_live;
enum { BESIDE = 8 };

static void *count_alloc(void *user, size_t n)
{
    (void)user;
    char *p = malloc(n + BESIDE);
    if (!p) return NULL;
    n_made++;
    n_live++;
    return p + BESIDE;
}

static void *count_realloc(void *user, void *p, size_t n)
{
    (void)user;
    char *q = realloc((char *)p - BESIDE, n + BESIDE);
    return q ? q + BESIDE : NULL;
}

static void count_free(void *user, void *p)
{
    (void)user;
    if (!p) return;
    n_live--;
    free((char *)p - BESIDE);
}

/* The library parses: something that is no plan, so that it must also give everything back. */
static void parse(witan_ctx *cx)
{
    witan_plan *p;
    assert_int_equal(witan_plan_parse(cx, plan, sizeof plan - 1, &p), WITAN_EFORMAT);
}

/* Values of every kind and length, printed, read again, and freed with free. */
static void use_jansson(void)
{
    for (int n = 0; n < 200; n++) {
        char text[200] = { 0 }, *dumped, *again;
        memset(text, 'x', (size_t)n % sizeof text);
        json_t *o = json_pack("{s:s, s:[i, f, b, n]}", "text", text, "list", n, 0.5 * n, n % 2), *back;
        assert_non_null(o);
        assert_non_null(dumped = json_dumps(o, JSON_COMPACT));
        assert_non_null(back = json_loads(dumped, 0, NULL));
        assert_non_null(again = json_dumps(back, JSON_COMPACT));
        assert_string_equal(dumped, again);
        json_decref(o);
        json_decref(back);
        free(dumped);
        free(again);
    }
}

static void what_json_dumps_gives_can_be_freed(void **state)
{
    (void)state;
    use_jansson();
    witan_ctx *cx = witan_ctx_new(NULL);
    use_jansson();
    parse(cx);
    use_jansson();
    witan_ctx_free(cx);
    use_jansson();
}

static void the_library_takes_from_its_context_and_the_program_does_not(void **state)
{
    (void)state;
    n_made = n_live = 0;
    witan_ctx *cx = witan_ctx_new(&(witan_config){ .allocator = &(witan_allocator){ count_alloc, count_realloc, count_free, NULL } });
    size_t before = n_made;
    json_t *kept = json_string("made before a call");
    use_jansson();
    assert_int_equal(n_made, before);
    parse(cx);
    assert_true(n_made > before + 10);                 /* each value is a block */
    assert_int_equal(n_live, before);
    before = n_made;
    use_jansson();
    json_decref(kept);
    assert_int_equal(n_made, before);
    witan_ctx_free(cx);
    assert_int_equal(n_live, 0);
}

static void a_program_may_set_jansson_s_functions_itself(void **state)
{
    (void)state;
    json_malloc_t take;
    json_free_t give;
    json_get_alloc_funcs(&take, &give);
    assert_true(take != malloc && give != free);       /* loading the library has set them */
    witan_ctx *cx = witan_ctx_new(NULL);
    json_set_alloc_funcs(malloc, free);
    use_jansson();
    parse(cx);
    use_jansson();
    json_set_alloc_funcs(take, give);
    parse(cx);
    use_jansson();
    witan_ctx_free(cx);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_json_dumps_gives_can_be_freed), cmocka_unit_test(the_library_takes_from_its_context_and_the_program_does_not),
        cmocka_unit_test(a_program_may_set_jansson_s_functions_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
