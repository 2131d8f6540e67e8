"""Look for masks that do not fit their images, such as masks that were not rotated together with the image.

Gray levels change more across the true outline of a structure than across a displaced copy of it. Each mask is compared
with its seven rotated and mirrored copies (rotations by 90, 180 and 270 degrees).
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
        Contrast across the outline, divided by the median contrast of the rotated and mirrored copies (median over
        images). It is about 1 for masks that are unrelated to their images, and None if no image is judged.
    turned
        Dict that maps the description of each rotation or reflection to the contrast of this copy, divided by the
        mask's contrast (median over images).
    doubtful
        Names of the images for which the contrast of a rotated or mirrored copy is at least DOUBTFUL times that of the
        mask, in descending order of this ratio.
    """

    images: int
    ratio: float | None
    turned: dict[str, float]
    doubtful: tuple[str, ...]

    @property
    def better_turned(self) -> str | None:
        """The rotation or reflection that fits best, if most images fit better with it than without; otherwise None."""
        if self.images < FEWEST:
            return None
        turn = max(self.turned, key=self.turned.__getitem__)
        return turn if self.turned[turn] > 1 else None

    @property
    def off_edges(self) -> bool:
        """True if the outlines do not follow edges in the images."""
        return self.images >= FEWEST and self.ratio is not None and self.ratio < FLAT


def judge_alignment(dataset: PreparedDataset) -> Alignment:
    """Compare each mask of a prepared data set with its rotated and mirrored copies, reading one image at a time."""
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
    """Return an image's mean gradient along its mask's outline, and along the rotated and mirrored outlines.

    The image has shape (C, H, W), and the result has shape (8,). The result is None if the mask has no outline, or if
    the image has no contrast.
    """
    outline = _outline(mask)
    gradient = ndimage.gaussian_gradient_magnitude(image.mean(axis=0), BLUR * len(mask))
    if not outline.any() or gradient.max() < FAINT:
        return None
    means = [gradient[upright(outline, turn)].mean() for turn in (UPRIGHT, *TURNS)]
    return np.array(means, np.float64).clip(min=FAINT)


def _outline(mask: Labels) -> npt.NDArray[np.bool_]:
    """Return a Boolean array that is True where a pixel differs from its right or its lower neighbour."""
    outline = np.zeros(mask.shape, np.bool_)
    outline[:-1] |= mask[:-1] != mask[1:]
    outline[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    return outline
