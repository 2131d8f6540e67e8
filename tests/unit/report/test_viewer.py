"""Data of the viewer, unpacked as the page unpacks them."""

import base64
import io
import json
import math
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from segcert.data.dataset import PreparedDataset
from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.report.viewer import chosen_images, write_viewer
from segcert.results.radius_rows import GRID_RADII

CALL = "segcertViewer.take("


def metrics_of(dice):
    """Return rows of one class with these certified Dice by image."""
    shared = {"model": "unet", "regime": "clean", "denoiser": "ddpm", "sigma": 0.5, "class_name": "lungs"}
    shared["method"] = "segcertify"
    numbers = dict.fromkeys(("dice", "iou", "vote_dice", "certified_iou", "worst_case_dice", "abstain"), 0.5)
    sizes = {"area": 7, "area_low": 5, "area_high": 9, "radius": 0.33, "radius_gray_levels": 1.3}
    fixed = {**shared, **numbers, **sizes}
    return pd.DataFrame([{"image": image, "certified_dice": value, **fixed} for image, value in dice.items()])


def read(path):
    """Return the data set, the name and the content of a part."""
    text = path.read_text(encoding="ascii")
    assert text.startswith(CALL)
    return json.loads(f"[{text.removeprefix(CALL).rstrip().removesuffix(');')}]")


def maps(packed, shape):
    return np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8).reshape(-1, *shape)


def tiles(sprite):
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(sprite["png"].partition("base64,")[2]))))
    height, width = sprite["height"], sprite["width"]
    grid = sheet.reshape(-1, height, sprite["columns"], width).swapaxes(1, 2)
    return grid.reshape(-1, height, width)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "phantom"
    prepare(DATASET, find_phantoms({"train": 1, "val": 1, "test": 5}, 16), folder, Form(16), workers=1)
    return folder / "index.csv"


@pytest.fixture
def written(index, tmp_path):
    dataset = PreparedDataset(Path(index))
    names = dataset.names("test")
    rng = np.random.default_rng(0)
    key = ("unet-clean", "ddpm", "0.5")
    labels = {name: rng.integers(0, 3, (16, 16)).astype(np.uint8) for name in names}
    pictures = {name: rng.integers(0, 256, (2, 1, 16, 16)).astype(np.uint8) for name in names[:3]}
    made = {
        "predictions": {"unet-clean": {name: dataset.mask(name) for name in names}},
        "pictures": {("ddpm", "0.5"): pictures},
        "labels": {key: labels},
        "levels": {key: {name: each + 1 for name, each in labels.items()} | {GRID_RADII: np.array([0.1, 0.2, 0.3])}},
        "metrics": metrics_of(dict(zip(names, [0.1, math.nan, 0.3, 0.4, 0.5], strict=True))),
    }
    parts = {name: tmp_path / f"{name}.js" for name in ("images", "0.5", "unet-clean")}
    about = {"model": "unet", "regime": "clean", "denoiser": "ddpm", "sigma": 0.5, "measurement": "area", "unit": ""}
    values = {"truth": 1.0, "clean": 2.0, "low": -math.inf, "median": 2.0, "high": 3.0, "threshold": math.nan}
    intervals = pd.DataFrame([{"image": names[0], **about, **values, "decision": "", "against_truth": ""}])
    write_viewer(
        index, images=parts["images"], noise={"0.5": parts["0.5"]}, maps={"unet-clean": parts["unet-clean"]},
        intervals=intervals, most=60, **made,
    )  # fmt: skip
    return dataset, names, made, {name: read(path) for name, path in parts.items()}


def test_pictures_and_maps_come_back_as_they_were(written):
    dataset, names, made, parts = written
    title, part, images = parts["images"]
    assert (title, part, images["names"]) == ("phantom", "images", names)
    picture = tiles(images["image"])
    for number, name in enumerate(names):
        np.testing.assert_array_equal(picture[number], np.round(255 * dataset.image(name)[0]))
    np.testing.assert_array_equal(maps(images["truth"], (16, 16)), [dataset.mask(name) for name in names])
    content = parts["unet-clean"][2]
    np.testing.assert_array_equal(maps(content["prediction"], (16, 16)), [dataset.mask(name) for name in names])
    behind = content["behind"]["ddpm/0.5"]
    labels = made["labels"]["unet-clean", "ddpm", "0.5"]
    np.testing.assert_array_equal(maps(behind["certified"], (16, 16)), list(labels.values()))
    np.testing.assert_array_equal(maps(behind["levels"], (16, 16)), [each + 1 for each in labels.values()])
    assert behind["radii"] == [0.1, 0.2, 0.3]


def test_an_image_without_a_noisy_copy_has_no_tile(written):
    _, names, made, parts = written
    noise = parts["0.5"][2]
    assert noise["tile"] == [0, 1, 2, None, None]
    for which, sprite in enumerate((noise["noisy"], noise["denoised"]["ddpm"])):
        for number, name in enumerate(names[:3]):
            np.testing.assert_array_equal(tiles(sprite)[number], made["pictures"]["ddpm", "0.5"][name][which, 0])


def test_numbers_that_are_not_defined_are_null(written):
    behind = written[3]["unet-clean"][2]["behind"]["ddpm/0.5"]
    assert [each["classes"][0]["certified_dice"] for each in behind["numbers"]] == [0.1, None, 0.3, 0.4, 0.5]
    (interval,) = behind["intervals"][0]
    assert (interval["low"], interval["high"], interval["threshold"]) == ("-inf", 3.0, None)
    assert behind["intervals"][1:] == [[]] * 4


def test_the_first_images_and_the_extremes_are_chosen():
    dice = {f"{number:02}": value for number, value in enumerate([0.5] * 10 + [0.1, 0.9] * 6 + [math.nan] * 3)}
    chosen = chosen_images(metrics_of(dice), 3)
    assert chosen[:3] == ["00", "01", "02"]
    assert chosen == sorted(chosen)
    values = [dice[name] for name in chosen[3:]]
    assert sorted(values) == [0.1] * 5 + [0.9] * 5
    assert chosen_images(metrics_of(dice), 60) == list(dice)
