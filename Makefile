# `make demo` and `make test` set up what is missing by themselves.
PYTHON ?= python3
BIN := .venv/bin
WORKERS := $(shell $(PYTHON) -c 'import os; print(min(4, (os.cpu_count() or 1) + 2))')  # more than cores: many tests wait for something

.PHONY: setup demo test check collected faults load docs clean binary binary-test binary-e2e binary-release

setup: .venv/ready

.venv/ready: pyproject.toml packaging/synapse
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "synapse needs python3 >= 3.11; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(BIN)/python -m compileall -q synapse plugins
	touch $@

demo: setup
	$(BIN)/python -m synapse demo

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Loads every test once, beside the types: its workers need not each rewrite all their asserts then.
collected: setup
	@said=$$(PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --collect-only -qq) || { echo "$$said"; exit 1; }

test: setup
	@$(MAKE) --no-print-directory -j2 check collected
	@echo "not run here: the frozen program (make binary binary-test), fault runs (make faults), measurements (make load)"
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

faults: setup
	$(BIN)/python -m pytest tests/faults -m faults --timeout 1800

load: setup
	@missed=; for script in tests/load/*.py; do case $$script in */_*) ;; *) echo "== $$script"; $(BIN)/python $$script || missed="$$missed $$script";; esac; done; \
	if [ -n "$$missed" ]; then echo "not met:$$missed"; exit 1; fi

# The frozen program (dist/), and what must hold of it; binary-release builds it for older systems, as root on Debian.
binary: setup
	$(BIN)/python packaging/build.py

binary-test: setup
	@ls dist/synapse >/dev/null 2>&1 || { echo "there is no dist/synapse: make binary"; exit 1; }
	$(BIN)/python -m pytest tests/packaging -m bundle

binary-e2e: setup
	PYTHONPATH=$(CURDIR) $(BIN)/python -m pytest -p tests.packaging.frozen tests/e2e

binary-release: setup
	$(BIN)/python packaging/release.py $(OPTIONS)

docs: setup
	$(BIN)/python docs/generate.py
	$(BIN)/python -m synapse.cli.reference

clean:
	rm -rf .venv build dist
