/* Specialising, the beginning: arguments, demonstrations, and what quality will be measured on. */
#include "api/specialize.h"

#include "base/file.h"
#include "base/json.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOLD_OUT_EVERY = 5 };

/* ---- arguments ------------------------------------------------------------------------------------------------------ */

static bool given(const char *s) { return s && *s; }

static wt_status values(wt_specialize *s)
{
    const witan_specialize_options *o = s->o;
    if (!given(o->model)) return wt_fail(s->cx, WT_EARG, "specialize: no model given");
    if (!given(o->demos)) return wt_fail(s->cx, WT_EARG, "specialize: no demonstrations given");
    if (!given(o->out)) return wt_fail(s->cx, WT_EARG, "specialize: no output name given");
    if (!(o->keep > 0 && o->keep <= 1)) return wt_fail(s->cx, WT_EARG, "keep: expected a share above 0, at most 1");
    if (o->gate != WITAN_GATE_RENORM && o->gate != WITAN_GATE_KEEP) return wt_fail(s->cx, WT_EARG, "gate: expected renorm or keep");
    if (o->n_ctx < 0) return wt_fail(s->cx, WT_EARG, "n_ctx: %d is negative", o->n_ctx);
    if (o->eval_limit < 0) return wt_fail(s->cx, WT_EARG, "eval_limit: %d is negative", o->eval_limit);
    return wt_method_find(s->cx, WT_KIND_IMPORTANCE, given(o->score) ? o->score : "easy-ep", &s->method);
}

/* Opens and abandons a temporary file beside path: what cannot be written shall be known before the work, not after. */
static wt_status probe(wt_ctx *cx, const char *path)
{
    wt_out *out;
    WT_TRY(wt_out_open(cx, path, &out));
    wt_out_abort(&out);
    return WITAN_OK;
}

static bool same(const char *a, const char *b) { return !strcmp(a, b) || wt_file_same(a, b); }

static wt_status outputs(wt_specialize *s)
{
    const witan_specialize_options *o = s->o;
    const char *const in[] = { o->model, o->demos, o->eval }, *const out[] = { o->out, o->report, o->save_plan, o->save_record };
    static const char *const role[] = { "the model itself", "the demonstrations", "the evaluation lines" };
    for (size_t i = 0; i < 4; i++) {
        if (!out[i]) continue;
        for (size_t k = 0; k < 3; k++)
            if (in[k] && same(out[i], in[k])) return wt_fail(s->cx, WT_EARG, "%s: is %s; choose another output name", out[i], role[k]);
        for (size_t k = 0; k < i; k++)
            if (out[k] && same(out[i], out[k])) return wt_fail(s->cx, WT_EARG, "%s: named for two different outputs", out[i]);
        WT_TRY(probe(s->cx, out[i]));
    }
    return WITAN_OK;
}

wt_status wt_specialize_arguments(wt_specialize *s)
{
    WT_TRY(values(s));
    return outputs(s);
}

/* ---- demonstrations -------------------------------------------------------------------------------------------------- */

/* Drops lines of other domains and labels what has no label. Returns whether the file can be used as it is. */
static wt_status choose(wt_specialize *s, bool *as_is)
{
    const char *want = given(s->o->domain) ? s->o->domain : NULL;
    size_t n = 0, n_labelled = 0, all = s->demos.n;
    for (size_t i = 0; i < all; i++) n_labelled += s->demos.doc[i].domain != NULL;
    for (size_t i = 0; i < all; i++) {
        wt_doc *d = s->demos.doc + i;
        if (want && n_labelled && (!d->domain || strcmp(d->domain, want))) continue;
        if (!d->domain) d->domain = want ? want : "demos";
        s->demos.doc[n++] = *d;
    }
    s->demos.n = n;
    s->unlabelled = !want && !n_labelled;
    *as_is = n == all && (!want || n_labelled == all);
    if (n) return WITAN_OK;
    return wt_fail(s->cx, WT_ELIMIT, "%s: holds no demonstrations of domain \"%s\"; there are: %s", s->o->demos, want ? want : "", s->demos.domains);
}

static wt_status name_domains(wt_specialize *s)
{
    wt_text t;
    wt_text_init(&t, s->cx);
    for (size_t i = 0; i < s->demos.n; i++) {
        size_t k = 0;
        while (strcmp(s->demos.doc[k].domain, s->demos.doc[i].domain)) k++;
        if (k < i) continue;
        wt_text_printf(&t, "%s%s", s->n_chosen ? ", " : "", s->demos.doc[i].domain);
        s->n_chosen++;
    }
    if (s->n_chosen == 1 && s->unlabelled) {
        wt_text_free(&t);
        wt_text_puts(&t, "your own domain");
    }
    return wt_text_take(&t, &s->chosen, NULL);
}

bool wt_specialize_is_chosen(const wt_specialize *s, const char *domain)
{
    for (size_t i = 0; i < s->demos.n; i++)
        if (!strcmp(s->demos.doc[i].domain, domain)) return true;
    return false;
}

static bool held_out(const wt_specialize *s, size_t i) { return s->on == WT_ON_HELD_OUT && i % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1; }

/* Writes the chosen demonstrations, either those held out or the others, beside the output. */
static wt_status write_part(wt_specialize *s, bool held, const char *what, char **path)
{
    wt_text t;
    char *data;
    size_t n;
    wt_text_init(&t, s->cx);
    for (size_t i = 0; i < s->demos.n; i++) {
        const wt_doc *d = s->demos.doc + i;
        if (held_out(s, i) != held) continue;
        wt_text_puts(&t, "{\"domain\":");
        wt_text_json(&t, d->domain, strlen(d->domain));
        wt_text_puts(&t, ",\"text\":");
        wt_text_json(&t, d->text, d->n_text);
        wt_text_puts(&t, "}\n");
    }
    WT_TRY(wt_text_take(&t, &data, &n));
    *path = wt_printf(s->cx, "%s.tmp.%ld.%s", s->o->out, (long)getpid(), what);
    wt_status st = *path ? wt_file_write(s->cx, *path, data, n) : WT_ENOMEM;
    wt_free(s->cx, data);
    return st;
}

/* Pipes give their content once, and more than one step reads it. */
static bool rereadable(const char *path)
{
    struct stat f;
    return strcmp(path, "-") && !stat(path, &f) && S_ISREG(f.st_mode);
}

static wt_status parts(wt_specialize *s, bool as_is)
{
    for (size_t i = 0; i < s->demos.n; i++) s->n_held += held_out(s, i);
    s->n_calib = s->demos.n - s->n_held;
    if (!s->n_held && as_is && rereadable(s->o->demos)) {
        s->calib = wt_strdup(s->cx, s->o->demos);
        return s->calib ? WITAN_OK : WT_ENOMEM;
    }
    WT_TRY(write_part(s, false, "calibration", &s->calib));
    s->own_calib = true;
    if (!s->n_held) return WITAN_OK;
    WT_TRY(write_part(s, true, "held-out", &s->held));
    s->own_held = true;
    return WITAN_OK;
}

/* ---- evaluation lines ------------------------------------------------------------------------------------------------ */

static bool is_demo(const wt_specialize *s, const wt_doc *d)
{
    for (size_t i = 0; i < s->demos.n; i++)
        if (s->demos.doc[i].n_text == d->n_text && !memcmp(s->demos.doc[i].text, d->text, d->n_text)) return true;
    return false;
}

static wt_status look_at_eval(wt_specialize *s)
{
    wt_docs d;
    if (!rereadable(s->o->eval) && !access(s->o->eval, F_OK))
        return wt_fail(s->cx, WT_EARG, "%s: evaluation lines are read several times: expected a file, not a pipe", s->o->eval);
    WT_TRY(wt_docs_read(s->cx, s->o->eval, false, NULL, 0, 0, &d));
    s->ask = true;
    s->no_domains = true;
    for (size_t i = 0; i < d.n; i++) {
        s->ask &= d.doc[i].prompt && d.doc[i].answer;
        s->no_domains &= !d.doc[i].domain;
        s->n_seen += is_demo(s, d.doc + i);
    }
    memcpy(s->eval_digest, d.digest, sizeof s->eval_digest);
    wt_docs_free(&d);
    return WITAN_OK;
}

wt_status wt_specialize_documents(wt_specialize *s)
{
    bool as_is;
    WT_TRY(wt_docs_read(s->cx, s->o->demos, false, NULL, 0, 0, &s->demos));
    WT_TRY(choose(s, &as_is));
    WT_TRY(name_domains(s));
    s->on = given(s->o->eval) ? WT_ON_EVAL : s->demos.n >= HOLD_OUT_EVERY ? WT_ON_HELD_OUT : WT_ON_DEMOS;
    if (s->on == WT_ON_EVAL) WT_TRY(look_at_eval(s));
    return parts(s, as_is);
}
