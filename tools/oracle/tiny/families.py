"""The families: how transformers builds one, which architecture name and keys its GGUF files carry."""
from dataclasses import dataclass

import transformers

from .fixtures import CONTEXT
from .vocabulary import TOKENS


STRETCH = 4.0                # factor of the scalings "linear" and "yarn"
ORIGINAL = 32                # context before stretching by "yarn": sequences go beyond it
FAST, SLOW = 1.5, 0.3        # its ramp: frequencies that turn more often in that context stay, those that turn less are divided


def rope_parameters(f):
    """Stretching is chosen so that some frequencies of a head of 12 or 14 stay, some are divided, and some lie between."""
    more = {"default": {}, "linear": {"factor": STRETCH},
            "yarn": {"factor": STRETCH, "original_max_position_embeddings": ORIGINAL, "beta_fast": FAST, "beta_slow": SLOW},
            "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 96}}
    return {"rope_type": f.rope, "rope_theta": f.rope_base} | more[f.rope]


def common(f):
    return dict(vocab_size=len(TOKENS), hidden_size=f.width, num_hidden_layers=f.n_layer, num_attention_heads=f.n_head,
                num_key_value_heads=f.n_kv, tie_word_embeddings=f.tied, max_position_embeddings=CONTEXT, rms_norm_eps=f.eps,
                attn_implementation="eager", pad_token_id=None, bos_token_id=0, eos_token_id=0, intermediate_size=f.ff,
                rope_parameters=rope_parameters(f))


def experts(f): return dict(num_experts_per_tok=f.n_used, experts_implementation="eager")


def olmoe(f):
    return transformers.OlmoeConfig(num_experts=f.n_exp, norm_topk_prob=False, **common(f), **experts(f))


def qwen3moe(f):
    return transformers.Qwen3MoeConfig(moe_intermediate_size=f.ff, head_dim=f.d_head, norm_topk_prob=True, decoder_sparse_step=1,
                                       mlp_only_layers=[], num_experts=f.n_exp, **common(f), **experts(f))


def qwen2moe(f):
    return transformers.Qwen2MoeConfig(moe_intermediate_size=f.ff_exp, shared_expert_intermediate_size=f.ff_shared, norm_topk_prob=f.norm,
                                       decoder_sparse_step=1, mlp_only_layers=list(range(f.n_dense)), num_experts=f.n_exp,
                                       **common(f), **experts(f))


def mixtral(f): return transformers.MixtralConfig(num_local_experts=f.n_exp, head_dim=f.d_head, **common(f), **experts(f))
def llama(f): return transformers.LlamaConfig(head_dim=f.d_head, attention_bias=f.bias, mlp_bias=False, **common(f))
def qwen2(f): return transformers.Qwen2Config(**common(f))
def qwen3(f): return transformers.Qwen3Config(head_dim=f.d_head, attention_bias=False, **common(f))


@dataclass
class Family:
    arch: str                 # general.architecture
    config: callable
    model: type
    free_heads: bool          # heads need not add up to the model's width
    pairs: bool = False       # GGUF holds the rows of q and k so that neighbours are rotated together


FAMILIES = {
    "olmoe":    Family("olmoe",    olmoe,    transformers.OlmoeForCausalLM,    False),
    "qwen3moe": Family("qwen3moe", qwen3moe, transformers.Qwen3MoeForCausalLM, True),
    "qwen2moe": Family("qwen2moe", qwen2moe, transformers.Qwen2MoeForCausalLM, False),
    "mixtral":  Family("llama",    mixtral,  transformers.MixtralForCausalLM,  True, pairs=True),
    "llama":    Family("llama",    llama,    transformers.LlamaForCausalLM,    True, pairs=True),
    "qwen2":    Family("qwen2",    qwen2,    transformers.Qwen2ForCausalLM,    False),
    "qwen3":    Family("qwen3",    qwen3,    transformers.Qwen3ForCausalLM,    True),
}


def build(f):
    """An empty transformers model of the fixture's family and sizes."""
    family = FAMILIES[f.family]
    assert family.free_heads or f.d_head * f.n_head == f.width, f.name
    return family.model(family.config(f)).float().eval()


def keys(f):
    """(suffix, kind, value) of the keys below general.architecture, in the order of the file."""
    family = FAMILIES[f.family]
    yield from (("block_count", "uint32", f.n_layer), ("context_length", "uint32", CONTEXT), ("embedding_length", "uint32", f.width),
                ("feed_forward_length", "uint32", f.ff), ("attention.head_count", "uint32", f.n_head),
                ("attention.head_count_kv", "uint32", f.n_kv))
    if f.n_exp: yield from (("expert_count", "uint32", f.n_exp), ("expert_used_count", "uint32", f.n_used))
    if f.family in ("qwen3moe", "qwen2moe"): yield "expert_feed_forward_length", "uint32", f.ff_exp or f.ff
    if f.ff_shared: yield "expert_shared_feed_forward_length", "uint32", f.ff_shared
    if f.n_dense: yield "leading_dense_block_count", "uint32", f.n_dense
    if family.arch in ("qwen3moe", "qwen3") or family.free_heads and f.d_head * f.n_head != f.width:
        yield from (("attention.key_length", "uint32", f.d_head), ("attention.value_length", "uint32", f.d_head))
    yield from (("attention.layer_norm_rms_epsilon", "float32", f.eps), ("rope.freq_base", "float32", f.rope_base))
    if family.pairs: yield "rope.dimension_count", "uint32", f.d_head
    if f.norm: yield "expert_weights_norm", "bool", True
    yield from rope_keys(f)


def rope_keys(f):
    """Keys of stretched positions. The scaling of llama-3 has none: it comes as a tensor."""
    if f.rope not in ("linear", "yarn"): return
    yield from (("rope.scaling.type", "string", f.rope), ("rope.scaling.factor", "float32", STRETCH))
    if f.rope == "yarn":
        yield from (("rope.scaling.original_context_length", "uint32", ORIGINAL), ("rope.scaling.yarn_beta_fast", "float32", FAST),
                    ("rope.scaling.yarn_beta_slow", "float32", SLOW))
