"""How figures look: colours that the colour-blind can tell apart, and files whose bytes repeat."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from segcert.provenance.atomic import atomic_file

# Okabe and Ito's palette
CLASS_COLORS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2")
DPI = 150  # of PNG files
TRAINED = {"clean": "on clean images", "noise": "with noise"}
LINES: dict[tuple[str, str], dict[str, Any]] = {
    ("clean", "none"): {"color": "#D55E00", "linestyle": "--", "marker": "o"},
    ("clean", "ddpm"): {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    ("noise", "none"): {"color": "#009E73", "linestyle": "--", "marker": "s"},
    ("noise", "ddpm"): {"color": "#CC79A7", "linestyle": "-", "marker": "s"},
}

mpl.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "segcert",
        "svg.fonttype": "none",
        "figure.constrained_layout.use": True,
    }
)


def describe(model: str, regime: str, denoiser: str) -> str:
    """A model, its training regime and its denoiser in words."""
    return f"{model}, trained {TRAINED[regime]}, {'no denoiser' if denoiser == 'none' else 'behind the denoiser'}"


def to_rgb(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(C, H, W) in [0, 1] with one or three channels to (H, W, 3)."""
    return np.broadcast_to(image.transpose(1, 2, 0), (*image.shape[1:], 3))


def save_figure(figure: Figure, *paths: str | Path) -> None:
    """Write a figure to each path, in the format of its suffix (.svg, .png), without dates."""
    for path in map(Path, paths):
        with atomic_file(path) as temporary:
            figure.savefig(temporary, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})
