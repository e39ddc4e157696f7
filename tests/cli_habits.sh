#!/bin/sh
# Habits of the command that hold for all sub-commands: JSON, nearest names, terminals, signals, streams, typical mistakes.
# Usage: tests/cli_habits.sh build/witan
. "$(dirname "$0")/tap.sh"

"$W" data synth "$T/data" --seed 3 --train 400 --valid 0 --test 6 --demos 6 -q >/dev/null || { echo "not ok 1 - data synth"; exit 1; }
D=$T/data/json.demos.jsonl
G=$T/made
mkdir "$G"

# ---- JSON: one object indented, several a line each
json() {   # FIELDS name command...: every field is there, the whole is valid JSON (or lines of it)
    fields=$1; name=$2; shift 2
    "$@" >"$T/out.json" 2>"$T/err" </dev/null; got=$?
    bad=$(python3 - "$T/out.json" $fields <<'EOF' 2>&1
import json, sys
text = open(sys.argv[1]).read()
try:
    objects = [json.loads(text)]
    if len(text) > 100 and text.count("\n") < 3: print("one object, not indented")
except ValueError:
    objects = [json.loads(line) for line in text.splitlines()]
for o in objects:
    for field in sys.argv[2:]:
        if field not in o: print("no field", field)
if not objects: print("nothing printed")
EOF
)
    [ $got = 0 ] || bad="$bad; exit status $got: $(cat "$T/err")"
    result "$([ -z "$bad" ]; echo $?)" "$name" "$bad"
}
json "prompt text ids prompt_tokens tokens seconds seconds_prompt seconds_generate tokens_per_second" "run --json" "$W" run "$M" 'Sort d b a c:' --json
json "model perplexity accuracy domains" "eval --json" "$W" eval "$M" --jsonl "$T/data/all.test.jsonl" --task "$T/data/all.test.jsonl" --json
fields="model out report plan record score keep gate experts_before experts_after bytes_before bytes_after perplexity_before accuracy_after"
json "$fields" "specialize --json" "$W" specialize "$M" --demos "$D" -o "$G/m.gguf" --json
json "$fields" "specialize --json, a plan alone" "$W" specialize "$M" --demos "$D" --save-plan "$G/p.json" --json
json "file arch types model layers tensors" "inspect --json" "$W" inspect "$M" --json
json "text ids pieces tokens" "tokenize --json" "$W" tokenize "$M" 'Sort d b a c:' --json
json "text ids pieces tokens" "tokenize --decode --json" "$W" tokenize "$M" --decode '[1, 2, 300]' --json
json "text ids pieces tokens" "tokenize --json, bytes that are no text" sh -c "printf 'a\"]\377\n' | \"$W\" tokenize \"$M\" --stdin --json"
bad=$("$W" tokenize "$M" 'Sort d b a c:' --json | python3 -c 'import json, sys; print(*json.load(sys.stdin)["ids"])' 2>&1)
bad=$("$W" tokenize "$M" --decode "$bad" --json 2>&1 | python3 -c '
import json, sys
o = json.load(sys.stdin)
if not o["text"].endswith("Sort d b a c:") or o["text"] != "".join(o["pieces"]) or not o["tokens"] == len(o["ids"]) == len(o["pieces"]) > 4: print(o)' 2>&1)
result "$([ -z "$bad" ]; echo $?)" "ids in JSON decode to the text, its pieces make it up" "$bad"
json "dir seed difficulty book train domains" "data synth --json" "$W" data synth "$T/small" --train 1 --valid 0 --test 0 --demos 0 --json
json "documents bytes tokens duplicates bad_utf8 mean min p10 p50 p90 p99 max length_unit domains" "data stats --json" "$W" data stats "$D" --model "$M" --json
json "out vocab merges documents bytes words different_words forgotten_words tokens bytes_per_token seconds" "data tokenizer --json" \
    "$W" data tokenizer "$D" --vocab 300 -o "$G/v.gguf" --json
json "name kind title about paper options" "methods --json, a line each" "$W" methods --json
json "name kind title about paper options" "methods NAME --json" "$W" methods easy-ep --json
json "out files bytes_before bytes_after" "convert --json" "$W" convert "$M" "$G/c.gguf" --type F16 --json
json "out dimensions seconds" "synth --json" "$W" synth tiny-olmoe -o "$G/quote\"d.gguf" --json
json "dimensions" "synth --json, the list" "$W" synth --json
json "test median limit" "bench --json, a line each" "$W" bench "$M" -p 16 -n 4 -r 1 --json
json "level message" "a file name that is no text, in JSON" sh -c "! \"$W\" run \"$(printf 'no\377such')\" x --log json 2>&1"

# ---- stderr as JSON lines
"$W" specialize "$M" --demos "$D" -o "$G/l.gguf" --log json 2>"$T/err" >/dev/null
bad=$(python3 - "$T/err" <<'EOF' 2>&1
import json, sys
seen = set()
for line in open(sys.argv[1]):
    o = json.loads(line)
    if "phase" in o:
        seen.add((o["phase"], o["done"] == o["total"]))
        if set(o) != {"phase", "done", "total", "unit", "remaining_s"}: print("fields", sorted(o))
    elif set(o) != {"level", "message"}: print("fields", sorted(o))
for phase in "profile", "write":
    if (phase, True) not in seen: print("no end of", phase)
EOF
)
result "$([ -z "$bad" ]; echo $?)" "--log json: every line is an object, every phase ends" "$bad"
refuse 2 '{"level":"error","message":"run: unknown option --bad' "--log json holds for wrong usage too" "$W" run --bad --log json
refuse 1 '{"level":"error","message":"' "and for failures" "$W" run --log=json "$T/none" x

# ---- nearest names
nearest() { want=$1; say=$2; shift 2; refuse "$want" "did you mean $say" "nearest name: $(echo "$*" | sed "s|$T/||g; s|$M|MODEL|g")" "$W" "$@"; }
nearest 2 '"specialize"' spec
nearest 2 '"eval"' help evla
nearest 2 '--temp?' run m --temperature 1
nearest 2 '--predict?' run m --n-predict 1
nearest 2 '--file?' run m -file x
nearest 2 '"renorm"' specialize m --gate renrom
nearest 1 '"easy-ep"' specialize "$M" --demos "$D" -o "$G/new.gguf" --score easyep
nearest 1 '"easy-ep"' methods easy_pe
nearest 1 '"olmoe-1b-7b"' synth olmo-1b-7b -o "$G/new.gguf"
refuse 2 'no command "frobnicate"; `witan --help` lists them' "nothing near: no guess" "$W" frobnicate

# ---- terminals
tty() { env "$1" script -qec "$2" /dev/null </dev/null 2>/dev/null; }
esc=$(printf '\033')
if has script; then
    looks() {   # yes|no "VAR=value" "command" name
        tty "$2" "$3" | grep -q "$esc"; got=$?
        [ "$1" = yes ] || got=$((!got))
        result $got "$4"
    }
    looks yes TERM=xterm "'$W' nosuch" "colours on a terminal"
    looks no TERM=dumb "'$W' nosuch" "none with TERM=dumb"
    looks no NO_COLOR=1 "'$W' nosuch" "none with NO_COLOR"
    looks no TERM=xterm "'$W' nosuch 2>'$T/file'; cat '$T/file'" "none in a file"
    looks no TERM=xterm "'$W' help run | cat" "none in a pipe"
    grep -q __asan_init "$W" && some=10 || some=120   # documents of each domain: a few seconds
    slow="WITAN_TIER=ref '$W' eval '$M' --jsonl '$T/data/all.train.jsonl' --limit"
    tty TERM=xterm "$slow $some 2>&1 >/dev/null" >"$T/tty"
    result "$(grep -q 's left' "$T/tty"; echo $?)" "progress tells the time that is left"
    result "$([ "$(tail -c 4 "$T/tty")" = "$(printf '\r\033[K')" ]; echo $?)" "and clears its line"
    tty TERM=xterm "stty cols 20; $slow $((some / 4)) 2>&1 >/dev/null" | tr '\r' '\n' | sed "s/$esc\\[K//" >"$T/tty"
    result "$([ "$(awk '{ if (length > n) n = length } END { print n }' "$T/tty")" -lt 20 ]; echo $?)" "and fits a narrow terminal"
    tty TERM=dumb "$slow $((some / 4)) 2>&1 >/dev/null" >"$T/tty"
    result "$(! grep -q "$esc" "$T/tty"; echo $?)" "TERM=dumb: whole lines"
else
    skip "terminals" "script is not installed"
fi

# ---- standard output that cannot be written, closed streams
for c in "methods" "methods --json" "help" "help run" "help --man" "--version" "--help" "inspect $M" "inspect $M --json" "run $M hello -q" "run $M hello --json -q" \
         "tokenize $M hello" "tokenize $M hello --json" "eval $M --text $D -q" "data synth $T/small --train 1 --json -q" "synth" "bench $M -p 8 -n 0 -r 1 -q"; do
    "$W" $c >/dev/full 2>"$T/err" </dev/null; got=$?
    result "$([ $got = 1 ] && [ "$(cat "$T/err")" = "witan: standard output: cannot write: No space left on device" ]; echo $?)" \
        "full disk behind standard output: $(echo $c | sed "s|$T|TMP|; s|$M|MODEL|")" "status $got: $(cat "$T/err")"
done
(trap '' PIPE; "$W" inspect "$M" --json -q 2>"$T/err"; echo $? >"$T/status") | true; sleep 0.1
(sleep 0.1; "$W" run "$M" hello -q 2>"$T/err"; echo $? >"$T/status") | true; sleep 0.4
result "$([ "$(cat "$T/status")" = 141 ] && [ ! -s "$T/err" ]; echo $?)" "a reader that went away is not talked about" "status $(cat "$T/status"): $(cat "$T/err")"
"$W" methods >&- 2>"$T/err"; got=$?
result "$([ $got = 1 ] && grep -q "cannot write" "$T/err"; echo $?)" "closed standard output" "status $got"
"$W" specialize "$M" --demos "$D" -o "$G/closed.gguf" -q >&- 2>/dev/null
result "$([ "$("$W" run "$G/closed.gguf" 'Sort d b a c:' --temp 0 -n 3 -q)" = "$("$W" run "$G/m.gguf" 'Sort d b a c:' --temp 0 -n 3 -q)" ]; echo $?)" \
    "results do not end up in a file when standard output is closed"
"$W" run "$M" -q <&- >/dev/null 2>"$T/err"; got=$?
result "$([ $got = 1 ] && grep -q "standard input: cannot read" "$T/err"; echo $?)" "closed standard input" "status $got: $(cat "$T/err")"

# ---- signals: 128 + number, one line, nothing left, also while waiting for input
mkfifo "$T/fifo"
"$W" synth smollm2-135m --layers 2 --type Q4_0 -o "$T/random.gguf" -q >/dev/null   # 49152 tokens: the end is never drawn
stop() {   # SIGNAL STATUS name command...
    sig=$1; want=$2; name=$3; shift 3
    rm -rf "$G"; mkdir "$G"
    "$@" >/dev/null 2>"$T/err" <"$T/wait" & pid=$!
    sleep 0.25; kill -"$sig" $pid
    (sleep 10; kill -9 $pid) 2>/dev/null & dog=$!
    wait $pid; got=$?
    kill $dog 2>/dev/null
    result "$([ $got = "$want" ] && [ "$(cat "$T/err")" = "witan: interrupted" ] && [ -z "$(ls -A "$G")" ]; echo $?)" "$name" \
        "status $got, expected $want: $(tail -3 "$T/err"); left: $(ls -A "$G")"
}
mkfifo "$T/wait"
exec 9<>"$T/wait"
stop INT 130 "interrupt while specializing" "$W" specialize "$M" --demos "$T/data/all.train.jsonl" -o "$G/a.gguf" --report "$G/r.html" -q
stop TERM 143 "terminate while specializing" "$W" specialize "$M" --demos "$T/data/all.train.jsonl" -o "$G/a.gguf" --save-plan "$G/p.json" -q
stop INT 130 "interrupt while measuring" "$W" eval "$M" --task "$T/data/all.train.jsonl" -q
stop TERM 143 "terminate while generating" "$W" run "$T/random.gguf" hello -n 10000000 --ctx 1000000 -q
stop INT 130 "interrupt while reading a prompt" "$W" run "$M" -q
stop TERM 143 "terminate while reading a prompt" "$W" run "$M" -q
stop INT 130 "interrupt while reading documents" "$W" eval "$M" --jsonl - -q
stop INT 130 "interrupt while opening a pipe" "$W" run "$M" --file "$T/fifo" -q
stop HUP 129 "hang up while tokenizing" "$W" tokenize "$M" -q
stop INT 130 "interrupt while writing a model" "$W" synth olmoe-1b-7b --layers 4 -o "$G/s.gguf" -q
stop TERM 143 "terminate while measuring speed" "$W" bench "$M" -r 1000 -q
stop INT 130 "interrupt while making data" "$W" data synth "$G" --train 1000000 -q
stop INT 130 "interrupt while waiting for documents to learn from" "$W" data tokenizer - -o "$G/v.gguf" -q
exec 9>&-

# ---- typical mistakes: one line that says what was expected
mistake() { want=$1; say=$2; shift 2; refuse "$want" "$say" "mistake: $(echo "$*" | sed "s|$T/||g; s|$M|MODEL|g" | cut -c1-70)" "$W" "$@"; }
cd "$T"
printf '\137\0\0\0\0\0\0\0{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}' >model.safetensors
printf 'PK\003\004%0100d' 0 >torch.bin
printf '{"a": 1}' >config.json
printf '{"text": "hello there"}\n{"text": oops}\n' >bad.jsonl
printf '{\n  "text": "a"\n}\n' >pretty.json
printf '["a"]\n' >array.jsonl
printf '\n\n' >blank.jsonl
: >empty
mkdir folder
mistake 1 "cannot open: No such file" run none.gguf x
mistake 1 "is a folder" run folder x
mistake 1 "safetensors" run model.safetensors x
mistake 1 "PyTorch" inspect torch.bin
mistake 1 "not a GGUF file" tokenize config.json x
mistake 1 "is empty" inspect empty
mistake 2 "expects: witan run MODEL" run
mistake 2 "MODEL is empty" run "" x
mistake 2 "outside [0, 100]" run "$M" x --temp -1
mistake 2 "outside [0, 16777216]" run "$M" x -n 99999999999999999999
mistake 2 "not a whole number" run "$M" x -n 1e3
mistake 2 '"0,5" is not a number' run "$M" x --temp 0,5
mistake 2 "outside [0, 256]" run "$M" x -t 9999
mistake 2 'not a whole number' run "$M" x --top-k=
mistake 2 'not true or false' run "$M" x --json=maybe
mistake 2 'options come after it' --json run
mistake 1 'is not a plan' run "$M" x --plan config.json
mistake 1 'not valid JSON' run "$M" x --plan "$D"
mistake 1 'bad.jsonl:2: not valid JSON' eval "$M" --jsonl bad.jsonl
mistake 1 'expected one JSON object a line' eval "$M" --jsonl pretty.json
mistake 1 'expected a JSON object' eval "$M" --jsonl array.jsonl
mistake 1 'holds no documents' eval "$M" --jsonl blank.jsonl
mistake 1 'is a folder' eval "$M" --jsonl folder
mistake 1 'there are: arithmetic' eval "$M" --jsonl data/all.test.jsonl --domain jsn
mistake 1 'there are: arithmetic' specialize "$M" --demos data/all.demos.jsonl -o new.gguf --domain jsn
mistake 2 'one argument too many' eval "$M" "$D"
mistake 2 'outside [0, 1]' specialize "$M" --demos "$D" -o new.gguf --keep 2
mistake 2 '"50%" is not a number' specialize "$M" --demos "$D" -o new.gguf --keep 50%
mistake 1 'expected a share above 0' specialize "$M" --demos "$D" -o new.gguf --keep 0
mistake 1 'is the demonstrations' specialize "$M" --demos "$D" -o "$D"
mistake 1 'two different outputs' specialize "$M" --demos "$D" -o new.gguf --report new.gguf
mistake 1 'not a regular file' specialize "$M" --demos "$D" -o folder
mistake 1 'cannot create' specialize "$M" --demos "$D" -o /proc/new.gguf
mistake 2 'PATH... is empty' data synth ""
mistake 1 'is not a folder' data synth empty
mistake 2 'did you mean "synth"?; expected: witan data synth DIR' data snyth x
mistake 2 'expected: witan data synth DIR' data frob x
mistake 2 'data expects: witan data stats FILE' data stats
mistake 2 'one argument too many' data synth a b
mistake 2 'knows no option --train' data stats "$D" --train 5
mistake 2 'knows no option --vocab' data synth more --vocab 500
mistake 2 'knows no option --model' data synth more --model "$M"
mistake 2 'knows no option --out' data stats "$D" -o x.gguf
mistake 2 '-o FILE is missing' data tokenizer "$D"
mistake 2 'outside [1, 3]' data synth more --difficulty 4
mistake 1 'did you mean "graph"' data synth more --domains grahp
mistake 1 'expected DOMAIN=1, 2 or 3' data synth more --difficulty-of graph=4
mistake 1 'did you mean "json"' data synth more --difficulty-of jsn=1
mistake 1 'bad.jsonl:2: not valid JSON' data stats bad.jsonl
mistake 1 'empty: is empty' data stats empty
mistake 1 'cannot open' data stats none.jsonl
mistake 1 'is a folder' data tokenizer folder -o new.gguf
mistake 1 'did you mean "gpt-2"' data tokenizer "$D" --pre gpt2 -o new.gguf
mistake 1 'expected 260 to' data tokenizer "$D" --vocab 258 --special 'a,b,c,d' -o new.gguf
mistake 1 'will not be replaced' data tokenizer "$D" -o "$D"
mistake 1 'cannot be written' convert "$M" new.gguf --type Q9
mistake 1 'is the model itself' convert "$M" "$M" --type F16
mistake 2 'expected a size such as' convert "$M" new.gguf --split some
mistake 2 '-o FILE is missing' synth tiny-olmoe
mistake 2 'separated by commas' bench "$M" -p x
mistake 2 'one argument too many' help run x
printf '\357\273\277{"text": "hello there my friends"}\r\n' >bom.jsonl
succeed "perplexity" "documents with a byte order mark and DOS line ends" "$W" eval "$M" --jsonl bom.jsonl
WITAN_THREADS=many "$W" methods >/dev/null 2>err
result "$(grep -q '^warning: WITAN_THREADS=many is not used' err; echo $?)" "a WITAN_THREADS that is no number is named"
same_threads=$(WITAN_THREADS=1 "$W" bench "$M" -p 8 -n 0 -r 1 --json -q | grep -c '"threads":1,')
result "$([ "$same_threads" = 1 ]; echo $?)" "WITAN_THREADS sets the threads"
same_threads=$(WITAN_THREADS=1 "$W" bench "$M" -p 8 -n 0 -r 1 --json -q -t 2 | grep -c '"threads":2,')
result "$([ "$same_threads" = 1 ]; echo $?)" "and --threads comes first"
echo "1..$n"
