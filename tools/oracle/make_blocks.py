#!/usr/bin/env python3
"""Writes tests/gold/blocks.json: what the `gguf` package makes of the same numbers, for tests/test_type.c. Nothing of witan takes part.

    make_blocks.py [FOLDER]          (default: tests/gold of this repository)

Needs numpy and gguf. Same versions, same bytes. The members, bytes as hex:
    sizes     number in GGUF files, name, values and bytes of one block, of every type the package knows
    values    float32, little-endian: blocks of 32, from usual weights to the edges that a quantizer can fall over
    packed    per type, those values packed
    unpack    per type, blocks and the float32 values they stand for: those above, then blocks of random bytes, as files may hold
"""
import json, os, sys
import gguf, numpy as np
from gguf import GGMLQuantizationType as Type

BLOCK = 32


def values():
    rng = np.random.default_rng(7)
    usual = rng.normal(0, 0.02, BLOCK)
    wide = rng.normal(0, 1, BLOCK) * 10.0 ** rng.integers(-6, 5, BLOCK)
    ties = (np.arange(BLOCK) - 16) / 2                  # halves: rounding shows, and two values share the largest magnitude
    ties[0], ties[31] = 127 / 2, -127 / 2
    small = rng.normal(0, 1e-6, BLOCK)                  # the scale is a denormal half, or none
    lone = np.zeros(BLOCK)
    lone[5] = -3.25
    zero = np.zeros(BLOCK)
    edges = np.resize([65504, 65519, 65520, -65536, 6.1e-5, 5.97e-8, 2.98e-8, 2.99e-8, 1 + 2.0 ** -11, 1 + 3 * 2.0 ** -11, 1 + 2.0 ** -8, 1 + 3 * 2.0 ** -8], BLOCK)
    up = np.linspace(-1, 1, BLOCK)
    return np.concatenate([usual, wide, ties, small, lone, zero, edges, up]).astype(np.float32)


HALVES = {Type.Q4_1: (0, 2), Type.Q5_1: (0, 2), Type.Q2_K: (80, 82), Type.Q3_K: (108,), Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,)}
READ = (Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.IQ4_NL, Type.MXFP4, Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K, Type.IQ4_XS)


def random_blocks(kind, n):
    """Any bytes, with finite halves where the type has its scales (else at the start; MXFP4: a usual exponent)."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    rng = np.random.default_rng(int(kind))
    blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
    if kind == Type.MXFP4:
        blocks[:, 0] = [0, 1, 2, 254, 127, 120][:n]
        return blocks.reshape(-1)
    for at in HALVES.get(kind, (0,)):
        blocks[:, at:at + 2] = rng.normal(0, 1, n).astype(np.float16)[:, None].view(np.uint8)
    return blocks.reshape(-1)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "gold")
    x = values()
    out = {"sizes": ["%d %s %d %d" % (t, t.name, *gguf.GGML_QUANT_SIZES[t]) for t in Type], "values": x.tobytes().hex(), "packed": {}, "unpack": {}}
    for kind in (Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0):
        with np.errstate(over="ignore", invalid="ignore"):
            packed = np.frombuffer(gguf.quants.quantize(x, kind).tobytes(), np.uint8)
        out["packed"][kind.name] = packed.tobytes().hex()
        if kind in (Type.Q8_0, Type.Q4_0):
            blocks = np.concatenate([packed, random_blocks(kind, 4)])
            read = gguf.quants.dequantize(blocks, kind).astype(np.float32)
            out["unpack"][kind.name] = {"blocks": blocks.tobytes().hex(), "values": read.tobytes().hex()}
    for kind in READ:
        blocks = random_blocks(kind, 2 if gguf.GGML_QUANT_SIZES[kind][0] == 256 else 6)
        read = gguf.quants.dequantize(blocks, kind).astype(np.float32)
        out["unpack"][kind.name] = {"blocks": blocks.tobytes().hex(), "values": read.tobytes().hex()}
    with open(os.path.join(folder, "blocks.json"), "w") as f:
        json.dump(out, f, indent=1)
        f.write("\n")


main()
