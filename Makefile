# The front door. Meson knows the sources; this file knows what people want to do.
BUILD ?= build
DEMO   = $(BUILD)/demo
DOMAIN ?= code
MODEL  = models/council-Q8_0.gguf
DOMAINS = arithmetic,units,sets,dates,recall,grammar,json,code
FUZZ_TIME ?= 60
prefix ?= $(PREFIX)

.PHONY: all setup demo debug test test-tiers test-debug test-arm test-x86 fuzz bench install uninstall clean help

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

setup:
	@tools/setup

$(BUILD)/build.ninja: | setup
	@meson setup $(BUILD) >/dev/null || { cat $(BUILD)/meson-logs/meson-log.txt; exit 1; }

build-debug/build.ninja: | setup
	@meson setup build-debug -Dbuildtype=debug -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false >/dev/null

# The main job, on the model that ships: a smaller model for one domain, and a page about it.
demo: all
	@$(BUILD)/witan data synth $(DEMO)/data --seed 7 --domains $(DOMAINS) --train 0 --valid 0 --test 150 --demos 10 --quiet >/dev/null
	$(BUILD)/witan specialize $(MODEL) --demos $(DEMO)/data/$(DOMAIN).demos.jsonl --keep 0.5 \
	    --eval $(DEMO)/data/all.test.jsonl -o $(DEMO)/council-$(DOMAIN).gguf --report $(DEMO)/report.html
	@echo
	@echo "Open $(DEMO)/report.html in a browser. Then try another domain: make demo DOMAIN=units"
	@echo "($(DOMAINS)), or your own demonstrations:"
	@echo "    $(BUILD)/witan specialize --help"

debug: build-debug/build.ninja
	@ninja -C build-debug
	@echo "build-debug/witan checks addresses and undefined behaviour as it runs."

test: all
	@ninja -C $(BUILD) tests
	@tests/run $(BUILD)

# Every test once for every tier that this CPU has, worst first; minutes each.
TIERS = ref $(if $(filter aarch64,$(shell uname -m)),neon) $(shell grep -qw avx2 /proc/cpuinfo && echo avx2; grep -qw avx512bw /proc/cpuinfo && echo avx512f; \
	    grep -qw avx512_vnni /proc/cpuinfo && echo avx512)
test-tiers: all
	@ninja -C $(BUILD) tests
	@bad=0; for t in $(TIERS); do echo "---- WITAN_TIER=$$t"; WITAN_TIER=$$t tests/run $(BUILD) || bad=1; done; exit $$bad

test-debug: debug
	@ninja -C build-debug tests
	@tests/run build-debug

build-arm/build.ninja: | setup
	@tools/setup arm
	@meson setup build-arm --cross-file tools/cross/aarch64.ini >/dev/null || { cat build-arm/meson-logs/meson-log.txt; exit 1; }

# The kernels and what stands on them, for AArch64 under emulation: all of it on a CPU with the dot product instructions, products of bytes also
# on one without; and the command, which must write what it writes here.
ARM_TESTS = test_gemm test_kernels test_kernels_q test_attention test_type test_pack test_route test_json_host test_batch test_gold
test-arm: all build-arm/build.ninja
	@ninja -C build-arm witan $(ARM_TESTS:%=tests/%)
	@EMULATOR='qemu-aarch64-static -cpu cortex-a53' tests/run build-arm test_kernels_q
	@EMULATOR='qemu-aarch64-static -cpu max' HERE=$(BUILD)/witan tests/run build-arm $(ARM_TESTS) arm.sh

# Kernels and the command on x86-64 CPUs that this one is not, under emulation: one without AVX, and one with AVX2 but without AVX-512.
X86_TESTS = test_kernels test_kernels_q test_type test_route
test-x86: all
	@tools/setup x86
	@ninja -C $(BUILD) $(X86_TESTS:%=tests/%)
	@EMULATOR='qemu-x86_64-static -cpu Nehalem' TIER=ref tests/run $(BUILD) $(X86_TESTS) x86.sh
	@EMULATOR='qemu-x86_64-static -cpu max' TIER=avx2 tests/run $(BUILD) $(X86_TESTS) x86.sh

build-fuzz/build.ninja: | setup
	@command -v clang >/dev/null || { echo "make fuzz needs clang with its runtime libraries, on Debian: apt-get install clang" >&2; exit 1; }
	@CC=clang meson setup build-fuzz -Dfuzz=true -Dbuildtype=debug -Doptimization=2 -Db_sanitize=address,undefined -Db_lundef=false >/dev/null

# Every fuzz target for FUZZ_TIME seconds; one line for each.
fuzz: build-fuzz/build.ninja
	@ninja -C build-fuzz fuzzers
	@fuzz/run build-fuzz $(FUZZ_TIME)

# Kernels, whole models and what observing costs, beside the machine's limits. BENCH: options of bench/run; -- and options of bench/peers measures
# other engines too. Quote shares and ratios; take them on an idle machine.
bench: all
	@ninja -C $(BUILD) kernels overhead
	@bench/run $(BUILD) $(BENCH)

# make install [prefix=/usr] [DESTDIR=/tmp/tree]; the prefix is kept for later calls.
install: all
	@$(if $(prefix),meson configure $(BUILD) --prefix=$(abspath $(prefix)),:)
	@meson install -C $(BUILD)

uninstall:
	@ninja -C $(BUILD) uninstall

clean:
	rm -rf build build-debug build-arm build-fuzz

help:
	@echo "make             install missing packages, build $(BUILD)/witan"
	@echo "make demo        the main job on the model that ships: a smaller model and a report (DOMAIN=$(DOMAIN))"
	@echo "make test        every test; the last line counts them"
	@echo "make debug       build-debug/witan with address and undefined-behaviour checks"
	@echo "make test-tiers  every test once for every kernel tier that this CPU has"
	@echo "make test-debug  every test under those checks"
	@echo "make test-arm    the kernels and what stands on them, built for AArch64, under emulation"
	@echo "make test-x86    kernels and the command on x86-64 CPUs without AVX, and without AVX-512, under emulation"
	@echo "make fuzz        every fuzz target for FUZZ_TIME=$(FUZZ_TIME) seconds (needs clang)"
	@echo "make bench       speed of kernels and of whole models beside the machine's limits, and what profiling adds (needs 40 GB of disk; BENCH=\"--only olmoe\")"
	@echo "make install     install the command, the library, manual pages and completions (prefix=/usr, DESTDIR=...)"
	@echo "make uninstall   remove what was installed last"
	@echo "make clean       remove the build folders"
	@echo "tools/bare-check tries demo and test in a bare Debian 12 tree (root, debootstrap)"
