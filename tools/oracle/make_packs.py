#!/usr/bin/env python3
"""Writes tests/gold/packs.json: values and the blocks that the Python package gguf makes of them, for the formats whose rounding is
exactly defined. Usage: make_packs.py [FILE]. Needs gguf and numpy. Same versions, same bytes."""
import importlib.metadata, json, os, sys
import gguf, numpy as np

rng = np.random.default_rng(11)
at = np.arange(32)
rows = [rng.standard_normal(32), rng.standard_t(2, 32) * 1e-3, np.zeros(32), np.full(32, 0.7), at - 15.5, np.where(at == 9, -1e4, 1e-4),
        rng.standard_normal(32) * 1e-20, np.abs(rng.standard_normal(32)) + 3, -np.abs(rng.standard_normal(32)) * 50]
rows += [np.full(32, -2.5), np.where(at == 31, 3.25, 0),                    # a constant below zero, one value among zeros
         (at - 16) / 2, np.where(at % 2, 7, -7) * (1 - at / 64),            # many values halfway between two steps, equal ends
         1000 + rng.standard_normal(32), rng.standard_normal(32) * 10.0 ** rng.integers(-6, 5, 32),
         rng.integers(1, 100, 32) * 2.0 ** -149, rng.standard_normal(32) * 1e-38,     # denormal floats, quotients that overflow
         rng.standard_normal(32) * 1e-6, rng.standard_normal(32) * 3e-8,    # denormal halves, and none
         rng.uniform(-7e4, 7e4, 32), rng.uniform(-2e6, 2e6, 32),            # halves that are the largest, and infinite
         rng.standard_normal(32) * 1e30, rng.uniform(-3.4e38, 3.4e38, 32)]  # a range beyond float
x = np.array(rows, dtype=np.float32)
types = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
with np.errstate(all="ignore"):
    blocks = {t: [b.tobytes().hex() for b in gguf.quants.quantize(x, gguf.GGMLQuantizationType[t])] for t in types}
out = {"about": f"rows of 32 float32 as hexadecimal bytes, and their blocks by gguf {importlib.metadata.version('gguf')}; written by tools/oracle/make_packs.py",
       "values": [r.tobytes().hex() for r in x], "blocks": blocks}
path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..", "tests", "gold", "packs.json")
with open(path, "w") as f: json.dump(out, f, indent=1); f.write("\n")
