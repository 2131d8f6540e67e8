"""Put the pictures of README and docs into docs/images, from the finished runs `phantom` and `montgomery`.

python docs/pictures.py reports/phantom reports/montgomery
"""

import shutil
import sys
from pathlib import Path

from PIL import Image

from segcert.audit.audit import audit
from segcert.audit.page import figure_of
from segcert.reporting.style import save_figure

IMAGES = Path(__file__).parent / "images"


def main(phantom: str, montgomery: str) -> None:
    """The lineage and the first example of the gallery of the phantom; the curve (numbers only) of Montgomery."""
    IMAGES.mkdir(exist_ok=True)
    save_figure(figure_of(audit("phantom", Path(phantom).parents[1])), IMAGES / "phantom_lineage.png")
    with Image.open(IMAGES / "phantom_lineage.png") as lineage:
        lineage.convert("RGB").quantize(64).save(IMAGES / "phantom_lineage.png", optimize=True)
    shutil.copy(Path(montgomery, "figures/certified_dice.png"), IMAGES / "montgomery_certified_dice.png")
    with Image.open(Path(phantom, "figures/gallery_phantom.png")) as gallery:
        examples = round(gallery.height / gallery.width * 10.5 / 8.5)  # as gallery_figure lays them out
        first = gallery.crop((0, 0, gallery.width, gallery.height // examples))
        first.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(
            IMAGES / "phantom_gallery.png", optimize=True
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
