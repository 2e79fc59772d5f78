# A thin door to CMake: every target here is a preset or a target there. `make help` lists them.
# Variables: SECONDS of a fuzz run, PREFIX and DESTDIR of an installation, JOBS.
JOBS ?= $(shell nproc)
SECONDS ?= 60
PREFIX ?= /usr/local
GENERATOR := $(if $(shell command -v ninja),Ninja,Unix Makefiles)

# configure PRESET OPTIONS: the generator is chosen once, when the folder is new.
folder = $(if $(filter release,$(1)),build,build/$(1))
configure = cmake --preset $(1) $(if $(wildcard $(call folder,$(1))/CMakeCache.txt),,-G "$(GENERATOR)") $(2) --log-level=WARNING
build = $(call configure,$(1),$(2)) && cmake --build $(call folder,$(1)) -j $(JOBS)

.PHONY: all help demo demo-vllm check check-python check-vllm check-release check-clang check-sanitizers check-fuzz bench bench-kernels fuzz format
.PHONY: lint coverage install clean
.PHONY: dependencies dependencies-check fresh-counts
.NOTPARALLEL:

all: dependencies ## the tool and the libraries, in build/
	@$(call build,release)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 22

dependencies:
	@tools/dependencies build
dependencies-check:
	@tools/dependencies check

demo: all ## the main job, shown on two real graphs
	@examples/demo

demo-vllm: all ## two small models in the real vLLM on this CPU, without and with regraft
	@examples/demo-vllm

# The order is that of the time to a first failure. Each part can be called alone.
check: fresh-counts dependencies-check check-release lint check-python check-vllm check-clang check-sanitizers check-fuzz ## every test
	@tools/summary

fresh-counts:
	@rm -rf build/counts
check-release: dependencies-check
	@$(call build,release,-DREGRAFT_TESTS=ON -DREGRAFT_WERROR=ON)
	@tools/ctest build
check-clang: dependencies-check
	@$(call build,clang)
	@tools/ctest build/clang -L unit
check-sanitizers: dependencies-check
	@$(call build,asan-ubsan)
	@tools/ctest build/asan-ubsan -LE release
check-python: all ## the pass inside PyTorch, in a virtual environment that this makes
	@tools/check-python
check-vllm: all ## small models in the real vLLM on this CPU, in a virtual environment that this makes
	@tools/check-vllm
check-fuzz: dependencies-check
	@$(call build,fuzz)
	@tests/fuzz/run build/fuzz 10

bench: all ## the benchmarks
	@bench/run build
bench-kernels: all ## the kernels beside their peers
	@bench/kernels/run build

fuzz: dependencies-check ## every fuzzer for SECONDS (60)
	@$(call build,fuzz)
	@tests/fuzz/run build/fuzz $(SECONDS)

asan ubsan tsan: dependencies-check ## the tests under one sanitizer
	@$(call build,$@)
	@tools/ctest build/$@ -LE release
.PHONY: asan ubsan tsan

coverage: dependencies-check ## executed lines: build/coverage/report.html
	@$(call build,coverage)
	@tools/ctest build/coverage -LE release
	@gcovr --root . --filter src/ --print-summary --html-details build/coverage/report.html build/coverage

format: dependencies-check ## clang-format over the sources
	@tools/format
lint: dependencies-check ## clang-format (only looks), clang-tidy, cppcheck
	@$(call configure,clang)
	@tools/lint build/clang

install: all ## into PREFIX (/usr/local), below DESTDIR
	@cmake --install build --prefix $(PREFIX)

clean: ## removes build/
	@rm -rf build
