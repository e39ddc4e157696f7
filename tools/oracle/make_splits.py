#!/usr/bin/env python3
"""Writes tests/gold/splits.json: how published pre-tokenizer patterns cut texts, by the `regex` package, for tests/test_tokenizer.c.

    make_splits.py [FOLDER]          (default: tests/gold of this repository)

Needs regex. Members: per rule a list of [text, [length of each piece in UTF-8 bytes]]."""
import json, os, random, sys
import regex

G = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"""
C = r"""'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"""
RULES = {
    "gpt-2": [G],
    "starcoder": [r"\p{N}", G],
    "llama3": [C + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "qwen2": [C + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
}
ATOMS = ["a", "Bc", "z", "É", "ß", "я", "中", "ا", "०", "7", "42", "½", "Ⅳ", " ", " ", "  ", "\t", "\n", "\r\n", "\n\n", "\u00a0", "\u3000", "\u2028", "'", "'s", "'S",
         "'re", "'LL", "'d", "!", "...", "$", "_", "—", "€", "😀", "\u0301", "\u200d", "\x00", "\x7f", "\x85"]


def cut(pieces, pattern):
    """Each piece into its matches and the gaps between them, as llama.cpp applies a list of patterns."""
    out = []
    for piece in pieces:
        at = 0
        for m in regex.finditer(pattern, piece):
            if m.start() > at: out.append(piece[at:m.start()])
            if m.end() > m.start(): out.append(m.group())
            at = m.end()
        if at < len(piece): out.append(piece[at:])
    return out


def split(rule, text):
    pieces = [text]
    for pattern in RULES[rule]: pieces = cut(pieces, pattern)
    return pieces


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "gold")
    rng, out = random.Random(5), {}
    for rule in RULES:
        texts = ["".join(rng.choice(ATOMS) for _ in range(rng.randint(1, 14))) for _ in range(400)]
        out[rule] = [[t, [len(p.encode()) for p in split(rule, t)]] for t in texts]
    with open(os.path.join(folder, "splits.json"), "w", encoding="utf8") as f:
        json.dump(out, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")


main()
