/* The main job on a tiny random model, and on the model that ships where it is there: what comes out, what the report says, and
 * that failures leave nothing behind. */
#include "fault.h"
#include "base/file.h"
#include "tiny.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char council[] = "models/council-Q8_0.gguf";

/* ---- a folder with demonstrations and evaluation lines --------------------------------------------------------------- */

typedef struct place { char dir[64], model[96], demos[96], eval[96], out[96], report[96], plan[96], record[96]; } place;

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void must(witan_ctx *cx, witan_status st)
{
    if (st != WITAN_OK) fail_msg("%s: %s", witan_status_name(st), witan_error(cx));
}

/* A tiny model, n sums as demonstrations, other sums and some dates as evaluation lines. */
static void place_make(place *p, int n)
{
    char text[8192] = "";
    snprintf(p->dir, sizeof p->dir, "/tmp/witan-specialize-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->model, sizeof p->model, "%s/model.gguf", p->dir);
    witan_ctx *cx = witan_ctx_new(NULL);
    must(cx, tiny_write(cx, p->model, WT_Q8_0, 1));
    witan_ctx_free(cx);
    snprintf(p->demos, sizeof p->demos, "%s/demos.jsonl", p->dir);
    snprintf(p->eval, sizeof p->eval, "%s/eval.jsonl", p->dir);
    snprintf(p->out, sizeof p->out, "%s/out.gguf", p->dir);
    snprintf(p->report, sizeof p->report, "%s/report.html", p->dir);
    snprintf(p->plan, sizeof p->plan, "%s/plan.json", p->dir);
    snprintf(p->record, sizeof p->record, "%s/record.json", p->dir);
    for (int i = 0; i < n; i++)
        sprintf(text + strlen(text), "{\"domain\":\"sums\",\"prompt\":\"Compute %d + %d =\",\"answer\":\" %d\"}\n", 11 + 3 * i, 20 + i, 31 + 4 * i);
    write_text(p->demos, text);
    *text = 0;
    for (int i = 0; i < 4; i++) {
        sprintf(text + strlen(text), "{\"domain\":\"dates\",\"prompt\":\"What day follows 1%d May?\",\"answer\":\" 1%d May\"}\n", i, i + 1);
        sprintf(text + strlen(text), "{\"domain\":\"sums\",\"prompt\":\"Compute %d + 5 =\",\"answer\":\" %d\"}\n", 40 + i, 45 + i);
    }
    write_text(p->eval, text);
}

/* Names in the folder other than the three inputs. */
static int extra_files(const place *p, bool tell)
{
    DIR *d = opendir(p->dir);
    int n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (*e->d_name == '.' || !strcmp(e->d_name, "model.gguf") || !strcmp(e->d_name, "demos.jsonl") || !strcmp(e->d_name, "eval.jsonl")) continue;
        if (tell) print_message("left behind: %s\n", e->d_name);
        n++;
    }
    closedir(d);
    return n;
}

static void place_remove(const place *p)
{
    char path[400];
    DIR *d = opendir(p->dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", p->dir, e->d_name);
        if (*e->d_name != '.') unlink(path);
    }
    closedir(d);
    assert_int_equal(rmdir(p->dir), 0);
}

static witan_specialize_options usual(const place *p)
{
    return (witan_specialize_options){ .model = p->model, .demos = p->demos, .out = p->out, .score = "easy-ep", .keep = 0.5, .seed = 1, .n_ctx = 64 };
}

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s is missing", path);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *s = malloc(*n + 1);
    assert_int_equal(fread(s, 1, *n, f), *n);
    s[*n] = 0;
    fclose(f);
    return s;
}

/* ---- what comes out --------------------------------------------------------------------------------------------------- */

static void check_result(const char *model)
{
    place p;
    place_make(&p, 6);
    witan_ctx *cx = witan_ctx_new(NULL);
    witan_specialize_options o = usual(&p);
    witan_specialize_result r;
    witan_model *m;
    if (model) o.model = model;
    o.report = p.report;
    o.save_plan = p.plan;
    o.save_record = p.record;
    must(cx, witan_specialize(cx, &o, &r));
    assert_int_equal(r.expert_bytes_after * 2, r.expert_bytes_before);
    assert_int_equal(r.n_exp_after * 2, r.n_exp_before);
    assert_true(r.bytes_after < r.bytes_before && isfinite(r.ppl_before) && isfinite(r.ppl_after) && isnan(r.acc_before));
    assert_true(r.toks_before > 0 && r.toks_after > 0);
    must(cx, witan_model_open(cx, p.out, NULL, &m));
    assert_int_equal(witan_model_experts(m, 0), r.n_exp_after);
    witan_model_free(m);
    assert_int_equal(extra_files(&p, false), 4);          /* model, report, plan, record; no temporary file */
    witan_ctx_free(cx);
    place_remove(&p);
}

static void result_loads_with_half_the_expert_bytes(void **state) { (void)state; check_result(NULL); }

static void result_of_the_model_that_ships_has_half_the_expert_bytes(void **state)
{
    (void)state;
    if (access(council, R_OK)) skip();
    check_result(council);
}

static bool states(const char *html, const char *fmt, double v, int digits)
{
    char num[32], text[128];
    snprintf(num, sizeof num, "%.*f", digits, v);
    snprintf(text, sizeof text, fmt, num);
    return strstr(html, text) != NULL;
}

/* "91.2 kB", "184 kB", "7.2 MB": one decimal below 100 of a unit. */
static bool states_bytes(const char *html, int64_t n)
{
    double v = n < 1000000 ? (double)n / 1e3 : (double)n / 1e6;
    return states(html, n < 1000000 ? "%s kB" : "%s MB", v, v < 100 ? 1 : 0);
}

static void check_report(const char *model)
{
    place p;
    size_t n;
    place_make(&p, 6);
    witan_ctx *cx = witan_ctx_new(NULL);
    witan_specialize_options o = usual(&p);
    witan_specialize_result r;
    if (model) o.model = model;
    o.report = p.report;
    o.eval = p.eval;
    o.command = "witan specialize <this> & that";
    must(cx, witan_specialize(cx, &o, &r));
    char *html = slurp(p.report, &n);
    assert_true(isfinite(r.acc_before) && isfinite(r.acc_after));
    assert_true(states(html, "the original answers %s %%", 100 * r.acc_before, 1));
    assert_true(states(html, "the new model answers %s %% of 4 held-out questions", 100 * r.acc_after, 1));
    assert_true(states_bytes(html, r.bytes_before) && states_bytes(html, r.bytes_after));
    assert_non_null(strstr(html, "specialised for sums</h1>"));
    assert_non_null(strstr(html, "witan specialize &lt;this&gt; &amp; that"));
    assert_non_null(strstr(html, "arXiv:2504.06792"));
    assert_non_null(strstr(html, "equals, bit for bit,"));
    assert_non_null(strstr(html, "random"));
    assert_non_null(strstr(html, "frequency"));
    assert_non_null(strstr(html, ">dates</h3>"));         /* a panel for the other domain */
    free(html);
    witan_ctx_free(cx);
    place_remove(&p);
}

static void report_states_the_numbers_of_the_result(void **state) { (void)state; check_report(NULL); }

static void report_on_the_model_that_ships_states_its_numbers(void **state)
{
    (void)state;
    if (access(council, R_OK)) skip();
    check_report(council);
}

/* The whole output file of one run with so many threads. */
static char *output_of(const place *p, const char *score, int64_t seed, int32_t threads, size_t *n)
{
    witan_ctx *cx = witan_ctx_new(&(witan_config){ .threads = threads });
    witan_specialize_options o = usual(p);
    witan_specialize_result r;
    o.score = score;
    o.seed = seed;
    must(cx, witan_specialize(cx, &o, &r));
    witan_ctx_free(cx);
    return slurp(p->out, n);
}

static void same_seed_gives_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    place p;
    size_t n[3];
    char *data[3];
    place_make(&p, 3);
    data[0] = output_of(&p, "random", 7, 1, &n[0]);
    data[1] = output_of(&p, "random", 7, 2, &n[1]);
    data[2] = output_of(&p, "random", 8, 1, &n[2]);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(data[0], data[1], n[0]);
    assert_false(n[0] == n[2] && !memcmp(data[0], data[2], n[0]));
    for (int i = 0; i < 3; i++) free(data[i]);
    place_remove(&p);
}

/* ---- what is measured on what ------------------------------------------------------------------------------------------ */

static char *report_of(place *p, int n_demos, const char *eval_text, const char *domain)
{
    size_t n;
    place_make(p, n_demos);
    witan_ctx *cx = witan_ctx_new(NULL);
    witan_specialize_options o = usual(p);
    witan_specialize_result r;
    if (eval_text) {
        write_text(p->eval, eval_text);
        o.eval = p->eval;
    }
    o.domain = domain;
    o.report = p->report;
    must(cx, witan_specialize(cx, &o, &r));
    witan_ctx_free(cx);
    return slurp(p->report, &n);
}

static void a_fifth_of_the_demonstrations_is_held_out_without_an_evaluation_file(void **state)
{
    (void)state;
    place p;
    char *html = report_of(&p, 11, NULL, NULL);
    assert_non_null(strstr(html, "Measured on held-out demonstrations"));
    assert_non_null(strstr(html, "9 chose the experts, 2 measured perplexity"));
    assert_non_null(strstr(html, "From 9 demonstrations of sums"));
    free(html);
    place_remove(&p);
}

static void few_demonstrations_measure_themselves_and_the_report_says_so(void **state)
{
    (void)state;
    place p;
    char *html = report_of(&p, 4, NULL, NULL);
    assert_non_null(strstr(html, "These numbers are too good"));
    assert_non_null(strstr(html, "(the demonstrations themselves)"));
    free(html);
    place_remove(&p);
}

static void evaluation_lines_without_questions_or_domains_give_perplexity_of_the_chosen_domain(void **state)
{
    (void)state;
    place p;
    char *html = report_of(&p, 4, "{\"text\":\"Compute 90 + 2 = 92\"}\n{\"text\":\"Compute 91 + 3 = 94\"}\n", NULL);
    assert_non_null(strstr(html, "Perplexity only"));
    assert_null(strstr(html, "was not measured</b>"));
    assert_non_null(strstr(html, "On sums (held-out texts) perplexity is"));
    free(html);
    place_remove(&p);
}

static void a_domain_that_was_not_measured_is_said_plainly(void **state)
{
    (void)state;
    place p;
    char *html = report_of(&p, 4, "{\"domain\":\"cats\",\"text\":\"the cat sat on the mat\"}\n", NULL);
    assert_non_null(strstr(html, "The chosen domain was not measured"));
    free(html);
    place_remove(&p);
}

static void evaluation_lines_that_are_demonstrations_are_counted_in_the_report(void **state)
{
    (void)state;
    place p;
    char *html = report_of(&p, 4, "{\"domain\":\"sums\",\"text\":\"Compute 11 + 20 = 31\"}\n{\"domain\":\"sums\",\"text\":\"Compute 1 + 1 = 2\"}\n", "sums");
    assert_non_null(strstr(html, "1 of the evaluation lines is among the demonstrations too"));
    free(html);
    place_remove(&p);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------------- */

static void refused(witan_ctx *cx, const place *p, const witan_specialize_options *o, witan_status want, const char *word)
{
    witan_specialize_result r;
    witan_status st = witan_specialize(cx, o, &r);
    if (st != want || !strstr(witan_error(cx), word)) fail_msg("got %s: %s; expected %s with \"%s\"", witan_status_name(st), witan_error(cx),
                                                               witan_status_name(want), word);
    assert_int_equal(extra_files(p, true), 0);
}

#define REFUSED(status, word, ...) do { \
        witan_specialize_options o_ = usual(&p); \
        __VA_ARGS__; \
        refused(cx, &p, &o_, status, word); \
    } while (0)

static void wrong_arguments_are_refused_and_leave_nothing(void **state)
{
    (void)state;
    place p;
    char nowhere[160];
    place_make(&p, 3);
    snprintf(nowhere, sizeof nowhere, "%s/no/such/file", p.dir);
    witan_ctx *cx = witan_ctx_new(NULL);
    REFUSED(WITAN_EARG, "no model", o_.model = NULL);
    REFUSED(WITAN_EARG, "no demonstrations", o_.demos = "");
    REFUSED(WITAN_EARG, "no output", o_.out = NULL);
    REFUSED(WITAN_EARG, "keep", o_.keep = 0);
    REFUSED(WITAN_EARG, "keep", o_.keep = 1.01);
    REFUSED(WITAN_EARG, "keep", o_.keep = NAN);
    REFUSED(WITAN_EARG, "gate", o_.gate = 2);
    REFUSED(WITAN_EARG, "n_ctx", o_.n_ctx = -1);
    REFUSED(WITAN_EARG, "eval_limit", o_.eval_limit = -1);
    REFUSED(WITAN_EARG, "easy-ep", o_.score = "easy-pe");
    REFUSED(WITAN_EARG, "the demonstrations", o_.out = p.demos);
    REFUSED(WITAN_EARG, "the demonstrations", o_.report = p.demos);
    REFUSED(WITAN_EARG, "the evaluation lines", (o_.eval = p.eval, o_.save_plan = p.eval));
    REFUSED(WITAN_EARG, "two different outputs", o_.report = p.out);
    REFUSED(WITAN_EIO, "/no/such/file", o_.out = nowhere);
    REFUSED(WITAN_EIO, "/no/such/file", o_.report = nowhere);
    REFUSED(WITAN_EIO, "not a regular file", o_.out = p.dir);
    REFUSED(WITAN_EIO, "/no/such/file", o_.model = nowhere);
    REFUSED(WITAN_EFORMAT, "demos.jsonl", o_.model = p.demos);
    witan_ctx_free(cx);
    place_remove(&p);
}

static void wrong_inputs_are_refused_and_leave_nothing(void **state)
{
    (void)state;
    place p;
    char nowhere[160];
    place_make(&p, 3);
    snprintf(nowhere, sizeof nowhere, "%s/no/such/file", p.dir);
    witan_ctx *cx = witan_ctx_new(NULL);
    REFUSED(WITAN_EARG, "the model itself", o_.out = p.model);
    REFUSED(WITAN_ELIMIT, "router chooses", o_.keep = 0.001);
    REFUSED(WITAN_EIO, "/no/such/file", o_.demos = nowhere);
    REFUSED(WITAN_EIO, "/no/such/file", o_.eval = nowhere);
    REFUSED(WITAN_ELIMIT, "of domain \"cats\"", o_.domain = "cats");
    REFUSED(WITAN_EUNSUPPORTED, "gate", o_.gate = WITAN_GATE_KEEP);
    write_text(p.demos, "{\"text\": 3}\n");
    REFUSED(WITAN_EFORMAT, "demos.jsonl:1", (void)0);
    write_text(p.demos, "not JSON\n");
    REFUSED(WITAN_EFORMAT, "demos.jsonl:1", (void)0);
    write_text(p.demos, "{\"text\":\"\"}\n");
    REFUSED(WITAN_ELIMIT, "demos.jsonl", (void)0);
    REFUSED(WITAN_ELIMIT, "demos.jsonl", o_.domain = "sums");
    witan_ctx_free(cx);
    place_remove(&p);
}

/* ---- stopping and faults ----------------------------------------------------------------------------------------------- */

typedef struct stop { const char *phase; char seen[256]; int backwards; double last; } stop;

static bool watch(void *user, const witan_progress *pr)
{
    stop *s = user;
    if (!strstr(s->seen, pr->phase)) {
        snprintf(s->seen + strlen(s->seen), sizeof s->seen - strlen(s->seen), "%s;", pr->phase);
        s->last = 0;
    }
    double share = pr->total > 0 ? pr->done / pr->total : 0;
    s->backwards += share < s->last || share > 1;
    s->last = share;
    return !s->phase || strcmp(s->phase, pr->phase);
}

static void progress_names_the_phases_in_order_and_never_goes_back(void **state)
{
    (void)state;
    place p;
    place_make(&p, 3);
    stop s = { 0 };
    witan_ctx *cx = witan_ctx_new(&(witan_config){ .progress = watch, .progress_user = &s });
    witan_specialize_options o = usual(&p);
    witan_specialize_result r;
    o.report = p.report;
    o.eval = p.eval;
    must(cx, witan_specialize(cx, &o, &r));
    assert_string_equal(s.seen, "profile;plan;write;verify;measure;profile others;speed;report;");
    assert_int_equal(s.backwards, 0);
    witan_ctx_free(cx);
    place_remove(&p);
}

static void stopping_in_any_phase_leaves_nothing(void **state)
{
    (void)state;
    static const char *const phase[] = { "profile", "plan", "write", "verify", "measure", "profile others", "speed", "report" };
    place p;
    place_make(&p, 6);
    for (size_t i = 0; i < sizeof phase / sizeof *phase; i++) {
        stop s = { .phase = phase[i] };
        witan_ctx *cx = witan_ctx_new(&(witan_config){ .progress = watch, .progress_user = &s });
        witan_specialize_options o = usual(&p);
        o.report = p.report;
        o.save_plan = p.plan;
        o.eval = p.eval;
        refused(cx, &p, &o, WITAN_ECANCELED, "");
        witan_ctx_free(cx);
    }
    place_remove(&p);
}

/* A disk that silently damages the second half of every large write. */
static ssize_t damaged_write(void *user, int fd, const void *p, size_t n)
{
    (void)user;
    uint8_t *copy = malloc(n);
    memcpy(copy, p, n);
    for (size_t i = n / 2; n > 10000 && i < n; i += 16) copy[i] ^= 0x15;
    ssize_t k = write(fd, copy, n);
    free(copy);
    return k;
}

static void a_file_that_computes_something_else_is_noticed_and_removed(void **state)
{
    (void)state;
    place p;
    place_make(&p, 3);
    witan_io io = wt_io_system();
    io.write = damaged_write;
    witan_ctx *cx = witan_ctx_new(&(witan_config){ .io = &io });
    witan_specialize_options o = usual(&p);
    o.report = p.report;
    refused(cx, &p, &o, WITAN_EMISMATCH, "does not compute what the worn plan computes");
    witan_ctx_free(cx);
    place_remove(&p);
}

static witan_status with_faults(const place *p, fault *f)
{
    witan_specialize_options o = usual(p);
    witan_specialize_result r;
    o.report = p->report;
    o.save_plan = p->plan;
    o.save_record = p->record;
    witan_ctx *cx = fault_ctx(f);
    if (!cx) return WITAN_ENOMEM;
    witan_status st = witan_specialize(cx, &o, &r);
    if (st != WITAN_OK) assert_true(*witan_error(cx) != 0);
    witan_ctx_free(cx);
    return st;
}

/* All four outputs or none of them, no temporary file, no memory kept. */
static void nothing_or_everything(const place *p, witan_status st, const fault *f, const char *what, long n)
{
    int want = st == WITAN_OK ? 4 : 0, have = extra_files(p, false);
    if (f->live) fail_msg("%s %ld: %ld pieces of memory were not given back", what, n, f->live);
    if (have != want) {
        extra_files(p, true);
        fail_msg("%s %ld: %d files stand there, expected %d", what, n, have, want);
    }
    unlink(p->out); unlink(p->report); unlink(p->plan); unlink(p->record);
}

static void each_fault(fault_kind kind, long step)
{
    place p;
    place_make(&p, 6);
    for (long n = 1;; n += n < 60 ? 1 : step) {
        fault f = { 0 };
        f.fail[kind] = n;
        nothing_or_everything(&p, with_faults(&p, &f), &f, fault_name[kind], n);
        if (!f.hit) break;
    }
    place_remove(&p);
}

static void a_failing_allocation_anywhere_leaves_nothing(void **state) { (void)state; each_fault(FAULT_ALLOC, 11); }

static void a_failing_file_call_anywhere_leaves_nothing_or_a_whole_result(void **state)
{
    (void)state;
    for (fault_kind k = FAULT_OPEN; k < FAULT_N; k++) each_fault(k, 3);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(result_loads_with_half_the_expert_bytes),
        cmocka_unit_test(result_of_the_model_that_ships_has_half_the_expert_bytes),
        cmocka_unit_test(report_states_the_numbers_of_the_result),
        cmocka_unit_test(report_on_the_model_that_ships_states_its_numbers),
        cmocka_unit_test(same_seed_gives_the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(a_fifth_of_the_demonstrations_is_held_out_without_an_evaluation_file),
        cmocka_unit_test(few_demonstrations_measure_themselves_and_the_report_says_so),
        cmocka_unit_test(evaluation_lines_without_questions_or_domains_give_perplexity_of_the_chosen_domain),
        cmocka_unit_test(a_domain_that_was_not_measured_is_said_plainly),
        cmocka_unit_test(evaluation_lines_that_are_demonstrations_are_counted_in_the_report),
        cmocka_unit_test(wrong_arguments_are_refused_and_leave_nothing),
        cmocka_unit_test(wrong_inputs_are_refused_and_leave_nothing),
        cmocka_unit_test(progress_names_the_phases_in_order_and_never_goes_back),
        cmocka_unit_test(stopping_in_any_phase_leaves_nothing),
        cmocka_unit_test(a_file_that_computes_something_else_is_noticed_and_removed),
        cmocka_unit_test(a_failing_allocation_anywhere_leaves_nothing),
        cmocka_unit_test(a_failing_file_call_anywhere_leaves_nothing_or_a_whole_result),
    };
    return cmocka_run_group_tests(test, NULL, NULL);
}
