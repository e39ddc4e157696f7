/* Crafted models: metadata that contradicts itself or the tensors, and vocabularies that are not what they should be. The files are well-formed
 * GGUF, so describing and converting them may succeed; opening them as a model must not, unless what they say makes sense. */
#include "crafted.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bytes f;

/* ---- numbers of layers, heads, experts (llama.cpp 25821 and 26051: block_count above the compiled maximum) ------------ */

/* What stands under a key of the first mini model (olmoe, 2 layers, 8 wide, 2 heads, 1 for keys and values, 2 experts, 1 used) becomes v. */
static void with_u32(const char *key, uint32_t v, bool is_model)
{
    load_mini(&f, minis);
    patch(&f, key, &v, 4);
    if (is_model) accepted(&f, ALL); else { refused(&f, MODEL, ""); accepted(&f, INSPECT | CONVERT | VOCAB); }
}

static void absurd_numbers_of_layers_heads_and_experts_are_refused(void **state)
{
    (void)state;
    static const char *const key[] = { "olmoe.block_count", "olmoe.embedding_length", "olmoe.attention.head_count", "olmoe.attention.head_count_kv",
                                       "olmoe.expert_count", "olmoe.expert_used_count" };
    static const uint32_t absurd[] = { 0, 3, 16, 512, 513, 1024, 1025, 4096, 65536, 65537, 1u << 31, UINT32_MAX };
    for (size_t k = 0; k < sizeof key / sizeof *key; k++)
        for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) with_u32(key[k], absurd[i], false);
    with_u32("olmoe.block_count", 1, false);                     /* the second layer's tensors have no place */
    with_u32("olmoe.expert_count", 1, false);
    with_u32("olmoe.expert_used_count", 2, true);
    with_u32("olmoe.attention.head_count", 8, false);            /* one value per head cannot be rotated */
    with_u32("olmoe.context_length", 0, false);
    with_u32("olmoe.context_length", UINT32_MAX, false);
    with_u32("olmoe.context_length", 1 << 24, true);             /* no tensor speaks against it */
}

/* A model may promise a long context; memory for it is taken when a session asks. */
static void open_session(size_t i)
{
    static const int32_t n_ctx[] = { 0, 1, 1 << 20, INT32_MAX, INT32_MIN, -1 }, n_seq[] = { 0, 1, 1 << 20, INT32_MAX, -1 };
    fuzz z;
    witan_model *m;
    witan_session *s = NULL;
    witan_ctx *cx = fuzz_begin(&z, f.b, f.n, false);
    FUZZ_CHECK(witan_model_open(cx, FUZZ_FILE, NULL, &m) == WITAN_OK, "the model opens");
    z.n = (size_t)1 << 28;                                       /* what is asked for here is not the file's doing */
    fuzz_ok(cx, witan_session_new(cx, m, &(witan_session_options){ .n_ctx = n_ctx[i / 5], .n_seq = n_seq[i % 5] }, &s));
    witan_session_free(s);
    z.n = f.n;
    z.peak = 0;
    witan_model_free(m);
    fuzz_end(&z, cx);
}

static void sessions_of_absurd_size_are_refused_or_granted(void **state)
{
    (void)state;
    load_mini(&f, minis);
    patch(&f, "olmoe.context_length", &(uint32_t){ 1 << 20 }, 4);
    in_child(open_session, 30, (size_t)1 << 28, 5);
}

/* ---- other keys ------------------------------------------------------------------------------------------------------ */

typedef struct value { uint32_t type; double v; } value;         /* types of GGUF: 4 u32, 5 i32, 6 f32, 7 bool, 8 string */

static void put_value(bytes *b, uint32_t type, double v)
{
    put_u32(b, type);
    if (type == 4) put_u32(b, (uint32_t)v);
    else if (type == 5) put_u32(b, (uint32_t)(int32_t)v);
    else if (type == 6) put_f32(b, (float)v);
    else if (type == 7) put_u8(b, (uint8_t)v);
    else put_str(b, "some text");
}

static void with_key(const char *key, uint32_t type, double v, bool is_model)
{
    bytes b = { 0 };
    load_mini(&f, minis);
    put_value(&b, type, v);
    insert_key(&f, key, &b);
    free(b.b);
    if (is_model) accepted(&f, ALL); else { refused(&f, MODEL, key); accepted(&f, INSPECT | CONVERT | VOCAB); }
}

static void keys_out_of_range_or_of_another_type_are_refused(void **state)
{
    (void)state;
    static const struct { const char *key; uint32_t type; double bad[5]; } k[] = {
        { "olmoe.attention.key_length", 4, { 0, 1, 4097, 1e9, UINT32_MAX } }, { "olmoe.rope.dimension_count", 4, { 0, 1, 4097, 1e9, UINT32_MAX } },
        { "olmoe.attention.value_length", 4, { 0, 4097, 1e9, 1u << 31, UINT32_MAX } }, { "olmoe.expert_group_count", 4, { 2, 3, 1e9, 1u << 30, UINT32_MAX } },
        { "olmoe.expert_shared_count", 4, { 1, 2, 1e9, 1u << 30, UINT32_MAX } }, { "olmoe.attention.sliding_window", 4, { 1, 4, 15, 1u << 31, UINT32_MAX } },
        { "olmoe.leading_dense_block_count", 5, { -1, 1025, 1e9, -1e9, INT32_MIN } }, { "olmoe.expert_gating_func", 4, { 0, 5, 100, 1e9, UINT32_MAX } },
        { "olmoe.expert_weights_scale", 6, { NAN, INFINITY, -INFINITY, -1, 1e7 } }, { "olmoe.rope.scaling.factor", 6, { NAN, INFINITY, -INFINITY, -1, 1e7 } },
        { "olmoe.rope.scale_linear", 6, { NAN, INFINITY, -1, 0, 1e7 } },
    };
    for (size_t i = 0; i < sizeof k / sizeof *k; i++) {
        for (int j = 0; j < 5; j++) with_key(k[i].key, k[i].type, k[i].bad[j], false);
        with_key(k[i].key, 8, 0, false);
        with_key(k[i].key, 7, 1, false);
    }
    with_key("olmoe.expert_weights_norm", 7, 1, true);
    with_key("olmoe.expert_weights_norm", 4, 1, false);
    with_key("olmoe.rope.scaling.type", 4, 1, false);
    with_key("olmoe.rope.scaling.type", 8, 0, false);
}

static void numbers_that_are_none_are_refused(void **state)
{
    (void)state;
    const float bad[] = { NAN, INFINITY, -INFINITY, -1 };
    for (size_t i = 0; i < 4; i++) {
        load_mini(&f, minis); patch(&f, "olmoe.rope.freq_base", &bad[i], 4); refused(&f, MODEL, "rope.freq_base");
        load_mini(&f, minis); patch(&f, "olmoe.attention.layer_norm_rms_epsilon", &bad[i], 4); refused(&f, MODEL, "layer_norm_rms_epsilon");
    }
    load_mini(&f, minis); patch(&f, "olmoe.rope.freq_base", &(float){ 0 }, 4); refused(&f, MODEL, "rope.freq_base");
    load_mini(&f, minis + 1); patch(&f, "qwen3moe.rope.scaling.original_context_length", &(uint32_t){ 0 }, 4); refused(&f, MODEL, "original_context_length");
}

static void experts_per_layer(const int64_t *n, size_t count, bool is_model)
{
    bytes b = { 0 };
    load_mini(&f, minis);
    put_u32(&b, 9); put_u32(&b, 11); put_u64(&b, count);
    for (size_t i = 0; i < count; i++) put_u64(&b, (uint64_t)n[i]);
    insert_key(&f, "witan.expert_count_per_layer", &b);
    free(b.b);
    if (is_model) accepted(&f, ALL); else refused(&f, MODEL, "");
}

static void experts_per_layer_must_agree_with_tensors(void **state)
{
    (void)state;
    static const int64_t bad[][2] = { { 2, 1 }, { 2, 3 }, { 0, 2 }, { -1, 2 }, { 2, INT64_MAX }, { INT64_MIN, 2 }, { (int64_t)1 << 32 | 2, 2 }, { 0, 0 } };
    experts_per_layer((int64_t[]){ 2, 2 }, 2, true);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) experts_per_layer(bad[i], 2, false);
    experts_per_layer((int64_t[]){ 2, 2, 2 }, 3, false);
    experts_per_layer((int64_t[]){ 2 }, 1, false);
    experts_per_layer(NULL, 0, false);
}

/* ---- tensors of another kind or shape than the model needs -------------------------------------------------------------- */

/* A tensor of the first mini model gets another name of the same length. */
static void rename_tensor(const char *from, const char *to)
{
    load_mini(&f, minis);
    uint8_t *at = memmem(f.b, f.n, from, strlen(from));
    assert_true(at && strlen(from) == strlen(to));
    memcpy(at, to, strlen(to));
    refused(&f, MODEL, "");
    accepted(&f, INSPECT | CONVERT);
}

static void tensors_must_be_those_of_the_family(void **state)
{
    (void)state;
    rename_tensor("token_embd.weight", "token_embe.weight");
    rename_tensor("blk.1.attn_q.weight", "blk.2.attn_q.weight");
    rename_tensor("blk.1.ffn_gate_inp.weight", "blk.1.ffn_gate_inq.weight");
    rename_tensor("blk.0.ffn_down_exps.weight", "blk.0.ffn_down_expt.weight");
    rename_tensor("output.weight", "outpux.weight");             /* then the embedding is the head, and this is left over */
    rename_tensor("output_norm.weight", "output_norm.weighs");
}

/* Shape (fastest dimension first) and type of a tensor become others that take the same bytes. */
static void reshape(const char *name, uint64_t a, uint64_t b, uint32_t type)
{
    load_mini(&f, minis);
    uint8_t *at = memmem(f.b, f.n, name, strlen(name));
    assert_non_null(at);
    at += strlen(name) + 4;
    memcpy(at, &a, 8);
    memcpy(at + 8, &b, 8);
    memcpy(at + 16, &type, 4);
    refused(&f, MODEL, name);
}

static void shapes_must_be_those_of_the_metadata(void **state)
{
    (void)state;
    reshape("token_embd.weight", 16, 4, 0);
    reshape("token_embd.weight", 4, 16, 0);
    reshape("token_embd.weight", 8, 4, 28);                      /* F64 */
    reshape("blk.0.attn_q.weight", 64, 1, 0);
    reshape("blk.0.attn_q.weight", 8, 8, 26);                    /* I32 */
    reshape("blk.1.ffn_gate_inp.weight", 16, 1, 0);
}

/* ---- families ------------------------------------------------------------------------------------------------------------ */

static void families_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const other[] = { "OLMOE", "olmo2", "bert\1", "%s%n%", "../..", "     " };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        load_mini(&f, minis);
        uint8_t *at = memmem(f.b, f.n, "general.architecture", 20);
        assert_non_null(at);
        memcpy(at + 20 + 12, other[i], 5);
        refused(&f, MODEL, "family");
    }
    load_mini(&f, minis);
    uint8_t *at = memmem(f.b, f.n, "general.architecture", 20);
    assert_non_null(at);
    at[0] = 'G';
    refused(&f, MODEL, "general.architecture is missing");
}

/* ---- vocabularies (CVE-2025-49847, -52566; llama.cpp 25969 and 26511, 26690) -------------------------------------------- */

/* Begins a file with n keys, of which model and splitting rule are here. */
static void vocabulary(const char *model, const char *pre, uint64_t n)
{
    head(&f, 3, 0, n);
    put_str(&f, "tokenizer.ggml.model"); put_u32(&f, 8); put_str(&f, model);
    put_str(&f, "tokenizer.ggml.pre"); put_u32(&f, 8); put_str(&f, pre);
}

static void strings(const char *key, size_t n, const char *const *s)
{
    put_str(&f, key);
    put_u32(&f, 9);
    put_u32(&f, 8);
    put_u64(&f, n);
    for (size_t i = 0; i < n; i++) put_str(&f, s[i]);
}

static void ints(const char *key, size_t n, int32_t v)
{
    put_str(&f, key);
    put_u32(&f, 9);
    put_u32(&f, 5);
    put_u64(&f, n);
    for (size_t i = 0; i < n; i++) put_u32(&f, (uint32_t)v);
}

static void number(const char *key, uint32_t type, double v) { put_str(&f, key); put_value(&f, type, v); }

static const char *const abc[] = { "a", "b", "ab" }, *const a_b[] = { "a b" };

static void arrays_of_another_type_are_refused(void **state)
{
    (void)state;
    vocabulary("gpt2", "gpt-2", 4); strings("tokenizer.ggml.tokens", 3, abc); strings("tokenizer.ggml.merges", 1, a_b); accepted(&f, VOCAB);
    vocabulary("gpt2", "gpt-2", 4); ints("tokenizer.ggml.tokens", 3, 1); strings("tokenizer.ggml.merges", 1, a_b); refused(&f, VOCAB, "tokens");
    vocabulary("gpt2", "gpt-2", 4); number("tokenizer.ggml.tokens", 8, 0); strings("tokenizer.ggml.merges", 1, a_b); refused(&f, VOCAB, "tokens");
    vocabulary("gpt2", "gpt-2", 4); strings("tokenizer.ggml.tokens", 3, abc); ints("tokenizer.ggml.merges", 3, 1); refused(&f, VOCAB, "merges");
    vocabulary("gpt2", "gpt-2", 4); strings("tokenizer.ggml.tokens", 3, abc); number("tokenizer.ggml.merges", 4, 1); refused(&f, VOCAB, "merges");
    vocabulary("gpt2", "gpt-2", 5); strings("tokenizer.ggml.tokens", 3, abc); strings("tokenizer.ggml.merges", 1, a_b); strings("tokenizer.ggml.token_type", 3, abc); refused(&f, VOCAB, "token_type");
    vocabulary("gpt2", "gpt-2", 5); strings("tokenizer.ggml.tokens", 3, abc); strings("tokenizer.ggml.merges", 1, a_b); number("tokenizer.ggml.token_type", 4, 1); refused(&f, VOCAB, "token_type");
    vocabulary("llama", "", 4); strings("tokenizer.ggml.tokens", 3, abc); strings("tokenizer.ggml.scores", 3, abc); refused(&f, VOCAB, "scores");
    vocabulary("llama", "", 4); strings("tokenizer.ggml.tokens", 3, abc); number("tokenizer.ggml.scores", 6, 1); refused(&f, VOCAB, "scores");
    head(&f, 3, 0, 2); number("tokenizer.ggml.model", 4, 1); strings("tokenizer.ggml.tokens", 3, abc); refused(&f, VOCAB, "tokenizer.ggml.model");
    head(&f, 3, 0, 2); strings("tokenizer.ggml.model", 3, abc); strings("tokenizer.ggml.tokens", 3, abc); refused(&f, VOCAB, "tokenizer.ggml.model");
    head(&f, 3, 0, 1); strings("tokenizer.ggml.tokens", 3, abc); refused(&f, VOCAB, "tokenizer.ggml.model is missing");
}

static void arrays_of_another_length_are_refused(void **state)
{
    (void)state;
    const size_t wrong[] = { 0, 1, 2, 4, 1000 };
    for (size_t i = 0; i < 5; i++) {
        vocabulary("gpt2", "gpt-2", 5); strings("tokenizer.ggml.tokens", 3, abc); strings("tokenizer.ggml.merges", 1, a_b); ints("tokenizer.ggml.token_type", wrong[i], 1); refused(&f, VOCAB, "entries for 3 tokens");
        vocabulary("llama", "", 4); strings("tokenizer.ggml.tokens", 3, abc); ints("tokenizer.ggml.scores", wrong[i], 0); refused(&f, VOCAB, "entries for 3 tokens");
    }
    vocabulary("gpt2", "gpt-2", 4); strings("tokenizer.ggml.tokens", 0, abc); strings("tokenizer.ggml.merges", 0, a_b); refused(&f, VOCAB, "0 entries");
    vocabulary("gpt2", "gpt-2", 5); strings("tokenizer.ggml.tokens", 3, abc); strings("tokenizer.ggml.merges", 1, a_b); ints("tokenizer.ggml.token_type", 3, 7); refused(&f, VOCAB, "token_type");
    vocabulary("gpt2", "gpt-2", 5); strings("tokenizer.ggml.tokens", 3, abc); strings("tokenizer.ggml.merges", 1, a_b); ints("tokenizer.ggml.token_type", 3, -1); refused(&f, VOCAB, "token_type");
}

static void special_ids_outside_the_vocabulary_are_refused(void **state)
{
    (void)state;
    static const char *const key[] = { "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.unknown_token_id" };
    static const value bad[] = { { 4, 3 }, { 4, UINT32_MAX }, { 4, 1u << 31 }, { 5, -1 }, { 5, INT32_MIN }, { 6, 1 }, { 7, 1 }, { 8, 0 } };
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            vocabulary("gpt2", "gpt-2", 5); strings("tokenizer.ggml.tokens", 3, abc); strings("tokenizer.ggml.merges", 1, a_b); number(key[k], bad[i].type, bad[i].v); refused(&f, VOCAB, key[k]);
        }
}

static void merges_of_what_is_no_token_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "", " ", "a", "ab", "a ", " b", "a c", "c a", "b a", "a b ", "a  b", "a b a" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vocabulary("gpt2", "gpt-2", 4); strings("tokenizer.ggml.tokens", 3, abc); strings("tokenizer.ggml.merges", 1, bad + i); refused(&f, VOCAB, "merges entry 0");
    }
}

static void byte_tokens_are_exactly_two_hex_digits(void **state)
{
    (void)state;
    static const char *const bad[] = { "<0x-1>", "<0x1>", "<0x>", "<0x100>", "<0xGG>", "<0x 1>", "<0x+1>", "<0X41>", "<0x41", "0x41>", "<0x4\xC3\xA9>", "", "<0x4\0>" };
    static const char *const good[] = { "<0x41>", "<0xfF>", "<0x00>" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *tok[] = { "a", bad[i] };
        vocabulary("llama", "", 5); strings("tokenizer.ggml.tokens", 2, tok); ints("tokenizer.ggml.scores", 2, 0); ints("tokenizer.ggml.token_type", 2, 6);
        refused(&f, VOCAB, "of type byte");
        vocabulary("llama", "", 4); strings("tokenizer.ggml.tokens", 2, tok); ints("tokenizer.ggml.scores", 2, 0); accepted(&f, NONE);   /* types are guessed */
    }
    for (size_t i = 0; i < 3; i++) {
        vocabulary("llama", "", 5); strings("tokenizer.ggml.tokens", 1, good + i); ints("tokenizer.ggml.scores", 1, 0); ints("tokenizer.ggml.token_type", 1, 6);
        accepted(&f, VOCAB);
    }
}

/* Lengths are never narrowed: a token of some megabytes is a token, and one of 2^31 bytes does not fit into the file. */
static void lengths_of_tokens_are_not_narrowed(void **state)
{
    (void)state;
    const uint64_t bad[] = { (uint64_t)1 << 31, UINT32_MAX, ((uint64_t)1 << 32) + 1, INT64_MAX, (uint64_t)1 << 63, UINT64_MAX };
    char *big = malloc(5000001);
    const char *tok[] = { "a", "b", big };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vocabulary("gpt2", "gpt-2", 3);
        put_str(&f, "tokenizer.ggml.tokens"); put_u32(&f, 9); put_u32(&f, 8); put_u64(&f, 1); put_u64(&f, bad[i]); put_zeros(&f, 64);
        refused(&f, ALL, "remain");
    }
    memset(big, 'a', 5000000);
    big[5000000] = 0;
    vocabulary("gpt2", "llama-bpe", 4); strings("tokenizer.ggml.tokens", 3, tok); strings("tokenizer.ggml.merges", 0, a_b); accepted(&f, VOCAB);
    vocabulary("llama", "", 4); strings("tokenizer.ggml.tokens", 3, tok); ints("tokenizer.ggml.scores", 3, 0); accepted(&f, VOCAB);
    free(big);
}

static void unknown_tokenizers_are_refused(void **state)
{
    (void)state;
    vocabulary("bert", "", 3); strings("tokenizer.ggml.tokens", 3, abc); refused(&f, VOCAB, "\"bert\"");
    vocabulary("", "", 3); strings("tokenizer.ggml.tokens", 3, abc); refused(&f, VOCAB, "tokenizer.ggml.model");
    vocabulary("gpt2", "%n%n%n", 3); strings("tokenizer.ggml.tokens", 3, abc); refused(&f, VOCAB, "tokenizer.ggml.pre");
    vocabulary("gpt2", "gpt-2\n\x1b[2J", 3); strings("tokenizer.ggml.tokens", 3, abc); refused(&f, VOCAB, "tokenizer.ggml.pre");
}

static int tear_down(void **state) { (void)state; free(f.b); return 0; }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absurd_numbers_of_layers_heads_and_experts_are_refused), cmocka_unit_test(sessions_of_absurd_size_are_refused_or_granted),
        cmocka_unit_test(keys_out_of_range_or_of_another_type_are_refused), cmocka_unit_test(numbers_that_are_none_are_refused),
        cmocka_unit_test(experts_per_layer_must_agree_with_tensors), cmocka_unit_test(tensors_must_be_those_of_the_family),
        cmocka_unit_test(shapes_must_be_those_of_the_metadata), cmocka_unit_test(families_that_are_none_are_refused),
        cmocka_unit_test(arrays_of_another_type_are_refused), cmocka_unit_test(arrays_of_another_length_are_refused),
        cmocka_unit_test(special_ids_outside_the_vocabulary_are_refused), cmocka_unit_test(merges_of_what_is_no_token_are_refused),
        cmocka_unit_test(byte_tokens_are_exactly_two_hex_digits), cmocka_unit_test(lengths_of_tokens_are_not_narrowed),
        cmocka_unit_test(unknown_tokenizers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
