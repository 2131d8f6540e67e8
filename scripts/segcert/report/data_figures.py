"""Figures of a prepared data set: a contact sheet, and the distributions of gray levels and areas."""

import itertools
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from PIL import Image
from scipy import ndimage

from segcert.data.dataset import SPLITS, PreparedDataset
from segcert.data.raster import Labels
from segcert.report.data_summary import DataSummary
from segcert.report.style import DPI, to_rgb
from segcert.results.labels import CLASS_COLORS

Picture = npt.NDArray[np.uint8]
THUMBNAILS, COLUMNS = 24, 8  # largest numbers of images per split and of columns on the contact sheet
# Lengths on the contact sheet, in pixels of the image file. There are two of these pixels per CSS pixel.
SIDE, OUTLINE, GAP, LABEL, HEADING, MARGIN = 256, 3, 14, 40, 92, 24
FRAME = 213  # gray level of a thumbnail's frame
NAME = 22  # number of characters that fit below a thumbnail
CHANNELS = {1: ("gray level",), 3: ("red", "green", "blue")}
SPLIT_LINES: dict[str, dict[str, Any]] = {
    "train": {"color": "#999999", "linestyle": "-", "linewidth": 3.0},
    "val": {"color": "#D55E00", "linestyle": "--", "linewidth": 1.4},
    "test": {"color": "#0072B2", "linestyle": "-", "linewidth": 1.4},
}
SPIKE = 9  # peaks that are narrower than half of this number of bins are cut off


def contact_sheet(dataset: PreparedDataset, doubtful: Sequence[str] = ()) -> Figure:
    """Draw up to THUMBNAILS images of each split, with the outlines of classes.

    The images are selected at even intervals from the sorted names. They are followed by the first THUMBNAILS images
    in `doubtful`, so that their masks can be inspected.
    """
    shown = {}
    for split in SPLITS:
        names = dataset.names(split)
        shown[f"{split}: {share_shown(len(names))}"] = evenly_spread(sorted(names), THUMBNAILS)
    if doubtful:
        shown[f"masks that may not fit: {share_shown(len(doubtful))}"] = list(doubtful[:THUMBNAILS])
    columns = min(COLUMNS, max(map(len, shown.values())))
    side = len(_tile(dataset, dataset.names("train")[0]))
    down, right = side + LABEL, side + GAP
    heights = {heading: HEADING + down * -(-len(names) // columns) for heading, names in shown.items()}
    canvas = np.full((MARGIN + sum(heights.values()), 2 * MARGIN + right * columns - GAP, 3), 255, np.uint8)
    figure = Figure(figsize=(canvas.shape[1] / DPI, canvas.shape[0] / DPI))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    top = 0
    for heading, names in shown.items():
        axes.text(MARGIN, top + HEADING / 2, heading, fontsize=14, fontweight="bold", verticalalignment="center")
        for number, name in enumerate(names):
            row, column = divmod(number, columns)
            y, x = top + HEADING + row * down, MARGIN + column * right
            canvas[y - 1 : y + side + 1, x - 1 : x + side + 1] = FRAME
            canvas[y : y + side, x : x + side] = _tile(dataset, name)
            shown_name = name
            if len(name) > NAME:
                shown_name = f"{name[: NAME // 2 - 1]}\N{HORIZONTAL ELLIPSIS}{name[-NAME // 2 :]}"
            axes.text(x, y + side + 5, shown_name, fontsize=8, color="#5b6570", verticalalignment="top")
        top += heights[heading]
    axes.imshow(canvas, interpolation="nearest", aspect="auto", extent=(0, canvas.shape[1], canvas.shape[0], 0))
    axes.legend(
        handles=[
            Patch(color=color, label=title)
            for color, title in zip(CLASS_COLORS, dataset.about["classes"][1:], strict=False)
        ],
        loc="center right",
        bbox_to_anchor=(canvas.shape[1] - MARGIN, HEADING / 2),
        bbox_transform=axes.transData,
        ncols=len(CLASS_COLORS),
        fontsize=12,
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        handlelength=1,
        handleheight=1,
    )
    return figure


def evenly_spread(names: Sequence[str], most: int) -> list[str]:
    """Select at most `most` evenly spaced names, including the first and the last.

    >>> evenly_spread("abcdefg", 3)
    ['a', 'd', 'g']
    """
    if len(names) <= most:
        return list(names)
    return [names[round(position)] for position in np.linspace(0, len(names) - 1, most)]


def share_shown(images: int) -> str:
    """Describe the number of images of a split on the contact sheet.

    >>> share_shown(63), share_shown(5)
    ('24 of 63 images', 'all 5 images')
    """
    return f"{THUMBNAILS} of {images} images" if images > THUMBNAILS else f"all {images} images"


def outlined(picture: Picture, mask: Labels, width: int = 1) -> Picture:
    """Return a copy of an image, shape (H, W, 3), with the outlines of the mask, shape (H, W), in the class colours."""
    picture = picture.copy()
    for class_id, color in enumerate(CLASS_COLORS, start=1):
        inside = mask == class_id
        border = inside & ~ndimage.binary_erosion(inside, iterations=width, border_value=1)
        picture[border] = np.rint(255 * np.array(mpl.colors.to_rgb(color)))
    return picture


def intensity_figure(summary: DataSummary) -> Figure:
    """Draw the density of gray levels, with a panel per channel and a curve per split.

    If narrow peaks are cut off, the height of the highest peak is stated in the title of the panel.
    """
    channels = CHANNELS[summary.about["channels"]]
    figure = Figure(figsize=(7.2, 2.6))
    densities = {split: np.array(about.intensity) for split, about in summary.splits.items()}
    height = _height_without_spikes(np.concatenate(list(densities.values())))
    panels = figure.subplots(1, len(channels), squeeze=False, sharey=True)[0]
    for number, (panel, title) in enumerate(zip(panels, channels, strict=True)):
        for split, density in densities.items():
            edges = np.linspace(0, 1, density.shape[1] + 1)
            panel.plot((edges[1:] + edges[:-1]) / 2, density[number], label=split, **SPLIT_LINES[split])
        highest = max(density[number].max() for density in densities.values())
        if highest > height:
            panel.set_title(f"cut off; highest peak {highest:.0f}", fontsize=8, loc="left", color="#5b6570")
        panel.set(xlabel=f"{title} (0 to 1)", xlim=(0, 1), ylim=(0, height))
        panel.grid(axis="y", alpha=0.3)
    panels[0].set_ylabel("density")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3, frameon=False)
    return figure


def _height_without_spikes(densities: npt.NDArray[np.float64]) -> float:
    """Return the height of an axis for curves, shape (N, bins), without narrow peaks such as those of black margins."""
    highest = 1.05 * float(densities.max())
    broad = 1.3 * float(ndimage.median_filter(densities, (1, SPIKE), mode="constant").max())
    return min(highest, broad) if broad else highest


def area_figure(summary: DataSummary) -> Figure:
    """Draw histograms of class areas, with a row per class, a panel per split, and a line at the mean."""
    figure = Figure(figsize=(7.2, 1.7 * len(summary.ranges) + 0.3))
    grid = figure.subplots(len(summary.ranges), len(SPLITS), squeeze=False, sharex="row")
    for row, (title, ends), color in zip(grid, summary.ranges.items(), itertools.cycle(CLASS_COLORS), strict=False):
        for panel, (split, about) in zip(row, summary.splits.items(), strict=True):
            counts = about.classes[title].histogram
            edges = np.histogram_bin_edges([], len(counts), ends)
            panel.bar(edges[:-1], counts, np.diff(edges), align="edge", color=color, edgecolor="#ffffff", linewidth=0.5)
            panel.set_xlim(edges[0], edges[-1])
            panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
            if spread := about.classes[title].percent:
                panel.axvline(spread.mean, color="#000000", linewidth=1.2, linestyle="--")
            panel.set_title(f"{title}, {split}", fontsize=9)
        row[0].set_ylabel("images")
    for panel in grid[-1]:
        panel.set_xlabel("area (% of the image)")
    return figure


def _tile(dataset: PreparedDataset, name: str) -> Picture:
    """Return an image with the outlines of its mask, resized to SIDE pixels or enlarged by an integer factor."""
    size = dataset.about["image_size"]
    side = size * round(SIDE / size) if size <= SIDE else SIDE
    shrink = Image.Resampling.BOX if side < size else Image.Resampling.NEAREST
    picture = Image.fromarray(np.rint(255 * to_rgb(dataset.image(name))).astype(np.uint8))
    mask = Image.fromarray(dataset.mask(name)).resize((side, side), Image.Resampling.NEAREST)
    return outlined(np.asarray(picture.resize((side, side), shrink)), np.asarray(mask), OUTLINE)
