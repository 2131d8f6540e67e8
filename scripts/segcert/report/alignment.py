"""Look for masks that do not fit their images, such as masks that were not turned together with the image.

An image changes more across its structure's outline than across a displaced copy of this outline. Each mask is compared
with its seven turned copies: turned by 90, 180 and 270 degrees, mirrored, or both.
"""

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segcert.data.dataset import PreparedDataset
from segcert.data.orientation import UPRIGHT, upright
from segcert.data.raster import Labels

TURNS = {
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "mirrored top to bottom",
    5: "mirrored along the diagonal",
    6: "turned by 90 degrees clockwise",
    7: "mirrored along the other diagonal",
    8: "turned by 90 degrees counterclockwise",
}
BLUR = 1 / 64  # standard deviation of the Gaussian gradient, as a share of the image's side
FAINT = 1e-6  # gradient per pixel, in [0, 1], that counts as no contrast
# Masks of five public data sets and the same masks turned differ in both numbers: at most 7% of the correct masks are
# doubtful, and the ratio of correct masks is 1.5 or more.
DOUBTFUL = 1.5
FLAT = 1.15
FEWEST = 8  # fewer images are too few to judge a data set


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Fit of the masks of a data set to their images.

    Attributes
    ----------
    images
        Number of images with an outline and with contrast. Only these are judged.
    ratio
        Contrast across the outline divided by the median contrast of the turned copies: the median over images. It is
        about 1 for masks that have nothing to do with their images, and None if no image is judged.
    turned
        Contrast of each turned copy divided by that of the mask, by the description of the turn: medians over images.
    doubtful
        Names of the images for which the contrast of a turned copy is at least DOUBTFUL times that of the mask, the
        largest multiple first.
    """

    images: int
    ratio: float | None
    turned: dict[str, float]
    doubtful: tuple[str, ...]

    @property
    def better_turned(self) -> str | None:
        """Description of the turn that fits best, if it fits most images better than no turn; otherwise None."""
        if self.images < FEWEST:
            return None
        turn = max(self.turned, key=self.turned.__getitem__)
        return turn if self.turned[turn] > 1 else None

    @property
    def off_edges(self) -> bool:
        """True if the outlines do not follow edges in the images."""
        return self.images >= FEWEST and self.ratio is not None and self.ratio < FLAT


def judge_alignment(dataset: PreparedDataset) -> Alignment:
    """Compare each mask of a prepared data set with its turned copies, reading one image at a time."""
    multiples = {}  # (7,) by image: contrast of each turned copy divided by that of the mask
    for name in dataset.rows:
        contrasts = _contrasts(dataset.image(name), dataset.mask(name))
        if contrasts is not None:
            multiples[name] = contrasts[1:] / contrasts[0]
    if not multiples:
        return Alignment(0, None, {}, ())
    table = np.stack(list(multiples.values()))
    largest = {name: float(of_image.max()) for name, of_image in multiples.items()}
    doubtful = [name for name in largest if largest[name] >= DOUBTFUL]
    return Alignment(
        images=len(table),
        ratio=float(np.median(1 / np.median(table, axis=1))),
        turned=dict(zip(TURNS.values(), np.median(table, axis=0).tolist(), strict=True)),
        doubtful=tuple(sorted(doubtful, key=lambda name: -largest[name])),
    )


def _contrasts(image: npt.NDArray[np.float32], mask: Labels) -> npt.NDArray[np.float64] | None:
    """Return the mean gradient of an image (C, H, W) along its mask's outline and along the turned outlines, (8,).

    Return None if the mask has no outline, or if the image has no contrast.
    """
    outline = _outline(mask)
    gradient = ndimage.gaussian_gradient_magnitude(image.mean(axis=0), BLUR * len(mask))
    if not outline.any() or gradient.max() < FAINT:
        return None
    means = [gradient[upright(outline, turn)].mean() for turn in (UPRIGHT, *TURNS)]
    return np.array(means, np.float64).clip(min=FAINT)


def _outline(mask: Labels) -> npt.NDArray[np.bool_]:
    """Return True for each pixel that differs from its right or its lower neighbour."""
    outline = np.zeros(mask.shape, np.bool_)
    outline[:-1] |= mask[:-1] != mask[1:]
    outline[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    return outline
