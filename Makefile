# make run: start the app. make test: run the default tests. Both make .venv first; a second start takes seconds.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# two processes, a file of tests in one of them, in their order: the browser, which takes longest, comes first
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder
PORT ?= 8501

.PHONY: run test test-slow test-long lint types check clean

run: $(VENV)/.app
	@echo "Thaw: http://localhost:$(PORT)  (Ctrl-C stops it)"
	@$(BIN)/streamlit run app.py --server.port $(PORT)

test: $(VENV)/.tests
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

test-slow: $(VENV)/.tests
	$(BIN)/python -m pytest -m slow -n 2

test-long: $(VENV)/.tests
	$(BIN)/python -m pytest -m long

lint: $(VENV)/.tests
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.tests
	$(BIN)/mypy

check: lint types test

clean:
	rm -rf $(VENV)

$(VENV)/.app: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.tests: $(VENV)/.app tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@
