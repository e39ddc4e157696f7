/* Opening a run: the folder and its lock, the options against those of before, the model, the data, memory, the newest checkpoint. */
#include "train/run.h"

#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* ---- the folder ------------------------------------------------------------------------------------------------------------ */

static char *in_folder(const wt_training *r, const char *name) { return wt_printf(r->cx, "%s/%s", r->dir, name); }

/* Two runs in one folder would destroy each other. The lock goes with the process, however it ends. */
static wt_status lock(wt_training *r)
{
    char *path = in_folder(r, "lock");
    if (!path) return WT_ENOMEM;
    r->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    wt_status st = WITAN_OK;
    if (r->lock < 0) st = wt_fail(r->cx, WT_EIO, "%s: cannot create: %s", path, strerror(errno));
    else if (flock(r->lock, LOCK_EX | LOCK_NB)) st = wt_fail(r->cx, WT_EARG, "%s: another training is at work in this folder", r->dir);
    wt_free(r->cx, path);
    return st;
}

/* Whether a file name is ours with the ending of a file that was never finished: a process that was killed leaves it. */
static bool left_over(const char *name)
{
    static const char *const ours[] = { "checkpoint-", "config.json.", "log.jsonl.", "run.db.", "loss.svg.", "load.svg.", "model.gguf.", "model-ema.gguf.", "init.gguf." };
    if (!strstr(name, ".tmp.")) return false;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) if (!strncmp(name, ours[i], strlen(ours[i]))) return true;
    return false;
}

static void tidy_folder(wt_training *r)
{
    DIR *d = opendir(r->dir);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        char *path = left_over(e->d_name) ? in_folder(r, e->d_name) : NULL;
        if (path) r->cx->io.unlink(r->cx->io.user, path);
        wt_free(r->cx, path);
    }
    closedir(d);
}

/* Without a checkpoint nothing ties a fresh model in the folder to these options: a run that was stopped early may have had others. */
static wt_status begin_anew(wt_training *r)
{
    char *path = in_folder(r, "init.gguf");
    if (!path) return WT_ENOMEM;
    r->cx->io.unlink(r->cx->io.user, path);
    wt_free(r->cx, path);
    return WITAN_OK;
}

static wt_status folder(wt_training *r)
{
    char *path = NULL;
    int64_t *step;
    size_t n;
    if (!r->dir) return wt_fail(r->cx, WT_EARG, "train: out is missing: the folder of the run");
    WT_TRY(wt_folder_make(r->cx, r->dir));
    WT_TRY(lock(r));
    tidy_folder(r);
    WT_TRY(wt_checkpoint_list(r->cx, r->dir, &step, &n));
    int64_t newest = n ? step[0] : 0;
    wt_free(r->cx, step);
    if (n && !r->o.resume)
        return wt_fail(r->cx, WT_EARG, "%s: holds a run of %lld steps already: --resume goes on with it, or choose another folder", r->dir, (long long)newest);
    if (!n) WT_TRY(begin_anew(r));
    if (!(path = in_folder(r, "config.json"))) return WT_ENOMEM;
    wt_status st = n && !access(path, F_OK) ? wt_train_config_same(r->cx, path, &r->o) : WITAN_OK;
    size_t len = 0;
    if (st == WITAN_OK) st = wt_train_config_text(r->cx, &r->o, &r->config, &len);
    if (st == WITAN_OK) st = wt_file_write(r->cx, path, r->config, len);
    wt_free(r->cx, path);
    return st;
}

/* ---- model and data ---------------------------------------------------------------------------------------------------------- */

/* A fresh model stands in the folder, so that all of it can be looked at; it is made again where it is missing, with the same bytes. */
static wt_status open_model(wt_training *r)
{
    const witan_model_options mo = { .pre = r->o.pre };
    if (r->o.init) return witan_model_open(r->cx, r->o.init, &mo, &r->m);
    char *path = in_folder(r, "init.gguf");
    wt_status st = path ? WITAN_OK : WT_ENOMEM;
    if (st == WITAN_OK && access(path, F_OK)) st = wt_fresh_model(r->cx, &r->o, 0, path);
    if (st == WITAN_OK) st = witan_model_open(r->cx, path, &mo, &r->m);
    wt_free(r->cx, path);
    return st;
}

static wt_status open_data(wt_training *r, const char *files, const char *weights, wt_data **out)
{
    wt_data_options o = { .n_ctx = r->o.n_ctx, .pack = r->o.pack, .too_long = r->o.too_long, .prompt_weight = (float)r->o.prompt_weight, .weights = weights };
    char *text = wt_strdup(r->cx, files);
    const char **list = NULL;
    size_t n;
    wt_status st = text ? wt_train_list(r->cx, text, &list, &n) : WT_ENOMEM;
    if (st == WITAN_OK && !n) st = wt_fail(r->cx, WT_EARG, "train: the list of data files is empty");
    if (st == WITAN_OK) st = wt_data_open(r->cx, r->m->vocab, list, n, &o, out);
    wt_free(r->cx, list);
    wt_free(r->cx, text);
    return st;
}

/* ---- what learns --------------------------------------------------------------------------------------------------------------- */

static wt_status add_balance(wt_training *r, char *specs)
{
    for (char *at = specs; *at;) {
        char *end = at + strcspn(at, ";");
        bool last = !*end;
        *end = 0;
        char *options = wt_spec_cut(at);
        if (*at) WT_TRY(wt_balance_add(r->balance, at, *options ? options : NULL));
        at = last ? end : end + 1;
    }
    return WITAN_OK;
}

static wt_status balance(wt_training *r)
{
    int32_t n = r->m->cfg.n_layer, any = 0;
    int32_t *n_exp = wt_alloc(r->cx, (size_t)n, sizeof *n_exp);
    char *specs = wt_strdup(r->cx, r->o.balance ? r->o.balance : "");
    wt_status st = n_exp && specs ? WITAN_OK : WT_ENOMEM;
    for (int32_t i = 0; st == WITAN_OK && i < n; i++) any += n_exp[i] = r->m->layer[i].n_exp;
    if (st == WITAN_OK && any && *specs && strcmp(specs, "none")) {
        st = wt_balance_open(r->cx, n, n_exp, &r->balance);
        if (st == WITAN_OK) st = add_balance(r, specs);
        if (st == WITAN_OK && !(r->balance_before = wt_alloc(r->cx, r->balance->n_state + 1, sizeof(float)))) st = WT_ENOMEM;
    }
    wt_free(r->cx, n_exp);
    wt_free(r->cx, specs);
    return st;
}

/* A method and its options from "name:options"; *opt is handed over. */
static wt_status method(wt_training *r, wt_kind kind, const char *spec, const wt_method **m, void **opt)
{
    char *name = wt_strdup(r->cx, spec);
    if (!name) return WT_ENOMEM;
    char *options = wt_spec_cut(name);
    wt_status st = wt_method_find(r->cx, kind, name, m);
    if (st == WITAN_OK && !(*opt = wt_alloc(r->cx, 1, (*m)->opt_size + 1))) st = WT_ENOMEM;
    if (st == WITAN_OK) {
        witan_opt_defaults((*m)->param, *opt);
        st = wt_opt_parse(r->cx, (*m)->param, *opt, options);
    }
    wt_free(r->cx, name);
    return st;
}

/* The pipeline of every layer with experts. */
static wt_status routing(wt_training *r)
{
    const wt_method *router = NULL, *filter = NULL;
    if (r->o.router) WT_TRY(method(r, WT_KIND_ROUTER, r->o.router, &router, &r->router_opt));
    if (r->o.filter) WT_TRY(method(r, WT_KIND_FILTER, r->o.filter, &filter, &r->filter_opt));
    for (int32_t l = 0; l < r->m->cfg.n_layer; l++) {
        wt_route_spec *s = &r->m->layer[l].route;
        if (!r->m->layer[l].n_exp) continue;
        if (router) { s->select = router; s->select_opt = r->router_opt; }
        s->filter = filter;
        s->filter_opt = r->filter_opt;
    }
    return WITAN_OK;
}

static bool has_bias(const wt_balance_set *s)
{
    for (size_t i = 0; s && i < s->n; i++) if (((const wt_balance_ops *)s->b[i].method->ops)->bias) return true;
    return false;
}

static wt_status freeze_part(wt_training *r, const char *name)
{
    bool any = false;
    for (size_t i = 0; i < r->t->n_weight; i++) {
        if (strcmp(wt_part_name(r->t->weight[i].part), name)) continue;
        any = true;
        wt_trainable_freeze(r->t, i, true);
    }
    return any ? WITAN_OK : wt_fail(r->cx, WT_EARG, "train: frozen: the model has no part \"%s\"; parts are embed, head, norm, attention, router, experts, shared, dense", name);
}

static wt_status freeze(wt_training *r)
{
    char *text = r->o.frozen ? wt_strdup(r->cx, r->o.frozen) : NULL;
    const char **list = NULL;
    size_t n = 0;
    wt_status st = !r->o.frozen ? WITAN_OK : text ? wt_train_list(r->cx, text, &list, &n) : WT_ENOMEM;
    for (size_t i = 0; st == WITAN_OK && i < n; i++) st = freeze_part(r, list[i]);
    wt_free(r->cx, list);
    wt_free(r->cx, text);
    return st;
}

static wt_status buffers(wt_training *r)
{
    size_t n = (size_t)wt_training_tokens(r);
    r->layer = wt_alloc(r->cx, (size_t)r->m->cfg.n_layer, sizeof *r->layer);
    if (!r->layer) return WT_ENOMEM;
    for (int32_t l = 0; l < r->m->cfg.n_layer; l++) {
        r->layer[l].n_exp = r->m->layer[l].n_exp;
        r->layer[l].count = r->layer[l].n_exp ? wt_alloc(r->cx, (size_t)r->layer[l].n_exp, sizeof(int64_t)) : NULL;
        if (r->layer[l].n_exp && !r->layer[l].count) return WT_ENOMEM;
    }
    for (int i = 0; i < 6; i++) if (!(r->keep[i] = wt_alloc(r->cx, n, sizeof(int32_t)))) return WT_ENOMEM;
    if (!(r->rows.weight = wt_alloc(r->cx, n, sizeof(float)))) return WT_ENOMEM;
    r->rows.id = r->keep[0];
    r->rows.seq = r->keep[1];
    r->rows.pos = r->keep[2];
    r->rows.target = r->keep[3];
    r->rows.domain = r->keep[4];
    return WITAN_OK;
}

wt_status wt_training_machine(wt_training *r)
{
    WT_TRY(wt_kernels_choose(r->cx, &r->k));
    WT_TRY(routing(r));
    WT_TRY(balance(r));
    WT_TRY(wt_trainable_open(r->cx, r->m, has_bias(r->balance), &r->t));
    WT_TRY(freeze(r));
    WT_TRY(wt_pass_open(r->cx, r->t, &r->pass));
    WT_TRY(wt_learner_open(r->cx, &r->k, r->t->weight, r->t->n_weight, r->o.optim, r->o.ema, &r->learn));
    return buffers(r);
}

/* ---- the whole ----------------------------------------------------------------------------------------------------------------- */

wt_status wt_training_open(wt_ctx *cx, const witan_train_options *o, wt_training *r)
{
    *r = (wt_training){ .cx = cx, .o = *o, .dir = o->out, .lock = -1, .saved = -1, .log = { .fd = -1 }, .valid_loss = NAN, .loss = NAN,
                        .facts = { .best_loss = NAN } };
    WT_TRY(wt_train_config_check(cx, &r->o));
    if (!r->o.data) return wt_fail(cx, WT_EARG, "train: data is missing: the files to learn from");
    WT_TRY(folder(r));
    WT_TRY(open_model(r));
    WT_TRY(open_data(r, r->o.data, r->o.mix, &r->data));
    if (r->o.valid) WT_TRY(open_data(r, r->o.valid, NULL, &r->valid));
    WT_TRY(wt_training_machine(r));
    snprintf(r->facts.model, sizeof r->facts.model, "%s", r->m->info.fingerprint);
    snprintf(r->facts.data, sizeof r->facts.data, "%s", r->data->digest);
    r->schedule = (wt_schedule){ .kind = r->o.schedule, .lr = r->o.lr, .floor = r->o.floor, .steps = r->o.steps, .warmup = r->o.warmup,
                                 .decay = r->o.decay_steps ? r->o.decay_steps : r->o.steps / 10 };
    if (r->o.resume) WT_TRY(wt_training_restore(r));
    r->first = r->facts.step;
    return wt_log_open(cx, r->dir, r->facts.step, &r->log);
}

void wt_training_free(wt_training *r)
{
    if (!r->cx) return;
    wt_log_close(&r->log);
    wt_pass_free(r->pass);
    wt_learner_free(&r->learn);
    wt_balance_free(r->balance);
    wt_trainable_free(r->t);
    wt_data_free(r->data);
    wt_data_free(r->valid);
    for (int32_t l = 0; r->layer && l < r->m->cfg.n_layer; l++) wt_free(r->cx, r->layer[l].count);
    witan_model_free(r->m);
    wt_free(r->cx, r->layer);
    wt_free(r->cx, r->balance_before);
    wt_free(r->cx, r->router_opt);
    wt_free(r->cx, r->filter_opt);
    wt_free(r->cx, r->rows.weight);
    for (int i = 0; i < 6; i++) wt_free(r->cx, r->keep[i]);
    wt_free(r->cx, r->config);
    if (r->lock >= 0) close(r->lock);
}
