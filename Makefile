# Two commands do everything: `make demo` shows the tool at work, `make test` is the whole gate.
# What is built on the way (a virtual environment, the lab's images) is kept outside of git.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The lab makes namespaces and mounts: it needs root, or sudo. The tests ask for no password: where
# sudo wants one, they say what is missing.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo "sudo -E")
QUIET_SUDO := $(shell [ "$$(id -u)" = 0 ] || { sudo -n true 2>/dev/null && echo "sudo -nE"; })
LAB_DIR ?= $(HOME)/.cache/remote-prof/lab/demo
LAB := $(SUDO) $(BIN)/python -m tests.lab
HOST ?= prod-3
CONTAINER ?= api
RUNS ?= 300
LABS ?= 2
FUZZ_S ?= 60
# For `make bench`: a checkout of FlameGraph, and inferno's program inferno-flamegraph.
FLAMEGRAPH ?=
INFERNO ?=

.PHONY: help demo lab lab-down test check unit lab-test faults soak fuzz bless bench build install clean

help:  ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

install: $(READY)  ## Create the virtual environment with everything in it

$(READY): pyproject.toml
	@echo "making the virtual environment $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { \
	  echo "installing python3-venv ..."; rm -rf $(VENV); \
	  $(SUDO) sh -c 'apt-get -qq update && apt-get -qq install -y python3-venv' >/dev/null && \
	  $(PYTHON) -m venv $(VENV); }
	@echo "installing remote-prof and the tools of its tests ..."
	@$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/pip install --quiet --editable . --group dev
	@touch $@

demo: $(READY)  ## Start a lab host and profile a container in it over SSH
	@inventory=$$($(LAB) up --dir $(LAB_DIR) --hosts $(HOST) | tail -n 1) && \
	  echo "remote-prof run --inventory $$inventory --host $(HOST) --container $(CONTAINER)" && \
	  $(BIN)/remote-prof run --inventory "$$inventory" --host $(HOST) --container $(CONTAINER)

lab: $(READY)  ## Start a lab of one host; the last line is its inventory
	@$(LAB) up --dir $(LAB_DIR) --hosts $(HOST)

lab-down: $(READY)  ## Take the lab away without a trace
	@$(LAB) down --dir $(LAB_DIR)

test: check unit lab-test  ## The whole gate: format, lint, types, layers, all tests

check: $(READY)  ## Format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(READY)  ## Tests that need no host: unit, recorded, golden, browser, command line, packaging
	$(BIN)/pytest -q -n auto --dist loadfile --ignore tests/lab

lab-test: $(READY)  ## Tests on real hosts: LABS=2 labs at a time, or the one that REMOTE_PROF_LAB_DIR names
	$(QUIET_SUDO) $(BIN)/pytest -q $(if $(REMOTE_PROF_LAB_DIR)$(REMOTE_PROF_LAB_INVENTORY),,-n $(LABS) --dist loadfile) tests/lab

fuzz: $(READY)  ## Fuzz each parser of what hosts send, FUZZ_S seconds each
	@$(BIN)/pip install --quiet --group fuzz
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_S)

faults: $(READY)  ## The matrix of faults alone, but for its slow rows
	$(QUIET_SUDO) $(BIN)/pytest -q tests/lab/faults

soak: $(READY)  ## Slow faults, then RUNS=300 runs in a row: nothing grows, nothing is left
	$(SUDO) $(BIN)/pytest -q -m soak tests
	$(SUDO) $(BIN)/python -m tests.lab.soak --runs $(RUNS)

bless: $(READY)  ## Write the golden files anew; look at the difference before you commit it
	$(BIN)/pytest -q tests/golden tests/docs/test_faults.py --bless

bench: $(READY)  ## Measure against peers: drawing, the HTML report, a run against the procedure by hand, what its target pays
	$(BIN)/python -m benchmarks.render $(if $(FLAMEGRAPH),--flamegraph $(FLAMEGRAPH)) $(if $(INFERNO),--inferno $(INFERNO))
	$(SUDO) $(BIN)/python -m benchmarks.overhead
	$(SUDO) $(BIN)/python -m benchmarks.fleet
	$(BIN)/python -m benchmarks.merge
	$(SUDO) $(BIN)/python -m benchmarks.target_overhead
	$(BIN)/python -m benchmarks.html

build: $(READY)  ## Build the wheel and the sdist
	$(BIN)/pip install --quiet build
	$(BIN)/python -m build --outdir dist .

clean:  ## Remove what was built in this directory
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
