/* The ground floor: options, text, arena, threads, documents, files. */
#include "base/arena.h"
#include "base/docs.h"
#include "base/file.h"
#include "base/json.h"
#include "base/option.h"
#include "base/thread.h"
#include "fault.h"

#include <locale.h>
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static witan_ctx *cx;
static fault f;
static int set_up(void **state) { (void)state; f = (fault){ 0 }; cx = fault_ctx(&f); return !cx; }
static int tear_down(void **state) { (void)state; witan_ctx_free(cx); return f.live != 0; }
static int all_done(void **state) { (void)state; fault_folder_free(); return 0; }

/* ---- options -------------------------------------------------------------------------------------------------------- */

static const char *const colours[] = { "red", "light-green", NULL };
typedef struct opts { float ratio; double rate; int32_t n_item; int64_t big; bool flag; const char *text; int32_t colour; } opts;
static const wt_param table[] = {
    WT_NUM(opts, ratio, 0.25, 0, 1, "r"), WT_NUM(opts, rate, 1e-3, 1e-9, 1, "r"), WT_NUM(opts, n_item, 3, -2, 100000, "n"),
    WT_NUM(opts, big, 5, 0, 1e15, "b"), WT_FLAG(opts, flag, "f"), WT_TEXT(opts, text, "default", "T", "t"), WT_CHOICE(opts, colour, 1, colours, "c"), { 0 }
};

static void options_have_defaults_and_are_set_by_either_spelling(void **state)
{
    (void)state;
    opts o;
    witan_opt_defaults(table, &o);
    assert_true(o.ratio == 0.25f && o.rate == 1e-3 && o.n_item == 3 && o.big == 5 && !o.flag && !strcmp(o.text, "default") && o.colour == 1);
    assert_int_equal(witan_opt_set(cx, table, &o, "n-item", "64K"), WITAN_OK);
    assert_int_equal(o.n_item, 64000);
    assert_int_equal(witan_opt_set(cx, table, &o, "n_item", "2Ki"), WITAN_OK);
    assert_int_equal(o.n_item, 2048);
    assert_int_equal(witan_opt_set(cx, table, &o, "colour", "light_green"), WITAN_OK);
    assert_int_equal(witan_opt_set(cx, table, &o, "flag", ""), WITAN_OK);
    assert_true(o.flag);
    assert_int_equal(wt_opt_parse(cx, table, &o, "ratio=0.5,flag=false,big=7G"), WITAN_OK);
    assert_true(o.ratio == 0.5f && !o.flag && o.big == 7000000000);
}

static void wrong_values_are_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct { const char *name, *value, *say; } bad[] = {
        { "ratio", "1.5", "[0, 1]" }, { "ratio", "nan", "not a number" }, { "ratio", "inf", "not a number" }, { "ratio", "0.5x", "not a number" }, { "ratio", "", "not a number" },
        { "n-item", "1.5", "whole number" }, { "n-item", "999999", "outside" }, { "n-item", "-3", "outside" }, { "big", "99999999999999999999", "outside" },
        { "big", "9999999999G", "whole number" }, { "flag", "perhaps", "true or false" }, { "colour", "blue", "red, light-green" }, { "colour", "rde", "did you mean \"red\"" }, { "rtio", "1", "did you mean \"ratio\"" },
        { "zzzzzz", "1", "unknown option" } };
    opts o;
    witan_opt_defaults(table, &o);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(witan_opt_set(cx, table, &o, bad[i].name, bad[i].value), WITAN_EARG);
        if (!strstr(witan_error(cx), bad[i].say)) fail_msg("%s=%s: \"%s\" does not say \"%s\"", bad[i].name, bad[i].value, witan_error(cx), bad[i].say);
    }
    assert_int_equal(wt_opt_parse(cx, table, &o, "text=abc"), WITAN_EARG);
    assert_true(o.ratio == 0.25f && o.n_item == 3);
}

static void numbers_do_not_depend_on_the_locale(void **state)
{
    (void)state;
    opts o;
    char buf[64];
    const char *comma = setlocale(LC_NUMERIC, "de_DE.UTF-8");
    witan_opt_defaults(table, &o);
    assert_int_equal(witan_opt_set(cx, table, &o, "rate", "0.125"), WITAN_OK);
    assert_true(o.rate == 0.125);
    witan_opt_text(witan_opt_find(table, "rate"), &o, buf, sizeof buf);
    assert_string_equal(buf, "0.125");
    if (comma) setlocale(LC_NUMERIC, "C");
    const double v[] = { 0.1, 1.0 / 3, 1e-9, 0.999999999, 1 };
    for (size_t i = 0; i < 5; i++) {
        o.rate = v[i];
        witan_opt_text(witan_opt_find(table, "rate"), &o, buf, sizeof buf);
        o.rate = 0.5;
        assert_int_equal(witan_opt_set(cx, table, &o, "rate", buf), WITAN_OK);
        assert_true(o.rate == v[i]);
    }
}

/* ---- memory and text ------------------------------------------------------------------------------------------------ */

static void an_arena_gives_aligned_memory_and_reuses_its_blocks(void **state)
{
    (void)state;
    wt_arena a;
    wt_arena_init(&a, cx, 1000);
    long before = 0;
    for (int round = 0; round < 5; round++) {
        wt_mark m = wt_mark_set(&a);
        char *p[40];
        for (int i = 0; i < 40; i++) {
            p[i] = wt_take(&a, (size_t)(i * 37 % 500) + (i == 20 ? 5000 : 0));
            assert_true((uintptr_t)p[i] % 64 == 0);
            memset(p[i], i, (size_t)(i * 37 % 500));
        }
        for (int i = 0; i < 40; i++) for (int k = 0; k < i * 37 % 500; k++) assert_int_equal(p[i][k], i);
        wt_rewind(&a, m);
        if (round == 0) before = f.count[FAULT_ALLOC];
    }
    assert_int_equal(f.count[FAULT_ALLOC], before);
    assert_null(wt_take_n(&a, SIZE_MAX / 2, 16));
    wt_arena_free(&a);
}

static void messages_stay_on_one_line(void **state)
{
    (void)state;
    wt_fail(cx, WT_EARG, "%s: bad\x1b[31m", "file\nname\r\x01");
    for (const char *c = witan_error(cx); *c; c++) assert_true((unsigned char)*c >= 32);
    wt_fail(cx, WT_EARG, "again: %s", witan_error(cx));                 /* the old message as an argument */
    assert_non_null(strstr(witan_error(cx), "again: file"));
    assert_null(wt_alloc(cx, SIZE_MAX, 2));
    assert_non_null(strstr(witan_error(cx), "out of memory"));
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    wt_text t;
    char *s;
    wt_text_init(&t, cx);
    wt_text_json(&t, "a\"b\\c\n\x01\xC3\xA9\xFF", 10);
    wt_text_num(&t, 0.1);
    wt_text_num(&t, NAN);
    assert_int_equal(wt_text_take(&t, &s, NULL), WITAN_OK);
    assert_string_equal(s, "\"a\\\"b\\\\c\\n\\u0001\xC3\xA9\\ufffd\"0.10000000000000001null");
    wt_free(cx, s);
    json_t *v;
    assert_int_equal(wt_json_parse(cx, "{\"a\":1,\"a\":2}", 13, "here", &v), WITAN_EFORMAT);
    char deep[2000];
    memset(deep, '[', sizeof deep);
    assert_int_equal(wt_json_parse(cx, deep, sizeof deep, "here", &v), WITAN_EFORMAT);
    memset(deep + 300, ']', 300);
    assert_int_equal(wt_json_parse(cx, deep, 600, "here", &v), WITAN_EFORMAT);
    assert_int_equal(witan_utf8_check("ab\xC3\xA9", 4), 4);
    assert_int_equal(witan_utf8_check("ab\xC3", 3), 2);
    assert_int_equal(witan_utf8_check("\xED\xA0\x80", 3), 0);
}

/* ---- threads -------------------------------------------------------------------------------------------------------- */

typedef struct cells { int32_t hit[10007]; int worst; } cells;
static void mark(void *arg, size_t begin, size_t end, int worker)
{
    cells *c = arg;
    for (size_t i = begin; i < end; i++) c->hit[i]++;
    if (worker > c->worst) c->worst = worker;
}

static void count_processors(void *arg, size_t begin, size_t end, int worker)
{
    cpu_set_t may;
    (void)begin;
    (void)end;
    if (!sched_getaffinity(0, sizeof may, &may)) ((int *)arg)[worker] = CPU_COUNT(&may);
    usleep(20000);                                                           /* so that the other one gets its share */
}

static void pinned_threads_stay_on_one_processor_and_the_caller_is_set_free(void **state)
{
    (void)state;
    cpu_set_t before, after;
    int n[2] = { 0 }, more[3] = { 0 };
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    if (CPU_COUNT(&before) < 2) skip();
    witan_set_threads(cx, 0);
    int32_t usual = witan_threads(cx);                                       /* of a context that pins nothing */
    witan_ctx *c = witan_ctx_new(&(witan_config){ .threads = 2, .pin = true });
    for (int round = 0; round < 50 && !(n[0] && n[1]); round++) wt_parallel(c, 2, 1, count_processors, n);
    assert_int_equal(n[0], 1);
    assert_int_equal(n[1], 1);
    witan_set_threads(c, 0);                                                 /* as many as there were, not the one that the caller stays on */
    assert_int_equal(witan_threads(c), usual);
    witan_set_threads(c, 3);                                                 /* one more, made after the others were pinned */
    for (int round = 0; round < 50 && !(more[0] && more[1] && more[2]); round++) wt_parallel(c, 3, 1, count_processors, more);
    for (int i = 0; i < 3; i++) assert_int_equal(more[i], CPU_COUNT(&before) < 3 ? (i == 1 ? 1 : CPU_COUNT(&before)) : 1);
    witan_ctx_free(c);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
}

static void every_element_is_done_once_by_any_number_of_threads(void **state)
{
    (void)state;
    static cells c;
    const size_t size[] = { 0, 1, 2, 7, 1000, 10007 };
    for (int threads = 1; threads <= 9; threads += 2) {
        witan_set_threads(cx, threads);
        for (size_t s = 0; s < 6; s++)
            for (size_t grain = 1; grain < 3000; grain *= 13)
                for (int round = 0; round < 20; round++) {
                    memset(&c, 0, sizeof c);
                    wt_parallel(cx, size[s], grain, mark, &c);
                    for (size_t i = 0; i < 10007; i++) if (c.hit[i] != (i < size[s])) fail_msg("%d threads, %zu of %zu done %d times", threads, i, size[s], c.hit[i]);
                    assert_true(c.worst < threads);
                }
    }
}

/* ---- documents ------------------------------------------------------------------------------------------------------ */

static const char *put(const char *text)
{
    const char *path = fault_path("docs.jsonl");
    FILE *o = fopen(path, "wb");
    fputs(text, o);
    fclose(o);
    return path;
}

static void documents_are_read_and_thinned(void **state)
{
    (void)state;
    wt_docs d, e;
    const char *path = put("{\"text\":\"one\",\"domain\":\"x\"}\r\n\n{\"prompt\":\"two\",\"answer\":\" 2\",\"domain\":\"y\"}\n  \n{\"text\":\"t\",\"prompt\":\"p\",\"answer\":\"a\",\"domain\":\"x\"}\n"
                           "{\"text\":\"four\",\"domain\":null}");
    assert_int_equal(wt_docs_read(cx, path, false, NULL, 0, 0, &d), WITAN_OK);
    assert_int_equal(d.n, 4);
    assert_string_equal(d.doc[1].text, "two 2");
    assert_string_equal(d.doc[2].text, "t");
    assert_string_equal(d.doc[2].prompt, "p");
    assert_null(d.doc[3].domain);
    assert_int_equal(wt_docs_read(cx, path, false, "x", 1, 0, &e), WITAN_OK);
    assert_int_equal(e.n, 1);
    assert_string_equal(e.doc[0].text, "one");
    assert_string_equal(d.digest, e.digest);
    wt_docs_free(&d);
    wt_docs_free(&e);
    assert_int_equal(wt_docs_read(cx, path, false, NULL, 1, 0, &e), WITAN_OK);       /* one of each domain, and of none, in file order */
    assert_int_equal(e.n, 3);
    assert_string_equal(e.doc[0].text, "one");
    assert_string_equal(e.doc[1].text, "two 2");
    assert_string_equal(e.doc[2].text, "four");
    wt_docs_free(&e);
    int first = 0;
    for (int64_t seed = 1; seed < 40; seed++) {
        assert_int_equal(wt_docs_read(cx, path, false, "x", 1, seed, &e), WITAN_OK);
        first += !strcmp(e.doc[0].text, "one");
        wt_docs_free(&e);
    }
    assert_true(first > 5 && first < 34);
}

static void bad_documents_are_named_by_line(void **state)
{
    (void)state;
    static const struct { const char *text, *say; bool task; } bad[] = {
        { "{\"text\":\"a\"}\n[1]\n", "docs.jsonl:2: expected a JSON object", false }, { "{\"text\":5}", "docs.jsonl:1: expected text under \"text\"", false },
        { "{\"prompt\":\"a\"}", "docs.jsonl:1", false }, { "{\"text\":\"a\"}", "\"prompt\" and \"answer\"", true }, { "not json", "docs.jsonl:1", false },
        { "{\"text\":\"\xFF\"}", "docs.jsonl:1", false }, { "\n\n", "no documents", false }, { "", "no documents", false } };
    wt_docs d;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(wt_docs_read(cx, put(bad[i].text), bad[i].task, NULL, 0, 0, &d), WITAN_OK);
        if (!strstr(witan_error(cx), bad[i].say)) fail_msg("\"%s\" does not say \"%s\"", witan_error(cx), bad[i].say);
    }
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

static void nothing_is_visible_before_the_commit(void **state)
{
    (void)state;
    wt_out *o;
    char *path = fault_path("atomic"), *data;
    size_t n;
    assert_int_equal(wt_file_write(cx, path, "old", 3), WITAN_OK);
    assert_int_equal(wt_out_open(cx, path, &o), WITAN_OK);
    assert_int_equal(wt_out_write(o, "new", 3), WITAN_OK);
    assert_int_equal(wt_file_read(cx, path, 100, &data, &n), WITAN_OK);
    assert_string_equal(data, "old");
    wt_free(cx, data);
    wt_out_abort(&o);
    assert_int_equal(fault_leftovers(), 0);
    assert_int_equal(wt_file_read(cx, path, 2, &data, &n), WITAN_ELIMIT);
    assert_int_equal(wt_file_write(cx, fault_folder(), "x", 1), WITAN_EIO);          /* a folder is not replaced */
    assert_int_equal(wt_file_read(cx, fault_folder(), 100, &data, &n), WITAN_EIO);
    struct stat s;
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0666 & ~mask);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(options_have_defaults_and_are_set_by_either_spelling), T(wrong_values_are_refused_with_the_reason), T(numbers_do_not_depend_on_the_locale),
        T(an_arena_gives_aligned_memory_and_reuses_its_blocks), T(messages_stay_on_one_line), T(json_strings_are_escaped),
        T(every_element_is_done_once_by_any_number_of_threads), T(pinned_threads_stay_on_one_processor_and_the_caller_is_set_free),
        T(documents_are_read_and_thinned), T(bad_documents_are_named_by_line),
        T(nothing_is_visible_before_the_commit),
    };
    return cmocka_run_group_tests(tests, NULL, all_done);
}
