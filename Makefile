# All tasks: people and CI run the same ones.
PYTHON ?= python3
PORT ?= 3000
# Tests mostly wait for the servers they start; all tests of a file run in one process.
PROCESSES ?= 2
# Frameworks to install in addition: make setup EXTRAS="xgboost lightgbm"
EXTRAS ?=
BIN := .venv/bin
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := True
export DO_NOT_TRACK := 1
export ORT_DISABLE_TELEMETRY := 1
# Images of containers and of CI often set it. Then each process compiles 2,000 modules again:
# `import mlflow` costs 4.6 s of CPU instead of 1.7 s, and the tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup lock protos format lint type test test-fast demo train promote pull serve bento image up down bench docs clean

help: ## Show the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(BIN)/.ready $(EXTRAS:%=$(BIN)/.extra-%) ## Create .venv from the hash-pinned lock; EXTRAS="xgboost" adds one

$(BIN)/.ready: requirements/bootstrap.txt requirements/development.txt requirements/environment.pth pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("expected Python >= 3.11, got " + sys.version.split()[0] + "\nhelp: make PYTHON=python3.11 ...")'
	@echo "Creating .venv from requirements/development.txt"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bootstrap.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/development.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@cp requirements/environment.pth "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	@touch $@

# A new .venv, or one that was synchronised again, has no extras.
$(BIN)/.extra-%: requirements/%.txt $(BIN)/.ready
	@echo "Adding requirements/$*.txt"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/$*.txt
	@touch $@

lock: setup ## Resolve requirements/*.in again into hash-pinned locks
	cd requirements && for name in bootstrap development; do ../$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --override overrides.in $$name.in -o $$name.txt; done
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c development.txt serving.in -o serving.txt
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c development.txt --override overrides.in platform.in -o platform.txt
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c development.txt serving-sklearn.in -o serving-sklearn.txt
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c development.txt serving-grpc.in -o serving-grpc.txt
	cd requirements && ../$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c development.txt serving-lambda.in -o serving-lambda.txt
	cd requirements && for name in xgboost lightgbm catboost docs; do ../$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 -c development.txt $$name.in -o $$name.txt; done

protos: setup ## Compile the .proto files of services/grpc
	$(BIN)/python -m tests.services.grpc.compile_protos

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

lint: setup ## Check style, the import law and plain English
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m tests.plain_english

type: setup ## Check the types
	$(BIN)/mypy

# Coverage costs processor time, so only CI measures it.
test: lint type ## Run every check and test; with CI set, report coverage
	$(BIN)/pytest --numprocesses $(PROCESSES) --dist loadfile $(if $(CI),--cov --cov-report=)
	$(if $(CI),$(BIN)/python -m tests.coverage_by_package)

test-fast: setup ## Run the tests that start no servers
	$(BIN)/pytest -m "not slow"

demo: setup ## Train, promote, serve, send traffic, write the drift reports
	$(BIN)/slipway demo --port $(PORT)

train: setup ## Train and register every recipe
	$(BIN)/slipway train --all

promote: setup ## Promote the newest version: make promote MODEL=loan
	$(BIN)/slipway promote $(MODEL)

pull: setup ## Fetch and verify the Production models
	$(BIN)/slipway pull

serve: setup ## Serve the Production models
	$(BIN)/slipway serve --port $(PORT)

bento: pull ## Build the Bento from the Production models
	$(BIN)/bentoml build

image: bento ## Build the container image with podman
	$(BIN)/python deploy/podman/here.py deploy/podman/base-image.sh
	$(BIN)/python deploy/podman/here.py --build $(BIN)/bentoml containerize predictor:latest --backend podman --image-tag predictor:latest

PROFILE ?= full
up: ## Bring the platform up with docker compose or podman-compose: make up PROFILE=minimal
	deploy/compose/up.py $(PROFILE) up --detach

down: ## Stop the platform; its volumes stay
	deploy/compose/up.py $(PROFILE) down

bench: setup ## Compare the service with its peers on this machine (needs wrk)
	$(BIN)/python -m benchmarks.serving

docs: setup $(BIN)/.extra-docs ## Write docs/reference, build the documentation site in build/site
	$(BIN)/python -m docs_site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean: ## Remove the environment and by-products; models, traffic and runs stay
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
