"""The grid of a file against its definition: the pixel that contains a centre, in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from segcert.data.grid import Grid
from segcert.data.raster import Raster


def prepared(height, width, size, keep_aspect):
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width)).astype(np.uint16)
    image = Raster(pixels, 8)
    return (image.padded() if keep_aspect else image).resized(size)


@pytest.mark.parametrize("keep_aspect", [False, True])
@pytest.mark.parametrize("size", [1, 7, 16, 24, 50])
@pytest.mark.parametrize(("height", "width"), [(24, 12), (11, 24), (16, 16), (1, 9), (23, 24)])
def test_an_original_pixel_gets_the_value_of_the_pixel_that_contains_its_centre(height, width, size, keep_aspect):
    grid = prepared(height, width, size, keep_aspect).grid
    values = np.arange(size * size).reshape(size, size)
    found = grid.to_original(values)
    side = (max(height, width),) * 2 if keep_aspect else (height, width)
    top, left = ((side[0] - height) // 2, (side[1] - width) // 2)
    for i in range(height):
        for j in range(width):
            row = (Fraction(1, 2) + i + top) * size / side[0]
            column = (Fraction(1, 2) + j + left) * size / side[1]
            assert found[i, j] == values[int(row), int(column)]


@pytest.mark.parametrize(("height", "width"), [(24, 11), (9, 24), (24, 24)])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_padding_is_removed_and_enlarged_images_come_back_exactly(height, width, factor):
    image = prepared(height, width, 24 * factor, keep_aspect=True)
    original = np.random.default_rng(0).integers(0, 256, (1, height, width)).astype(np.uint16)
    assert np.array_equal(image.grid.to_original(image.pixels[0]), original[0])


def test_the_squeeze_is_the_change_of_width_over_height():
    image = prepared(1024, 256, 16, keep_aspect=False)
    assert (image.grid.stretch, image.grid.squeeze) == ((64, 16), 4)
    assert prepared(1024, 256, 16, keep_aspect=True).grid.squeeze == 1
    assert prepared(1024, 256, 16, keep_aspect=True).grid.as_json() == {
        "original": [1024, 256],
        "padding": [0, 384],
        "padded": [1024, 1024],
        "size": [16, 16],
        "squeeze": 1.0,
        "orientation": "as displayed",
        "to_original": "nearest neighbour",
    }


def test_values_of_a_different_size_are_refused():
    with pytest.raises(ValueError, match=r"found values of shape \(4, 5\); expected \(4, 4\)"):
        Grid.of((4, 4)).to_original(np.zeros((4, 5)))
