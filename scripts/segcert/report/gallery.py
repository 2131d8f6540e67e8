"""Figures of individual images: ground truth, predictions, certified maps, and noisy and denoised copies.

`gallery_figure` shows several images at every noise level, for the results page. `example_figure` shows one image at
one noise level in a single row, for the PDF summary. `write_typical_images` writes the two images at the top of the
results page: the same typical image, tinted once by its predicted labels and once by its certified labels.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from segcert.certification.certificate import ABSTAIN
from segcert.data.dataset import PreparedDataset
from segcert.io.atomic import atomic_file
from segcert.report.style import MM, TEXT, TEXT_MM, to_rgb
from segcert.report.typical import Typical
from segcert.results.labels import CLASS_COLORS, describe, describe_pairing

Array = npt.NDArray[Any]
Maps = Mapping[str, Array]  # keys are image names
WHERE = {"none": "no denoiser", "ddpm": "denoiser", "adm256": "adm256"}
TINT = 0.55
STRIPE = 4


@dataclasses.dataclass(frozen=True)
class Example:
    """A test image with its predictions and certified maps.

    Attributes
    ----------
    title
        The title of the data set and the name of the image.
    image
        Pixels in [0, 1], shape (C, H, W).
    truth
        Ground-truth labels, shape (H, W).
    predictions
        Dict that maps (model, regime) to the labels predicted without noise, shape (H, W).
    denoised
        Dict that maps sigma to the noisy and the denoised copy, shape (2, C, H, W), uint8. The dict is empty if there
        is no denoiser.
    certified
        Certified labels, shape (H, W), keyed by sigma and then by (model, regime, denoiser).
    """

    title: str
    image: Array
    truth: Array
    predictions: Mapping[tuple[str, str], Array]
    denoised: Mapping[str, Array]
    certified: Mapping[str, Mapping[tuple[str, str, str], Array]]


def gallery_figure(examples: Sequence[Example]) -> Figure:
    """Draw each example as a row of image, ground truth and predictions, followed by a row of maps for each sigma."""
    rows = 1 + len(examples[0].certified)
    pairings = next(iter(examples[0].certified.values()))
    columns = 2 + max(len(pairings), len(examples[0].predictions))
    figure = Figure(figsize=(1.75 * columns, (2.05 * rows + 0.3) * len(examples)))
    for part, example in zip(figure.subfigures(len(examples), squeeze=False)[:, 0], examples, strict=True):
        _draw(part, example, rows, columns)
    return figure


def _draw(figure: Any, example: Example, rows: int, columns: int) -> None:
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel in axes.flat:
        panel.axis("off")
    gray = to_rgb(example.image)
    _show(axes[0, 0], gray, "image")
    _show(axes[0, 1], paint(gray, example.truth), "ground truth")
    for panel, ((model, regime), labels) in zip(axes[0, 2:], example.predictions.items(), strict=False):
        _show(panel, paint(gray, labels), f"{model} ({regime})\nprediction, no noise")
    for row, (sigma, certified) in zip(axes[1:], example.certified.items(), strict=True):
        for panel, picture, title in zip(row, example.denoised.get(sigma, ()), ("noisy", "denoised"), strict=False):
            _show(panel, to_rgb(picture / 255), f"{title}, sigma {sigma}")
        for panel, ((model, regime, denoiser), labels) in zip(row[2:], certified.items(), strict=False):
            _show(panel, paint(gray, labels), f"{model} ({regime}), {WHERE[denoiser]}\ncertified, sigma {sigma}")
    figure.suptitle(f"{example.title}. Striped pixels abstain", fontsize=9)


def caption(examples: Sequence[Example]) -> str:
    """Return the caption of a gallery, which is also used as its alternative text."""
    text = "Image, ground truth, predictions, noisy and denoised copies, and certified maps; striped pixels abstain."
    for example in examples:
        shares = [
            f"sigma {sigma}, {describe(*pairing)}: {np.mean(labels == ABSTAIN):.0%}"
            for sigma, certified in example.certified.items()
            for pairing, labels in certified.items()
        ]
        text += f" {example.title}, shares of pixels that abstain: {'; '.join(shares)}."
    return text


def paint(image: Array, labels: Array, scale: int = STRIPE, stripe: int = STRIPE) -> Array:
    """Tint the pixels of an image, shape (H, W, 3), in the colours of their classes. Pixels that abstain are striped.

    The result has shape (scale * H, scale * W, 3). `stripe` is the width of a stripe in pixels of the result.
    """
    image, labels = (array.repeat(scale, axis=0).repeat(scale, axis=1) for array in (image, labels))
    painted = 0.9 * image
    for class_id, color in enumerate(CLASS_COLORS, start=1):
        painted = np.where(
            (labels == class_id)[..., None], (1 - TINT) * image + TINT * np.array(mpl.colors.to_rgb(color)), painted
        )
    dark = np.less(np.indices(labels.shape).sum(axis=0) % (2 * stripe), stripe)
    return np.asarray(
        np.where(labels[..., None] == ABSTAIN, np.where(np.expand_dims(dark, -1), 0.35 + 0.3 * image, 1.0), painted)
    )


def _show(axes: Any, picture: Array, title: str, fontsize: int = 7) -> None:
    axes.imshow(picture, interpolation="nearest", vmin=0, vmax=1)
    axes.set_title(title, fontsize=fontsize)


def read_examples(
    index: str | Path,
    predictions: Mapping[tuple[str, str], Maps],
    denoised: Mapping[str, Maps],
    certificates: Mapping[tuple[str, str, str, str], Maps],
    count: int,
) -> list[Example]:
    """Return the first `count` certified test images as examples.

    `predictions` is keyed by (model, regime), `denoised` by sigma, and `certificates` by (model, regime, denoiser,
    sigma).
    """
    dataset = PreparedDataset(Path(index))
    prefix = "Synthetic phantom" if dataset.about["synthetic"] else dataset.about["title"]
    examples = []
    for name in list(next(iter(predictions.values())))[:count]:
        certified: dict[str, dict[tuple[str, str, str], Array]] = {}
        for (*pairing, sigma), maps in certificates.items():
            certified.setdefault(sigma, {})[pairing[0], pairing[1], pairing[2]] = maps[name]
        example = Example(
            title=f"{prefix}, {name}",
            image=dataset.image(name),
            truth=dataset.mask(name),
            predictions={model: maps[name] for model, maps in predictions.items()},
            denoised={sigma: maps[name] for sigma, maps in denoised.items()},
            certified=certified,
        )
        examples.append(example)
    return examples


MOST = 5  # largest number of certified maps in a row


def middle_sigma(example: Example) -> str:
    """Return the middle noise level of an example, or the lower of two middle noise levels."""
    sigmas = sorted(example.certified, key=float)
    return sigmas[(len(sigmas) - 1) // 2]


def example_figure(example: Example) -> Figure:
    """Draw one row of panels: image, ground truth, noisy and denoised copies, and certified maps of some pairings."""
    sigma, gray = middle_sigma(example), to_rgb(example.image)
    panels = {"image": gray, "ground truth": paint(gray, example.truth)}
    for picture, title in zip(example.denoised.get(sigma, ()), ("noisy", "denoised"), strict=False):
        panels[title] = to_rgb(picture / 255)
    for (model, regime, denoiser), labels in list(example.certified[sigma].items())[:MOST]:
        panels[f"{model} ({regime}),\n{WHERE[denoiser]}"] = paint(gray, labels)
    with TEXT.text():
        figure = Figure(figsize=(TEXT_MM * MM, (TEXT_MM / max(6, len(panels)) + 7) * MM))
        for axes, (title, picture) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
            _show(axes, picture, title, fontsize=6)
            axes.axis("off")
    return figure


def example_caption(example: Example) -> str:
    """Return the caption of `example_figure`."""
    sigma = middle_sigma(example)
    shares = [
        f"{describe_pairing(regime, denoiser)}: {np.mean(labels == ABSTAIN):.0%}"
        for (_, regime, denoiser), labels in list(example.certified[sigma].items())[:MOST]
    ]
    return (
        f"{example.title}, sigma {sigma}: image, ground truth, "
        f"{'noisy and denoised copies, ' if sigma in example.denoised else ''}and certified maps. Striped pixels "
        f"abstain. Shares of pixels that abstain: {'; '.join(shares)}."
    )


PANEL = 512  # smallest width, in pixels, of the images that `write_typical_images` writes


def write_typical_images(
    index: str | Path, typical: Typical, predicted: Array, certified: Array, paths: Sequence[str | Path]
) -> None:
    """Write two PNG files of the typical image of a data set, tinted by its predicted labels and certified labels."""
    gray = to_rgb(PreparedDataset(Path(index)).image(typical.image))
    scale = math.ceil(PANEL / gray.shape[1])
    for labels, path in zip((predicted, certified), paths, strict=True):
        painted = paint(gray, labels, scale, stripe=PANEL // 64)
        with atomic_file(path) as temporary:
            Image.fromarray(np.round(255 * painted.clip(0, 1)).astype(np.uint8)).save(temporary, "PNG", optimize=True)
