/* Making a vocabulary: count the words of a corpus, learn merges, write them as a GGUF file that holds nothing else. */
#include "base/option.h"
#include "model/history.h"
#include "text/vocab.h"
#include "train/bpe.h"

#include <stdio.h>
#include <string.h>

enum { MOST_SPECIAL = 64, MOST_VOCAB = 1 << 20 };

const witan_param witan_tokenizer_param[] = {
    WT_NUM(witan_tokenizer_options, vocab, 4096, 257, MOST_VOCAB, "tokens: special ones, 256 bytes, the rest learnt"),
    WT_TEXT(witan_tokenizer_options, pre, "gpt-2", "NAME", "how text is split before merging, a name that tokenizer.ggml.pre knows"),
    WT_FLAG(witan_tokenizer_options, digits, "digits stay single: numbers are spelled"),
    WT_NUM(witan_tokenizer_options, min_count, 2, 1, 1e15, "pairs that occur less often are not merged"),
    WT_TEXT(witan_tokenizer_options, special, "<|endoftext|>", "LIST", "special tokens; the first begins and ends documents, <|pad|> pads"),
    WT_NUM(witan_tokenizer_options, most_words, 4000000, 1000, 1e9, "different words kept in memory; above, the rarest are forgotten"),
    { 0 }
};

typedef struct maker {
    wt_ctx *cx;
    const witan_tokenizer_options *o;
    char *names; const char *special[MOST_SPECIAL]; int32_t n_special;
    wt_words_result words;
    wt_bpe bpe;
} maker;

/* ---- options -------------------------------------------------------------------------------------------------------- */

static wt_status read_special(maker *m)
{
    if (!(m->names = wt_strdup(m->cx, m->o->special ? m->o->special : ""))) return WT_ENOMEM;
    for (char *s = m->names, *next; s; s = next) {
        next = strchr(s, ',');
        if (next) *next++ = 0;
        if (!*s || witan_utf8_check(s, strlen(s)) < strlen(s))
            return wt_fail(m->cx, WT_EARG, "special: expected names of tokens, separated by commas, such as <|endoftext|>,<|pad|>");
        if (m->n_special == MOST_SPECIAL) return wt_fail(m->cx, WT_EARG, "special: more than %d tokens", MOST_SPECIAL);
        for (int32_t i = 0; i < m->n_special; i++)
            if (!strcmp(m->special[i], s)) return wt_fail(m->cx, WT_EARG, "special: \"%s\" is named twice", s);
        m->special[m->n_special++] = s;
    }
    return WITAN_OK;
}

static wt_status find_rule(maker *m, const wt_split_rule **rule)
{
    const char *pre = m->o->pre ? m->o->pre : "gpt-2", *all[128], *near;
    size_t n = 0;
    if ((*rule = wt_split_find(pre, strlen(pre)))) return WITAN_OK;
    while (n < 128 && (all[n] = wt_split_name(n))) n++;
    near = witan_did_you_mean(pre, all, n);
    return wt_fail(m->cx, WT_EARG, "pre: splitting rule \"%s\" is unknown%s%s%s", pre, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static wt_status check(maker *m)
{
    int32_t least;
    WT_TRY(read_special(m));
    least = m->n_special + 256;
    if (m->o->vocab < least || m->o->vocab > MOST_VOCAB)
        return wt_fail(m->cx, WT_EARG, "vocab is %d, expected %d to %d: special tokens and 256 bytes have a place in it", m->o->vocab, least, MOST_VOCAB);
    if (m->o->min_count < 1 || m->o->most_words < 1)
        return wt_fail(m->cx, WT_EARG, "%s is %lld, expected 1 or more", m->o->min_count < 1 ? "min_count" : "most_words",
                       (long long)(m->o->min_count < 1 ? m->o->min_count : m->o->most_words));
    return WITAN_OK;
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

/* Tokens and merges as text in the alphabet of byte-level BPE. Every byte takes at most two. */
typedef struct shown { wt_text t; size_t *at; wt_str *str; size_t n; } shown;

static wt_status show_begin(shown *s, wt_ctx *cx, size_t n)
{
    wt_text_init(&s->t, cx);
    s->n = 0;
    s->at = wt_alloc(cx, n + 1, sizeof *s->at);
    s->str = wt_alloc(cx, n, sizeof *s->str);
    return s->at && s->str ? WITAN_OK : WT_ENOMEM;
}

static void show_bytes(shown *s, const uint16_t character[256], const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t c = character[(uint8_t)p[i]];
        char two[2] = { (char)(0xC0 | c >> 6), (char)(0x80 | (c & 63)) }, one = (char)c;
        if (c < 128) wt_text_put(&s->t, &one, 1); else wt_text_put(&s->t, two, 2);
    }
}

static void show_end(shown *s) { s->at[++s->n] = s->t.n; }

/* The text moves while it grows, so the strings are found at the end. */
static wt_status show_take(shown *s)
{
    if (s->t.failed) return wt_fail(s->t.cx, WT_ENOMEM, "out of memory while writing a vocabulary");
    for (size_t i = 0; i < s->n; i++) s->str[i] = (wt_str){ s->t.s ? s->t.s + s->at[i] : "", s->at[i + 1] - s->at[i] };
    return WITAN_OK;
}

static void show_free(shown *s)
{
    wt_free(s->t.cx, s->at);
    wt_free(s->t.cx, s->str);
    wt_text_free(&s->t);
}

static void characters(uint16_t character[256])
{
    wt_alphabet a;
    wt_alphabet_init(&a);
    for (uint16_t c = 0; c < 512; c++) if (a.byte[c] >= 0) character[a.byte[c]] = c;
}

static void show_token(shown *s, const maker *m, const uint16_t character[256], int32_t id)
{
    const wt_bpe *b = &m->bpe;
    if (id < m->n_special) wt_text_puts(&s->t, m->special[id]);
    else show_bytes(s, character, b->text + b->at[id], b->at[id + 1] - b->at[id]);
}

static wt_status put_tokens(maker *m, wt_gguf_out *out, shown *s, const uint16_t character[256])
{
    size_t n = (size_t)m->bpe.n_token;
    int32_t *type = NULL;
    WT_TRY(show_begin(s, m->cx, n));
    for (int32_t i = 0; i < m->bpe.n_token; i++) { show_token(s, m, character, i); show_end(s); }
    WT_TRY(show_take(s));
    WT_TRY(wt_gguf_put_strs(out, "tokenizer.ggml.tokens", s->str, n));
    if (!(type = wt_alloc(m->cx, n, sizeof *type))) return WT_ENOMEM;
    for (size_t i = 0; i < n; i++) type[i] = i < (size_t)m->n_special ? WT_TOK_CONTROL : WT_TOK_NORMAL;
    wt_status st = wt_gguf_put_i32s(out, "tokenizer.ggml.token_type", type, n);
    wt_free(m->cx, type);
    return st;
}

static wt_status put_merges(maker *m, wt_gguf_out *out, shown *s, const uint16_t character[256])
{
    const wt_bpe *b = &m->bpe;
    WT_TRY(show_begin(s, m->cx, b->n_merge));
    for (size_t i = 0; i < b->n_merge; i++) {
        show_token(s, m, character, b->merge[i].left);
        wt_text_put(&s->t, " ", 1);
        show_token(s, m, character, b->merge[i].right);
        show_end(s);
    }
    WT_TRY(show_take(s));
    return wt_gguf_put_strs(out, "tokenizer.ggml.merges", s->str, b->n_merge);
}

static wt_status put_history(maker *m, wt_gguf_out *out)
{
    const witan_tokenizer_options *o = m->o;
    wt_text t;
    wt_history_begin(&t, m->cx, "tokenizer", "", o->command);
    wt_text_printf(&t, ",\"vocab\":%d,\"min_count\":%lld,\"digits\":%s", o->vocab, (long long)o->min_count, o->digits ? "true" : "false");
    wt_text_printf(&t, ",\"most_words\":%lld,\"documents\":%lld,\"bytes\":%lld", (long long)o->most_words, (long long)m->words.n_doc,
                   (long long)m->words.n_byte);
    return wt_history_end(&t, out, NULL);
}

static wt_status describe(maker *m, wt_gguf_out *out)
{
    uint16_t character[256];
    shown tokens = { .t = { .cx = m->cx } }, merges = { .t = { .cx = m->cx } };
    characters(character);
    wt_status st;
    WT_GO(wt_gguf_put_str(out, "general.architecture", "gpt2"));
    WT_GO(wt_gguf_put_str(out, "general.name", "vocabulary"));
    WT_GO(wt_gguf_put_str(out, "tokenizer.ggml.model", "gpt2"));
    WT_GO(wt_gguf_put_str(out, "tokenizer.ggml.pre", m->o->pre ? m->o->pre : "gpt-2"));
    WT_GO(put_tokens(m, out, &tokens, character));
    WT_GO(put_merges(m, out, &merges, character));
    WT_GO(wt_gguf_put_u32(out, "tokenizer.ggml.bos_token_id", 0));
    WT_GO(wt_gguf_put_u32(out, "tokenizer.ggml.eos_token_id", 0));
    for (int32_t i = 0; i < m->n_special; i++)
        if (!strcmp(m->special[i], "<|pad|>")) WT_GO(wt_gguf_put_u32(out, "tokenizer.ggml.padding_token_id", (uint32_t)i));
    WT_GO(wt_gguf_put_bool(out, "tokenizer.ggml.add_bos_token", true));
    WT_GO(put_history(m, out));
done:
    show_free(&tokens);
    show_free(&merges);
    return st;
}

static wt_status write(maker *m, const char *path)
{
    wt_gguf_out *out;
    WT_TRY(wt_gguf_out_open(m->cx, path, &out));
    wt_status st = describe(m, out);
    if (st == WITAN_OK) return wt_gguf_out_commit(&out);
    wt_gguf_out_abort(&out);
    return st;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------ */

static wt_status make(maker *m, const char *const *path, size_t n_path, const char *out)
{
    wt_words_options w = { .most = m->o->most_words };
    WT_TRY(check(m));
    WT_TRY(find_rule(m, &w.split));
    for (size_t i = 0; i < n_path; i++)
        if (wt_file_same(path[i], out)) return wt_fail(m->cx, WT_EARG, "%s: is read from, it will not be replaced", out);
    WT_TRY(wt_words_count(m->cx, path, n_path, &w, &m->words));
    WT_TRY(wt_bpe_learn(m->cx, &m->words.words, &(wt_bpe_options){ m->o->vocab, m->n_special, m->o->min_count, m->o->digits }, &m->bpe));
    if (m->bpe.n_token < m->o->vocab)
        wt_log(m->cx, WITAN_WARN, "the text has pairs for %d of %d tokens only", m->bpe.n_token, m->o->vocab);
    if (m->words.dropped)
        wt_log(m->cx, WITAN_INFO, "%lld of %lld words were rare and forgotten to keep %lld different ones", (long long)m->words.dropped,
               (long long)m->words.n_piece, (long long)m->o->most_words);
    return write(m, out);
}

wt_status witan_tokenizer_train(wt_ctx *cx, const char *const *path, size_t n_path, const char *out, const witan_tokenizer_options *opts,
                                witan_tokenizer_result *result)
{
    maker m = { .cx = cx, .o = opts, .words = { .words = { .cx = cx } }, .bpe = { .cx = cx } };
    if (!n_path) return wt_fail(cx, WT_EARG, "no file to learn from");
    wt_status st = make(&m, path, n_path, out);
    if (st == WITAN_OK && result)
        *result = (witan_tokenizer_result){ .n_token = m.bpe.n_token, .n_merge = (int32_t)m.bpe.n_merge, .bytes = m.words.n_byte, .documents = m.words.n_doc,
                                            .words = m.words.n_piece, .different = (int64_t)m.words.words.n, .forgotten = m.words.dropped, .tokens = m.bpe.n_left };
    wt_words_free(&m.words.words);
    wt_bpe_free(&m.bpe);
    wt_free(cx, m.names);
    return st;
}
