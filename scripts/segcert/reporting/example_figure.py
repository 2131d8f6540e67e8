"""One test image at one noise level, in a row that fits the text width of a page."""

import numpy as np
from matplotlib.figure import Figure

from segcert.certification.certificate import ABSTAIN
from segcert.reporting.gallery import WHERE, Example, paint
from segcert.reporting.labels import describe_pairing
from segcert.reporting.layout import MM, TEXT, TEXT_MM
from segcert.reporting.style import to_rgb

MOST = 5  # certified maps beside each other


def middle_sigma(example: Example) -> str:
    """The noise level that is shown: the one in the middle, the lower of two."""
    sigmas = sorted(example.certified, key=float)
    return sigmas[(len(sigmas) - 1) // 2]


def example_figure(example: Example) -> Figure:
    """Image, ground truth, noisy and denoised copy, and certified maps of the first pairings."""
    sigma, gray = middle_sigma(example), to_rgb(example.image)
    panels = {"image": gray, "ground truth": paint(gray, example.truth)}
    for picture, title in zip(example.denoised.get(sigma, ()), ("noisy", "denoised"), strict=False):
        panels[title] = to_rgb(picture / 255)
    for (model, regime, denoiser), labels in list(example.certified[sigma].items())[:MOST]:
        panels[f"{model} ({regime}),\n{WHERE[denoiser]}"] = paint(gray, labels)
    with TEXT.text():
        figure = Figure(figsize=(TEXT_MM * MM, (TEXT_MM / max(6, len(panels)) + 7) * MM))
        for axes, (title, picture) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
            axes.imshow(picture, interpolation="nearest", vmin=0, vmax=1)
            axes.set_title(title, fontsize=6)
            axes.axis("off")
    return figure


def example_caption(example: Example) -> str:
    """The figure in words."""
    sigma = middle_sigma(example)
    shares = [
        f"{describe_pairing(regime, denoiser)}: {np.mean(labels == ABSTAIN):.0%}"
        for (_, regime, denoiser), labels in list(example.certified[sigma].items())[:MOST]
    ]
    return (
        f"{example.title}, sigma {sigma}: image, ground truth, "
        f"{'noisy and denoised copy, ' if sigma in example.denoised else ''}certified maps. Striped pixels abstain: "
        f"{'; '.join(shares)}."
    )
