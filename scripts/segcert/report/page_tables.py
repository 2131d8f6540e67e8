"""What the tables of the page show: which columns of which CSV file, under which heads and in which form."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from segcert.report.html import cell
from segcert.results.labels import TRAINED
from segcert.results.tables import records

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Text:
    """A column of words; `words` says them in another way."""

    title: str
    column: str
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)
    text = True

    def of(self, row: Row) -> Any:
        """The words of a row."""
        value = row[self.column]
        return "" if pd.isna(value) else self.words.get(value, value)


@dataclasses.dataclass(frozen=True)
class Level:
    """A column of chosen numbers, such as sigma, written as they were given."""

    title: str
    column: str
    text = False

    def of(self, row: Row) -> str:
        """The number of a row."""
        return "" if pd.isna(row[self.column]) else f"{row[self.column]:g}"


@dataclasses.dataclass(frozen=True)
class Number:
    """A column of numbers (styles: segcert.report.html.cell), with the 95% interval where the table has one."""

    title: str
    column: str
    style: str = "number"
    decimals: int | None = None
    interval: bool = False
    text = False

    def of(self, row: Row) -> Markup:
        """The number of a row."""
        decimals = () if self.decimals is None else (self.decimals,)
        names = (self.column, *((f"{self.column}_{end}" for end in ("low", "high")) if self.interval else ()))
        shown = [cell(row, name, self.style, *decimals) for name in names]
        return Markup("{} <small>[{}, {}]</small>" if self.interval else "{}").format(*shown)  # noqa: S704


@dataclasses.dataclass(frozen=True)
class Span:
    """A certified interval, from one column to another; of how many images an end is open, where that is known."""

    title: str
    low: str
    high: str
    style: str = "digits"
    text = False

    def of(self, row: Row) -> Markup:
        """The interval of a row."""
        ends = (cell(row, self.low, self.style), cell(row, self.high, self.style))
        open_ended = row.get("unbounded", 0)
        note = Markup("; <small>unbounded on {} of {}</small>").format(open_ended, row["image"]) if open_ended else ""
        return Markup("{} to {}{}").format(*ends, note)


@dataclasses.dataclass(frozen=True)
class Decided:
    """On how many images a measurement is certified to lie above or below its threshold, or is not."""

    title: str
    text = False

    def of(self, row: Row) -> str:
        """The counts of a row; nothing where no threshold was given."""
        if pd.isna(row["threshold"]):
            return ""
        return f"{row['above']} above {row['threshold']:g}, {row['below']} below, {row['open']} open"


Column = Text | Level | Number | Span | Decided

DATASET = Text("data set", "dataset")
MODEL = (
    Text("model", "model"),
    Text("trained", "regime", TRAINED),
    Text("denoiser", "denoiser"),
    Level("sigma", "sigma"),
)
IMAGES = Number("images", "images", "whole")
CERTIFIED_DICE = Number("certified Dice", "certified_dice", interval=True)

TABLES: dict[str, tuple[Column, ...]] = {
    "main": (
        DATASET, *MODEL, IMAGES, Number("Dice", "dice", interval=True), CERTIFIED_DICE,
        Number("certified IoU", "certified_iou", interval=True),
        Number("worst-case Dice", "worst_case_dice", interval=True),
        Number("abstains", "abstain", "percent", 1, interval=True),
        Number("radius (l2, [0, 1])", "radius"), Number("radius (gray levels RMS)", "radius_gray_levels", decimals=2),
    ),
    "claims": (
        DATASET, Text("model", "model"), Text("denoiser", "denoiser"), Level("from sigma", "sigma_low"),
        Level("at sigma", "sigma"), Text("compared", "compared"), IMAGES,
        Number("difference", "difference", "signed", interval=True), Text("verdict", "verdict"), Text("why", "why"),
    ),
    "classes": (
        DATASET, Text("class", "class_name"), *MODEL, Number("Dice", "dice"), CERTIFIED_DICE,
        Number("worst-case Dice", "worst_case_dice", interval=True), Number("area (pixels)", "area", decimals=0),
        Span("certified area (pixels)", "area_low", "area_high", "whole"),
    ),
    "measurements": (
        DATASET, Text("measurement", "measurement"), Text("unit", "unit"), *MODEL, Number("truth", "truth", "digits"),
        Number("clean prediction", "clean", "digits"), Span("certified interval", "low", "high"),
        Number("width", "width", "percent", 0), Decided("decided"),
    ),
    "pairings": (
        DATASET, *MODEL, Text("baseline: trained", "baseline", TRAINED), IMAGES,
        Number("difference in certified Dice", "difference", "signed", interval=True),
    ),
    "attacks": (
        DATASET, *MODEL, Level("times the radius", "factor"), IMAGES, Number("certified pixels", "certified", "whole"),
        Number("changed", "changed", "whole"), Number("refuted", "refuted", "whole"),
    ),
    "denoisers": (
        DATASET, Text("method", "method"), Level("sigma", "sigma"), IMAGES, Number("PSNR (dB)", "psnr", decimals=1),
        Number("SSIM", "ssim"),
    ),
    "stages": (
        Text("rule", "rule"), Number("jobs", "jobs", "whole"), Number("measured here", "measured", "whole"),
        Number("seconds in all", "seconds", decimals=1), Number("longest job (s)", "longest", decimals=1),
        Number("seconds of processor", "cpu_seconds", decimals=1),
        Number("peak memory (MiB)", "peak_memory_mib", "whole"),
    ),
    "costs": (
        DATASET, *MODEL, CERTIFIED_DICE, Number("parameters", "parameters", decimals=0),
        Number("evaluations per draw", "evaluations", "whole"), Number("GFLOP per draw", "gflop_per_draw", "digits"),
        Number("GFLOP per image", "gflop_per_image", "digits"),
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the page: rows of a CSV file, each with its number there and its cells in their form."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[tuple[int, Sequence[Any]]]


def page_table(name: str, frame: pd.DataFrame) -> Table:
    """A table as the page shows it: the rows of `frame`, whose index numbers the rows of tables/<name>.csv."""
    columns = TABLES[name]
    rows = zip(frame.index, records(frame), strict=True)
    return Table(name, columns, [(int(number), [column.of(row) for column in columns]) for number, row in rows])
