#!/bin/sh
# The command built for AArch64, under emulation, beside the one of this machine: the same text. With the dot product instructions and without.
# Usage: HERE=build/witan tests/arm.sh build-arm/witan
. "$(dirname "$0")/tap.sh"

here=$(cd "$(dirname "$HERE")" && pwd)/$(basename "$HERE")
for cpu in max cortex-a53; do
    emulated="qemu-aarch64-static -cpu $cpu"
    for tier in neon ref; do
        for exact in "" --exact; do
            want=$(WITAN_TIER=ref "$here" run "$M" 'Sort d b a c:' --temp 0 -n 24 -q $exact)
            got=$(WITAN_TIER=$tier $emulated "$W" run "$M" 'Sort d b a c:' --temp 0 -n 24 -q $exact)
            result "$([ -n "$got" ] && [ "$got" = "$want" ]; echo $?)" "run $exact, $tier on $cpu: the text of this machine" "here: $want
there: $got"
        done
    done
done
echo "1..$n"
