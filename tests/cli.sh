#!/bin/sh
# The command as its user meets it: exit statuses, messages, streams, bad input. Prints TAP lines. Usage: tests/cli.sh build/witan
. "$(dirname "$0")/tap.sh"

"$W" data synth "$T/data" --seed 3 --train 5 --valid 5 --test 12 --demos 6 >/dev/null 2>&1 || { echo "not ok 1 - data synth"; exit 1; }
D=$T/data/json.demos.jsonl
sum=$(sha256sum "$M")

# ---- help and usage
succeed "specialize" "overview lists the commands" "$W" --help
succeed "witan 0." "version" "$W" --version
for c in specialize run eval profile inspect tokenize data methods; do
    succeed "Example:" "help of $c has an example" "$W" $c --help
    succeed "Usage: witan $c" "help $c works too" "$W" help $c
done
refuse 2 'did you mean "inspect"' "mistyped command" "$W" inspekt x
refuse 2 "did you mean --keep" "mistyped option" "$W" specialize "$M" --keeep 0.5
refuse 2 "expects a value" "option without its value" "$W" run "$M" hello --temp
refuse 2 "outside [0, 1]" "option out of range" "$W" run "$M" hello --top-p 1.5
refuse 2 "not a whole number" "option of the wrong kind" "$W" run "$M" hello -n many
refuse 2 "one argument too many" "too many arguments" "$W" inspect a b
refuse 2 "--demos FILE is missing" "specialize without demonstrations" "$W" specialize "$M" -o "$T/new.gguf"
refuse 2 "expected --text, --jsonl or --task" "eval without anything to measure" "$W" eval "$M"
refuse 2 "expected --data" "profile without anything to read" "$W" profile "$M"

# ---- files that are not models
refuse 1 "cannot open" "model that does not exist" "$W" run "$T/none.gguf" hello
refuse 1 "is a folder" "model that is a folder" "$W" run "$T" hello
: >"$T/empty.gguf"
refuse 1 "empty" "model of zero bytes" "$W" run "$T/empty.gguf" hello
head -c 300000 "$M" >"$T/cut.gguf"
refuse 1 "truncated" "model cut in the middle" "$W" run "$T/cut.gguf" hello
head -c 20 "$M" >"$T/cut.gguf"
refuse 1 "ends inside" "model cut in its header" "$W" inspect "$T/cut.gguf"
printf 'GGUF\003\000\000\000\377\377\377\377\377\377\377\377\001\000\000\000\000\000\000\000' >"$T/absurd.gguf"
refuse 1 "claims" "model that claims 2^64 tensors" "$W" run "$T/absurd.gguf" hello
refuse 1 "not a GGUF file" "model that is text" "$W" run "$root/README.md" hello

# ---- running
succeed "a b c d" "run answers" "$W" run "$M" 'Sort d b a c:' --temp 0
"$W" run "$M" 'Sort d b a c:' --temp 0 >"$T/a" 2>/dev/null; printf 'Sort d b a c:' | "$W" run "$M" --temp 0 >"$T/b" 2>/dev/null
result "$(cmp -s "$T/a" "$T/b"; echo $?)" "prompt from standard input gives the same text"
printf 'Sort d b a c:' >"$T/prompt"; "$W" run "$M" --file "$T/prompt" --temp 0 >"$T/b" 2>/dev/null
result "$(cmp -s "$T/a" "$T/b"; echo $?)" "prompt from a file gives the same text"
"$W" run "$M" 'In Velic,' --seed 5 -n 40 -t 1 >"$T/a" 2>/dev/null; "$W" run "$M" 'In Velic,' --seed 5 -n 40 -t 3 >"$T/b" 2>/dev/null
result "$(cmp -s "$T/a" "$T/b"; echo $?)" "same seed, same text, for any number of threads"
succeed '"tokens_per_second"' "run --json" "$W" run "$M" 'Sort d b a c:' --json
refuse 1 "expected a prompt in UTF-8" "prompt that is not UTF-8" "$W" run "$M" "$(printf 'ab\377')"
refuse 1 "the prompt has" "prompt longer than the context" "$W" run "$M" 'Sort d b a c e f g h:' --ctx 4
refuse 1 "cannot open" "prompt file that does not exist" "$W" run "$M" --file "$T/none"

# ---- tokens
succeed "[0, " "ids as a list" "$W" tokenize "$M" 'hello there' --ids
"$W" tokenize "$M" --ids --no-special --stdin <"$D" >"$T/ids"; "$W" tokenize "$M" --decode --file "$T/ids" >"$T/back"
result "$(cmp -s "$D" "$T/back"; echo $?)" "ids decode to the bytes they came from"
refuse 1 "outside [0, 512)" "id outside the vocabulary" "$W" tokenize "$M" --decode 512
V=$root/tests/gold/vocab-bpe.gguf
refuse 1 "witan-test" "a splitting rule that is unknown" "$W" tokenize "$V" hello
refuse 1 "--pre NAME" "what to do about it" "$W" tokenize "$V" hello
refuse 1 'nearest known name is "qwen2"' "a mistyped --pre" "$W" tokenize "$V" hello --pre qwen22
succeed "[" "--pre goes on" "$W" tokenize "$V" hello --pre qwen2 --ids
"$W" tokenize "$V" '12 x' --pre qwen2 >"$T/out" 2>"$T/err"; grep -q 'witan-test.*qwen2' "$T/err"
result $? "and says which rule is used instead of which"
"$W" tokenize "$root/tests/gold/vocab-spm.gguf" '  the fox' --ids --no-special >"$T/ids"
result "$([ "$("$W" tokenize "$root/tests/gold/vocab-spm.gguf" --decode --file "$T/ids")" = "  the fox" ]; echo $?)" "SentencePiece decodes to the text"

# ---- measuring
succeed "all" "eval prints a table" "$W" eval "$M" --task "$T/data/all.test.jsonl" --limit 3
succeed "mutual information" "profile prints a table" "$W" profile "$M" --data "$T/data/all.test.jsonl" -o "$T/profile.json"
succeed '"information_shuffled"' "profile --json" "$W" profile "$M" --data "$T/data/all.test.jsonl" --json
check "profile keeps the record" grep -q '"sum_g"' "$T/profile.json"
succeed '"accuracy"' "eval --json" "$W" eval "$M" --task "$T/data/sets.test.jsonl" --jsonl "$T/data/sets.test.jsonl" --json
"$W" eval "$M" --jsonl "$T/data/all.test.jsonl" --json -t 1 2>/dev/null | grep -v seconds >"$T/a"
"$W" eval "$M" --jsonl "$T/data/all.test.jsonl" --json -t 2 2>/dev/null | grep -v seconds >"$T/b"
result "$(cmp -s "$T/a" "$T/b"; echo $?)" "perplexity is the same for one thread and two"
refuse 1 "holds no document of domain" "domain that is not there" "$W" eval "$M" --jsonl "$D" --domain nothing
refuse 1 "is empty" "empty text" "$W" eval "$M" --text "$T/empty.gguf"

# ---- specializing
succeed "experts per layer" "specialize" "$W" specialize "$M" --demos "$D" --keep 0.5 -o "$T/half.gguf" --report "$T/r.html" --save-plan "$T/plan.json" \
    --eval "$T/data/all.test.jsonl" --eval-limit 5
result "$([ -s "$T/half.gguf" ] && grep -q '</html>' "$T/r.html"; echo $?)" "specialize leaves a model and a whole report"
"$W" specialize "$M" --demos "$D" --keep 0.5 -o "$T/half2.gguf" --save-plan "$T/plan2.json" --eval "$T/data/all.test.jsonl" --eval-limit 5 -t 1 >/dev/null 2>&1
result "$(cmp -s "$T/plan.json" "$T/plan2.json"; echo $?)" "same input, same plan, for any number of threads"
"$W" run "$M" 'Sort d b a c:' --plan "$T/plan.json" --temp 0 -n 8 >"$T/a" 2>/dev/null; "$W" run "$T/half.gguf" 'Sort d b a c:' --temp 0 -n 8 >"$T/b" 2>/dev/null
result "$(cmp -s "$T/a" "$T/b"; echo $?)" "wearing the plan gives the text of the written file"
succeed "16 experts" "inspect shows the experts that stayed" "$W" inspect "$T/half.gguf"
succeed "easy-ep" "inspect shows how the file was made" "$W" inspect "$T/half.gguf"
refuse 1 "cannot be written for family olmoe" "gate=keep in a file" "$W" specialize "$M" --demos "$D" --gate keep -o "$T/new.gguf"
succeed "Wear it with" "gate=keep as a plan alone" "$W" specialize "$M" --demos "$D" --gate keep --save-plan "$T/keep.json"
succeed "accuracy" "and worn" "$W" eval "$M" --plan "$T/keep.json" --task "$T/data/json.test.jsonl" --json
refuse 1 "made for another model" "plan made for another model" "$W" run "$T/half.gguf" hello --plan "$T/plan.json"
refuse 1 "but the router chooses 4" "ratio that leaves fewer experts than top-k" "$W" specialize "$M" --demos "$D" --keep 0.05 -o "$T/new.gguf"
printf '{"text": "half a line' >"$T/bad.jsonl"
refuse 1 "bad.jsonl:1" "demonstrations that are not JSON" "$W" specialize "$M" --demos "$T/bad.jsonl" -o "$T/new.gguf"
printf '{"prompt": "a question without answer"}\n' >"$T/bad.jsonl"
refuse 1 "bad.jsonl:1" "demonstrations of the wrong form" "$W" specialize "$M" --demos "$T/bad.jsonl" -o "$T/new.gguf"
printf '{"text": "\377"}\n' >"$T/bad.jsonl"
refuse 1 "bad.jsonl:1" "demonstrations that are not UTF-8" "$W" specialize "$M" --demos "$T/bad.jsonl" -o "$T/new.gguf"
printf '{"text": ""}\n' >"$T/bad.jsonl"
refuse 1 "too short" "demonstrations that are too short" "$W" specialize "$M" --demos "$T/bad.jsonl" -o "$T/new.gguf"
refuse 1 "no importance method" "score that does not exist" "$W" specialize "$M" --demos "$D" -o "$T/new.gguf" --score nonsense
refuse 1 "no/such/folder" "output in a folder that does not exist" "$W" specialize "$M" --demos "$D" -o "$T/no/such/folder/x.gguf"
refuse 1 "model itself" "output over the model" "$W" specialize "$M" --demos "$D" -o "$M"
if [ "$(id -u)" = 0 ] && mkdir "$T/disk" && mount -t tmpfs -o size=1m tmpfs "$T/disk" 2>/dev/null; then
    refuse 1 "No space left" "full disk" "$W" specialize "$M" --demos "$D" -o "$T/disk/new.gguf" -q
    result "$([ -z "$(ls "$T/disk")" ]; echo $?)" "nothing is left on the full disk" "$(ls "$T/disk")"
    umount "$T/disk"
else
    echo "ok $((n += 1)) - full disk # SKIP needs root and mount"
fi
"$W" inspect "$M" >/dev/full 2>"$T/err"; got=$?
result "$([ $got = 1 ] && grep -q 'cannot write' "$T/err"; echo $?)" "standard output that is full is a failure" "status $got"

# ---- interrupting: exit status 130, nothing left
"$W" specialize "$M" --demos "$T/data/all.train.jsonl" --eval "$T/data/all.test.jsonl" -o "$T/new.gguf" >/dev/null 2>"$T/err" & pid=$!
sleep 0.3; kill -INT $pid; wait $pid; got=$?
result "$([ $got = 130 ] && [ ! -e "$T/new.gguf" ]; echo $?)" "interrupt ends with 130 and leaves nothing" "status $got"

# ---- the library
example=$(dirname "$W")/tests/example
[ -x "$example" ] && succeed "a b c d" "the example program of the documentation works" "$example" "$M" 'Sort d b a c:'

succeed "easy-ep" "methods lists what the registry holds" "$W" methods
succeed "arXiv:2504.06792" "methods explains one with its source" "$W" methods easy-ep
refuse 1 'did you mean "easy-ep"' "mistyped method" "$W" methods easy-pe
result "$([ "$sum" = "$(sha256sum "$M")" ]; echo $?)" "the original model is untouched"
echo "1..$n"
