"""From random weights to a GGUF file and a transformers model that holds the same numbers."""
import gguf, numpy as np, torch
from gguf import GGMLQuantizationType as Type

from .blocks import pack
from .families import FAMILIES, keys
from .vocabulary import MERGES, TOKENS

# Tensors outside layers, then those of a layer, in the order of the file: name of transformers, name in GGUF.
MODEL = [("model.embed_tokens.weight", "token_embd.weight"), ("model.norm.weight", "output_norm.weight"),
         ("lm_head.weight", "output.weight")]
LAYER = [
    ("input_layernorm.weight", "attn_norm.weight"), ("post_attention_layernorm.weight", "ffn_norm.weight"),
    ("self_attn.q_proj.weight", "attn_q.weight"), ("self_attn.k_proj.weight", "attn_k.weight"),
    ("self_attn.v_proj.weight", "attn_v.weight"), ("self_attn.o_proj.weight", "attn_output.weight"),
    ("self_attn.q_norm.weight", "attn_q_norm.weight"), ("self_attn.k_norm.weight", "attn_k_norm.weight"),
    ("self_attn.q_proj.bias", "attn_q.bias"), ("self_attn.k_proj.bias", "attn_k.bias"),
    ("self_attn.v_proj.bias", "attn_v.bias"), ("self_attn.o_proj.bias", "attn_output.bias"),
    ("mlp.gate_proj.weight", "ffn_gate.weight"), ("mlp.up_proj.weight", "ffn_up.weight"), ("mlp.down_proj.weight", "ffn_down.weight"),
    ("mlp.gate.weight", "ffn_gate_inp.weight"), ("mlp.experts.gate_up_proj", "ffn_gate_up"), ("mlp.experts.down_proj", "ffn_down"),
    ("mlp.shared_expert.gate_proj.weight", "ffn_gate_shexp.weight"), ("mlp.shared_expert.up_proj.weight", "ffn_up_shexp.weight"),
    ("mlp.shared_expert.down_proj.weight", "ffn_down_shexp.weight"), ("mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp.weight"),
]


def draw(name, shape, rng):
    """Random weights at scales that give logits a spread of 1 to 3, attention that looks at some positions more than at others,
    and experts that add about as much as attention does."""
    x = rng.standard_normal(shape)
    if name.endswith(".bias"): return 0.5 * x
    if len(shape) == 1: return (1 + 0.25 * x) * (1.5 if "q_norm" in name or "k_norm" in name else 1)
    gain = {"embed_tokens": 2, "lm_head": 2, "mlp.gate.weight": 2, "shared_expert_gate": 2, "down_proj": 3}
    return x * next((g for part, g in gain.items() if part in name), 1) / np.sqrt(shape[-1])


# ---- conversion ------------------------------------------------------------------------------------------------------------

def experts(f, ours):
    """(name in GGUF, part of the transformers array) of the tensors that hold stacked experts: gate rows first, then up rows."""
    half = f.ff_exp or f.ff
    parts = {"ffn_down": np.s_[:]} if ours == "ffn_down" else {"ffn_gate": np.s_[:half], "ffn_up": np.s_[half:]}
    if f.layout == "separate": return [(f"{name}.{e}.weight", (e, part)) for name, part in parts.items() for e in range(f.n_exp)]
    if f.layout == "joined": return [(ours + "_exps.weight", np.s_[:])]
    return [(name + "_exps.weight", (slice(None), part)) for name, part in parts.items()]


def tensors(f, theirs):
    """(name of transformers, part of it, name in GGUF) for every tensor that the model has, in the order of the file."""
    for a, b in MODEL:
        if a in theirs: yield a, np.s_[:], b
    for i in range(f.n_layer):
        for a, b in LAYER:
            name = f"model.layers.{i}.{a}"
            if name not in theirs: continue
            parts = experts(f, b) if "experts" in a else [(b, 0 if "shared_expert_gate" in a else np.s_[:])]
            for ours, part in parts: yield name, part, f"blk.{i}.{ours}"


def row_order(f, name, n):
    """Row i of the tensor in GGUF is row order[i] of transformers. transformers rotates row j of a head with row j + d/2 (the halves);
    files of the llama architecture hold such rows next to each other (pairs)."""
    order = np.arange(n)
    if FAMILIES[f.family].pairs and ("attn_q." in name or "attn_k." in name):
        order = order.reshape(-1, 2, f.d_head // 2).swapaxes(1, 2).reshape(-1)
    return order


def fill(f, model):
    """Draws all weights, sends them through their block type, and puts what comes back into the model. Returns {name: (data, type)}."""
    rng = np.random.default_rng(f.seed)
    drawn = {k: draw(k, tuple(v.shape), rng).astype(np.float32) for k, v in model.state_dict().items()
             if not (f.tied and k == "lm_head.weight")}
    out, used = {}, set()
    for theirs, place, ours in tensors(f, drawn):
        part = drawn[theirs][place]                     # a view: what is put in arrives in drawn
        order = row_order(f, ours, len(part))
        data, kind, back = pack(f.types, ours, np.ascontiguousarray(part[order]), rng)
        part[order] = back
        out[ours] = (data, kind)
        used.add(theirs)
    assert used == set(drawn), used ^ set(drawn)
    unset = model.load_state_dict({k: torch.from_numpy(v) for k, v in drawn.items()}, strict=False)
    assert not unset.unexpected_keys and set(unset.missing_keys) <= ({"lm_head.weight"} if f.tied else set()), unset
    model.tie_weights()
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == f.tied
    if f.rope == "llama3": out["rope_freqs.weight"] = (rope_factors(f, model), Type.F32)
    return out


def rope_factors(f, model):
    """By how much transformers divides each frequency of rotation: what files hold for the scaling of llama-3."""
    plain = f.rope_base ** (-np.arange(0, f.d_head, 2) / f.d_head)
    return (plain / model.model.rotary_emb.inv_freq.double().numpy()).astype(np.float32)


def write(f, found, path):
    arch = FAMILIES[f.family].arch
    w = gguf.GGUFWriter(path, arch)
    w.add_name(f"tiny random {f.family}")
    w.add_string("general.license", "MIT")
    for suffix, kind, value in keys(f): getattr(w, "add_" + kind)(f"{arch}.{suffix}", value)
    w.add_string("tokenizer.ggml.model", "gpt2")
    w.add_string("tokenizer.ggml.pre", "gpt-2")
    w.add_array("tokenizer.ggml.tokens", TOKENS)
    w.add_array("tokenizer.ggml.token_type", [3] + [1] * (len(TOKENS) - 1))
    w.add_array("tokenizer.ggml.merges", MERGES)
    w.add_uint32("tokenizer.ggml.bos_token_id", 0)
    w.add_uint32("tokenizer.ggml.eos_token_id", 0)
    w.add_bool("tokenizer.ggml.add_bos_token", False)
    for name, (data, kind) in found.items(): w.add_tensor(name, data, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
