#!/bin/sh
# Making data, counting it, learning a vocabulary from it. Prints TAP lines. Usage: tests/cli_data.sh build/witan
. "$(dirname "$0")/tap.sh"

check() { name=$1; shift; "$@"; result $? "$name"; }

# ---- synth
"$W" data synth "$T/a" --train 60 --valid 4 --test 20 --demos 3 -q >/dev/null
check "fourteen domains, four splits, and all of them together" test "$(ls "$T/a" | wc -l)" = 60
"$W" data synth "$T/b" --train 60 --valid 4 --test 20 --demos 3 --domains json,graph -q >/dev/null
check "--domains writes only these" test "$(ls "$T/b" | wc -l)" = 12
check "and what a domain holds does not depend on the others" cmp -s "$T/a/json.train.jsonl" "$T/b/json.train.jsonl"
succeed "1 domains" "and says so" "$W" data synth "$T/b" --train 1 --valid 0 --test 0 --demos 0 --domains roman
"$W" data synth "$T/c" --train 60 --valid 4 --test 20 --demos 3 --difficulty-of graph=1 -q >/dev/null
check "--difficulty-of changes that domain" sh -c "! cmp -s '$T/a/graph.train.jsonl' '$T/c/graph.train.jsonl'"
check "and no other" cmp -s "$T/a/json.train.jsonl" "$T/c/json.train.jsonl"
"$W" data synth "$T/d" --train 60 --valid 4 --test 20 --demos 3 --difficulty 2 --book 2 -q >/dev/null
check "another book has other numbers" sh -c "! cmp -s '$T/a/phonebook.train.jsonl' '$T/d/phonebook.train.jsonl'"
check "to the same questions" python3 - "$T/a/phonebook.train.jsonl" "$T/d/phonebook.train.jsonl" <<'PY'
import json, sys
a, b = [[json.loads(l)["prompt"] for l in open(f)] for f in sys.argv[1:]]
assert a == b and len(a) == 60
PY
for level in 1 3; do
    "$W" data synth "$T/level$level" --train 200 --valid 10 --test 20 --demos 3 --difficulty $level -q >/dev/null
done
check "no question of one split is in another, whatever the difficulty" python3 - "$T" <<'PY'
import glob, json, sys
split = {}
for f in glob.glob(sys.argv[1] + "/*/*.jsonl"):
    for l in open(f):
        s = split.setdefault(json.loads(l)["prompt"], f.split(".")[-2])
        assert s == f.split(".")[-2], (f, l)
PY

# ---- stats
printf '{"domain":"x","text":"one"}\n{"domain":"x","text":"one"}\n{"text":"\377"}\n' >"$T/few.jsonl"
"$W" data stats "$T/few.jsonl" "$T/a/json.test.jsonl" --model "$M" --json >"$T/stats.json"
check "stats of two files" python3 - "$T/stats.json" <<'PY'
import json, sys
o = json.load(open(sys.argv[1]))
assert [d["domain"] for d in o["domains"]] == ["x", "few", "json"], o
x, few, j = o["domains"]
assert (x["documents"], x["bytes"], x["duplicates"]) == (2, 6, 1) and few["bad_utf8"] == 1 and few["documents"] == 0, o
assert j["documents"] == 20 and j["tokens"] > 100 and o["length_unit"] == "tokens" and o["documents"] == 22, o
PY
succeed "again" "stats as a table" "$W" data stats "$T/few.jsonl"
result "$([ "$(cat "$T/few.jsonl" | "$W" data stats - | tail -1 | cut -d' ' -f1)" = all ]; echo $?)" "stats of standard input"

# ---- tokenizer
for threads in 1 3; do (cd "$T" && WITAN_THREADS=$threads "$W" data tokenizer a/all.train.jsonl --vocab 500 -o v$threads.gguf -q >/dev/null; mv v$threads.gguf x$threads); done
"$W" data tokenizer "$T/a/all.train.jsonl" --vocab 500 --digits -o "$T/v.gguf" -q >/dev/null
check "a vocabulary can be inspected" sh -c "'$W' inspect '$T/v.gguf' | grep -q 500"
printf 'Compute 94 + 0 =\n\377 \303\251 caf\303\251  x' >"$T/text"
"$W" tokenize "$T/v.gguf" --ids --no-special --file "$T/text" >"$T/ids"; "$W" tokenize "$T/v.gguf" --decode --file "$T/ids" >"$T/back"
check "and gives any bytes back" cmp -s "$T/text" "$T/back"
succeed "[0, " "its begin token is the first special one" "$W" tokenize "$T/v.gguf" 'x' --ids
succeed "'1'" "digits are single" "$W" tokenize "$T/v.gguf" '100'
check "same tokens and merges for any number of threads" python3 - "$W" "$T/x1" "$T/x3" <<'PY'
import subprocess, sys
text = "Compute 94 + 0 = In Velic, the red bird"
a, b = [subprocess.run([sys.argv[1], "tokenize", f, text, "--ids"], capture_output=True).stdout for f in sys.argv[2:]]
assert a == b and len(a) > 10
PY
"$W" data tokenizer "$T/few.jsonl" -o "$T/bad.gguf" >/dev/null 2>"$T/err"; got=$?
result "$([ $got = 1 ] && grep -q 'few.jsonl:3: not UTF-8' "$T/err" && [ ! -e "$T/bad.gguf" ]; echo $?)" "bad text is refused with its line, and nothing is written"
printf '{"text":"ab ab"}\n' >"$T/poor.jsonl"
"$W" data tokenizer "$T/poor.jsonl" -o "$T/poor.gguf" >/dev/null 2>"$T/err"
result "$(grep -q 'has pairs for 258 of 4096 tokens only' "$T/err"; echo $?)" "text that is too poor for the vocabulary is named" "$(cat "$T/err")"
echo "1..$n"
