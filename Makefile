# segcert: every target sets up the environments that it needs, and no others.

# Snakemake and the programs of an environment write the path of this folder into command lines without quotes.
ODD := $(shell case "$$(pwd -P)" in (*[][:space:]\'\"\`\$$\&\;\|\<\>\(\){}[*?!\#%:\\]*) echo odd;; esac)
ifneq ($(ODD),)
$(error The path of this folder has a character that the shell of a job would interpret (a space, a quote, $$, :, ...). Move the folder to a path of letters, digits and / . _ - + , @ = ~ ^, then write: make run)
endif

PYTHON ?=
INSTALLED := $(shell cat .venv/complete 2>/dev/null)
TORCH ?= $(or $(INSTALLED),auto)
BIN := .venv/bin
DEV := .venv-dev/bin
NO_FILE = $(error CONFIG: found $(CONFIG), which is not a file. Write, for example: CONFIG=config/montgomery.yaml)
CONFIGFILE = $(if $(CONFIG),$(if $(wildcard $(CONFIG)),--configfile $(CONFIG),$(NO_FILE)))
SETUP = $(or $(PYTHON),python3) envs/install.py $(if $(PYTHON),--python $(PYTHON))

# Quick tests go to any free process (worksteal). Each module of the others stays in one process, so that it makes its
# runs once. They wait half of the time for clusters, stores and browsers, so one more process than cores is used.
PYTEST = OMP_NUM_THREADS=1 $(DEV)/pytest
QUICK := tests/unit tests/statistics tests/golden tests/pipeline
SYSTEM := tests/system

.DEFAULT_GOAL := help
.PHONY: help run status push pull test test-rest test-pythons test-all screenshots env dvc dev checkers cluster lint format \
	lock config docs clean

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 13

run: env dvc  ## Run the whole pipeline on the embedded phantom; for another run: CONFIG=config/montgomery.yaml
	$(BIN)/snakemake $(CONFIGFILE)

status: env  ## List what is stale, stage by stage, and why; CONFIG as for run
	$(BIN)/segcert status $(CONFIGFILE)

push: env dvc  ## Push data, models and results of the run to the DVC remote
	$(BIN)/snakemake push $(CONFIGFILE)

pull: env dvc  ## Pull the data, models and results of this commit from the DVC remote
	$(BIN)/snakemake pull $(CONFIGFILE)

test: env dvc dev  ## Run the quick tests: units, statistics, one tiny run
	$(PYTEST) --numprocesses logical --maxprocesses 4 --dist worksteal $(QUICK)

test-rest: env dvc dev checkers cluster  ## Run all other tests: storage, clusters, browser, deployment, faults
	$(PYTEST) --numprocesses $$(( $$(nproc) + 1 )) --maxprocesses 5 --dist loadscope --no-loadscope-reorder $(SYSTEM)

test-pythons: env  ## Run the tests of the parts without torch on Python 3.11, 3.12 and 3.13, if installed
	PYTHONPATH=scripts $(BIN)/python -m tests.tools.pythons

test-all: test test-rest  ## Run all tests

screenshots: dev  ## Take screenshots of every page of a run at several widths and on paper; RUN=phantom
	$(DEV)/python -m tests.tools.screenshots reports/$(or $(RUN),phantom) build/screenshots

env: .venv/complete  ## Set up .venv: packages of the pipeline and segcert (TORCH=cpu|cuda chooses the build)
dvc: .venv-dvc/complete  ## Set up .venv-dvc: DVC
dev: .venv-dev/complete  ## Set up .venv-dev: tests, lint and documentation on top of .venv
cluster: .venv-cluster/complete  ## Set up .venv-cluster: Snakemake's plugins for SLURM, Kubernetes and S3 on top of .venv
checkers: .venv-checkers/complete  ## Set up .venv-checkers: programs that check what segcert writes

ifneq ($(TORCH),$(INSTALLED))
.PHONY: .venv/complete
endif
.venv/complete: envs/lock-run.txt envs/lock-torch-cpu.txt envs/lock-torch-cuda.txt
	@$(SETUP) run --torch $(TORCH)

.venv-dev/complete .venv-cluster/complete: .venv/complete
.venv-%/complete: envs/lock-%.txt
	@$(SETUP) $*

lint: dev  ## Check style, types, layers of imports and plain English
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

lock: env  ## Resolve pyproject.toml into envs/lock-*.txt and the conda files; UPGRADE=1: the newest versions
	$(BIN)/python envs/lock.py $(if $(UPGRADE),--upgrade)
	PYTHONPATH=scripts $(BIN)/python envs/conda.py

config: env  ## Write config/default.yaml, schema.json and the page of all keys from the configuration model
	PYTHONPATH=scripts $(BIN)/python -m segcert.config

docs: dev config  ## Build the documentation in site/, which opens without a server
	$(DEV)/python -m typer scripts/segcert/cli.py utils docs --name segcert --title Command --output docs/reference/command.md
	$(DEV)/mkdocs build --clean

clean:  ## Delete the outputs of runs (data, models, results, reports, logs), not environments and DVC's cache
	rm -rf data models results .segcert .snakemake logs $(filter-out reports/captions,$(wildcard reports/*))
