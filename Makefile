# Everything a newcomer needs is `make demo` and `make test`; each sets itself up in .venv.
PYTHON ?= python3
VENV := .venv
# Named exactly, because an open range takes the newest build with gigabytes for GPUs that converting does not use.
TORCH ?= torch==2.13.0
RUN := $(VENV)/bin
# Tests that run at a time; a file's own one after another, since they share what is slow to make.
JOBS ?= 2
DEMO_RECORD := examples/ecg_beats/data/200
.DEFAULT_GOAL := help
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help setup demo test test-all lint format bench matrix train clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## Make .venv with everything in it

$(VENV)/.ready: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "error: $(PYTHON) is older than 3.10: run 'make PYTHON=python3.11' or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "error: $(PYTHON) cannot make virtual environments: run 'sudo apt-get install python3-venv'" >&2; exit 1; }
	@echo "Setting up $(VENV) (a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on $(TORCH)
	@$(RUN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on -e '.[device,ble,convert,torch,jetson-check,hub,postgres,dev]'
	@touch $@

demo: $(VENV)/.ready ## Real model, real recording, all the way to the dashboard (KEEP=1 leaves it running)
	@$(RUN)/python examples/demo.py --record $(DEMO_RECORD) --out build/demo $(if $(filter 1,$(KEEP)),--keep)

test: $(VENV)/.ready ## The whole test suite but the long runs
	@scripts/test-tools
	@$(RUN)/python -m pytest -n $(JOBS) --dist loadfile -m 'not slow' $(PYTEST_ARGS)

test-all: $(VENV)/.ready ## The long runs too
	@scripts/test-tools
	@$(RUN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.ready ## Style, types, arrows between packages
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports

format: $(VENV)/.ready ## Let ruff correct what it can
	@$(RUN)/ruff check --fix .
	@$(RUN)/ruff format .

bench: $(VENV)/.ready ## Figures side by side in one run, also as JSON in build/bench
	@$(RUN)/python benchmarks/run_all.py --record $(DEMO_RECORD) --out build/bench

matrix: $(VENV)/.ready ## Convert every format by every recipe for every kind of board; writes docs/conversion-matrix.md
	@$(RUN)/python -W ignore -m tests.conversion.matrix.page

train: $(VENV)/.ready ## Train the example model again: make train DB=path/to/ds1
	@$(RUN)/python examples/ecg_beats/train.py --db $(DB) --out examples/ecg_beats/ecg_beats.keras

clean: ## Remove everything that was made here
	@rm -rf build dist .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
