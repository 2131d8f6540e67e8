"""The command `segcert plan`, of a run or of an image: its options, and what they make it say."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from segcert.certification.methods import CertificationError
from segcert.certification.sample_size import plan
from segcert.plan.forecast import make_forecast
from segcert.plan.jobs import ForecastError, JobGraph
from segcert.plan.text import image_in_words, in_json, in_words

OF_IMAGE = ("sigma", "shape", "tau", "alpha", "method", "n0", "k")
OF_RUN = ("config", "changes", "hardware", "images", "as_json")
KEYS = {"sigma": "sigmas", "shape": "image_size", "k": "kfwer_k"}  # of the configuration, where their names differ
MEASURED = Path("benchmarks/results")
EXAMPLES = (
    "Write, for a run: segcert plan --config config/paper.yaml; for an image: segcert plan --sigma 0.25 --shape 256x256"
)


def which_plan(given: Iterable[str]) -> Literal["run", "image"]:
    """Tell from the options that are given which plan they ask for. Raises ForecastError for neither and both."""
    options = list(given)
    of_image = [name for name in options if name in OF_IMAGE]
    of_run = [name for name in options if name in OF_RUN]
    if {"config", "changes"} & set(of_run):
        if of_image:
            key = KEYS.get(of_image[0], of_image[0])
            raise ForecastError(
                f"found --{of_image[0]} beside the configuration of a run, which says that itself. Write, for a run: "
                f"--config {key}=...; for an image leave --config out"
            )
        return "run"
    if of_run:
        name = "json" if of_run[0] == "as_json" else of_run[0]
        raise ForecastError(f"found --{name}, which speaks of a run, but no --config. {EXAMPLES}")
    if "sigma" not in of_image or "shape" not in of_image:
        found = f"found --{of_image[0]} alone" if of_image else "found no options"
        raise ForecastError(f"{found}; expected the configuration of a run, or sigma and shape of an image. {EXAMPLES}")
    return "image"


def plan_run(
    read_graph: Callable[[Sequence[str]], JobGraph],
    config: Sequence[str],
    *,
    hardware: str | None,
    images: int | None,
    as_json: bool,
) -> str:
    """Forecast a run. `read_graph` asks Snakemake; `config` holds files and KEY=VALUE.

    Raises ForecastError where something is missing.
    """
    changes = [each for each in config if "=" in each]
    files = [each for each in config if "=" not in each]
    for file in files:
        if not Path(file).is_file():
            raise ForecastError(f"--config: found {file!r}, which is no file; expected a configuration or KEY=VALUE")
    arguments = ["--configfile", *files] if files else []
    if changes:
        arguments += ["--config", *changes]
    beside = Path(__file__).parents[3] / MEASURED  # of the checkout that this library is a part of
    measured = MEASURED if MEASURED.is_dir() or not beside.is_dir() else beside
    forecast = make_forecast(read_graph(arguments), measured, hardware=hardware, images=images)
    return in_json(forecast) if as_json else in_words(forecast)


def plan_image(
    sigma: float | None, shape: str | None, *, tau: float, alpha: float, method: str, n0: int, k: int
) -> str:
    """Say the draws an image needs, and its radius. Raises CertificationError for what is out of range."""
    if not shape or not re.fullmatch(r"(\d+x)?\d+x\d+", shape) or "0" in shape.split("x"):
        raise CertificationError(f"--shape: found {shape!r}; expected HxW or CxHxW, such as 256x256 or 3x256x256")
    return image_in_words(plan(tuple(map(int, shape.split("x"))), sigma or 0.0, tau, alpha, method, n0, k))
