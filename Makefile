# make run    the main job: environment, install, model, then LU-KV beside the full cache and uniform
# make test   all tests, a worker process per core (eight at most: each may load the default model); two more than
#             cores took a quarter more CPU time, and longer
# make check  formatting and lint (make lint), types (make types)
# make format write the formatting
# make docs   write docs/methods/README.md from the docstrings
# make aot    compile every Triton kernel for four kinds of cards, without a card: the tests compile a part of it
# make bench-kernels  what the kernels take and move at real models' shapes; ARGS="--budgets FOLDER --json PATH"
# make gpu-check      on a machine with a GPU: is all right, and what does it cost? Installs nothing (docs/gpu-check.md)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Python compiles what is imported, and keeps it: compiling all 20,000 installed files here would take longer than the rest.
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-compile
IMPORTED := lukv_bench.bench.run.session, transformers.models.llama.modeling_llama, streamlit.testing.v1
COMPILE := $(BIN)/python -P -c 'import $(IMPORTED)'
# One process compiles the tests and what they import, now and later: without it, each worker of the tests would.
COLLECT := $(BIN)/python -P -c 'import sys, pytest; ended = pytest.main(["--collect-only", "-qq"]); import $(IMPORTED); sys.exit(ended)'
export PYTHONDONTWRITEBYTECODE := # empty: where it is set, every process would compile for 7 s and keep nothing
TEST_PROCESSES := $(shell $(PYTHON) -c 'import os; print(min(8, os.cpu_count() or 1))')
SOURCES := pyproject.toml constraints.txt __init__.py

.PHONY: run test check lint types format docs aot bench-kernels gpu-check

run: $(VENV)/installed
	$(BIN)/lukv-bench run --allocator lukv --scorer keydiff --batch 1

test: $(VENV)/compiled
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal

check: lint types

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/installed-dev .typing/lukv_bench
	$(BIN)/mypy
	$(BIN)/mypy tests/bench/api/typed_script.py

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/installed
	$(BIN)/python -m lukv_bench.bench.plugins.method_pages

aot: $(VENV)/installed-dev
	TRITON_INTERPRET=0 $(BIN)/python -P -m lukv_bench.kernels.aot $(ARGS)

bench-kernels: $(VENV)/installed-dev
	$(BIN)/python tests/benchmarks/kernels.py $(ARGS)

# With the environment that is there: a machine with a GPU may have no network.
GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
gpu-check: .typing/lukv_bench
	PYTHONPATH=$(CURDIR)/.typing:$(PYTHONPATH) $(GPU_PYTHON) tests/benchmarks/gpu_check.py $(ARGS)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "lukv-bench needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25' # older ones take a minute more to choose versions

$(VENV)/installed: $(BIN)/python $(SOURCES)
	$(PIP_INSTALL) -c constraints.txt -e .
	$(COMPILE)
	@touch $@

$(VENV)/installed-dev: $(BIN)/python $(SOURCES)
	$(PIP_INSTALL) -c constraints.txt -e '.[dev]'
	@touch $(VENV)/installed $@

# A step of its own, which linters and mypy need not wait for.
$(VENV)/compiled: $(VENV)/installed-dev
	$(COLLECT) >$@.log || { cat $@.log; exit 1; }
	@touch $@

# mypy wants the package under its own name; the checkout's folder may have any.
.typing/lukv_bench:
	mkdir -p .typing && ln -sfn .. $@
