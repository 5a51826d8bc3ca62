# Every target needs Python 3.11 or later, make and bash, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOST ?=
PORT ?= 8080
CHECKS = $(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run setup test test-fast test-peers chaos check docs-check dist format lock licences sbom browser peers clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

run: $(VENV)/.installed ## start Parley with its sample handbook at http://127.0.0.1:8080
	@$(BIN)/parley up --sample $(if $(HOST),--host $(HOST)) --port $(PORT)

setup: $(VENV)/.installed ## create the virtual environment and install Parley

test: $(VENV)/.tools browser peers ## run everything: ruff, mypy, import-linter and all tests
	@checked=$$(mktemp); status=0; \
	{ $(CHECKS); } >"$$checked" 2>&1 & checking=$$!; \
	$(BIN)/pytest -n 4 --dist worksteal || \
	{ echo "Running the tests that failed once more, one at a time: on a busy machine some run out of time"; \
	  $(BIN)/pytest --last-failed --last-failed-no-failures none; } || status=1; \
	wait $$checking || status=1; cat "$$checked"; rm "$$checked"; exit $$status

test-fast: $(VENV)/.tools ## run the unit tests: no database, no sockets, no browser, no killed processes
	$(BIN)/pytest -n 2 --dist worksteal -m unit

check: $(VENV)/.tools ## run ruff, mypy and import-linter
	$(CHECKS)

test-peers: $(VENV)/.tools peers ## install model servers and process managers of others in .venv-peers, and test against them
	@PYTHON=$(BIN)/python scripts/peers.sh .venv-peers
	$(BIN)/pytest tests/peers -rs

chaos: $(VENV)/.tools ## run the nightly chaos check: 10 minutes of kills, PostgreSQL crashes, network faults and outages
	$(BIN)/python -m benchmarks.chaos --minutes 10 --events 3000 --outage-every 60 120 --outage-seconds 10 60 \
	  --network-every 20 40 $(CHAOS)

docs-check: $(VENV)/.tools ## check the links, commands and examples in the documentation
	$(BIN)/python -m tests.docs.docs_check

dist: $(VENV)/.installed ## build the wheel in dist/, for pipx, uvx and pip
	@rm -rf build dist
	@$(BIN)/python -m pip wheel -q --no-deps --no-build-isolation --wheel-dir dist .
	@rm -rf build && ls dist/*.whl

format: $(VENV)/.tools ## format the code and apply ruff's fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/bin/python ## update requirements.lock and requirements-dev.lock to the newest allowed versions
	scripts/lock.sh $(BIN)/python

licences: $(VENV)/.tools ## list the runtime packages with their licences; fails if one is not on the allow-list
	@$(BIN)/python -m scripts.licences

sbom: $(VENV)/.tools ## write sbom.cdx.json, a CycloneDX bill of materials of the runtime packages
	@$(BIN)/python -m scripts.sbom >sbom.cdx.json && echo "Written to sbom.cdx.json"

browser: ## install Chromium for the browser tests where possible; without it they are skipped
	@command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	  echo "Installing Chromium for the browser tests" && \
	  { apt-get install -y -q chromium chromium-driver >/dev/null 2>&1 || \
	    { apt-get update -q >/dev/null 2>&1 && apt-get install -y -q chromium chromium-driver >/dev/null 2>&1; }; }; } || \
	echo "Chromium is not installed: the browser tests are skipped"

peers: ## install PgBouncer and nginx for the tests behind them where possible; without them they are skipped
	@{ [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null 2>&1; } && \
	{ [ -x /usr/sbin/nginx ] || command -v nginx >/dev/null 2>&1; } || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	  echo "Installing PgBouncer and nginx for the tests behind them" && \
	  { apt-get install -y -q pgbouncer nginx-light >/dev/null 2>&1 || \
	    { apt-get update -q >/dev/null 2>&1 && apt-get install -y -q pgbouncer nginx-light >/dev/null 2>&1; }; }; } || \
	echo "PgBouncer or nginx is not installed: the tests behind them are skipped"

clean: ## delete the virtual environment and the caches, not the data
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Parley needs Python 3.11 or later. Name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Creating the virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml requirements.lock | $(VENV)/bin/python
	@echo "Installing Parley (a few minutes the first time)"
	@scripts/install.sh $(VENV)
	@touch $@

$(VENV)/.tools: pyproject.toml requirements.lock requirements-dev.lock | $(VENV)/bin/python
	@echo "Installing Parley and the test tools (a few minutes the first time)"
	@scripts/install.sh $(VENV) dev
	@touch $@ $(VENV)/.installed
