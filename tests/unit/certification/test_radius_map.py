"""Radius maps of a run and their table, compared with plain counts from the votes; forecasts by method."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, norm

from segcert.certification.certificate import ABSTAIN
from segcert.certification.methods import METHODS, smallest_n
from segcert.certification.radius_map import TAUS
from segcert.report.figures import radius_figure
from segcert.results.budget_rows import budget_rows, compared_methods, forecast_labels
from segcert.results.radius_rows import load_radii, map_method, radius_levels, radius_rows, save_radii, tau_grid
from segcert.results.tables import radius_table
from segcert.votes import Votes

ALPHA, SIGMA, SIDE = 0.01, 0.5, 20
ABOUT = {"model": "unet", "regime": "clean", "denoiser": "none"}


class Truth:
    """Ground truth of synthetic images, with the interface of a prepared data set."""

    def __init__(self, masks, classes=("background", "lungs", "heart")):
        self.masks = masks
        self.about = {"name": "d", "classes": list(classes), "channels": 1}

    def mask(self, image):
        return self.masks[image]

    def group(self, image):
        return image


def draw(seed, n0=10, n=100, classes=3):
    """Draw votes with smooth confidence, and a ground truth that they mostly match but that lacks the last class."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes - 1, (SIDE, SIDE)).astype(np.uint8)
    share = rng.uniform(0.4, 1, (SIDE, SIDE))
    counts = []
    for draws in (n0, n):
        hits = rng.binomial(draws, share)
        votes = np.zeros((classes, SIDE, SIDE), int)
        np.put_along_axis(votes, truth[None], hits[None], axis=0)
        np.put_along_axis(votes, (truth[None] + 1) % classes, draws - hits[None], axis=0)
        counts.append(votes)
    return Votes.from_counts(*counts, sigma=SIGMA), truth


@pytest.fixture(scope="module")
def images():
    return {f"i{seed}": draw(seed) for seed in range(4)}


def plain_levels(votes, taus):
    """Compute the level of each pixel from the definition of the radius map, with scipy's binomial tails."""
    chosen = votes.selection.argmax(axis=0)
    counts = np.take_along_axis(votes.estimation, chosen[None], axis=0)[0]
    p_values = {tau: binom.sf(counts.astype(int) - 1, votes.n, tau) for tau in taus}
    order = np.sort(p_values[taus[-1]].ravel())
    rejected = 0
    while rejected < order.size and order[rejected] <= ALPHA / (order.size - rejected):
        rejected += 1
    level = ALPHA / max(1, order.size - rejected)
    found = np.zeros(counts.shape, int)
    for place, tau in enumerate(taus, start=1):
        found[p_values[tau] <= level] = place
    return found, chosen


@pytest.mark.parametrize("tau", [0.75, 0.52, 0.97, 0.72])
def test_the_table_equals_counts_from_the_votes(images, tau):
    taus = tau_grid(tau)
    assert tau in taus
    assert set(TAUS) <= set(taus)
    dataset = Truth({image: truth for image, (_, truth) in images.items()})
    made = []
    for image, (votes, _) in images.items():
        found = radius_levels(votes, taus, ALPHA, "segcertify")
        made += radius_rows(dataset, image, found, ABOUT, taus=taus, sigma=SIGMA, alpha=ALPHA)
    rows = pd.DataFrame(made)
    assert len(rows) == len(images) * 2 * len(taus)
    table = radius_table(rows)
    assert list(table["radius"]) == pytest.approx([SIGMA * norm.ppf(each) for each in taus])
    assert list(table["radius_gray_levels"]) == pytest.approx(list(255 * table["radius"] / SIDE))
    for place, row in enumerate(table.to_dict("records"), start=1):
        dice, worst, abstain = [], [], []
        for votes, truth in images.values():
            levels, chosen = plain_levels(votes, taus)
            sure = levels >= place
            hits = (sure & (chosen == 1) & (truth == 1)).sum()  # the heart is in no ground truth
            certified = [(sure & (chosen == each)).sum() for each in (1, 2)]
            sizes = [(truth == each).sum() for each in (1, 2)]
            unsure = [(~sure & (truth != each)).sum() for each in (1, 2)]
            of_heart = 0.0 if certified[1] else math.nan
            dice.append(np.nanmean([2 * hits / (sizes[0] + certified[0]), of_heart]))
            worst.append(np.nanmean([2 * hits / (sizes[0] + certified[0] + unsure[0]), 0.0 if unsure[1] else math.nan]))
            abstain.append(1 - sure.mean())
        assert row["certified_dice"] == pytest.approx(np.mean(dice), abs=1e-12)
        assert row["worst_case_dice"] == pytest.approx(np.mean(worst), abs=1e-12)
        assert row["abstain"] == pytest.approx(np.mean(abstain), abs=1e-12)
        assert row["certified_dice_low"] <= row["certified_dice"] <= row["certified_dice_high"]
    assert 0 < table["abstain"].iloc[0] < 1, "some pixels abstain and some do not"


def test_maps_can_be_read_back_and_the_same_maps_give_the_same_bytes(images, tmp_path):
    taus = tau_grid(0.75)
    maps = {image: radius_levels(votes, taus, ALPHA, "holm") for image, (votes, _) in images.items()}
    for name in ("a", "b"):
        save_radii(tmp_path / f"{name}.npz", maps, taus, SIGMA)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    saved = load_radii(tmp_path / "a.npz")
    assert tuple(saved.taus) == taus
    assert saved.levels.keys() == images.keys()
    for image, found in maps.items():
        assert saved.levels[image].dtype == np.uint8
        radii = saved.radii_of(image)
        assert ((radii > 0) == (found.labels != ABSTAIN)).all()
        largest = found.levels == found.levels.max()
        assert radii[largest] == pytest.approx(SIGMA * norm.ppf(taus[found.levels.max() - 1]))


@pytest.mark.parametrize("method", METHODS)
def test_weaker_methods_use_the_map_of_segcertify(images, method):
    votes, _ = images["i0"]
    found = radius_levels(votes, tau_grid(0.75), ALPHA, method)
    assert found.method == map_method(method) == ("holm" if method == "holm" else "segcertify")
    if method in ("kfwer", "by"):
        assert np.array_equal(found.levels, radius_levels(votes, tau_grid(0.75), ALPHA, "segcertify").levels)


def test_a_tau_that_no_votes_could_certify_is_in_the_grid_and_certifies_nothing():
    taus = tau_grid(0.75)
    counts = np.concatenate([np.zeros((1, SIDE, SIDE), int), np.ones((1, SIDE, SIDE), int)])
    found = radius_levels(Votes.from_counts(10 * counts, 40 * counts, sigma=SIGMA), taus, ALPHA, "segcertify")
    possible = [tau for tau in taus if smallest_n(SIDE * SIDE, tau, ALPHA) <= 40]
    assert possible == list(TAUS[:5])
    assert (found.levels == len(possible)).all()


@pytest.mark.parametrize("method", METHODS)
def test_too_few_draws_for_the_least_tau_give_an_empty_map_and_no_error(method):
    votes, _ = draw(0, n0=5, n=3)
    nothing = radius_levels(votes, tau_grid(0.75), ALPHA, method)
    assert not nothing.levels.any()
    assert (nothing.labels == ABSTAIN).all()


def test_a_table_of_one_class_and_one_image_is_complete():
    votes, truth = draw(5, classes=2)
    taus = tau_grid(0.75)
    found = radius_levels(votes, taus, ALPHA, "segcertify")
    dataset = Truth({"a": np.zeros_like(truth)}, ("background", "lesion"))
    rows = pd.DataFrame(radius_rows(dataset, "a", found, ABOUT, taus=taus, sigma=SIGMA, alpha=ALPHA))
    table = radius_table(rows.assign(certified_dice=math.nan))
    assert (table["images"] == 1).all()
    assert table["certified_dice"].isna().all()
    assert radius_table(rows.assign(certified_dice=0.5))["certified_dice_low"].isna().all()
    assert len(radius_figure(table).axes) > 0


def test_forecasts_of_every_method_are_compared_with_the_run(images):
    drawn = {image: votes for image, (votes, _) in images.items()}
    dataset = Truth({image: truth for image, (_, truth) in images.items()})
    settings = {"tau": 0.75, "alpha": ALPHA, "method": "holm", "k": 5}
    budgets = (5, 60, 110, 400)
    rows = budget_rows(dataset, drawn, ABOUT, settings=settings, budgets=budgets)
    order = list(dict.fromkeys(["holm", *METHODS]))
    assert [(row["method"], row["draws"]) for row in rows] == list(itertools.product(order, budgets))
    for row in rows:
        labels = {
            image: forecast_labels(votes, row["draws"], [row["method"]], settings)[row["method"]]
            for image, votes in drawn.items()
        }
        abstain = np.mean([(each == ABSTAIN).mean() for each in labels.values()])
        assert row["abstain"] == pytest.approx(abstain, abs=1e-12)
        assert row["certified_area"] == pytest.approx(1 - abstain, abs=1e-12)
    areas = {(row["method"], row["draws"]): row["certified_area"] for row in rows}
    assert all(areas[method, 5] == 0 for method in order), "fewer draws than n0 certify nothing"
    assert all(areas["kfwer", each] >= areas["segcertify", each] for each in budgets)
    assert areas["segcertify", 400] > areas["segcertify", 60] > 0


def test_kfwer_is_skipped_if_it_would_allow_every_pixel_to_be_wrong():
    assert compared_methods({"method": "by", "k": 4}, 4) == [
        name for name in dict.fromkeys(["by", *METHODS]) if name != "kfwer"
    ]
    assert compared_methods({"method": "kfwer", "k": 3}, 4) == list(dict.fromkeys(["kfwer", *METHODS]))


def test_an_absent_structure_has_no_forecast_of_its_dice():
    votes, truth = draw(1, classes=2)
    dataset = Truth({"a": np.zeros_like(truth)}, ("background", "lesion"))
    settings = {"tau": 0.75, "alpha": ALPHA, "method": "segcertify", "k": 5}
    rows = budget_rows(dataset, {"a": votes}, ABOUT, settings=settings, budgets=(5,))  # certifies nothing
    assert all(math.isnan(row["certified_dice"]) and row["certified_area"] == 0 for row in rows)
