/* Looking up methods in the registry. */
#include "op/method.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_name[WT_N_KIND] = { "router", "filter", "balance", "importance", "optim" };

const char *wt_kind_name(wt_kind k) { return kind_name[k]; }

wt_status wt_method_find(wt_ctx *cx, wt_kind kind, const char *name, const wt_method **out)
{
    const char *word[256];
    char list[512] = "";
    size_t n = 0;
    for (size_t i = 0; i < wt_n_methods; i++) {
        const wt_method *m = wt_methods[i];
        if (m->kind != kind) continue;
        if (!strcmp(m->name, name)) { *out = m; return WITAN_OK; }
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", m->name);
        if (n < 256) word[n++] = m->name;
    }
    const char *near = witan_did_you_mean(name, word, n);
    if (near) return wt_fail(cx, WT_EARG, "no %s method \"%s\"; did you mean \"%s\"? There are: %s", kind_name[kind], name, near, list);
    return wt_fail(cx, WT_EARG, "no %s method \"%s\"; there are: %s", kind_name[kind], name, list);
}

size_t witan_method_count(void) { return wt_n_methods; }

static bool comes_before(const wt_method *a, const wt_method *b)
{
    return a->kind != b->kind ? a->kind < b->kind : strcmp(a->name, b->name) < 0;
}

bool witan_method_get(size_t i, witan_method *out)
{
    for (size_t j = 0; j < wt_n_methods; j++) {   /* the one with i others before it */
        size_t rank = 0;
        for (size_t k = 0; k < wt_n_methods; k++) rank += comes_before(wt_methods[k], wt_methods[j]);
        if (rank != i) continue;
        const wt_method *m = wt_methods[j];
        *out = (witan_method){ m->name, kind_name[m->kind], m->title, m->about, m->cite.paper, m->cite.authors, m->cite.id, m->cite.where,
                               m->cite.year, m->param };
        return true;
    }
    return false;
}
