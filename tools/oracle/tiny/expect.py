"""What transformers computes: logits, and the routing of the last token in every layer."""
import numpy as np, torch

CLEAR = 1e-4        # neighbours in the ranking of the experts are at least this far apart, so that rounding cannot swap them


def route(model, ids):
    """Logits [n, vocabulary], and of every layer with experts the router's probabilities, weights and choices [n, ...]."""
    seen = {}
    def keep(i): return lambda module, args, out: seen.update({i: (torch.softmax(out[0], -1), out[1], out[2])})
    hooks = [layer.mlp.gate.register_forward_hook(keep(i)) for i, layer in enumerate(model.model.layers) if hasattr(layer.mlp, "gate")]
    with torch.no_grad(): logits = model(torch.tensor([ids]), use_cache=False).logits[0]
    for h in hooks: h.remove()
    return logits, seen


def closest(f, seen):
    """The smallest distance between neighbours in the ranking, down to the first expert that was not chosen."""
    return min(((-torch.diff(p.sort(-1, descending=True).values[:, :f.n_used + 1])).min().item() for p, _, _ in seen.values()), default=1)


def last(found):
    """The last token's choices as JSON; empty where a layer has no experts."""
    if not found: return {"experts": [], "weights": []}
    _, weights, chosen = found
    return {"experts": chosen[-1].tolist(), "weights": [float(f"{x:.7g}") for x in weights[-1].tolist()]}


def expect(f, model, sequences):
    """The JSON part and the rows of logits; None if some choice is too close."""
    out, rows = [], []
    for ids, first in sequences:
        logits, seen = route(model, ids)
        if closest(f, seen) < CLEAR: return None
        rows.append(logits[first:].numpy())
        out.append({"ids": ids, "first": first, "routing": [last(seen.get(i)) for i in range(f.n_layer)]})
    return out, np.concatenate(rows)
