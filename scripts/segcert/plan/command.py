"""What `segcert plan` prints, of a run or of an image, and which of the two its options mean."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from segcert.certification.methods import CertificationError
from segcert.certification.sample_size import plan
from segcert.plan.forecast import make_forecast
from segcert.plan.jobs import ForecastError, JobGraph
from segcert.plan.words import in_words

OF_IMAGE = ("sigma", "shape", "tau", "alpha", "method", "n0", "k")
OF_RUN = ("config", "changes", "hardware", "devices", "cores", "images", "as_json")
KEYS = {"sigma": "sigmas", "shape": "image_size", "k": "kfwer_k"}  # of the configuration, where their names differ
MEASURED = Path("benchmarks/results")
EXAMPLES = (
    "Write, for a run: segcert plan --config config/paper.yaml; for an image: segcert plan --sigma 0.25 --shape 256x256"
)


def which_plan(given: Iterable[str]) -> Literal["run", "image"]:
    """Whether the options that are given speak of a run or of an image. Raises ForecastError for neither and both."""
    of_image, of_run = ([name for name in given if name in names] for names in (OF_IMAGE, OF_RUN))
    if {"config", "changes"} & set(of_run):
        if of_image:
            key = KEYS.get(of_image[0], of_image[0])
            raise ForecastError(
                f"found --{of_image[0]} beside the configuration of a run, which says that itself. Write, for a run: "
                f"--config {key}=...; for an image leave --config out"
            )
        return "run"
    if of_run:
        name = {"as_json": "json"}.get(of_run[0], of_run[0])
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
    devices: str,
    cores: int,
    images: int | None,
    as_json: bool,
) -> str:
    """The forecast of a run. `read_graph` asks Snakemake; `config` holds files and KEY=VALUE.

    Raises ForecastError where something is missing.
    """
    if not re.fullmatch(r"[1-9]\d*([ ,]+[1-9]\d*)*", devices):
        raise ForecastError(f"--devices: found {devices!r}; expected numbers such as 1,2,4,8")
    changes = [each for each in config if "=" in each]
    files = [each for each in config if "=" not in each]
    for file in files:
        if not Path(file).is_file():
            raise ForecastError(f"--config: found {file!r}, which is no file; expected a configuration or KEY=VALUE")
    graph = read_graph([*(["--configfile", *files] if files else []), *(["--config", *changes] if changes else [])])
    forecast = make_forecast(
        graph,
        _measured(),
        devices=[int(each) for each in re.findall(r"\d+", devices)],
        hardware=hardware,
        cores=cores,
        images=images,
    )
    return json.dumps(forecast.as_document(), indent=1) if as_json else in_words(forecast)


def plan_image(
    sigma: float | None, shape: str | None, *, tau: float, alpha: float, method: str, n0: int, k: int
) -> str:
    """How many draws an image needs and what radius is possible. Raises CertificationError for what is out of range."""
    if not shape or not re.fullmatch(r"(\d+x)?\d+x\d+", shape) or "0" in shape.split("x"):
        raise CertificationError(f"--shape: found {shape!r}; expected HxW or CxHxW, such as 256x256 or 3x256x256")
    planned = plan(tuple(map(int, shape.split("x"))), sigma or 0.0, tau, alpha, method, n0, k)
    lines = [
        f"Radius: {planned.radius:.4g} (l2, pixels in [0, 1]), {planned.gray_levels:.3g} gray levels RMS per value",
        f"Any pixel at all: n >= {planned.least_n}. Any measurement: n0 + n >= {planned.least_draws}",
        "A pixel that has its class on this share of the noisy copies is certified with probability 0.95 by",
    ]
    for share, needed in planned.needed.items():
        text = "no number of draws (share <= tau)" if needed is None else f"n = {needed[1]} to {needed[0]}"
        lines.append(f"  {share:5.0%}  {text}")
    return "\n".join([*lines, "(first number: nine tenths of the pixels are certified before it; second: none is)"])


def _measured() -> Path:
    """The folder of measurements: of the checkout, else of the one that this library is a part of."""
    beside = Path(__file__).parents[3] / MEASURED
    return MEASURED if MEASURED.is_dir() or not beside.is_dir() else beside
