"""Detection of masks that do not fit their images, for example because only the image was rotated.

Gray levels change more across the true outline of a structure than across a displaced copy of the outline. Therefore,
each mask is compared with its seven rotated and mirrored copies (rotations by 90, 180 and 270 degrees).
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
BLUR = 1 / 64  # standard deviation of the Gaussian gradient filter, as a share of the image's side
FAINT = 1e-6  # an image with a smaller gradient per pixel, for values in [0, 1], has no contrast
# In five public data sets, both numbers distinguish correct masks from rotated or mirrored masks. At most 7% of the
# correct masks are doubtful, and the ratio of correct masks is 1.5 or more.
DOUBTFUL = 1.5
FLAT = 1.15
FEWEST = 8  # smallest number of images from which a data set can be judged


@dataclasses.dataclass(frozen=True)
class Alignment:
    """The fit between the masks and the images of a data set.

    Attributes
    ----------
    images
        Number of images that have an outline and contrast. Other images are not judged.
    ratio
        Contrast across the outline, divided by the median contrast across the rotated and mirrored copies, as a median
        over images. It is about 1 for masks that are unrelated to their images, and None if no image is judged.
    turned
        Dict that maps the description of each rotation or reflection to a ratio, as a median over images: the contrast
        across the rotated or mirrored outline, divided by the contrast across the outline of the mask.
    doubtful
        Names of images with a rotated or mirrored outline that has at least DOUBTFUL times the contrast of the outline
        of the mask, in descending order of this ratio.
    """

    images: int
    ratio: float | None
    turned: dict[str, float]
    doubtful: tuple[str, ...]

    @property
    def better_turned(self) -> str | None:
        """The best rotation or reflection, if the masks of most images fit better with it, otherwise None."""
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
    multiples = {}  # image name: contrasts of the seven copies, divided by that of the mask
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
    """Return the mean gradient of an image along the outline of the mask, and along its rotated and mirrored copies.

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
    """Return a Boolean array that is True where a pixel differs from its right or lower neighbour."""
    outline = np.zeros(mask.shape, np.bool_)
    outline[:-1] |= mask[:-1] != mask[1:]
    outline[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    return outline
