"""The data page, on which users can inspect the images for training, validation and certification."""

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
OFFICIAL = {True: "yes", False: "no", None: "unknown (no published checksum)"}


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
    """Write the data page of a run, which is a single HTML file about all data sets of the run.

    `manifests` maps data sets to the manifests of their raw files. Generated data sets have no manifest. `contacts`
    (PNG), `intensities` and `areas` (SVG) are files with the figures of segcert.report.data_figures, in the order of
    `summaries`.
    """
    datasets = []
    for number, summary in enumerate(summaries):
        shown = ", ".join(f"{split}: {share_shown(summary.splits[split].images)}" for split in SPLITS)
        title, classes = summary.about["title"], ", ".join(summary.about["classes"][1:])
        contact = Path(contacts[number])
        with Image.open(contact) as image:
            width, height = image.width // 2, image.height // 2  # two pixels of the image file per CSS pixel
        made = {
            "summary": summary,
            "manifest": manifests.get(summary.about["name"]),
            "contact": {"uri": data_uri(contact.read_bytes()), "width": width, "height": height},
            "alt": f"{title}, {shown}; with the outlines of {classes}.",
            "intensity": Markup(inline_svg(Path(intensities[number]), f"{number}i")),  # noqa: S704
            "areas": Markup(inline_svg(Path(areas[number]), f"{number}a")),  # noqa: S704
        }
        datasets.append(made)
    render(output, "data.html.j2", run=run, official=OFFICIAL, colors=CLASS_COLORS, datasets=datasets)
