#!/usr/bin/env python3
"""Writes tests/gold/splits.json: how published pre-tokenizer patterns cut texts, by the `regex` package, for tests/test_split.c.

    make_splits.py [FOLDER [COUNT]]          (default: tests/gold of this repository, 300 texts)

Needs regex. {"texts": [...], "rules": {rule: [[length of each piece in UTF-8 bytes] for each text]}}."""
import json, os, random, sys
import regex

G = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
C = r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
T = r"\s*[\r\n]+|\s+(?!\S)|\s+"
OPT = r"[^\r\n\p{L}\p{N}]?"
REST = r" ?[^\s\p{L}\p{N}]+"
U, V = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
KU, KV = r"[[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]&&[^\p{Han}]]", r"[[\p{Ll}\p{Lm}\p{Lo}\p{M}]&&[^\p{Han}]]"
LETTERS = ("A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-"
           "\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗ"
           "Ａ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃")
THREES = r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
RULES = {
    "gpt-2": [G],
    "starcoder": [r"\p{N}", G],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", G, r"[0-9][0-9][0-9]"],
    "llama-bpe": [rf"{C}|{OPT}\p{{L}}+|\p{{N}}{{1,3}}|{REST}[\r\n]*|{T}"],
    "qwen2": [rf"{C}|{OPT}\p{{L}}+|\p{{N}}|{REST}[\r\n]*|{T}"],
    "qwen35": [rf"{C}|{OPT}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{T}"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}"],
    "deepseek-llm": [r"[\r\n]", rf"\s?[{LETTERS}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", r"[一-龥ࠀ-一가-퟿]+", r"\p{N}+"],
    "deepseek-v3": [r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+",
                    rf"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{{|}}~][A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+| ?[\p{{P}}\p{{S}}]+[\r\n]*|{T}"],
    "gpt-4o": [rf"{OPT}{U}*{V}+(?:{C})?|{OPT}{U}+{V}*(?:{C})?|\p{{N}}{{1,3}}|{REST}[\r\n/]*|{T}"],
    "tekken": [rf"{OPT}{U}*{V}+|{OPT}{U}+{V}*|\p{{N}}|{REST}[\r\n/]*|{T}"],
    "bailingmoe": [rf"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{{L}}\p{{N}}]?+\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "seed-coder": [rf"{C}|{OPT}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{T}"],
    "exaone-moe": [rf"{C}|{OPT}(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}|{REST}[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "minicpm5": [r"\p{N}{1,3}", rf"{C}|{OPT}\p{{L}}+|\p{{N}}+|{REST}[\r\n]*|{T}"],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "kimi-k2": [rf"(?V1)[\p{{Han}}]+|{OPT}{KU}*{KV}+(?:{C})?|{OPT}{KU}+{KV}*(?:{C})?|\p{{N}}{{1,3}}|{REST}[\r\n]*|{T}"],
    "afmoe": [THREES, "[一-鿿㐀-䶿\uf900-\ufaff぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+"],
    "cohere2moe": [THREES],
    "laguna": [r"[^\n]+|[\n]+", rf"{C}|{OPT}\p{{L}}+|\p{{N}}|{REST}[\r\n]*|{T}"],
    "ufakzeka": [rf"{OPT}\p{{L}}+|\p{{N}}|{REST}[\r\n]*|{T}"],
}
RULES["afmoe"] += RULES["deepseek-v3"][2:]
RULES["cohere2moe"] += RULES["gpt-4o"]
ATOMS = """a b Bc Z É ß я Ж ǅ ʰ ª 中 龥 龦 々 〇 ⺀ 한 ᄀ の カ ا ა ა Ა ก अ ८ 7 42 314 1000000 ½ Ⅳ 〡 ² ᎀ 𝒜 𐐀 ⴀ 🄰 ' ' 's 'S 're 'LL 'd 'x ’s ! ... , ; / // $ _ — € 😀 👩‍💻 ！
    ～ “ ” 、 。 … | ( ) ` ^ + = ~ @ # \\ < > { } [ ] \" ، ۔ । · «""".split() + [
    " ", " ", " ", "  ", "    ", "\t", "\n", "\n", "\r", "\r\n", "\n\n", "\v", "\u00a0", "\u3000", "\u2028", "\u202f", "\u1680", "\u0301", "\u0308", "\u0903", "\u20dd", "\u200d",
    "\u200b", "\u2060", "\ufeff", "\x00", "\x1f", "\x7f", "\x85", "\u00ad", "\ue000", "\U0010ffff", "\u1fbe", "\u2126", "\u212a", "\ufb06", "\U0001e900", "\u10fd", "\uac00", "\ud7fb"]


def cut(pieces, pattern):
    """Each piece into its matches and the gaps between them; an empty match cuts too."""
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


def text(rng):
    """Atoms in any order, now and then one of them many times."""
    atoms = rng.choices(ATOMS, k=rng.choice([3, 8, 40])) if rng.random() < 0.5 else ATOMS
    return "".join(rng.choice(atoms) * (rng.randint(2, 7) if rng.random() < 0.1 else 1) for _ in range(rng.randint(1, 20)))


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "gold")
    rng = random.Random(5)
    texts = [text(rng) for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 300)]
    out = {"texts": texts, "rules": {rule: [[len(p.encode()) for p in split(rule, t)] for t in texts] for rule in RULES}}
    with open(os.path.join(folder, "splits.json"), "w", encoding="utf8") as f:
        json.dump(out, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__": main()
