"""Numbers for tests/test_optim.c: steps of torch.optim on small tensors, and of Muon in double. Needs torch (2.9 or newer for the comparison with its own
Muon, which iterates in bfloat16) and numpy. Prints C arrays; the inputs are the same simple formulas as in the test."""
import math

import numpy as np
import torch

ROWS, COLS, STEPS = 3, 5, 4


def weight(n, k=0):
    return np.array([math.sin(1.0 + 0.7 * (i + k)) for i in range(n)])


def gradient(n, t, k=0):
    return np.array([0.3 * math.cos(0.5 * (i + k) + 1.1 * t) for i in range(n)])


def show(name, x):
    print("static const double %s[] = { %s };" % (name, ", ".join("%.9g" % v for v in np.asarray(x).reshape(-1))))


def torch_run(make, shape):
    n = int(np.prod(shape))
    p = torch.nn.Parameter(torch.tensor(weight(n).reshape(shape), dtype=torch.float64))
    opt = make([p])
    for t in range(1, STEPS + 1):
        p.grad = torch.tensor(gradient(n, t).reshape(shape), dtype=torch.float64)
        opt.step()
    return p.detach().numpy()


def muon(shape, lr, decay, scale, momentum=0.95, rounds=5):
    n = int(np.prod(shape))
    w, m = weight(n).reshape(shape), np.zeros(shape)
    for t in range(1, STEPS + 1):
        g = gradient(n, t).reshape(shape)
        m = momentum * m + g
        x = g + momentum * m
        turned = shape[0] > shape[1]
        if turned:
            x = x.T
        x = x / (np.linalg.norm(x) + 1e-7)
        for _ in range(rounds):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        if turned:
            x = x.T
        factor = 0.2 * math.sqrt(max(shape)) if scale == "rms" else math.sqrt(max(1, shape[0] / shape[1]))
        w = w * (1 - lr * decay) - lr * factor * x
    return w


adamw = lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
show("adamw_matrix", torch_run(adamw, (ROWS, COLS)))
factor = lambda p: torch.optim.Adafactor(p, lr=1e-2, beta2_decay=-0.8, eps=(1e-30, 1e-3), d=1.0, weight_decay=0.0)
show("adafactor_matrix", torch_run(factor, (ROWS, COLS)))
show("adafactor_vector", torch_run(factor, (7,)))
show("muon_wide", muon((ROWS, COLS), 0.02, 0.1, "rms"))
show("muon_tall", muon((COLS, ROWS), 0.02, 0.1, "shape"))
theirs = torch_run(lambda p: torch.optim.Muon(p, lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw"), (ROWS, COLS))
print("/* torch.optim.Muon (bfloat16) differs from muon_wide by at most %.2g */" % np.abs(theirs - muon((ROWS, COLS), 0.02, 0.1, "rms")).max())
