# The checked configuration, and the resources of this machine (paths: paths.smk; functions of rules: functions.smk)

import inspect
import os
import re
import sys
from importlib.metadata import version
from itertools import product
from pathlib import Path

import psutil
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

SOURCE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
SCRIPTS = SOURCE / "scripts"

sys.path.insert(0, str(SCRIPTS))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # jobs run in parallel; networks use the threads of their rule
# Jobs run the library of this checkout, even if a different copy is installed, because code digests are of this copy.
os.environ.update(PYTHONPATH=os.pathsep.join([str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])]))

from segcert.console.command import command, how_to_resume
from segcert.console.handler import show_run
from segcert.measurements import parse_decision
from segcert.networks.architectures import modules_of
from segcert.networks.folders import DENOISER_FILES as DIFFUSERS
from segcert.networks.gpus import visible_gpus
from segcert.plan.configured_run import DENOISER, SEGMENTER, ConfiguredRun, RunError
from segcert.plan.snakemake_plan import PlanError, before_the_plan, require_plain_paths
from segcert.provenance.code import code_files
from segcert.provenance.digests import file_digest, store_value
from segcert.provenance.dvc import LinkError, refuse_links
from segcert.provenance.environment import locked_environment
from segcert.provenance.preparation import Preparation
from segcert.report.captions import PRINTED, for_captions
from segcert.report.captions import FIGURES as DRAWN
from segcert.report.ending import ending
from segcert.results.table_columns import IN_CSV, IN_LATEX
from segcert.results.kinds import ARRAYS, CERTIFIED_TABLES, KINDS

LOG = next(map(os.path.relpath, workflow.logger_manager.get_logfile()), None)  # Snakemake's log of this run
if workflow.is_main_process:
    show_run(
        logger,
        workflow.output_settings,
        LOG,
        is_target=lambda rule: workflow.get_rule(rule).norun,
        local=lambda: workflow.local_exec,
    )

try:
    require_plain_paths(Path.cwd(), SOURCE, Path(sys.executable))
    ASKED = ConfiguredRun.read(config)  # the run that the configuration describes
    VERSIONED = ["data", "models", "results", f"reports/{ASKED.config.run}"]  # each folder has a DVC pointer
    refuse_links(VERSIONED)
except (LinkError, PlanError, RunError) as error:
    raise WorkflowError(str(error)) from None

for warning in ASKED.warnings():
    logger.warning(warning)

CONFIG, ABOUT = ASKED.config, ASKED.about
DATASETS = CONFIG.datasets
SIGMAS = [f"{sigma:g}" for sigma in CONFIG.sigmas]

# Keys that scripts and captions read from the configuration, not from params. They may be missing from a user's file.
READ = {"mirror", "device", "gpus", "replay", "run", "sigmas", "n0", "n", "looks", "tau", "alpha", "method", "kfwer_k"}
config.update(CONFIG.model_dump(include=READ))
config.update(for_captions(config))

BUILD = "cpu" if version("torch").endswith("cpu") else "cuda"  # torch's version is, for example, 2.13.0+cpu
GPUS = 0 if BUILD == "cpu" else len(visible_gpus())
# Jobs that run networks request a GPU if one is available, unless `device: cpu` is configured.
GPUS_OF_A_JOB = int(CONFIG.device == "cuda" or (CONFIG.device == "auto" and GPUS > 0))

WRITES = not workflow.output_settings.dryrun
CHECKOUT = Preparation()  # runs prepare the checkout; dry runs write nothing
if workflow.is_main_process:
    before_the_plan(workflow, CHECKOUT, logger.warning)


wildcard_constraints:
    dataset="|".join(DATASETS),
    model="|".join(CONFIG.models),
    regime="clean|noise|denoised|given",
    denoiser="|".join(CONFIG.denoisers),
    sigma=r"[0-9.e+-]+",
    shard=r"\d+",


# Limits for all jobs on this machine together, unless a profile or the command line sets different limits
for name, amount in {"mem_mb": psutil.virtual_memory().total // 2**20, "gpu": max(GPUS, 1)}.items():
    if workflow.resource_settings.nodes is None and workflow.global_resources.get(name).value is None:
        workflow.register_resource(name, amount)
