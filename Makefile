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

.PHONY: help run test test-slow test-long test-image proof coverage lowest lint types check lock audit sbom space pictures \
  clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

run: $(VENV)/.app ## start the app and print its address (PORT=8501)
	@echo "Thaw: http://localhost:$(PORT)  (in some seconds; Ctrl-C stops it)"
	@$(BIN)/streamlit run app.py --server.port $(PORT)

test: $(VENV)/.tests ## the default tests, in two processes
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

test-slow: $(VENV)/.tests ## a browser's whole way, real photos where they are at hand, strace, an installed wheel, axe on every page
	$(BIN)/python -m pytest -m "(slow or browser) and not long" $(SIDE_BY_SIDE)

test-long: $(VENV)/.tests ## promises at length: thirty restarts of a server, every backbone taken home, the oldest and the newest Streamlit
	$(BIN)/python -m pytest -m long

proof: $(VENV)/.tests ## a page of figures on whether runs survive, in hours; SHORT=1: about 100 kills, in minutes
	$(BIN)/python benchmarks/proof.py $(if $(SHORT),--short)

test-image: $(VENV)/.tests ## the image, built from nothing and used in a Chromium; as root, with buildah and debootstrap
	$(BIN)/python -m pytest tests/image -m image

coverage: $(VENV)/.tests ## the default tests, and which lines and branches of core they reach
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --cov
	@rm -f .coverage.* # of processes that tests have killed

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
	$(BIN)/uv pip compile pyproject.toml --extra signin --upgrade --universal --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make lock" --quiet -o requirements.lock

audit: $(VENV)/.tests ## known weaknesses of what requirements.lock names; says so where no database answers
	$(BIN)/python benchmarks/audit.py

sbom: $(VENV)/.tests ## build/sbom.json: what requirements.lock names, as CycloneDX
	@mkdir -p build
	$(BIN)/uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py requirements --pyproject pyproject.toml \
	  --output-reproducible --of JSON -o build/sbom.json requirements.lock

space: $(VENV)/.tests ## whether this can be a Hugging Face Space, and how it becomes one
	$(BIN)/python -m pytest -q tests/test_space.py
	@echo 'What is committed can be a Space. To make one, or to bring it up to date, put your name for OWNER:'
	@echo
	@echo '  $(BIN)/hf auth login'
	@echo '  $(BIN)/hf repos create OWNER/thaw --type space --sdk docker --exist-ok'
	@echo '  mkdir -p build/space && git archive HEAD | tar -x -C build/space'
	@echo '  $(BIN)/hf upload spaces/OWNER/thaw build/space . --delete "*"'
	@echo
	@echo 'The Space builds the image and starts it, in about ten minutes. Why not git push, and more: docs/hosting.md'

pictures: $(VENV)/.tests ## README's pictures anew, of the home OF=folder, else of a race that is run first
	$(BIN)/python benchmarks/pictures.py docs --readme $(if $(OF),--home $(OF))

clean: ## remove the environments
	rm -rf $(VENV) $(VENV)-lowest

# not compiled: most modules of torch are never imported, the others are compiled when they are
$(VENV)/.app: requirements.txt
	@echo 'Installing into $(VENV): some minutes and 6 GB, most of it for graphics cards (less: docs/devices.md)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
	@touch $@

$(VENV)/.tests: $(VENV)/.app tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r tests/requirements.txt
	@touch $@
