#!/bin/sh
# The command on an emulated x86-64 CPU beside this machine's with the same kernels: the same text. Usage: EMULATOR='qemu-x86_64-static -cpu
# Nehalem' TIER=ref tests/x86.sh build/witan; TIER: the best tier that this CPU has, which is what it must choose.
. "$(dirname "$0")/tap.sh"

for exact in "" --exact; do
    want=$(WITAN_TIER=$TIER "$W" run "$M" 'Sort d b a c:' --temp 0 -n 24 -q $exact)
    got=$($EMULATOR "$W" run "$M" 'Sort d b a c:' --temp 0 -n 24 -q $exact)
    result "$([ -n "$got" ] && [ "$got" = "$want" ]; echo $?)" "run $exact on ${EMULATOR##* }: the text of $TIER here" "here: $want
there: $got"
done
echo "1..$n"
