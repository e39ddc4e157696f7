/* The text calls of witan.h: a model's vocabulary, or a vocabulary alone. */
#include "model/model.h"

wt_status witan_tokenize(wt_ctx *cx, const wt_model *m, const char *text, size_t len, int flags, int32_t **ids, size_t *n)
{
    return wt_vocab_encode(cx, m->vocab, text, len, flags, ids, n);
}

wt_status witan_detokenize(wt_ctx *cx, const wt_model *m, const int32_t *ids, size_t n, bool skip_special, char **text, size_t *len)
{
    wt_text t;
    wt_text_init(&t, cx);
    wt_status st = wt_vocab_decode_all(cx, m->vocab, ids, n, skip_special, &t);
    if (st != WITAN_OK) { wt_text_free(&t); return st; }
    return wt_text_take(&t, text, len);
}

wt_status witan_token_text(wt_ctx *cx, const wt_model *m, int32_t id, bool skip_special, char **text, size_t *len)
{
    wt_text t;
    wt_text_init(&t, cx);
    wt_status st = wt_vocab_decode(cx, m->vocab, id, skip_special, &t);
    if (st != WITAN_OK) { wt_text_free(&t); return st; }
    return wt_text_take(&t, text, len);
}

wt_status witan_vocab_open(wt_ctx *cx, const char *path, const witan_model_options *opts, wt_model **out)
{
    wt_model *m = wt_alloc(cx, 1, sizeof *m);
    if (!m) return WT_ENOMEM;
    m->cx = cx;
    wt_status st = wt_gguf_open(cx, path, &m->file);
    if (st == WITAN_OK) st = wt_vocab_open(cx, m->file, opts ? opts->pre : NULL, &m->vocab);
    if (st != WITAN_OK) { witan_model_free(m); return st; }
    m->info = (witan_model_info){ .path = m->file->path, .arch = "", .name = "", .n_vocab = wt_vocab_size(m->vocab),
                                  .bos = wt_vocab_bos(m->vocab), .eos = wt_vocab_eos(m->vocab), .add_bos = wt_vocab_add_bos(m->vocab) };
    *out = m;
    return WITAN_OK;
}
