"""Which fixtures there are. Sizes are awkward on purpose: rows that are no multiple of eight values, odd numbers of experts, heads
whose widths do not add up to the model's."""
from dataclasses import dataclass

from gguf import GGMLQuantizationType as Type

CONTEXT = 256
# Sequences: tokens, first position whose logits are kept. The long ones pass a page of the KV cache (64 tokens).
FULL, LONG, SHORT = ((24, 0), (80, 64)), ((10, 0), (80, 76)), ((12, 0),)


@dataclass
class Fixture:
    name: str
    family: str                  # key of families.FAMILIES
    types: tuple                 # block types in order of preference: a tensor gets the first one that divides its rows
    n_layer: int
    width: int
    n_head: int
    n_kv: int
    d_head: int
    ff: int                      # inner width of a dense layer, and of experts where ff_exp is 0
    tied: bool
    sequences: tuple
    n_exp: int = 0               # 0: dense
    n_used: int = 0
    ff_exp: int = 0
    ff_shared: int = 0           # of the shared expert
    n_dense: int = 0             # first layers without experts
    rope: str = "default"        # or "llama3", "linear", "yarn"
    bias: bool = False           # on attention, where the family leaves that open
    norm: bool = False           # chosen weights divided by their sum, where the family leaves that open
    layout: str = "stacks"       # of the experts' tensors; "joined": gate and up rows in one; "separate": one per expert
    eps: float = 1e-6
    rope_base: float = 1e6
    seed: int = 0                # the first one whose rankings are clear


F32, F16, BF16, Q8_0 = (Type.F32,), (Type.F16,), (Type.BF16,), (Type.Q8_0,)
Q4_0, Q4_1, Q5_0 = (Type.Q4_0,), (Type.Q4_1,), (Type.Q5_0,)
Q4_K, Q6_K = (Type.Q4_K, Type.Q5_0), (Type.Q6_K, Type.Q4_1)        # rows that 256 does not divide get the second type
OLD = dict(eps=1e-5, rope_base=1e4)

FIXTURES = [
    #       name               family      types layers width heads kv d_head ff tied  sequences
    Fixture("olmoe",           "olmoe",    F32,   2,  32,   4,  4,  8,   12, False, FULL,  n_exp=8, n_used=2, **OLD),
    Fixture("qwen3moe",        "qwen3moe", F32,   2,  36,   4,  2, 12,   12, True,  FULL,  n_exp=7, n_used=3),
    Fixture("qwen3moe-f16",    "qwen3moe", F16,   1,  32,   4,  2, 16,   24, True,  SHORT, n_exp=5, n_used=3),
    Fixture("qwen3moe-bf16",   "qwen3moe", BF16,  1,  32,   4,  2, 16,   24, True,  SHORT, n_exp=5, n_used=3),
    Fixture("qwen3moe-q8_0",   "qwen3moe", Q8_0,  1,  32,   4,  2, 16,   32, False, SHORT, n_exp=6, n_used=3),
    Fixture("olmoe-q4_0",      "olmoe",    Q4_0,  2,  32,   4,  2,  8,   32, False, SHORT, n_exp=6, n_used=2, **OLD),

    Fixture("qwen2moe",        "qwen2moe", F32,   2,  20,   2,  2, 10,   14, False, LONG,  n_exp=7, n_used=3, ff_exp=11, ff_shared=19),
    Fixture("qwen2moe-60",     "qwen2moe", F32,   1,  12,   2,  1,  6,   10, True,  SHORT, n_exp=60, n_used=4, ff_exp=5, ff_shared=20),
    Fixture("qwen2moe-dense1", "qwen2moe", F32,   3,  16,   2,  1,  8,   22, True,  SHORT, n_exp=5, n_used=1, ff_exp=9, ff_shared=7,
            n_dense=1),
    Fixture("qwen2moe-q8_0",   "qwen2moe", Q8_0,  1,  32,   4,  2,  8,   96, False, SHORT, n_exp=5, n_used=2, ff_exp=32, ff_shared=64,
            norm=True, layout="joined"),
    Fixture("qwen2moe-q6_k",   "qwen2moe", Q6_K,  1,  32,   4,  2,  8,  256, True,  SHORT, n_exp=3, n_used=2, ff_exp=256, ff_shared=32),

    Fixture("mixtral",         "mixtral",  F32,   2,  20,   2,  2, 10,   13, True,  LONG,  n_exp=5, n_used=2, **OLD),
    Fixture("mixtral-all",     "mixtral",  F32,   1,  20,   2,  1, 10,    9, True,  SHORT, n_exp=4, n_used=4, layout="separate", **OLD),
    Fixture("mixtral-q5_0",    "mixtral",  Q5_0,  1,  32,   4,  1,  8,   32, False, SHORT, n_exp=6, n_used=1, **OLD),
    Fixture("mixtral-q4_k",    "mixtral",  Q4_K,  1, 256,   4,  1, 16,   32, True,  SHORT, n_exp=3, n_used=2, **OLD),

    Fixture("llama",           "llama",    F32,   2,  20,   2,  1, 10,   17, True,  LONG, **OLD),
    Fixture("llama-3",         "llama",    F32,   1,  20,   2,  2, 12,   13, True,  LONG,  rope="llama3", **OLD),
    Fixture("llama-linear",    "llama",    F32,   1,  16,   4,  2,  4,   19, True,  LONG,  rope="linear", bias=True, **OLD),
    Fixture("llama-q4_1",      "llama",    Q4_1,  1,  32,   4,  2, 16,   64, False, SHORT, **OLD),
    Fixture("qwen2",           "qwen2",    F32,   2,  16,   2,  1,  8,   15, True,  SHORT),
    Fixture("qwen2-q4_0",      "qwen2",    Q4_0,  1,  32,   4,  2,  8,   32, False, SHORT),
    Fixture("qwen3",           "qwen3",    F32,   2,  20,   4,  2,  6,   13, True,  SHORT),
    Fixture("qwen3-yarn",      "qwen3",    F32,   1,  12,   2,  1, 14,   11, True,  LONG,  rope="yarn", rope_base=1e3),
    Fixture("qwen3-q6_k",      "qwen3",    Q6_K,  1,  32,   2,  1, 128, 256, False, SHORT),
]
