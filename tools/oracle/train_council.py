#!/usr/bin/env python3
"""Trains "council", the small mixture-of-experts model that witan ships, and writes it as GGUF.

    witan data synth DATA                                   (DOMAIN.train.jsonl, .valid, .test, .demos)
    train_council.py train    --data DATA --out RUN         (RUN/tokenizer.json, RUN/checkpoint.pt, RUN/log.txt)
    train_council.py export   --out RUN --gguf council-Q8_0.gguf
    train_council.py evaluate --data DATA --out RUN         (exact match, specialisation, half of the experts)

Needs torch, numpy, regex, gguf. The layer is OLMoE's: RMS norm before attention and before experts, RMS norms on q and k
over the whole width before the rotary embedding (split halves), softmax over all experts, then the top k without
renormalisation, SiLU-gated experts, untied head, no biases.

What is not OLMoE's is the pressure on the router. Plain balance per batch would make every domain use every expert. We
ask for a given mutual information between domain and expert (Mod-Squad, arXiv:2212.08066, maximises it; we stop at a
target, so that a domain spreads over about a third of the experts instead of owning an island), for an even load of the
whole mixture, and for small router logits (z loss). In a part of the steps some experts are missing, so that
the remaining ones can stand in for them.

What made the difference in a short training is practice: rows of random tokens in which something told earlier has to be
looked up (Sampler.practise). Without them attention by content did not form in the first six million tokens.
"""
import argparse, collections, json, math, os, sys, time

# Large blocks come from the heap instead of fresh pages on every step, and a thread waits only briefly before it gives its
# core away (a spinning one makes training ten times slower when another program wants the core). Both are read at start.
START = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_TOP_PAD_": "268435456",
         "GOMP_SPINCOUNT": "10000"}
if __name__ == "__main__" and "MALLOC_TOP_PAD_" not in os.environ:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **START})

import numpy as np, regex, torch, torch.nn as nn, torch.nn.functional as F

WIDTH, LAYERS, HEADS, EXPERTS, CHOSEN, FF, CONTEXT, VOCAB = 128, 4, 4, 32, 4, 128, 256, 512
HEAD = WIDTH // HEADS
DOMAINS = ["arithmetic", "units", "sets", "dates", "recall", "grammar", "json", "code"]
END = 0                       # <|endoftext|>: begins, ends and separates documents
PROMPT_WEIGHT = 0.1           # loss weight of prompt tokens; answers and the closing END count 1


# ---- tokenizer ---------------------------------------------------------------------------------------------------------

def byte_alphabet():
    """{byte: character} in gpt-2's order: printable bytes stand for themselves, the others for U+0100 onwards."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    return {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}


class Tokenizer:
    """Byte-level BPE with gpt-2's byte alphabet and splitter. Digits are never merged, so every number is spelled."""
    SPLIT = regex.compile(r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+""")
    CHAR = byte_alphabet()

    def __init__(self, vocab, merges):
        self.vocab, self.merges = vocab, merges
        self.ids = {t: i for i, t in enumerate(vocab)}
        self.rank = {tuple(m.split(" ")): i for i, m in enumerate(merges)}
        self.cut = {}

    @staticmethod
    def train(texts, size):
        """Merges the most frequent pair (ties: the smaller pair) until the vocabulary is full."""
        words = collections.Counter(w for t in texts for w in Tokenizer.SPLIT.findall(t))
        words = [([Tokenizer.CHAR[b] for b in w.encode()], n) for w, n in words.items()]
        vocab, merges = ["<|endoftext|>"] + list(Tokenizer.CHAR.values()), []
        while len(vocab) < size:
            pairs = collections.Counter()
            for w, n in words:
                for a, b in zip(w, w[1:]):
                    if not any(c.isdigit() and c.isascii() for c in a + b): pairs[a, b] += n
            if not pairs: break
            a, b = min(pairs, key=lambda p: (-pairs[p], p))
            merges.append(f"{a} {b}"); vocab.append(a + b)
            words = [(Tokenizer.merge(w, a, b), n) for w, n in words]
        vocab += [f"<|unused_{i}|>" for i in range(size - len(vocab))]      # a tiny corpus may run out of pairs
        return Tokenizer(vocab, merges)

    @staticmethod
    def merge(w, a, b):
        out, i = [], 0
        while i < len(w):
            if i + 1 < len(w) and w[i] == a and w[i + 1] == b: out.append(a + b); i += 2
            else: out.append(w[i]); i += 1
        return out

    def encode(self, text):
        out = []
        for word in self.SPLIT.findall(text):
            if word not in self.cut:
                w = [self.CHAR[b] for b in word.encode()]
                while len(w) > 1:
                    a, b = min(zip(w, w[1:]), key=lambda p: self.rank.get(p, 1 << 30))
                    if (a, b) not in self.rank: break
                    w = self.merge(w, a, b)
                self.cut[word] = [self.ids[t] for t in w]
            out += self.cut[word]
        return out

    def save(self, path):
        json.dump({"vocab": self.vocab, "merges": self.merges}, open(path, "w", encoding="utf8"), ensure_ascii=False)

    @staticmethod
    def load(path):
        j = json.load(open(path, encoding="utf8"))
        return Tokenizer(j["vocab"], j["merges"])


# ---- data --------------------------------------------------------------------------------------------------------------

def read_items(folder, domain, split):
    return [json.loads(line) for line in open(os.path.join(folder, f"{domain}.{split}.jsonl"), encoding="utf8")]


def encode_items(tok, items):
    """[(ids of prompt and answer, number of prompt ids)]"""
    out = []
    for it in items:
        p, a = tok.encode(it["prompt"]), tok.encode(it["answer"])
        out.append((np.array(p + a, dtype=np.int64), len(p)))
    return out


class Sampler:
    """Rows of packed documents: END doc END doc ... Domains are drawn by weight, documents uniformly."""
    def __init__(self, docs, seed):
        self.docs, self.rng, self.weight = docs, np.random.default_rng(seed), np.ones(len(docs)) / len(docs)

    def rows(self, n_row, length):
        """ids [n_row, length + 1], loss weight of each id as a target, domain of each id (-1: END, whose domain is unknowable)"""
        ids = np.zeros((n_row, length + 1), np.int64)
        weight = np.zeros((n_row, length + 1), np.float32)
        domain = np.full((n_row, length + 1), -1, np.int64)
        for r in range(n_row):
            at = 1
            while at <= length:
                d = int(np.searchsorted(self.weight.cumsum(), self.rng.random() * 0.999999))
                doc, n_prompt = self.docs[d][self.rng.integers(len(self.docs[d]))]
                n = min(len(doc), length + 1 - at)
                ids[r, at:at + n] = doc[:n]
                domain[r, at:at + n] = d
                weight[r, at:at + n] = PROMPT_WEIGHT
                weight[r, at + n_prompt:at + n + 1] = 1
                at += n + 1
        return torch.from_numpy(ids), torch.from_numpy(weight), torch.from_numpy(domain)

    def practise(self, ids, weight, domain, n_row):
        """Replaces the first rows by looking things up among random tokens: pairs of a key and two values, then the same
        pairs in another order, with the values to be predicted. Every fourth row just repeats a random sequence; its
        length varies, or attention by distance would do and nothing would be looked up."""
        for r in range(n_row):
            room = ids.shape[1] - 1
            token = self.rng.permutation(np.arange(1, VOCAB))
            row, w = np.zeros(room + 1, np.int64), np.zeros(room + 1, np.float32)
            if r % 4 == 3:
                n = int(self.rng.integers(6, room // 2))
                row[1:] = np.resize(token[:n], room)
                w[n + 2:] = 1
            else:
                # Some tokens stand between key and values, as in `cat": 3`; sometimes other ones when asked.
                told, asked = self.rng.integers(1, VOCAB, (2, self.rng.integers(0, 4)))
                if r % 4: asked = told
                n = room // (6 + len(told) + len(asked))
                key, value = token[:n], self.rng.choice(token[-10:], (n, 2))    # ten values: as ambiguous as digits
                pairs = [(i, told) for i in range(n)] + [(i, asked) for i in self.rng.permutation(n)]
                line = np.concatenate([[key[i], *fill, *value[i]] for i, fill in pairs])
                row[1:1 + len(line)] = line
                start = 1 + n * (3 + len(told))
                w[start:1 + len(line)] = np.tile([0] * (1 + len(asked)) + [1, 1], n)
            ids[r], weight[r], domain[r] = torch.from_numpy(row), torch.from_numpy(w), -1


# ---- model -------------------------------------------------------------------------------------------------------------

class Experts(torch.autograd.Function):
    """out[t] = sum over chosen e of gate * down_e(silu(gate_e x) * up_e x), one matrix product per expert over its tokens.

    By hand because autograd over a loop of 32 experts spends more time on bookkeeping than on arithmetic."""
    @staticmethod
    def forward(ctx, x, gates, chosen, gate_up, down):
        n, k = chosen.shape
        order = chosen.reshape(-1).argsort(stable=True)
        ends = torch.bincount(chosen.reshape(-1), minlength=EXPERTS).cumsum(0).tolist()
        spans = [(e, a, b) for e, (a, b) in enumerate(zip([0] + ends, ends)) if b > a]
        back = torch.empty_like(order); back[order] = torch.arange(n * k)
        token, g = order // k, gates.reshape(-1)[order, None]
        xs = x.index_select(0, token)
        both, y = x.new_empty(n * k, 2 * FF), x.new_empty(n * k, WIDTH)
        for e, a, b in spans: torch.mm(xs[a:b], gate_up[e].t(), out=both[a:b])
        act = F.silu(both[:, :FF])
        mid = act * both[:, FF:]
        for e, a, b in spans: torch.mm(mid[a:b], down[e].t(), out=y[a:b])
        ctx.save_for_backward(xs, both, act, mid, y, g, token, back, gate_up, down)
        ctx.spans, ctx.shape = spans, (n, k)
        return (y * g).index_select(0, back).view(n, k, WIDTH).sum(1)

    @staticmethod
    def backward(ctx, dout):
        xs, both, act, mid, y, g, token, back, gate_up, down = ctx.saved_tensors
        n, k = ctx.shape
        dy = dout.index_select(0, token)
        dgates = (dy * y).sum(1).index_select(0, back).view(n, k)
        dy *= g
        dmid, dboth, dxs = torch.empty_like(mid), torch.empty_like(both), torch.empty_like(xs)
        dgate_up, ddown = torch.zeros_like(gate_up), torch.zeros_like(down)
        for e, a, b in ctx.spans:
            torch.mm(dy[a:b], down[e], out=dmid[a:b])
            torch.mm(dy[a:b].t(), mid[a:b], out=ddown[e])
        gate, s = both[:, :FF], torch.sigmoid(both[:, :FF])
        torch.mul(dmid, act, out=dboth[:, FF:])
        torch.mul(dmid.mul_(both[:, FF:]), s * (1 + gate * (1 - s)), out=dboth[:, :FF])
        for e, a, b in ctx.spans:
            torch.mm(dboth[a:b], gate_up[e], out=dxs[a:b])
            torch.mm(dboth[a:b].t(), xs[a:b], out=dgate_up[e])
        return dxs.index_select(0, back).view(n, k, WIDTH).sum(1), dgates, None, dgate_up, ddown


def rope_table():
    angle = torch.outer(torch.arange(CONTEXT).float(), 10000.0 ** (-torch.arange(0, HEAD, 2).float() / HEAD))
    return torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)


COS, SIN = rope_table()


def rope(x):                                      # x [batch, head, token, HEAD]
    t, (a, b) = x.shape[2], x.chunk(2, -1)
    return x * COS[:t] + torch.cat([-b, a], -1) * SIN[:t]


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return F.rms_norm(x, (WIDTH,), self.weight, 1e-5)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn_norm, self.ffn_norm, self.q_norm, self.k_norm = (Norm() for _ in range(4))
        self.qkv = nn.Parameter(torch.randn(3 * WIDTH, WIDTH) * 0.04)
        self.o = nn.Parameter(torch.randn(WIDTH, WIDTH) * 0.04 / math.sqrt(2 * LAYERS))
        self.router = nn.Parameter(torch.randn(EXPERTS, WIDTH) * 0.04)
        self.gate_up = nn.Parameter(torch.randn(EXPERTS, 2 * FF, WIDTH) * 0.06)      # gate rows first
        self.down = nn.Parameter(torch.randn(EXPERTS, WIDTH, FF) * 0.09)                 # larger: the gates are small

    def attention(self, x, mask):
        n, t, _ = x.shape
        q, k, v = F.linear(self.attn_norm(x), self.qkv).chunk(3, -1)
        q, k, v = (y.view(n, t, HEADS, HEAD).transpose(1, 2) for y in (self.q_norm(q), self.k_norm(k), v))
        a = F.scaled_dot_product_attention(rope(q), rope(k), v, attn_mask=mask, is_causal=mask is None)
        return F.linear(a.transpose(1, 2).reshape(n, t, WIDTH), self.o)

    def route(self, h, kept):
        """h [token, WIDTH], kept [EXPERTS] bool or None -> logits of the kept (others -inf), probabilities, gates, choice.
        A dropped expert loses its router row: the softmax runs over the others only."""
        logit = F.linear(h, self.router)
        if kept is not None: logit = logit.masked_fill(~kept, float("-inf"))
        prob = logit.softmax(-1)
        return logit, prob, *prob.topk(CHOSEN, -1)

    def forward(self, x, kept=None, tap=None, mask=None):
        """x [batch, token, WIDTH]; mask as in Model.forward. tap(x, h, logit, prob, gates, chosen, out), if given, sees the expert step."""
        x = x + self.attention(x, mask)
        flat = x.reshape(-1, WIDTH)
        h = self.ffn_norm(flat)
        logit, prob, gates, chosen = self.route(h, kept)
        out = Experts.apply(h, gates, chosen, self.gate_up, self.down)
        if tap: tap(flat, h, logit, prob, gates, chosen, out)
        return x + out.view_as(x)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Parameter(torch.randn(VOCAB, WIDTH) * 0.04)
        self.block = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = Norm()
        self.head = nn.Parameter(torch.randn(VOCAB, WIDTH) * 0.04)

    def forward(self, ids, kept=None, tap=None, alone=False):
        """ids [batch, token] -> logits. kept [LAYERS, EXPERTS]; tap(layer, ...). alone: documents do not see each other."""
        mask = None
        if alone:
            doc = (ids == END).cumsum(1)                               # an END belongs to the document behind it
            mask = (doc[:, None, :, None] == doc[:, None, None, :]).tril()
        x = F.embedding(ids, self.embed)
        for i, b in enumerate(self.block):
            x = b(x, None if kept is None else kept[i], None if tap is None else lambda *a, i=i: tap(i, *a), mask)
        return F.linear(self.norm(x), self.head)


# ---- training ----------------------------------------------------------------------------------------------------------

def entropy(p):
    return -(p * (p + 1e-9).log()).sum(-1)


class RouterLoss:
    """Gathers the router's share of the loss over the layers of one forward pass."""
    def __init__(self, domain, target):
        seen = domain.unique(); seen = seen[seen >= 0]
        member = (domain[None] == seen[:, None]).float()               # [domain, token]
        self.member, self.target, self.parts = member / member.sum(1, keepdim=True), target, []

    def __call__(self, layer, x, h, logit, prob, gates, chosen, out):
        by_domain = self.member @ prob                                 # p(expert | domain)
        p = by_domain.mean(0)
        info = entropy(p) - entropy(by_domain).mean()                  # mutual information, nats
        load = torch.bincount(chosen.reshape(-1), minlength=EXPERTS) / chosen.numel()
        balance = EXPERTS * (load * prob.mean(0)).sum() - 1            # 0 when even (Switch)
        z = (logit.logsumexp(-1) ** 2).mean()
        self.parts.append(torch.stack([info, balance, z, (self.target - info).relu(), math.log(EXPERTS) - entropy(p)]))

    def total(self, o):
        info, balance, z, short, uneven = torch.stack(self.parts).mean(0)
        return o.info_weight * short + o.even_weight * uneven + o.balance_weight * balance + o.z_weight * z

    def info(self):
        return torch.stack(self.parts)[:, 0].mean().item()


class Crew:
    """The number of threads, for a machine shared with other work: two threads in lockstep crawl when one of them has to
    wait for its core, so after a slow step one thread goes on alone for a while."""
    def __init__(self, most):
        self.most, self.alone, self.usual, self.at = most, 0, None, None

    def next_step(self):
        now = time.time()
        if self.at and self.alone == 0:
            took = now - self.at
            if self.usual and took > 2.5 * self.usual: self.alone = 16
            else: self.usual = took if self.usual is None else 0.9 * self.usual + 0.1 * took
        elif self.alone: self.alone -= 1
        torch.set_num_threads(1 if self.alone else self.most)
        self.at = now


def random_kept(rng):
    """Some experts missing in every layer, a different handful each."""
    kept = torch.ones(LAYERS, EXPERTS, dtype=torch.bool)
    for layer in range(LAYERS): kept[layer, rng.permutation(EXPERTS)[:rng.integers(1, 9)]] = False
    return kept


def train(o):
    torch.manual_seed(o.seed); os.makedirs(o.out, exist_ok=True)
    rng = np.random.default_rng(o.seed)
    items = {d: read_items(o.data, d, "train") for d in DOMAINS}
    if o.resume: tok = Tokenizer.load(os.path.join(os.path.dirname(o.resume), "tokenizer.json"))
    else: tok = Tokenizer.train([it["text"] for d in DOMAINS for it in items[d][:5000]], VOCAB)
    tok.save(os.path.join(o.out, "tokenizer.json"))
    sampler = Sampler([encode_items(tok, items[d]) for d in DOMAINS], o.seed)
    valid = [encode_items(tok, read_items(o.data, d, "valid")[:o.valid]) for d in DOMAINS]
    log = open(os.path.join(o.out, "log.txt"), "a")

    def say(line):
        print(line, flush=True); print(line, file=log, flush=True)

    lengths = [np.mean([len(x) for x, _ in s]) for s in sampler.docs]
    say("tokens per document: " + " ".join(f"{d} {n:.1f}" for d, n in zip(DOMAINS, lengths)))
    model = Model()
    matrix = [p for p in model.parameters() if p.dim() >= 2]; vector = [p for p in model.parameters() if p.dim() < 2]
    opt = torch.optim.AdamW([{"params": matrix, "weight_decay": o.decay}, {"params": vector, "weight_decay": 0.0}],
                            lr=o.lr, betas=(0.9, 0.95), eps=1e-8, fused=True)
    if o.resume: model.load_state_dict(torch.load(o.resume)["model"])
    start, step, done, ce_mean = time.time(), 0, 0.0, None
    crew = Crew(o.threads)
    while done < 1:
        crew.next_step()
        # The schedule follows the steps, or the clock where a time limit is given.
        done = (time.time() - start) / (60 * o.minutes) if o.minutes else (step + 1) / o.steps
        lr = o.lr * min(1, (step + 1) / o.warmup) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1, done))))
        for g in opt.param_groups: g["lr"] = lr
        # Mostly short rows whose documents are alone, as in use; every fourth step fills the context with documents that
        # see each other, so that all positions are trained.
        length = CONTEXT if step % 4 == 3 else 64
        ids, weight, domain = sampler.rows(o.batch // length, length)
        # Looking up is a skill that most domains need and none teaches densely: it is practised first.
        share = o.practice if done < 0.25 else o.practice / 3 if done < 0.7 else 0
        if length < CONTEXT: sampler.practise(ids, weight, domain, int(share * len(ids)))
        loss = RouterLoss(domain[:, :-1].reshape(-1), o.target)
        kept = random_kept(rng) if rng.random() < o.drop else None
        logit = model(ids[:, :-1], kept, loss, alone=length < CONTEXT)
        w = weight[:, 1:].reshape(-1)
        ce = (F.cross_entropy(logit.reshape(-1, VOCAB), ids[:, 1:].reshape(-1), reduction="none") * w).sum() / w.sum()
        opt.zero_grad(set_to_none=True)
        (ce + loss.total(o)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        step += 1
        ce_mean = ce.item() if ce_mean is None else 0.98 * ce_mean + 0.02 * ce.item()
        if step % 50 == 0:
            look_up = ""
            if length < CONTEXT and share:
                n = int(share * len(ids)); asked = weight[:n, 1:] > 0
                look_up = f" practice {(logit[:n].argmax(-1) == ids[:n, 1:])[asked].float().mean():.2f}"
            t = time.time() - start
            say(f"step {step} {t:.0f} s {step * o.batch / t:.0f} tok/s loss {ce_mean:.4f} info {loss.info():.3f} lr {lr:.5f}" + look_up)
        if step % o.every == 0 or done >= 1:
            em = [exact_match(model, v) for v in valid]
            say("  valid " + " ".join(f"{d} {x:.3f}" for d, x in zip(DOMAINS, em)))
            sampler.weight = np.array([0.25 + 1 - x for x in em])      # harder domains are drawn more often
            sampler.weight /= sampler.weight.sum()
            part = os.path.join(o.out, "checkpoint.part")
            torch.save({"model": model.state_dict(), "step": step, "loss": ce_mean, "seconds": time.time() - start}, part)
            os.replace(part, os.path.join(o.out, "checkpoint.pt"))
            crew.at = None                                             # validation is no slow step


# ---- measuring ---------------------------------------------------------------------------------------------------------

def pad(docs):
    """ids [doc, longest + 2]: END, document, END ... Padding on the right is invisible to a causal model."""
    ids = torch.zeros(len(docs), max(len(x) for x, _ in docs) + 2, dtype=torch.long)
    for i, (x, _) in enumerate(docs): ids[i, 1:1 + len(x)] = torch.from_numpy(x)
    return ids


@torch.no_grad()
def exact_match(model, docs, kept=None):
    """Share of documents whose greedy answer, closing END included, is right.

    All answer tokens are predicted from the right prefix at once. As soon as one is wrong the greedy answer is wrong,
    and as long as all are right the prefixes are the greedy ones: the result is the same as generating."""
    right = 0
    for at in range(0, len(docs), 100):
        part = docs[at:at + 100]
        ids = pad(part)
        best = model(ids[:, :-1], kept).argmax(-1)
        for i, (x, n_prompt) in enumerate(part):
            span = slice(n_prompt, len(x) + 1)                         # logits at position p predict ids[p + 1]
            right += bool((best[i, span] == ids[i, 1:][span]).all())
    return right / len(docs)


@torch.no_grad()
def usage(model, docs):
    """[LAYERS, EXPERTS]: share of the choices of the documents' tokens (END excluded)."""
    ids = pad(docs)[:, :-1]
    real = torch.zeros_like(ids, dtype=torch.bool)
    for i, (x, _) in enumerate(docs): real[i, 1:1 + len(x)] = True
    count = torch.zeros(LAYERS, EXPERTS)

    def tap(layer, x, h, logit, prob, gates, chosen, out):
        count[layer] += torch.bincount(chosen[real.reshape(-1)].reshape(-1), minlength=EXPERTS)
    model(ids, None, tap)
    return count / count.sum(1, keepdim=True)


@torch.no_grad()
def importance(model, docs):
    """EASY-EP and frequency scores [LAYERS, EXPERTS] from demonstrations, END of the beginning included.

    EASY-EP: sum over tokens of max(0, 1 - cos(r, r + R)) * gate * |expert output|, r the residual, R what the experts add."""
    easy, freq = torch.zeros(LAYERS, EXPERTS), torch.zeros(LAYERS, EXPERTS)

    def tap(layer, x, h, logit, prob, gates, chosen, out):
        b = model.block[layer]
        gate, up = torch.einsum("td,efd->tef", h, b.gate_up).chunk(2, -1)
        norm = torch.einsum("tef,edf->ted", F.silu(gate) * up, b.down).norm(dim=-1).gather(1, chosen)
        change = (1 - F.cosine_similarity(x, x + out, dim=-1)).clamp(min=0)
        easy[layer].index_add_(0, chosen.reshape(-1), (change[:, None] * gates * norm).reshape(-1))
        freq[layer] += torch.bincount(chosen.reshape(-1), minlength=EXPERTS)
    for x, _ in docs: model(torch.from_numpy(np.concatenate([[END], x]))[None], None, tap)
    return easy, freq


def keep_best(score, n):
    kept = torch.zeros(score.shape, dtype=torch.bool)
    return kept.scatter_(1, score.topk(n, 1).indices, True)


def evaluate(o):
    tok, model, ck = load(o)
    if o.type == "Q8_0": dequantise(model)
    docs = {s: [encode_items(tok, read_items(o.data, d, s)) for d in DOMAINS] for s in ("test", "demos")}
    use = torch.stack([usage(model, docs["test"][i][:100]) for i in range(len(DOMAINS))])      # [domain, layer, expert]
    mix = use.mean(0)
    result = {"step": ck["step"], "train_loss": round(ck["loss"], 4), "train_seconds": round(ck["seconds"]), "weights": o.type,
              "items_per_domain": min(o.items, len(docs["test"][0])),
              "mutual_information_nats": [round(x, 3) for x in (entropy(mix) - entropy(use).mean(0)).tolist()],
              "load_min_max": [[round(m.min().item() * EXPERTS, 2), round(m.max().item() * EXPERTS, 2)] for m in mix],
              "domain": {}}
    for i, d in enumerate(DOMAINS):
        test = docs["test"][i][:o.items]
        easy, freq = importance(model, docs["demos"][i][:10])
        rand = [exact_match(model, test, keep_best(torch.rand(LAYERS, EXPERTS, generator=torch.Generator().manual_seed(s)),
                                                   EXPERTS // 2)) for s in range(5)]
        row = {"all": exact_match(model, test), "easy_ep_half": exact_match(model, test, keep_best(easy, EXPERTS // 2)),
               "freq_half": exact_match(model, test, keep_best(freq, EXPERTS // 2)), "random_half_median": sorted(rand)[2],
               "easy_ep_quarter": exact_match(model, test, keep_best(easy, EXPERTS // 4)),
               "freq_quarter": exact_match(model, test, keep_best(freq, EXPERTS // 4)),
               # How many experts cover nine tenths of the domain's choices, and how much its busiest 16 cover; mean of layers.
               "experts_for_90_percent": ((use[i].sort(1, descending=True).values.cumsum(1) < 0.9).sum(1) + 1).float().mean().item(),
               "share_of_top_half": use[i].topk(EXPERTS // 2, 1).values.sum(1).mean().item()}
        result["domain"][d] = {k: round(v, 3) for k, v in row.items()}
        print(f"{d:11}", result["domain"][d], flush=True)
    print({k: v for k, v in result.items() if k != "domain"})
    json.dump(result, open(os.path.join(o.out, "result.json"), "w"), indent=1)


# ---- files -------------------------------------------------------------------------------------------------------------

def load(o):
    tok = Tokenizer.load(os.path.join(o.out, "tokenizer.json"))
    ck = torch.load(os.path.join(o.out, "checkpoint.pt"))
    model = Model(); model.load_state_dict(ck["model"]); model.eval()
    return tok, model, ck


def tensors(model):
    """(GGUF name, weight as a view into the model's parameter), in file order."""
    yield "token_embd.weight", model.embed
    for i, b in enumerate(model.block):
        at = f"blk.{i}."
        yield at + "attn_norm.weight", b.attn_norm.weight
        for j, name in enumerate(("attn_q", "attn_k", "attn_v")): yield at + name + ".weight", b.qkv[j * WIDTH:(j + 1) * WIDTH]
        yield at + "attn_q_norm.weight", b.q_norm.weight
        yield at + "attn_k_norm.weight", b.k_norm.weight
        yield at + "attn_output.weight", b.o
        yield at + "ffn_norm.weight", b.ffn_norm.weight
        yield at + "ffn_gate_inp.weight", b.router
        yield at + "ffn_gate_exps.weight", b.gate_up[:, :FF]
        yield at + "ffn_up_exps.weight", b.gate_up[:, FF:]
        yield at + "ffn_down_exps.weight", b.down
    yield "output_norm.weight", model.norm.weight
    yield "output.weight", model.head


def stays_f32(name):
    return "norm" in name or "gate_inp" in name


@torch.no_grad()
def dequantise(model):
    """Replaces the weights by what a reader of the Q8_0 file sees."""
    import gguf
    q8 = gguf.GGMLQuantizationType.Q8_0
    for name, w in tensors(model):
        if not stays_f32(name): w.copy_(torch.from_numpy(gguf.dequantize(gguf.quantize(w.contiguous().numpy(), q8), q8)))


@torch.no_grad()
def export(o):
    import gguf
    tok, model, _ = load(o)
    kind = {"F16": gguf.GGMLQuantizationType.F16, "Q8_0": gguf.GGMLQuantizationType.Q8_0}[o.type]
    w = gguf.GGUFWriter(o.gguf, "olmoe")
    w.add_name("council")
    w.add_description("Demonstration mixture of experts for witan: eight synthetic domains with checkable answers")
    w.add_license("MIT")
    w.add_file_type({"F16": 1, "Q8_0": 7}[o.type])
    w.add_quantization_version(2)
    w.add_context_length(CONTEXT); w.add_embedding_length(WIDTH); w.add_block_count(LAYERS); w.add_feed_forward_length(FF)
    w.add_head_count(HEADS); w.add_head_count_kv(HEADS); w.add_layer_norm_rms_eps(1e-5); w.add_rope_freq_base(10000.0)
    w.add_expert_count(EXPERTS); w.add_expert_used_count(CHOSEN)
    w.add_tokenizer_model("gpt2"); w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tok.vocab); w.add_token_types([3] + [5 if t.startswith("<|unused") else 1 for t in tok.vocab[1:]])
    w.add_token_merges(tok.merges)
    w.add_bos_token_id(END); w.add_eos_token_id(END); w.add_add_bos_token(True)
    for name, p in tensors(model):
        data = p.contiguous().numpy()
        if stays_f32(name): w.add_tensor(name, data.astype(np.float32))
        elif o.type == "F16": w.add_tensor(name, data.astype(np.float16))
        else: w.add_tensor(name, gguf.quantize(data, kind), raw_dtype=kind)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("do", choices=["train", "export", "evaluate"])
    ap.add_argument("--data", help="folder of DOMAIN.SPLIT.jsonl")
    ap.add_argument("--out", default="run", help="folder of tokenizer, checkpoint and log")
    ap.add_argument("--gguf", default="council.gguf", help="export: file to write")
    ap.add_argument("--type", default="Q8_0", choices=["Q8_0", "F16"], help="export: block type; evaluate: F16 leaves weights alone")
    ap.add_argument("--items", type=int, default=250, help="evaluate: test items per domain")
    ap.add_argument("--steps", type=int, default=4000)
    ap.add_argument("--minutes", type=float, default=0, help="let the schedule follow the clock instead of --steps")
    ap.add_argument("--batch", type=int, default=2048, help="tokens per step")
    ap.add_argument("--lr", type=float, default=1.5e-3)
    ap.add_argument("--warmup", type=int, default=100)
    ap.add_argument("--decay", type=float, default=0.1)
    ap.add_argument("--target", type=float, default=0.8, help="wanted mutual information of expert and domain, nats")
    ap.add_argument("--info-weight", type=float, default=0.1)
    ap.add_argument("--even-weight", type=float, default=0.1)
    ap.add_argument("--balance-weight", type=float, default=0.01)
    ap.add_argument("--z-weight", type=float, default=0.0005)
    ap.add_argument("--drop", type=float, default=0.1, help="share of steps with a few experts missing")
    ap.add_argument("--practice", type=float, default=0.5, help="share of the short rows that practise looking up, in the first quarter")
    ap.add_argument("--resume", help="start from the weights of this checkpoint and the tokenizer beside it")
    ap.add_argument("--every", type=int, default=200, help="steps between validations")
    ap.add_argument("--valid", type=int, default=100, help="validation items per domain")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--threads", type=int, default=2)
    o = ap.parse_args()
    torch.set_num_threads(o.threads)
    {"train": train, "export": export, "evaluate": evaluate}[o.do](o)


if __name__ == "__main__":
    main()
