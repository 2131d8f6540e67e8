"""Claims on synthetic rows with known verdicts, and reasons if a model or noise level is missing."""

import math

import numpy as np
import pandas as pd
import pytest

from segcert.results.claims import CLAIMS, COLUMNS, FAILS, HOLDS, NOT_TESTED, OPEN, claim_table, in_sentences, verdict
from segcert.results.tables import pairing_table

SIGMAS = (0.25, 0.5, 1.0)
IMAGES = 20
# Certified Dice by pairing at each sigma: every claim holds, except the one against noise training.
DICE = {
    ("clean", "none"): (0.6, 0.3, 0.1),
    ("noise", "none"): (0.85, 0.85, 0.85),
    ("clean", "ddpm"): (0.8, 0.7, 0.6),
    ("denoised", "ddpm"): (0.82, 0.75, 0.7),
}


def rows_of(dice=DICE, sigmas=SIGMAS, images=IMAGES, **others):
    """Rows like those of certificates.parquet: images differ a lot, pairings on one image by the steps of `dice`."""
    rng = np.random.default_rng(0)
    of_image = rng.uniform(-0.1, 0.1, images)
    rows = []
    for (regime, denoiser), levels in dice.items():
        for sigma, level in zip(sigmas, levels, strict=True):
            for number in range(images):
                noise = rng.normal(0, 0.005)
                value = level + of_image[number] + noise
                keys = {"dataset": "d", "model": "unet", "regime": regime, "denoiser": denoiser, "sigma": sigma}
                about = keys | {"image": f"i{number}", "class_id": 1, "dice": 0.95, "abstain": 1 - value}
                rows.append(about | {"certified_dice": value} | others)
    return pd.DataFrame(rows)


def verdicts(table):
    return {claim: list(group["verdict"]) for claim, group in table.groupby("claim")}


def test_claims_get_the_known_verdicts():
    table = claim_table(rows_of(), 500)
    assert list(table) == COLUMNS
    assert verdicts(table) == {
        "collapse": [HOLDS] * 3,
        "denoiser_raises": [HOLDS] * 3,
        "gain_grows": [HOLDS] * 2,
        "fewer_abstain": [HOLDS] * 3,
        "no_worse_than_noise_trained": [FAILS] * 3,
        "falls_with_sigma": [HOLDS] * 2,
        "tuning_raises": [HOLDS] * 3,
    }
    assert (table["images"] == IMAGES).all()
    assert (table["why"] == "").all()
    assert set(table["denoiser"]) == {"ddpm"}


def test_the_opposite_of_each_claim_does_not_hold():
    opposite = {
        ("clean", "none"): (0.96, 1.1, 1.1),
        ("noise", "none"): (0.1, 0.1, 0.1),
        ("clean", "ddpm"): (0.5, 0.55, 0.5),
        ("denoised", "ddpm"): (0.2, 0.2, 0.2),
    }
    table = verdicts(claim_table(rows_of(opposite), 500))
    assert table["denoiser_raises"] == table["fewer_abstain"] == table["tuning_raises"] == [FAILS] * 3
    assert table["collapse"][1:] == [FAILS] * 2
    assert table["falls_with_sigma"] == [FAILS, HOLDS]
    assert table["gain_grows"] == [FAILS] * 2
    assert table["no_worse_than_noise_trained"] == [HOLDS] * 3


def test_the_claim_and_pairing_tables_agree_on_the_same_difference():
    rows = rows_of()
    (claimed,) = [claim_table(rows, 300).query("claim == 'no_worse_than_noise_trained'")]
    paired = pairing_table(rows, 300).query("regime == 'clean' and denoiser == 'ddpm'")
    for column in ("sigma", "images", "difference", "difference_low", "difference_high"):
        assert list(claimed[column]) == list(paired[column])


def test_the_growth_of_the_gain_is_a_difference_of_differences():
    rows = rows_of()
    mean = rows.groupby(["regime", "denoiser", "sigma"])["certified_dice"].mean()
    gain = mean["clean", "ddpm"] - mean["clean", "none"]
    table = claim_table(rows, 100).query("claim == 'gain_grows'")
    assert list(zip(table["sigma_low"], table["sigma"], strict=True)) == [(0.25, 0.5), (0.5, 1.0)]
    assert list(table["difference"]) == pytest.approx(list(gain.diff().dropna()))


@pytest.mark.parametrize(
    ("dice", "sigmas", "reasons"),
    [
        (
            {key: DICE[key] for key in (("clean", "none"), ("noise", "none"))}, SIGMAS,
            {"denoiser_raises": "no denoiser", "gain_grows": "no denoiser", "fewer_abstain": "no denoiser",
             "no_worse_than_noise_trained": "no denoiser", "falls_with_sigma": "no denoiser",
             "tuning_raises": "no denoiser"},
        ),
        (
            {key: DICE[key] for key in (("clean", "none"), ("clean", "ddpm"))}, SIGMAS,
            {"no_worse_than_noise_trained": "no noise-trained network", "tuning_raises": "no network tuned"},
        ),
        (
            {("given", "none"): DICE["clean", "none"], ("given", "ddpm"): DICE["clean", "ddpm"]}, SIGMAS,
            dict.fromkeys(CLAIMS, "no network trained on clean images")
            | {"tuning_raises": "no network tuned on denoised images"},
        ),
        (
            {key: values[:1] for key, values in DICE.items()}, SIGMAS[:1],
            {"gain_grows": "only one sigma", "falls_with_sigma": "only one sigma"},
        ),
    ],
    ids=["no denoiser", "no noise training", "given networks", "one sigma"],
)  # fmt: skip
def test_a_claim_that_lacks_a_model_or_sigma_has_one_row_with_the_reason(dice, sigmas, reasons):
    table = claim_table(rows_of(dice, sigmas), 100)
    missing = table[table["sigma"].isna()]
    assert set(missing["claim"]) == set(reasons)
    for row in missing.to_dict("records"):
        assert row["verdict"] == OPEN
        assert reasons[row["claim"]] in row["why"]
        assert row["images"] == 0
    assert (table[table["sigma"].notna()]["why"] == "").all()
    shown = in_sentences(table)
    assert (shown["verdict"][table["sigma"].isna()] == NOT_TESTED).all()
    assert (shown["verdict"] == table["verdict"])[table["sigma"].notna()].all()


def test_images_with_undefined_dice_are_skipped_in_pairs():
    rows = rows_of()
    empty = (rows["image"] == "i3") | ((rows["image"] == "i4") & (rows["denoiser"] == "ddpm"))
    rows.loc[empty, "certified_dice"] = math.nan
    table = claim_table(rows, 100).set_index("claim")["images"]
    assert set(table["denoiser_raises"]) == {IMAGES - 2}
    assert set(table["collapse"]) == {IMAGES - 1}
    assert set(table["fewer_abstain"]) == {IMAGES}
    nowhere = claim_table(rows_of().assign(certified_dice=math.nan), 100).query("claim == 'denoiser_raises'")
    assert set(nowhere["why"]) == {"certified Dice is not defined on any image"}
    assert set(nowhere["verdict"]) == {OPEN}


def test_one_image_or_an_interval_around_zero_decides_nothing():
    one = claim_table(rows_of(images=1), 100)
    assert set(one["verdict"]) == {OPEN}
    assert set(one["why"]) == {"only one image"}
    same = rows_of(dict.fromkeys(DICE, (0.5, 0.5, 0.5)))
    table = claim_table(same, 300).query("claim in ['gain_grows', 'falls_with_sigma']")
    undecided = table[table["verdict"] == OPEN]
    assert len(undecided)
    assert set(undecided["why"]) == {"the interval contains zero"}


def test_each_model_and_data_set_is_tested_separately():
    both = pd.concat([rows_of(), rows_of({("given", "none"): (0.5,) * 3}).assign(model="mine", dataset="e")])
    table = claim_table(both, 100)
    assert set(map(tuple, table[["dataset", "model"]].to_numpy())) == {("d", "unet"), ("e", "mine")}
    pd.testing.assert_frame_equal(
        table[table["model"] == "unet"].reset_index(drop=True), claim_table(rows_of(), 100), check_dtype=False
    )


@pytest.mark.parametrize(
    ("sign", "low", "high", "expected"),
    [(1, 0.1, 0.2, HOLDS), (1, -0.1, 0.2, OPEN), (1, -0.2, -0.1, FAILS), (1, 0.0, 0.0, OPEN),
     (-1, -0.2, -0.1, HOLDS), (-1, -0.1, 0.1, OPEN), (-1, 0.1, 0.2, FAILS), (-1, -0.1, 0.0, OPEN),
     (0, 0.0, 0.0, HOLDS), (0, 0.0, 0.3, HOLDS), (0, -0.1, 0.1, OPEN), (0, -0.2, -0.1, FAILS),
     (1, math.nan, math.nan, OPEN)],
)  # fmt: skip
def test_the_interval_decides_the_verdict(sign, low, high, expected):
    assert verdict(sign, low, high) == expected
