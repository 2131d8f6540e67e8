"""Options and output (text or JSON) of the command `segcert plan`, for a run or for an image."""

import dataclasses
import io
import json
import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from segcert.certification.methods import CertificationError
from segcert.certification.sample_size import plan
from segcert.plan.forecast import Forecast, make_forecast
from segcert.plan.jobs import ForecastError, JobGraph
from segcert.report.format import draws

FOR_IMAGES = ("sigma", "shape", "tau", "alpha", "method", "n0", "k")
TYPED = {"as_json": "--json", "changes": "KEY=VALUE"}  # as typed on the command line; all other options are --NAME
MEASURED = Path("benchmarks/results")
EXAMPLES = "For example: segcert plan --config config/paper.yaml, or: segcert plan --sigma 0.25 --shape 256x256"
TIME = {"h": 3600.0, "min": 60.0, "s": 1.0}
BYTES = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1.0}
GFLOP = {"EFLOP": 1e9, "PFLOP": 1e6, "TFLOP": 1e3, "GFLOP": 1.0}


def which_plan(options: Sequence[str]) -> Literal["run", "image"]:
    """Return the kind of plan that the command-line options request.

    Raises ForecastError if the options request neither kind, or both.
    """
    found = set(options)
    if found.isdisjoint(FOR_IMAGES) and found & {"config", "changes"}:
        return "run"
    if found <= set(FOR_IMAGES) and {"sigma", "shape"} <= found:
        return "image"
    names = ", ".join(TYPED.get(name, f"--{name}") for name in options) or "no options"
    raise ForecastError(
        f"found {names}; expected either --config (for a run) or --sigma and --shape (for an image). {EXAMPLES}"
    )


def plan_run(
    read_graph: Callable[[Sequence[str]], JobGraph],
    config: Sequence[str],
    *,
    hardware: str | None,
    images: int | None,
    as_json: bool,
) -> str:
    """Return the forecast of a run, as text or as JSON.

    `read_graph` gets the jobs from Snakemake. `config` lists configuration files and settings of the form KEY=VALUE.
    `hardware` and `images` have the same meaning as in `make_forecast`. Raises ForecastError if a file or a measurement
    is missing.
    """
    changes = [each for each in config if "=" in each]
    files = [each for each in config if "=" not in each]
    for file in files:
        if not Path(file).is_file():
            raise ForecastError(
                f"--config: found {file!r}, which is not a file; expected a configuration file or KEY=VALUE"
            )
    arguments = ["--configfile", *files] if files else []
    if changes:
        arguments += ["--config", *changes]
    own = Path(__file__).parents[3] / MEASURED  # in the checkout that contains this library
    measured = MEASURED if MEASURED.is_dir() or not own.is_dir() else own
    forecast = make_forecast(read_graph(arguments), measured, hardware=hardware, images=images)
    return to_json(forecast) if as_json else to_text(forecast)


def plan_image(
    sigma: float | None, shape: str | None, *, tau: float, alpha: float, method: str, n0: int, k: int
) -> str:
    """Return, as text, the radius of an image's certificate and the number of draws that the certificate needs.

    Raises CertificationError for values out of range.
    """
    if not shape or not re.fullmatch(r"(\d+x)?\d+x\d+", shape) or "0" in shape.split("x"):
        raise CertificationError(f"--shape: found {shape!r}; expected HxW or CxHxW, such as 256x256 or 3x256x256")
    sizes = tuple(map(int, shape.split("x")))
    needs = plan(sizes, sigma or 0.0, tau, alpha, method, n0, k)
    lines = [f"Radius: {needs.radius:.4g} (l2, pixels in [0, 1]), {needs.gray_levels:.3g} gray levels RMS per value"]
    if len(sizes) == 2:
        lines.append(f"(for an image with one channel; for a colour image, pass --shape 3x{shape})")
    lines += [
        f"To certify any pixel: n >= {needs.least_n}. To certify any measurement: n0 + n >= {needs.least_draws}",
        "Draws that certify a pixel with probability 0.95, by the share of noisy copies on which the pixel has its "
        "class:",
    ]
    for share, needed in needs.needed.items():
        text = "no number of draws (share <= tau)" if needed is None else f"n = {needed[1]} to {needed[0]}"
        lines.append(f"  {share:5.0%}  {text}")
    lines.append(
        "(The first number applies if nine tenths of the pixels are also certified, and the second if no other "
        "pixel is.)"
    )
    return "\n".join(lines)


def to_json(forecast: Forecast) -> str:
    """Return a forecast as JSON, with null for sizes that are not known."""
    document = dataclasses.asdict(forecast)
    for space in document["disk"]:
        if math.isnan(space["bytes"]):
            space["bytes"] = None
    for sums in ("todo", "seconds", "cpu_seconds", "complete"):
        document[sums] = getattr(forecast, sums)
    return json.dumps(document, indent=1)


def to_text(forecast: Forecast) -> str:
    """Return a forecast as text for a terminal."""
    # On a terminal, tables are fitted to its width. In a file or a pipe, they are as wide as necessary.
    width = shutil.get_terminal_size((240, 24)).columns
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)
    todo = f"{forecast.todo} of them have to run"
    if forecast.todo in (0, forecast.jobs):
        todo = "all of them have to run" if forecast.todo else "all of them are done"
    lines = [
        f"Run {forecast.run}: {forecast.jobs} jobs, {todo}",
        f"Hardware: {forecast.hardware}, measured on {forecast.device}: {forecast.why}",
    ]
    if forecast.others:
        lines.append(f"  for other hardware: --hardware {' or '.join(forecast.others)}")

    images = _table("data set", "train", "val", "certified", "source", right=3)
    for name, counts in forecast.images.items():
        images.add_row(name, str(counts.train), str(counts.val), str(counts.test), counts.source)
    parts: list[str | Table] = ["\n".join(lines), images]
    if forecast.todo:
        parts += [_stages(forecast), _sums(forecast)]

    disk = _table("disk space of the complete run", "size", "source", right=1)
    for space in forecast.disk:
        disk.add_row(space.what, quantity(space.bytes, BYTES), space.known)
    total = sum(space.bytes for space in forecast.disk if not math.isnan(space.bytes))
    disk.add_row("total of the known sizes", quantity(total, BYTES), "")
    last, key = ("the last look", "'looks=[N,N,...]'") if forecast.looks else ("n", "draws=N")
    planned = (
        f"Draws: n = {draws(forecast.n, forecast.looks)}; below n = {forecast.least_n}, no pixel can be certified. "
        f"The sampling time is proportional to\nn0 + {last}, rounded up to full batches; draws that are already in "
        f".segcert/blocks are reused. To plan a different n:\n--config {key}"
    )
    for part in [*parts, disk, planned]:
        console.print(part, soft_wrap=isinstance(part, str))
        console.print()
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO from above
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


def quantity(value: float, units: Mapping[str, float]) -> str:
    """Return a value as text in the largest unit that does not exceed it, such as "3.2 h" or "< 1 s".

    Return "-" for zero and "not known" for NaN.
    """
    if math.isnan(value):
        return "not known"
    for unit, size in units.items():
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"< 1 {unit}" if value else "-"


def _stages(forecast: Forecast) -> Table:
    table = _table("stage", "to do", "network calls", "arithmetic", "networks", "CPU", right=5)
    for stage in forecast.stages:
        seconds = quantity(stage.seconds, TIME)
        if stage.unknown:
            unknown = f"{stage.unknown:,} calls not measured"
            seconds = f"{seconds} + {unknown}" if stage.seconds else unknown
        calls = f"{stage.calls:,}" if stage.calls else "-"
        done = f"{stage.jobs} of {stage.of}"
        table.add_row(stage.rule, done, calls, quantity(stage.gflop, GFLOP), seconds, quantity(stage.cpu_seconds, TIME))
    return table


def _sums(forecast: Forecast) -> str:
    """Return the total time, and the measurements on which the total is based."""
    more = "" if forecast.complete else ", plus the calls that were not measured"
    lines = [
        f"Total, one job at a time: {quantity(forecast.seconds + forecast.cpu_seconds, TIME)}{more}: "
        f"{quantity(forecast.seconds, TIME)} for the networks on {forecast.hardware} and",
        f"{quantity(forecast.cpu_seconds, TIME)} on one CPU core, to start jobs and to certify. Downloads, preparation "
        "and the report are not included.",
        "Measurements used, scaled by the amount of arithmetic if the network or the size differs:",
    ]
    for measurement, seconds in sorted(forecast.used.items(), key=lambda entry: -entry[1]):
        lines.append(f"  {quantity(seconds, TIME):>8}  {measurement}")
    least, most = forecast.rates
    lines.append(
        f"  Measurements on {forecast.hardware} range from {least:,.0f} to {most:,.0f} GFLOP/s; the estimated times "
        "may be wrong by the same factor."
    )
    return "\n".join(lines)


def _table(*headings: str, right: int) -> Table:
    """Return a table without rows or ruled lines. After the first column, `right` columns are right-aligned."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if 1 <= number <= right else "left")
    return table
