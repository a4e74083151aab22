# `make test` and `make quickstart` each work alone on a fresh clone: they make .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

SERVER := .venv-label-studio
AUDIT := .venv-audit
PEERS := .venv-peers
SERVING_PEERS := .venv-peers-serving
SITE = -c "import sysconfig; print(sysconfig.get_path('purelib'))"
LABEL_STUDIO := 1.23.2

.PHONY: help test test-long test-live audit lint types layers unit quickstart quickstart-tune format bench peers catalogue richhf docs docs-serve screenshots release clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.quickstart: pyproject.toml requirements/quickstart.txt | $(BIN)/python
	@echo "installing about 4 GB into $(VENV), once; this takes some minutes"
	$(BIN)/pip install --quiet --editable ".[quickstart]"
	$(BIN)/pip install --quiet --no-deps --requirement requirements/quickstart.txt
	touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.quickstart
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

test: lint types layers unit  ## linters, types, layers and every test but those of test-long

lint: $(VENV)/.dev  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## mypy, strict
	$(BIN)/mypy

layers: $(VENV)/.dev  ## import-linter: who may import what
	$(BIN)/lint-imports

unit: $(VENV)/.dev  ## every test but those of test-long
	$(BIN)/python -m pytest -q --numprocesses auto --dist loadfile -m "not long"

test-long: $(VENV)/.dev  ## tests that train until something is learned, or many processes
	$(BIN)/python -m pytest -q --numprocesses auto --dist loadfile -m long

$(SERVER)/.$(LABEL_STUDIO):
	$(PYTHON) -m venv $(SERVER)
	$(SERVER)/bin/pip install --quiet label-studio==$(LABEL_STUDIO)
	touch $@

test-live: $(VENV)/.dev $(SERVER)/.$(LABEL_STUDIO)  ## annotation on a real Label Studio, answered in a real browser
	BEHOLDER_LABEL_STUDIO=$(abspath $(SERVER))/bin/label-studio $(BIN)/python -m pytest -q -m label_studio tests/live

$(AUDIT)/bin/pip-audit:
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/pip install --quiet pip-audit

audit: $(VENV)/.dev $(AUDIT)/bin/pip-audit  ## known weaknesses of what is installed
	$(AUDIT)/bin/python .ci/audit $(AUDIT)/bin/pip-audit $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")

quickstart: $(VENV)/.quickstart  ## the whole loop on built-in data, offline; then open quickstart/report.html
	$(BIN)/beholder quickstart quickstart

quickstart-tune: $(VENV)/.quickstart  ## the same, then a small pipeline is tuned with its reward; open quickstart/tuned/report.html
	$(BIN)/beholder quickstart quickstart --tune

format: $(VENV)/.dev  ## rewrite the sources as ruff likes them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## every benchmark beside its peers, in one run; writes benchmarks/results, shows what became slower
	$(BIN)/python -m benchmarks

# Peers pin releases that cannot stand together: they are installed without what they depend on, on top of .venv.
$(PEERS)/.installed: requirements/peers.txt $(VENV)/.dev
	$(PYTHON) -m venv $(PEERS)
	$(BIN)/python $(SITE) > $$($(PEERS)/bin/python $(SITE))/shared.pth
	$(PEERS)/bin/pip install --quiet --no-deps --requirement requirements/peers.txt
	touch $@

$(SERVING_PEERS)/.installed: requirements/peers-serving.txt $(VENV)/.dev
	$(PYTHON) -m venv $(SERVING_PEERS)
	$(BIN)/python $(SITE) > $$($(SERVING_PEERS)/bin/python $(SITE))/shared.pth
	$(SERVING_PEERS)/bin/pip install --quiet --requirement requirements/peers-serving.txt
	touch $@

peers: $(PEERS)/.installed $(SERVING_PEERS)/.installed  ## what the benchmarks compare with, in environments of their own

docs: $(VENV)/.dev  ## the documentation's site; open site/index.html, no server needed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

docs-serve: $(VENV)/.dev  ## the same on http://127.0.0.1:8000, built again as pages change
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve --watch handbook

screenshots: $(VENV)/.dev  ## every picture of docs/images, made anew with a browser
	$(BIN)/python -m handbook.screenshots

release: $(VENV)/.dev  ## wheel and sdist in fresh environments of every Python, each extra by itself; half an hour
	$(PYTHON) .ci/release

catalogue: $(VENV)/.quickstart  ## write the pages of the rewards and of all licences from their cards
	$(BIN)/beholder rewards --markdown > docs/rewards.md
	$(BIN)/python -m handbook.licences > docs/licences.md

richhf: $(VENV)/.dev  ## RichHF trained on scenes and measured, over an hour on two cores
	$(BIN)/python -m benchmarks._richhf --folder runs/scenes

clean:  ## forget the environment and everything that was made
	rm -rf $(VENV) $(SERVER) $(AUDIT) $(PEERS) $(SERVING_PEERS) quickstart build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache
