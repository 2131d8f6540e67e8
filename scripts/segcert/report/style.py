"""The style of figures: colours that colour-blind readers can distinguish, and sizes for the page and for print."""

import contextlib
import dataclasses
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from segcert.io.atomic import atomic_file
from segcert.report.html import inline_svg
from segcert.results.labels import describe_pairing

DPI = 150  # resolution of PNG files
COLORS = {
    ("clean", "none"): "#D55E00",
    ("clean", "ddpm"): "#0072B2",
    ("clean", "adm256"): "#56B4E9",
    ("noise", "none"): "#009E73",
    ("noise", "ddpm"): "#CC79A7",
    ("noise", "adm256"): "#7B3294",
    ("denoised", "ddpm"): "#E69F00",
    ("denoised", "adm256"): "#8C510A",
    ("given", "none"): "#000000",
    ("given", "ddpm"): "#5B6570",
    ("given", "adm256"): "#A3ACB5",
}
DASHES = {"none": "--", "ddpm": "-", "adm256": "-."}
REGIME_MARKERS = {"clean": "o", "noise": "s", "denoised": "^", "given": "D"}
MODEL_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MODEL_DASHES = ("-", "--", "-.", ":")

mpl.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "segcert",
        "svg.fonttype": "none",
        "figure.constrained_layout.use": True,
        "text.parse_math": False,  # Two dollar signs in a title must not begin a formula.
    }
)


def line(regime: str, denoiser: str) -> dict[str, Any]:
    """Return the line style of a pairing, for figures with a panel per model. All styles differ even in gray."""
    return {
        "color": COLORS[regime, denoiser],
        "linestyle": DASHES[denoiser],
        "marker": REGIME_MARKERS[regime],
        "label": describe_pairing(regime, denoiser),
    }


def shared_legend(figure: Figure, width: float = 3.4) -> None:
    """Draw a single legend below all panels, with an entry for each label. An entry is `width` inches wide."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    columns = max(1, int(figure.get_figwidth() / width))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns, frameon=False)


def to_rgb(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert an image of shape (C, H, W), with one or three channels, to shape (H, W, 3)."""
    return np.broadcast_to(image.transpose(1, 2, 0), (*image.shape[1:], 3))


def save_figure(figure: Figure, *paths: str | Path) -> None:
    """Write a figure to several paths without a date. The suffix of a path (.svg, .png) determines the format."""
    for number, path in enumerate(map(Path, paths)):
        if number:
            figure.set_layout_engine("none")  # Keep the panel positions of the first format.
        with atomic_file(path) as temporary:
            figure.savefig(temporary, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})


def inline_figure(figure: Figure) -> Markup:
    """Return a figure as an SVG element, for a page with only one figure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "figure.svg")
        save_figure(figure, path)
        return Markup(inline_svg(path, 0))  # noqa: S704


MM = 1 / 25.4  # inches
COLUMN_MM = 88.0  # column width in IEEE and Elsevier journals
TEXT_MM = 174.0  # text width of the summary: A4 with margins of 18 mm
HIGHEST_MM = 230.0  # largest height of a figure that fits on a page with its caption
PRINT: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.2,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.linewidth": 0.5,
    "legend.handlelength": 2.4,
    "legend.labelspacing": 0.25,
    "pdf.fonttype": 42,  # TrueType, because publishers require editable text.
}
CHARACTER = 0.6  # mean width of a character, as a share of the font size
LABEL = 20  # largest number of characters per line of an axis label in print
TITLE = 28  # largest number of characters per line above the narrowest panel on the page (2.6 inches)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The size of a figure, for the page or for print.

    Attributes
    ----------
    width_mm
        Width of a printed figure, which does not depend on the number of panels. None for the page, where each panel
        has a fixed size.
    panel_mm
        Height of a row of panels in print.
    """

    width_mm: float | None = None
    panel_mm: float = 36.0

    @property
    def narrow(self) -> bool:
        """True for print, where a row has room for only two or three panels."""
        return self.width_mm is not None

    def figure(self, width: float, height: float, rows: float, entries: int = 0) -> Figure:
        """Return an empty figure of `width` x `height` inches or, in print, tall enough for its rows and legend.

        `rows` is the number of rows of panels. A row with long titles may count as more than one row. `entries` is the
        number of entries in the legend. In print, the height of the figure is at most HIGHEST_MM, so rows are lower if
        there are many.
        """
        if self.width_mm is None:
            return Figure(figsize=(width, height))
        height_mm = min(HIGHEST_MM, self.panel_mm * rows + 3.4 * entries + 3)
        return Figure(figsize=(self.width_mm * MM, height_mm * MM))

    def title(self, *parts: str, columns: int) -> str:
        """Return the title of a panel, wrapped to the width of a panel in a row of `columns` panels."""
        parts = tuple(part.replace("$", r"\$") for part in parts)  # An unescaped dollar sign would begin a formula.
        if self.width_mm is None and len(", ".join(parts)) <= TITLE:
            return ", ".join(parts)
        text = ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)
        if self.width_mm is None:
            return textwrap.fill(text, TITLE, break_long_words=False)
        points = (self.width_mm / columns - 7) * MM * 72
        return textwrap.fill(text, max(8, int(points / (CHARACTER * PRINT["font.size"]))), break_long_words=False)

    def label(self, text: str) -> str:
        """Return the label of an axis. In print, it is wrapped to the height of the panel."""
        text = text.replace("$", r"\$")
        return textwrap.fill(text, LABEL, break_long_words=False) if self.narrow else text

    @contextlib.contextmanager
    def text(self) -> Iterator[None]:
        """Within this context, use the font sizes and line widths for print if the layout is for print."""
        with mpl.rc_context(PRINT if self.narrow else None):
            yield


PAGE = Layout()
COLUMN = Layout(COLUMN_MM)
TEXT = Layout(TEXT_MM)

Draw = Callable[[Any, Layout], Figure]


def save_for_page_and_paper(draw: Draw, whole: Any, parts: Iterable[Any], paths: Iterable[str | Path]) -> None:
    """Write a figure for the page (.svg, .png), and for a column of a paper (.pdf) with a PDF page for each data set.

    Parameters
    ----------
    draw
        Function that draws data in a given layout.
    whole
        Data of all data sets.
    parts
        Data of each data set.
    paths
        Paths of the files to write. The suffix of a path determines the format.
    """
    files = [Path(path) for path in paths]
    save_figure(draw(whole, PAGE), *(path for path in files if path.suffix != ".pdf"))
    for path in files:
        if path.suffix == ".pdf":
            save_print(path, draw, parts)


def save_print(path: str | Path, draw: Draw, parts: Iterable[Any], layout: Layout = COLUMN) -> None:
    """Write a reproducible vector figure to a PDF file, with embedded fonts and with a page for each part."""
    metadata = {"Title": Path(path).stem.replace("_", " "), "CreationDate": None}
    with layout.text(), atomic_file(path) as temporary, PdfPages(temporary, metadata=metadata) as pages:
        for part in parts:
            pages.savefig(draw(part, layout))


def by_dataset(table: Any) -> list[Any]:
    """Split a table by data set. Return a list with the rows of each data set."""
    return [rows for _, rows in table.groupby("dataset", sort=False)]
