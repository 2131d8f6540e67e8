"""What a number of draws buys: certified Dice at other budgets, forecast from the votes at hand."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import betabinom, hypergeom

from segcert.certification.certificate import ABSTAIN, chosen_class, rejection_threshold, tested_draws
from segcert.certification.methods import METHODS
from segcert.certification.metrics import class_metrics
from segcert.data.dataset import PreparedDataset
from segcert.votes import Counts, Votes, narrow

BUDGETS = (70, 110, 200, 500, 1000)


def forecast_counts(votes: Votes, n: int, method: str, seed: int = 0) -> tuple[Counts, int]:
    """The counts (H, W) of the tested classes as n estimation draws would give them, and the number of tested draws.

    Guessed from the votes at hand; no certificate follows from them. Fewer draws than there are: a random part of
    them, hypergeometric at each pixel. More: those there are, and for the rest each pixel's share is drawn from its
    posterior under Jeffreys' prior (beta-binomial). Pixels are drawn independently: but for Holm's threshold, the
    expected certified area does not depend on their dependence.
    """
    rng = np.random.default_rng(seed)
    _, counts = chosen_class(votes, method)
    drawn = tested_draws(votes, method)
    wanted = n + drawn - votes.n
    won = counts.astype(np.int64)
    if wanted < drawn:
        won = np.asarray(hypergeom.rvs(drawn, won, wanted, random_state=rng))
    elif wanted > drawn:
        won = won + np.asarray(betabinom.rvs(wanted - drawn, won + 0.5, drawn - won + 0.5, random_state=rng))
    return narrow(won, wanted), wanted


def budget_rows(
    dataset: PreparedDataset,
    drawn: Mapping[str, Votes],
    about: Mapping[str, Any],
    *,
    settings: Mapping[str, Any],
    budgets: Sequence[int] = BUDGETS,
) -> list[dict[str, Any]]:
    """A row per method and budget n0 + n: the forecast certified Dice, abstention and certified area.

    Means over images and foreground classes. `settings` are those of `certify`; their method comes first, and each
    other beside it. The certified area is the share of pixels that do not abstain. A budget that could not certify
    anything has certified Dice 0.
    """
    classes = range(1, len(dataset.about["classes"]))
    truths = {image: dataset.mask(image) for image in drawn}
    methods = compared_methods(settings, next(iter(truths.values())).size)
    shared = {"dataset": dataset.about["name"], **about, "sigma": next(iter(drawn.values())).sigma}
    rows = []
    for budget in budgets:
        dice: dict[str, list[float]] = {method: [] for method in methods}
        abstain: dict[str, list[float]] = {method: [] for method in methods}
        for image, votes in drawn.items():
            for method, labels in forecast_labels(votes, budget, methods, settings).items():
                of_image = [class_metrics(truths[image], labels, labels, each)["certified_dice"] for each in classes]
                dice[method] += of_image
                abstain[method].append(float(np.mean(labels == ABSTAIN)))
        for method in methods:
            mean = math.nan if np.isnan(dice[method]).all() else float(np.nanmean(dice[method]))
            share = float(np.mean(abstain[method]))
            values = {"certified_dice": mean, "abstain": share, "certified_area": 1 - share}
            rows.append({**shared, "method": method, "draws": budget, **values})
    return sorted(rows, key=lambda row: methods.index(row["method"]))


def compared_methods(settings: Mapping[str, Any], pixels: int) -> list[str]:
    """The methods of a forecast, that of the settings first; no kfwer where k would allow all pixels to be wrong."""
    methods = dict.fromkeys([settings["method"], *METHODS])
    return [method for method in methods if not METHODS[method].takes_k or settings.get("k", 1) < pixels]


def forecast_labels(
    votes: Votes, budget: int, methods: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, npt.NDArray[np.uint8]]:
    """By method the labels (H, W) that n0 + n = budget draws would certify; all ABSTAIN where they could none.

    settings: `tau`, `alpha`, and `k` for the method that takes it. Methods that test the same draws share one forecast
    of the counts.
    """
    if budget <= votes.n0:
        nothing = np.full(votes.selection.shape[1:], ABSTAIN, np.uint8)
        return dict.fromkeys(methods, nothing)
    counted: dict[bool, tuple[Counts, int]] = {}
    found = {}
    for method in methods:
        together = METHODS[method].all_draws
        if together not in counted:
            counted[together] = forecast_counts(votes, budget - votes.n0, method)
        counts, drawn = counted[together]
        chosen, _ = chosen_class(votes, method)
        threshold = rejection_threshold(counts, drawn, settings["tau"], settings["alpha"], method, settings.get("k", 1))
        found[method] = np.where(counts >= threshold, chosen, ABSTAIN).astype(np.uint8)
    return found
