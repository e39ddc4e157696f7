/* Sequences side by side: whatever the neighbours do, a sequence gets the bits it would get alone; pages of the cache that are used again
 * leave no trace; what cannot be fed is refused whole; damaged routers end in an error that names the layer. */
#include "base/rng.h"
#include "fault.h"
#include "gold.h"
#include "tiny.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 72, MOST_SEQ = 16 };        /* past the first page of the cache */

static witan_ctx *cx;
static fault f;
static int32_t kv_type;                    /* of all sessions */

static int set_up(void **state) { (void)state; f = (fault){ 0 }; cx = fault_ctx(&f); return !cx; }

static int tear_down(void **state)
{
    (void)state;
    witan_ctx_free(cx);
    fault_folder_free();
    if (f.live) print_error("%ld blocks leaked\n", f.live);
    return f.live != 0;
}

static witan_model *open_model(const char *path)
{
    witan_model *m;
    if (witan_model_open(cx, path, NULL, &m) != WITAN_OK) fail_msg("%s", witan_error(cx));
    return m;
}

static witan_session *session_new(const witan_model *m, int32_t n_ctx, int32_t n_seq)
{
    witan_session *s;
    if (witan_session_new(cx, m, &(witan_session_options){ .n_ctx = n_ctx, .n_seq = n_seq, .kv_type = kv_type }, &s) != WITAN_OK) fail_msg("%s", witan_error(cx));
    return s;
}

static size_t n_vocab(const witan_model *m) { return (size_t)witan_model_get_info(m)->n_vocab; }

static void feed_batch(witan_session *s, const witan_token *tok, size_t n)
{
    if (witan_feed_batch(s, tok, n) != WITAN_OK) fail_msg("%s", witan_error(cx));
}

static void feed(witan_session *s, int32_t seq, const int32_t *ids, size_t n)
{
    if (witan_feed(s, seq, ids, n) != WITAN_OK) fail_msg("%s", witan_error(cx));
}

static void draw_ids(const witan_model *m, uint64_t seed, int32_t *ids, size_t n)
{
    wt_rng rng;
    wt_rng_seed(&rng, seed, 0);
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)wt_rng_below(&rng, n_vocab(m));
}

/* Rows of logits of the victim decoded alone, [n, n_vocab]. */
static float *alone(const witan_model *m, const int32_t *ids, size_t n)
{
    float *rows = malloc(n * n_vocab(m) * sizeof *rows);
    witan_session *s = session_new(m, (int32_t)n, 1);
    assert_non_null(rows);
    for (size_t i = 0; i < n; i++) {
        feed(s, 0, ids + i, 1);
        memcpy(rows + i * n_vocab(m), witan_logits(s, 0), n_vocab(m) * sizeof *rows);
    }
    witan_session_free(s);
    return rows;
}

/* ---- neighbours ---------------------------------------------------------------------------------------------------------------- */

typedef enum manner { RANDOM, EQUAL, ONE_TOKEN, RESTLESS, N_MANNER } manner;
static const char *const manner_name[N_MANNER] = { "random", "equal", "all the same token", "cleared and restarted" };

typedef struct crowd { const witan_model *m; witan_session *s; manner how; int32_t n; wt_rng rng; const int32_t *ids; } crowd;

static int32_t their_token(crowd *c, size_t step)
{
    int32_t any = (int32_t)wt_rng_below(&c->rng, n_vocab(c->m));
    return c->how == EQUAL ? c->ids[step] : c->how == ONE_TOKEN ? 7 : any;
}

/* One batch: each neighbour brings one to three tokens, the victim one; the order of the sequences changes with every step. Returns which
 * row of logits is the victim's. */
static size_t one_step(crowd *c, size_t step)
{
    witan_token tok[3 * MOST_SEQ];
    size_t n = 0, row = 0, rows = 0;
    int32_t n_seq = c->n + 1, first = (int32_t)wt_rng_below(&c->rng, (uint64_t)n_seq);
    for (int32_t k = 0; k < n_seq; k++) {
        int32_t seq = (first + k) % n_seq;
        if (seq == 0) {
            row = rows++;
            tok[n++] = (witan_token){ c->ids[step], 0, true };
            continue;
        }
        if (c->how == RESTLESS && wt_rng_below(&c->rng, 4) == 0) witan_seq_clear(c->s, seq);
        size_t more = c->how == RANDOM || c->how == RESTLESS ? wt_rng_below(&c->rng, 3) : 0;
        for (size_t i = 0; i <= more; i++) {
            bool want = wt_rng_below(&c->rng, 2);
            tok[n++] = (witan_token){ their_token(c, step), seq, want };
            rows += want;
        }
    }
    feed_batch(c->s, tok, n);
    assert_null(witan_logits(c->s, rows));
    return row;
}

static void surrounded(const witan_model *m, const int32_t *ids, const float *expected, manner how, int32_t n)
{
    crowd c = { .m = m, .s = session_new(m, 3 * STEPS, n + 1), .how = how, .n = n, .ids = ids };
    char where[160];
    wt_rng_seed(&c.rng, (uint64_t)n, how);
    for (size_t i = 0; i < STEPS; i++) {
        size_t row = one_step(&c, i);
        snprintf(where, sizeof where, "%s, %d neighbours, %s, step %zu", witan_model_get_info(m)->arch, n, manner_name[how], i);
        gold_check_row(where, witan_logits(c.s, row), expected + i * n_vocab(m), n_vocab(m), 0);
    }
    assert_int_equal(witan_seq_len(c.s, 0), STEPS);
    witan_session_free(c.s);
}

static void every_neighbourhood(const char *path, int32_t step)
{
    witan_model *m = open_model(path);
    int32_t ids[STEPS];
    draw_ids(m, 5, ids, STEPS);
    float *expected = alone(m, ids, STEPS);
    for (int32_t threads = 1; threads <= 2; threads++) {
        witan_set_threads(cx, threads);
        for (int32_t n = 1; n < MOST_SEQ; n += step)
            for (manner how = 0; how < N_MANNER; how++) surrounded(m, ids, expected, how, n);
    }
    free(expected);
    witan_model_free(m);
}

static void neighbours_change_no_bit_of_an_olmoe_sequence(void **state) { (void)state; every_neighbourhood("tests/gold/olmoe.gguf", 1); }
static void neighbours_change_no_bit_of_a_qwen3moe_sequence(void **state) { (void)state; every_neighbourhood("tests/gold/qwen3moe.gguf", 2); }
static void neighbours_change_no_bit_of_a_quantized_sequence(void **state) { (void)state; every_neighbourhood("tests/gold/qwen3moe-q8_0.gguf", 7); }

static void neighbours_change_no_bit_whatever_keys_and_values_are_kept_as(void **state)
{
    (void)state;
    for (kv_type = WITAN_KV_F32; kv_type <= WITAN_KV_Q8_0; kv_type++) every_neighbourhood("tests/gold/qwen3moe.gguf", 7);
    kv_type = WITAN_KV_AUTO;
}

/* A model wide enough that its work is really shared out. */
static void threads_and_pieces(void)
{
    enum { N = 200 };
    witan_model *m = open_model("models/council-Q8_0.gguf");
    int32_t ids[N];
    float *expected = malloc(n_vocab(m) * sizeof *expected);
    draw_ids(m, 6, ids, N);
    for (int32_t threads = 1; threads <= 4; threads++) {
        witan_set_threads(cx, threads);
        for (size_t piece = 1; piece <= N; piece = piece == 1 ? 9 : piece == 9 ? 130 : piece == 130 ? N : N + 1) {
            char where[80];
            witan_session *s = session_new(m, N, 1);
            for (size_t at = 0; at < N; at += piece) feed(s, 0, ids + at, N - at < piece ? N - at : piece);
            if (threads == 1 && piece == 1) memcpy(expected, witan_logits(s, 0), n_vocab(m) * sizeof *expected);
            snprintf(where, sizeof where, "%d threads, %zu tokens at a time", threads, piece);
            gold_check_row(where, witan_logits(s, 0), expected, n_vocab(m), 0);
            witan_session_free(s);
        }
    }
    free(expected);
    witan_model_free(m);
}

static void threads_and_pieces_change_no_bit_of_a_larger_model(void **state)
{
    (void)state;
    for (kv_type = WITAN_KV_F32; kv_type <= WITAN_KV_Q8_0; kv_type++) threads_and_pieces();
    kv_type = WITAN_KV_AUTO;
}

/* ---- the cache ------------------------------------------------------------------------------------------------------------------- */

static void used_pages_leave_no_trace(void **state)
{
    enum { N = 150 };
    (void)state;
    witan_model *m = open_model("tests/gold/qwen3moe.gguf");
    int32_t ids[N], other[N];
    draw_ids(m, 1, ids, N);
    draw_ids(m, 2, other, N);
    float *expected = alone(m, ids, N);
    witan_session *s = session_new(m, N, 2);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i += 10) {                    /* growing side by side, so pages of both alternate */
            feed(s, 0, other + i, 10);
            feed(s, 1, ids + i, 10);
            gold_check_row("side by side", witan_logits(s, 0), expected + (i + 9) * n_vocab(m), n_vocab(m), 0);
        }
        witan_seq_clear(s, 0);
        assert_int_equal(witan_seq_len(s, 0), 0);
        feed(s, 0, ids, N);
        gold_check_row("in cleared pages", witan_logits(s, 0), expected + (N - 1) * n_vocab(m), n_vocab(m), 0);
        witan_seq_clear(s, 1);
        witan_seq_clear(s, 0);
        witan_seq_clear(s, 0);                                  /* clearing twice is fine */
    }
    free(expected);
    witan_session_free(s);
    witan_model_free(m);
}

/* What is kept changes results by its rounding and no more; logits reach 6 to 10. Another choice of experts is part of it. */
static void types_of_the_cache_differ_by_their_rounding(void **state)
{
    enum { N = 100 };
    static const double most[] = { [WITAN_KV_AUTO] = 0.01, [WITAN_KV_F32] = 0, [WITAN_KV_F16] = 0.01, [WITAN_KV_Q8_0] = 0.1 };   /* root mean square */
    (void)state;
    witan_model *m = open_model("tests/gold/qwen3moe.gguf");
    int32_t ids[N];
    draw_ids(m, 8, ids, N);
    kv_type = WITAN_KV_F32;
    float *expected = alone(m, ids, N);
    for (kv_type = WITAN_KV_AUTO; kv_type <= WITAN_KV_Q8_0; kv_type++) {
        float *found = alone(m, ids, N);
        double off = 0;
        for (size_t i = 0; i < N * n_vocab(m); i++) off += pow((double)found[i] - expected[i], 2) / (double)(N * n_vocab(m));
        off = sqrt(off);
        if (off > most[kv_type] || (off == 0) != (kv_type == WITAN_KV_F32)) fail_msg("type %d: logits are off by %g", kv_type, off);
        free(found);
    }
    kv_type = WITAN_KV_AUTO;
    free(expected);
    witan_model_free(m);
}

/* ---- limits ------------------------------------------------------------------------------------------------------------------------ */

/* A session of two sequences of at most 160 tokens, with 140 in the first. After a refusal it must go on as if nothing had been asked. */
typedef struct limits { witan_model *m; witan_session *s; int32_t ids[160]; float *expected; } limits;

static void limits_open(limits *l)
{
    l->m = open_model("tests/gold/olmoe.gguf");
    draw_ids(l->m, 3, l->ids, 160);
    l->expected = alone(l->m, l->ids, 160);
    l->s = session_new(l->m, 160, 2);
    feed(l->s, 0, l->ids, 140);
}

static void limits_close(limits *l)
{
    assert_int_equal(witan_seq_len(l->s, 0), 140);
    assert_int_equal(witan_seq_len(l->s, 1), 0);
    feed(l->s, 0, l->ids + 140, 20);
    gold_check_row("after a refusal", witan_logits(l->s, 0), l->expected + 159 * n_vocab(l->m), n_vocab(l->m), 0);
    assert_int_equal(witan_feed(l->s, 0, l->ids, 1), WITAN_ELIMIT);
    feed(l->s, 1, l->ids, 160);
    gold_check_row("the other sequence", witan_logits(l->s, 0), l->expected + 159 * n_vocab(l->m), n_vocab(l->m), 0);
    free(l->expected);
    witan_session_free(l->s);
    witan_model_free(l->m);
}

static void refused(const limits *l, witan_status st, witan_status expected, const char *says)
{
    assert_int_equal(st, expected);
    if (!strstr(witan_error(cx), says)) fail_msg("\"%s\" does not say \"%s\"", witan_error(cx), says);
    assert_int_equal(witan_seq_len(l->s, 0), 140);
    assert_int_equal(witan_seq_len(l->s, 1), 0);
}

static void too_many_tokens_append_nothing(void **state)
{
    limits l;
    witan_token tok[180];
    (void)state;
    limits_open(&l);
    refused(&l, witan_feed(l.s, 0, l.ids, 21), WITAN_ELIMIT, "context");
    refused(&l, witan_feed(l.s, 1, l.ids, 161), WITAN_ELIMIT, "context");
    refused(&l, witan_feed(l.s, 1, l.ids, (size_t)-1), WITAN_ELIMIT, "context");
    for (int i = 0; i < 180; i++) tok[i] = (witan_token){ l.ids[i % 160], i < 159, true };     /* 159 fit in the other one, 21 do not here */
    refused(&l, witan_feed_batch(l.s, tok, 180), WITAN_ELIMIT, "context");
    limits_close(&l);
}

static void an_id_outside_the_vocabulary_appends_nothing(void **state)
{
    limits l;
    (void)state;
    for (int k = 0; k < 2; k++) {
        limits_open(&l);
        int32_t bad = k ? (int32_t)n_vocab(l.m) : -1, ids[150], at[] = { 0, 1, 127, 128, 149 };
        witan_token tok[150];
        for (int i = 0; i < 5; i++) {
            memcpy(ids, l.ids, sizeof ids);
            ids[at[i]] = bad;
            for (int j = 0; j < 150; j++) tok[j] = (witan_token){ ids[j], 1, false };
            refused(&l, witan_feed(l.s, 1, ids, 150), WITAN_EARG, "token id");
            refused(&l, witan_feed_batch(l.s, tok, 150), WITAN_EARG, "token id");
        }
        limits_close(&l);
    }
}

static void a_sequence_that_does_not_exist_is_refused(void **state)
{
    limits l;
    (void)state;
    limits_open(&l);
    static const int32_t bad[] = { -1, 2, INT32_MAX, INT32_MIN };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        witan_token tok[2] = { { 1, 0, true }, { 1, bad[i], true } };
        refused(&l, witan_feed(l.s, bad[i], l.ids, 1), WITAN_EARG, "sequence");
        refused(&l, witan_feed_batch(l.s, tok, 2), WITAN_EARG, "sequence");
        witan_seq_clear(l.s, bad[i]);
        assert_int_equal(witan_seq_len(l.s, bad[i]), 0);
    }
    limits_close(&l);
}

static wt_status object(void *user, wt_ctx *c, const wt_tap_event *e)
{
    int *left = user;
    return e->layer == 1 && (*left)-- == 0 ? wt_fail(c, WITAN_ECANCELED, "the observer objects") : WITAN_OK;
}

/* Longer than one piece of the forward pass (512 tokens): six sequences of 150. */
static void an_observer_that_fails_undoes_the_whole_batch(void **state)
{
    enum { N = 900 };
    limits l;
    witan_token tok[N];
    (void)state;
    limits_open(&l);
    witan_session_free(l.s);
    l.s = session_new(l.m, 160, 7);
    feed(l.s, 0, l.ids, 140);
    for (int i = 0; i < N; i++) tok[i] = (witan_token){ l.ids[i / 6], 1 + i % 6, true };
    for (int part = 0; part < 2; part++) {                      /* in the first piece of the batch, in the second */
        int left = part;
        wt_observer o = { .taps = 1u << WT_TAP_BLOCK, .see = object, .user = &left };
        refused(&l, wt_session_feed(l.s, tok, N, &o, 1), WITAN_ECANCELED, "objects");
        assert_null(witan_logits(l.s, 0));
        for (int32_t q = 1; q < 7; q++) assert_int_equal(witan_seq_len(l.s, q), 0);
    }
    limits_close(&l);
}

static void feeding_nothing_is_fine(void **state)
{
    limits l;
    (void)state;
    limits_open(&l);
    assert_int_equal(witan_feed(l.s, 0, NULL, 0), WITAN_OK);
    assert_int_equal(witan_feed_batch(l.s, NULL, 0), WITAN_OK);
    assert_null(witan_logits(l.s, 0));
    limits_close(&l);
}

static void impossible_sessions_are_refused(void **state)
{
    static const witan_session_options bad[] = { { .n_ctx = -1 }, { .n_seq = -1 }, { .n_ctx = INT32_MAX }, { .n_seq = INT32_MAX },
                                                  { .kv_type = -1 }, { .kv_type = WITAN_KV_Q8_0 + 1 } };
    (void)state;
    witan_model *m = open_model("tests/gold/olmoe.gguf");
    witan_session *s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(witan_session_new(cx, m, bad + i, &s), WITAN_EARG);
        assert_true(*witan_error(cx));
    }
    witan_session_free(NULL);
    witan_model_free(m);
}

/* ---- memory --------------------------------------------------------------------------------------------------------------------------- */

static void decoding_does_not_allocate(void **state)
{
    (void)state;
    witan_model *m = open_model("tests/gold/olmoe.gguf");
    witan_session *s = session_new(m, 200, 1);
    int32_t ids[200];
    draw_ids(m, 4, ids, 200);
    feed(s, 0, ids, 130);
    long before = f.count[FAULT_ALLOC];
    for (size_t i = 130; i < 200; i++) feed(s, 0, ids + i, 1);
    assert_int_equal(f.count[FAULT_ALLOC], before);
    witan_session_free(s);
    witan_model_free(m);
}

static void a_failed_allocation_in_a_feed_appends_nothing(void **state)
{
    (void)state;
    witan_model *m = open_model("tests/gold/olmoe.gguf");
    int32_t ids[140];
    long n = 0;
    witan_status st;
    draw_ids(m, 4, ids, 140);
    float *expected = alone(m, ids, 140);
    do {
        witan_session *s = session_new(m, 160, 1);
        f.hit = false;
        f.fail[FAULT_ALLOC] = f.count[FAULT_ALLOC] + ++n;
        st = witan_feed(s, 0, ids, 140);
        f.fail[FAULT_ALLOC] = 0;
        assert_int_equal(st, f.hit ? WITAN_ENOMEM : WITAN_OK);
        assert_int_equal(witan_seq_len(s, 0), st == WITAN_OK ? 140 : 0);
        if (st != WITAN_OK) feed(s, 0, ids, 140);
        gold_check_row("fed again", witan_logits(s, 0), expected + 139 * n_vocab(m), n_vocab(m), 0);
        witan_session_free(s);
    } while (st != WITAN_OK);
    assert_true(n > 2);
    free(expected);
    witan_model_free(m);
}

/* ---- damaged routers ------------------------------------------------------------------------------------------------------------------- */

/* Writes a tiny model whose router in layer 1 has `n` values set to v from value `from` on. */
static char *poisoned(float v, size_t from, size_t n)
{
    char *path = fault_path("poisoned.gguf");
    wt_gguf *g;
    assert_int_equal(tiny_write(cx, path, WT_F32, 1), WITAN_OK);
    assert_int_equal(wt_gguf_open(cx, path, &g), WITAN_OK);
    const wt_tensor *w = wt_gguf_tensor(g, "blk.1.ffn_gate_inp.weight");
    assert_non_null(w);
    long at = (long)((const uint8_t *)w->data - g->map.data);
    assert_true(from + n <= w->n);
    wt_gguf_free(g);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at + (long)(from * sizeof v), SEEK_SET), 0);
    for (size_t i = 0; i < n; i++) assert_int_equal(fwrite(&v, sizeof v, 1, file), 1);
    fclose(file);
    return path;
}

static wt_status inside(void *user, wt_ctx *c, const wt_tap_event *e)
{
    bool *lowest = user;
    (void)c;
    for (int32_t i = 0; i < e->route->n_pair; i++) {
        assert_in_range(e->route->expert[i], 0, TINY_EXPERTS - 1);
        assert_true(isfinite(e->route->weight[i]));
        if (e->layer == 1) *lowest &= e->route->expert[i] == i % TINY_USED;
    }
    return WITAN_OK;
}

/* Returns whether layer 1 always chose the experts with the lowest ids. */
static bool sound_or_names_the_layer(const char *path, witan_status *st)
{
    witan_model *m = open_model(path);
    witan_session *s = session_new(m, 64, 1);
    bool lowest = true;
    wt_observer o = { .taps = 1u << WT_TAP_ROUTE, .see = inside, .user = &lowest };
    witan_token tok[40];
    for (int i = 0; i < 40; i++) tok[i] = (witan_token){ i * 5 % TINY_VOCAB, 0, true };
    *st = wt_session_feed(s, tok, 40, &o, 1);
    if (*st == WITAN_OK) {
        for (size_t i = 0; i < 40 * n_vocab(m); i++) assert_true(isfinite(witan_logits(s, 0)[i]));
    } else {
        assert_int_equal(*st, WITAN_EFORMAT);
        if (!strstr(witan_error(cx), "layer 1")) fail_msg("\"%s\" does not name layer 1", witan_error(cx));
        assert_int_equal(witan_seq_len(s, 0), 0);
    }
    witan_session_free(s);
    witan_model_free(m);
    return lowest;
}

static void router_weights_that_are_no_numbers_are_an_error_naming_the_layer(void **state)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    static const size_t all = TINY_EXPERTS * TINY_WIDTH;
    const struct { size_t from, n; } part[] = { { 0, 1 }, { 77, 1 }, { 3 * TINY_WIDTH, TINY_WIDTH }, { 0, all }, { all - 1, 1 } };
    witan_status st;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t k = 0; k < sizeof part / sizeof *part; k++) {
            sound_or_names_the_layer(poisoned(bad[i], part[k].from, part[k].n), &st);
            if (isnan(bad[i])) assert_int_equal(st, WITAN_EFORMAT);
        }
}

static void router_weights_that_overflow_are_an_error_or_finite(void **state)
{
    static const float large[] = { 3e38f, -3e38f, 1e30f, 1e-45f };
    witan_status st;
    (void)state;
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        for (size_t n = TINY_WIDTH; n <= TINY_EXPERTS * TINY_WIDTH; n *= 2) sound_or_names_the_layer(poisoned(large[i], 0, n), &st);
}

static void equal_router_rows_choose_the_lowest_ids(void **state)
{
    static const float same[] = { 0, 1, -0.5f };
    witan_status st;
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_true(sound_or_names_the_layer(poisoned(same[i], 0, TINY_EXPERTS * TINY_WIDTH), &st));
        assert_int_equal(st, WITAN_OK);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        T(neighbours_change_no_bit_of_an_olmoe_sequence),
        T(neighbours_change_no_bit_of_a_qwen3moe_sequence),
        T(neighbours_change_no_bit_of_a_quantized_sequence),
        T(neighbours_change_no_bit_whatever_keys_and_values_are_kept_as),
        T(threads_and_pieces_change_no_bit_of_a_larger_model),
        T(used_pages_leave_no_trace),
        T(types_of_the_cache_differ_by_their_rounding),
        T(too_many_tokens_append_nothing),
        T(an_id_outside_the_vocabulary_appends_nothing),
        T(a_sequence_that_does_not_exist_is_refused),
        T(an_observer_that_fails_undoes_the_whole_batch),
        T(feeding_nothing_is_fine),
        T(impossible_sessions_are_refused),
        T(decoding_does_not_allocate),
        T(a_failed_allocation_in_a_feed_appends_nothing),
        T(router_weights_that_are_no_numbers_are_an_error_naming_the_layer),
        T(router_weights_that_overflow_are_an_error_or_finite),
        T(equal_router_rows_choose_the_lowest_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
