/* A first program with libwitan: loads a model and continues a prompt, greedily.
 *
 *     cc docs/example.c -o example $(pkg-config --cflags --libs witan)
 *     ./example models/council-Q8_0.gguf 'Sort d b a c:'
 */
#include <stdio.h>
#include <string.h>
#include <witan.h>

static int failed(witan_ctx *cx)
{
    fprintf(stderr, "%s\n", witan_error(cx));
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3) { fprintf(stderr, "usage: example MODEL PROMPT\n"); return 2; }
    witan_ctx *cx = witan_ctx_new(NULL);
    witan_model *model = NULL;
    witan_session *session = NULL;
    witan_sampler *sampler = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    int status = 0;
    if (!cx) return 1;
    if (witan_model_open(cx, argv[1], NULL, &model) ||
        witan_tokenize(cx, model, argv[2], strlen(argv[2]), WITAN_TOK_BOS, &ids, &n) ||
        witan_session_new(cx, model, NULL, &session) ||
        witan_sampler_new(cx, witan_model_get_info(model)->n_vocab, NULL, &sampler) ||
        witan_feed(session, 0, ids, n)) status = failed(cx);

    for (int i = 0; !status && i < 32; i++) {
        int32_t id = witan_sample(sampler, witan_logits(session, 0));
        char *text;
        if (id < 0 || id == witan_model_get_info(model)->eos) break;
        if (witan_token_text(cx, model, id, true, &text, &n) || (fputs(text, stdout), witan_free(cx, text), witan_feed(session, 0, &id, 1)))
            status = failed(cx);
    }
    puts("");
    witan_sampler_free(sampler);
    witan_session_free(session);
    witan_free(cx, ids);
    witan_model_free(model);
    witan_ctx_free(cx);
    return status;
}
