"""The image at the top of the page: the best pairing of a run, and an image of median certified Dice under it."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from segcert.certification.certificate import ABSTAIN
from segcert.data.dataset import PreparedDataset
from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.report.gallery import PANEL, write_typical_images
from segcert.report.page import no_better_than_classical
from segcert.report.typical import read_typical, typical_image, write_typical


def metrics(dice, regime="clean", denoiser="none", sigma=0.5):
    """Rows of two classes with these certified Dice by image, the same for both."""
    shared = {"model": "unet", "regime": regime, "denoiser": denoiser, "sigma": sigma}
    shared |= {"dice": 0.9, "vote_dice": 0.8, "abstain": 0.25}
    rows = [
        {"image": image, "class_name": name, "certified_dice": value, **shared}
        for image, value in dice.items()
        for name in ("lungs", "heart")
    ]
    return pd.DataFrame(rows)


def test_the_best_pairing_of_the_middle_sigma_and_its_image_of_median_certified_dice():
    best = {"a": 0.9, "b": 0.5, "c": 0.7, "d": 0.8}
    frame = pd.concat(
        [
            metrics(dict.fromkeys(best, 1.0), sigma=0.25),
            metrics(dict.fromkeys(best, 0.1)),
            metrics(best, "clean", "ddpm"),
            metrics(dict.fromkeys(best, 0.6), "noise"),
            metrics(dict.fromkeys(best, 1.0), sigma=1.0),
        ]
    )
    typical = typical_image(frame, list(best))
    assert (typical.model, typical.regime, typical.denoiser, typical.sigma) == ("unet", "clean", "ddpm", 0.5)
    assert (typical.image, typical.certified_dice) == ("c", pytest.approx(0.7))  # the lower of two medians
    assert (typical.dice, typical.vote_dice, typical.abstain) == (pytest.approx(0.9), pytest.approx(0.8), 0.25)


def test_images_that_the_viewer_lacks_are_not_chosen():
    frame = metrics({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "e": 0.5})
    assert typical_image(frame, ["c", "d", "e"]).image == "d"


def test_images_without_a_certified_dice_count_only_if_all_lack_it():
    assert typical_image(metrics({"a": math.nan, "b": 0.2, "c": math.nan}), ["a", "b", "c"]).image == "b"
    nothing = typical_image(metrics({"a": math.nan, "b": math.nan}), ["a", "b"])
    assert nothing.image == "a"
    assert math.isnan(nothing.certified_dice)


def test_the_two_images_differ_where_labels_do(tmp_path):
    prepare(DATASET, find_phantoms({"train": 1, "val": 1, "test": 1}, 16), tmp_path / "phantom", Form(16), workers=1)
    index = tmp_path / "phantom/index.csv"
    (name,) = PreparedDataset(index).names("test")
    predicted = np.zeros((16, 16), np.uint8)
    certified = predicted.copy()
    certified[:4] = ABSTAIN
    typical = typical_image(metrics({name: math.nan}), [name])
    images = [tmp_path / "predicted.png", tmp_path / "certified.png"]
    write_typical_images(index, typical, predicted, certified, images)
    left, right = (np.asarray(Image.open(path)) for path in images)
    assert left.shape == right.shape == (PANEL, PANEL, 3)
    assert (left != right).any(axis=-1)[: PANEL // 4].mean() > 0.9
    np.testing.assert_array_equal(left[PANEL // 4 :], right[PANEL // 4 :])


def test_the_facts_are_json_and_come_back(tmp_path):
    typical = typical_image(metrics({"a": math.nan}), ["a"])
    write_typical(typical, tmp_path / "facts.json")
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert (facts["image"], facts["certified_dice"], facts["dice"]) == ("a", None, typical.dice)
    again = read_typical(tmp_path / "facts.json")
    assert math.isnan(again.certified_dice)
    assert (again.image, again.dice, again.sigma) == (typical.image, typical.dice, typical.sigma)


def scores(psnr, sigma=0.5):
    rows = [{"dataset": "phantom", "sigma": sigma, "method": method, "psnr": value} for method, value in psnr.items()]
    return pd.DataFrame(rows)


def test_a_denoiser_that_is_no_better_than_the_best_classical_method_is_remarked():
    good = scores({"noisy": 9.0, "nl_means": 20.0, "wavelet": 19.0, "ddpm": 20.1}, sigma=0.25)
    equal = scores({"noisy": 9.0, "nl_means": 18.0, "wavelet": 19.0, "ddpm": 19.0, "adm256": 25.0})
    (remark,) = no_better_than_classical(pd.concat([good, equal], ignore_index=True))
    assert (remark["denoiser"]["method"], remark["denoiser"]["sigma"]) == ("ddpm", 0.5)
    assert (remark["name"], remark["classical"]["psnr"]) == ("wavelet thresholding", 19.0)
    assert remark["denoiser"]["_table"] == "denoisers"
    assert (remark["denoiser"]["_row"], remark["classical"]["_row"]) == (7, 6)
    assert no_better_than_classical(good) == []
    assert no_better_than_classical(good.iloc[:0]) == []
