# segcert: `make run` and `make test` set everything up in .venv by themselves.

PYTHON ?= $(firstword $(shell command -v python3.11 python3))
VENV := .venv
INSTALLED := $(shell cat $(VENV)/complete 2>/dev/null)
TORCH ?= $(or $(INSTALLED),auto)
BIN := $(VENV)/bin
CHECKERS := .venv-checkers
UV ?= $(BIN)/uv
CLUSTER := .venv-cluster
LOCKS := envs/lock-common.txt envs/lock-torch-cpu.txt envs/lock-torch-cuda.txt
LOCKED = pip install --quiet --no-deps --require-hashes -r
INSTALL = $(BIN)/$(LOCKED) envs/lock-common.txt -r

PYTEST = OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist worksteal
QUICK := tests/unit tests/statistics tests/golden tests/pipeline
SYSTEM := tests/system

.DEFAULT_GOAL := help
.PHONY: help run status push test test-rest test-pythons test-all screenshots env cluster lint format lock config docs clean

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

run: env  ## Run the whole pipeline on the embedded phantom; CONFIG=config/montgomery.yaml for another run
	$(BIN)/snakemake $(if $(CONFIG),--configfile $(CONFIG))

status: env  ## Say what is stale, stage by stage, and why; CONFIG as for run
	$(BIN)/segcert status $(if $(CONFIG),--configfile $(CONFIG))

push: env  ## Push data, models and results of the run to the DVC remote
	$(BIN)/snakemake push $(if $(CONFIG),--configfile $(CONFIG))

test: env  ## Run the tests of a newcomer: units, statistics, one tiny run
	$(PYTEST) $(QUICK)

test-rest: env $(CHECKERS)/complete $(CLUSTER)/complete  ## Run all other tests: storage, clusters, browser, deployment, faults
	$(PYTEST) $(SYSTEM)

test-pythons: env  ## Run the tests of the parts without torch on each of Python 3.11, 3.12 and 3.13 that is found here
	PYTHONPATH=scripts $(BIN)/python -m tests.tools.pythons $(UV)

test-all: test test-rest  ## Run all tests

screenshots: env  ## Picture every page of a run at several widths and on paper, to look at; RUN=phantom
	$(BIN)/python -m tests.tools.screenshots reports/$(or $(RUN),phantom) build/screenshots

env: $(VENV)/complete  ## Set up .venv from the hash-locked files (TORCH=cpu|cuda chooses the build)

ifneq ($(TORCH),$(INSTALLED))
.PHONY: $(VENV)/complete
endif
$(VENV)/complete: $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "The locked packages need Python 3.11, found: $$($(PYTHON) --version). Write: make env PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
ifeq ($(TORCH),auto)
	$(INSTALL) envs/lock-torch-cpu.txt || $(INSTALL) envs/lock-torch-cuda.txt
else
	$(INSTALL) envs/lock-torch-$(TORCH).txt
endif
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/pip check
	@echo $(TORCH) > $@

$(CHECKERS)/complete: envs/lock-checkers.txt | env
	$(PYTHON) -m venv --clear $(CHECKERS)
	$(CHECKERS)/bin/$(LOCKED) $<
	$(CHECKERS)/bin/pip check
	@touch $@

cluster: $(CLUSTER)/complete  ## Set up .venv-cluster: .venv with Snakemake's plugins for SLURM, Kubernetes and S3 on top

$(CLUSTER)/complete: envs/lock-cluster.txt | env
	$(PYTHON) -m venv --clear --without-pip $(CLUSTER)
	$(BIN)/pip --python $(CLUSTER) install --quiet --no-deps --require-hashes -r $<
	cd $(CLUSTER)/lib/python3*/site-packages && \
		echo "import site; site.addsitedir('$$(cd $(abspath $(VENV))/lib/python3*/site-packages && pwd)')" > segcert.pth
	sed '1s|.*|#!$(abspath $(CLUSTER))/bin/python|' $(BIN)/snakemake > $(CLUSTER)/bin/snakemake
	chmod +x $(CLUSTER)/bin/snakemake
	$(BIN)/pip --python $(CLUSTER) check
	@touch $@

lint: env  ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile rules workflow
	$(BIN)/mypy
	$(BIN)/python -m tests.tools.snakemake_lint

format: env  ## Format Python and Snakemake files
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format
	$(BIN)/snakefmt Snakefile rules workflow

lock: env  ## Resolve pyproject.toml into envs/lock-*.txt and the conda files; UPGRADE=1 takes the newest versions
	$(BIN)/python envs/lock.py $(if $(UPGRADE),--upgrade)
	PYTHONPATH=scripts $(BIN)/python envs/conda.py

config: env  ## Write config/default.yaml, schema.json and the page of all keys from the configuration model
	PYTHONPATH=scripts $(BIN)/python -m segcert.config

docs: env config  ## Build the documentation into site/, which opens without a server
	$(BIN)/python -m typer scripts/segcert/cli.py utils docs --name segcert --title Command --output docs/reference/command.md
	$(BIN)/mkdocs build --clean

clean:  ## Delete what runs made (data, models, results, reports, logs); .venv and DVC's cache stay
	rm -rf data models results .segcert .snakemake logs $(filter-out reports/captions,$(wildcard reports/*))
