# One folder, .venv, holds everything; a second call of any target installs nothing. `make demo` is the whole job in small.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
# Newer versions of uv read the same lock files; the version is fixed so that an installation can be repeated.
UV_VERSION := 0.13.8
# Two test processes with one thread each: half the time of one process with two.
TEST_PROCESSES ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint bench bench-gpu lock install-core install-dev clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: install-core  ## Prepare, train and speak with the digits in examples/
	$(BIN)/python examples/demo.py

test: install-dev  ## All tests but the slow ones
	$(PYTEST) -m "not slow" -n $(TEST_PROCESSES)

test-slow: install-dev  ## The slow tests
	$(PYTEST) -m slow

lint: install-dev  ## Style, import contracts and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/pyright

bench: install-dev data/digits data/sentences work/debug  ## Measure on the CPU and write the records of docs/benchmarks/ (half an hour)
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/phonemizer_throughput.py
	$(BIN)/python benchmarks/loader.py --work work/loader -o docs/benchmarks/loader.md
	$(BIN)/python benchmarks/mini_codec.py data/sentences/heldout data/digits -o docs/benchmarks/mini_codec.md
	$(BIN)/python benchmarks/kill_prepare.py configs/prepare/debug.yaml part_duration_s=10
	$(BIN)/python benchmarks/kill_train.py configs/train/debug.yaml dataset=work/debug

data/%:
	$(BIN)/python benchmarks/synthesise_speech.py $* $@

work/debug: | install-dev
	$(BIN)/python -m pipelines prepare configs/prepare/debug.yaml -o $@
	$(BIN)/python -m pipelines metadata $@ --no-report

# Installs nothing: a machine with a GPU often has its own torch, and no network.
bench-gpu:  ## Measure on a CUDA device, in nine minutes; ARGS="--device cpu --tiny" to see that it runs
	PYTHONPATH=. $$([ -x $(BIN)/python ] && echo $(BIN)/python || echo python3) benchmarks/gpu.py $(ARGS)

install-core: $(VENV)/.core  ## What a user needs
install-dev: $(VENV)/.dev  ## What a developer needs

$(UV):
	@command -v $(PYTHON) >/dev/null || python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || \
	  { echo "valle needs Python 3.11 or 3.12. Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 4; }
	$$(command -v $(PYTHON) || command -v python3) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.core: requirements.lock pyproject.toml | $(UV)
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --require-hashes -r requirements.lock
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(UV)
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --require-hashes -r requirements-dev.lock
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps -e .
	@touch $@ $(VENV)/.core

lock: | $(UV)  ## Resolve both lock files again after a change of the dependencies
	$(UV) pip compile -q pyproject.toml --universal --generate-hashes --no-header --no-annotate -o requirements.lock
	$(UV) pip compile -q pyproject.toml --universal --generate-hashes --no-header --no-annotate --all-extras -c requirements.lock -o requirements-dev.lock
	@! grep -nE 'https?://|index-url|find-links' requirements.lock requirements-dev.lock

clean:  ## Remove what was built; recordings, datasets and runs stay
	rm -rf $(VENV) .demo .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './data/*' -prune -exec rm -rf {} +
