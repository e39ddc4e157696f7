/* Applying plans in detail: which tensors are cut, families, metadata, files that must not be touched, progress, memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "edit/plan.h"
#include "fault.h"
#include "model/model.h"
#include "tiny.h"

static witan_ctx *cx;
static fault f;
static char model_path[160], out[160];

static int set_up(void **state)
{
    (void)state;
    f = (fault){ 0 };
    cx = fault_ctx(&f);
    strcpy(model_path, fault_path("tiny.gguf"));
    strcpy(out, fault_path("out.gguf"));
    return tiny_write(cx, model_path, WT_Q8_0, 1);
}

static int tear_down(void **state)
{
    (void)state;
    witan_ctx_free(cx);
    fault_folder_free();
    return f.live != 0;
}

static witan_model *open_with(witan_ctx *c, const char *path)
{
    witan_model *m = NULL;
    if (witan_model_open(c, path, NULL, &m)) fail_msg("%s", witan_error(c));
    return m;
}

/* A plan by hand: JSON lists of what two layers of e0 and e1 experts keep. */
static witan_plan *plan(witan_ctx *c, const witan_model *m, const char *gate, int e0, const char *keep0, int e1, const char *keep1)
{
    char json[2048];
    witan_plan *p = NULL;
    snprintf(json, sizeof json, "{\"witan_plan\":1,\"model\":{\"name\":\"%s\",\"arch\":\"%s\",\"fingerprint\":\"%s\"},"
             "\"method\":{\"name\":\"hand\",\"options\":\"\"},\"gate\":\"%s\",\"keep\":0.5,\"seed\":9,"
             "\"calibration\":{\"digest\":\"\",\"domains\":\"a, b\",\"documents\":3,\"tokens\":77},\"layers\":["
             "{\"layer\":0,\"experts\":%d,\"keep\":[%s]},{\"layer\":1,\"experts\":%d,\"keep\":[%s]}]}",
             m->info.name, m->info.arch, m->info.fingerprint, gate, e0, keep0, e1, keep1);
    if (witan_plan_parse(c, json, strlen(json), &p)) fail_msg("%s", witan_error(c));
    return p;
}

static witan_plan *half(witan_ctx *c, const witan_model *m, const char *gate) { return plan(c, m, gate, 8, "0,3,4,7", 8, "1,2,5,6"); }

/* ---- other files made from the tiny one ------------------------------------------------------------------------------- */

/* The same weights with a size in words, and perhaps one tensor more that no model of the family has. */
static void with_more(const witan_model *m, const char *path, const char *tensor)
{
    wt_gguf_out *o;
    assert_int_equal(wt_gguf_out_open(cx, path, &o), WITAN_OK);
    for (size_t i = 0; i < m->file->n_kv; i++) assert_int_equal(wt_gguf_put_raw(o, m->file->kv + i), WITAN_OK);
    assert_int_equal(wt_gguf_put_str(o, "general.size_label", "8x1K"), WITAN_OK);
    for (size_t i = 0; i < m->file->n_tensor; i++) {
        const wt_tensor *t = m->file->tensor + i;
        assert_int_equal(wt_gguf_add_tensor(o, t->name, t->type, t->n_dim, t->shape), WITAN_OK);
    }
    if (tensor) assert_int_equal(wt_gguf_add_tensor(o, tensor, WT_F32, 1, (int64_t[]){ 8 }), WITAN_OK);
    for (size_t i = 0; i < m->file->n_tensor; i++) assert_int_equal(wt_gguf_write(o, m->file->tensor[i].data, m->file->tensor[i].bytes), WITAN_OK);
    if (tensor) assert_int_equal(wt_gguf_write(o, (float[8]){ 0 }, 32), WITAN_OK);
    assert_int_equal(wt_gguf_out_commit(&o), WITAN_OK);
}

/* How a file may group its experts: three stacks, gate and up in one stack, or a tensor for each expert. */
typedef enum grouping { STACKED, JOINED, SEPARATE } grouping;

typedef struct piece { char name[64]; wt_type type; int32_t n_dim; int64_t shape[3]; const void *data[16]; size_t n_data, bytes; } piece;

static piece stack_of(const wt_tensor *t)
{
    piece p = { .type = t->type, .n_dim = t->n_dim, .shape = { t->shape[0], t->shape[1], t->shape[2] }, .data = { t->data }, .n_data = 1, .bytes = t->bytes };
    snprintf(p.name, sizeof p.name, "%s", t->name);
    return p;
}

/* The pieces that stand for tensor t in a file of that grouping. */
static int regroup(const witan_model *m, const wt_tensor *t, grouping how, piece *to)
{
    wt_role role = wt_role_of(t->name);
    bool gate = strstr(t->name, "ffn_gate_exps"), up = strstr(t->name, "ffn_up_exps");
    size_t each = t->bytes / (size_t)t->shape[0];
    if (strstr(t->name, "attn_q_norm") || strstr(t->name, "attn_k_norm")) return 0;
    *to = stack_of(t);
    if (role.part != WT_PART_EXPERT || how == STACKED || (how == JOINED && !gate && !up)) return 1;
    if (how == JOINED && up) return 0;
    if (how == JOINED) {
        char name[64];
        const wt_tensor *u = wt_gguf_tensor(m->file, wt_layer_tensor_name(name, role.layer, "ffn_up_exps.weight"));
        snprintf(to->name, sizeof to->name, "blk.%d.ffn_gate_up_exps.weight", role.layer);
        to->shape[1] *= 2;
        to->bytes = each;
        to->n_data = 2 * (size_t)t->shape[0];
        for (size_t i = 0; i < to->n_data; i++) to->data[i] = (const uint8_t *)(i % 2 ? u : t)->data + i / 2 * each;
        return 1;
    }
    for (int e = 0; e < (int)t->shape[0]; e++) {
        to[e] = stack_of(t);
        snprintf(to[e].name, sizeof to[e].name, "blk.%d.ffn_%s.%d.weight", role.layer, gate ? "gate" : up ? "up" : "down", e);
        to[e].n_dim = 2;
        memmove(to[e].shape, to[e].shape + 1, 2 * sizeof *to[e].shape);
        to[e].data[0] = (const uint8_t *)t->data + (size_t)e * each;
        to[e].bytes = each;
    }
    return (int)t->shape[0];
}

/* The same experts as family llama, layers grouped as asked. */
static void as_llama(const witan_model *m, const char *path, grouping first, grouping second)
{
    wt_gguf_out *o;
    piece p[8];
    assert_int_equal(wt_gguf_out_open(cx, path, &o), WITAN_OK);
    for (size_t i = 0; i < m->file->n_kv; i++) {
        wt_kv kv = m->file->kv[i];
        char key[128];
        if (!strncmp(kv.key, "olmoe.", 6)) { snprintf(key, sizeof key, "llama.%s", kv.key + 6); kv.key = key; }
        assert_int_equal(wt_gguf_put_raw(o, &kv), WITAN_OK);
    }
    assert_int_equal(wt_gguf_put_str(o, "general.architecture", "llama"), WITAN_OK);
    for (int write = 0; write < 2; write++)
        for (size_t i = 0; i < m->file->n_tensor; i++) {
            const wt_tensor *t = m->file->tensor + i;
            int n = regroup(m, t, wt_role_of(t->name).layer == 1 ? second : first, p);
            for (int k = 0; k < n; k++) {
                if (!write) assert_int_equal(wt_gguf_add_tensor(o, p[k].name, p[k].type, p[k].n_dim, p[k].shape), WITAN_OK);
                else for (size_t d = 0; d < p[k].n_data; d++) assert_int_equal(wt_gguf_write(o, p[k].data[d], p[k].bytes), WITAN_OK);
            }
        }
    assert_int_equal(wt_gguf_out_commit(&o), WITAN_OK);
}

/* The same weights as a family that renormalises over the chosen experts; its norms of q and k are one head wide. */
static void as_qwen3moe(const witan_model *m, const char *path)
{
    wt_gguf_out *o;
    assert_int_equal(wt_gguf_out_open(cx, path, &o), WITAN_OK);
    for (size_t i = 0; i < m->file->n_kv; i++) {
        wt_kv kv = m->file->kv[i];
        char key[128];
        if (!strncmp(kv.key, "olmoe.", 6)) { snprintf(key, sizeof key, "qwen3moe.%s", kv.key + 6); kv.key = key; }
        assert_int_equal(wt_gguf_put_raw(o, &kv), WITAN_OK);
    }
    assert_int_equal(wt_gguf_put_str(o, "general.architecture", "qwen3moe"), WITAN_OK);
    for (int write = 0; write < 2; write++)
        for (size_t i = 0; i < m->file->n_tensor; i++) {
            const wt_tensor *t = m->file->tensor + i;
            bool norm = strstr(t->name, "attn_q_norm") || strstr(t->name, "attn_k_norm");
            int64_t shape[WT_MAX_DIM] = { norm ? t->shape[0] / 2 : t->shape[0], t->shape[1], t->shape[2], t->shape[3] };
            if (!write) assert_int_equal(wt_gguf_add_tensor(o, t->name, t->type, t->n_dim, shape), WITAN_OK);
            else assert_int_equal(wt_gguf_write(o, t->data, norm ? t->bytes / 2 : t->bytes), WITAN_OK);
        }
    assert_int_equal(wt_gguf_out_commit(&o), WITAN_OK);
}

/* ---- what is cut ------------------------------------------------------------------------------------------------------ */

static void names_say_what_a_tensor_is_for(void **state)
{
    (void)state;
    static const struct { const char *name; wt_part part; int32_t layer, expert; } known[] = {
        { "token_embd.weight", WT_PART_EMBED, -1, -1 }, { "output.weight", WT_PART_HEAD, -1, -1 }, { "output_norm.weight", WT_PART_NORM, -1, -1 },
        { "blk.0.exp_probs_b.bias", WT_PART_ROUTER, 0, -1 }, { "blk.12.ffn_gate_inp.weight", WT_PART_ROUTER, 12, -1 },
        { "blk.1.ffn_gate_up_exps.weight", WT_PART_EXPERT, 1, -1 }, { "blk.1.ffn_down_exps.bias", WT_PART_EXPERT, 1, -1 },
        { "blk.3.ffn_up.7.weight", WT_PART_EXPERT, 3, 7 }, { "blk.3.ffn_up.weight", WT_PART_DENSE, 3, -1 },
        { "blk.3.ffn_up.-7.weight", WT_PART_DENSE, 3, -1 }, { "blk.3.ffn_up.7.weights", WT_PART_DENSE, 3, -1 },
        { "blk.0.ffn_gate_inp_shexp.weight", WT_PART_SHARED, 0, -1 }, { "blk.0.attn_sinks.weight", WT_PART_OTHER, 0, -1 },
        { "blk.-1.ffn_up_exps.weight", WT_PART_OTHER, -1, -1 }, { "blk.99999999999.ffn_up_exps.weight", WT_PART_OTHER, -1, -1 },
        { "mtp.ffn_up_exps.weight", WT_PART_OTHER, -1, -1 }, { "ffn_up_exps.weight", WT_PART_OTHER, -1, -1 }, { "", WT_PART_OTHER, -1, -1 },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        wt_role r = wt_role_of(known[i].name);
        if (r.part != known[i].part || r.layer != known[i].layer || r.expert != known[i].expert)
            fail_msg("\"%s\" is taken for part %s, layer %d, expert %d", known[i].name, wt_part_name(r.part), r.layer, r.expert);
    }
}

static void a_tensor_without_a_place_is_refused(void **state)
{
    (void)state;
    static const char *const name[] = { "blk.0.attn_sinks.weight", "blk.0.ffn_gate_inp.bias", "blk.7.ffn_norm.weight", "mtp.norm.weight", "blk.0.ffn_up_shexp.weight" };
    char *path = fault_path("more.gguf");
    witan_model *tiny = open_with(cx, model_path), *m = NULL;
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        with_more(tiny, path, name[i]);
        assert_int_equal(witan_model_open(cx, path, NULL, &m), WITAN_EUNSUPPORTED);
        if (!strstr(witan_error(cx), name[i])) fail_msg("the tensor is not named: %s", witan_error(cx));
    }
    witan_model_free(tiny);
}

static void metadata_changes_only_where_it_must(void **state)
{
    (void)state;
    static const char *const changed[] = { "olmoe.expert_count", "general.name", "general.size_label" };
    char *path = fault_path("more.gguf"), *json;
    witan_model *tiny = open_with(cx, model_path);
    with_more(tiny, path, NULL);
    witan_model *m = open_with(cx, path);
    witan_plan *p = half(cx, m, "renorm");
    wt_gguf *g;
    wt_str name = { 0 }, kept = { 0 };
    assert_int_equal(witan_plan_apply(cx, m, p, NULL, out), WITAN_OK);
    assert_int_equal(wt_gguf_open(cx, out, &g), WITAN_OK);
    for (size_t i = 0; i < m->file->n_kv; i++) {
        const wt_kv *a = m->file->kv + i, *b = wt_gguf_kv(g, a->key);
        bool may_differ = false;
        for (size_t k = 0; k < 3; k++) may_differ |= !strcmp(a->key, changed[k]);
        if (may_differ) continue;
        if (!b || a->type != b->type || a->raw_n != b->raw_n || memcmp(a->raw, b->raw, a->raw_n)) fail_msg("%s was changed", a->key);
    }
    assert_null(wt_gguf_kv(g, "general.size_label"));
    assert_null(wt_gguf_kv(g, "witan.expert_count_per_layer"));
    assert_int_equal(wt_gguf_str(cx, g, "general.name", true, &name), WITAN_OK);
    assert_int_equal(name.n, 7);
    assert_memory_equal(name.s, "tiny-e4", 7);
    assert_int_equal(wt_gguf_str(cx, g, "witan.plan", true, &kept), WITAN_OK);
    assert_int_equal(witan_plan_json(cx, p, &json), WITAN_OK);
    assert_int_equal(kept.n, strlen(json));
    assert_memory_equal(kept.s, json, kept.n);
    witan_free(cx, json);
    wt_gguf_free(g);
    witan_plan_free(p);
    witan_model_free(m);
    witan_model_free(tiny);
}

static void history_says_what_was_done_even_with_hostile_words(void **state)
{
    (void)state;
    static const char command[] = "witan specialize \"a b\" \\ \n --keep 0.5 \xff";
    witan_model *m = open_with(cx, model_path);
    witan_plan *p = half(cx, m, "renorm");
    wt_gguf *g;
    wt_str *h;
    size_t n;
    json_t *o;
    assert_int_equal(witan_plan_apply(cx, m, p, command, out), WITAN_OK);
    assert_int_equal(wt_gguf_open(cx, out, &g), WITAN_OK);
    assert_int_equal(wt_gguf_strs(cx, g, "witan.history", true, &h, &n), WITAN_OK);
    assert_int_equal(n, 1);
    if (wt_json_parse(cx, h[0].s, h[0].n, "history", &o)) fail_msg("%s", witan_error(cx));
    assert_string_equal(json_string_value(json_object_get(o, "method")), "hand");
    assert_string_equal(json_string_value(json_object_get(o, "gate")), "renorm");
    assert_string_equal(json_string_value(json_object_get(o, "domains")), "a, b");
    assert_string_equal(json_string_value(json_object_get(o, "parent")), m->info.fingerprint);
    assert_string_equal(json_string_value(json_object_get(o, "parent_name")), "tiny");
    assert_string_equal(json_string_value(json_object_get(o, "command")), "witan specialize \"a b\" \\ \n --keep 0.5 \xef\xbf\xbd");
    assert_true(json_number_value(json_object_get(o, "keep")) == 0.5);
    assert_int_equal(json_integer_value(json_object_get(o, "seed")), 9);
    assert_int_equal(json_integer_value(json_object_get(o, "documents")), 3);
    assert_int_equal(json_integer_value(json_object_get(o, "tokens")), 77);
    json_decref(o);
    wt_free(cx, h);
    wt_gguf_free(g);
    witan_plan_free(p);
    witan_model_free(m);
}

/* ---- families --------------------------------------------------------------------------------------------------------- */

enum { N = 20 };

static void feed(const witan_model *m, const witan_plan *p, float logits[N * TINY_VOCAB])
{
    witan_session *s;
    witan_token tok[N];
    for (int32_t i = 0; i < N; i++) tok[i] = (witan_token){ (i * 53 + 5) % TINY_VOCAB, 0, true };
    if (witan_session_new(cx, m, &(witan_session_options){ .n_ctx = N, .plan = p }, &s)) fail_msg("%s", witan_error(cx));
    if (witan_feed_batch(s, tok, N)) fail_msg("%s", witan_error(cx));
    memcpy(logits, witan_logits(s, 0), N * TINY_VOCAB * sizeof *logits);
    witan_session_free(s);
}

/* Where the chosen weights are divided by their sum, both gates mean the same and both can be written. */
static void a_family_that_renormalises_writes_both_gates(void **state)
{
    (void)state;
    static float worn[2][N * TINY_VOCAB], written[N * TINY_VOCAB];
    static const char *const gate[] = { "renorm", "keep" };
    char *path = fault_path("qwen.gguf");
    witan_model *tiny = open_with(cx, model_path);
    as_qwen3moe(tiny, path);
    witan_model *m = open_with(cx, path);
    for (int i = 0; i < 2; i++) {
        witan_plan *p = half(cx, m, gate[i]);
        feed(m, p, worn[i]);
        if (witan_plan_apply(cx, m, p, NULL, out)) fail_msg("gate=%s: %s", gate[i], witan_error(cx));
        witan_model *small = open_with(cx, out);
        feed(small, NULL, written);
        witan_model_free(small);
        witan_plan_free(p);
        if (i == 0) assert_memory_equal(worn[i], written, sizeof written);
    }
    double far = 0, size = 0;
    for (int i = 0; i < N * TINY_VOCAB; i++) {
        double d = fabs((double)worn[0][i] - (double)worn[1][i]), x = fabs((double)worn[0][i]);
        if (d > far) far = d;                          /* fmax here makes gcc 12 for AArch64 fail */
        if (x > size) size = x;
    }
    assert_true(far <= 1e-5 * size);
    witan_model_free(m);
    witan_model_free(tiny);
}

/* Stacks, joined stacks and a tensor for each expert mean the same, whole, worn and written. */
static void files_that_group_experts_otherwise_give_the_same_bits(void **state)
{
    (void)state;
    static float expected[2][N * TINY_VOCAB], found[N * TINY_VOCAB];
    static const grouping how[][2] = { { STACKED, STACKED }, { JOINED, SEPARATE }, { SEPARATE, JOINED }, { JOINED, JOINED } };
    char *path = fault_path("llama.gguf");
    witan_model *tiny = open_with(cx, model_path);
    for (int i = 0; i < 4; i++) {
        as_llama(tiny, path, how[i][0], how[i][1]);
        for (int resident = 0; resident < 2; resident++) {
            witan_model *m;
            if (witan_model_open(cx, path, &(witan_model_options){ .resident = resident }, &m)) fail_msg("%s", witan_error(cx));
            feed(m, NULL, i ? found : expected[0]);
            if (i) assert_memory_equal(found, expected[0], sizeof found);
            witan_plan *p = half(cx, m, "renorm");
            feed(m, p, i ? found : expected[1]);
            if (i) assert_memory_equal(found, expected[1], sizeof found);
            if (witan_plan_apply(cx, m, p, NULL, out)) fail_msg("%s", witan_error(cx));
            witan_model *small = open_with(cx, out);
            assert_int_equal(small->info.n_exp, 4);
            assert_int_equal(small->info.n_byte_expert, m->info.n_byte_expert / 2);
            feed(small, NULL, found);
            assert_memory_equal(found, expected[1], sizeof found);
            witan_model_free(small);
            witan_plan_free(p);
            witan_model_free(m);
        }
    }
    witan_model_free(tiny);
}

/* ---- layers that keep different numbers ------------------------------------------------------------------------------- */

static void catch_warning(void *user, witan_level level, const char *line)
{
    if (level == WITAN_WARN && strstr(line, "only witan can load")) ++*(int *)user;
}

static void ragged_layers_are_announced_and_forgotten_when_even_again(void **state)
{
    (void)state;
    int warned = 0;
    witan_ctx *c = witan_ctx_new(&(witan_config){ .log = catch_warning, .log_user = &warned, .threads = 1 });
    char *ragged = fault_path("ragged.gguf");
    witan_model *m = open_with(c, model_path), *r, *even;
    witan_plan *p = plan(c, m, "renorm", 8, "1,2,5", 8, "0,1,3,4,6,7");
    int64_t n = 0, *per;
    size_t n_per;
    assert_int_equal(witan_plan_apply(c, m, p, NULL, ragged), WITAN_OK);
    assert_int_equal(warned, 1);
    r = open_with(c, ragged);
    assert_int_equal(wt_gguf_int(c, r->file, "olmoe.expert_count", true, 0, 99, &n), WITAN_OK);
    assert_int_equal(n, 6);
    assert_int_equal(wt_gguf_ints(c, r->file, "witan.expert_count_per_layer", true, &per, &n_per), WITAN_OK);
    assert_true(n_per == 2 && per[0] == 3 && per[1] == 6);
    wt_free(c, per);
    witan_plan_free(p);
    p = plan(c, r, "renorm", 3, "0,2", 6, "1,5");
    if (witan_plan_apply(c, r, p, NULL, out)) fail_msg("%s", witan_error(c));
    assert_int_equal(warned, 1);
    even = open_with(c, out);
    assert_null(wt_gguf_kv(even->file, "witan.expert_count_per_layer"));
    assert_int_equal(even->info.n_exp, 2);
    witan_plan_free(p);
    witan_model_free(even);
    witan_model_free(r);
    witan_model_free(m);
    witan_ctx_free(c);
}

/* ---- files, progress, memory ------------------------------------------------------------------------------------------ */

static void the_model_is_safe_under_every_name_it_has(void **state)
{
    (void)state;
    char *soft = fault_path("soft.gguf"), *hard = fault_path("hard.gguf"), odd[200], *before, *after;
    size_t n, n2;
    witan_model *m = open_with(cx, model_path);
    witan_plan *p = half(cx, m, "renorm");
    snprintf(odd, sizeof odd, "%s/./tiny.gguf", fault_folder());
    assert_int_equal(wt_file_read(cx, model_path, (size_t)1 << 30, &before, &n), WITAN_OK);
    assert_false(symlink(model_path, soft) || link(model_path, hard));
    const char *const name[] = { model_path, soft, hard, odd };
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(witan_plan_apply(cx, m, p, NULL, name[i]), WITAN_EARG);
        assert_non_null(strstr(witan_error(cx), "is the model itself"));
    }
    assert_int_equal(wt_file_read(cx, model_path, (size_t)1 << 30, &after, &n2), WITAN_OK);
    assert_true(n == n2 && !memcmp(before, after, n));
    wt_free(cx, before);
    wt_free(cx, after);
    witan_plan_free(p);
    witan_model_free(m);
}

static void an_output_that_cannot_be_written_leaves_nothing(void **state)
{
    (void)state;
    witan_model *m = open_with(cx, model_path);
    witan_plan *p = half(cx, m, "renorm");
    char *nowhere = fault_path("no/such/folder/out.gguf");
    assert_int_equal(witan_plan_apply(cx, m, p, NULL, nowhere), WITAN_EIO);
    assert_non_null(strstr(witan_error(cx), nowhere));
    assert_int_equal(wt_folder_make(cx, out), WITAN_OK);
    assert_int_equal(witan_plan_apply(cx, m, p, NULL, out), WITAN_EIO);       /* a folder has that name */
    assert_int_equal(fault_leftovers(), 0);
    witan_plan_free(p);
    witan_model_free(m);
}

typedef struct seen { double done, total, stop_at; bool ordered; } seen;

static bool see(void *user, const witan_progress *p)
{
    seen *s = user;
    if (strcmp(p->phase, "write")) return true;
    s->ordered &= p->done >= s->done && p->done <= p->total && !strcmp(p->unit, "bytes");
    s->done = p->done;
    s->total = p->total;
    return p->done < s->stop_at;
}

static void progress_counts_bytes_and_a_stop_leaves_no_file(void **state)
{
    (void)state;
    seen s = { .stop_at = INFINITY, .ordered = true };
    witan_ctx *c = witan_ctx_new(&(witan_config){ .progress = see, .progress_user = &s, .threads = 1 });
    witan_model *m = open_with(c, model_path), *small;
    witan_plan *p = half(c, m, "renorm");
    assert_int_equal(witan_plan_apply(c, m, p, NULL, out), WITAN_OK);
    small = open_with(c, out);
    assert_true(s.ordered && s.done == s.total && s.total == (double)small->info.n_byte);
    witan_model_free(small);
    unlink(out);
    s = (seen){ .stop_at = s.total / 2 };
    assert_int_equal(witan_plan_apply(c, m, p, NULL, out), WITAN_ECANCELED);
    assert_false(fault_exists(out));
    assert_int_equal(fault_leftovers(), 0);
    witan_plan_free(p);
    witan_model_free(m);
    witan_ctx_free(c);
}

static size_t peak_of(wt_type type)
{
    char *path = fault_path("sized.gguf");
    assert_int_equal(tiny_write(cx, path, type, 2), WITAN_OK);
    witan_model *m = open_with(cx, path);
    witan_plan *p = half(cx, m, "renorm");
    size_t before = f.peak = f.bytes;
    assert_int_equal(witan_plan_apply(cx, m, p, NULL, out), WITAN_OK);
    size_t peak = f.peak - before;
    witan_plan_free(p);
    witan_model_free(m);
    return peak;
}

static void memory_does_not_grow_with_the_weights(void **state)
{
    (void)state;
    assert_int_equal(peak_of(WT_Q4_0), peak_of(WT_F32));                      /* seven times the bytes of experts */
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(names_say_what_a_tensor_is_for), T(a_tensor_without_a_place_is_refused),
        T(files_that_group_experts_otherwise_give_the_same_bits), T(metadata_changes_only_where_it_must),
        T(history_says_what_was_done_even_with_hostile_words), T(a_family_that_renormalises_writes_both_gates),
        T(ragged_layers_are_announced_and_forgotten_when_even_again), T(the_model_is_safe_under_every_name_it_has),
        T(an_output_that_cannot_be_written_leaves_nothing), T(progress_counts_bytes_and_a_stop_leaves_no_file),
        T(memory_does_not_grow_with_the_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
