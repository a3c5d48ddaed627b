# Mainspring, from a clone. `make demo` and `make test` do all set-up themselves.
# PYTHON=/path/to/python3.12 picks the interpreter, QUICK=1 a short demo, FRESH=1 a new one.

VENV := .venv
PYTHON_BIN := $(VENV)/bin/python
READY := $(VENV)/.ready
LOCKS := requirements/build.txt requirements/core.txt requirements/dev.txt
# PyTorch is in no lock with hashes (requirements/torch.in says why).
EXTRAS := $(foreach each,cloud dask env lightgbm ml postgresql xgboost,--extra $(each))
ARGS ?=
UV ?= uv
CODE := src tests tools bench examples
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
    --no-emit-index-url --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-engines test-torch check bench bench-check bench-peers docs lock format clean

help:  ## Show the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(READY)  ## Make .venv from the locks (the other verbs do it themselves)

$(READY): pyproject.toml $(LOCKS) tools/setup.sh
	@PYTHON="$(PYTHON)" sh tools/setup.sh
	@touch $@

demo: $(READY)  ## A year of flights, from raw data to a service that renews itself [QUICK=1] [FRESH=1]
	@MAINSPRING_HOME="$(CURDIR)/.mainspring" $(PYTHON_BIN) examples/flights/replay.py \
	    $(if $(QUICK),--quick) $(if $(FRESH),--fresh) $(ARGS)

test: $(READY) $(VENV)/mlflow/.ready  ## Run the tests, four at once at most [ARGS="tests/unit -k cache -n 0"]
	@$(PYTHON_BIN) -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

$(VENV)/mlflow/.ready: requirements/mlflow.txt | $(READY)
	@echo "Installing MLflow in an environment of its own, for tests that run its programs (about 1 GB, a minute)"
	@$(PYTHON_BIN) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install -qq --no-input --disable-pip-version-check --no-deps --require-hashes \
	    --only-binary :all: -r requirements/mlflow.txt
	@touch $@

test-engines: $(READY) $(VENV)/engines/.ready  ## Run the tests that need what no wheel brings
	@PATH="$(CURDIR)/$(VENV)/engines/node_modules/.bin:$$PATH" $(PYTHON_BIN) -m pytest -m engines $(ARGS)

$(VENV)/engines/.ready: tests/engines/package-lock.json
	@mkdir -p $(@D) && cp tests/engines/package.json tests/engines/package-lock.json $(@D)/
	@cd $(@D) && npm ci --silent --no-fund --no-audit --ignore-scripts
	@touch $@

test-torch: $(READY) $(VENV)/torch/.ready  ## Run the tests with PyTorch, Lightning and Hugging Face
	@$(VENV)/torch/bin/python -m pytest -m torch tests/pytorch $(ARGS)

# By uv, which holds to hashes where there are some: PyTorch itself has none (requirements/torch.in says why).
$(VENV)/torch/.ready: requirements/torch.txt pyproject.toml | $(READY)
	@echo "Installing PyTorch for the CPU in an environment of its own (about 1.7 GB)"
	@$(PYTHON_BIN) -m venv --clear $(@D)
	@UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(VENV)/bin/uv pip install --quiet --python $(@D)/bin/python --no-deps \
	    --only-binary :all: -r requirements/build.txt -r requirements/torch.txt
	@$(VENV)/bin/uv pip install --quiet --python $(@D)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

check: $(READY)  ## Lint, types, floors, budgets, docs
	@$(VENV)/bin/ruff format --check --quiet $(CODE)
	@$(VENV)/bin/ruff check --quiet $(CODE)
	@$(VENV)/bin/mypy --no-error-summary
	@$(VENV)/bin/lint-imports --no-cache >$(VENV)/imports.txt 2>&1 || { cat $(VENV)/imports.txt; exit 1; }
	@$(PYTHON_BIN) tools/structure.py
	@$(PYTHON_BIN) -m pytest tests/docs

bench: $(READY)  ## Measure against what is promised
	@$(PYTHON_BIN) -m bench $(ARGS)

bench-check: $(READY)  ## Measure against the committed budgets [ARGS="--only Faces Steps"], or lower them [ARGS=--tighten]
	@$(PYTHON_BIN) -m bench --check $(ARGS)

bench-peers: $(READY)  ## Measure beside other tools, each in an environment of its own (needs uv, Linux)
	@$(PYTHON_BIN) -m bench.peers --write $(ARGS)

docs: $(READY)  ## Write docs/reference from the code
	@$(PYTHON_BIN) tools/reference.py

lock:  ## Resolve the locks anew (needs uv; name packages with ARGS="--upgrade-package polars")
	@UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(COMPILE) $(ARGS) --group pyproject.toml:build -o requirements/build.txt
	@UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(COMPILE) $(ARGS) pyproject.toml $(EXTRAS) --group dev \
	    --override requirements/overrides.txt --no-emit-package pandas -c requirements/build.txt -o requirements/dev.txt
	@UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(COMPILE) $(ARGS) pyproject.toml -c requirements/dev.txt -o requirements/core.txt
	@UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(COMPILE) $(ARGS) --group pyproject.toml:mlflow -o requirements/mlflow.txt
	@UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(COMPILE) $(ARGS) pyproject.toml requirements/torch.in --extra data --extra serve \
	    --extra torch --group pyproject.toml:torch --no-emit-package torch -c requirements/dev.txt -o requirements/torch.txt
	@cat requirements/torch.in >>requirements/torch.txt

format: $(READY)  ## Write the code in its house style
	@$(VENV)/bin/ruff format --quiet $(CODE)
	@$(VENV)/bin/ruff check --quiet --fix $(CODE)

clean:  ## Remove .venv, caches and the demo's state
	rm -rf $(VENV) .mainspring .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
