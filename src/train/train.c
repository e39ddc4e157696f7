/* witan_train: steps, and between them lines of the log, validations and checkpoints. */
#include "train/run.h"

#include <math.h>
#include <string.h>

/* Better than every validation before it: worth a checkpoint of its own. */
static bool better(wt_training *r, int64_t step)
{
    if (!isfinite(r->valid_loss) || r->valid_loss >= r->facts.best_loss) return false;
    r->facts.best_loss = r->valid_loss;
    r->facts.best_step = step;
    return true;
}

/* Work that an interruption must not stop: what was asked to stop stops afterwards. */
typedef wt_status (*work_fn)(wt_training *r, void *arg);
static wt_status in_peace(wt_training *r, work_fn work, void *arg)
{
    witan_progress_fn progress = r->cx->progress;
    r->cx->progress = NULL;
    atomic_store(&r->cx->canceled, false);
    wt_status st = work(r, arg);
    r->cx->progress = progress;
    atomic_store(&r->cx->canceled, true);
    return st;
}

static wt_status validate(wt_training *r, void *line)
{
    wt_text *t = line;
    t->n = 0;
    return wt_training_validate(r, &r->valid_loss, t);
}

/* What is due after a step. A step without its line in the log, or without its validation, must not be in a checkpoint: so an interrupted validation is
 * done again, and finished. */
static wt_status after(wt_training *r, int64_t step, double *pictures)
{
    const witan_train_options *o = &r->o;
    bool last = step == o->steps, look = r->valid && (last || step % o->valid_every == 0), best = false;
    wt_text valid;
    wt_text_init(&valid, r->cx);
    wt_status st = look ? validate(r, &valid) : WITAN_OK;
    if (st == WT_ECANCELED) st = in_peace(r, validate, &valid);
    if (st == WITAN_OK && valid.failed) st = wt_fail(r->cx, WT_ENOMEM, "out of memory");
    if (st == WITAN_OK && look) best = better(r, step);
    if (st == WITAN_OK && (look || last || step % o->log_every == 0)) st = wt_training_log(r, step, look || last, look ? &valid : NULL);
    wt_text_free(&valid);
    WT_TRY(st);
    if (!best && !last && step % o->checkpoint_every) return WITAN_OK;
    WT_TRY(wt_training_save(r));
    if (!last && wt_now() - *pictures < 30) return WITAN_OK;   /* made from the whole log, so not too often */
    *pictures = wt_now();
    return wt_training_pictures(r);
}

static wt_status save(wt_training *r, void *arg)
{
    (void)arg;
    return wt_training_save(r);
}

/* Interrupted: what is done so far is kept. */
static wt_status keep(wt_training *r)
{
    int64_t before = r->saved;
    if (r->facts.step > r->first) WT_TRY(in_peace(r, save, NULL));
    if (r->saved != before) wt_log(r->cx, WITAN_INFO, "%s: stopped after step %lld; --resume goes on from there", r->dir, (long long)r->saved);
    return wt_fail(r->cx, WT_ECANCELED, "canceled");
}

static wt_status loop(wt_training *r)
{
    double tokens = (double)wt_training_tokens(r), pictures = wt_now();
    r->began = wt_now();
    WT_TRY(wt_progress(r->cx, "train", (double)r->first * tokens, (double)r->o.steps * tokens, "tokens"));
    for (int64_t step = r->first + 1; step <= r->o.steps; step++) {
        wt_status st = wt_training_step(r, step);
        if (st == WITAN_OK) st = after(r, step, &pictures);
        if (st == WITAN_OK) st = wt_progress(r->cx, "train", (double)step * tokens, (double)r->o.steps * tokens, "tokens");
        if (st == WT_ECANCELED) return keep(r);
        WT_TRY(st);
    }
    return WITAN_OK;
}

static void report(wt_training *r, witan_train_result *out)
{
    double seconds = wt_now() - r->began;
    int64_t tokens = wt_training_tokens(r);
    out->steps = r->facts.step;
    out->from_step = r->first;
    out->tokens = r->facts.step * tokens;
    out->seconds = seconds;
    out->tokens_per_second = (double)((r->facts.step - r->first) * tokens) / seconds;
    out->loss = r->loss;
    out->valid_loss = r->valid_loss;
    out->best_loss = r->facts.best_loss;
    out->best_step = r->facts.best_step;
    out->n_param = r->m->info.n_param;
    out->n_param_active = r->m->info.n_param_active;
}

wt_status witan_train(wt_ctx *cx, const witan_train_options *o, witan_train_result *out)
{
    wt_training r;
    witan_train_result res = { 0 };
    wt_status st = wt_training_open(cx, o, &r);
    if (st == WITAN_OK && r.first > r.o.steps)
        st = wt_fail(cx, WT_EARG, "%s: %lld steps are done already, %lld are asked for", r.dir, (long long)r.first, (long long)r.o.steps);
    if (st == WITAN_OK) st = loop(&r);
    if (st == WITAN_OK) report(&r, &res);
    if (st == WITAN_OK) st = wt_training_pictures(&r);
    if (st == WITAN_OK) st = wt_training_models(&r, res.model);
    if (st == WITAN_OK) *out = res;
    wt_training_free(&r);
    return st;
}
