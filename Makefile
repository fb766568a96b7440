# Few verbs; `.ci/run` calls the same ones. A fresh machine needs Python 3.11-3.13, pip and make.
#   make demo    make test    make check    make fmt | lint | type | docs | env
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= demo-out

# Stamps: an environment is made again when what defines it has changed.
DEFINITION := pyproject.toml constraints.txt tools/environment.py tools/install_torch.py
CORE := $(VENV)/.anyweave-core
DEV  := $(VENV)/.anyweave-dev

.PHONY: demo test fmt lint type docs check env
.DEFAULT_GOAL := test

demo: $(CORE)
	$(BIN)/anyweave demo --out $(OUT) --overwrite

# A process per core, up to four: each imports PyTorch. Files stay together, and so do their fixtures.
test: $(DEV)
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

fmt: $(DEV)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

type: $(DEV)
	$(BIN)/mypy

docs: $(DEV)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: lint type docs test

env: $(DEV)

$(CORE): $(DEFINITION)
	$(PYTHON) tools/environment.py --venv $(VENV)

$(DEV): $(DEFINITION)
	$(PYTHON) tools/environment.py --venv $(VENV) --extras dev,docs
