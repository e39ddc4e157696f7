/* One step: rows, micro-batches, norm, clipping, the learning rule; and validation, which is the same pass without gradients. */
#include "train/run.h"

#include "base/rng.h"
#include <math.h>
#include <string.h>

/* Rows first .. first + n - 1 of what r->rows holds, each of n_ctx tokens. Sequences are counted anew. */
static wt_train_batch slice(const wt_training *r, int32_t from, int32_t n_tok, const wt_data *d, int32_t *seq)
{
    const wt_rows *b = &r->rows;
    for (int32_t i = 0; i < n_tok; i++) seq[i] = b->seq[from + i] - b->seq[from];
    return (wt_train_batch){ .n_tok = n_tok, .id = b->id + from, .seq = seq, .pos = b->pos + from, .target = b->target + from, .weight = b->weight + from,
                             .domain = b->domain + from, .n_domain = (int32_t)d->n_domain };
}

static double weight_of(const wt_rows *b)
{
    double sum = 0;
    for (int32_t i = 0; i < b->n_tok; i++) if (b->target[i] >= 0) sum += (double)b->weight[i];
    return sum;
}

static void clear(wt_training *r)
{
    for (int32_t l = 0; l < r->m->cfg.n_layer; l++) {
        wt_layer_sum *s = r->layer + l;
        int64_t *count = s->count;
        int32_t n_exp = s->n_exp;
        if (count) memset(count, 0, (size_t)n_exp * sizeof *count);
        *s = (wt_layer_sum){ .n_exp = n_exp, .count = count };
    }
    memset(r->balance_loss, 0, sizeof r->balance_loss);
}

static void add(wt_training *r, const wt_train_result *res, int32_t n_tok)
{
    for (int32_t l = 0; l < r->m->cfg.n_layer; l++) {
        wt_layer_sum *s = r->layer + l;
        const wt_train_layer *from = res->layer + l;
        if (!from->n_exp || !s->count) continue;
        for (int32_t e = 0; e < s->n_exp; e++) s->count[e] += from->count[e];
        s->entropy += from->entropy * n_tok;
        s->n_tok += n_tok;
        s->n_pair += from->n_pair;
        s->n_dropped += from->n_dropped;
    }
    for (size_t i = 0; r->balance && i < r->balance->n; i++) r->balance_loss[i] += res->balance_loss[i] / r->o.accumulate;
}

/* Says where numbers went wrong: a weight, the first layer whose router was given what is no number, or the gradient that came first on the way back. */
static wt_status not_finite(wt_training *r, int64_t step)
{
    const wt_weight *w = wt_bad_weight(r->t->weight, r->t->n_weight), *g = wt_bad_gradient(r->t->weight, r->t->n_weight);
    const char *what = isfinite(r->loss) ? "the gradient" : "the loss";
    char where[160] = "; no weight or gradient is: the head overflowed";
    int32_t bad = -1;
    for (int32_t l = r->m->cfg.n_layer; l-- > 0;) if (r->layer[l].count && !isfinite(r->layer[l].entropy)) bad = l;
    if (w) snprintf(where, sizeof where, "; the weight %s was the first", w->name);
    else if (bad >= 0) snprintf(where, sizeof where, "; what came into the experts of layer %d was the first", bad);
    else if (g) snprintf(where, sizeof where, "; the gradient of %s was the first", g->name);
    if (r->saved < 0) return wt_fail(r->cx, WT_ELIMIT, "%s: step %lld: %s is not finite%s; try a lower learning rate", r->dir, (long long)step, what, where);
    return wt_fail(r->cx, WT_ELIMIT, "%s: step %lld: %s is not finite%s; the checkpoint of step %lld is kept", r->dir, (long long)step, what, where,
                   (long long)r->saved);
}

static wt_status passes(wt_training *r, int64_t step, double weight)
{
    int32_t n = r->o.batch / r->o.accumulate * r->o.n_ctx;
    wt_train_options to = { .scale = (float)(1 / weight), .balance_scale = 1.0f / (float)r->o.accumulate, .checkpoint = r->o.recompute, .half = r->o.half,
                            .half_products = r->o.half_products, .balance = r->balance };
    r->loss = 0;
    for (int32_t i = 0; i < r->o.accumulate; i++) {
        wt_train_batch b = slice(r, i * n, n, r->data, r->keep[5]);
        wt_train_result res;
        to.seed = wt_mix64((uint64_t)r->o.seed ^ wt_mix64((uint64_t)step * 65536 + (uint64_t)i));
        WT_TRY(wt_pass_run(r->pass, &b, &to, &res));
        r->loss += res.loss / weight;
        add(r, &res, n);
        WT_TRY(wt_go_on(r->cx));
    }
    return WITAN_OK;
}

/* Only the learning rule at the end changes anything that is saved; where a step is given up before, states that balance methods have touched go back. */
wt_status wt_training_step(wt_training *r, int64_t step)
{
    wt_data_batch(r->data, r->o.seed, step, 0, r->o.batch, &r->rows);
    double weight = weight_of(&r->rows);
    if (weight <= 0) return wt_fail(r->cx, WT_ELIMIT, "%s: step %lld: no token of %d rows counts: prompt_weight is 0 and there are prompts only", r->dir,
                                    (long long)step, r->o.batch);
    clear(r);
    if (r->balance) memcpy(r->balance_before, r->balance->state, r->balance->n_state * sizeof(float));
    wt_status st = passes(r, step, weight);
    if (st == WITAN_OK) {
        r->norm = wt_learner_norm(&r->learn);
        if (!isfinite(r->loss) || !isfinite(r->norm)) st = not_finite(r, step);
    }
    if (st != WITAN_OK) {
        if (r->balance) memcpy(r->balance->state, r->balance_before, r->balance->n_state * sizeof(float));
        return st;
    }
    r->lr = wt_schedule_lr(&r->schedule, step);
    double scale = r->o.clip > 0 && r->norm > r->o.clip ? r->o.clip / r->norm : 1;
    WT_TRY(wt_learner_step(&r->learn, step, r->lr, scale));
    if (r->balance) wt_balance_after_step(r->balance);
    r->facts.step = step;
    return WITAN_OK;
}

/* ---- validation ---------------------------------------------------------------------------------------------------------- */

/* As many rows at once as a micro-batch has. */
static wt_status domain_loss(wt_training *r, int32_t d, double *loss, double *weight)
{
    const wt_data_domain *dom = r->valid->domain + d;
    int32_t n = dom->n_row < (size_t)r->o.valid_rows ? (int32_t)dom->n_row : r->o.valid_rows, most = r->o.batch / r->o.accumulate;
    wt_train_options to = { .forward_only = true, .balance = r->balance };
    for (int32_t at = 0, k; at < n; at += k) {
        wt_train_result res;
        k = n - at < most ? n - at : most;
        wt_data_valid(r->valid, d, at, k, &r->rows);
        if (weight_of(&r->rows) <= 0) continue;
        wt_train_batch b = slice(r, 0, r->rows.n_tok, r->valid, r->keep[5]);
        WT_TRY(wt_pass_run(r->pass, &b, &to, &res));
        *loss += res.loss;
        *weight += res.weight;
        WT_TRY(wt_go_on(r->cx));
    }
    return WITAN_OK;
}

wt_status wt_training_validate(wt_training *r, double *loss, wt_text *line)
{
    double all = 0, weight = 0;
    wt_text_puts(line, ",\"valid\":{");
    for (size_t d = 0; d < r->valid->n_domain; d++) {
        double l = 0, w = 0;
        WT_TRY(domain_loss(r, (int32_t)d, &l, &w));
        wt_text_json(line, r->valid->domain[d].name, strlen(r->valid->domain[d].name));
        wt_text_puts(line, ":");
        wt_text_num(line, l / w);
        wt_text_puts(line, ",");
        all += l;
        weight += w;
    }
    *loss = all / weight;
    wt_text_puts(line, "\"all\":");
    wt_text_num(line, *loss);
    wt_text_puts(line, "}");
    return WITAN_OK;
}
