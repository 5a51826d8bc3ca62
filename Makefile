# Every target needs Python 3.11 or later and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOST ?=
PORT ?= 8080
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run setup test check format clean browser

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

run: $(VENV)/.installed ## start Parley with its sample handbook, in the browser at http://127.0.0.1:8080
	@$(BIN)/parley up --sample $(if $(HOST),--host $(HOST)) --port $(PORT)

setup: $(VENV)/.installed ## build the environment

test: $(VENV)/.tools browser check ## everything: ruff, mypy, import-linter, pytest
	$(BIN)/pytest -n 2 --dist worksteal

check: $(VENV)/.tools ## ruff, mypy and import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.tools ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

browser: ## install Chromium for the browser tests where that is possible; they skip without it
	@command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	  echo "Installing Chromium for the browser tests" && \
	  { apt-get install -y -q chromium chromium-driver >/dev/null 2>&1 || \
	    { apt-get update -q >/dev/null 2>&1 && apt-get install -y -q chromium chromium-driver >/dev/null 2>&1; }; }; } || \
	echo "No Chromium: the browser tests will say that they skip"

clean: ## take away the environment and the caches, not the data
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Parley needs Python 3.11 or later; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Building the environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing the packages (a few minutes the first time)"
	@$(BIN)/python -m pip install -q --progress-bar on -e .
	@touch $@

$(VENV)/.tools: pyproject.toml | $(VENV)/bin/python
	@echo "Installing the packages and the tools of the tests (a few minutes the first time)"
	@$(BIN)/python -m pip install -q --progress-bar on -e '.[dev]'
	@touch $@ $(VENV)/.installed
