# The configuration, checked; names of what the rules pass on; digests of the code they run.

import os
import sys
from importlib.metadata import version
from pathlib import Path

from snakemake.exceptions import WorkflowError

SCRIPTS = Path(workflow.basedir, "scripts")
sys.path.insert(0, str(SCRIPTS))
# Jobs run the library of this checkout, which is what code digests speak of, also where another one is installed.
os.environ["PYTHONPATH"] = os.pathsep.join([str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])])

from segcert.certification.feasibility import CertificationError, require_feasible, require_intervals
from segcert.config import Config, ConfigError
from segcert.data import catalogue
from segcert.data.errors import DataError
from segcert.data.own_folder import OwnFolder
from segcert.data.splits import rule_of
from segcert.measurements import MeasurementError, applicable, check_measurements, measurements_of, parse_decision
from segcert.provenance.code import code_digest

try:
    CONFIG = Config.read(config)
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
    for dataset, about in ABOUT.items():
        rule_of(about, CONFIG.splits.get(dataset))
        dice = len(about.classes) - 1
        count = dice + len(measurements_of(applicable(CONFIG.measurements, about.classes), about.classes))
        require_intervals(CONFIG.n0 + CONFIG.n, count, CONFIG.tau, CONFIG.alpha)
    check_measurements(CONFIG.measurements, CONFIG.decisions, [about.classes for about in ABOUT.values()])
except (ConfigError, CertificationError, DataError, MeasurementError) as error:
    raise WorkflowError(str(error)) from None

if "noise" in CONFIG.regimes and max(CONFIG.sigmas) > CONFIG.segmenter.sigma_max:
    logger.warning(
        f"The regime `noise` trains up to sigma {CONFIG.segmenter.sigma_max:g} only. To train it up to the largest "
        f"of `sigmas`, write `segmenter: {{sigma_max: {max(CONFIG.sigmas):g}}}`"
    )

for dataset, about in ABOUT.items():
    left_out = set(CONFIG.measurements) - set(applicable(CONFIG.measurements, about.classes))
    if left_out:
        logger.warning(f"{', '.join(left_out)}: not measured on {dataset}, which lacks the classes for it")

RUN = CONFIG.run
RESULTS = f"results/{RUN}"
REPORT = f"reports/{RUN}"
PAGE = f"{REPORT}/index.html"
SIGMAS = [f"{sigma:g}" for sigma in CONFIG.sigmas]

PREPARED = "data/prepared/{dataset}"
INDEX = f"{PREPARED}/index.csv"
SEGMENTER = "models/segmenter/{dataset}/{model}-{regime}"
DENOISER = "models/denoiser/{dataset}"
DENOISER_FILES = [
    f"{DENOISER}/{name}"
    for name in (
        "unet/diffusion_pytorch_model.safetensors",
        "unet/config.json",
        "scheduler/scheduler_config.json",
    )
]
STORE = ".segcert/blocks"


wildcard_constraints:
    dataset="|".join(CONFIG.datasets),
    model="|".join(CONFIG.models),
    regime="|".join(CONFIG.regimes),
    denoiser="|".join(CONFIG.denoisers),
    sigma=r"[0-9.e+-]+",
    shard=r"\d+",


def code(rule, *loaded):
    """Digest of the script of a rule and of all that it imports from scripts/, or loads there by name."""
    return code_digest(SCRIPTS / f"{rule}.py", *(SCRIPTS / module for module in loaded))


def classes(wildcards):
    """Names of the class ids: they stand in dataset.json, which is no input, so that a citation trains nothing."""
    return ABOUT[wildcards.dataset].classes


def measurements(wildcards):
    """The measurements that fit the classes of the data set."""
    return applicable(CONFIG.measurements, ABOUT[wildcards.dataset].classes)


def measured_code(wildcards):
    """Digests of the functions of one's own among the measurements: an edit measures again."""
    own = [name for name in CONFIG.measurements if ":" in name]
    return [each.digest for each in measurements_of(own, ABOUT[wildcards.dataset].classes)]


def gpus():
    """GPUs that a job with networks asks for: one where there is one, unless the configuration says cpu."""
    found = Path("/dev/nvidia0").exists() and not version("torch").endswith("+cpu")
    return int(CONFIG.device == "cuda" or (CONFIG.device == "auto" and found))
