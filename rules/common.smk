# The configuration, checked, and what a run on this machine may use. Names of files: paths.smk; what rules call: functions.smk

import inspect
import os
import re
import string
import sys
from importlib.metadata import version
from itertools import product
from pathlib import Path

import psutil
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

SOURCE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
SCRIPTS = SOURCE / "scripts"

# Snakemake writes these paths into command lines unquoted, and lists of paths are parted by colons. The Makefile says so too.
UNQUOTED = {*string.whitespace, *"'\"`$&;|<>(){}[]*?!#%:\\"}
for place in (Path.cwd(), SOURCE, Path(sys.executable)):
    if odd := sorted(UNQUOTED.intersection(str(place))):
        raise WorkflowError(
            f"{str(place)!r}: a path with {', '.join(map(repr, odd))}, which the shell of a job would read; move the "
            "checkout, and the environment with it, to a path of letters, digits and / . _ - + , @ = ~ ^, then write: make run"
        )

sys.path.insert(0, str(SCRIPTS))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # jobs run side by side; networks set their threads from the rule's
# Jobs run the library of this checkout, which is what code digests speak of, also where another one is installed.
os.environ.update(PYTHONPATH=os.pathsep.join([str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])]))

from segcert.console.command import command, how_to_resume
from segcert.console.handler import show_run
from segcert.data.errors import DataError
from segcert.measurements import parse_decision
from segcert.networks.folders import DENOISER_FILES as DIFFUSERS
from segcert.networks.gpus import visible_gpus
from segcert.plan.configured_run import DENOISER, SEGMENTER, ConfiguredRun, RunError
from segcert.provenance.code import code_files
from segcert.provenance.digest_values import remember
from segcert.provenance.digests import file_digest
from segcert.provenance.dvc import LinkError, refuse_links
from segcert.provenance.environment import locked_environment
from segcert.provenance.snakemake_metadata import unpack_trail
from segcert.provenance.staleness import disturbed, notice_changes
from segcert.provenance.temp_files import sweep_leftovers
from segcert.report.headline import ending

LOG = next(map(os.path.relpath, workflow.logger_manager.get_logfile()), None)  # what Snakemake writes of this run
if workflow.is_main_process:
    show_run(
        logger,
        workflow.output_settings,
        LOG,
        is_target=lambda rule: workflow.get_rule(rule).norun,
        local=lambda: workflow.local_exec,
    )

try:
    ASKED = ConfiguredRun.read(config)  # what the configuration asks for
    VERSIONED = ["data", "models", "results", f"reports/{ASKED.config.run}"]  # each has a pointer of DVC
    refuse_links(VERSIONED)
    OWN_FILES = {name: folder.files() for name, folder in ASKED.own_folders.items()}
except (RunError, DataError, LinkError) as error:
    raise WorkflowError(str(error)) from None

for warning in ASKED.warnings():
    logger.warning(warning)

CONFIG, ABOUT = ASKED.config, ASKED.about
DATASETS = CONFIG.datasets
SIGMAS = [f"{sigma:g}" for sigma in CONFIG.sigmas]

# What scripts and captions read from the configuration and not from params; a deployed one may leave it to the defaults.
BY_SCRIPTS = {"mirror", "device", "gpus", "replay"}
BY_CAPTIONS = {"run", "sigmas", "n0", "n", "tau", "alpha", "method", "kfwer_k"}
config.update(CONFIG.model_dump(include=BY_SCRIPTS | BY_CAPTIONS))

BUILD = "cpu" if version("torch").endswith("cpu") else "cuda"  # of torch: 2.13.0+cpu
GPUS = 0 if BUILD == "cpu" else len(visible_gpus())
# Jobs with networks ask for one where there is one, unless the configuration says cpu.
GPUS_OF_A_JOB = int(CONFIG.device == "cuda" or (CONFIG.device == "auto" and GPUS > 0))

if workflow.is_main_process:
    sweep_leftovers()
    unpack_trail()
    for artifact in notice_changes():
        logger.warning(
            f"{artifact}: is not what its job made (see its run record). What is made from it is made again. To have "
            f"it back: dvc checkout. To make it again: snakemake --force {artifact}"
        )


wildcard_constraints:
    dataset="|".join(DATASETS),
    model="|".join(CONFIG.models),
    regime="clean|noise|denoised|given",
    denoiser="|".join(CONFIG.denoisers),
    sigma=r"[0-9.e+-]+",
    shard=r"\d+",


def limit(name, amount):
    """Hold all jobs of this machine to an amount of a resource, unless a profile or the command line says another."""
    on_this_machine = workflow.resource_settings.nodes is None
    if on_this_machine and workflow.global_resources.get(name).value is None:
        workflow.register_resource(name, amount)


limit("mem_mb", psutil.virtual_memory().total // 2**20)
limit("gpu", max(GPUS, 1))
