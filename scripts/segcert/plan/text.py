"""A plan in words, as plain tables for a terminal, and as JSON."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence

from segcert.certification.sample_size import Plan
from segcert.plan.forecast import Forecast

TIME = {"h": 3600.0, "min": 60.0, "s": 1.0}
BYTES = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1.0}
GFLOP = {"EFLOP": 1e9, "PFLOP": 1e6, "TFLOP": 1e3, "GFLOP": 1.0}


def in_words(forecast: Forecast) -> str:
    """All that a forecast says."""
    parts = [_head(forecast), _images(forecast)]
    if forecast.todo:
        parts += [_stages(forecast), _measurements(forecast)]
    parts += [_disk(forecast), _draws(forecast)]
    return "\n\n".join(parts)


def in_json(forecast: Forecast) -> str:
    """A forecast for machines, null for what is not known."""
    document = dataclasses.asdict(forecast)
    for space in document["disk"]:
        if math.isnan(space["bytes"]):
            space["bytes"] = None
    sums = {"todo": forecast.todo, "seconds": forecast.seconds, "complete": forecast.complete}
    return json.dumps(document | sums, indent=1)


def image_in_words(plan: Plan) -> str:
    """The draws that an image needs, and its radius."""
    lines = [
        f"Radius: {plan.radius:.4g} (l2, pixels in [0, 1]), {plan.gray_levels:.3g} gray levels RMS per value",
        f"Any pixel at all: n >= {plan.least_n}. Any measurement: n0 + n >= {plan.least_draws}",
        "A pixel that has its class on this share of the noisy copies is certified with probability 0.95 by",
    ]
    for share, needed in plan.needed.items():
        text = "no number of draws (share <= tau)" if needed is None else f"n = {needed[1]} to {needed[0]}"
        lines.append(f"  {share:5.0%}  {text}")
    lines.append("(first number: nine tenths of the pixels are certified before it; second: none is)")
    return "\n".join(lines)


def _said(value: float, units: Mapping[str, float]) -> str:
    """A value in the largest unit of which it has one: "3.2 h", "12 min"; "-" for nothing, "not known" for NaN."""
    if math.isnan(value):
        return "not known"
    unit = next((unit for unit, length in units.items() if value >= length), list(units)[-1])
    value /= units[unit]
    number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{number} {unit}" if value else "-"


def _head(forecast: Forecast) -> str:
    todo = f"{forecast.todo} of them to be done"
    if forecast.todo in (0, forecast.jobs):
        todo = "all of them to be done" if forecast.todo else "all of them done"
    lines = [
        f"Run {forecast.run}: {forecast.jobs} jobs, {todo}",
        f"Hardware: {forecast.hardware}, {forecast.device} ({forecast.why})",
    ]
    if forecast.others:
        lines.append(f"  also measured: {', '.join(forecast.others)}; choose with --hardware")
    return "\n".join(lines)


def _images(forecast: Forecast) -> str:
    rows = []
    for name, found in forecast.images.items():
        rows.append((name, str(found.train), str(found.val), str(found.test), found.source))
    return _table(("images of", "train", "val", "certified", "from"), rows)


def _stages(forecast: Forecast) -> str:
    rows = []
    for stage in forecast.stages:
        time = _said(stage.seconds, TIME)
        if stage.unknown:
            time = f"{stage.unknown:,} calls not measured"
            if stage.seconds:
                time = f"{_said(stage.seconds, TIME)} + {time}"
        calls = f"{stage.calls:,}" if stage.calls else "-"
        rows.append((stage.rule, f"{stage.jobs} of {stage.of}", calls, _said(stage.gflop, GFLOP), time))
    known = "" if forecast.complete else ", and what is not measured"
    beside = [f"{_said(seconds, TIME)} for the {what}" for what, seconds in forecast.beside.items() if seconds]
    lines = [
        _table(("stage", "to do", "network calls", "arithmetic", "networks"), rows),
        f"In all {_said(forecast.seconds, TIME)} of networks on one such device{known}.",
        f"Beside it, on one CPU core: {' and '.join(beside)}. Downloads, preparation and report are not counted.",
    ]
    return "\n".join(lines)


def _measurements(forecast: Forecast) -> str:
    lines = ["Measurements used; in proportion to the arithmetic where network or size are others:"]
    for measurement, seconds in sorted(forecast.used.items(), key=lambda entry: -entry[1]):
        lines.append(f"  {_said(seconds, TIME):>8}  {measurement}")
    least, most = forecast.arithmetic
    lines.append(f"  What was measured there does {least:,.0f} to {most:,.0f} GFLOP/s: the hours may err by as much.")
    return "\n".join(lines)


def _disk(forecast: Forecast) -> str:
    rows = [(space.what, _said(space.bytes, BYTES), space.known) for space in forecast.disk]
    total = sum(space.bytes for space in forecast.disk if not math.isnan(space.bytes))
    rows.append(("in all, as far as it is known", _said(total, BYTES), ""))
    return _table(("disk of the whole run", "size", "how it is known"), rows)


def _draws(forecast: Forecast) -> str:
    return (
        f"Draws: n = {forecast.n}; with fewer than n = {forecast.least_n} no pixel could be certified. Sampling goes "
        "with n0 + n, in whole batches;\n"
        "draws that .segcert/blocks holds are used again. For other numbers: --config draws=N"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lines of a table: columns with a number in them to the right, the others to the left."""
    columns = list(zip(head, *rows, strict=True))
    cells = []
    for column in columns:
        width = max(map(len, column))
        to_the_right = any(cell[:1].isdigit() for cell in column[1:])
        cells.append([cell.rjust(width) if to_the_right else cell.ljust(width) for cell in column])
    return "\n".join("  ".join(line).rstrip() for line in zip(*cells, strict=True))
