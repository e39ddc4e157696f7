/* The engine against an independent implementation: tiny checkpoints of every family and of many block types, whose logits and
 * routing transformers computed. However a sequence is fed, the numbers are right, and they are the same to the last bit. */
#include "gold.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of a logit; they reach 6 to 10. Where weights are in blocks and activations are rounded to bytes, that rounding is all that may differ:
 * it is judged by its root mean square beside that of the logits, which are tiny random models' and shake more than trained ones do. */
static const float TOLERANCE = 1e-4f, ROUNDING = 0.05f;

/* A context with its model; the kernels are chosen when the model is opened. */
typedef struct engine { witan_ctx *cx; witan_model *m; } engine;

static engine engine_open_as(const gold *g, const char *tier, bool exact, int32_t threads, const witan_model_options *o)
{
    engine e = { .cx = witan_ctx_new(&(witan_config){ .threads = threads, .tier = tier, .exact = exact }) };
    assert_non_null(e.cx);
    if (witan_model_open(e.cx, g->model, o, &e.m) != WITAN_OK) fail_msg("%s", witan_error(e.cx));
    assert_int_equal(witan_model_get_info(e.m)->n_vocab, g->n_vocab);
    return e;
}

static engine engine_open(const gold *g, const char *tier, bool exact, int32_t threads) { return engine_open_as(g, tier, exact, threads, NULL); }

static void engine_free(engine *e)
{
    witan_model_free(e->m);
    witan_ctx_free(e->cx);
}

static witan_session *session_new(const engine *e, int32_t n_seq)
{
    witan_session *s;
    if (witan_session_new(e->cx, e->m, &(witan_session_options){ .n_ctx = 128, .n_seq = n_seq, .kv_type = WITAN_KV_F32 }, &s) != WITAN_OK) fail_msg("%s", witan_error(e->cx));
    return s;
}

/* ---- ways to feed a sequence ------------------------------------------------------------------------------------------ */

/* Feeds ids [at, at + n) to sequence seq and copies their rows of logits to out [n, n_vocab]. */
static void feed(const engine *e, witan_session *s, int32_t seq, const gold_seq *q, size_t at, size_t n, const wt_observer *obs, float *out)
{
    size_t n_vocab = (size_t)witan_model_get_info(e->m)->n_vocab;
    witan_token tok[128];
    assert_in_range(n, 1, 128);
    for (size_t i = 0; i < n; i++) tok[i] = (witan_token){ q->ids[at + i], seq, true };
    if (wt_session_feed(s, tok, n, obs, obs ? 1 : 0) != WITAN_OK) fail_msg("%s", witan_error(e->cx));
    for (size_t i = 0; i < n; i++) memcpy(out + i * n_vocab, witan_logits(s, i), n_vocab * sizeof *out);
    assert_null(witan_logits(s, n));
}

/* In pieces of the given length; the whole sequence at once where it is as long as that. */
static void in_pieces(const engine *e, const gold_seq *q, size_t piece, gold_watch *w, float *out)
{
    size_t n_vocab = (size_t)witan_model_get_info(e->m)->n_vocab;
    witan_session *s = session_new(e, 1);
    wt_observer o = gold_observer(w);
    for (size_t at = 0; at < q->n; at += piece) feed(e, s, 0, q, at, q->n - at < piece ? q->n - at : piece, &o, out + at * n_vocab);
    witan_session_free(s);
}

/* As sequence 2 of four; the others get other tokens in the same batches, before and behind it. */
static void among_others(const engine *e, const gold_seq *q, size_t piece, gold_watch *w, float *out)
{
    int32_t n_vocab = witan_model_get_info(e->m)->n_vocab;
    witan_session *s = session_new(e, 4);
    wt_observer o = gold_observer(w);
    witan_token tok[128];
    assert_true(piece * 4 <= 128);
    for (size_t at = 0, n; at < q->n; at += n) {
        size_t k = 0;
        n = q->n - at < piece ? q->n - at : piece;
        for (size_t i = 0; i < n; i++)
            for (int32_t seq = 0; seq < 4; seq++)
                tok[k++] = (witan_token){ seq == 2 ? q->ids[at + i] : (int32_t)((at + i) * 31 + (size_t)seq * 7) % n_vocab, seq, seq == 2 };
        if (wt_session_feed(s, tok, k, &o, 1) != WITAN_OK) fail_msg("%s", witan_error(e->cx));
        for (size_t i = 0; i < n; i++) memcpy(out + (at + i) * (size_t)n_vocab, witan_logits(s, i), (size_t)n_vocab * sizeof *out);
    }
    witan_session_free(s);
}

static float *rows_new(const gold *g, const gold_seq *q)
{
    float *p = malloc(q->n * g->n_vocab * sizeof *p);
    assert_non_null(p);
    return p;
}

/* The usual way: everything at once. */
static float *prefill(const engine *e, const gold *g, const gold_seq *q)
{
    gold_watch w = { 0 };
    float *out = rows_new(g, q);
    in_pieces(e, q, 128, &w, out);
    return out;
}

/* ---- judging ------------------------------------------------------------------------------------------------------------ */

/* Whether this engine rounds activations for this model. */
static bool rounds(const engine *e) { return e->m->k.qmul[e->m->layer[0].wq->type] != NULL; }

static void check_rounded(const char *how, const gold *g, const gold_seq *q, const float *rows)
{
    double off = 0, size = 0;
    for (size_t i = 0; i < (q->n - q->first) * g->n_vocab; i++) {
        double e = (double)q->logits[i], d = (double)rows[q->first * g->n_vocab + i] - e;
        off += d * d;
        size += e * e;
    }
    if (!(sqrt(off / size) <= (double)ROUNDING)) fail_msg("%s, %s: off by %g of the logits' size, allowed %g", g->model, how, sqrt(off / size), (double)ROUNDING);
    if (getenv("WITAN_PRINT")) print_message("%s, %s: %.4f\n", g->model, how, sqrt(off / size));
}

static void check_logits(const engine *e, const char *how, const gold *g, const gold_seq *q, const float *rows)
{
    char where[256];
    if (rounds(e)) { check_rounded(how, g, q, rows); return; }
    for (size_t t = q->first; t < q->n; t++) {
        snprintf(where, sizeof where, "%s, %s, position %zu", g->model, how, t);
        gold_check_row(where, rows + t * g->n_vocab, q->logits + (t - q->first) * g->n_vocab, g->n_vocab, TOLERANCE);
    }
}

static void check_routes(const engine *e, const char *how, const gold *g, const gold_seq *q, const gold_watch *w)
{
    char where[256];
    if (rounds(e)) return;
    for (size_t l = 0; l < g->n_layer; l++) {
        snprintf(where, sizeof where, "%s, %s, layer %zu", g->model, how, l);
        gold_check_route(where, w->last + l, q->last + l, 1e-5f);
    }
}

static void check_same(const char *how, const gold *g, const gold_seq *q, const float *rows, const float *expected)
{
    char where[256];
    snprintf(where, sizeof where, "%s, %s", g->model, how);
    gold_check_row(where, rows, expected, q->n * g->n_vocab, 0);
}

/* Runs `what` over every sequence of every fixture, with exact kernels and with those that round. */
static void each(void (*what)(const gold *g, const gold_seq *q, bool exact))
{
    for (size_t i = 0; gold_names[i]; i++) {
        gold g;
        gold_open(&g, gold_names[i]);
        for (size_t k = 0; k < 2 * g.n_seq; k++) what(&g, g.seq + k / 2, k % 2);
        gold_free(&g);
    }
}

/* ---- tests -------------------------------------------------------------------------------------------------------------- */

static void every_way(const gold *g, const gold_seq *q, bool exact)
{
    engine e = engine_open(g, NULL, exact, 0);
    float *first = rows_new(g, q), *rows = rows_new(g, q);
    static const size_t piece[] = { 1, 5, 16 };
    gold_watch w = { 0 };
    in_pieces(&e, q, 128, &w, first);
    check_logits(&e, "at once", g, q, first);
    check_routes(&e, "at once", g, q, &w);
    for (size_t i = 0; i < sizeof piece / sizeof *piece; i++) {
        char how[64];
        snprintf(how, sizeof how, "%zu at a time", piece[i]);
        w = (gold_watch){ 0 };
        in_pieces(&e, q, piece[i], &w, rows);
        check_logits(&e, how, g, q, rows);
        check_routes(&e, how, g, q, &w);
        check_same(how, g, q, rows, first);
    }
    for (size_t i = 1; i <= 32; i += 31) {
        const char *how = i == 1 ? "among others, one at a time" : "among others, 32 at a time";
        w = (gold_watch){ .seq = 2 };
        among_others(&e, q, i, &w, rows);
        check_logits(&e, how, g, q, rows);
        check_routes(&e, how, g, q, &w);
        check_same(how, g, q, rows, first);
    }
    free(first);
    free(rows);
    engine_free(&e);
}

static void prefill_decode_pieces_and_batch_match_transformers_and_have_the_same_bits(void **state) { (void)state; each(every_way); }

static void tier_by_tier(const gold *g, const gold_seq *q, bool exact)
{
    for (int t = 0; t < WT_N_TIER; t++) {
        if (!wt_tier_here((wt_tier)t)) continue;
        const char *tier = wt_tier_name((wt_tier)t);
        engine e = engine_open(g, tier, exact, 1);
        assert_int_equal(e.m->k.tier, t);
        float *rows = rows_new(g, q), *steps = rows_new(g, q);
        gold_watch w = { 0 };
        in_pieces(&e, q, 128, &w, rows);
        check_logits(&e, tier, g, q, rows);
        check_routes(&e, tier, g, q, &w);
        in_pieces(&e, q, 1, &w, steps);
        check_same(tier, g, q, steps, rows);
        free(rows);
        free(steps);
        engine_free(&e);
    }
}

static void every_tier_of_kernels_matches_transformers(void **state) { (void)state; each(tier_by_tier); }

static void thread_by_thread(const gold *g, const gold_seq *q, bool exact)
{
    engine one = engine_open(g, NULL, exact, 1);
    float *expected = prefill(&one, g, q), *rows = rows_new(g, q);
    for (int32_t n = 2; n <= 5; n++) {
        engine e = engine_open(g, NULL, exact, n);
        gold_watch w = { .seq = 2 };
        float *alone = prefill(&e, g, q);
        among_others(&e, q, 32, &w, rows);
        check_same("several threads", g, q, alone, expected);
        check_same("several threads, among others", g, q, rows, expected);
        free(alone);
        engine_free(&e);
    }
    free(expected);
    free(rows);
    engine_free(&one);
}

static void any_number_of_threads_gives_the_same_bits(void **state) { (void)state; each(thread_by_thread); }

static void store_by_store(const gold *g, const gold_seq *q, bool exact)
{
    static const witan_model_options way[] = { { .resident = true }, { .repack = true }, { .repack = true, .huge_pages = true }, { .prefault = true } };
    engine mapped = engine_open(g, NULL, exact, 1);
    float *a = prefill(&mapped, g, q);
    for (size_t i = 0; i < sizeof way / sizeof *way; i++) {
        engine e = engine_open_as(g, NULL, exact, 2, way + i);
        float *b = prefill(&e, g, q);
        check_same(i == 0 ? "resident" : i == 3 ? "prefault" : "repack", g, q, b, a);
        free(b);
        engine_free(&e);
    }
    free(a);
    engine_free(&mapped);
}

static void weights_copied_interleaved_or_read_ahead_give_the_same_bits(void **state) { (void)state; each(store_by_store); }

static void last_row(const gold *g, const gold_seq *q, bool exact)
{
    engine e = engine_open(g, NULL, exact, 1);
    witan_session *s = session_new(&e, 1);
    float *rows = prefill(&e, g, q);
    assert_int_equal(witan_feed(s, 0, q->ids, q->n), WITAN_OK);
    gold_check_row(g->model, witan_logits(s, 0), rows + (q->n - 1) * g->n_vocab, g->n_vocab, 0);
    assert_null(witan_logits(s, 1));
    assert_int_equal(witan_seq_len(s, 0), q->n);
    free(rows);
    witan_session_free(s);
    engine_free(&e);
}

static void feeding_without_asking_keeps_the_row_of_the_last_token_only(void **state) { (void)state; each(last_row); }

static void token_ids_match_the_tokenizers_package(void **state)
{
    (void)state;
    for (size_t i = 0; gold_names[i]; i++) {
        gold g;
        int32_t *ids;
        size_t n;
        gold_open(&g, gold_names[i]);
        engine e = engine_open(&g, NULL, true, 1);
        assert_int_equal(witan_tokenize(e.cx, e.m, g.text, strlen(g.text), 0, &ids, &n), WITAN_OK);
        assert_int_equal(n, g.n_text);
        assert_memory_equal(ids, g.text_ids, n * sizeof *ids);
        witan_free(e.cx, ids);
        engine_free(&e);
        gold_free(&g);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefill_decode_pieces_and_batch_match_transformers_and_have_the_same_bits),
        cmocka_unit_test(every_tier_of_kernels_matches_transformers),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(weights_copied_interleaved_or_read_ahead_give_the_same_bits),
        cmocka_unit_test(feeding_without_asking_keeps_the_row_of_the_last_token_only),
        cmocka_unit_test(token_ids_match_the_tokenizers_package),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
