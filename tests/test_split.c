/* Splitting rules: worked out by hand, against the `regex` package, and in linear time. */
#include "text/split.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

typedef struct pieces { size_t len[4096], n, total; } pieces;

static wt_status collect(void *arg, const char *s, size_t n)
{
    pieces *p = arg;
    (void)s;
    if (p->n < sizeof p->len / sizeof *p->len) p->len[p->n] = n;
    p->n++;
    p->total += n;
    return WITAN_OK;
}

static const wt_split_rule *rule(const char *name)
{
    const wt_split_rule *r = wt_split_find(name, strlen(name));
    if (!r) fail_msg("no rule \"%s\"", name);
    return r;
}

static pieces split(const char *name, const char *text, size_t n)
{
    pieces p = { .n = 0 };
    assert_int_equal(wt_split(rule(name), text, n, collect, &p), WITAN_OK);
    return p;
}

/* ---- by hand -------------------------------------------------------------------------------------------------------- */

/* expected: the pieces, with | between them. */
static void expect(const char *name, const char *text, const char *expected)
{
    pieces p = split(name, text, strlen(text));
    const char *want = expected;
    for (size_t i = 0, at = 0; i < p.n; at += p.len[i++]) {
        size_t k = strcspn(want, "|");
        if (k != p.len[i] || memcmp(want, text + at, k))
            fail_msg("%s, \"%s\": piece %zu is \"%.*s\", expected \"%s\"", name, text, i, (int)p.len[i], text + at, expected);
        want += k + (want[k] == '|');
    }
    if (*want) fail_msg("%s, \"%s\": no piece for \"%s\"", name, text, want);
}

/* Worked out from 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S) */
static void gpt2_text_is_split_as_the_pattern_says(void **state)
{
    (void)state;
    expect("gpt-2", "I'll say it's 42!", "I|'ll| say| it|'s| 42|!");
    expect("gpt-2", "a  b", "a| | b");
    expect("gpt-2", "a \n b", "a| \n| b");
    expect("gpt-2", "a\nb", "a|\n|b");
    expect("gpt-2", "x   ", "x|   ");
    expect("gpt-2", " 's", " '|s");
    expect("gpt-2", "'S 'x", "'|S| '|x");
    expect("gpt-2", "caf\xC3\xA9 \xD0\xBC\xD0\xB8\xD1\x80", "caf\xC3\xA9| \xD0\xBC\xD0\xB8\xD1\x80");
    expect("gpt-2", "\xC2\xBD\xE2\x85\xA3 7", "\xC2\xBD\xE2\x85\xA3| 7");
    expect("gpt-2", "a\xC2\xA0" "b", "a|\xC2\xA0|b");
    expect("gpt-2", "ok\xFF\xFE!x", "ok|\xFF\xFE!|x");
}

static void the_other_rules_differ_where_they_should(void **state)
{
    (void)state;
    expect("starcoder", "in 1984", "in| |1|9|8|4");
    expect("falcon", "$12345 -x", "$|123|45| |-|x");
    expect("llama-bpe", "12345\n\n x's", "123|45|\n\n| x|'s");
    expect("qwen2", "12 (ok)\n", "1|2| (|ok|)\n");
    expect("deepseek-v3", "x=1234 .foo", "x|=|123|4| .|foo");
    expect("deepseek-coder", "def f(x):\n  9", "def| f|(|x|):|\n|  |9");
    expect("deepseek-llm", "F\xC3\xBChrer 42", "F|\xC3\xBC|hrer| |42");
    expect("gpt-4o", "HTTPServer's don'T", "HTTPServer's| don'T");
    expect("gpt-4o", "getHTTP a/b//", "get|HTTP| a|/b|//");
    expect("tekken", "GetHTTPs 12", "Get|HTTPs| |1|2");
    expect("exaone-moe", "one two  three", "one two| | three");
    expect("superbpe", "1234567", "1|234|567");
    expect("afmoe", "x 1234567 a1000", "x| |1|234|567| a|1|000");
    expect("bloom", "a, b (c)", "a|,| b| (|c|)");
    expect("kimi-k2", "ab\xE4\xB8\xAD" "CD", "ab|\xE4\xB8\xAD|CD");
    expect("qwen2", "\xFF\xFE" "a\xC3", "\xFF\xFE|a|\xC3");
}

static void names_of_rules_are_known_once(void **state)
{
    (void)state;
    for (size_t i = 0; wt_split_name(i); i++)
        for (size_t k = 0; k < i; k++)
            if (!strcmp(wt_split_name(i), wt_split_name(k))) fail_msg("%s occurs twice", wt_split_name(i));
    assert_null(wt_split_find("gpt-22", 6));
    assert_null(wt_split_find("", 0));
}

/* ---- against the regex package (tools/oracle/make_splits.py) ---------------------------------------------------------- */

static void check_text(const char *name, size_t i, const char *text, size_t n, const json_t *want)
{
    pieces p = split(name, text, n);
    assert_int_equal(p.total, n);
    for (size_t k = 0, at = 0; k < p.n || k < json_array_size(want); at += p.len[k++]) {
        size_t expected = (size_t)json_integer_value(json_array_get(want, k));
        if (k >= p.n || p.len[k] != expected)
            fail_msg("%s, text %zu, piece %zu at byte %zu: %zu bytes, expected %zu", name, i, k, at, k < p.n ? p.len[k] : 0, expected);
    }
}

static void every_rule_cuts_as_its_pattern_does(void **state)
{
    (void)state;
    json_error_t e;
    json_t *all = json_load_file("tests/gold/splits.json", JSON_ALLOW_NUL, &e), *list;
    if (!all) fail_msg("splits.json: %s", e.text);
    json_t *texts = json_object_get(all, "texts");
    const char *name;
    size_t rules = 0;
    json_object_foreach(json_object_get(all, "rules"), name, list) {
        assert_true(json_array_size(texts) >= 300 && json_array_size(list) == json_array_size(texts));
        for (size_t i = 0; i < json_array_size(list); i++) {
            json_t *text = json_array_get(texts, i);
            check_text(name, i, json_string_value(text), json_string_length(text), json_array_get(list, i));
        }
        rules++;
    }
    assert_int_equal(rules, 23);
    json_decref(all);
}

/* ---- time ------------------------------------------------------------------------------------------------------------- */

/* A lot of one thing, then something that makes every look-ahead fail. */
static void no_rule_takes_quadratic_time(void **state)
{
    (void)state;
    static const char *const unit[] = { " ", "a", "A", "7", "\n", "'", "!", "\t ", "a ", "\xE4\xB8\xAD", "\xCC\x81", "\xCC\x81" "A", " \n", "\xFF",
                                        "7a", "A\xE4\xB8\xAD", "'s" };
    static const char *const end[] = { "", "x", "\xE4\xB8\xAD", "\xC2\xBD" };
    size_t n = 1 << 18;
    char *text = malloc(n + 8);
    clock_t t0 = clock();
    for (size_t u = 0; u < sizeof unit / sizeof *unit; u++) {
        size_t k = strlen(unit[u]), len = n / k * k;
        for (size_t i = 0; i < len; i += k) memcpy(text + i, unit[u], k);
        for (size_t r = 0; wt_split_name(r); r++) {
            const char *tail = end[(u + r) % 4];
            pieces p = { .n = 0 };
            memcpy(text + len, tail, strlen(tail));
            if (r && wt_split_find(wt_split_name(r), strlen(wt_split_name(r))) == rule(wt_split_name(r - 1))) continue;
            assert_int_equal(wt_split(rule(wt_split_name(r)), text, len + strlen(tail), collect, &p), WITAN_OK);
            assert_int_equal(p.total, len + strlen(tail));
            if ((clock() - t0) / CLOCKS_PER_SEC > 60) fail_msg("%s takes too long over %s", wt_split_name(r), unit[u]);
        }
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_text_is_split_as_the_pattern_says), cmocka_unit_test(the_other_rules_differ_where_they_should),
        cmocka_unit_test(names_of_rules_are_known_once), cmocka_unit_test(every_rule_cuts_as_its_pattern_does),
        cmocka_unit_test(no_rule_takes_quadratic_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
