"""Make the pictures of README and docs in docs/images from the finished runs `phantom` and `montgomery`.

python docs/pictures.py reports/phantom reports/montgomery
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from segcert.audit.audit import audit
from segcert.audit.page import audit_figure
from segcert.certification.certificate import ABSTAIN, certified_radius, radius_in_gray_levels
from segcert.data.dataset import PreparedDataset
from segcert.report.gallery import paint
from segcert.report.style import save_figure, to_rgb

IMAGES = Path(__file__).parent / "images"
EXAMPLE, SIGMA, TAU = "phantom_test_0000", 0.25, 0.75  # the example in docs/explanation/certificates.md
SQUARE = slice(28, 36)


def main(phantom: str, montgomery: str) -> None:
    """Write the phantom's lineage, gallery example and certificate figure, and Montgomery's curve (numbers only)."""
    IMAGES.mkdir(exist_ok=True)
    save_figure(audit_figure(audit("phantom", Path(phantom).parents[1])), IMAGES / "phantom_lineage.png")
    with Image.open(IMAGES / "phantom_lineage.png") as lineage:
        lineage.convert("RGB").quantize(64).save(IMAGES / "phantom_lineage.png", optimize=True)
    shutil.copy(Path(montgomery, "figures/certified_dice.png"), IMAGES / "montgomery_certified_dice.png")
    with Image.open(Path(phantom, "figures/gallery_phantom.png")) as gallery:
        examples = round(gallery.height / gallery.width * 10.5 / 8.5)  # as gallery_figure lays them out
        first = gallery.crop((0, 0, gallery.width, gallery.height // examples))
        first.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(
            IMAGES / "phantom_gallery.png", optimize=True
        )
    save_figure(certificate_figure(Path(phantom).parents[1]), IMAGES / "phantom_certificate.png")


def certificate_figure(root: Path) -> Figure:
    """Draw a certified phantom, and two perturbed images whose l2 distance from it is the certified radius."""
    image = PreparedDataset(root / "data/prepared/phantom/index.csv").image(EXAMPLE)
    labels = np.load(root / f"results/phantom/certificates/phantom/unet-clean/ddpm/sigma_{SIGMA:g}.npz")[EXAMPLE]
    radius = certified_radius(SIGMA, TAU)
    spread = np.random.default_rng(0).standard_normal(image.shape)
    square = np.zeros(image.shape)
    square[:, SQUARE, SQUARE] = 1
    rms, abstains = radius_in_gray_levels(radius, image.size), np.mean(labels == ABSTAIN)
    panels = {
        "image": to_rgb(image),
        f"certified; {abstains:.1%} abstains": paint(to_rgb(image), labels),
        f"changed by the radius:\n{rms:.2f} gray levels everywhere": _changed(image, spread, radius),
        f"changed by the radius:\n{255 * radius / np.sqrt(square.sum()):.1f} gray levels in a square": _changed(
            image, square, radius
        ),
    }
    figure = Figure(figsize=(9, 2.9))
    for axes, (title, picture) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.imshow(picture, interpolation="nearest", vmin=0, vmax=1)
        axes.set_title(title, fontsize=9)
        axes.axis("off")
    return figure


def _changed(image: np.ndarray, direction: np.ndarray, radius: float) -> np.ndarray:
    return to_rgb(np.clip(image + radius * direction / np.linalg.norm(direction), 0, 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
