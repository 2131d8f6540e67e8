"""A forecast in words: plain tables for a terminal."""

import math
from collections.abc import Iterable, Sequence

from segcert.plan.forecast import Forecast, Stage

CASES, DIFFERENCES = 8, 4  # measured cases that are named, and of each the differences


def in_words(forecast: Forecast) -> str:
    """All that a forecast says."""
    parts = [_head(forecast), _images(forecast)]
    if forecast.todo:
        parts += [_stages(forecast), _rests_on(forecast), _walls(forecast)]
    parts += [_disk(forecast), _draws(forecast)]
    return "\n\n".join(parts)


def hours(seconds: float) -> str:
    """Seconds as a person says them: "3.2 h", "12 min", "8 s"."""
    if math.isnan(seconds):
        return "not measured"
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{_three(seconds / length)} {unit}"
    return f"{_three(seconds)} s" if seconds else "-"


def size(count: float) -> str:
    """Bytes as a person says them."""
    if math.isnan(count):
        return "not known"
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= length:
            return f"{_three(count / length)} {unit}"
    return f"{count:.0f} B"


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _head(forecast: Forecast) -> str:
    todo = "all of them to be done" if forecast.todo == forecast.jobs else f"{forecast.todo} of them to be done"
    lines = [
        f"Run {forecast.run}: {forecast.jobs} jobs, {todo if forecast.todo else 'all of them done'}",
        f"Hardware: {forecast.hardware}, {forecast.full_name} ({forecast.why})",
    ]
    if forecast.others:
        lines.append(f"  also measured: {', '.join(forecast.others)}; choose with --hardware")
    return "\n".join(lines)


def _images(forecast: Forecast) -> str:
    rows = [
        (name, str(found.train), str(found.val), str(found.test), found.source)
        for name, found in forecast.images.items()
    ]
    return "\n".join(_table(("images of", "train", "val", "certified", "from"), rows))


def _stages(forecast: Forecast) -> str:
    rows = []
    for stage in forecast.stages:
        calls = f"{stage.evaluations:,}" if stage.evaluations else "-"
        rest = hours(stage.start + stage.other) + ("" if stage.counted else " +")
        rows.append((stage.rule, f"{stage.jobs} of {stage.of}", calls, *_networks(stage), rest))
    head = ("stage", "to do", "network calls", "networks", "of it measured", "start and other")
    known = "" if forecast.complete else ", and what is not measured"
    device = "GPUs are held for" if forecast.gpu else "cores with networks are held for"
    return "\n".join([
        *_table(head, rows),
        f"In all {device} {hours(forecast.device)}{known}, the start of their jobs among it.",
        f"Start and other work: measured on {forecast.overheads}; +: the start alone (downloads, for one).",
    ])  # fmt: skip


def _networks(stage: Stage) -> tuple[str, str]:
    if not stage.evaluations:
        return "-", "-"
    seconds = stage.measured + stage.scaled
    unknown = f" + {stage.unknown:,} calls not measured" if stage.unknown else ""
    share = f"{stage.measured / seconds:.0%}" if seconds else "0%"
    return (hours(seconds) if seconds else "") + unknown, share


def _rests_on(forecast: Forecast) -> str:
    lines = ["What the hours of the networks rest on; what differs from it is scaled by GFLOP:"]
    by_hours = sorted(forecast.rests_on.items(), key=lambda entry: -sum(entry[1].values()))
    for like, parts in by_hours[:CASES]:
        lines.append(f"  {like}: {hours(sum(parts.values()))}")
        ordered = sorted(parts.items(), key=lambda part: -part[1])
        for differs, seconds in ordered[:DIFFERENCES]:
            lines.append(f"    {hours(seconds):>8}  {differs or 'just as it was measured'}")
        if len(ordered) > DIFFERENCES:
            rest = sum(seconds for _, seconds in ordered[DIFFERENCES:])
            lines.append(f"    {hours(rest):>8}  {len(ordered) - DIFFERENCES} other differences (--json names them)")
    if len(by_hours) > CASES:
        rest = sum(sum(parts.values()) for _, parts in by_hours[CASES:])
        lines.append(f"  {len(by_hours) - CASES} other cases: {hours(rest)}")
    least, most = forecast.arithmetic
    lines.append(f"  What was measured on it does {least:,.0f} to {most:,.0f} GFLOP/s: scaling may err by as much.")
    return "\n".join(lines)


def _walls(forecast: Forecast) -> str:
    what = "GPUs" if forecast.gpu else "cores"
    rows = [(str(each.devices), hours(each.seconds), hours(each.bound)) for each in forecast.walls]
    beside = f", {forecast.cores} CPU cores beside each" if forecast.gpu else ""
    least = "" if forecast.complete else " (at least: not all networks are measured)"
    return "\n".join([
        *_table((what, "wall time", "no less than"), rows),
        f"By simulation of the jobs that are to be done{beside}{least}. Their longest chain: "
        f"{hours(forecast.critical_path)}.",
    ])  # fmt: skip


def _disk(forecast: Forecast) -> str:
    rows = [(space.what, size(space.bytes), space.known) for space in forecast.disk]
    total = sum(space.bytes for space in forecast.disk if not math.isnan(space.bytes))
    rows.append(("in all, as far as it is known", size(total), ""))
    return "\n".join(_table(("disk of the whole run", "size", "how it is known"), rows))


def _draws(forecast: Forecast) -> str:
    unit = "GPU" if forecast.gpu else "core"
    now = next(each.hours for each in forecast.draws if each.n == forecast.n)
    rows = [
        (
            str(each.n),
            f"{each.evaluations:,}",
            hours(3600 * each.hours),
            f"{each.hours / now:.2f}" if now else "-",
            "yes" if each.feasible else "nothing",
            *(_share(value) for value in (each.area, each.dice)),
        )
        for each in forecast.draws
    ]
    cost = ("n", "network calls", f"{unit} time of networks", f"of that at n = {forecast.n}", "can certify")
    head = (*cost, "certified area", "certified Dice")
    columns = len(head) if forecast.forecast_file else len(cost)
    source = (
        f"Area and Dice: forecast from this run's votes, means over its rows ({forecast.forecast_file})."
        if forecast.forecast_file
        else "What area they certify is forecast from votes: results/<run>/budget.parquet, once the run has finished."
    )
    return "\n".join([
        "All sampling of the run anew, with other numbers of draws (--config draws=N); the radius stays what it is.",
        *_table(head[:columns], [row[:columns] for row in rows]),
        "Draws that .segcert/blocks holds are used again: more draws cost the new ones alone. "
        f"{source}",
    ])  # fmt: skip


def _share(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, numbers to the right, the last of words to the left."""
    rows = list(rows)
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    words = [all(not row[column][:1].isdigit() and row[column] != "-" for row in rows) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(row, widths, words, strict=True)
        ]
        return "  ".join(cells).rstrip()

    return [line(head), *map(line, rows)]
