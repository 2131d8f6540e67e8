"""The page of the data: what was trained, validated and certified on, to look at before believing any number."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from segcert.data.dataset import SPLITS
from segcert.report.data_figures import share_shown
from segcert.report.data_summary import DataSummary
from segcert.report.html import data_uri, inline_svg, render
from segcert.results.labels import CLASS_COLORS

Manifest = Mapping[str, Any]
OFFICIAL = {True: "yes", False: "no", None: "checksum not published, recorded"}


def render_data_page(
    output: str | Path,
    *,
    run: str,
    summaries: Sequence[DataSummary],
    manifests: Mapping[str, Manifest],
    contacts: Sequence[str | Path],
    intensities: Sequence[str | Path],
    areas: Sequence[str | Path],
) -> None:
    """Render the data sets of a run to one HTML file.

    manifests: of the raw files, by data set, where there are any. contacts (PNG), intensities and areas (SVG): the
    figures of segcert.report.data_figures, one for each summary.
    """
    files = zip(summaries, contacts, intensities, areas, strict=True)
    render(
        output,
        "data.html.j2",
        run=run,
        official=OFFICIAL,
        colors=CLASS_COLORS,
        datasets=[
            {
                "summary": summary,
                "manifest": manifests.get(summary.about["name"]),
                "contact": _picture(Path(contact)),
                "alt": _in_words(summary),
                "intensity": Markup(inline_svg(Path(intensity), f"{number}i")),  # noqa: S704
                "areas": Markup(inline_svg(Path(area), f"{number}a")),  # noqa: S704
            }
            for number, (summary, contact, intensity, area) in enumerate(files)
        ],
    )


def _picture(path: Path) -> dict[str, Any]:
    """A PNG file and its width and height on the page: two of its pixels for each of CSS."""
    with Image.open(path) as image:
        return {"uri": data_uri(path.read_bytes()), "width": image.width // 2, "height": image.height // 2}


def _in_words(summary: DataSummary) -> str:
    """The contact sheet, for those who cannot see it."""
    shown = ", ".join(f"{split}: {share_shown(summary.splits[split].images)}" for split in SPLITS)
    return f"{summary.about['title']}, {shown}; with the outlines of {', '.join(summary.about['classes'][1:])}."
