/* Sets of balance methods: options, states of all layers in one block, counts of the step. */
#include "moe/balance.h"

#include <string.h>

wt_status wt_balance_open(wt_ctx *cx, int32_t n_layer, const int32_t *n_exp, wt_balance_set **out)
{
    wt_balance_set *s = wt_alloc(cx, 1, sizeof *s);
    if (!s) return WITAN_ENOMEM;
    s->cx = cx;
    s->learn = true;
    s->n_exp = wt_alloc(cx, (size_t)n_layer + 1, sizeof *s->n_exp);
    s->count = wt_alloc(cx, (size_t)n_layer + 1, sizeof *s->count);
    bool whole = s->n_exp && s->count;
    if (whole) s->n_layer = n_layer;
    for (int32_t i = 0; whole && i < n_layer; i++) {
        s->n_exp[i] = n_exp[i];
        s->count[i] = wt_alloc(cx, (size_t)n_exp[i] + 1, sizeof **s->count);
        whole = s->count[i] != NULL;
    }
    if (!whole) { wt_balance_free(s); return WITAN_ENOMEM; }
    *out = s;
    return WITAN_OK;
}

void wt_balance_free(wt_balance_set *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->n; i++) {
        wt_free(s->cx, s->b[i].opt);
        wt_free(s->cx, s->b[i].state);
    }
    for (int32_t i = 0; i < s->n_layer; i++) wt_free(s->cx, s->count[i]);
    wt_free(s->cx, s->count);
    wt_free(s->cx, s->n_exp);
    wt_free(s->cx, s->state);
    wt_free(s->cx, s);
}

/* Lays out the states of all methods anew. */
static wt_status lay_out(wt_balance_set *s)
{
    size_t total = 0;
    for (size_t i = 0; i < s->n; i++)
        for (int32_t l = 0; l < s->n_layer; l++) total += (size_t)((const wt_balance_ops *)s->b[i].method->ops)->n_state * (size_t)s->n_exp[l];
    float *p = wt_alloc(s->cx, total + 1, sizeof *p);
    if (!p) return WITAN_ENOMEM;
    wt_free(s->cx, s->state);
    s->state = p;
    s->n_state = total;
    for (size_t i = 0; i < s->n; i++)
        for (int32_t l = 0; l < s->n_layer; l++) {
            s->b[i].state[l] = s->n_exp[l] ? p : NULL;
            p += (size_t)((const wt_balance_ops *)s->b[i].method->ops)->n_state * (size_t)s->n_exp[l];
        }
    return WITAN_OK;
}

wt_status wt_balance_add(wt_balance_set *s, const char *name, const char *options)
{
    if (s->n == WT_MOST_BALANCE) return wt_fail(s->cx, WT_ELIMIT, "balance: more than %d methods at once", WT_MOST_BALANCE);
    wt_balance *b = s->b + s->n;
    *b = (wt_balance){ 0 };
    WT_TRY(wt_method_find(s->cx, WT_KIND_BALANCE, name, &b->method));
    b->opt = wt_alloc(s->cx, 1, b->method->opt_size + 1);
    b->state = wt_alloc(s->cx, (size_t)s->n_layer + 1, sizeof *b->state);
    s->n++;                                      /* freed with the set from here on, also after an error */
    if (!b->opt || !b->state) return WITAN_ENOMEM;
    if (b->method->param) witan_opt_defaults(b->method->param, b->opt);
    WT_TRY(wt_opt_parse(s->cx, b->method->param, b->opt, options));
    return lay_out(s);
}

void wt_balance_begin_pass(wt_balance_set *s, bool learn)
{
    s->learn = learn;
    for (size_t i = 0; i < s->n; i++) s->b[i].loss = 0;
}

void wt_balance_after_step(wt_balance_set *s)
{
    for (int32_t l = 0; l < s->n_layer; l++) {
        if (!s->n_exp[l]) continue;
        for (size_t i = 0; i < s->n; i++) {
            const wt_balance_ops *ops = s->b[i].method->ops;
            if (ops->after) ops->after(s->b[i].opt, s->b[i].state[l], s->n_exp[l], s->count[l]);
        }
        memset(s->count[l], 0, (size_t)s->n_exp[l] * sizeof **s->count);
    }
}

bool wt_balance_bias(const wt_balance_set *s, int32_t layer, float *bias)
{
    bool any = false;
    size_t n_exp = (size_t)s->n_exp[layer];
    memset(bias, 0, n_exp * sizeof *bias);
    for (size_t i = 0; n_exp && i < s->n; i++) {
        const wt_balance_ops *ops = s->b[i].method->ops;
        if (!ops->bias) continue;
        any = true;
        ops->bias(s->b[i].opt, s->b[i].state[layer], s->n_exp[layer], bias);   /* adds */
    }
    return any;
}

bool wt_balance_has_bias(const wt_balance_set *s)
{
    for (size_t i = 0; i < s->n; i++) if (((const wt_balance_ops *)s->b[i].method->ops)->before) return true;
    return false;
}

bool wt_balance_take_bias(wt_balance_set *s, int32_t layer, const float *bias)
{
    for (size_t i = 0; s->n_exp[layer] && i < s->n; i++) {
        const wt_balance_ops *ops = s->b[i].method->ops;
        if (!ops->take_bias) continue;
        ops->take_bias(s->b[i].opt, s->b[i].state[layer], s->n_exp[layer], bias);
        return true;                             /* the first one carries it */
    }
    return false;
}
