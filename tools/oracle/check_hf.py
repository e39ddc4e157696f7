"""Compares folders written by `witan convert --to hf` with the models they came from: transformers must give the logits and the token ids that witan
gives. Needs torch and transformers. Usage: check_hf.py BUILD [MODEL.gguf...]; without models tiny random ones of every family are made."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

build = os.path.abspath(sys.argv[1])
import libwitan

TEXT = "Sort d b a c: 17 plus 4's  result\nis {\"x\": 21}; die Straße, naïve \u4e2d\u6587 1234567"
program = os.path.join(build, "witan")
bad = 0
with tempfile.TemporaryDirectory() as folder:
    models = sys.argv[2:]
    if not models:
        for name in "tiny-olmoe", "tiny-qwen3moe", "tiny-qwen2moe", "tiny-mixtral", "tiny-llama", "tiny-qwen2", "tiny-qwen3":
            path = os.path.join(folder, name + ".gguf")
            subprocess.run([program, "synth", name, "-o", path, "-q"], check=True, stdout=subprocess.DEVNULL)
            models.append(path)
    for path in models:
        out = os.path.join(folder, os.path.basename(path) + "-hf")
        subprocess.run([program, "convert", path, out, "--to", "hf", "--type", "F32", "--split", "300K", "-q"], check=True, stdout=subprocess.DEVNULL)
        theirs, info = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, output_loading_info=True)
        ours = libwitan.Witan(os.path.join(build, "libwitan.so.0"), path)
        tok = AutoTokenizer.from_pretrained(out)
        ids = ours.encode(TEXT)
        same = tok(TEXT, add_special_tokens=False)["input_ids"] == list(ids) and tok.decode(ids) == TEXT
        ids = list(ids)[:48]
        with torch.no_grad():
            want = theirs(torch.tensor([ids])).logits[0, -1].numpy()
        got = ours.logits(ids)[-1]
        worst = np.abs(got - want).max() / np.abs(want).max()
        missing = [k for k in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(k)]
        fine = worst < 1e-4 and same and not missing
        bad += not fine
        print("%-44s logits differ by %.1e of the largest, ids %s%s  %s" % (os.path.basename(path), worst, "equal" if same else "DIFFER", "; " + str({k: list(info[k])[:3] for k in missing}) if missing else "", "ok" if fine else "BAD"))
sys.exit(bad != 0)
