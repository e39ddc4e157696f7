#include "text/split.h"

#include <string.h>

/* ---- rules ---------------------------------------------------------------------------------------------------------- */

#define RULE(name, ...) static const wt_split_rule name = { .step = { __VA_ARGS__ } }

const wt_split_rule wt_split_gpt2 = { .step = { wt_pat_gpt2 } };
static const wt_split_rule llama3 = { .step = { wt_pat_llama3 }, .whole_first = true, .begin = true };
static const wt_split_rule tekken = { .step = { wt_pat_tekken }, .whole_first = true, .begin = true };
static const wt_split_rule minicpm5 = { .step = { wt_pat_number3, wt_pat_minicpm5 }, .whole_first = true };
RULE(starcoder, wt_pat_number, wt_pat_gpt2);
RULE(falcon, wt_pat_falcon, wt_pat_gpt2, wt_pat_ascii3);
RULE(dbrx, wt_pat_llama3);
RULE(qwen2, wt_pat_qwen2);
RULE(qwen35, wt_pat_qwen35);
RULE(deepseek_coder, wt_pat_newline, wt_pat_coder_letters, wt_pat_coder_punct, wt_pat_cjk, wt_pat_number);
RULE(deepseek_llm, wt_pat_newline, wt_pat_llm_letters, wt_pat_llm_punct, wt_pat_trailing, wt_pat_cjk, wt_pat_numbers);
RULE(deepseek_v3, wt_pat_number3, wt_pat_kana, wt_pat_deepseek3);
RULE(gpt4o, wt_pat_gpt4o);
RULE(seed_coder, wt_pat_seed_coder);
RULE(exaone_moe, wt_pat_exaone_moe);
RULE(superbpe, wt_pat_numbers, wt_pat_thousands);
RULE(bloom, wt_pat_bloom);
RULE(viking, wt_pat_bloom, wt_pat_number);
RULE(kimi, wt_pat_kimi);
RULE(afmoe, wt_pat_threes, wt_pat_spaceless, wt_pat_deepseek3);
RULE(cohere2moe, wt_pat_threes, wt_pat_gpt4o);
RULE(laguna, wt_pat_lines, wt_pat_qwen2);
RULE(ufakzeka, wt_pat_plain_words);

static const struct { const char *name; const wt_split_rule *rule; } known[] = {
    { "gpt-2", &wt_split_gpt2 }, { "phi-2", &wt_split_gpt2 }, { "mpt", &wt_split_gpt2 }, { "olmo", &wt_split_gpt2 }, { "jais", &wt_split_gpt2 },
    { "gigachat", &wt_split_gpt2 }, { "mellum", &wt_split_gpt2 }, { "exaone4", &wt_split_gpt2 }, { "trillion", &wt_split_gpt2 },
    { "granite-docling", &wt_split_gpt2 }, { "a.x-4.0", &wt_split_gpt2 }, { "modern-bert", &wt_split_gpt2 },
    { "starcoder", &starcoder }, { "refact", &starcoder }, { "command-r", &starcoder }, { "smollm", &starcoder }, { "codeshell", &starcoder },
    { "exaone", &starcoder }, { "minerva-7b", &starcoder }, { "mellum2", &starcoder },
    { "falcon", &falcon },
    { "llama-bpe", &llama3 }, { "llama3", &llama3 }, { "llama-v3", &llama3 }, { "falcon3", &llama3 }, { "falcon-h1", &llama3 },
    { "pixtral", &llama3 }, { "lfm2", &llama3 }, { "midm-2.0", &llama3 },
    { "dbrx", &dbrx }, { "smaug-bpe", &dbrx }, { "glm4", &dbrx }, { "chatglm-bpe", &dbrx },
    { "qwen2", &qwen2 }, { "qwen3", &qwen2 }, { "deepseek-r1-qwen", &qwen2 }, { "stablelm2", &qwen2 }, { "hunyuan", &qwen2 },
    { "solar-open", &qwen2 }, { "grok-2", &qwen2 }, { "megrez", &qwen2 }, { "kormo", &qwen2 },
    { "bailingmoe", &qwen2 }, { "bailingmoe2", &qwen2 }, { "llada-moe", &qwen2 },    /* written otherwise, cuts the same */
    { "qwen35", &qwen35 },
    { "deepseek-coder", &deepseek_coder }, { "deepseek-llm", &deepseek_llm },
    { "deepseek-v3", &deepseek_v3 }, { "hunyuan-dense", &deepseek_v3 }, { "joyai-llm", &deepseek_v3 }, { "hy_v4", &deepseek_v3 },
    { "gpt-4o", &gpt4o }, { "llama4", &gpt4o }, { "kanana2", &gpt4o }, { "minimax-m2", &gpt4o }, { "tekken", &tekken },
    { "seed-coder", &seed_coder }, { "exaone-moe", &exaone_moe }, { "minicpm5", &minicpm5 }, { "superbpe", &superbpe },
    { "bloom", &bloom }, { "poro-chat", &bloom }, { "gpt3-finnish", &bloom }, { "viking", &viking },
    { "kimi-k2", &kimi }, { "afmoe", &afmoe }, { "cohere2moe", &cohere2moe }, { "tiny_aya", &cohere2moe }, { "laguna", &laguna },
    { "ufakzeka", &ufakzeka },
};

const wt_split_rule *wt_split_find(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == n && !memcmp(known[i].name, name, n)) return known[i].rule;
    return NULL;
}

const char *wt_split_name(size_t i) { return i < sizeof known / sizeof *known ? known[i].name : NULL; }

/* ---- cutting -------------------------------------------------------------------------------------------------------- */

static wt_status cut(wt_pattern *const *step, const char *s, size_t n, wt_piece_fn *each, void *arg)
{
    size_t gap = 0, len, memo = 0;
    if (!*step) return each(arg, s, n);
    for (size_t at = 0; at < n; at += len) {
        if (!(*step)(s + at, n - at, &len, &memo)) continue;
        if (at > gap) WT_TRY(cut(step + 1, s + gap, at - gap, each, arg));
        WT_TRY(cut(step + 1, s + at, len, each, arg));
        gap = at + len;
    }
    return n > gap ? cut(step + 1, s + gap, n - gap, each, arg) : WITAN_OK;
}

wt_status wt_split(const wt_split_rule *r, const char *s, size_t n, wt_piece_fn *each, void *arg)
{
    return cut(r->step, s, n, each, arg);
}
