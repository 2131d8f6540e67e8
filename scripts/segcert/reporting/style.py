"""How figures look: colours that the colour-blind can tell apart, and files whose bytes repeat."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from segcert.provenance.atomic import atomic_file
from segcert.reporting.wording import BEHIND, TRAINED

# Okabe and Ito's palette
CLASS_COLORS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2")
DPI = 150  # of PNG files
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
        "text.parse_math": False,  # a title with two dollar signs is no formula
    }
)


def line(regime: str, denoiser: str) -> dict[str, Any]:
    """How a pairing is drawn where there is a panel per model: no two look alike, not in gray either."""
    return {
        "color": COLORS[regime, denoiser],
        "linestyle": DASHES[denoiser],
        "marker": REGIME_MARKERS[regime],
        "label": describe_pairing(regime, denoiser),
    }


def describe(model: str, regime: str, denoiser: str) -> str:
    """A model, its training regime and its denoiser in words."""
    return f"{model}, {describe_pairing(regime, denoiser)}"


def describe_pairing(regime: str, denoiser: str) -> str:
    """A training regime and a denoiser in words."""
    return f"trained {TRAINED[regime]}, {BEHIND[denoiser]}"


def shared_legend(figure: Figure, width: float = 3.4) -> None:
    """One legend below all panels, with an entry, `width` inches wide, for each label that occurs in any of them."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    columns = max(1, int(figure.get_figwidth() / width))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns, frameon=False)


def to_rgb(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(C, H, W) in [0, 1] with one or three channels to (H, W, 3)."""
    return np.broadcast_to(image.transpose(1, 2, 0), (*image.shape[1:], 3))


def save_figure(figure: Figure, *paths: str | Path) -> None:
    """Write a figure to each path, in the format of its suffix (.svg, .png), without dates."""
    for number, path in enumerate(map(Path, paths)):
        if number:
            figure.set_layout_engine("none")  # panels stay where the first format has put them
        with atomic_file(path) as temporary:
            figure.savefig(temporary, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
