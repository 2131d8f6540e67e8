"""Masks that do not fit their images are noticed."""

import functools

import numpy as np
import pytest

from segcert.data.catalogue import Dataset, SplitRule
from segcert.data.dataset import PreparedDataset
from segcert.data.orientation import upright
from segcert.data.pairs import Pair, SearchResult
from segcert.data.phantom import draw_phantom
from segcert.data.prepare import Form, prepare
from segcert.data.raster import Raster
from segcert.report.alignment import TURNS, judge_alignment
from segcert.report.data_figures import contact_sheet
from segcert.report.data_page import render_data_page
from segcert.report.data_summary import summarise

IMAGES = 12
SIZE = 64
SPLITS = ["train", "val", "test"]
DATASET = Dataset(
    name="turned",
    title="Turned",
    modality="drawing",
    channels=1,
    classes=("background", "lungs", "heart"),
    citation="none",
    licence="none",
    terms="none",
    splits={"parts": SplitRule("as the parts say", lambda key: str(key.part))},
    group="image",
)


def dataset(folder, draw):
    """Prepare IMAGES images. `draw(k)` returns image k, (H, W) uint8, and its mask."""

    def load(k):
        image, mask = draw(k)
        return Raster(image[None].astype(np.uint16), 8), mask

    pairs = [Pair(f"i{k:02d}", f"i{k:02d}", functools.partial(load, k), SPLITS[k % 3]) for k in range(IMAGES)]
    prepare(DATASET, SearchResult(pairs), folder / "turned", Form(SIZE))
    return PreparedDataset(folder / "turned/index.csv")


def phantom(k, orientation=1):
    """Return phantom k and its mask, turned as the orientation asks for."""
    image, mask = draw_phantom(f"p{k}", SIZE)
    return image.pixels[0], np.ascontiguousarray(upright(mask, orientation))


def noise(k):
    """Return an image of noise, and a mask that has nothing to do with it."""
    image = np.random.default_rng(k).integers(0, 256, (SIZE, SIZE)).astype(np.uint8)
    return image, phantom(k)[1]


def blank(k):
    """Return a constant image with a mask."""
    return np.full((SIZE, SIZE), k, np.uint8), phantom(k)[1]


def page(folder, found):
    summary = summarise(found)
    figures = [folder / "contact.png", folder / "curve.svg"]
    contact_sheet(found, summary.alignment.doubtful).savefig(figures[0])
    figures[1].write_text("<svg viewBox='0 0 1 1'></svg>")
    names = {"contacts": figures[:1], "intensities": figures[1:], "areas": figures[1:]}
    render_data_page(folder / "data.html", run="run", summaries=[summary], manifests={}, **names)
    return (folder / "data.html").read_text()


def test_correct_masks_are_not_noticed(tmp_path):
    found = dataset(tmp_path, phantom)
    alignment = judge_alignment(found)
    assert (alignment.images, alignment.better_turned, alignment.doubtful) == (IMAGES, None, ())
    assert alignment.ratio > 1.5
    assert "the masks may" not in page(tmp_path, found)


@pytest.mark.parametrize("orientation", TURNS)
def test_turned_masks_are_noticed_with_the_turn_that_mends_them(tmp_path, orientation):
    alignment = judge_alignment(dataset(tmp_path, functools.partial(phantom, orientation=orientation)))
    corrected = {6: 8, 8: 6}.get(orientation, orientation)
    assert alignment.better_turned == TURNS[corrected]


def test_page_names_the_turn_and_shows_doubtful_masks(tmp_path):
    found = dataset(tmp_path, functools.partial(phantom, orientation=3))
    text = page(tmp_path, found)
    assert "better when the mask is turned by 180 degrees" in text
    assert all(f"<li><code>{name}</code></li>" in text for name in judge_alignment(found).doubtful)


def test_single_turned_mask_is_doubtful(tmp_path):
    alignment = judge_alignment(dataset(tmp_path, lambda k: phantom(k, 3 if k == 5 else 1)))
    assert alignment.doubtful == ("i05",)
    assert alignment.better_turned is None


def test_masks_of_other_images_are_noticed(tmp_path):
    found = dataset(tmp_path, noise)
    assert judge_alignment(found).off_edges
    assert "The contrast across the outlines is" in page(tmp_path, found)


def test_image_without_contrast_is_not_judged(tmp_path):
    alignment = judge_alignment(dataset(tmp_path, blank))
    assert (alignment.images, alignment.ratio) == (0, None)
    assert not alignment.off_edges
    assert alignment.better_turned is None
