#!/usr/bin/env python3
"""Writes tests/gold/packs.json: values and the blocks that the Python package gguf makes of them, for the formats whose rounding is
exactly defined. Usage: make_packs.py [FILE]. Needs gguf and numpy. Same versions, same bytes."""
import json, os, sys
import gguf, numpy as np

rng = np.random.default_rng(11)
rows = [rng.standard_normal(32), rng.standard_t(2, 32) * 1e-3, np.zeros(32), np.full(32, 0.7), np.arange(32) - 15.5, np.where(np.arange(32) == 9, -1e4, 1e-4),
        rng.standard_normal(32) * 1e-20, np.abs(rng.standard_normal(32)) + 3, -np.abs(rng.standard_normal(32)) * 50]
x = np.array(rows, dtype=np.float32)
types = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]
out = {"about": f"rows of 32 float32 as hexadecimal bytes, and their blocks by gguf {getattr(gguf, '__version__', '')}; written by tools/oracle/make_packs.py",
       "values": [r.tobytes().hex() for r in x],
       "blocks": {t: [b.tobytes().hex() for b in gguf.quants.quantize(x, gguf.GGMLQuantizationType[t])] for t in types}}
path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..", "tests", "gold", "packs.json")
with open(path, "w") as f: json.dump(out, f, indent=1); f.write("\n")
