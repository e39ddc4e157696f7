/* Names of GGUF tensors and what they are for. */
#include "model/role.h"

#include <stdio.h>
#include <string.h>

const char *wt_part_name(wt_part p)
{
    static const char *const name[WT_N_PART] = { "other", "embed", "head", "norm", "attention", "router", "experts", "shared", "dense", "rope" };
    return name[p];
}

typedef struct known { const char *stem; wt_part part; } known;

/* Of the whole model, and behind "blk.N.". A stem stands for itself with .weight, .bias or nothing. */
static const known whole[] = { { "token_embd", WT_PART_EMBED }, { "output", WT_PART_HEAD }, { "output_norm", WT_PART_NORM },
                               { "rope_freqs", WT_PART_ROPE } };
static const known layered[] = {
    { "attn_norm", WT_PART_NORM }, { "ffn_norm", WT_PART_NORM }, { "attn_q_norm", WT_PART_NORM }, { "attn_k_norm", WT_PART_NORM },
    { "attn_q", WT_PART_ATTENTION }, { "attn_k", WT_PART_ATTENTION }, { "attn_v", WT_PART_ATTENTION }, { "attn_output", WT_PART_ATTENTION },
    { "attn_rot_embd", WT_PART_ROPE }, { "rope_freqs", WT_PART_ROPE },
    { "ffn_gate_inp", WT_PART_ROUTER }, { "exp_probs_b", WT_PART_ROUTER },
    { "ffn_gate_exps", WT_PART_EXPERT }, { "ffn_up_exps", WT_PART_EXPERT }, { "ffn_down_exps", WT_PART_EXPERT }, { "ffn_gate_up_exps", WT_PART_EXPERT },
    { "ffn_gate_shexp", WT_PART_SHARED }, { "ffn_up_shexp", WT_PART_SHARED }, { "ffn_down_shexp", WT_PART_SHARED },
    { "ffn_gate_inp_shexp", WT_PART_SHARED },
    { "ffn_gate", WT_PART_DENSE }, { "ffn_up", WT_PART_DENSE }, { "ffn_down", WT_PART_DENSE },
};

static wt_part look_up(const known *k, size_t n, const char *stem, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(k[i].stem) == len && !memcmp(k[i].stem, stem, len)) return k[i].part;
    return WT_PART_OTHER;
}

wt_role wt_role_of(const char *name)
{
    wt_role r = { WT_PART_OTHER, -1, -1 };
    int layer, expert, end = 0;
    const char *part = name;
    if (sscanf(name, "blk.%9d.%n", &layer, &end) == 1 && end && layer >= 0) { r.layer = layer; part += end; }
    size_t stem = strcspn(part, ".");
    r.part = r.layer < 0 ? look_up(whole, sizeof whole / sizeof *whole, part, stem)
                         : look_up(layered, sizeof layered / sizeof *layered, part, stem);
    if (r.part != WT_PART_DENSE) return r;
    end = 0;
    if (sscanf(part + stem, ".%9d.weight%n", &expert, &end) == 1 && end && !part[stem + (size_t)end] && expert >= 0) { r.part = WT_PART_EXPERT; r.expert = expert; }
    return r;
}
