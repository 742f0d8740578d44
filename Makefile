# Long checks, beside those of .ci/run. Nothing here is needed to build or to install.
#
#   make fuzz      fuzz targets of tests/fuzz under sanitizers, each for MINUTES
#   make tsan      what threads share, under ThreadSanitizer
#   make avc-walks random walks over the bytes of H.264, at the end of which none stands
#   make soak      fuzz, tsan, avc-walks, random walks read by decoders, tests marked `soak`
#   make clean     removes BUILD
#
# Variables: MINUTES=10 for each fuzz target; SECONDS_EACH instead of it; WALKS=20000, of H.264
# AVC_WALKS=3000 and WALKED_BYTES=10000000; SEED=1, a
# number of your own for other inputs; SEEDS=150, valid files to start from, each of them run once
# whatever the time; BUILD=build/checks; CXX_FUZZ=clang++, where it is missing c++ with a plain driver
# of ours; PYTHON=python, in which pycodec_lm is installed; JOBS=2.
#
# Found inputs stay in BUILD/corpus, and what breaks a target in BUILD/crash-* (or, with our own
# driver, in BUILD/crash-input): run the target on that file alone to see it again.

MINUTES ?= 10
SECONDS_EACH ?= $(shell expr $(MINUTES) \* 60)
WALKS ?= 20000
AVC_WALKS ?= 3000
WALKED_BYTES ?= 10000000
SEEDS ?= 150
SEED ?= 1
JOBS ?= 2
BUILD ?= build/checks
PYTHON ?= python
CXX_FUZZ ?= $(shell command -v clang++ || command -v c++)

TARGETS := check readers cursor masks avc recode
seeds = $(if $(filter avc recode,$(1)),avc,jpeg)
CMAKE_FLAGS := -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPYCODEC_LM_PYTHON=OFF -DPYCODEC_LM_WERROR=ON
# No single request for memory is large, whatever a header asks for.
FUZZ_FLAGS := -max_len=3000 -malloc_limit_mb=64 -rss_limit_mb=3000 -timeout=120 -detect_leaks=0 \
	-print_final_stats=1

.PHONY: fuzz tsan avc-walks soak clean $(TARGETS:%=fuzz-%)

fuzz: $(TARGETS:%=fuzz-%)

$(BUILD)/fuzz: FORCE
	cmake -S . -B $@ -DCMAKE_CXX_COMPILER=$(CXX_FUZZ) -DPYCODEC_LM_FUZZ=ON \
		-DPYCODEC_LM_SANITIZE=address $(CMAKE_FLAGS)
	cmake --build $@ --parallel $(JOBS)

$(BUILD)/seeds: tests/fuzz/make_seeds.py
	$(PYTHON) tests/fuzz/make_seeds.py $@ $(SEEDS)
	touch $@

$(TARGETS:%=fuzz-%): fuzz-%: $(BUILD)/fuzz $(BUILD)/seeds
	mkdir -p $(BUILD)/corpus/$*
	cd $(BUILD) && fuzz/tests/fuzz/fuzz_$* -max_total_time=$(SECONDS_EACH) -seed=$(SEED) \
		$(FUZZ_FLAGS) -artifact_prefix=crash-$*- corpus/$* seeds/$(call seeds,$*)

# A child of fork() starts threads of its own, which ThreadSanitizer forbids unless told.
tsan:
	cmake -S . -B $(BUILD)/tsan -DPYCODEC_LM_TESTS=ON -DPYCODEC_LM_SANITIZE=thread $(CMAKE_FLAGS)
	cmake --build $(BUILD)/tsan --parallel $(JOBS)
	TSAN_OPTIONS=die_after_fork=0:halt_on_error=1 $(BUILD)/tsan/tests/csrc/test_csrc threads

# Built without sanitizers: walks over bytes are for length.
avc-walks:
	cmake -S . -B $(BUILD)/release -DPYCODEC_LM_TESTS=ON $(CMAKE_FLAGS) -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD)/release --target soak_avc --parallel $(JOBS)
	$(BUILD)/release/tests/csrc/soak_avc $(WALKED_BYTES) $(SEED)

soak: fuzz tsan avc-walks
	$(PYTHON) -m pycodec_lm bench walks -n $(WALKS) --seed $(SEED) --keep $(BUILD)/walks
	$(PYTHON) -m pycodec_lm bench walks -n $(AVC_WALKS) --seed $(SEED) --of avc-fields \
		--keep $(BUILD)/walks
	$(PYTHON) -m pytest -m soak

clean:
	rm -rf $(BUILD)

FORCE:
