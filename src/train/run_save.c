/* What a run leaves: lines of the log, checkpoints, pictures, models. */
#include "train/run.h"

#include <math.h>
#include <string.h>

/* ---- log ----------------------------------------------------------------------------------------------------------------- */

static void pair(wt_text *t, const char *key, double v)
{
    wt_text_printf(t, ",\"%s\":", key);
    wt_text_num(t, v);
}

/* Of the load of a layer: its entropy as a share of the largest possible, and how far the fullest expert is above the mean. */
static void evenness(const wt_layer_sum *s, double *entropy, double *worst)
{
    int64_t sum = 0, most = 0;
    *entropy = 0;
    for (int32_t e = 0; e < s->n_exp; e++) { sum += s->count[e]; if (s->count[e] > most) most = s->count[e]; }
    for (int32_t e = 0; e < s->n_exp; e++) {
        double p = (double)s->count[e] / (double)sum;
        if (p > 0) *entropy -= p * log(p);
    }
    *entropy = s->n_exp > 1 ? *entropy / log(s->n_exp) : 1;
    *worst = sum ? (double)most * s->n_exp / (double)sum - 1 : NAN;
}

static void layers(wt_training *r, wt_text *t)
{
    for (int32_t l = 0; l < r->m->cfg.n_layer; l++) {
        const wt_layer_sum *s = r->layer + l;
        double entropy, worst;
        if (l) wt_text_puts(t, ",");
        if (!s->n_tok) { wt_text_puts(t, "null"); continue; }
        evenness(s, &entropy, &worst);
        wt_text_puts(t, "{\"entropy\":");
        wt_text_num(t, s->entropy / (double)s->n_tok);
        pair(t, "load_entropy", entropy);
        pair(t, "max_violation", worst);
        pair(t, "dropped", s->n_pair + s->n_dropped ? (double)s->n_dropped / (double)(s->n_pair + s->n_dropped) : 0);
        wt_text_puts(t, "}");
    }
}

static void loads(wt_training *r, wt_text *t)
{
    wt_text_puts(t, ",\"load\":[");
    for (int32_t l = 0; l < r->m->cfg.n_layer; l++) {
        wt_text_printf(t, "%s[", l ? "," : "");
        for (int32_t e = 0; e < r->layer[l].n_exp; e++) wt_text_printf(t, "%s%lld", e ? "," : "", (long long)r->layer[l].count[e]);
        wt_text_puts(t, "]");
    }
    wt_text_puts(t, "]");
}

wt_status wt_training_log(wt_training *r, int64_t step, bool load, const wt_text *valid)
{
    wt_text t;
    char *line;
    size_t n;
    double seconds = wt_now() - r->began;
    wt_text_init(&t, r->cx);
    wt_text_printf(&t, "{\"step\":%lld", (long long)step);
    pair(&t, "loss", r->loss);
    pair(&t, "lr", r->lr);
    pair(&t, "grad_norm", r->norm);
    wt_text_printf(&t, ",\"tokens\":%lld,\"balance\":{", (long long)(step * wt_training_tokens(r)));
    for (size_t i = 0; r->balance && i < r->balance->n; i++) {
        wt_text_printf(&t, "%s\"%s\":", i ? "," : "", r->balance->b[i].method->name);
        wt_text_num(&t, r->balance_loss[i]);
    }
    wt_text_puts(&t, "},\"layers\":[");
    layers(r, &t);
    wt_text_puts(&t, "]");
    if (load) loads(r, &t);
    if (valid) wt_text_put(&t, valid->s, valid->n);
    pair(&t, "seconds", seconds);
    pair(&t, "tokens_per_second", (double)((step - r->first) * wt_training_tokens(r)) / seconds);
    wt_text_puts(&t, "}\n");
    WT_TRY(wt_text_take(&t, &line, &n));
    wt_status st = wt_log_line(&r->log, line, n);
    wt_free(r->cx, line);
    return st;
}

wt_status wt_training_pictures(wt_training *r)
{
    json_t *lines;
    WT_TRY(wt_log_read(r->cx, r->dir, &lines));
    wt_status st = wt_run_database(r->cx, r->dir, lines, r->config);
    if (st == WITAN_OK) st = wt_run_charts(r->cx, r->dir, lines, r->m->cfg.n_layer);
    json_decref(lines);
    return st;
}

/* ---- checkpoints ----------------------------------------------------------------------------------------------------------- */

enum { MOST_PARTS = 4 };

static size_t parts_of(wt_training *r, wt_checkpoint_part part[MOST_PARTS])
{
    size_t n = 0;
    part[n++] = (wt_checkpoint_part){ "weights", r->t->data, r->t->n_float * sizeof(float) };
    part[n++] = (wt_checkpoint_part){ "optimizer", r->learn.state, r->learn.n_state * sizeof(float) };
    if (r->learn.ema) part[n++] = (wt_checkpoint_part){ "mean", r->learn.ema, r->learn.n_ema * sizeof(float) };
    if (r->balance) part[n++] = (wt_checkpoint_part){ "balance", r->balance->state, r->balance->n_state * sizeof(float) };
    return n;
}

/* The log comes first: lines up to a checkpoint's step are on disk before it is. */
wt_status wt_training_save(wt_training *r)
{
    wt_checkpoint_part part[MOST_PARTS];
    if (r->saved == r->facts.step) return WITAN_OK;
    char *path = wt_checkpoint_path(r->cx, r->dir, r->facts.step);
    wt_status st = path ? wt_log_sync(&r->log) : WT_ENOMEM;
    if (st == WITAN_OK) st = wt_checkpoint_write(r->cx, path, &r->facts, part, parts_of(r, part));
    wt_free(r->cx, path);
    if (st != WITAN_OK) return st;
    r->saved = r->facts.step;
    return wt_checkpoint_tidy(r->cx, r->dir, r->facts.step, r->facts.best_step);
}

/* A damaged checkpoint is passed over for the one before it, with a warning; where all are damaged that is an error: nothing is silently begun anew. */
wt_status wt_training_restore(wt_training *r)
{
    wt_checkpoint_part part[MOST_PARTS];
    size_t n_part = parts_of(r, part), n;
    int64_t *step;
    wt_status st = WITAN_OK;
    WT_TRY(wt_checkpoint_list(r->cx, r->dir, &step, &n));
    for (size_t i = 0; i < n; i++) {
        wt_checkpoint_facts f;
        char *path = wt_checkpoint_path(r->cx, r->dir, step[i]);
        st = path ? wt_checkpoint_read(r->cx, path, &f, part, n_part) : WT_ENOMEM;
        wt_free(r->cx, path);
        if (st == WITAN_OK && strcmp(f.model, r->facts.model)) st = wt_fail(r->cx, WT_EMISMATCH, "%s: the run was begun with another model", r->dir);
        if (st == WITAN_OK && strcmp(f.data, r->facts.data)) st = wt_fail(r->cx, WT_EMISMATCH, "%s: the training data is not what it was when the run was begun", r->dir);
        if (st == WITAN_OK) { r->facts = f; r->saved = f.step; break; }
        if (st != WT_EFORMAT) break;
        wt_log(r->cx, WITAN_WARN, "%s%s", r->cx->error, i + 1 < n ? "; going on from the one before it" : "");
    }
    if (st == WITAN_OK && !n) wt_log(r->cx, WITAN_INFO, "%s: no checkpoint yet, beginning at step 1", r->dir);
    if (st == WT_EFORMAT) st = wt_fail(r->cx, WT_EFORMAT, "%s: every checkpoint is damaged; remove them to begin anew", r->dir);
    wt_free(r->cx, step);
    return st;
}

/* ---- models ---------------------------------------------------------------------------------------------------------------- */

static wt_status model(wt_training *r, const char *file, char name[512])
{
    char *path = wt_printf(r->cx, "%s/%s", r->dir, file);
    if (!path) return WT_ENOMEM;
    wt_export e = { .path = path, .name = r->o.name, .type = r->o.type, .config = r->config, .data = r->data->digest, .balance = r->balance,
                    .steps = r->facts.step, .tokens = r->facts.step * wt_training_tokens(r), .seed = r->o.seed };
    wt_status st = wt_train_export(r->cx, r->t, &e);
    if (name) snprintf(name, 512, "%s", path);
    wt_free(r->cx, path);
    return st;
}

wt_status wt_training_models(wt_training *r, char name[512])
{
    wt_status st = WITAN_OK;
    if (r->learn.ema) {
        wt_learner_swap(&r->learn);
        st = model(r, r->o.ema_final ? "model.gguf" : "model-ema.gguf", r->o.ema_final ? name : NULL);
        wt_learner_swap(&r->learn);
    }
    return st != WITAN_OK || r->o.ema_final ? st : model(r, "model.gguf", name);
}
