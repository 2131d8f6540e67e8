# The configuration, checked; names of what the rules pass on; digests of the code they run.

import math
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

from segcert.certification.methods import CertificationError, require_feasible, require_intervals
from segcert.config import Config, ConfigError
from segcert.config.schema import ARCHITECTURES
from segcert.console.command import command, how_to_resume
from segcert.console.handler import show_run
from segcert.data import catalogue
from segcert.data.errors import DataError
from segcert.data.user_data import OwnFolder
from segcert.data.splits import expected_tests, rule_of
from segcert.measurements import MeasurementError, applicable, check_measurements, measurements_of, parse_decision
from segcert.networks.gpus import visible_gpus
from segcert.provenance.code import code_files, target_digest
from segcert.provenance.staleness import disturbed, notice_changes
from segcert.provenance.digests import file_digest
from segcert.provenance.dvc import LinkError, refuse_links
from segcert.provenance.environment import locked_environment
from segcert.provenance.digest_values import remember
from segcert.provenance.temp_files import sweep_leftovers
from segcert.provenance.snakemake_metadata import unpack_trail
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
    CONFIG = Config.read(config)
    VERSIONED = ["data", "models", "results", f"reports/{CONFIG.run}"]  # each has a pointer of DVC
    refuse_links(VERSIONED)
    require_feasible(CONFIG.n, CONFIG.image_size**2, CONFIG.tau, CONFIG.alpha, CONFIG.method, CONFIG.n0, CONFIG.kfwer_k)
    OWN_FOLDERS = {
        name: OwnFolder(name, settings.model_dump())
        for name, settings in CONFIG.own_data.items()
        if name in CONFIG.datasets
    }
    OWN_FILES = {name: folder.files() for name, folder in OWN_FOLDERS.items()}
    ABOUT = {
        name: OWN_FOLDERS[name].about if name in OWN_FOLDERS else catalogue.dataset(name) for name in CONFIG.datasets
    }
    SPLITS = {dataset: rule_of(about, CONFIG.splits.get(dataset))[1] for dataset, about in ABOUT.items()}
    for dataset, about in ABOUT.items():
        dice = len(about.classes) - 1
        count = dice + len(measurements_of(applicable(CONFIG.measurements, about.classes), about.classes))
        require_intervals(CONFIG.n0 + CONFIG.n, count, CONFIG.tau, CONFIG.alpha)
    check_measurements(CONFIG.measurements, CONFIG.decisions, [about.classes for about in ABOUT.values()])
except (ConfigError, LinkError, CertificationError, DataError, MeasurementError) as error:
    raise WorkflowError(str(error)) from None

# What scripts and captions read from the configuration and not from params; a deployed one may leave it to the defaults.
BY_SCRIPTS = {"mirror", "device", "gpus", "replay"}
BY_CAPTIONS = {"run", "sigmas", "n0", "n", "tau", "alpha", "method", "kfwer_k"}
config.update(CONFIG.model_dump(include=BY_SCRIPTS | BY_CAPTIONS))

for warning in CONFIG.warnings():
    logger.warning(warning)

for dataset, about in ABOUT.items():
    left_out = set(CONFIG.measurements) - set(applicable(CONFIG.measurements, about.classes))
    if left_out:
        logger.warning(f"{', '.join(left_out)}: not measured on {dataset}, which lacks the classes for it")

if workflow.is_main_process:
    sweep_leftovers()
    unpack_trail()
    for artifact in notice_changes():
        logger.warning(
            f"{artifact}: is not what its job made (see its run record). What is made from it is made again. To have "
            f"it back: dvc checkout. To make it again: snakemake --force {artifact}"
        )

RUN = CONFIG.run
RESULTS = f"results/{RUN}"
REPORT = f"reports/{RUN}"
PAGE = f"{REPORT}/index.html"
SIGMAS = [f"{sigma:g}" for sigma in CONFIG.sigmas]

PREPARED = "data/prepared/{dataset}"
INDEX = f"{PREPARED}/index.csv"
SEGMENTER = "models/segmenter/{dataset}/{model}-{regime}"
DENOISER = "models/denoiser/{source}"
DIFFUSERS = (
    "unet/diffusion_pytorch_model.safetensors",
    "unet/config.json",
    "scheduler/scheduler_config.json",
)
DENOISER_FILES = [f"{DENOISER}/{name}" for name in DIFFUSERS]
STORE = ".segcert/blocks"
CHECKPOINTS = ".segcert/checkpoints"

GIVEN = {name: own.given for name, own in CONFIG.own_models.items() if own.given}
PROGRAMS = [name for name, own in CONFIG.own_models.items() if own.program]
MODELS = [(model, regime) for model in CONFIG.models for regime in (["given"] if model in GIVEN else CONFIG.regimes)]
PAIRINGS = [
    (model, regime, denoiser)
    for model, regime in MODELS
    for denoiser in CONFIG.denoisers
    if (regime, denoiser) != ("denoised", "none")
]
DIFFUSION = [denoiser for denoiser in CONFIG.denoisers if denoiser != "none"]
SHARED = "+".join(CONFIG.denoiser.shared)
BUILD = "cpu" if version("torch").endswith("cpu") else "cuda"  # of torch: 2.13.0+cpu
GPUS = 0 if BUILD == "cpu" else len(visible_gpus())
TRAINED_DENOISERS = {dataset: SHARED if dataset in CONFIG.denoiser.shared else dataset for dataset in CONFIG.datasets}


wildcard_constraints:
    dataset="|".join(CONFIG.datasets),
    model="|".join(CONFIG.models),
    regime="clean|noise|denoised|given",
    denoiser="|".join(CONFIG.denoisers),
    sigma=r"[0-9.e+-]+",
    shard=r"\d+",


def limit(name, amount):
    """How much of a resource all jobs of this machine may hold at once, unless a profile or the command line says."""
    on_this_machine = workflow.resource_settings.nodes is None
    if on_this_machine and workflow.global_resources.get(name).value is None:
        workflow.register_resource(name, amount)


limit("mem_mb", psutil.virtual_memory().total // 2**20)
limit("gpu", max(GPUS, 1))


def code(rule, *loaded):
    """Digest of the script of a rule and of all that it imports from scripts/, or loads there by name."""
    return remember(code_files(SCRIPTS / f"{rule}.py", *(SCRIPTS / module for module in loaded)))


def built_in(*models):
    """Modules of segmenters, which the library loads by name: for `code`.

    A network of the user's own may name any of them, so then all count.
    """
    names = set(models) if set(models) <= set(ARCHITECTURES) else ARCHITECTURES
    return [f"segcert/networks/{name}.py" for name in sorted(names)]


def environment(rule, *loaded):
    """Digest of the locked packages that the script of a rule can import."""
    modules = (SCRIPTS / module for module in loaded)
    return remember(locked_environment(SCRIPTS / f"{rule}.py", *modules, root=SOURCE))


def software(group):
    """The conda file of a group of rules, where conda is asked for (`--sdm conda`), for the build of torch that plans.

    Snakemake keeps a copy of the file in the record of each output, also of those made without conda: hence a function.
    """
    file = f"../envs/{group}-{BUILD}.yaml" if group == "networks" else f"../envs/{group}.yaml"
    used = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    return lambda wildcards: file if used else None


def templates(*names):
    """Digest of templates of the report."""
    return remember({name: file_digest(SCRIPTS / "segcert/report/templates" / name) for name in names})


def classes(wildcards):
    """Names of the class ids: they stand in dataset.json, which is no input, so that a citation trains nothing."""
    return ABOUT[wildcards.dataset].classes


def segmenter_files(model):
    """The files of a segmenter: what holds its weights, and its configuration."""
    held = "program.pt" if model in PROGRAMS else "model.safetensors"
    return [f"{SEGMENTER}/{held}", f"{SEGMENTER}/config.json"]


def denoiser_folder(dataset, denoiser):
    """The folder of the denoiser in front of the segmenters of a data set, or None."""
    if denoiser == "none":
        return None
    return DENOISER.format(source=TRAINED_DENOISERS[dataset] if denoiser == "ddpm" else denoiser)


def denoiser_files(dataset, denoiser):
    """The files of the denoiser in front of the segmenters of a data set, if there is one."""
    folder = denoiser_folder(dataset, denoiser)
    return [f"{folder}/{name}" for name in DIFFUSERS] if folder else []


def chosen_segmenter(wildcards):
    """The files of the segmenter that the wildcards name."""
    return [path.format(**wildcards) for path in segmenter_files(wildcards.model)]


def chosen_denoiser(wildcards):
    """The files of the denoiser that the wildcards name, if there is one."""
    return denoiser_files(wildcards.dataset, wildcards.denoiser)


def chosen_denoiser_folder(wildcards):
    """The folder of the denoiser that the wildcards name, or None."""
    return denoiser_folder(wildcards.dataset, wildcards.denoiser)


def chosen_steps(wildcards):
    """Network calls of the denoiser that the wildcards name."""
    return 1 if wildcards.denoiser == "none" else CONFIG.denoising_steps


def growing(mib):
    """MiB of memory that a job asks for: `mib` at first, as much again at every retry."""
    return lambda wildcards, attempt: attempt * mib


def memory_of(denoisers):
    """MiB of memory that these denoisers need beside a segmenter."""
    return 12000 if "adm256" in denoisers else 4000


def memory(wildcards, attempt):
    """MiB of memory that a job with the denoiser of the wildcards asks for."""
    return attempt * memory_of([wildcards.denoiser])


def measurements(wildcards):
    """The measurements that fit the classes of the data set."""
    return applicable(CONFIG.measurements, ABOUT[wildcards.dataset].classes)


def measured_code(wildcards):
    """Digests of the functions of one's own among the measurements: an edit measures again."""
    own = [name for name in CONFIG.measurements if ":" in name]
    return [each.digest for each in measurements_of(own, ABOUT[wildcards.dataset].classes)]


def gpus():
    """GPUs that a job with networks asks for: one where there is one, unless the configuration says cpu."""
    return int(CONFIG.device == "cuda" or (CONFIG.device == "auto" and GPUS > 0))
