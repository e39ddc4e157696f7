/* What observing costs: prefill with and without the calibration recorder, in turn, medians; and plain decode. Usage: overhead MODEL [THREADS] */
#include "edit/record.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>

enum { TOKENS = 256, ROUNDS = 15 };

static int by_value(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return x < y ? -1 : x > y; }
static double median(double *v, int n) { qsort(v, (size_t)n, sizeof *v, by_value); return v[n / 2]; }

static double prefill(witan_session *s, const witan_token *tok, const wt_observer *obs, size_t n_obs)
{
    double t0 = wt_now();
    witan_seq_clear(s, 0);
    for (int i = 0; i < TOKENS; i += 128)
        if (wt_session_feed(s, tok + i, 128, obs, n_obs)) exit(1);
    return wt_now() - t0;
}

static double decode(witan_session *s, const witan_token *tok)
{
    witan_seq_clear(s, 0);
    double t0 = wt_now();
    for (int i = 0; i < 128; i++) {
        witan_token one = tok[i];
        one.logits = true;
        if (witan_feed_batch(s, &one, 1)) exit(1);
    }
    return wt_now() - t0;
}

int main(int argc, char **argv)
{
    wt_ctx *cx = witan_ctx_new(&(witan_config){ .threads = argc > 2 ? atoi(argv[2]) : 0 });
    wt_model *m;
    witan_session *s;
    wt_record *r;
    int32_t n_exp[1024];
    witan_token tok[TOKENS];
    if (argc < 2 || witan_model_open(cx, argv[1], NULL, &m) || witan_session_new(cx, m, &(witan_session_options){ .n_ctx = TOKENS }, &s)) {
        fprintf(stderr, "%s\n", argc < 2 ? "usage: overhead MODEL [THREADS]" : witan_error(cx));
        return 1;
    }
    for (int32_t i = 0; i < m->cfg.n_layer; i++) n_exp[i] = m->layer[i].n_exp;
    for (int i = 0; i < TOKENS; i++) tok[i] = (witan_token){ (i * 7919 + 13) % m->cfg.n_vocab, 0, false };
    if (wt_record_new(cx, m->cfg.n_layer, n_exp, m->cfg.n_exp_used, &r)) return 1;
    wt_recorder rc = { .rec = r };
    if (wt_record_domain_add(r, "bench", &rc.domain)) return 1;
    wt_observer obs = wt_recorder_observer(&rc);
    double plain[ROUNDS], seen[ROUNDS], ratio[ROUNDS], one[ROUNDS];
    prefill(s, tok, &obs, 1);
    for (int i = 0; i < ROUNDS; i++) {
        plain[i] = prefill(s, tok, NULL, 0);
        seen[i] = prefill(s, tok, &obs, 1);
        ratio[i] = seen[i] / plain[i];
        one[i] = decode(s, tok);
    }
    double low = ratio[0], high = ratio[0];
    for (int i = 0; i < ROUNDS; i++) { if (ratio[i] < low) low = ratio[i]; if (ratio[i] > high) high = ratio[i]; }
    printf("%s, %d threads, tier %s: prefill %.0f tokens/s, with the recorder %.0f (ratio of times, median %.3f, %.3f to %.3f); decode %.0f tokens/s\n", argv[1],
           cx->threads, wt_tier_name(m->k.tier), TOKENS / median(plain, ROUNDS), TOKENS / median(seen, ROUNDS), median(ratio, ROUNDS), low, high, 128 / median(one, ROUNDS));
    wt_recorder_free(&rc);
    witan_record_free(r);
    witan_session_free(s);
    witan_model_free(m);
    witan_ctx_free(cx);
    return 0;
}
