# The two commands: `make run` and `make test`. CMake and Ninja do the work;
# this file only names it. `make help` lists the rest.
SHELL := /bin/bash
PREFIX ?= /usr/local
PYTHON := build/venv/bin/python
LAYER ?=

.DEFAULT_GOAL := help
.PHONY: help setup build build-tests run test test-long unit bench san tsan fmt check install dist clean

help:
	@echo "make run        set up what is missing, build, answer a sample question over real files;"
	@echo "                on a terminal you are then in the shell"
	@echo "make test       set up what is missing, build, run all tests (at most 40 minutes of tests)"
	@echo
	@echo "make build      build/igloo and build/libigloo.so"
	@echo "make unit LAYER=base   unit tests of one folder of src/ (under 20 s after an edit)"
	@echo "make test-long  the full figures, before an issue is closed"
	@echo "make bench      measurements beside datafusion and duckdb (docs/benchmarks.md)"
	@echo "make san        C tests under AddressSanitizer and UBSan;  make tsan: ThreadSanitizer, without the engine"
	@echo "make check      layers, banned functions, generated files, -fanalyzer, clang-tidy, format"
	@echo "make fmt        format C, Rust and nothing else"
	@echo "make install    into PREFIX=$(PREFIX), with DESTDIR"
	@echo "make dist       optimised archive in dist/ (link-time optimisation: an hour)"
	@echo "make clean      remove build/ (the cache folder stays: $${IGLOO_BUILD_CACHE:-~/.cache/igloo})"
	@echo
	@echo "The first build compiles DataFusion: 17 minutes on 2 idle cores, 30 on busy ones; another"
	@echo "clone on the same machine reuses it. After that a change of C takes seconds (20 with the"
	@echo "program linked), a change of bridge/ two or three minutes."

setup:
	@tools/setup.sh

build: setup
	@tools/build.sh release

run: build
	@tools/sample.sh

build-tests: build
	@tools/build.sh release unit_tests
	@tools/build.sh san unit_tests
	@tools/build.sh fuzz fuzzers
	@tools/cargo.sh test --release --locked --lib --no-run --manifest-path bridge/Cargo.toml
	@tools/build-clients.sh
	@echo "analysing what changed with gcc -fanalyzer and clang-tidy"
	@$(PYTHON) tools/check.py clang-tidy fanalyzer > build/analysis.log || true  # the checks suite tells

test: build-tests
	@$(PYTHON) tools/run-tests.py

test-long: build-tests
	@tools/build.sh release bench_wire bench_sources
	@$(PYTHON) tools/run-tests.py --long

unit: setup
	@test -d "src/$(LAYER)" -a -n "$(LAYER)" || { echo "say which: make unit LAYER=base" >&2; exit 2; }
	@tools/build.sh release unit_$(LAYER)
	@ctest --test-dir build --output-on-failure -L '^$(LAYER)$$'

bench:
	@bench/run.sh

san: setup
	@tools/build.sh san unit_tests
	@ctest --test-dir build/san --output-on-failure -j2

# The standard library of Rust is not instrumented: what is handed over by its locks and
# channels would be reported as a race, in every test that runs the engine.
tsan: setup
	@tools/build.sh tsan unit_tests
	@ctest --test-dir build/tsan --output-on-failure -j2 -LE '^rust$$'
	@echo "ThreadSanitizer: without the tests that run the engine, whose Rust it cannot follow"

fmt:
	@git ls-files -co --exclude-standard '*.c' '*.h' ':!bridge/include' ':!include/igloo/status.h' | xargs -r clang-format -i
	@tools/cargo.sh fmt --manifest-path bridge/Cargo.toml

check: setup
	@tools/build.sh release --configure
	@$(PYTHON) tools/check.py

install: build
	cmake --install build --prefix $(PREFIX)
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ldconfig

dist: setup
	@tools/dist.sh

clean:
	rm -rf build dist
