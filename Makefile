# `make run` and `make test` make .venv first; a second start takes seconds.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# two processes, each with half of the tests in their order; who has done his half takes of the other's
SIDE_BY_SIDE := -n 2 --dist worksteal
# the tests start many processes: none is to compile core anew
unexport PYTHONDONTWRITEBYTECODE
PORT ?= 8501
.DEFAULT_GOAL := help

.PHONY: help run test test-slow test-long coverage lowest lint types check lock pictures clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

run: $(VENV)/.app ## start the app and print its address (PORT=8501)
	@echo "Thaw: http://localhost:$(PORT)  (Ctrl-C stops it)"
	@$(BIN)/streamlit run app.py --server.port $(PORT)

test: $(VENV)/.tests ## the default tests, in two processes
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

test-slow: $(VENV)/.tests ## training on real photos where they are at hand, strace, an installed wheel, axe on every page
	$(BIN)/python -m pytest -m "slow or browser" $(SIDE_BY_SIDE)

test-long: $(VENV)/.tests ## a server that is restarted thirty times during a training
	$(BIN)/python -m pytest -m long

coverage: $(VENV)/.tests ## the default tests, and which lines and branches of core they reach
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --cov

lowest: $(VENV)/.tests ## the default tests with the oldest versions that pyproject.toml allows, in .venv-lowest
	$(BIN)/uv venv --quiet --allow-existing --python $(PYTHON) $(VENV)-lowest
	VIRTUAL_ENV=$(VENV)-lowest $(BIN)/uv pip install --quiet --resolution lowest-direct -r requirements.txt
	VIRTUAL_ENV=$(VENV)-lowest $(BIN)/uv pip install --quiet -r tests/requirements.txt
	$(VENV)-lowest/bin/python -m pytest $(SIDE_BY_SIDE)

lint: $(VENV)/.tests ## style and spelling
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/typos

types: $(VENV)/.tests ## types of core, pages and benchmarks
	$(BIN)/mypy

check: lint types test ## all three

lock: $(VENV)/.tests ## write requirements.lock anew: the newest versions that fit, with hashes
	$(BIN)/uv pip compile pyproject.toml --upgrade --universal --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make lock" --quiet -o requirements.lock

pictures: $(VENV)/.tests ## README's pictures anew, of the home OF=folder, else of a race that is run first
	$(BIN)/python benchmarks/pictures.py docs --readme $(if $(OF),--home $(OF))

clean: ## remove the environments
	rm -rf $(VENV) $(VENV)-lowest

$(VENV)/.app: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.tests: $(VENV)/.app tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@
