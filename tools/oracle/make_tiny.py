#!/usr/bin/env python3
"""Writes the fixtures of tests/gold: tiny random checkpoints as GGUF, and what transformers computes from the same weights in
float32. Nothing of witan takes part, so agreement means something.

    make_tiny.py [FOLDER [NAME ...]]          (default: tests/gold of this repository, all fixtures)

Needs torch, transformers, tokenizers and gguf. Same versions, same bytes. For each fixture (tiny/fixtures.py lists them):
    NAME.gguf     the checkpoint, converted from the names and axes of the transformers model
    NAME.json     token ids, which rows of logits are kept, routing of the last token of each sequence in every layer
    NAME.logits   those rows, float32, little-endian, one after another
Quantized fixtures: transformers gets the weights as read back from the blocks, so only arithmetic can differ.
"""
import json, os, sys
import numpy as np, torch, transformers

from tiny.checkpoint import fill, write
from tiny.expect import expect
from tiny.families import build
from tiny.fixtures import FIXTURES
from tiny.vocabulary import TEXT, TOKENS, encode


def sequences(f):
    """(ids, first position that counts) of each sequence: the text, then random tokens; only random tokens from the second on."""
    rng = np.random.default_rng(len(f.name))
    out = []
    for n, first in f.sequences:
        text = encode(TEXT)[:n] if not out else []
        out.append((text + rng.integers(1, len(TOKENS), n - len(text)).tolist(), first))
    return out


def describe(f, expected, path):
    head = {"about": "logits and routing by transformers in float32; written by tools/oracle/make_tiny.py",
            "made_with": f"transformers {transformers.__version__}, torch {torch.__version__}", "seed": f.seed,
            "text": TEXT, "text_ids": encode(TEXT), "n_vocab": len(TOKENS)}
    lines = [f'  {json.dumps(k)}: {json.dumps(v)}' for k, v in head.items()]
    lines.append('  "sequences": [\n    ' + ",\n    ".join(json.dumps(s) for s in expected) + "\n  ]")
    with open(path, "w", encoding="utf8") as out: out.write("{\n" + ",\n".join(lines) + "\n}\n")


def make(f, folder):
    for f.seed in range(1000):
        model = build(f)
        tensors = fill(f, model)
        found = expect(f, model, sequences(f))
        if found: break
    expected, logits = found
    path = os.path.join(folder, f.name)
    write(f, tensors, path + ".gguf")
    logits.astype("<f4").tofile(path + ".logits")
    describe(f, expected, path + ".json")
    size = sum(os.path.getsize(path + end) for end in (".gguf", ".json", ".logits"))
    print(f"{f.name:16} seed {f.seed}: {size} bytes, logits {logits.std():.2f} wide, largest {np.abs(logits).max():.2f}")
    return size


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..", "tests", "gold")
    os.makedirs(folder, exist_ok=True)
    wanted = sys.argv[2:] or [f.name for f in FIXTURES]
    unknown = set(wanted) - {f.name for f in FIXTURES}
    if unknown: sys.exit(f"no fixture is called {', '.join(sorted(unknown))}; there are {', '.join(f.name for f in FIXTURES)}")
    print(sum(make(f, folder) for f in FIXTURES if f.name in wanted), "bytes in all")


if __name__ == "__main__":
    main()
