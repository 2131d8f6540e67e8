"""How large figures are: for the page, or for a column or the text width of a paper, in vectors."""

import contextlib
import dataclasses
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from segcert.provenance.atomic import atomic_file
from segcert.reporting.style import save_figure

MM = 1 / 25.4  # inches
COLUMN_MM = 88.0  # a column of IEEE's and Elsevier's journals
TEXT_MM = 174.0  # the text width of the summary: A4 with margins of 18 mm
HIGHEST_MM = 230.0  # of a figure that has to fit a page with its caption
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
    "pdf.fonttype": 42,  # TrueType: text that editors can change, as publishers ask
}
CHARACTER = 0.6  # mean width of a character, as a share of the size of the text
LABEL = 20  # characters beside a panel


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a figure will stand.

    width_mm: its width, of any number of panels; None on the page, where panels have a size and figures grow with
    them. panel_mm: height of a row of panels in print.
    """

    width_mm: float | None = None
    panel_mm: float = 36.0

    @property
    def narrow(self) -> bool:
        """Whether there is room for two or three panels beside each other."""
        return self.width_mm is not None

    def figure(self, width: float, height: float, rows: float, entries: int = 0) -> Figure:
        """A figure of `width` x `height` inches on the page; in print, of some rows of panels and entries of a legend.

        In print it is never higher than HIGHEST_MM: many rows are lower. Rows with long titles count for more than one.
        """
        if self.width_mm is None:
            return Figure(figsize=(width, height))
        height_mm = min(HIGHEST_MM, self.panel_mm * rows + 3.4 * entries + 3)
        return Figure(figsize=(self.width_mm * MM, height_mm * MM))

    def title(self, *parts: str, columns: int) -> str:
        """What a panel shows, on as many lines as its width takes when there are so many beside each other."""
        text = ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)
        if self.width_mm is None:
            return ", ".join(parts)
        points = (self.width_mm / columns - 7) * MM * 72
        return textwrap.fill(text, max(8, int(points / (CHARACTER * PRINT["font.size"]))), break_long_words=False)

    def label(self, text: str) -> str:
        """What stands beside an axis: in print on as many lines as the height of a panel takes."""
        return textwrap.fill(text, LABEL, break_long_words=False) if self.narrow else text

    @contextlib.contextmanager
    def text(self) -> Iterator[None]:
        """Within it, what is drawn and saved has the sizes of print."""
        with mpl.rc_context(PRINT if self.narrow else None):
            yield


PAGE = Layout()
COLUMN = Layout(COLUMN_MM)
TEXT = Layout(TEXT_MM)

Draw = Callable[[Any, Layout], Figure]


def save_for_page_and_paper(draw: Draw, whole: Any, parts: Iterable[Any], paths: Iterable[str | Path]) -> None:
    """Draw a figure twice: for the page (.svg, .png), and for a column of a paper (.pdf), a PDF page for each part.

    draw: makes the figure of some data in a layout. whole: all the data. parts: those of each data set.
    """
    files = [Path(path) for path in paths]
    save_figure(draw(whole, PAGE), *(path for path in files if path.suffix != ".pdf"))
    for path in files:
        if path.suffix == ".pdf":
            save_print(path, draw, parts)


def save_print(path: str | Path, draw: Draw, parts: Iterable[Any], layout: Layout = COLUMN) -> None:
    """Write a vector figure to a PDF file, a page for each part; fonts embedded, no dates: the bytes repeat."""
    metadata = {"Title": Path(path).stem.replace("_", " "), "CreationDate": None}
    with layout.text(), atomic_file(path) as temporary, PdfPages(temporary, metadata=metadata) as pages:
        for part in parts:
            pages.savefig(draw(part, layout))


def by_dataset(table: Any) -> list[Any]:
    """The rows of each data set of a table."""
    return [rows for _, rows in table.groupby("dataset", sort=False)]
