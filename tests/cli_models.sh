#!/bin/sh
# The commands that make, convert and measure models, as their user meets them. Prints TAP lines. Usage: tests/cli_models.sh build/witan
. "$(dirname "$0")/tap.sh"

check() { name=$1; shift; "$@"; result $? "$name"; }

# ---- synth
succeed "olmoe-1b-7b" "synth without a name lists what it knows" "$W" synth
refuse 2 "-o FILE is missing" "synth without an output" "$W" synth tiny-olmoe
refuse 1 'did you mean "tiny-olmoe"' "synth of a mistyped name" "$W" synth tiny-olme -o "$T/x.gguf"
refuse 1 "cannot be written" "synth in an unknown type" "$W" synth tiny-olmoe --type Q9 -o "$T/x.gguf"
succeed "random weights" "synth" "$W" synth tiny-olmoe --type Q8_0 -o "$T/s.gguf"
succeed '"dimensions"' "synth as JSON" "$W" synth tiny-mixtral --type F16 -o "$T/m.gguf" --json
succeed "experts      up to 8" "what synth writes can be inspected" "$W" inspect "$T/s.gguf"
for threads in 1 3; do
    mkdir "$T/$threads"
    (cd "$T/$threads" && WITAN_THREADS=$threads "$W" synth tiny-qwen2moe --type Q8_0 -o s.gguf >/dev/null 2>&1)
done
check "synth writes the same bytes with any number of threads" cmp -s "$T/1/s.gguf" "$T/3/s.gguf"
check "no output was left by failures" test ! -e "$T/x.gguf"

# ---- dense models
succeed "random weights" "synth of a dense model" "$W" synth tiny-llama --type Q4_0 -o "$T/dense.gguf"
succeed "a dense model" "inspect says that a model is dense" "$W" inspect "$T/dense.gguf"
printf '{"text":"one two three"}\n{"text":"four five six"}\n' >"$T/demos.jsonl"
refuse 1 "is dense" "a plan for a dense model" "$W" specialize "$T/dense.gguf" --demos "$T/demos.jsonl" --save-plan "$T/plan.json"
check "no plan was written" test ! -e "$T/plan.json"

# ---- convert
refuse 2 "expected --type" "convert to nothing" "$W" convert "$M" "$T/c.gguf"
refuse 2 "expected a size" "convert with a split that is no size" "$W" convert "$M" "$T/c.gguf" --split many
refuse 1 "cannot be written" "convert to a type that cannot be written" "$W" convert "$M" "$T/c.gguf" --type IQ1_S
refuse 1 "is the model itself" "convert a model to itself" "$W" convert "$T/m.gguf" "$T/m.gguf" --type Q8_0
succeed "converted" "convert" "$W" convert "$M" "$T/c.gguf" --type Q5_0
succeed '"files": 1' "convert as JSON" "$W" convert "$M" "$T/c8.gguf" --type same --head F16 --json
succeed "a b c d" "a converted model answers" "$W" run "$T/c.gguf" 'Sort d b a c:' --temp 0
succeed "4 files" "convert to several files" "$W" convert "$M" "$T/p.gguf" --split 2M
first=$(ls "$T"/p-00001-of-*.gguf)
succeed "a b c d" "several files answer" "$W" run "$first" 'Sort d b a c:' --temp 0
refuse 1 "open the first" "the second of several files" "$W" run "$(ls "$T"/p-00002-of-*.gguf)" hello
rm -f "$(ls "$T"/p-00003-of-*.gguf)"
refuse 1 "cannot open" "a missing file of several" "$W" run "$first" hello

# ---- bench
refuse 2 "expected up to" "bench of words" "$W" bench "$M" -p many
succeed "tg4" "bench" "$W" bench "$M" -p 8 -n 4 -b 1,2 -r 2 -q
"$W" bench "$M" -p 8 -n 4 -b 1,2 -r 2 -t 2 -q --json >"$T/bench.jsonl"
check "bench as JSON lines" python3 - "$T/bench.jsonl" <<'PY'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
assert [(r["test"], r["batch"]) for r in rows] == [("pp8", 1), ("pp8", 2), ("tg4", 1), ("tg4", 2)], rows
for r in rows:
    assert r["threads"] == 2 and 0 < r["min"] <= r["median"] <= r["max"], r
    assert abs(r["share"] - r["median"] / r["limit"]) < 1e-4 * r["share"], r
PY

# ---- stopping
"$W" synth mixtral-8x7b --type Q8_0 -o "$T/big.gguf" 2>/dev/null >/dev/null & pid=$!
sleep 0.7; kill -INT $pid; wait $pid; status=$?
check "an interrupted synth exits with 130" test $status = 130
check "and leaves nothing" test "$(ls "$T" | grep -c big)" = 0
echo "1..$n"
