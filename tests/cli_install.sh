#!/bin/sh
# What `make install` puts into a tree: the command, the library for programs, manual pages, completions. Usage: tests/cli_install.sh build/witan
. "$(dirname "$0")/tap.sh"

build=$(dirname "$W")
D=$T/tree
DESTDIR=$D meson install -C "$build" --no-rebuild >"$T/log" 2>&1 || { echo "not ok 1 - meson install"; sed 's/^/# /' "$T/log"; exit 1; }
B=$(find "$D" -type f -name witan -path '*/bin/*')
prefix=${B%/bin/witan}
share=$prefix/share
commands=$("$W" help | sed -n 's/^  \([a-z]*\)  .*/\1/p' | grep -v '^help$')

# same TEXT TEXT name
same() { [ "$1" = "$2" ]; result $? "$3" "expected: $1
found: $2"; }

succeed "a b c d" "the installed command runs" "$B" run "$M" 'Sort d b a c:' --temp 0 -q
succeed "witan 0." "and knows its version" "$B" --version

# ---- the library: what pkg-config says is enough to build and run a program
pc=$(find "$D" -name witan.pc)
export PKG_CONFIG_PATH="${pc%/witan.pc}" PKG_CONFIG_SYSROOT_DIR="$D"
same "$("$B" --version)" "witan $(pkg-config --modversion witan)" "pkg-config and the command agree on the version"
if grep -q __asan_init "$W"; then
    skip "programs against the library" "instrumented build"
else
    ${CC:-cc} -Wall -Werror "$root/docs/example.c" -o "$T/dynamic" $(pkg-config --cflags --libs witan) 2>"$T/err"
    result $? "a program builds with pkg-config" "$(cat "$T/err")"
    so=$(find "$D" -name libwitan.so)
    succeed "a b c d" "and runs" env LD_LIBRARY_PATH="${so%/libwitan.so}" "$T/dynamic" "$M" 'Sort d b a c:'
    ${CC:-cc} -Wall -static "$root/docs/example.c" -o "$T/static" $(pkg-config --static --cflags --libs witan) 2>"$T/err"
    result $? "a static program builds with pkg-config --static" "$(cat "$T/err")"
    succeed "a b c d" "and runs" "$T/static" "$M" 'Sort d b a c:'
    leaked=$(nm -D --defined-only "$so" | awk '$2 ~ /[TDBR]/ { print $3 }' | grep -v '^witan_')
    same "" "$leaked" "the library exports witan_* only"
fi

# ---- manual pages: one per command, no complaint from the formatters, every option in them
pages=$(cd "$share/man/man1" && ls | sort | tr '\n' ' ')
same "$(for c in $commands; do echo witan-$c.1; done | sort | tr '\n' ' ')witan.1 " "$pages" "every command has its manual page"
for page in "$share"/man/man1/*.1; do
    bad=""
    has groff && bad=$(groff -man -Tutf8 -ww "$page" 2>&1 >/dev/null)
    has mandoc && bad="$bad$(mandoc -Tlint -Wwarning "$page" 2>&1)"
    same "" "$bad" "$(basename "$page") formats without a warning"
done
for c in $commands; do
    missing=""
    for o in $("$W" help $c | sed -n 's/^  \(-., \)\{0,1\}\(--[a-z-]*\).*/\2/p'); do
        sed 's/\\-/-/g' "$share/man/man1/witan-$c.1" | grep -qF -- "fB$o" || missing="$missing $o"
    done
    same "" "$missing" "the page of $c names every option of its help"
done

# ---- completions
cat >"$T/complete" <<'EOF'
source "$1"
cd "$2"
shift 2
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_witan
printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' '
EOF
mkdir -p "$T/files/folder"
touch "$T/files/model.gguf" "$T/files/my model.gguf" "$T/files/data.jsonl" "$T/files/plan.json" "$T/files/notes.txt"
completes() {   # EXPECTED word...
    want=$1; shift
    same "$want" "$(bash "$T/complete" "$share/bash-completion/completions/witan" "$T/files" "$@")" "bash completes: $*_"
}
if has bash; then
    completes "specialize " witan sp
    completes "--version " witan --v
    completes "--temp " witan run m.gguf --te
    completes "folder model.gguf my model.gguf " witan run ""
    completes "folder model.gguf my model.gguf " witan eval --limit 5 ""
    completes "data.jsonl folder " witan specialize model.gguf --demos ""
    completes "folder plan.json " witan run model.gguf --plan ""
    completes "easy-ep " witan specialize model.gguf --score ea
    completes "easy-ep " witan specialize model.gguf --score = ea
    completes "keep renorm " witan specialize model.gguf --gate =
    completes "stats synth tokenizer " witan data ""
    completes "data.jsonl folder model.gguf my model.gguf notes.txt plan.json " witan data stats ""
    completes "easy-ep " witan methods easy
    completes "run " witan help ru
else
    skip "bash completion" "bash is not installed"
fi
if has zsh; then zsh -n "$share/zsh/site-functions/_witan" 2>"$T/err"; result $? "zsh reads its completion" "$(cat "$T/err")"; else skip "zsh completion" "zsh is not installed"; fi
if has fish; then
    fish_completes() {   # EXPECTED line
        same "$1" "$(cd "$T/files" && fish --no-config -c "source $share/fish/vendor_completions.d/witan.fish; complete -C '$2'" 2>&1 | cut -f1 | tr '\n' ' ')" \
            "fish completes: $2_"
    }
    fish_completes "specialize " "witan sp"
    fish_completes "easy-ep " "witan specialize model.gguf --score ea"
    fish_completes "--temp " "witan run model.gguf --te"
    fish_completes "stats synth tokenizer " "witan data "
else
    skip "fish completion" "fish is not installed"
fi
echo "1..$n"
