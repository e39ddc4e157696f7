/* Every n-th allocation, open, read, write, sync, rename and mapping fails in turn, over everything that opens or writes files. */
#include "fault.h"
#include "mini.h"
#include "tiny.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char model[160], demos[160], out[160], plan[160], record[160], report[160], sentence[160], parts[160], plain[160], questions[160];

static const char two_questions[] = "{\"domain\":\"a\",\"prompt\":\"1+1=\",\"answer\":\" 2\"}\n{\"domain\":\"b\",\"prompt\":\"x\",\"answer\":\" y\"}\n";

/* A SentencePiece vocabulary: unknown, begin, end, all bytes, a few pieces. */
static wt_status sentence_vocabulary(witan_ctx *cx)
{
    static char text[264][8];
    static const char *const piece[] = { "<unk>", "<s>", "</s>", "\xE2\x96\x81", "a", "b", "ab", "\xE2\x96\x81" "a" };
    wt_str tok[264];
    int32_t type[264];
    float score[264];
    wt_gguf_out *o;
    for (int i = 0; i < 264; i++) {
        if (i < 8) strcpy(text[i], piece[i]); else snprintf(text[i], 8, "<0x%02X>", (unsigned)(i - 8) & 255);
        tok[i] = (wt_str){ text[i], strlen(text[i]) };
        type[i] = !i ? 2 : i < 3 ? 3 : i < 8 ? 1 : 6;
        score[i] = (float)-i;
    }
    WT_TRY(wt_gguf_out_open(cx, sentence, &o));
    wt_status st = wt_gguf_put_str(o, "tokenizer.ggml.model", "llama");
    if (!st) st = wt_gguf_put_strs(o, "tokenizer.ggml.tokens", tok, 264);
    if (!st) st = wt_gguf_put_i32s(o, "tokenizer.ggml.token_type", type, 264);
    if (!st) st = wt_gguf_put_f32s(o, "tokenizer.ggml.scores", score, 264);
    if (!st) return wt_gguf_out_commit(&o);
    wt_gguf_out_abort(&o);
    return st;
}

static int set_up(void **state)
{
    (void)state;
    fault f = { 0 };
    witan_ctx *cx = fault_ctx(&f);
    strcpy(model, fault_path("tiny.gguf"));
    strcpy(demos, fault_path("demos.jsonl"));
    strcpy(out, fault_path("out"));
    strcpy(plan, fault_path("plan.json"));
    strcpy(record, fault_path("record.json"));
    strcpy(report, fault_path("report.html"));
    strcpy(sentence, fault_path("sentence.gguf"));
    strcpy(parts, fault_path("parts-00001-of-00002.gguf"));
    strcpy(plain, fault_path("plain.txt"));
    strcpy(questions, fault_path("questions.jsonl"));
    tiny_demos(demos);
    wt_status st = tiny_write(cx, model, WT_Q8_0, 1);
    if (!st) st = sentence_vocabulary(cx);
    if (!st) st = mini_write(cx, minis + 3, fault_path("parts.gguf"), 4000, NULL);
    if (!st) st = wt_file_write(cx, plain, "one two three", 13);
    if (!st) st = wt_file_write(cx, questions, two_questions, strlen(two_questions));
    witan_ctx_free(cx);
    return st || f.live;
}

static int tear_down(void **state) { (void)state; fault_folder_free(); return 0; }

/* ---- scenes --------------------------------------------------------------------------------------------------------- */

static witan_status open_and_feed(witan_ctx *cx, void *arg)
{
    witan_model *m = NULL;
    witan_session *s = NULL;
    witan_sampler *sm = NULL;
    int32_t *ids = NULL;
    char *text = NULL;
    size_t n, len;
    witan_status st = witan_model_open(cx, model, &(witan_model_options){ .resident = arg != NULL }, &m);
    if (!st) st = witan_session_new(cx, m, &(witan_session_options){ .n_ctx = 32, .n_seq = 2 }, &s);
    if (!st) st = witan_tokenize(cx, m, "hello there", 11, WITAN_TOK_BOS | WITAN_TOK_SPECIAL, &ids, &n);
    if (!st) st = witan_feed(s, 0, ids, n);
    if (!st) st = witan_sampler_new(cx, TINY_VOCAB, NULL, &sm);
    if (!st) st = witan_detokenize(cx, m, ids, n, false, &text, &len);
    witan_free(cx, text);
    witan_free(cx, ids);
    witan_sampler_free(sm);
    witan_session_free(s);
    witan_model_free(m);
    return st;
}

static witan_status prune(witan_ctx *cx, void *arg)
{
    witan_model *m = NULL;
    witan_record *r = NULL;
    witan_plan *p = NULL;
    (void)arg;
    witan_status st = witan_model_open(cx, model, NULL, &m);
    if (!st) st = witan_profile(cx, m, &(witan_profile_options){ .data = demos }, &r);
    if (!st) st = witan_plan_make(cx, m, r, &(witan_plan_options){ .score = "easy-ep", .keep = 0.5 }, &p);
    if (!st) st = witan_plan_apply(cx, m, p, "test", out);
    witan_plan_free(p);
    witan_record_free(r);
    witan_model_free(m);
    return st;
}

static witan_status write_tiny(witan_ctx *cx, void *arg) { (void)arg; return tiny_write(cx, out, WT_Q4_0, 3); }

static witan_status plan_and_record_round_trip(witan_ctx *cx, void *arg)
{
    witan_model *m = NULL;
    witan_record *r = NULL, *r2 = NULL;
    witan_plan *p = NULL, *p2 = NULL;
    (void)arg;
    witan_status st = witan_model_open(cx, model, NULL, &m);
    if (!st) st = witan_profile(cx, m, &(witan_profile_options){ .data = demos }, &r);
    if (!st) st = witan_record_save(cx, r, record);
    if (!st) st = witan_record_load(cx, record, &r2);
    if (!st) st = witan_record_merge(cx, r2, r);
    if (!st) st = witan_plan_make(cx, m, r2, &(witan_plan_options){ .score = "freq", .score_opts = "soft=true", .keep = 0.5 }, &p);
    if (!st) st = witan_plan_save(cx, p, plan);
    if (!st) st = witan_plan_load(cx, plan, &p2);
    if (!st) st = witan_plan_check(cx, p2, m);
    witan_plan_free(p);
    witan_plan_free(p2);
    witan_record_free(r);
    witan_record_free(r2);
    witan_model_free(m);
    return st;
}

static witan_status evaluate(witan_ctx *cx, void *arg)
{
    witan_model *m = NULL;
    witan_eval_result *r = NULL;
    (void)arg;
    witan_status st = witan_model_open(cx, model, NULL, &m);
    if (!st) st = witan_eval(cx, m, &(witan_eval_options){ .jsonl = demos, .n_ctx = 64 }, &r);
    witan_eval_free(cx, r);
    witan_model_free(m);
    return st;
}

static witan_status describe(witan_ctx *cx, void *arg)
{
    char *json = NULL;
    (void)arg;
    witan_status st = witan_inspect(cx, model, &json);
    witan_free(cx, json);
    return st;
}

static witan_status corpus(witan_ctx *cx, void *arg)
{
    (void)arg;
    return witan_synth(cx, &(witan_synth_options){ .dir = fault_folder(), .seed = 1, .train = 3, .valid = 1, .test = 1, .demos = 1 });
}

static witan_status specialize(witan_ctx *cx, void *arg)
{
    witan_specialize_result r;
    (void)arg;
    return witan_specialize(cx, &(witan_specialize_options){ .model = model, .demos = demos, .out = out, .report = report, .score = "easy-ep", .keep = 0.5, .seed = 1,
                                                             .domain = "a", .command = "test", .n_ctx = 32 }, &r);
}

/* A vocabulary alone, of either kind; all ways of reading; a sampler with everything on. */
static witan_status words(witan_ctx *cx, void *path)
{
    witan_model *m = NULL;
    witan_sampler *sm = NULL;
    int32_t *ids = NULL;
    char *text = NULL;
    size_t n, len;
    float logits[300] = { 0 };
    witan_status st = witan_vocab_open(cx, path, NULL, &m);
    for (int flags = 0; !st && flags < 16; flags += 5) {
        st = witan_tokenize(cx, m, "a ab<|end|> aaaaabab \xFF\xE2\x82\xAC one", 29, flags, &ids, &n);
        if (!st) st = witan_detokenize(cx, m, ids, n, flags & 1, &text, &len);
        witan_free(cx, text);
        witan_free(cx, ids);
        text = NULL;
        ids = NULL;
    }
    if (!st) st = witan_sampler_new(cx, 257, &(witan_sample_options){ .temp = 1, .top_k = 9, .top_p = 0.9f, .min_p = 0.01f, .repeat_penalty = 1.2f, .repeat_last_n = 8, .seed = 3 }, &sm);
    for (int32_t i = 0; !st && i < 20; i++) {
        witan_sampler_accept(sm, i);
        assert_true(witan_sample(sm, logits) >= 0);
    }
    witan_sampler_free(sm);
    witan_model_free(m);
    return st;
}

/* Two threads, several sequences, a worn plan; the model's experts in memory. */
static witan_status batch(witan_ctx *cx, void *arg)
{
    static const char worn[] = "{\"witan_plan\":1,\"model\":{\"name\":\"tiny\",\"arch\":\"olmoe\",\"fingerprint\":\"%s\"},\"method\":{\"name\":\"freq\",\"options\":\"\"},"
                               "\"gate\":\"keep\",\"keep\":0.5,\"seed\":0,\"calibration\":{\"digest\":\"\",\"domains\":\"\",\"documents\":0,\"tokens\":0},"
                               "\"layers\":[{\"layer\":0,\"experts\":8,\"keep\":[0,1,5]},{\"layer\":1,\"experts\":8,\"keep\":[2,3,4,7]}]}";
    const witan_token tok[] = { { 3, 0, false }, { 4, 0, true }, { 5, 2, true }, { 6, 1, false }, { 7, 2, true } };
    witan_model *m = NULL;
    witan_plan *p = NULL;
    witan_session *s = NULL;
    char json[800], *again = NULL;
    (void)arg;
    witan_set_threads(cx, 2);
    witan_status st = witan_model_open(cx, model, &(witan_model_options){ .repack = true, .huge_pages = true, .prefault = true }, &m);
    if (!st) snprintf(json, sizeof json, worn, witan_model_get_info(m)->fingerprint);
    if (!st) st = witan_plan_parse(cx, json, strlen(json), &p);
    if (!st) st = witan_plan_check(cx, p, m);
    if (!st) st = witan_plan_json(cx, p, &again);
    if (!st) st = witan_session_new(cx, m, &(witan_session_options){ .n_ctx = 16, .n_seq = 3, .plan = p }, &s);
    if (!st) st = witan_feed_batch(s, tok, 5);
    if (!st) witan_seq_clear(s, 2);
    if (!st) st = witan_feed_batch(s, tok + 2, 3);
    witan_session_free(s);
    witan_free(cx, again);
    witan_plan_free(p);
    witan_model_free(m);
    return st;
}

/* Text, documents and questions, some of one domain, with a plan worn. */
static witan_status evaluate_all(witan_ctx *cx, void *arg)
{
    witan_model *m = NULL;
    witan_record *r = NULL;
    witan_plan *p = NULL;
    witan_eval_result *e = NULL;
    (void)arg;
    witan_status st = witan_model_open(cx, model, NULL, &m);
    if (!st) st = witan_profile(cx, m, &(witan_profile_options){ .data = demos, .domain = "a", .limit = 2, .sample_seed = 5, .n_ctx = 32 }, &r);
    if (!st) st = witan_plan_make(cx, m, r, &(witan_plan_options){ .score = "random", .keep = 0.5, .seed = 4 }, &p);
    if (!st) st = witan_eval(cx, m, &(witan_eval_options){ .text = plain, .n_ctx = 32 }, &e);
    witan_eval_free(cx, e);
    e = NULL;
    if (!st) st = witan_eval(cx, m, &(witan_eval_options){ .jsonl = demos, .task = questions, .limit = 1, .max_new = 3, .n_ctx = 64, .plan = p }, &e);
    witan_eval_free(cx, e);
    witan_plan_free(p);
    witan_record_free(r);
    witan_model_free(m);
    return st;
}

/* A model in two files, with biases and a shared expert. */
static witan_status open_parts(witan_ctx *cx, void *arg)
{
    witan_model *m = NULL;
    witan_session *s = NULL;
    char *json = NULL;
    (void)arg;
    witan_status st = witan_model_open(cx, parts, NULL, &m);
    if (!st) st = witan_session_new(cx, m, NULL, &s);
    if (!st) st = witan_feed(s, 0, (int32_t[]){ 1, 2 }, 2);
    if (!st) st = witan_inspect(cx, parts, &json);
    witan_free(cx, json);
    witan_session_free(s);
    witan_model_free(m);
    return st;
}

/* Everything the main job can write beside the model. */
static witan_status specialize_all(witan_ctx *cx, void *arg)
{
    witan_specialize_result r;
    (void)arg;
    return witan_specialize(cx, &(witan_specialize_options){ .model = model, .demos = demos, .out = out, .report = report, .save_plan = plan, .save_record = record,
                                                             .score = "freq", .keep = 0.5, .domain = "a", .eval = questions, .eval_limit = 1, .n_ctx = 32 }, &r);
}

/* Where mapping is refused the file is read instead, and every read may fail. */
static const void *no_map(void *user, int fd, size_t n) { (void)user; (void)fd; (void)n; errno = ENODEV; return NULL; }

static witan_status open_unmapped(witan_ctx *cx, void *arg)
{
    cx->io.map = no_map;
    return open_and_feed(cx, arg);
}

/* ---- the loops ------------------------------------------------------------------------------------------------------ */

static void all_kinds(fault_scene scene, void *arg, const char *output, long most)
{
    for (fault_kind k = 0; k < FAULT_CLOSE; k++) {
        long n = fault_each(k, scene, arg, output, most);
        if (n >= most) fail_msg("%s: still failing after %ld rounds", fault_name[k], n);
    }
}

static void nth_failure_of_open_and_feed(void **state) { (void)state; all_kinds(open_and_feed, NULL, NULL, 4000); all_kinds(open_and_feed, model, NULL, 4000); }
static void nth_failure_without_mapping(void **state) { (void)state; all_kinds(open_unmapped, NULL, NULL, 4000); }
static void nth_failure_of_writing_a_model(void **state) { (void)state; all_kinds(write_tiny, NULL, out, 4000); fault_each(FAULT_CLOSE, write_tiny, NULL, out, 100); }
static void nth_failure_of_profile_plan_apply(void **state) { (void)state; all_kinds(prune, NULL, out, 4000); }
static void nth_failure_of_plan_and_record_files(void **state) { (void)state; all_kinds(plan_and_record_round_trip, NULL, NULL, 8000); }
static void nth_failure_of_eval(void **state) { (void)state; all_kinds(evaluate, NULL, NULL, 4000); }

/* A failure inside may turn into "not runnable, because ...": only the description of the file itself may fail. */
static void nth_failure_of_inspect(void **state)
{
    (void)state;
    for (fault_kind k = 0; k < FAULT_CLOSE; k++) fault_each(k, describe, NULL, NULL, 4000);
}

static void nth_failure_of_synth(void **state) { (void)state; all_kinds(corpus, NULL, NULL, 4000); }

static void nth_failure_of_specialize(void **state)
{
    (void)state;
    for (fault_kind k = 0; k < FAULT_CLOSE; k++) fault_each(k, specialize, NULL, out, 400);
}

static void nth_failure_of_vocabularies_and_samplers(void **state)
{
    (void)state;
    all_kinds(words, model, NULL, 4000);
    all_kinds(words, sentence, NULL, 4000);
}

static void nth_failure_of_batches(void **state) { (void)state; all_kinds(batch, NULL, NULL, 4000); }
static void nth_failure_of_measuring_everything(void **state) { (void)state; all_kinds(evaluate_all, NULL, NULL, 4000); }

/* Here too a failure inside the description may turn into a reason. */
static void nth_failure_of_opening_parts(void **state)
{
    (void)state;
    for (fault_kind k = 0; k < FAULT_CLOSE; k++) fault_each(k, open_parts, NULL, NULL, 4000);
}

static void nth_failure_of_specialize_with_all_outputs(void **state)
{
    (void)state;
    for (fault_kind k = 0; k < FAULT_CLOSE; k++) fault_each(k, specialize_all, NULL, out, k == FAULT_ALLOC ? 250 : 400);
}

static void a_context_without_memory_is_none(void **state)
{
    (void)state;
    fault f = { .fail[FAULT_ALLOC] = 1 };
    assert_null(fault_ctx(&f));
    assert_int_equal(f.live, 0);
}

static void short_and_interrupted_io_changes_nothing(void **state)
{
    (void)state;
    fault f = { .short_io = true, .eintr = true };
    witan_ctx *cx = fault_ctx(&f);
    assert_int_equal(prune(cx, NULL), WITAN_OK);
    assert_int_equal(open_unmapped(cx, NULL), WITAN_OK);
    assert_int_equal(plan_and_record_round_trip(cx, NULL), WITAN_OK);
    witan_ctx_free(cx);
    assert_int_equal(f.live, 0);
}

static void decoding_allocates_nothing(void **state)
{
    (void)state;
    fault f = { 0 };
    witan_ctx *cx = fault_ctx(&f);
    witan_model *m;
    witan_session *s;
    int32_t id = 5;
    assert_int_equal(witan_model_open(cx, model, NULL, &m), WITAN_OK);
    assert_int_equal(witan_session_new(cx, m, NULL, &s), WITAN_OK);
    for (int i = 0; i < 3; i++) assert_int_equal(witan_feed(s, 0, &id, 1), WITAN_OK);
    long before = f.count[FAULT_ALLOC];
    for (int i = 0; i < 100; i++) assert_int_equal(witan_feed(s, 0, &id, 1), WITAN_OK);
    assert_int_equal(f.count[FAULT_ALLOC], before);
    witan_session_free(s);
    witan_model_free(m);
    witan_ctx_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nth_failure_of_open_and_feed), cmocka_unit_test(nth_failure_without_mapping), cmocka_unit_test(nth_failure_of_writing_a_model),
        cmocka_unit_test(nth_failure_of_profile_plan_apply), cmocka_unit_test(nth_failure_of_plan_and_record_files),
        cmocka_unit_test(nth_failure_of_eval), cmocka_unit_test(nth_failure_of_inspect), cmocka_unit_test(nth_failure_of_synth),
        cmocka_unit_test(nth_failure_of_specialize),
        cmocka_unit_test(nth_failure_of_vocabularies_and_samplers), cmocka_unit_test(nth_failure_of_batches), cmocka_unit_test(nth_failure_of_measuring_everything),
        cmocka_unit_test(nth_failure_of_opening_parts), cmocka_unit_test(nth_failure_of_specialize_with_all_outputs),
        cmocka_unit_test(a_context_without_memory_is_none), cmocka_unit_test(short_and_interrupted_io_changes_nothing),
        cmocka_unit_test(decoding_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
