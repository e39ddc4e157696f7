/* witan_specialize: the main job, in order. Nothing gets its final name before everything has succeeded: the new model waits
 * under a temporary name while it is checked and measured. */
#include "api/specialize.h"

#include "base/file.h"
#include "edit/budget.h"
#include "model/model.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* ---- the steps ------------------------------------------------------------------------------------------------------- */

/* A share that leaves too few experts is known before any work. */
static wt_status open_model(wt_specialize *s)
{
    int32_t n_keep;
    WT_TRY(witan_model_open(s->cx, s->o->model, &(witan_model_options){ .pre = s->o->pre }, &s->model));
    if (!s->model->info.n_exp) return wt_fail(s->cx, WT_EUNSUPPORTED, "%s: is dense, expected a mixture of experts", s->o->model);
    for (int32_t i = 0; i < s->model->cfg.n_layer; i++)
        if (s->model->layer[i].n_exp)
            WT_TRY(wt_budget_uniform(s->cx, s->model->layer[i].n_exp, s->model->layer[i].route.n_used, i, s->o->keep, &n_keep));
    return WITAN_OK;
}

/* Demonstrations are profiled from their own file where it serves as it is, and are always identified by its digest. */
static wt_status profile(wt_specialize *s)
{
    witan_profile_options o = { .data = s->calib, .n_ctx = s->o->n_ctx };
    wt_status st = witan_profile(s->cx, s->model, &o, &s->rec);
    if (st == WT_ELIMIT && s->own_calib)
        return wt_fail(s->cx, WT_ELIMIT, "%s: the demonstrations are too short: expected at least two tokens in one", s->o->demos);
    WT_TRY(st);
    memcpy(s->rec->data_digest, s->demos.digest, sizeof s->rec->data_digest);
    return WITAN_OK;
}

static wt_status plan(wt_specialize *s)
{
    witan_plan_options o = { .score = s->method->name, .keep = s->o->keep, .gate = (witan_gate)s->o->gate, .seed = s->o->seed };
    WT_TRY(wt_progress(s->cx, "plan", 0, 1, "plans"));
    WT_TRY(witan_plan_make(s->cx, s->model, s->rec, &o, &s->plan));
    return wt_progress(s->cx, "plan", 1, 1, "plans");
}

static wt_status write_and_check(wt_specialize *s)
{
    char *name = wt_printf(s->cx, "%s.tmp.%ld.new", s->o->out, (long)getpid());
    if (!name) return WT_ENOMEM;
    wt_status st = witan_plan_apply(s->cx, s->model, s->plan, s->o->command, name);
    if (st != WITAN_OK) { wt_free(s->cx, name); return st; }
    s->staged = name;
    WT_TRY(witan_model_open(s->cx, name, &(witan_model_options){ .pre = s->o->pre }, &s->small));
    return wt_specialize_verify(s);
}

static void sizes(wt_specialize *s)
{
    witan_specialize_result *r = s->res;
    r->bytes_before = (int64_t)s->model->file->map.n;
    r->bytes_after = (int64_t)s->small->file->map.n;
    r->expert_bytes_before = s->model->info.n_byte_expert;
    r->expert_bytes_after = s->small->info.n_byte_expert;
    r->n_exp_before = s->model->info.n_exp;
    r->n_exp_after = s->small->info.n_exp;
}

/* ---- final names ------------------------------------------------------------------------------------------------------ */

/* So that the name survives a power cut. A folder that may be written but not read, or a file system that refuses, is no error:
 * the content is safe already. */
static void sync_folder(wt_ctx *cx, const char *folder)
{
    int fd = cx->io.open(cx->io.user, folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return;
    cx->io.fsync(cx->io.user, fd);
    cx->io.close(cx->io.user, fd);
}

static wt_status name_model(wt_specialize *s)
{
    const char *path = s->o->out, *slash = strrchr(path, '/');
    char *folder = slash ? wt_strndup(s->cx, path, slash == path ? 1 : (size_t)(slash - path)) : wt_strdup(s->cx, ".");
    if (!folder) return WT_ENOMEM;
    wt_status st = WITAN_OK;
    if (s->cx->io.rename(s->cx->io.user, s->staged, path))
        st = wt_fail(s->cx, WT_EIO, "%s: cannot rename the finished file: %s", path, strerror(errno));
    else {
        wt_free(s->cx, s->staged);
        s->staged = NULL;
        sync_folder(s->cx, folder);
    }
    wt_free(s->cx, folder);
    return st;
}

/* The model comes last, so its name stands only beside a complete set. A failure takes back what was written before it. */
static wt_status publish(wt_specialize *s, const char *html, size_t n)
{
    const witan_specialize_options *o = s->o;
    const char *written[3];
    size_t n_written = 0;
    wt_status st = WITAN_OK;
    if (o->save_plan && (st = witan_plan_save(s->cx, s->plan, o->save_plan)) == WITAN_OK) written[n_written++] = o->save_plan;
    if (st == WITAN_OK && o->save_record && (st = witan_record_save(s->cx, s->rec, o->save_record)) == WITAN_OK)
        written[n_written++] = o->save_record;
    if (st == WITAN_OK && html && (st = wt_file_write(s->cx, o->report, html, n)) == WITAN_OK) written[n_written++] = o->report;
    if (st == WITAN_OK) st = name_model(s);
    if (st != WITAN_OK)
        while (n_written) s->cx->io.unlink(s->cx->io.user, written[--n_written]);
    return st;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------- */

static wt_status work(wt_specialize *s)
{
    char *html = NULL;
    size_t n = 0;
    WT_TRY(wt_specialize_arguments(s));
    WT_TRY(open_model(s));
    WT_TRY(wt_specialize_documents(s));
    WT_TRY(profile(s));
    WT_TRY(plan(s));
    WT_TRY(write_and_check(s));
    sizes(s);
    WT_TRY(wt_specialize_measure(s));
    WT_TRY(wt_specialize_speed(s));
    if (s->o->report) {
        WT_TRY(wt_progress(s->cx, "report", 0, 1, "pages"));
        WT_TRY(wt_specialize_page(s, &html, &n));
    }
    wt_status st = publish(s, html, n);           /* the last chance to cancel was before this */
    wt_free(s->cx, html);
    return st;
}

static void remove_part(wt_ctx *cx, char *path, bool own)
{
    if (path && own) cx->io.unlink(cx->io.user, path);
    wt_free(cx, path);
}

static void tidy(wt_specialize *s)
{
    for (size_t i = 0; i < s->n_arm; i++) {
        witan_plan_free(s->arm[i].plan);
        witan_eval_free(s->cx, s->arm[i].eval);
    }
    witan_model_free(s->small);
    witan_model_free(s->model);
    remove_part(s->cx, s->staged, true);
    remove_part(s->cx, s->calib, s->own_calib);
    remove_part(s->cx, s->held, s->own_held);
    witan_record_free(s->rec);
    witan_record_free(s->others);
    witan_plan_free(s->plan);
    wt_free(s->cx, s->quality);
    wt_free(s->cx, s->chosen);
    if (s->demos.cx) wt_docs_free(&s->demos);
}

wt_status witan_specialize(wt_ctx *cx, const witan_specialize_options *o, witan_specialize_result *out)
{
    witan_specialize_result res = { .ppl_before = NAN, .ppl_after = NAN, .acc_before = NAN, .acc_after = NAN, .toks_before = NAN, .toks_after = NAN };
    wt_specialize s = { .cx = cx, .o = o, .res = &res };
    wt_status st = work(&s);
    tidy(&s);
    if (st == WITAN_OK) *out = res;
    return st;
}
