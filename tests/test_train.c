/* Training inside one process: every fault at every place, the same bits again, what is frozen, what comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "fault.h"
#include "model/model.h"
#include "train/data.h"

static char vocab[256], text[256], held[256];

/* A vocabulary of bytes and a few lines of two domains. */
static int set_up(void **state)
{
    (void)state;
    witan_ctx *cx = witan_ctx_new(NULL);
    fault_folder();
    snprintf(vocab, sizeof vocab, "%s", fault_path("vocab.gguf"));
    snprintf(text, sizeof text, "%s", fault_path("text.jsonl"));
    snprintf(held, sizeof held, "%s", fault_path("held.jsonl"));
    bool bad = witan_random_model(cx, "tiny-olmoe", &(witan_random_options){ .seed = 1 }, vocab) != WITAN_OK;
    FILE *f = fopen(text, "w"), *h = fopen(held, "w");
    for (int i = 0; i < 60; i++)
        fprintf(i % 10 ? f : h, "{\"domain\":\"%s\",\"prompt\":\"%d plus %d is \",\"answer\":\"%d.\"}\n", i & 1 ? "odd" : "even", i, 2 * i + 1, 3 * i + 1);
    fclose(f);
    fclose(h);
    witan_ctx_free(cx);
    return bad;
}

static int tear_down(void **state)
{
    (void)state;
    fault_folder_free();
    return 0;
}

static void usual(witan_train_options *o, const char *out)
{
    witan_opt_defaults(witan_train_param, o);
    o->out = out;
    o->tokenizer = vocab;
    o->data = text;
    o->valid = held;
    o->n_layer = 2; o->d_model = 16; o->n_head = 2; o->n_exp = 4; o->n_used = 2; o->d_ff_exp = 16; o->n_ctx = 32;
    o->batch = 2; o->steps = 5; o->warmup = 2; o->log_every = 1; o->valid_every = 2; o->checkpoint_every = 2; o->valid_rows = 1;
    o->lr = 0.01;
    o->ema = 0.5;
    o->balance = "aux;z-loss;bias-free";
}

static void empty(const char *dir)
{
    char line[512];
    snprintf(line, sizeof line, "rm -rf '%s'", dir);
    assert_int_equal(system(line), 0);
}

static char *contents(const char *dir, const char *name, size_t *n)
{
    char path[512], *data;
    witan_ctx *cx = witan_ctx_new(NULL);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (wt_file_read(cx, path, 1 << 28, &data, n)) fail_msg("%s", witan_error(cx));
    char *copy = malloc(*n + 1);
    memcpy(copy, data, *n);
    wt_free(cx, data);
    witan_ctx_free(cx);
    return copy;
}

static void same_file(const char *a, const char *b, const char *name)
{
    size_t n, m;
    char *x = contents(a, name, &n), *y = contents(b, name, &m);
    if (n != m || memcmp(x, y, n)) fail_msg("%s of %s and of %s differ", name, a, b);
    free(x);
    free(y);
}

static void train(const witan_train_options *o, witan_train_result *r)
{
    witan_ctx *cx = witan_ctx_new(&(witan_config){ .threads = 2 });
    if (witan_train(cx, o, r)) fail_msg("%s", witan_error(cx));
    witan_ctx_free(cx);
}

static char whole[256];
static void reference(void)
{
    witan_train_options o;
    witan_train_result r;
    snprintf(whole, sizeof whole, "%s", fault_path("whole"));
    if (!access(whole, F_OK)) return;
    usual(&o, whole);
    train(&o, &r);
    assert_true(r.steps == 5 && r.tokens == 320 && isfinite(r.loss) && isfinite(r.valid_loss));
}

/* ---- faults ------------------------------------------------------------------------------------------------------------ */

static wt_status scene(witan_ctx *cx, void *arg)
{
    witan_train_options o;
    witan_train_result r;
    usual(&o, arg);
    empty(arg);
    return witan_train(cx, &o, &r);
}

static void every_fault_is_one_clear_error(void **state)
{
    static const struct { fault_kind kind; long most; } kinds[] = { { FAULT_ALLOC, 90 }, { FAULT_OPEN, 60 }, { FAULT_READ, 40 }, { FAULT_WRITE, 60 }, { FAULT_FSYNC, 60 },
                                                                   { FAULT_RENAME, 60 } };
    char dir[256], model[512];
    (void)state;
    snprintf(dir, sizeof dir, "%s", fault_path("faulty"));
    snprintf(model, sizeof model, "%s/model.gguf", dir);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        long rounds = fault_each(kinds[i].kind, scene, dir, model, kinds[i].most);
        if (rounds < 2) fail_msg("%s: %ld rounds", fault_name[kinds[i].kind], rounds);
    }
}

/* A disk that is full at any moment: the error names it, and once there is room the run goes on to the same bits. */
static void a_full_disk_costs_nothing_but_time(void **state)
{
    char dir[256];
    long failed = 0;
    (void)state;
    reference();
    snprintf(dir, sizeof dir, "%s", fault_path("full"));
    for (long at = 1; at < 400; at += 1 + at / 6) {
        fault f = { .fail = { [FAULT_WRITE] = at } };
        witan_ctx *cx = fault_ctx(&f);
        witan_train_options o;
        witan_train_result r;
        usual(&o, dir);
        empty(dir);
        wt_status st = witan_train(cx, &o, &r);
        if (st != WITAN_OK) {
            failed++;
            if (st != WITAN_EIO || !strstr(witan_error(cx), "write")) fail_msg("write %ld: status %d, \"%s\"", at, st, witan_error(cx));
        }
        witan_ctx_free(cx);
        if (f.live) fail_msg("write %ld: %ld blocks left", at, f.live);
        if (st == WITAN_OK) break;
        o.resume = true;
        train(&o, &r);
        same_file(whole, dir, "model.gguf");
        same_file(whole, dir, "model-ema.gguf");
    }
    assert_true(failed > 5);
}

/* ---- what comes out -------------------------------------------------------------------------------------------------------- */

enum { CTX = 64, ROWS = 16 };

/* Sum of the weighted losses of the rows of one domain, by feeding the model as a user would, token by token. */
static void by_session(witan_ctx *cx, const witan_model *m, const wt_data *d, int32_t domain, double *loss, double *weight)
{
    static int32_t id[ROWS * CTX], seq[ROWS * CTX], pos[ROWS * CTX], target[ROWS * CTX], dom[ROWS * CTX];
    static float w[ROWS * CTX];
    wt_rows rows = { .id = id, .seq = seq, .pos = pos, .target = target, .weight = w, .domain = dom };
    witan_session *s;
    int32_t n = (int32_t)d->domain[domain].n_row, n_vocab = m->cfg.n_vocab;
    assert_true(n > 0 && n <= ROWS);
    wt_data_valid(d, domain, 0, n, &rows);
    assert_int_equal(witan_session_new(cx, m, &(witan_session_options){ .n_ctx = CTX, .kv_type = WITAN_KV_F32 }, &s), WITAN_OK);
    for (int32_t i = 0; i < rows.n_tok; i++) {
        double sum = 0;
        if (!pos[i]) witan_seq_clear(s, 0);
        assert_int_equal(witan_feed(s, 0, id + i, 1), WITAN_OK);
        if (target[i] < 0) continue;
        const float *logit = witan_logits(s, 0);
        for (int32_t v = 0; v < n_vocab; v++) sum += exp((double)logit[v] - (double)logit[target[i]]);
        *loss += (double)w[i] * log(sum);
        *weight += (double)w[i];
    }
    witan_session_free(s);
}

/* The last validation came out of the training pass; the file it left gives the same loss when it runs as any model does. */
static void the_model_has_the_loss_that_was_logged(void **state)
{
    witan_train_options o;
    witan_train_result r;
    char dir[256];
    (void)state;
    snprintf(dir, sizeof dir, "%s", fault_path("documents"));
    usual(&o, dir);
    o.pack = WT_PACK_DOCUMENTS;
    o.valid_rows = ROWS;
    o.n_ctx = CTX;
    o.steps = 12;
    train(&o, &r);                               /* with a selection bias, which the file must have too */
    witan_ctx *cx = witan_ctx_new(NULL);
    witan_model *m;
    wt_data *d;
    double loss = 0, weight = 0;
    const char *path = held;
    if (witan_model_open(cx, r.model, NULL, &m)) fail_msg("%s", witan_error(cx));
    if (wt_data_open(cx, m->vocab, &path, 1, &(wt_data_options){ .n_ctx = CTX, .pack = WT_PACK_DOCUMENTS, .prompt_weight = 1 }, &d)) fail_msg("%s", witan_error(cx));
    for (size_t i = 0; i < d->n_domain; i++) by_session(cx, m, d, (int32_t)i, &loss, &weight);
    if (!(fabs(loss / weight / r.valid_loss - 1) < 1e-5)) fail_msg("the file has %.8f, the last validation had %.8f", loss / weight, r.valid_loss);
    wt_data_free(d);
    witan_model_free(m);
    witan_ctx_free(cx);
}

static wt_gguf *file(witan_ctx *cx, const char *dir, const char *name)
{
    char path[512];
    wt_gguf *g;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (wt_gguf_open(cx, path, &g)) fail_msg("%s", witan_error(cx));
    return g;
}

static void what_is_frozen_stays_and_the_rest_learns(void **state)
{
    witan_train_options o;
    witan_train_result r;
    char dir[256];
    (void)state;
    snprintf(dir, sizeof dir, "%s", fault_path("frozen"));
    usual(&o, dir);
    o.frozen = "experts,embed";
    o.balance = "none";
    train(&o, &r);
    witan_ctx *cx = witan_ctx_new(NULL);
    wt_gguf *a = file(cx, dir, "init.gguf"), *b = file(cx, dir, "model.gguf");
    assert_int_equal(a->n_tensor, b->n_tensor);
    for (size_t i = 0; i < a->n_tensor; i++) {
        const wt_tensor *x = a->tensor + i, *y = wt_gguf_tensor(b, x->name);
        bool frozen = wt_role_of(x->name).part == WT_PART_EXPERT || wt_role_of(x->name).part == WT_PART_EMBED;
        assert_non_null(y);
        if (!memcmp(x->data, y->data, x->bytes) != frozen) fail_msg("%s %s", x->name, frozen ? "changed" : "is as it was");
    }
    wt_gguf_free(a);
    wt_gguf_free(b);
    witan_ctx_free(cx);
}

/* A finished model is gone on with, in another block type; its history has both steps. */
static void training_goes_on_from_a_checkpoint_of_any_type(void **state)
{
    witan_train_options o;
    witan_train_result r;
    char dir[256], model[512];
    wt_str *history;
    size_t n;
    (void)state;
    reference();
    snprintf(dir, sizeof dir, "%s", fault_path("second"));
    snprintf(model, sizeof model, "%s/model.gguf", whole);
    usual(&o, dir);
    o.init = model;
    o.type = "F16";
    train(&o, &r);
    witan_ctx *cx = witan_ctx_new(NULL);
    wt_gguf *g = file(cx, dir, "model.gguf");
    assert_int_equal(wt_gguf_tensor(g, "blk.0.ffn_up_exps.weight")->type, WT_F16);
    assert_int_equal(wt_gguf_tensor(g, "blk.0.ffn_gate_inp.weight")->type, WT_F32);
    assert_int_equal(wt_gguf_strs(cx, g, "witan.history", true, &history, &n), WITAN_OK);
    assert_int_equal(n, 3);                      /* fresh weights, train, train */
    wt_free(cx, history);
    wt_gguf_free(g);
    witan_ctx_free(cx);
}

static void other_data_is_not_resumed(void **state)
{
    witan_train_options o;
    witan_train_result r;
    char dir[256];
    (void)state;
    snprintf(dir, sizeof dir, "%s", fault_path("other"));
    usual(&o, dir);
    o.steps = 3;
    char copy[256];
    snprintf(copy, sizeof copy, "%s", fault_path("copy.jsonl"));
    char line[600];
    snprintf(line, sizeof line, "cp '%s' '%s'", text, copy);
    assert_int_equal(system(line), 0);
    o.data = copy;
    train(&o, &r);
    FILE *f = fopen(copy, "a");
    fprintf(f, "{\"text\":\"more\",\"domain\":\"odd\"}\n");
    fclose(f);
    witan_ctx *cx = witan_ctx_new(NULL);
    o.steps = 5;
    o.resume = true;
    assert_int_equal(witan_train(cx, &o, &r), WITAN_EMISMATCH);
    assert_non_null(strstr(witan_error(cx), "the training data is not what it was"));
    witan_ctx_free(cx);
}

/* ---- for transformers ---------------------------------------------------------------------------------------------------------- */

static wt_status export(wt_ctx *cx, void *arg)
{
    empty(arg);
    return witan_convert_hf(cx, vocab, arg, &(witan_convert_options){ .split = 100000 });
}

/* The index comes last: where it stands, everything does. */
static void a_folder_for_transformers_is_complete_or_has_no_index(void **state)
{
    static const fault_kind kinds[] = { FAULT_ALLOC, FAULT_OPEN, FAULT_WRITE, FAULT_FSYNC, FAULT_RENAME };
    char dir[256], index[512];
    (void)state;
    snprintf(dir, sizeof dir, "%s", fault_path("hf"));
    snprintf(index, sizeof index, "%s/model.safetensors.index.json", dir);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) assert_true(fault_each(kinds[i], export, dir, index, 60) > 1);
}

static void what_transformers_has_no_place_for_is_refused(void **state)
{
    char model[512];
    witan_ctx *cx = witan_ctx_new(NULL);
    (void)state;
    reference();
    snprintf(model, sizeof model, "%s/model.gguf", whole);
    assert_int_equal(witan_convert_hf(cx, model, fault_path("hf2"), &(witan_convert_options){ 0 }), WITAN_EUNSUPPORTED);
    assert_non_null(strstr(witan_error(cx), "selection bias"));
    assert_int_equal(witan_convert_hf(cx, vocab, fault_path("hf2"), &(witan_convert_options){ .type = "Q4_0" }), WITAN_EARG);
    witan_ctx_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_costs_nothing_but_time), cmocka_unit_test(every_fault_is_one_clear_error), cmocka_unit_test(the_model_has_the_loss_that_was_logged),
        cmocka_unit_test(what_is_frozen_stays_and_the_rest_learns), cmocka_unit_test(training_goes_on_from_a_checkpoint_of_any_type),
        cmocka_unit_test(other_data_is_not_resumed), cmocka_unit_test(a_folder_for_transformers_is_complete_or_has_no_index),
        cmocka_unit_test(what_transformers_has_no_place_for_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
