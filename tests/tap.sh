# What the tests of the command share; sourced by tests/cli*.sh, whose first argument is the program. Sets W (program), root, M (model that
# ships), T (temporary folder, removed at the end), n (tests so far).
set -u
W=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
root=$(cd "$(dirname "$0")/.." && pwd)
M=$root/models/council-Q8_0.gguf
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
n=0

result() {   # 0|1 name [detail]
    n=$((n + 1))
    if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; [ -z "${3:-}" ] || echo "$3" | sed 's/^/# /'; fi
}

# expect STATUS "text on stderr" name command...: one line on stderr that says the text, nothing on stdout
refuse() {
    want=$1; say=$2; name=$3; shift 3
    "$@" >"$T/out" 2>"$T/err" </dev/null; got=$?
    bad=""
    [ "$got" = "$want" ] || bad="exit status $got, expected $want"
    grep -qF -- "$say" "$T/err" || bad="$bad; stderr does not say \"$say\": $(cat "$T/err")"
    [ "$(wc -l <"$T/err")" = 1 ] || bad="$bad; stderr is not one line: $(cat "$T/err")"
    [ ! -s "$T/out" ] || bad="$bad; stdout is not empty"
    [ -z "$(find "$T" -name '*.tmp.*')" ] || bad="$bad; a temporary file is left"
    [ ! -e "$T/new.gguf" ] || { bad="$bad; something stands under the final name"; rm -f "$T/new.gguf"; }
    result "$([ -z "$bad" ]; echo $?)" "$name" "$bad"
}

succeed() {   # "text on stdout" name command...
    say=$1; name=$2; shift 2
    "$@" >"$T/out" 2>"$T/err" </dev/null; got=$?
    bad=""
    [ "$got" = 0 ] || bad="exit status $got: $(cat "$T/err")"
    grep -qF -- "$say" "$T/out" || bad="$bad; stdout does not say \"$say\": $(head -c 500 "$T/out")"
    result "$([ -z "$bad" ]; echo $?)" "$name" "$bad"
}

skip() {   # name reason
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

has() { command -v "$1" >/dev/null 2>&1; }
