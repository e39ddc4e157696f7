#!/usr/bin/env python3
"""Writes the fixtures of tests/gold: tiny random mixture-of-experts checkpoints as GGUF, and what transformers computes from
the same weights in float32. Nothing of witan takes part, so agreement means something.

    make_tiny.py [FOLDER]          (default: tests/gold of this repository)

Needs torch, transformers, tokenizers and gguf. Same versions, same bytes. For each fixture:
    NAME.gguf     the checkpoint, converted from the names and axes of the transformers model
    NAME.json     token ids, which rows of logits are kept, routing of the last token of each sequence in every layer
    NAME.logits   those rows, float32, little-endian, one after another
Quantized fixtures: transformers gets the weights as read back from the blocks, so only arithmetic can differ.
"""
import json, os, sys
import gguf, numpy as np, tokenizers, torch, transformers
from gguf import GGMLQuantizationType as Type

CONTEXT = 256
LONG, SHORT = [(24, 0), (80, 64)], [(12, 0)]          # sequences: tokens, first position whose logits are kept

#         name             family      type       layers width heads kv d_head experts chosen ff tied   sequences
FIXTURES = [
    ("olmoe",           "olmoe",    Type.F32,  2,     32,   4,    4, 8,     8,      2,     12, False, LONG),
    ("qwen3moe",        "qwen3moe", Type.F32,  2,     36,   4,    2, 12,    7,      3,     12, True,  LONG),
    ("qwen3moe-f16",    "qwen3moe", Type.F16,  1,     32,   4,    2, 16,    5,      3,     24, True,  SHORT),
    ("qwen3moe-bf16",   "qwen3moe", Type.BF16, 1,     32,   4,    2, 16,    5,      3,     24, True,  SHORT),
    ("qwen3moe-q8_0",   "qwen3moe", Type.Q8_0, 1,     32,   4,    2, 16,    6,      3,     32, False, SHORT),
    ("olmoe-q4_0",      "olmoe",    Type.Q4_0, 2,     32,   4,    2, 8,     6,      2,     32, False, SHORT),
]
KEYS = "name family type n_layer width n_head n_kv d_head n_exp n_used ff tied sequences".split()

MERGES = ["Ġ t", "h e", "Ġt he", "i n", "Ġ a", "e r", "Ġ Ġ"]
TEXT = "In the winter, there  were\n10 ships at the pier; naïve €5 — don't."
CLEAR = 1e-4        # neighbours in the ranking of the experts are at least this far apart, so that rounding cannot swap them


# ---- vocabulary -------------------------------------------------------------------------------------------------------------

def byte_alphabet():
    """Characters of the bytes 0 to 255 in gpt-2's alphabet: printable bytes stand for themselves, the others for U+0100 onwards."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return [chr(b) if b in shown else chr(256 + hidden.index(b)) for b in range(256)]


TOKENS = ["<|endoftext|>", *byte_alphabet(), *(m.replace(" ", "") for m in MERGES)]


def encode(text):
    model = tokenizers.models.BPE({t: i for i, t in enumerate(TOKENS)}, [tuple(m.split(" ")) for m in MERGES])
    tok = tokenizers.Tokenizer(model)
    tok.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return tok.encode(text).ids


# ---- the model of transformers ------------------------------------------------------------------------------------------------

def build(f):
    """An empty transformers model of the fixture's family and sizes."""
    same = dict(vocab_size=len(TOKENS), hidden_size=f["width"], num_hidden_layers=f["n_layer"], num_attention_heads=f["n_head"],
                num_key_value_heads=f["n_kv"], num_experts=f["n_exp"], num_experts_per_tok=f["n_used"], tie_word_embeddings=f["tied"],
                max_position_embeddings=CONTEXT, rms_norm_eps=f["eps"], attn_implementation="eager", experts_implementation="eager",
                pad_token_id=None, bos_token_id=0, eos_token_id=0,
                rope_parameters={"rope_type": "default", "rope_theta": f["rope_base"]})
    if f["family"] == "olmoe":
        assert f["d_head"] * f["n_head"] == f["width"]
        config = transformers.OlmoeConfig(intermediate_size=f["ff"], norm_topk_prob=False, **same)
        return transformers.OlmoeForCausalLM(config).float().eval()
    config = transformers.Qwen3MoeConfig(moe_intermediate_size=f["ff"], intermediate_size=f["ff"], head_dim=f["d_head"],
                                         norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[], **same)
    return transformers.Qwen3MoeForCausalLM(config).float().eval()


def draw(name, shape, rng):
    """Random weights at scales that give logits a spread of 1 to 3, attention that looks at some positions more than at others,
    and experts that add about as much as attention does."""
    x = rng.standard_normal(shape)
    if len(shape) == 1: return (1 + 0.25 * x) * (1.5 if "q_norm" in name or "k_norm" in name else 1)
    gain = {"embed_tokens": 2, "lm_head": 2, "mlp.gate.weight": 2, "down_proj": 3}
    return x * next((g for part, g in gain.items() if part in name), 1) / np.sqrt(shape[-1])


# ---- conversion ------------------------------------------------------------------------------------------------------------

def gguf_tensors(f):
    """(name of transformers, part of it, name in GGUF) for every tensor. Stacked experts hold gate rows first, then up rows."""
    everything, gate, up = np.s_[:], np.s_[:, :f["ff"]], np.s_[:, f["ff"]:]
    yield "model.embed_tokens.weight", everything, "token_embd.weight"
    yield "model.norm.weight", everything, "output_norm.weight"
    if not f["tied"]: yield "lm_head.weight", everything, "output.weight"
    for i in range(f["n_layer"]):
        for theirs, part, ours in [
                ("input_layernorm.weight", everything, "attn_norm"), ("post_attention_layernorm.weight", everything, "ffn_norm"),
                ("self_attn.q_proj.weight", everything, "attn_q"), ("self_attn.k_proj.weight", everything, "attn_k"),
                ("self_attn.v_proj.weight", everything, "attn_v"), ("self_attn.o_proj.weight", everything, "attn_output"),
                ("self_attn.q_norm.weight", everything, "attn_q_norm"), ("self_attn.k_norm.weight", everything, "attn_k_norm"),
                ("mlp.gate.weight", everything, "ffn_gate_inp"), ("mlp.experts.gate_up_proj", gate, "ffn_gate_exps"),
                ("mlp.experts.gate_up_proj", up, "ffn_up_exps"), ("mlp.experts.down_proj", everything, "ffn_down_exps")]:
            yield f"model.layers.{i}.{theirs}", part, f"blk.{i}.{ours}.weight"


def blocks(f, name, x):
    """The tensor as it stands in the file, and its type. Norms and routers are never quantized."""
    kind = Type.F32 if x.ndim == 1 or "ffn_gate_inp" in name else f["type"]
    return (x if kind == Type.F32 else gguf.quants.quantize(x, kind)), kind


def fill(f, model):
    """Draws all weights, sends them through their block type, and puts what comes back into the model. Returns {name: (data, type)}."""
    rng = np.random.default_rng(f["seed"])
    drawn = {k: draw(k, tuple(v.shape), rng).astype(np.float32) for k, v in model.state_dict().items()
             if not (f["tied"] and k == "lm_head.weight")}
    out, used = {}, set()
    for theirs, part, ours in gguf_tensors(f):
        data, kind = blocks(f, ours, np.ascontiguousarray(drawn[theirs][part]))
        drawn[theirs][part] = gguf.quants.dequantize(data, kind) if kind != Type.F32 else data
        out[ours] = (data, kind)
        used.add(theirs)
    assert used == set(drawn), used ^ set(drawn)
    unset = model.load_state_dict({k: torch.from_numpy(v) for k, v in drawn.items()}, strict=False)
    assert not unset.unexpected_keys and set(unset.missing_keys) <= ({"lm_head.weight"} if f["tied"] else set()), unset
    model.tie_weights()
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == f["tied"]
    return out


def write(f, tensors, path):
    w = gguf.GGUFWriter(path, f["family"])
    a = f["family"]
    w.add_name(f"tiny random {a}")
    w.add_string("general.license", "MIT")
    for key, v in [("block_count", f["n_layer"]), ("context_length", CONTEXT), ("embedding_length", f["width"]),
                   ("feed_forward_length", f["ff"]), ("attention.head_count", f["n_head"]), ("attention.head_count_kv", f["n_kv"]),
                   ("expert_count", f["n_exp"]), ("expert_used_count", f["n_used"])]:
        w.add_uint32(f"{a}.{key}", v)
    if a == "qwen3moe":
        w.add_uint32(f"{a}.expert_feed_forward_length", f["ff"])
        w.add_uint32(f"{a}.attention.key_length", f["d_head"])
        w.add_uint32(f"{a}.attention.value_length", f["d_head"])
    w.add_float32(f"{a}.attention.layer_norm_rms_epsilon", f["eps"])
    w.add_float32(f"{a}.rope.freq_base", f["rope_base"])
    w.add_string("tokenizer.ggml.model", "gpt2")
    w.add_string("tokenizer.ggml.pre", "gpt-2")
    w.add_array("tokenizer.ggml.tokens", TOKENS)
    w.add_array("tokenizer.ggml.token_type", [3] + [1] * (len(TOKENS) - 1))
    w.add_array("tokenizer.ggml.merges", MERGES)
    w.add_uint32("tokenizer.ggml.bos_token_id", 0)
    w.add_uint32("tokenizer.ggml.eos_token_id", 0)
    w.add_bool("tokenizer.ggml.add_bos_token", False)
    for name, (data, kind) in tensors.items(): w.add_tensor(name, data, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# ---- what is expected --------------------------------------------------------------------------------------------------------

def route(model, ids):
    """Logits [n, vocabulary], and of every layer the router's probabilities, weights and choices [n, ...]."""
    seen = []
    def keep(module, args, out): seen.append((torch.softmax(out[0], -1), out[1], out[2]))
    hooks = [layer.mlp.gate.register_forward_hook(keep) for layer in model.model.layers]
    with torch.no_grad(): logits = model(torch.tensor([ids]), use_cache=False).logits[0]
    for h in hooks: h.remove()
    return logits, seen


def closest(f, seen):
    """The smallest distance between neighbours in the ranking, down to the first expert that was not chosen."""
    return min((-torch.diff(p.sort(-1, descending=True).values[:, :f["n_used"] + 1])).min().item() for p, _, _ in seen)


def expect(f, model, sequences):
    """The JSON part and the rows of logits; None if some choice is too close."""
    out, rows = [], []
    for ids, first in sequences:
        logits, seen = route(model, ids)
        if closest(f, seen) < CLEAR: return None
        rows.append(logits[first:].numpy())
        out.append({"ids": ids, "first": first,
                    "routing": [{"experts": e[-1].tolist(), "weights": [float(f"{x:.7g}") for x in w[-1].tolist()]} for _, w, e in seen]})
    return out, np.concatenate(rows)


def make(f, folder):
    rng = np.random.default_rng(len(f["name"]))
    sequences = []
    for n, first in f["sequences"]:
        text = encode(TEXT)[:n] if not sequences else []
        sequences.append((text + rng.integers(1, len(TOKENS), n - len(text)).tolist(), first))
    for f["seed"] in range(1000):
        model = build(f)
        tensors = fill(f, model)
        found = expect(f, model, sequences)
        if found: break
    expected, logits = found
    path = os.path.join(folder, f["name"])
    write(f, tensors, path + ".gguf")
    logits.astype("<f4").tofile(path + ".logits")
    head = {"about": "logits and routing by transformers in float32; written by tools/oracle/make_tiny.py",
            "made_with": f"transformers {transformers.__version__}, torch {torch.__version__}", "seed": f["seed"],
            "text": TEXT, "text_ids": encode(TEXT), "n_vocab": len(TOKENS)}
    lines = [f'  {json.dumps(k)}: {json.dumps(v)}' for k, v in head.items()]
    lines.append('  "sequences": [\n    ' + ",\n    ".join(json.dumps(s) for s in expected) + "\n  ]")
    with open(path + ".json", "w", encoding="utf8") as out: out.write("{\n" + ",\n".join(lines) + "\n}\n")
    size = sum(os.path.getsize(path + end) for end in (".gguf", ".json", ".logits"))
    print(f"{f['name']:14} seed {f['seed']}: {size} bytes, logits {logits.std():.2f} wide, largest {np.abs(logits).max():.2f}")
    return size


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..", "tests", "gold")
    os.makedirs(folder, exist_ok=True)
    total = 0
    for row in FIXTURES:
        f = dict(zip(KEYS, row))
        f |= {"eps": 1e-5, "rope_base": 10000.0} if f["family"] == "olmoe" else {"eps": 1e-6, "rope_base": 1e6}
        total += make(f, folder)
    print(f"{total} bytes in all")


if __name__ == "__main__":
    main()
