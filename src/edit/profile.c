/* Profiling: one streaming pass over documents that fills a calibration record. */
#include "edit/record.h"

#include "base/rng.h"
#include "model/model.h"
#include <string.h>

enum { PIECE = 128 };

typedef struct pass { wt_ctx *cx; const wt_model *m; witan_session *s; wt_recorder rec; wt_observer obs; int32_t n_ctx; } pass;

/* Feeds a document. Its last id is left out: nothing follows it, so its experts answer for no prediction. */
static wt_status document(pass *p, const wt_doc *doc, int64_t *n_tok)
{
    int32_t *ids;
    size_t n;
    witan_token tok[PIECE];
    WT_TRY(wt_vocab_encode(p->cx, p->m->vocab, doc->text, doc->n_text, WITAN_TOK_BEGIN, &ids, &n));
    if (n > (size_t)p->n_ctx) n = (size_t)p->n_ctx;
    wt_status st = WITAN_OK;
    witan_seq_clear(p->s, 0);
    *n_tok = n ? (int64_t)n - 1 : 0;
    for (size_t at = 0; st == WITAN_OK && at + 1 < n; at += PIECE) {
        size_t k = n - 1 - at < PIECE ? n - 1 - at : PIECE;
        for (size_t i = 0; i < k; i++) tok[i] = (witan_token){ ids[at + i], 0, false };
        st = wt_session_feed(p->s, tok, k, &p->obs, 1);
    }
    wt_free(p->cx, ids);
    return st;
}

static wt_status documents(pass *p, const wt_docs *docs, const char *phase)
{
    int64_t n_tok;
    for (size_t i = 0; i < docs->n; i++) {
        const wt_doc *d = docs->doc + i;
        WT_TRY(wt_progress(p->cx, phase, (double)i, (double)docs->n, "documents"));
        WT_TRY(wt_record_domain_add(p->rec.rec, d->domain ? d->domain : "demos", &p->rec.domain));
        WT_TRY(document(p, d, &n_tok));
        p->rec.domain->n_tok += n_tok;
        p->rec.domain->n_doc += n_tok > 0;
    }
    return wt_progress(p->cx, phase, (double)docs->n, (double)docs->n, "documents");
}

/* Exchanges the domains of documents at random (Fisher and Yates). */
static void shuffle(wt_docs *docs, int64_t seed)
{
    wt_rng rng;
    wt_rng_seed(&rng, (uint64_t)seed, docs->n);
    for (size_t i = docs->n; i > 1; i--) {
        wt_doc *a = docs->doc + i - 1, *b = docs->doc + wt_rng_below(&rng, i);
        const char *domain = a->domain;
        a->domain = b->domain;
        b->domain = domain;
    }
}

static wt_status new_record(wt_ctx *cx, const wt_model *m, wt_record **out)
{
    int32_t *n_exp = wt_alloc(cx, (size_t)m->cfg.n_layer, sizeof *n_exp);
    if (!n_exp) return WT_ENOMEM;
    for (int32_t i = 0; i < m->cfg.n_layer; i++) n_exp[i] = m->layer[i].n_exp;
    wt_status st = wt_record_new(cx, m->cfg.n_layer, n_exp, m->cfg.n_exp_used, out);
    wt_free(cx, n_exp);
    WT_TRY(st);
    memcpy((*out)->fingerprint, m->info.fingerprint, sizeof (*out)->fingerprint);
    (*out)->model_name = wt_strdup(cx, m->info.name);
    return (*out)->model_name ? WITAN_OK : WT_ENOMEM;
}

static wt_status enough(wt_ctx *cx, const wt_record *r, const char *path)
{
    for (size_t i = 0; i < r->n_domain; i++)
        if (!r->domain[i]->n_tok)
            return wt_fail(cx, WT_ELIMIT, "%s: documents of domain \"%s\" are too short: expected at least two tokens in one", path, r->domain[i]->name);
    return WITAN_OK;
}

wt_status witan_profile(wt_ctx *cx, const wt_model *m, const witan_profile_options *o, wt_record **out)
{
    if (m->arch && !m->info.n_exp) return wt_fail(cx, WT_EUNSUPPORTED, "%s: is dense, expected a mixture of experts", m->info.path);
    wt_docs docs = { .cx = cx };
    wt_record *r = NULL;
    pass p = { .cx = cx, .m = m, .n_ctx = o->n_ctx > 0 ? o->n_ctx : m->cfg.n_ctx_train };
    witan_session_options so = { .n_ctx = p.n_ctx, .n_seq = 1, .plan = o->plan };
    wt_status st;
    WT_GO(wt_docs_read(cx, o->data, false, o->domain, o->limit, o->sample_seed, &docs));
    if (o->shuffle_seed) shuffle(&docs, o->shuffle_seed);
    WT_GO(new_record(cx, m, &r));
    WT_GO(witan_session_new(cx, m, &so, &p.s));
    p.rec = (wt_recorder){ .rec = r };
    p.obs = wt_recorder_observer(&p.rec);
    memcpy(r->data_digest, docs.digest, sizeof r->data_digest);
    WT_GO(documents(&p, &docs, "profile"));
    WT_GO(enough(cx, r, o->data));
done:
    if (p.rec.rec) wt_recorder_free(&p.rec);
    witan_session_free(p.s);
    wt_docs_free(&docs);
    if (st != WITAN_OK) witan_record_free(r); else *out = r;
    return st;
}
