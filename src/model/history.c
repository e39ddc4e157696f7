/* Provenance under witan.history: one JSON text per step. */
#include "model/history.h"

#include "base/json.h"
#include <string.h>

void wt_history_str(wt_text *t, const char *key, const char *v)
{
    wt_text_printf(t, ",\"%s\":", key);
    wt_text_json(t, v, strlen(v));
}

void wt_history_begin(wt_text *t, wt_ctx *cx, const char *op, const char *fingerprint, const char *command)
{
    wt_text_init(t, cx);
    wt_text_puts(t, "{\"op\":");
    wt_text_json(t, op, strlen(op));
    wt_history_str(t, "witan", WITAN_VERSION);
    if (*fingerprint) wt_history_str(t, "parent", fingerprint);
    if (command) wt_history_str(t, "command", command);
}

wt_status wt_history_end(wt_text *t, wt_gguf_out *out, const wt_gguf *parent)
{
    wt_ctx *cx = t->cx;
    wt_str *old = NULL, *all = NULL;
    size_t n = 0;
    char *fresh = NULL;
    wt_text_puts(t, "}");
    wt_status st = wt_text_take(t, &fresh, NULL);
    if (st == WITAN_OK && parent) st = wt_gguf_strs(cx, parent, "witan.history", false, &old, &n);
    if (st == WITAN_OK && !(all = wt_alloc(cx, n + 1, sizeof *all))) st = WT_ENOMEM;
    if (st == WITAN_OK) {
        if (n) memcpy(all, old, n * sizeof *all);
        all[n] = (wt_str){ fresh, strlen(fresh) };
        st = wt_gguf_put_strs(out, "witan.history", all, n + 1);
    }
    wt_free(cx, old);
    wt_free(cx, all);
    wt_free(cx, fresh);
    return st;
}
