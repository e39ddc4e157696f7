#!/usr/bin/env python3
"""Compares witan with transformers and tokenizers on a real checkpoint: a dense GGUF file of the llama family whose tokenizer is
SmolLM's. All weights are unpacked by the gguf package and computed with in float32.

    check_real.py MODEL.gguf BUILD [CORPUS.jsonl ...]

BUILD is the folder with libwitan.so and witan. For a few prompts with 64 greedy tokens each:
    ids       are they those of tokenizers?
    ref       plain kernels compute in float32 too: largest difference of logits, is each likeliest token the same?
    command   does `witan run` write the same text with these kernels?
    usual     the best kernels may round activations to bytes, 32 values to a scale. How far off is the root mean square of logits, relative
              to theirs, beside the same rounding done in transformers? How many likeliest tokens are the same?
Then the texts of the corpora (JSON lines) must become the same ids. The exit status says whether all was as it should be.
Needs torch, transformers, tokenizers and gguf. Takes a few minutes for 135 million weights.
"""
import json, os, subprocess, sys
import gguf, numpy as np, tokenizers, torch, transformers

from libwitan import Witan
from tiny.checkpoint import LAYER, MODEL

TOLERANCE = 1e-3      # of a logit, plain kernels
WORSE = 1.5           # how much further off rounding may be in witan than in transformers
N_NEW = 64
PROMPTS = [
    "The water cycle begins when",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "La città di Roma è stata fondata nel 753 a.C. — 12345 abitanti, €5, naïve café 🙂",
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nExplain in two sentences why the sky is blue.<|im_end|>\n<|im_start|>assistant\n",
]


# ---- the same model in transformers ---------------------------------------------------------------------------------------------

def keys_of(reader):
    """All keys, those of the architecture without its name."""
    values = {k: field.contents() for k, field in reader.fields.items()}
    arch = values["general.architecture"]
    if arch != "llama" or values.get("llama.expert_count"): sys.exit("expected a dense model of the family llama")
    if values["tokenizer.ggml.pre"] != "smollm": sys.exit(f"expected the tokenizer of smollm, found {values['tokenizer.ggml.pre']}")
    return {k.removeprefix(arch + "."): v for k, v in values.items()}


def config_of(k, tied):
    return transformers.LlamaConfig(
        vocab_size=len(k["tokenizer.ggml.tokens"]), hidden_size=k["embedding_length"], num_hidden_layers=k["block_count"],
        num_attention_heads=k["attention.head_count"], num_key_value_heads=k["attention.head_count_kv"],
        intermediate_size=k["feed_forward_length"], rms_norm_eps=k["attention.layer_norm_rms_epsilon"], tie_word_embeddings=tied,
        max_position_embeddings=k["context_length"], rope_parameters={"rope_type": "default", "rope_theta": k["rope.freq_base"]},
        attn_implementation="eager", pad_token_id=None, bos_token_id=None, eos_token_id=None)


def halves(name, x, d_head):
    """Rows of q and k as transformers wants them: the two rows that are rotated together are d_head/2 apart, not neighbours."""
    if "attn_q." not in name and "attn_k." not in name: return x
    return x.reshape(-1, d_head // 2, 2, x.shape[1]).swapaxes(1, 2).reshape(x.shape)


def build(reader, k):
    names = dict((ours, theirs) for theirs, ours in MODEL)
    names |= {f"blk.{i}.{ours}": f"model.layers.{i}.{theirs}" for i in range(k["block_count"]) for theirs, ours in LAYER}
    found = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    tied = "output.weight" not in found
    d_head = k["embedding_length"] // k["attention.head_count"]
    model = transformers.LlamaForCausalLM(config_of(k, tied)).float().eval()
    weights = {names[n]: torch.from_numpy(np.array(halves(n, x, d_head))) for n, x in found.items()}
    if tied: weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict(weights)
    return model


def tokenizer_of(k):
    """SmolLM's tokenizer from the vocabulary in the file: single digits, then gpt-2's pieces, then merges."""
    tokens, merges = k["tokenizer.ggml.tokens"], k["tokenizer.ggml.merges"]
    tok = tokenizers.Tokenizer(tokenizers.models.BPE({t: i for i, t in enumerate(tokens)}, [tuple(m.split(" ")) for m in merges]))
    pre = tokenizers.pre_tokenizers
    tok.pre_tokenizer = pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False, use_regex=True)])
    tok.decoder = tokenizers.decoders.ByteLevel()
    tok.add_special_tokens([t for t, kind in zip(tokens, k["tokenizer.ggml.token_type"]) if kind == 3])
    return tok


def greedy(model, ids, n):
    out, past = [], None
    with torch.no_grad():
        step = torch.tensor([ids])
        for _ in range(n):
            y = model(step, past_key_values=past, use_cache=True)
            past = y.past_key_values
            out.append(int(y.logits[0, -1].argmax()))
            step = torch.tensor([out[-1:]])
    return out


def logits(model, ids):
    with torch.no_grad(): return model(torch.tensor([ids]), use_cache=False).logits[0].numpy()


def to_bytes_and_back(module, args):
    x = args[0].reshape(*args[0].shape[:-1], -1, 32)
    d = x.abs().amax(-1, keepdim=True) / 127
    return ((torch.round(x / torch.where(d > 0, d, 1)) * d).reshape(args[0].shape),)


def rounded_logits(model, ids):
    """With the input of every matrix rounded to bytes."""
    hooks = [m.register_forward_pre_hook(to_bytes_and_back) for m in model.modules() if isinstance(m, torch.nn.Linear)]
    out = logits(model, ids)
    for h in hooks: h.remove()
    return out


# ---- comparing ------------------------------------------------------------------------------------------------------------------

class Subject:
    """One checkpoint in every implementation."""

    def __init__(self, path, folder):
        reader = gguf.GGUFReader(path)
        k = keys_of(reader)
        library = os.path.join(folder, "libwitan.so")
        self.path, self.command, self.end = path, os.path.join(folder, "witan"), k["tokenizer.ggml.eos_token_id"]
        self.ref, self.usual = Witan(library, path, "ref"), Witan(library, path)
        self.model, self.tok = build(reader, k), tokenizer_of(k)

    def written(self, prompt):
        """What the command writes, greedily, with plain kernels."""
        run = [self.command, "run", self.path, "-n", str(N_NEW), "--temp", "0", "--repeat-penalty", "1", "-q", prompt]
        return subprocess.run(run, capture_output=True, text=True, check=True, env=os.environ | {"WITAN_TIER": "ref"}).stdout


def until_end(ids, end): return ids[:ids.index(end)] if end in ids else ids
def size(x): return float(np.sqrt(np.square(x, dtype=np.float64).mean()))
def same(yes): return "same" if yes else "DIFFER"


def compare_prompt(s, prompt):
    """True if everything about one prompt is as it should be; prints what was found."""
    ids = s.tok.encode(prompt, add_special_tokens=False).ids
    new = greedy(s.model, ids, N_NEW)
    text = s.tok.decode(until_end(new, s.end), skip_special_tokens=True)
    expected, ref, usual = logits(s.model, ids + new), s.ref.logits(ids + new), s.usual.logits(ids + new)
    best = expected.argmax(-1)
    assert best[len(ids) - 1:-1].tolist() == new
    worst, off = np.abs(ref - expected).max(), size(usual - expected) / size(expected)
    allowed = WORSE * size(rounded_logits(s.model, ids + new) - expected) / size(expected)
    good = [s.ref.encode(prompt) == ids, (ref.argmax(-1) == best).all(), s.written(prompt).strip() == text.strip()]
    print(f"{len(ids)} + {N_NEW} tokens: ids {same(good[0])}; ref: off by up to {worst:.2e} of {np.abs(expected).max():.1f}, likeliest tokens "
          f"{same(good[1])}; command {same(good[2])}; usual: off by {off:.4f} (rounding in transformers {allowed / WORSE:.4f}), "
          f"{(usual.argmax(-1) == best).sum()} of {len(best)} likeliest tokens the same", flush=True)
    print("    " + (prompt + "|" + text).replace("\n", "\n    "))
    return all(good) and worst <= TOLERANCE and off <= allowed


def compare_texts(s, path):
    """Texts of JSON lines whose ids differ; prints the first."""
    texts, n, differ = [json.loads(line) for line in open(path, encoding="utf8")], 0, 0
    for o in texts:
        text = o.get("text") or o.get("prompt", "") + o.get("answer", "")
        a, b = s.ref.encode(text), s.tok.encode(text, add_special_tokens=False).ids
        n += len(b)
        if a == b: continue
        at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        if not differ: print(f"    first difference: witan {s.tok.decode(a[at:at + 8])!r} {a[at:at + 8]}, tokenizers {b[at:at + 8]}")
        differ += 1
    print(f"{os.path.basename(path)}: {len(texts)} texts, {n} tokens, {differ} texts differ")
    return differ == 0


def main():
    if len(sys.argv) < 3: sys.exit("usage: check_real.py MODEL.gguf BUILD [CORPUS.jsonl ...]")
    s = Subject(*sys.argv[1:3])
    good = [compare_prompt(s, p) for p in PROMPTS] + [compare_texts(s, corpus) for corpus in sys.argv[3:]]
    print(f"{sum(good)} of {len(good)} comparisons hold")
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
