"""The vocabulary of every fixture: an end-of-text token, the 256 bytes, and a few merges."""
import tokenizers

MERGES = ["Ġ t", "h e", "Ġt he", "i n", "Ġ a", "e r", "Ġ Ġ"]
TEXT = "In the winter, there  were\n10 ships at the pier; naïve €5 — don't."


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
