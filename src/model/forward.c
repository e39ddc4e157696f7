/* The forward pass of a decoder, dense or with mixture-of-experts layers, driven by the family's description:
 *   x += attention(norm(x));  x += experts(norm(x)) + shared(norm(x)), or feed-forward(norm(x));  logits = head(norm(x)). */
#include "model/forward.h"

#include "op/linear.h"
#include "op/tape.h"
#include <string.h>

typedef struct pass {
    wt_run *r;
    const wt_model *m;
    const wt_mask *mask;
    const wt_kv_cache *kv;
    const wt_batch *b;
    wt_tensor *angle;      /* of rope */
    wt_tensor *x, *next;   /* residual stream [n_tok, d_model], before and after the layer */
} pass;

/* The bias and the norm of a projection, where the family has them. */
static wt_status finish(const pass *p, const wt_tensor *bias, const wt_tensor *norm, wt_tensor **y)
{
    if (bias) WT_TRY(wt_op_bias(p->r, *y, bias, y));
    return norm ? wt_op_norm(p->r, *y, norm, p->m->cfg.norm_eps, false, y) : WITAN_OK;
}

static wt_status attention(const pass *p, const wt_layer *l, const wt_tensor *x, wt_tensor **y)
{
    const wt_config *c = &p->m->cfg;
    wt_kv_view cache = wt_kv_view_of(p->kv);
    wt_tensor *h, *q, *k, *v, *o;
    WT_TRY(wt_op_norm(p->r, x, l->attn_norm, c->norm_eps, wt_uses_bytes(p->r->k, l->wq), &h));
    WT_TRY(wt_op_linear_n(p->r, h, 3, (const wt_tensor *[]){ l->wq, l->wk, l->wv }, (wt_tensor **[]){ &q, &k, &v }));
    WT_TRY(finish(p, l->bq, l->q_norm, &q));
    WT_TRY(finish(p, l->bk, l->k_norm, &k));
    WT_TRY(finish(p, l->bv, NULL, &v));
    WT_TRY(wt_op_rope_keep(p->r, q, k, v, p->angle, p->m->arch->rope == WT_ROPE_HALVES, &cache, p->b->seq, p->b->pos));
    WT_TRY(wt_op_attention(p->r, q, k, v, &cache, p->b->seq, p->b->pos, &o));
    WT_TRY(wt_op_linear(p->r, o, l->wo, &h));
    WT_TRY(finish(p, l->bo, NULL, &h));
    return wt_op_add(p->r, x, h, y);
}

static wt_status ffn(const pass *p, const wt_ffn *f, wt_tensor *h, wt_tensor **y)
{
    wt_tensor *gate, *up;
    WT_TRY(wt_op_linear_n(p->r, h, 2, (const wt_tensor *[]){ f->gate, f->up }, (wt_tensor **[]){ &gate, &up }));
    WT_TRY(wt_op_silu_mul(p->r, gate, up, &gate));
    return wt_op_linear(p->r, gate, f->down, y);
}

/* What the experts of a layer add: the routed ones, and the shared one if there is one. h: the normed input; x: the residual stream. */
static wt_status experts(const pass *p, const wt_layer *l, wt_tensor *h, const wt_tensor *x, wt_tensor **y)
{
    wt_tensor *routed, *shared;
    wt_route *rt;
    const float *pair_y;
    WT_TRY(wt_route_run(p->r, &l->route, h, l->router, l->select_bias, p->mask, &rt));
    wt_expert_source src = wt_expert_store_source(p->m->experts);
    WT_TRY(wt_op_experts(p->r, &src, rt, h, &routed, &pair_y));
    WT_TRY(wt_tap_send(p->r, (wt_tap_event){ .tap = WT_TAP_BLOCK, .n_tok = p->b->n_tok, .n_exp = l->n_exp, .d_model = p->m->cfg.d_model,
                                             .route = rt, .x = h->f32, .pair_y = pair_y, .resid = x->f32, .routed = routed->f32 }));
    *y = routed;
    if (!l->shared.gate) return WITAN_OK;
    WT_TRY(ffn(p, &l->shared, h, &shared));
    if (l->shared_gate) WT_TRY(wt_op_gate_rows(p->r, h, l->shared_gate, shared, &shared));
    return wt_op_add(p->r, routed, shared, y);
}

/* *y is where the result goes, NULL: it is made (where a tape needs both). */
static wt_status block(const pass *p, const wt_layer *l, const wt_tensor *x, wt_tensor **y)
{
    wt_tensor *h, *f;
    const wt_tensor *first = l->n_exp ? &wt_expert_store_layer(p->m->experts, p->r->layer)->expert->gate : l->dense.gate;
    WT_TRY(wt_op_norm(p->r, x, l->ffn_norm, p->m->cfg.norm_eps, wt_uses_bytes(p->r->k, first), &h));
    WT_TRY(l->n_exp ? experts(p, l, h, x, &f) : ffn(p, &l->dense, h, &f));
    if (!*y) return wt_op_add(p->r, x, f, y);
    wt_op_add_into(p->r, x, f, *y);
    return WITAN_OK;
}

typedef struct layer_job { const pass *p; int32_t number; } layer_job;

static wt_status layer(wt_run *r, void *arg, const wt_tensor *x, wt_tensor **y)
{
    const layer_job *j = arg;
    const wt_layer *l = j->p->m->layer + j->number;
    wt_tensor *mid;
    r->layer = j->number;
    WT_TRY(wt_go_on(r->cx));
    WT_TRY(attention(j->p, l, x, &mid));
    return block(j->p, l, mid, y);
}

static wt_status layers(pass *p)
{
    layer_job *job = wt_take_n(p->r->a, (size_t)p->m->cfg.n_layer, sizeof *job);
    if (!job) return WITAN_ENOMEM;
    for (int32_t i = 0; i < p->m->cfg.n_layer; i++) {
        job[i] = (layer_job){ p, i };
        wt_tensor *before = p->x, *y = p->next;
        WT_TRY(wt_op_piece(p->r, layer, job + i, before, &y));
        p->x = y;
        p->next = before;                        /* with a tape nothing is written to again */
    }
    return WITAN_OK;
}

/* The rows that are asked for: all of x where all are. */
static wt_status wanted(const pass *p, wt_tensor **rows)
{
    int32_t n = 0, *at;
    *rows = p->x;
    if (p->b->n_want == p->b->n_tok) return WITAN_OK;
    if (!(at = wt_take_n(p->r->a, (size_t)p->b->n_want, sizeof *at))) return WITAN_ENOMEM;
    for (int32_t t = 0; t < p->b->n_tok; t++) if (p->b->want[t]) at[n++] = t;
    return wt_op_rows(p->r, p->x, at, n, rows);
}

/* Only rows that are asked for go through the head. */
static wt_status head(const pass *p, float *logits, wt_loss *loss)
{
    wt_tensor *rows, *y;
    if (!p->b->n_want) return WITAN_OK;
    WT_TRY(wanted(p, &rows));
    WT_TRY(wt_op_norm(p->r, rows, p->m->out_norm, p->m->cfg.norm_eps, wt_uses_bytes(p->r->k, p->m->head), &rows));
    if (loss) return wt_op_head_loss(p->r, rows, p->m->head, loss);
    WT_TRY(wt_op_linear(p->r, rows, p->m->head, &y));
    memcpy(logits, y->f32, y->n * sizeof *logits);
    return WITAN_OK;
}

static wt_status run(pass *p, float *logits, wt_loss *loss)
{
    wt_run *r = p->r;
    const wt_batch *b = p->b;
    r->token_id = b->id;
    r->token_seq = b->seq;
    r->token_pos = b->pos;
    WT_TRY(wt_op_embed(r, p->m->embed, b->id, b->n_tok, &p->x));
    WT_TRY(wt_op_rope_table(r, b->pos, b->n_tok, p->m->cfg.rope_freq, p->m->cfg.n_rot, p->m->cfg.rope_size, &p->angle));
    WT_TRY(wt_tensor_new(r->a, p->x->n_dim, p->x->shape, &p->next));
    WT_TRY(layers(p));
    return head(p, logits, loss);
}

wt_status wt_forward(wt_run *r, const wt_model *m, const wt_mask *mask, const wt_kv_cache *kv, const wt_batch *b, float *logits)
{
    pass p = { .r = r, .m = m, .mask = mask, .kv = kv, .b = b };
    wt_mark mark = wt_mark_set(r->a);
    wt_assert(!wt_taping(r));
    wt_status st = run(&p, logits, NULL);
    wt_rewind(r->a, mark);
    return st;
}

wt_status wt_forward_loss(wt_run *r, const wt_model *m, const wt_kv_cache *kv, const wt_batch *b, wt_loss *loss)
{
    pass *p = wt_take(r->a, sizeof *p);          /* layers that run again look at it */
    if (!p) return WITAN_ENOMEM;
    *p = (pass){ .r = r, .m = m, .kv = kv, .b = b };
    return run(p, NULL, loss);
}
