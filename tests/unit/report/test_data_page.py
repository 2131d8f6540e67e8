"""The data page of a synthetic data set with known numbers."""

import dataclasses
import functools
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from segcert.data.catalogue import Archive, Dataset, SplitRule
from segcert.data.dataset import PreparedDataset
from segcert.data.pairs import LeftOut, Pair, SearchResult
from segcert.data.prepare import Form, prepare
from segcert.data.raster import Raster
from segcert.report.data_figures import area_figure, contact_sheet, intensity_figure, outlined
from segcert.report.data_page import render_data_page
from segcert.report.data_summary import AREA_BINS, INTENSITY_BINS, read_summary, summarise, write_summary
from segcert.report.style import save_figure
from segcert.results.labels import CLASS_COLORS

SIZE = 32
DATASET = Dataset(
    name="squares",
    title="Squares & dots",
    modality="drawing",
    channels=1,
    classes=("background", "square", "dot"),
    citation="Nobody 2026",
    licence="CC0, as it were",
    terms="Do as you like.",
    splits={"parts": SplitRule("as the parts say", lambda named: str(named.part), leaks=True)},
    group="patient",
    archives=(Archive("squares.zip", "squares", "https://example.org/squares (an account is needed)"),),
    left_out_limit=0.5,
)
# name: group, split, side of the square, True for a dot (one pixel), gray level
IMAGES = {
    "a": ("p1", "train", 16, True, 0),
    "b": ("p1", "train", 8, False, 255),
    "c": ("p2", "train", 4, True, 255),
    "d": ("p3", "val", 8, False, 100),
    "e": ("p1", "test", 8, False, 200),
}


def draw(side, dot, level, pixel_size):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[2 : 2 + side, 2 : 2 + side] = 1
    mask[30, 30] = 2 * dot
    pixels = np.full((1, SIZE, SIZE), level, np.uint16)
    pixels[0, 0, 0] = side  # no two images are equal
    return Raster(pixels, 8, pixel_size), mask


def prepared(folder, about=DATASET, pixel_size=(0.5, 2.0), size=SIZE, **form):
    pairs = [
        Pair(name, group, functools.partial(draw, side, dot, level, pixel_size), split)
        for name, (group, split, side, dot, level) in IMAGES.items()
    ]
    left_out = [LeftOut("f", "no mask", "raw/squares.zip: img/f.png"), LeftOut("g", "no mask", "raw/g.png")]
    prepare(about, SearchResult(pairs, left_out), folder, Form(size, **form), workers=1)
    return PreparedDataset(folder / "index.csv")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("prepared") / "squares")


@pytest.fixture(scope="module")
def summary(dataset):
    return summarise(dataset)


def test_counts_and_areas_match_the_drawn_shapes(summary):
    assert {name: (split.images, split.groups) for name, split in summary.splits.items()} == {
        "train": (3, 2), "val": (1, 1), "test": (1, 1),
    }  # fmt: skip
    square, dot = (summary.splits["train"].classes[title] for title in ("square", "dot"))
    pixels = np.array([256, 64, 16])
    assert (square.images, dot.images) == (3, 2)
    assert dataclasses.astuple(square.percent) == pytest.approx((100 * pixels.mean() / 1024, 1600 / 1024, 25))
    assert dataclasses.astuple(square.area) == pytest.approx((pixels.mean(), 16, 256))
    assert summary.ranges["square"] == pytest.approx((1600 / 1024, 25))
    edges = np.linspace(1600 / 1024, 25, AREA_BINS + 1)
    assert square.histogram == tuple(np.histogram(100 * pixels / 1024, edges)[0])
    assert summary.splits["val"].classes["dot"].percent is None


def test_gray_levels_are_a_density_over_all_pixels_of_a_split(summary):
    density = np.array(summary.splits["train"].intensity)
    assert density.shape == (1, INTENSITY_BINS)
    assert density.mean() == pytest.approx(1, abs=1e-4)
    assert density[0, -1] / INTENSITY_BINS == pytest.approx(2 * 1023 / 3072, abs=1e-5)


def test_padding_does_not_count_as_gray_level(tmp_path):
    def wide():
        raster, mask = draw(16, False, 255, None)
        return dataclasses.replace(raster, pixels=raster.pixels[:, 8:24]), mask[8:24]

    pairs = [Pair(split, split, functools.partial(_shade, wide, k), split) for k, split in enumerate(("train", "val"))]
    pairs.append(Pair("test", "test", functools.partial(_shade, wide, 2), "test"))
    prepare(DATASET, SearchResult(pairs), tmp_path / "wide", Form(SIZE, keep_aspect=True))
    summary = summarise(PreparedDataset(tmp_path / "wide" / "index.csv"))
    for split in summary.splits.values():
        assert split.intensity[0][0] == 0
        assert split.intensity[0][-1] == INTENSITY_BINS
    assert summary.sizes == ((16, 32),)


def _shade(load, darker):
    raster, mask = load()
    return dataclasses.replace(raster, pixels=raster.pixels - np.uint16(darker)), mask


def test_areas_are_in_square_millimetres_only_if_all_pixel_sizes_are_known(tmp_path):
    assert summarise(prepared(tmp_path / "known")).area_unit == "mm²"
    summary = summarise(prepared(tmp_path / "unknown", pixel_size=None))
    assert summary.area_unit == ""
    assert all(of_class.area is None for split in summary.splits.values() for of_class in split.classes.values())


def test_excluded_images_are_counted_by_reason_and_shared_groups_are_found(summary):
    assert summary.left_out_by_kind == {"no mask": 2}
    assert summary.shared_groups == 1  # p1


def test_a_summary_is_read_back_from_its_file(summary, tmp_path):
    write_summary(summary, tmp_path / "summary.json")
    assert read_summary(tmp_path / "summary.json") == summary


def test_outlines_colour_only_the_outermost_pixels_of_a_class():
    mask = np.zeros((8, 8), np.uint8)
    mask[1:6, 1:6] = 1
    mask[7, 7] = 2
    picture = outlined(np.full((8, 8, 3), 7, np.uint8), mask)
    expected = np.full((8, 8, 3), 7)
    expected[1:6, 1:6] = rgb(CLASS_COLORS[0])
    expected[2:5, 2:5] = 7
    assert (picture[:7, :7] == expected[:7, :7]).all()
    assert (outlined(np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), np.uint8)) == 0).all(), "edge of the image"


def test_the_contact_sheet_keeps_the_values_of_pixels(dataset, tmp_path):
    save_figure(contact_sheet(dataset), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image.convert("RGB"))
    scale = 256 // SIZE
    # Outlines of the three squares of train and those of val and test, three pixels wide, and the legend's patch.
    perimeter = sum(2 * 3 * 2 * (side * scale - 3) for _, _, side, _, _ in IMAGES.values())
    found = (sheet == rgb(CLASS_COLORS[0])).all(axis=-1).sum()
    assert perimeter < found < perimeter + 1000
    assert (sheet == 200).all(axis=-1).sum() > 256 * 256 - 64 * 64


@pytest.fixture(scope="module")
def page(dataset, summary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    save_figure(contact_sheet(dataset), folder / "contact.png")
    save_figure(intensity_figure(summary), folder / "intensity.svg")
    save_figure(area_figure(summary), folder / "areas.svg")
    archives = [
        {"name": "squares.zip", "bytes": 12_300_000, "sha256": "ab" * 32, "official": False},
        {"name": "masks.zip", "bytes": 4500, "sha256": "cd" * 32, "official": None},
    ]
    manifest = {"dataset": "squares", "archives": archives, "files": {f"{k}.png": "ef" * 32 for k in range(7)}}
    ungrouped = summary.about | {"group": "image"}
    render_data_page(
        folder / "data.html",
        run="tiny",
        summaries=[summary, dataclasses.replace(summary, leaks=False, left_out=(), about=ungrouped)],
        manifests={"squares": manifest},
        contacts=[folder / "contact.png"] * 2,
        intensities=[folder / "intensity.svg"] * 2,
        areas=[folder / "areas.svg"] * 2,
    )
    return (folder / "data.html").read_text()


@pytest.mark.parametrize(
    "text",
    [
        "CC0, as it were", "Do as you like.", "Nobody 2026", "as the parts say", 'href="index.html"',
        "1 of its groups (patient) have images in more than one split",
        "not the official release.</strong> The SHA-256 of squares.zip does not match the published checksum",
        "unknown (no published checksum)", "12.3 MB", "ab" * 32, "7 single files",
        "<code>f</code>: no mask", "(raw/squares.zip: img/f.png)", '<td class="text">no mask</td><td>2</td>',
        "No image was excluded.", "train: all 3 images", "Squares &amp; dots",
    ],
)  # fmt: skip
def test_the_page_has_the_text(page, text):
    assert text in page


def test_only_a_leaking_split_has_a_notice(page):
    assert page.count("this split leaks") == 1


def test_unknown_patients_have_a_notice_and_no_promise(page):
    assert page.count("patients are unknown") == 1
    assert "no group is in more than one split" not in page


def test_the_page_makes_no_network_request(page):
    assert not re.search(r"<(script|link|iframe|object)\b", page)
    assert all(source.startswith("data:") for source in re.findall(r'\bsrc="([^"]*)"', page))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)|@import", page))
    assert all(target.startswith("#") for target in re.findall(r'xlink:href="([^"]*)"', page))


def test_ids_are_unique(page):
    ids = re.findall(r'\bid="([^"]*)"', page.split('<h2 id="squares">')[1])
    assert len(ids) == len(set(ids))


def rgb(color):
    return np.rint(255 * np.array(to_rgb(color)))
