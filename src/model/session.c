/* Sessions: sequences side by side over one KV cache, fed in batches.
 *
 * A batch is cut into chunks so that the memory of one forward pass is bounded; cutting never changes a result, because every
 * op computes a token from its own past alone. */
#include "model/forward.h"

#include <string.h>

enum { CHUNK = 512, MOST_SEQ = 4096 };

struct witan_session {
    wt_ctx *cx;
    const wt_model *m;
    const wt_mask *mask;
    int32_t n_ctx, n_seq;
    wt_kv_cache kv;
    wt_arena arena;
    int32_t *len, *fresh;        /* [n_seq] tokens kept; tokens of the batch being checked */
    int32_t id[CHUNK], seq[CHUNK], pos[CHUNK];
    uint8_t want[CHUNK];
    float *logits; size_t n_logits, cap_logits;   /* rows */
};

wt_status witan_session_new(wt_ctx *cx, const wt_model *m, const witan_session_options *opts, witan_session **out)
{
    witan_session_options o = opts ? *opts : (witan_session_options){ 0 };
    if (!m->arch) return wt_fail(cx, WT_EARG, "%s: holds a vocabulary only, not a model", m->info.path);
    if (!o.n_seq) o.n_seq = 1;
    if (!o.n_ctx) o.n_ctx = m->cfg.n_ctx_train;
    if (o.n_seq < 0 || o.n_seq > MOST_SEQ) return wt_fail(cx, WT_EARG, "sequences: %d is outside [1, %d]", o.n_seq, MOST_SEQ);
    if (o.n_ctx < 0 || o.n_ctx > 1 << 24) return wt_fail(cx, WT_EARG, "context: %d is outside [1, %d] tokens", o.n_ctx, 1 << 24);
    if (o.kv_type < WITAN_KV_AUTO || o.kv_type > WITAN_KV_Q8_0) return wt_fail(cx, WT_EARG, "KV cache: type %d is unknown", o.kv_type);
    if (o.plan) WT_TRY(witan_plan_check(cx, o.plan, m));
    witan_session *s = wt_alloc(cx, 1, sizeof *s);
    if (!s) return WITAN_ENOMEM;
    s->cx = cx;
    s->kv.cx = cx;
    s->m = m;
    s->mask = o.plan ? wt_plan_mask(o.plan) : NULL;
    s->n_ctx = o.n_ctx;
    s->n_seq = o.n_seq;
    wt_arena_init(&s->arena, cx, (size_t)1 << 20);
    wt_status st = wt_kv_open(cx, &s->kv, &m->cfg, wt_kv_type_of(cx, o.kv_type), o.n_seq, o.n_ctx);
    if (st == WITAN_OK) {
        s->len = wt_alloc(cx, (size_t)o.n_seq, sizeof *s->len);
        s->fresh = wt_alloc(cx, (size_t)o.n_seq, sizeof *s->fresh);
        if (!s->len || !s->fresh) st = WITAN_ENOMEM;
    }
    if (st != WITAN_OK) { witan_session_free(s); return st; }
    *out = s;
    return WITAN_OK;
}

void witan_session_free(witan_session *s)
{
    if (!s) return;
    wt_kv_free(&s->kv);
    wt_arena_free(&s->arena);
    wt_free(s->cx, s->len);
    wt_free(s->cx, s->fresh);
    wt_free(s->cx, s->logits);
    wt_free(s->cx, s);
}

/* Everything that can be wrong with a batch, before anything changes. */
static wt_status check(witan_session *s, const witan_token *tok, size_t n, size_t *n_want)
{
    memset(s->fresh, 0, (size_t)s->n_seq * sizeof *s->fresh);
    *n_want = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t q = tok[i].seq;
        if (q < 0 || q >= s->n_seq) return wt_fail(s->cx, WT_EARG, "sequence %d is outside [0, %d)", q, s->n_seq);
        if (tok[i].id < 0 || tok[i].id >= s->m->cfg.n_vocab)
            return wt_fail(s->cx, WT_EARG, "token id %d is outside [0, %d)", tok[i].id, s->m->cfg.n_vocab);
        if (s->len[q] + ++s->fresh[q] > s->n_ctx)
            return wt_fail(s->cx, WT_ELIMIT, "context is full: it holds %d tokens, sequence %d would need more", s->n_ctx, q);
        *n_want += tok[i].logits;
    }
    return WITAN_OK;
}

static wt_status room_for_logits(witan_session *s, size_t rows)
{
    s->n_logits = 0;
    if (rows <= s->cap_logits) return WITAN_OK;
    float *p = wt_realloc(s->cx, s->logits, rows * (size_t)s->m->cfg.n_vocab, sizeof *p);
    if (!p) return WITAN_ENOMEM;
    s->logits = p;
    s->cap_logits = rows;
    return WITAN_OK;
}

static wt_status chunk(witan_session *s, const witan_token *tok, int32_t n, const wt_observer *obs, size_t n_obs)
{
    wt_batch b = { n, s->id, s->seq, s->pos, s->want, 0 };
    for (int32_t i = 0; i < n; i++) {
        s->id[i] = tok[i].id;
        s->seq[i] = tok[i].seq;
        s->pos[i] = s->len[tok[i].seq]++;
        b.n_want += s->want[i] = tok[i].logits;
        wt_kv_reserve(&s->kv, tok[i].seq, s->len[tok[i].seq]);
    }
    wt_run r = { .cx = s->cx, .k = &s->m->k, .a = &s->arena, .obs = obs, .n_obs = n_obs };
    float *rows = b.n_want ? s->logits + s->n_logits * (size_t)s->m->cfg.n_vocab : NULL;
    WT_TRY(wt_forward(&r, s->m, s->mask, &s->kv, &b, rows));
    s->n_logits += (size_t)b.n_want;
    return WITAN_OK;
}

wt_status wt_session_feed(witan_session *s, const witan_token *tok, size_t n, const wt_observer *obs, size_t n_obs)
{
    size_t n_want;
    WT_TRY(check(s, tok, n, &n_want));
    WT_TRY(room_for_logits(s, n_want));
    for (size_t at = 0; at < n; at += CHUNK) {
        wt_status st = chunk(s, tok + at, (int32_t)(n - at < CHUNK ? n - at : CHUNK), obs, n_obs);
        if (st == WITAN_OK) continue;
        size_t fed = at + CHUNK < n ? at + CHUNK : n;
        for (size_t i = 0; i < fed; i++) s->len[tok[i].seq]--;    /* as if nothing had been fed */
        s->n_logits = 0;
        return st;
    }
    return WITAN_OK;
}

wt_status witan_feed_batch(witan_session *s, const witan_token *tok, size_t n) { return wt_session_feed(s, tok, n, NULL, 0); }

wt_status witan_feed(witan_session *s, int32_t seq, const int32_t *ids, size_t n)
{
    witan_token piece[CHUNK];
    if (seq < 0 || seq >= s->n_seq) return wt_fail(s->cx, WT_EARG, "sequence %d is outside [0, %d)", seq, s->n_seq);
    if (n > (size_t)(s->n_ctx - s->len[seq]))
        return wt_fail(s->cx, WT_ELIMIT, "context is full: %zu tokens given, %d of %d left", n, s->n_ctx - s->len[seq], s->n_ctx);
    int32_t before = s->len[seq];
    s->n_logits = 0;
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t m = n - at < CHUNK ? n - at : CHUNK;
        for (size_t i = 0; i < m; i++) piece[i] = (witan_token){ ids[at + i], seq, at + i + 1 == n };
        wt_status st = witan_feed_batch(s, piece, m);
        if (st == WITAN_OK && n > CHUNK) st = wt_progress(s->cx, "prompt", (double)(at + m), (double)n, "tokens");
        if (st != WITAN_OK) { s->len[seq] = before; return st; }
    }
    return WITAN_OK;
}

const float *witan_logits(const witan_session *s, size_t i)
{
    return i < s->n_logits ? s->logits + i * (size_t)s->m->cfg.n_vocab : NULL;
}

int32_t witan_seq_len(const witan_session *s, int32_t seq) { return seq >= 0 && seq < s->n_seq ? s->len[seq] : 0; }

void witan_seq_clear(witan_session *s, int32_t seq)
{
    if (seq < 0 || seq >= s->n_seq) return;
    wt_kv_clear(&s->kv, seq);
    s->len[seq] = 0;
}
