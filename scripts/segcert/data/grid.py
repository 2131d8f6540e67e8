"""Mapping between the pixels of an original image and the pixels of the padded and resized image."""

import dataclasses
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Grid:
    """Description of how an image was padded and resized. All pairs are (height, width) or (rows, columns).

    Attributes
    ----------
    original
        Size of the original image as displayed. If the file states an orientation, this is the size of the upright
        image.
    padding
        Number of rows that padding added above the image, and number of columns that it added on the left.
    padded
        Size after padding.
    size
        Size after resizing.
    """

    original: Size
    padding: Size
    padded: Size
    size: Size

    @classmethod
    def of(cls, size: Size) -> Self:
        """Return the grid of an image of the given size that is neither padded nor resized."""
        return cls(size, (0, 0), size, size)

    @property
    def stretch(self) -> tuple[float, float]:
        """Height and width, in original pixels, of the area that one pixel of the resized image covers."""
        return self.padded[0] / self.size[0], self.padded[1] / self.size[1]

    @property
    def squeeze(self) -> float:
        """Factor by which resizing changed the ratio of width to height; 1 if the aspect ratio was kept."""
        down, across = self.stretch
        return down / across

    def to_original(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Resample an array of shape (H, W) to the original grid by nearest neighbour, and remove the padding.

        Each original pixel gets the value of the pixel that contains its centre. If the centre lies on an edge between
        pixels, the lower or right pixel is used. The computation uses only integers, so it is exact.

        Raises ValueError if the array's shape is not `size`.
        """
        if pixels.shape != self.size:
            raise ValueError(f"found values of shape {pixels.shape}; expected {self.size}")
        rows, columns = (
            (2 * (np.arange(original) + before) + 1) * size // (2 * padded)
            for original, before, padded, size in zip(self.original, self.padding, self.padded, self.size, strict=True)
        )
        return pixels[np.ix_(rows, columns)]

    def as_json(self) -> dict[str, Any]:
        """Return a description of the grid as JSON values, for a certificate."""
        pairs = {key: list(value) for key, value in dataclasses.asdict(self).items()}
        return pairs | {"squeeze": self.squeeze, "orientation": "as displayed", "to_original": "nearest neighbour"}
