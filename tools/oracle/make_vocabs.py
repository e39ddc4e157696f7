#!/usr/bin/env python3
"""Writes small vocabularies and the ids that other implementations give with them, for tests/test_vocab.c.

    make_vocabs.py [FOLDER]          (default: tests/gold of this repository)

    vocab-bpe.gguf        byte-level BPE that names an unknown splitting rule: the test asks for each rule in turn
    vocab-spm.gguf        SentencePiece BPE with byte tokens
    vocab-spm-plain.gguf  the same without byte tokens and without the space before a text
    vocabs.json           texts; rules (of make_splits.py); bpe: for each text the different lists of ids that the tokenizers package gives,
                          and for each rule which of them; spm: for each vocabulary the ids that sentencepiece gives

Needs regex, tokenizers, sentencepiece, protobuf, gguf. The training text is generated."""
import io, json, os, random, sys
import gguf, sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
import make_splits

WORDS = """the quick brown fox said it's 1984 don't we'll HTTPServer getName naïve café Führer Straße Привет мир слово 中文 日本語 テスト 한국어 हिन्दी नमस्ते العربية
 שלום ελληνικά çok güzel việt 12 345 6789 1000000 3.14 x=1; {y} // ... !? -- (ok) [a] "b" 'c' 😀 👩‍💻 ½ Ⅳ « » “ ” 、 。 ！ a/b http://x.org/y?z=1 def f(x): return x+1 ÉCOLE Öl""".split() + ["\n", "\n\n", "\t"]


def corpus(rng, lines):
    """Sentences in which words, their halves and spaces of several lengths occur again and again."""
    out = []
    for _ in range(lines):
        line = ""
        for _ in range(rng.randint(3, 12)):
            w = rng.choice(WORDS)
            line += rng.choice(["", " ", " ", " ", "  ", "    "]) + (w[:rng.randint(1, len(w))] if rng.random() < 0.3 else w)
        out.append(line)
    return out


def texts(rng, count):
    return [make_splits.text(rng) if i % 2 else corpus(rng, 1)[0] for i in range(count)]


def bpe(folder, lines):
    """Trained without any splitting, so that merges run across what the rules cut."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    t.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=640, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    model = json.loads(t.to_str())["model"]
    vocab, merges = model["vocab"], [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    tokens = sorted(vocab, key=vocab.get)
    w = gguf.GGUFWriter(os.path.join(folder, "vocab-bpe.gguf"), "none")
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("witan-test")
    w.add_token_list(tokens)
    w.add_token_types([1] * len(tokens))
    w.add_token_merges([" ".join(m) for m in merges])
    finish(w)
    return vocab, merges


def bpe_ids(vocab, merges, rule, texts):
    t = Tokenizer(models.BPE(vocab, merges, ignore_merges=rule in ("llama-bpe", "tekken", "minicpm5")))
    steps = [pre_tokenizers.Split(Regex(p.replace("(?V1)", "")), "isolated") for p in make_splits.RULES[rule]]
    t.pre_tokenizer = pre_tokenizers.Sequence(steps + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return [t.encode(x).ids for x in texts]


def distinct(lists):
    """[the different lists, for each given one its place among them]"""
    found = []
    for x in lists:
        if x not in found: found.append(x)
    return [found, [found.index(x) for x in lists]]


def spm(folder, name, lines, byte_tokens, prefix, texts):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([x.replace("\n", " ") for x in lines]), model_writer=out, model_type="bpe", vocab_size=700 if byte_tokens else 444,
        byte_fallback=byte_tokens, character_coverage=0.995, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=prefix, split_by_whitespace=False, allow_whitespace_only_pieces=True, num_threads=1, minloglevel=2)
    model = pb.ModelProto.FromString(out.getvalue())
    w = gguf.GGUFWriter(os.path.join(folder, name + ".gguf"), "none")
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    w.add_token_list([p.piece for p in model.pieces])
    w.add_token_scores([p.score for p in model.pieces])
    w.add_token_types([p.type for p in model.pieces])
    w.add_bool("tokenizer.ggml.add_space_prefix", prefix)
    finish(w)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    return [sp.encode(x) for x in texts]


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "gold")
    rng = random.Random(11)
    lines, sample = corpus(rng, 1500), texts(rng, 200)
    vocab, merges = bpe(folder, lines)
    rules = list(make_splits.RULES)
    by_rule = [bpe_ids(vocab, merges, rule, sample) for rule in rules]
    out = {"texts": sample, "rules": rules, "bpe": [distinct([ids[i] for ids in by_rule]) for i in range(len(sample))],
           "spm": {name: spm(folder, name, lines, b, p, sample) for name, b, p in (("vocab-spm", True, True), ("vocab-spm-plain", False, False))}}
    with open(os.path.join(folder, "vocabs.json"), "w", encoding="utf8") as f:
        json.dump(out, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")


main()
