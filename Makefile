# Every target sets up what it needs: a virtual environment in the tree, the package in it.
# Wants Python >= 3.11 with pip, a C compiler and make.

# The first python3 that is new enough; if none is, the message names the plain one.
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && exit; done; echo python3)
VENV := .venv
else
# A Python of your choice gets an environment of its own.
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif

BIN := $(VENV)/bin
# The contenders of the benchmarks want versions of their own, so they live apart.
BENCH := $(VENV)-bench
PIP_INSTALL := -m pip install -qq --disable-pip-version-check
# Python files are read from the tree; only these call for another build.
COMPILED := $(foreach module,_match _order _call,$(addprefix src/execution/$(module)*,.pyx .pxd .pxi .h))
BUILT_FROM := pyproject.toml setup.py $(wildcard $(COMPILED))

ARGS ?=
# The tests that go through a transport.
SERVICE_TESTS := $(shell grep -lE 'world import|processes import|transport_of' tests/integration/*.py tests/end_to_end/*.py 2>/dev/null)
# Tests wait more than they compute.
JOBS ?= 4

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-grpcio test-ngh2 bench bench-path bench-service fuzz guard sanitize lint lint-style lint-types lint-stub lint-imports \
	lint-generated generate dist check-dist clean distclean

help: ## what there is
	@echo 'make TARGET [ARGS="..."] [PYTHON=python3.12]'
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.installed-server ## the demo: books, orders and fills, live (ARGS="--seconds 10" ends it)
	@$(BIN)/execution-service demo $(ARGS)

test: $(VENV)/.installed-dev ## every test (ARGS="-k walk" picks)
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

test-grpcio: $(VENV)/.installed-dev ## the tests that call the service, over grpcio in place of our own http2
	@EXECUTION_TRANSPORT=grpcio $(BIN)/python -m pytest -n $(JOBS) $(SERVICE_TESTS) $(ARGS)

test-ngh2: $(VENV)/.installed-dev ## the tests of the http2 server, with ngh2 between it and libnghttp2
	@EXECUTION_HTTP2_LIBRARY=ngh2 $(BIN)/python -m pytest -n $(JOBS) tests/http2 tests/unit/test_http2_*.py $(ARGS)

bench: $(BENCH)/.installed-bench ## the kernel against its peers, in one run: a table of ratios
	@$(BENCH)/bin/python benchmarks/kernel_report.py $(ARGS)

bench-path: $(VENV)/.installed-dev ## an order's way, in process and over a socket, by pytest-benchmark
	@$(BIN)/python -m pytest benchmarks/test_path.py benchmarks/test_service.py $(ARGS)

bench-service: $(VENV)/.installed-dev ## the whole service from outside, against what it stands on (ARGS="--quick")
	@$(BIN)/python benchmarks/service_report.py $(ARGS)

guard: $(VENV)/.installed-dev ## instructions of the kernel against the baseline; catches a planted slowdown
	@$(BIN)/python benchmarks/instructions.py
	@$(BIN)/python -m pytest -q -p no:cacheprovider benchmarks/test_guard.py

fuzz: $(VENV)/.installed-dev ## bytes nobody would send, against the http2 server (ARGS="--seconds 600")
	@$(BIN)/python tools/fuzz_http2.py $(ARGS)

sanitize: $(VENV)/.installed-dev ## the tests of what is compiled under AddressSanitizer and UBSan
	@$(BIN)/python tools/sanitize_kernel.py

lint: lint-style lint-types lint-stub lint-imports lint-generated ## style, types, stub, layers, generated code

lint-style: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

lint-types: $(VENV)/.installed-dev
	@$(BIN)/mypy src tests tools
	@MYPYPATH=src:tests:benchmarks $(BIN)/mypy benchmarks

lint-stub: $(VENV)/.installed-dev
	@MYPYPATH=src $(BIN)/stubtest execution._match execution._order execution._call

lint-imports: $(VENV)/.installed-dev
	@$(BIN)/lint-imports --no-logo

lint-generated: $(VENV)/.installed-dev
	@$(BIN)/python tools/generate_protos.py --check

generate: $(VENV)/.installed-dev ## src/execution/v1 anew from proto/
	@$(BIN)/python tools/generate_protos.py

dist: $(VENV)/.installed-dev ## the sdist, and the wheel built from it, into dist/
	@rm -rf dist
	@$(BIN)/python -m build --quiet --outdir dist

check-dist: dist ## what dist/ holds, and that it works in an empty environment
	@$(BIN)/python tools/check_dist.py dist

clean: ## removes what was built
	@rm -rf build dist src/*.egg-info $(foreach module,_match _order _call,src/execution/$(module).c src/execution/$(module)*.so)
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .import_linter_cache
	@rm -f .venv*/.installed-*

distclean: clean ## removes the virtual environments too
	@rm -rf .venv .venv-*

# The interpreter is a link to the Python it was made from: where that is gone, so is the target.
$(BIN)/python $(BENCH)/bin/python:
	@$(PYTHON) tools/make_venv.py $(@:/bin/python=)

$(VENV)/.installed-server: $(BIN)/python $(BUILT_FROM)
	@echo 'installing execution-service[server] into $(VENV); the first time takes a minute'
	@$(BIN)/python $(PIP_INSTALL) --editable '.[server]'
	@touch $@

# What tests and checks need; it contains [server].
$(VENV)/.installed-dev: $(BIN)/python $(BUILT_FROM)
	@echo 'installing execution-service[dev] into $(VENV); the first time takes a minute'
	@$(BIN)/python $(PIP_INSTALL) --editable '.[dev]'
	@touch $(VENV)/.installed-server $@

$(BENCH)/.installed-bench: $(BENCH)/bin/python $(BUILT_FROM)
	@echo 'installing execution-service[bench] into $(BENCH); the first time takes minutes'
	@$(BENCH)/bin/python $(PIP_INSTALL) --editable '.[bench]'
	@touch $@
