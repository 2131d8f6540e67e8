# segcert: every target sets up only the environments that it needs.

# Snakemake, and the programs in an environment, write the path of this folder into command lines without quotes.
ODD := $(shell case "$$(pwd -P)" in (*[][:space:]\'\"\`\$$\&\;\|\<\>\(\){}[*?!\#%:\\]*) echo odd;; esac)
ifneq ($(ODD),)
$(error The path of this folder contains a character that a job's shell would interpret (a space, a quote, $$, :, ...). Move the folder to a path of letters, digits and / . _ - + , @ = ~ ^, then write: make run)
endif

PYTHON ?=
INSTALLED := $(shell cat .venv/complete 2>/dev/null)
TORCH ?= $(or $(INSTALLED),auto)
BIN := .venv/bin
DEV := .venv-dev/bin
NO_FILE = $(error CONFIG: found $(CONFIG), which is not a file. Write, for example: CONFIG=config/montgomery.yaml)
CONFIGFILE = $(if $(CONFIG),$(if $(wildcard $(CONFIG)),--configfile $(CONFIG),$(NO_FILE)))
SETUP = $(or $(PYTHON),python3) envs/install.py $(if $(PYTHON),--python $(PYTHON))

# Quick tests run in any free process (worksteal). System tests of one module run in the same process, so that they
# share the module's runs. They spend half of their time waiting for clusters, stores and browsers, so there is one more
# process than there are cores.
PYTEST = OMP_NUM_THREADS=1 $(DEV)/pytest
QUICK := tests/unit tests/statistics tests/golden tests/pipeline
SYSTEM := tests/system

.DEFAULT_GOAL := help
.PHONY: help run status push pull test test-rest test-pythons test-all screenshots env dvc dev checkers cluster lint format \
	lock config docs clean

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 13

run: env dvc  ## Run the complete pipeline on the embedded phantom; for a different run: CONFIG=config/montgomery.yaml
	$(BIN)/snakemake $(CONFIGFILE)

status: env  ## List stale jobs, stage by stage, and the reasons; for a different run: CONFIG=config/montgomery.yaml
	$(BIN)/segcert status $(CONFIGFILE)

push: env dvc  ## Push the run's data, models and results to the DVC remote
	$(BIN)/snakemake push $(CONFIGFILE)

pull: env dvc  ## Pull this commit's data, models and results from the DVC remote
	$(BIN)/snakemake pull $(CONFIGFILE)

test: env dvc dev  ## Run the quick tests: unit tests, statistics, one tiny run
	$(PYTEST) --numprocesses logical --maxprocesses 4 --dist worksteal $(QUICK)

test-rest: env dvc dev checkers cluster  ## Run all other tests: storage, clusters, browser, deployment, faults
	$(PYTEST) --numprocesses $$(( $$(nproc) + 1 )) --maxprocesses 5 --dist loadscope --no-loadscope-reorder $(SYSTEM)

test-pythons: env  ## On Python 3.11, 3.12 and 3.13, if installed, test the code that does not use torch
	PYTHONPATH=scripts $(BIN)/python -m tests.tools.pythons

test-all: test test-rest  ## Run all tests

screenshots: dev  ## Take screenshots of all pages of a run, at several widths and in print layout; RUN=phantom
	$(DEV)/python -m tests.tools.screenshots reports/$(or $(RUN),phantom) build/screenshots

env: .venv/complete  ## Set up .venv: the pipeline's packages and segcert (TORCH=cpu|cuda chooses the build of torch)
dvc: .venv-dvc/complete  ## Set up .venv-dvc: DVC
dev: .venv-dev/complete  ## Set up .venv-dev: tests, lint and documentation on top of .venv
cluster: .venv-cluster/complete  ## Set up .venv-cluster: Snakemake's plugins for SLURM, Kubernetes and S3 on top of .venv
checkers: .venv-checkers/complete  ## Set up .venv-checkers: programs that check the files that segcert writes

ifneq ($(TORCH),$(INSTALLED))
.PHONY: .venv/complete
endif
.venv/complete: envs/lock-run.txt envs/lock-torch-cpu.txt envs/lock-torch-cuda.txt
	@$(SETUP) run --torch $(TORCH)

.venv-dev/complete .venv-cluster/complete: .venv/complete
.venv-%/complete: envs/lock-%.txt
	@$(SETUP) $*

lint: dev  ## Check style, types, import layers and plain English
	$(DEV)/ruff check
	$(DEV)/ruff format --check
	$(DEV)/snakefmt --check Snakefile rules workflow
	$(DEV)/mypy
	PYTHONPATH=scripts $(DEV)/lint-imports
	$(DEV)/python -m tests.tools.snakemake_lint
	$(DEV)/python -m tests.tools.plain_english

format: dev  ## Format Python and Snakemake files
	$(DEV)/ruff check --fix-only
	$(DEV)/ruff format
	$(DEV)/snakefmt Snakefile rules workflow

lock: env  ## Resolve pyproject.toml into envs/lock-*.txt and the conda files; UPGRADE=1: use the newest versions
	$(BIN)/python envs/lock.py $(if $(UPGRADE),--upgrade)
	PYTHONPATH=scripts $(BIN)/python envs/conda.py

config: env  ## Write config/default.yaml, config/schema.json and the list of keys from the configuration model
	PYTHONPATH=scripts $(BIN)/python -m segcert.config

docs: dev config  ## Build the documentation in site/; browsers can open it without a server
	$(DEV)/python -m typer scripts/segcert/cli.py utils docs --name segcert --title Command --output docs/reference/command.md
	$(DEV)/mkdocs build --clean

clean:  ## Delete the outputs of runs (data, models, results, reports, logs), but not environments or DVC's cache
	rm -rf data models results .segcert .snakemake logs $(filter-out reports/captions,$(wildcard reports/*))
