#!/bin/sh
# witan train from outside: configurations, run folders, killed and resumed at random moments, interrupted, damaged, full disks.
# Usage: tests/cli_train.sh build/witan
. "$(dirname "$0")/tap.sh"

"$W" data synth "$T/d" --seed 3 --train 120 --valid 6 --test 1 --demos 0 --domains json,units,sets -q >/dev/null || { echo "not ok 1 - data synth"; exit 1; }
"$W" data tokenizer "$T/d/all.train.jsonl" -o "$T/vocab.gguf" --vocab 400 -q >/dev/null || { echo "not ok 1 - data tokenizer"; exit 1; }
cat >"$T/c.json" <<EOC
{"about": "small enough to be killed often", "tokenizer": "$T/vocab.gguf", "arch": "qwen3moe", "n_layer": 2, "d_model": 48, "n_head": 4, "n_head_kv": 2,
 "d_head": 12, "n_exp": 6, "n_used": 2, "d_ff_exp": 32, "n_ctx": 64, "tied": true, "data": ["$T/d/all.train.jsonl"], "valid": "$T/d/all.valid.jsonl",
 "pack": "documents", "batch": 8, "accumulate": 2, "steps": 120, "warmup": 10, "lr": 0.003, "schedule": "wsd", "log_every": 3, "valid_every": 25,
 "checkpoint_every": 7, "valid_rows": 2, "optim": "muon", "ema": 0.9, "balance": ["aux:alpha=0.01", "z-loss", "bias-free"]}
EOC

# The log without what a clock says.
log() { sed 's/,"seconds".*//' "$1/log.jsonl"; }
same() {   # NAME DIR: the same models and the same log as the run that nobody disturbed
    bad=""
    cmp -s "$T/whole/model.gguf" "$2/model.gguf" || bad="model.gguf differs"
    cmp -s "$T/whole/model-ema.gguf" "$2/model-ema.gguf" || bad="$bad; model-ema.gguf differs"
    log "$T/whole" >"$T/a"; log "$2" >"$T/b"
    cmp -s "$T/a" "$T/b" || bad="$bad; the log differs: $(diff "$T/a" "$T/b" | head -n 3)"
    [ -z "$(ls "$2" | grep -F .tmp.)" ] || bad="$bad; left over: $(ls "$2" | grep -F .tmp.)"
    result "$([ -z "$bad" ]; echo $?)" "$1" "$bad"
}

"$W" train "$T/c.json" -o "$T/whole" -q --json >"$T/out.json" 2>"$T/err"; got=$?
result "$got" "a run from a configuration" "$(cat "$T/err")"
bad=$(python3 - "$T" <<'EOP' 2>&1
import json, os, sqlite3, sys
import xml.etree.ElementTree as E
t = sys.argv[1]
out, run = json.load(open(t + "/out.json")), t + "/whole"
log = [json.loads(line) for line in open(run + "/log.jsonl")]
if out["steps"] != 120 or out["tokens"] != 120 * 8 * 64 or not out["loss"] < log[0]["loss"] - 0.3: print("result", out)
steps = [o["step"] for o in log]
if steps != sorted(set(steps)) or not {3, 25, 99, 120} <= set(steps): print("steps", steps)
for o in log:
    if len(o["layers"]) != 2 or not all(0 < l["load_entropy"] <= 1 and l["max_violation"] >= 0 for l in o["layers"]): print("layers", o)
if sum(sum(l) for l in log[-1]["load"]) != 2 * 2 * 8 * 64: print("load", log[-1]["load"])
db = sqlite3.connect(run + "/run.db")
if db.execute("select count(*), min(loss) from step").fetchone() != (len(log), min(o["loss"] for o in log)): print("table step")
if db.execute("select value from run where key = 'optim'").fetchone() != ("muon",): print("table run")
if db.execute("select sum(pairs) from load where step = 120").fetchone() != (2048,): print("table load")
if abs(db.execute("select loss from valid where step = 120 and domain = 'all'").fetchone()[0] - out["valid_loss"]) > 1e-9: print("table valid")
for name in "loss.svg", "load.svg": E.parse(run + "/" + name)
config = json.load(open(run + "/config.json"))
if config["d_model"] != 48 or config["clip"] != 1 or config["optim"] != "muon" or "out" in config: print("config", config)
kept = [f for f in os.listdir(run) if f.startswith("checkpoint-")]
if not 2 <= len(kept) <= 3: print("kept", kept)
EOP
)
result "$([ -z "$bad" ]; echo $?)" "log, database, plots, configuration and checkpoints agree" "$bad"
"$W" run "$T/whole/model.gguf" "Sort" -n 4 -q >"$T/out" 2>"$T/err"; result $? "what comes out runs" "$(cat "$T/err")"
"$W" train "$T/whole/config.json" -o "$T/again" -q -t 1 >/dev/null 2>"$T/err"
same "one thread, and the folder's own configuration: the same bits" "$T/again"

# ---- killed, twenty times, wherever that is
kills=0
mkdir "$T/killed"
begin=$(date +%s%N)
"$W" train "$T/c.json" -o "$T/time" -q >/dev/null 2>&1
whole=$((($(date +%s%N) - begin) / 1000000))             # milliseconds of a whole run
for pause in $(python3 -c "import random; r = random.Random(5); print(*(round(r.random() * $whole / 10000, 4) for i in range(20)))"); do   # seconds
    "$W" train "$T/c.json" -o "$T/killed" --resume -q >/dev/null 2>"$T/err" &
    pid=$!
    sleep "$pause"
    kill -KILL $pid 2>/dev/null && kills=$((kills + 1))
    wait $pid 2>/dev/null
    [ ! -s "$T/err" ] || grep -v 'no checkpoint yet' "$T/err" | sed 's/^/# /'
done
"$W" train "$T/c.json" -o "$T/killed" --resume -q >/dev/null 2>"$T/err"; got=$?
result "$got" "resumed after $kills kills" "$(cat "$T/err")"
same "killed at 20 random moments: the same bits" "$T/killed"

# ---- interrupted
"$W" train "$T/c.json" -o "$T/int" -q >"$T/out" 2>"$T/err" &
pid=$!
until ls "$T/int" 2>/dev/null | grep -q checkpoint-; do sleep 0.02; done
kill -INT $pid; wait $pid; got=$?
[ $got = 130 ] || [ $got = 0 ]; result $? "Ctrl-C ends with 130" "status $got: $(cat "$T/err")"
"$W" train "$T/c.json" -o "$T/int" --resume -q >/dev/null 2>"$T/err"
same "interrupted and resumed: the same bits" "$T/int"

# ---- wrong use
refuse 1 "holds a run of 120 steps already: --resume goes on" "a folder with a run is not overwritten" "$W" train "$T/c.json" -o "$T/whole"
refuse 1 "lr was 0.003 and is 0.1" "changed options are named" "$W" train "$T/c.json" -o "$T/whole" --resume --lr 0.1 --batch 4
refuse 1 "batch was 8 and is 4" "each of them" "$W" train "$T/c.json" -o "$T/whole" --resume --lr 0.1 --batch 4
refuse 1 "120 steps are done already, 60 are asked for" "fewer steps than are done" "$W" train "$T/c.json" -o "$T/whole" --resume --steps 60
echo '{"d_modle": 3}' >"$T/bad.json"
refuse 2 'unknown option "d_modle"; did you mean "d-model"?' "a mistyped member has a nearest name" "$W" train "$T/bad.json" -o "$T/x"
refuse 2 'lr' "a member out of range" sh -c "echo '{\"lr\": 1000}' >\"$T/bad.json\"; \"$W\" train \"$T/bad.json\" -o \"$T/x\""
refuse 1 "not valid JSON" "a configuration that is no JSON" "$W" train "$T/d/all.train.jsonl" -o "$T/x"
refuse 1 'did you mean "muon"' "a mistyped rule" "$W" train "$T/c.json" -o "$T/x1" --optim moun
refuse 1 "does not fall into" "micro-batches that do not divide the batch" "$W" train "$T/c.json" -o "$T/x2" --accumulate 3
refuse 2 "--out DIR is missing" "no folder" "$W" train "$T/c.json"
refuse 1 "n_used 9 of n_exp 6" "more experts used than there are" "$W" train "$T/c.json" -o "$T/x3" --n-used 9
"$W" train "$T/c.json" -o "$T/early" --data "$T/none.jsonl" -q >/dev/null 2>&1   # leaves a fresh model and no checkpoint
"$W" train "$T/c.json" -o "$T/early" --d-model 24 --d-head 6 --steps 2 -q >/dev/null 2>"$T/err" && "$W" inspect "$T/early/model.gguf" | grep -q 'width 24'
result $? "a fresh model of other options is not gone on with" "$(cat "$T/err")"
: >"$T/empty.jsonl"
refuse 1 "empty.jsonl" "empty data" "$W" train "$T/c.json" -o "$T/x4" --data "$T/empty.jsonl"

# ---- for transformers (tools/oracle/check_hf.py compares logits and ids with theirs)
"$W" train "$T/c.json" -o "$T/plain" --steps 4 --balance aux --decay-steps 1 -q >/dev/null 2>"$T/err" && "$W" convert "$T/plain/model.gguf" "$T/hf" --to hf --type F16 --split 40K -q >/dev/null 2>>"$T/err"
bad=$(python3 - "$T/hf" <<'EOP' 2>&1
import json, os, struct, sys
d = sys.argv[1]
config, index = json.load(open(d + "/config.json")), json.load(open(d + "/model.safetensors.index.json"))
seen, total = {}, 0
for f in sorted(set(index["weight_map"].values())):
    raw = open(os.path.join(d, f), "rb").read()
    n, = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8:8 + n])
    at = 0
    if (8 + n) % 64: print(f, "data is not aligned")
    for name, t in head.items():
        if name == "__metadata__": continue
        size = 2
        for k in t["shape"]: size *= k
        if t["data_offsets"] != [at, at + size] or t["dtype"] != "F16" or index["weight_map"][name] != f: print(f, name, t)
        at += size
        seen[name] = t["shape"]
    if at != len(raw) - 8 - n: print(f, "has", len(raw) - 8 - n - at, "bytes behind")
    total += at
if total != index["metadata"]["total_size"] or set(seen) != set(index["weight_map"]): print("index")
want = {"model.embed_tokens.weight": [400, 48], "model.layers.1.self_attn.k_proj.weight": [24, 48], "model.layers.0.mlp.experts.5.down_proj.weight": [48, 32],
        "model.layers.0.mlp.gate.weight": [6, 48], "model.layers.1.self_attn.q_norm.weight": [12]}
for name, shape in want.items():
    if seen.get(name) != shape: print(name, seen.get(name))
if len(seen) != 2 + 2 * (9 + 6 * 3) or "lm_head.weight" in seen: print(len(seen), "tensors")
if config["model_type"] != "qwen3_moe" or config["num_experts"] != 6 or config["num_experts_per_tok"] != 2 or not config["norm_topk_prob"]: print(config)
tok = json.load(open(d + "/tokenizer.json"))
if len(tok["model"]["vocab"]) != 400 or len(tok["model"]["merges"]) < 100: print("vocabulary")
EOP
)
result "$([ -z "$bad" ]; echo $?)" "a folder for transformers" "$bad$(cat "$T/err")"

# ---- damage
cp -r "$T/whole" "$T/hurt"; rm "$T/hurt"/model*.gguf
newest=$(ls "$T/hurt" | grep checkpoint- | tail -n 1)
python3 -c "
import sys
f = open(sys.argv[1], 'r+b'); f.seek(5000); b = f.read(1); f.seek(5000); f.write(bytes([b[0] ^ 1]))" "$T/hurt/$newest"
"$W" train "$T/c.json" -o "$T/hurt" --resume >/dev/null 2>"$T/err"; got=$?
grep -q "$newest: is damaged.*going on from the one before" "$T/err"; result $((got + $?)) "a damaged checkpoint is passed over, with a warning" "$(cat "$T/err")"
same "and the run ends with the same bits" "$T/hurt"
for f in "$T"/hurt/checkpoint-*; do head -c 3000 "$f" >"$T/short"; cp "$T/short" "$f"; done
refuse 1 "every checkpoint is damaged" "where all are, it is an error" "$W" train "$T/c.json" -o "$T/hurt" --resume -q
refuse 1 "is not finite" "no numbers any more" "$W" train "$T/c.json" -o "$T/nan" -q --lr 100 --optim adamw:decay=10 --clip 0 --warmup 0 --schedule constant --init-std 10 --steps 2000
echo "1..$n"
