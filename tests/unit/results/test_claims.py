"""Claims on synthetic rows with known verdicts, and reasons if a model or noise level is missing."""

import math

import numpy as np
import pandas as pd
import pytest

from segcert.results.claims import CLAIMS, COLUMNS, FAILS, HOLDS, NOT_TESTED, OPEN, claim_table, in_sentences, verdict
from segcert.results.tables import pairing_table

SIGMAS = (0.25, 0.5, 1.0)
IMAGES = 20
# Certified Dice by pairing at each sigma: every claim holds.
DICE = {
    ("clean", "none"): (0.6, 0.3, 0.1),
    ("noise", "none"): (0.5, 0.5, 0.5),
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
                about = keys | {"image": f"i{number}", "group": f"g{number}", "class_id": 1}
                rows.append(about | {"dice": 0.95, "abstain": 1 - value, "certified_dice": value} | others)
    return pd.DataFrame(rows)


def verdicts(table):
    return {claim: list(group["verdict"]) for claim, group in table.groupby("claim")}


def test_each_claim_holds_in_a_run_that_confirms_it():
    table = claim_table(rows_of())
    assert list(table) == COLUMNS
    assert verdicts(table) == {claim: [HOLDS] * (2 if claim == "gain_grows" else 3) for claim in CLAIMS}
    assert (table["images"] == IMAGES).all()
    assert (table["why"] == "").all()
    assert set(table["denoiser"]) == {"ddpm"}


def test_each_claim_fails_in_a_run_that_refutes_it():
    """Certified Dice stays below Dice, as in real runs: a drop of less than 20 points is no collapse."""
    opposite = {
        ("clean", "none"): (0.81, 0.81, 0.81),
        ("noise", "none"): (0.82, 0.82, 0.82),
        ("clean", "ddpm"): (0.7, 0.6, 0.5),
        ("denoised", "ddpm"): (0.2, 0.2, 0.2),
    }
    rows = rows_of(opposite)
    assert (rows["certified_dice"] < rows["dice"]).all()
    table = claim_table(rows)
    assert verdicts(table) == {claim: [FAILS] * (2 if claim == "gain_grows" else 3) for claim in CLAIMS}


def test_a_drop_close_to_the_bound_decides_nothing():
    table = claim_table(rows_of({("clean", "none"): (0.75,) * 3})).query("claim == 'collapse'")
    assert set(table["verdict"]) == {OPEN}
    assert set(table["why"]) == {"the interval contains -0.2"}


def test_copies_of_images_in_their_groups_make_no_interval_narrower():
    rows = rows_of()
    twice = pd.concat([rows, rows.assign(image=rows["image"] + " copy")])
    once, doubled = claim_table(rows), claim_table(twice)
    assert (doubled["images"] == 2 * once["images"]).all()
    for column in ("difference", "difference_low", "difference_high"):
        assert list(doubled[column]) == pytest.approx(list(once[column]))


def test_the_claim_and_pairing_tables_agree_on_the_same_difference():
    rows = rows_of()
    (claimed,) = [claim_table(rows).query("claim == 'no_worse_than_noise_trained'")]
    paired = pairing_table(rows).query("regime == 'clean' and denoiser == 'ddpm'")
    for column in ("sigma", "images", "difference", "difference_low", "difference_high"):
        assert list(claimed[column]) == list(paired[column])


def test_the_growth_of_the_gain_is_a_difference_of_differences():
    rows = rows_of()
    mean = rows.groupby(["regime", "denoiser", "sigma"])["certified_dice"].mean()
    gain = mean["clean", "ddpm"] - mean["clean", "none"]
    table = claim_table(rows).query("claim == 'gain_grows'")
    assert list(zip(table["sigma_low"], table["sigma"], strict=True)) == [(0.25, 0.5), (0.5, 1.0)]
    assert list(table["difference"]) == pytest.approx(list(gain.diff().dropna()))


@pytest.mark.parametrize(
    ("dice", "sigmas", "reasons"),
    [
        (
            {key: DICE[key] for key in (("clean", "none"), ("noise", "none"))}, SIGMAS,
            {"denoiser_raises": "no denoiser", "gain_grows": "no denoiser", "fewer_abstain": "no denoiser",
             "no_worse_than_noise_trained": "no denoiser", "tuning_raises": "no denoiser"},
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
            {"gain_grows": "only one sigma"},
        ),
    ],
    ids=["no denoiser", "no noise training", "given networks", "one sigma"],
)  # fmt: skip
def test_a_claim_that_lacks_a_model_or_sigma_has_one_row_with_the_reason(dice, sigmas, reasons):
    table = claim_table(rows_of(dice, sigmas))
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
    table = claim_table(rows).set_index("claim")["images"]
    assert set(table["denoiser_raises"]) == {IMAGES - 2}
    assert set(table["collapse"]) == {IMAGES - 1}
    assert set(table["fewer_abstain"]) == {IMAGES}
    nowhere = claim_table(rows_of().assign(certified_dice=math.nan)).query("claim == 'denoiser_raises'")
    assert set(nowhere["why"]) == {"certified Dice is not defined on any image"}
    assert set(nowhere["verdict"]) == {OPEN}


def test_one_image_or_an_interval_around_zero_decides_nothing():
    one = claim_table(rows_of(images=1))
    assert set(one["verdict"]) == {OPEN}
    assert set(one["why"]) == {"only one image"}
    same = rows_of(dict.fromkeys(DICE, (0.5, 0.5, 0.5)))
    table = claim_table(same).query("claim in ['gain_grows', 'denoiser_raises']")
    undecided = table[table["verdict"] == OPEN]
    assert len(undecided)
    assert set(undecided["why"]) == {"the interval contains 0"}


def test_each_model_and_data_set_is_tested_separately():
    both = pd.concat([rows_of(), rows_of({("given", "none"): (0.5,) * 3}).assign(model="mine", dataset="e")])
    table = claim_table(both)
    assert set(map(tuple, table[["dataset", "model"]].to_numpy())) == {("d", "unet"), ("e", "mine")}
    pd.testing.assert_frame_equal(
        table[table["model"] == "unet"].reset_index(drop=True), claim_table(rows_of()), check_dtype=False
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
