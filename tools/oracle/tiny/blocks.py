"""Block types: what a tensor becomes in the file. The gguf package can read the K types but not write them, so their blocks are drawn
at random; all others are quantized."""
import gguf, numpy as np
from gguf import GGMLQuantizationType as Type

# Where a block of 256 keeps its halves: d, and dmin (None: it has none).
K_HALVES = {Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208, None)}


def type_of(types, name, x):
    """The block type of a tensor. Norms, biases and routers are never quantized."""
    if x.ndim == 1 or "ffn_gate_inp" in name: return Type.F32
    return next(t for t in types if x.shape[-1] % gguf.GGML_QUANT_SIZES[t][0] == 0)


def set_halves(data, places, values):
    for at, value in zip(places, values):
        if at is not None: data[..., at:at + 2] = np.frombuffer(np.float16(value).tobytes(), np.uint8)


def draw_blocks(kind, x, rng):
    """Blocks of random bytes that unpack to about the spread of x."""
    size, n_byte = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (*x.shape[:-1], x.shape[-1] // size, n_byte), np.uint8)
    flat = data.reshape(*x.shape[:-1], -1)
    set_halves(data, K_HALVES[kind], (1, 7.5))          # nibbles and scales are spread evenly: 7.5 makes the mean about zero
    d = x.std() / gguf.quants.dequantize(flat, kind).std()
    set_halves(data, K_HALVES[kind], (d, 7.5 * d))
    return flat


def pack(types, name, x, rng):
    """The tensor as it stands in the file, its type, and the floats that come back from it."""
    kind = type_of(types, name, x)
    if kind == Type.F32: return x, kind, x
    data = draw_blocks(kind, x, rng) if kind in K_HALVES else gguf.quants.quantize(x, kind)
    return data, kind, gguf.quants.dequantize(data, kind)
