import numpy as np
import pandas as pd
import pytest

from segcert.results.confidence import mean_interval
from segcert.results.tables import (
    attack_table,
    class_table,
    denoiser_table,
    main_table,
    measurement_table,
    pairing_table,
    radius_table,
    read_table,
)

MODEL = {"dataset": "d", "model": "unet", "regime": "clean", "denoiser": "none", "sigma": 0.5}


def interval(image, low, median, high, decision="", outcome=""):
    values = {"radius": 0.3, "alpha": 0.001, "truth": 0.5, "clean": 0.5, "threshold": 0.5}
    about = {"measurement": "ratio", "unit": "", "image": image, "decision": decision}
    about["against_truth"] = outcome
    return MODEL | about | values | {"low": low, "median": median, "high": high}


def test_unbounded_intervals_are_counted_and_not_hidden():
    rows = [interval(f"i{k}", -np.inf, np.nan, np.inf, "open") for k in range(7)]
    (row,) = measurement_table(pd.DataFrame([*rows, interval("j", 0.4, 0.44, 0.48, "below")])).to_dict("records")
    assert (row["unbounded"], row["image"], row["open"], row["below"], row["above"]) == (7, 8, 7, 1, 0)
    assert (row["low"], row["high"]) == (0.4, 0.48)


def test_certified_decisions_are_counted_as_right_and_wrong():
    rows = [interval(f"i{k}", 0.6, 0.7, 0.8, "above", "wrong") for k in range(5)]
    rows += [interval(f"j{k}", 0.2, 0.3, 0.4, "below", "right") for k in range(2)]
    rows += [interval("k", 0.2, 0.3, 0.4, "below"), interval("l", 0.4, 0.5, 0.6, "open")]
    (row,) = measurement_table(pd.DataFrame(rows)).to_dict("records")
    assert {name: row[name] for name in ("above", "below", "open", "right", "wrong")} == {
        "above": 5, "below": 3, "open": 1, "right": 2, "wrong": 5,
    }  # fmt: skip


def test_attacks_are_summed_over_images():
    about = {"factor": 1.0, "certified": 10, "changed": 2, "draws": 100, "refuted": 1, "least_share": 0.2}
    shares = {"clean_share": [0.9, 0.8, np.nan], "share": [0.5, 0.7, np.nan], "strength": [1.0, 0.8, 0.0]}
    rows = pd.DataFrame([MODEL | about] * 3).assign(image=["a", "b", "c"], norm=[0.3, 0.4, 0], power=[0.5, 0.2, 0])
    (row,) = attack_table(rows.assign(**shares)).to_dict("records")
    assert (row["images"], row["certified"], row["changed"], row["draws"], row["refuted"]) == (3, 30, 6, 300, 3)
    assert (row["norm"], row["clean_share"], row["share"], row["strength"]) == pytest.approx((0.4, 0.85, 0.6, 0.6))
    assert row["power"] == pytest.approx(1 - 0.5 * 0.8)
    assert row.keys() == set(attack_table(pd.DataFrame()).columns)


def certified(pairing, dice, sigma=0.5):
    """Rows of one pairing: two classes per image, with a certified Dice 0.1 above and below the given one."""
    keys = MODEL | dict(zip(("regime", "denoiser"), pairing, strict=True)) | {"sigma": sigma}
    return [
        keys | {"image": f"i{number}", "group": f"g{number}", "class_id": class_id, "certified_dice": value + change}
        for number, value in enumerate(dice)
        for class_id, change in ((1, 0.1), (2, -0.1))
    ]


SETTINGS = dict.fromkeys(("tau", "alpha", "n0", "n", "looks", "method", "k", "radius", "radius_gray_levels"), 1)


def absent_on_two_of_four_images():
    """Class 2 is absent from images b and c: nothing is certified as it on b, and a wrong pixel on c."""
    dice = {"a": (0.8, 0.6), "b": (0.8, np.nan), "c": (0.8, 0.0), "d": (0.6, 0.4)}
    return pd.DataFrame([
        MODEL | SETTINGS | {"image": image, "group": image, "class_id": k, "class_name": "xy"[k - 1]}
        | {"certified_dice": each, "worst_case_dice": each, "abstain": 0.1, "area": 9, "area_low": 0, "area_high": 9}
        for image, of_image in dice.items()
        for k, each in enumerate(of_image, start=1)
    ])  # fmt: skip


def test_images_without_a_certified_dice_are_counted():
    rows = absent_on_two_of_four_images()
    (main,) = main_table(rows).to_dict("records")
    assert (main["images"], main["undefined"], main["certified_dice"]) == (4, 1, pytest.approx(0.6))
    x, y = class_table(rows).to_dict("records")
    assert (x["images"], x["undefined"], x["certified_dice"]) == (4, 0, pytest.approx(0.75))
    assert (y["images"], y["undefined"], y["certified_dice"]) == (4, 1, pytest.approx(1 / 3))
    (radius,) = radius_table(rows).to_dict("records")
    assert (radius["images"], radius["undefined"]) == (4, 1)


def test_failed_images_and_groups_are_counted_and_metrics_stay_in_their_range():
    """Image c has a certified Dice of 0.3, less than half of the median 0.9; its group has two images."""
    rows = pd.DataFrame(certified(("clean", "none"), [0.9, 0.9, 0.3, 0.9])).assign(**SETTINGS)
    (row,) = main_table(rows.replace({"group": {"g3": "g2"}})).to_dict("records")
    assert (row["images"], row["groups"], row["failed"]) == (4, 3, 1)
    _, low, high = mean_interval([0.9, 0.9, 0.3, 0.9])
    assert high > 1
    assert (row["certified_dice_low"], row["certified_dice_high"]) == pytest.approx((max(low, 0), 1))
    (few,) = main_table(pd.DataFrame(certified(("clean", "none"), [0.4, 0.9])).assign(**SETTINGS)).to_dict("records")
    assert (few["certified_dice_low"], few["certified_dice_high"], few["failed"]) == (0, 1, 0)


def test_pairings_are_compared_with_the_noise_trained_baseline_image_by_image():
    rng = np.random.default_rng(0)
    baseline = rng.uniform(0.2, 0.8, 30)
    better = baseline + 0.05 + rng.normal(0, 0.01, 30)  # images differ far more than the two pairings on one image
    rows = certified(("clean", "none"), baseline - 0.3) + certified(("noise", "none"), baseline)
    rows = pd.DataFrame(rows + certified(("clean", "ddpm"), better))
    table = pairing_table(rows).set_index(["regime", "denoiser"])
    assert set(table.index) == {("clean", "none"), ("clean", "ddpm")}
    assert set(table["baseline"]) == {"noise"}
    row = table.loc[("clean", "ddpm")]
    assert row["images"] == 30
    assert row["difference"] == pytest.approx((better - baseline).mean())
    assert row["difference_low"] > 0
    _, low, high = mean_interval(better)
    assert row["difference_high"] - row["difference_low"] < (high - low) / 5
    exact = table.loc[("clean", "none")]
    assert (exact["difference_low"], exact["difference_high"]) == pytest.approx((-0.3, -0.3))


def test_without_noise_training_the_clean_segmenter_is_the_baseline():
    rows = pd.DataFrame(certified(("clean", "ddpm"), [0.5, 0.6]) + certified(("clean", "none"), [0.2, 0.5]))
    (row,) = pairing_table(rows).to_dict("records")
    assert (row["baseline"], row["denoiser"], row["difference"]) == ("clean", "ddpm", pytest.approx(0.2))


def test_an_empty_table_has_a_header():
    alone = pairing_table(pd.DataFrame(certified(("clean", "ddpm"), [0.5])))
    assert alone.empty
    assert "difference" in alone
    assert list(denoiser_table(pd.DataFrame())) == ["dataset", "sigma", "method", "images", "psnr", "ssim"]


def test_names_stay_text(tmp_path):
    names = ["007", "null", "True", "1e5", "NA"]
    numbers = np.random.default_rng(0).random(5) / 3
    written = pd.DataFrame({"dataset": names, "class_name": names, "unit": "", "dice": numbers})
    written.to_csv(tmp_path / "table.csv", index=False)
    read = read_table(tmp_path / "table.csv")
    assert list(read["dataset"]) == list(read["class_name"]) == names
    assert read["unit"].isna().all()
    assert list(read["dice"]) == list(numbers)


def test_results_of_an_older_version_may_lack_a_metric():
    rows = pd.DataFrame(certified(("clean", "none"), [0.5, 0.6])).assign(**SETTINGS, dice=0.5)
    (row,) = main_table(rows).to_dict("records")
    assert (row["images"], row["certified_dice"], row["dice"]) == (2, pytest.approx(0.55), 0.5)
    assert "worst_case_dice" not in row
