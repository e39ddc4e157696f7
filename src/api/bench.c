/* Speed of prefill and decode beside what the machine allows. */
#include "base/rng.h"
#include "model/kv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_REPEAT = 1000, PIECE = 512 /* tokens */ };

typedef struct job {
    wt_ctx *cx;
    const wt_model *m;
    const witan_bench_options *o;
    witan_session *s;
    witan_token *tok;            /* of one feed */
    wt_rng rng;
    double *speed;               /* [repeat] */
} job;

/* ---- the limit ------------------------------------------------------------------------------------------------------- */

typedef struct needs { double read, params, quantized; } needs;   /* bytes of a step; weights a token uses, and those of them in blocks */

static double expected_experts(const wt_layer *l, double tokens)   /* chosen by at least one of so many tokens, if all are equally likely */
{
    return l->n_exp * (1 - pow(1 - (double)l->route.n_used / l->n_exp, tokens));
}

/* What one step over `tokens` tokens must read, and what one token must compute. The head is read and computed for `rows` of them. */
static needs count(const wt_model *m, double tokens, double rows)
{
    needs n = { 0 };
    for (size_t i = 0; i < m->file->n_tensor; i++) {
        const wt_tensor *t = m->file->tensor + i;
        wt_role role = wt_role_of(t->name);
        double share = 1, used = 1;                                /* of the bytes; of the weights, for one token */
        if (role.part == WT_PART_EXPERT) {
            const wt_layer *l = m->layer + role.layer;
            share = expected_experts(l, tokens) / l->n_exp;
            used = (double)l->route.n_used / l->n_exp;
        } else if (role.part == WT_PART_HEAD || (t == m->embed && m->head == m->embed)) used = rows / tokens;
        else if (t == m->embed) continue;
        n.read += (double)t->bytes * share;
        n.params += (double)t->n * used;
        if (wt_type_get(t->type)->block > 1) n.quantized += (double)t->n * used;
    }
    return n;
}

static void limit(const job *j, const witan_machine *machine, witan_bench_result *r)
{
    const wt_config *c = &j->m->cfg;
    bool prefill = j->o->prompt > 0;
    double step = prefill ? (double)j->o->prompt * j->o->batch : j->o->batch;          /* tokens of one step */
    double past = j->o->depth + (prefill ? j->o->prompt : j->o->generate) / 2.0;      /* tokens before a token, on average */
    needs n = count(j->m, step, prefill ? j->o->batch : step);
    double kv = (double)wt_kv_bytes(c, wt_kv_type_of(j->cx, (witan_kv)j->o->kv_type)) * (prefill ? j->o->batch * (past + j->o->prompt / 2.0) : step * past);
    double ops = 2 * n.params + 4.0 * c->n_layer * c->n_head * c->d_head * past;
    double memory = step * machine->read_bytes / (n.read + kv);
    double arithmetic = (n.quantized > n.params / 2 ? machine->i8_ops : machine->f32_ops) / ops;
    r->memory = memory < arithmetic;
    r->limit = fmin(memory, arithmetic);
    r->share = r->median / r->limit;
}

/* ---- measuring ------------------------------------------------------------------------------------------------------- */

static int32_t some_id(job *j) { return (int32_t)wt_rng_below(&j->rng, (uint64_t)j->m->cfg.n_vocab); }

/* n tokens for each sequence, one sequence after the other; logits of the last of each. In pieces, so that it can be followed and stopped. */
static wt_status feed(job *j, int32_t n)
{
    size_t total = (size_t)n * (size_t)j->o->batch, at = 0;
    for (int32_t q = 0; q < j->o->batch; q++)
        for (int32_t i = 0; i < n; i++) j->tok[at++] = (witan_token){ some_id(j), q, i + 1 == n };
    for (at = 0; at < total; at += PIECE) {
        size_t k = total - at < PIECE ? total - at : PIECE;
        WT_TRY(wt_session_feed(j->s, j->tok + at, k, NULL, 0));
        if (total > PIECE) WT_TRY(wt_progress(j->cx, "prompt", (double)(at + k), (double)total, "tokens"));
    }
    return WITAN_OK;
}

static wt_status once(job *j, double *tokens_per_second)
{
    int32_t n = j->o->prompt ? j->o->prompt : j->o->generate;
    for (int32_t q = 0; q < j->o->batch; q++) witan_seq_clear(j->s, q);
    if (j->o->depth) WT_TRY(feed(j, j->o->depth));
    double start = wt_now();
    if (j->o->prompt) WT_TRY(feed(j, n));
    else
        for (int32_t i = 0; i < n; i++) {
            WT_TRY(feed(j, 1));
            WT_TRY(wt_progress(j->cx, "generate", i + 1, n, "tokens"));
        }
    *tokens_per_second = (double)n * j->o->batch / (wt_now() - start);
    return WITAN_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static wt_status measure(job *j, witan_bench_result *r)
{
    int32_t n = j->o->repeat;
    double warm_up;
    WT_TRY(once(j, &warm_up));
    for (int32_t i = 0; i < n; i++) {
        WT_TRY(wt_progress(j->cx, r->test, i, n, "rounds"));
        WT_TRY(once(j, j->speed + i));
    }
    qsort(j->speed, (size_t)n, sizeof *j->speed, by_value);
    r->median = (j->speed[n / 2] + j->speed[(n - 1) / 2]) / 2;
    r->min = j->speed[0];
    r->max = j->speed[n - 1];
    return WITAN_OK;
}

static wt_status check(wt_ctx *cx, const witan_bench_options *o)
{
    if (o->prompt < 0 || o->generate < 0 || o->depth < 0 || !o->prompt == !o->generate || o->prompt + o->generate > 1 << 22 || o->depth > 1 << 22)
        return wt_fail(cx, WT_EARG, "bench: expected a prompt or a number of tokens to generate, up to %d", 1 << 22);
    if (o->batch < 1 || o->batch > 4096) return wt_fail(cx, WT_EARG, "bench: batch %d is outside [1, 4096]", o->batch);
    if (o->repeat < 1 || o->repeat > MOST_REPEAT) return wt_fail(cx, WT_EARG, "bench: %d repetitions are outside [1, %d]", o->repeat, MOST_REPEAT);
    return WITAN_OK;
}

wt_status witan_bench(wt_ctx *cx, const wt_model *m, const witan_machine *machine, const witan_bench_options *o, witan_bench_result *out)
{
    WT_TRY(check(cx, o));
    job j = { .cx = cx, .m = m, .o = o };
    int32_t most = o->prompt > o->depth ? o->prompt : o->depth ? o->depth : 1;
    witan_session_options so = { .n_ctx = o->prompt + o->generate + o->depth, .n_seq = o->batch, .kv_type = o->kv_type };
    *out = (witan_bench_result){ .batch = o->batch, .threads = cx->threads };
    snprintf(out->test, sizeof out->test, o->depth ? "%s%d@%d" : "%s%d", o->prompt ? "pp" : "tg", o->prompt ? o->prompt : o->generate, o->depth);
    wt_rng_seed(&j.rng, 1, 0);
    j.tok = wt_alloc(cx, (size_t)most * (size_t)o->batch, sizeof *j.tok);
    j.speed = wt_alloc(cx, (size_t)o->repeat, sizeof *j.speed);
    wt_status st = j.tok && j.speed ? witan_session_new(cx, m, &so, &j.s) : WT_ENOMEM;
    if (st == WITAN_OK) st = measure(&j, out);
    if (st == WITAN_OK) limit(&j, machine, out);
    witan_session_free(j.s);
    wt_free(cx, j.tok);
    wt_free(cx, j.speed);
    return st;
}
