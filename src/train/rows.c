/* Rows of training data, as pure functions of what they are asked for. See data.h. */
#include "train/data.h"

#include "base/rng.h"

enum { TRIES = 8, ROW_BITS = 24 };   /* documents drawn for one place before a row is closed; rows of a step */

/* The batch being filled; `at` is the next token. */
typedef struct row { const wt_data *d; wt_rows *b; int32_t domain, at, seq; } row;

/* The next token of a sequence. */
static void put(row *r, int32_t pos, int32_t id, int32_t target, float weight)
{
    wt_rows *b = r->b;
    bool counts = target >= 0 && weight > 0;
    int32_t i = r->at++;
    b->id[i] = id;
    b->seq[i] = r->seq;
    b->pos[i] = pos;
    b->target[i] = counts ? target : -1;
    b->weight[i] = counts ? weight : 0;
    b->domain[i] = r->domain;
}

static float weight_of(const wt_data *d, const wt_data_domain *m, size_t at) { return m->prompt[at] ? d->o.prompt_weight : 1; }

static void pad(row *r, int32_t n)
{
    for (int32_t i = 0; i < n; i++) put(r, i, r->d->end, -1, 0);
    r->seq += n > 0;
}

static void put_piece(row *r, const wt_data_domain *m, const wt_data_piece *p)
{
    for (int32_t i = 0; i < p->n; i++) {
        size_t at = p->from + (size_t)i;
        put(r, i, i || !p->first ? m->ids[at - 1] : r->d->begin, m->ids[at], weight_of(r->d, m, at));
    }
    r->seq++;
}

/* n_ctx tokens from `from` on. At its end the stream begins again, or (wrap false) the rest of the row is ignored. */
static void put_window(row *r, const wt_data_domain *m, size_t from, bool wrap)
{
    int32_t n = r->d->o.n_ctx, i = 0;
    for (; i < n; i++) {
        size_t at = from + (size_t)i, next = at + 1;
        if (!wrap && next >= m->n_tok) break;
        put(r, i, m->ids[at % m->n_tok], m->ids[next % m->n_tok], weight_of(r->d, m, next % m->n_tok));
    }
    r->seq++;
    pad(r, n - i);
}

static void draw_window(row *r, const wt_data_domain *m, wt_rng *rng)
{
    size_t n = (size_t)r->d->o.n_ctx;
    put_window(r, m, m->n_tok > n ? wt_rng_below(rng, m->n_tok - n) : 0, true);   /* a stream shorter than a row is repeated */
}

static void draw_documents(row *r, const wt_data_domain *m, wt_rng *rng)
{
    int32_t left = r->d->o.n_ctx;
    for (int tries = 0; tries < TRIES && left > 0; tries++) {
        const wt_data_piece *p = m->piece + wt_rng_below(rng, m->n_piece);
        if (p->n > left) continue;
        put_piece(r, m, p);
        left -= p->n;
        tries = -1;
    }
    pad(r, left);
}

/* A domain by its share. */
static int32_t draw_domain(const wt_data *d, wt_rng *rng)
{
    double u = (double)(wt_rng_u64(rng) >> 11) * 0x1p-53;
    int32_t last = 0;
    for (size_t i = 0; i < d->n_domain; i++) {
        if (d->domain[i].share == 0) continue;
        last = (int32_t)i;
        if (u < d->domain[i].share) break;
        u -= d->domain[i].share;
    }
    return last;                                  /* rounding may leave a little behind the last one */
}

void wt_data_batch(const wt_data *d, int64_t seed, int64_t step, int32_t first, int32_t n, wt_rows *b)
{
    row r = { .d = d, .b = b };
    for (int32_t i = 0; i < n; i++) {
        wt_rng rng;
        wt_rng_seed(&rng, (uint64_t)seed, (uint64_t)step << ROW_BITS | (uint64_t)(first + i));
        r.domain = draw_domain(d, &rng);
        const wt_data_domain *m = d->domain + r.domain;
        if (d->o.pack == WT_PACK_DOCUMENTS) draw_documents(&r, m, &rng); else draw_window(&r, m, &rng);
    }
    b->n_tok = r.at;
}

void wt_data_valid(const wt_data *d, int32_t domain, int32_t first, int32_t n, wt_rows *b)
{
    const wt_data_domain *m = d->domain + domain;
    row r = { .d = d, .b = b, .domain = domain };
    wt_assert(first >= 0 && n >= 0 && (size_t)first + (size_t)n <= m->n_row);
    for (size_t i = (size_t)first; i < (size_t)first + (size_t)n; i++) {
        int32_t begun = r.at;
        if (!m->row) { put_window(&r, m, i * (size_t)d->o.n_ctx, false); continue; }
        for (size_t p = m->row[i]; p < m->row[i + 1]; p++) put_piece(&r, m, m->piece + p);
        pad(&r, d->o.n_ctx - (r.at - begun));
    }
    b->n_tok = r.at;
}
