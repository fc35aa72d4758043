# The one door. Every target works on a machine that has only Python 3.11+, venv and make; each sets up what it lacks.
PYTHON ?= python3
VENV := .venv
DEMO_VENV := .venv-demo
BIN := $(VENV)/bin
PORT ?= 8080
WORKERS ?= 2
PIP_QUIET := --quiet --disable-pip-version-check

.PHONY: setup demo test check format bench soak docs mutants clean
.DEFAULT_GOAL := help

help: ## what each target does
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

setup: $(VENV)/.ready ## .venv with everything that tests and checks need

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "billsmith needs Python 3.11 or newer; name one: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_QUIET) --editable '.[dev]'
	@touch $@

demo: ## the four vendors' invoice lists from one store: make demo [PORT=8080]
	@PYTHON='$(PYTHON)' VENV='$(DEMO_VENV)' PORT='$(PORT)' sh scripts/demo.sh

test: setup ## every test
	$(BIN)/python -m pytest -n $(WORKERS) -q

check: setup ## format, lint, types, import rules; no tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## write the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## the benchmarks; results in benchmarks/results/, read benchmarks/README.md
	$(BIN)/python -m benchmarks

soak: setup ## hours of faults: python -m tests.soak
	$(BIN)/python -m tests.soak

docs: setup ## write the generated reference pages anew
	$(BIN)/python -m tests.docs.generate

mutants: $(VENV)/.mutants ## mutation tests of units, rating and invoicing
	BILLSMITH_EXAMPLES=30 $(BIN)/mutmut run

$(VENV)/.mutants: $(VENV)/.ready
	$(BIN)/python -m pip install $(PIP_QUIET) '.[mutants]'
	@touch $@

clean: ## drop environments and caches
	rm -rf $(VENV) $(DEMO_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
