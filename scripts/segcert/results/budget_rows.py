"""Forecasts of certified Dice for different numbers of draws, computed from the votes of a run."""

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
    """Forecast the counts of the tested classes after n estimation draws. Return them and the number of tested draws.

    The counts have shape (H, W). The forecast extrapolates existing votes and is not a certificate. If n is smaller
    than the number of existing draws, a random subset of the draws is counted (hypergeometric at each pixel). If n is
    larger, the missing counts are sampled at each pixel from the posterior under Jeffreys' prior (beta-binomial).
    Pixels are sampled independently. Dependence between pixels affects the expected certified area only through Holm's
    threshold.
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
    """Forecast certified Dice, abstention and certified area. Return a row per method and budget (n0 + n draws).

    Values are means over images and foreground classes. `settings` contains the settings of `certify`. The rows for the
    method in `settings` come first, before the rows for other methods. The certified area is the share of pixels that
    do not abstain. If a budget is too small to certify any pixel, certified Dice is 0.
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
                for class_id in classes:
                    dice[method].append(class_metrics(truths[image], labels, labels, class_id)["certified_dice"])
                abstain[method].append(float(np.mean(labels == ABSTAIN)))
        for method in methods:
            mean = math.nan if np.isnan(dice[method]).all() else float(np.nanmean(dice[method]))
            share = float(np.mean(abstain[method]))
            values = {"certified_dice": mean, "abstain": share, "certified_area": 1 - share}
            rows.append({**shared, "method": method, "draws": budget, **values})
    return sorted(rows, key=lambda row: methods.index(row["method"]))


def compared_methods(settings: Mapping[str, Any], pixels: int) -> list[str]:
    """Return the methods for which to make forecasts, starting with the method in `settings`.

    The method `kfwer` is omitted if k is so large that every pixel could be wrong.
    """
    methods = dict.fromkeys([settings["method"], *METHODS])
    return [method for method in methods if not METHODS[method].takes_k or settings.get("k", 1) < pixels]


def forecast_labels(
    votes: Votes, budget: int, methods: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, npt.NDArray[np.uint8]]:
    """Forecast the labels that would be certified with `budget` draws (n0 + n), for each method.

    The result maps each method to labels of shape (H, W), with ABSTAIN where nothing would be certified. `settings`
    contains `tau`, `alpha` and, if a method uses it, `k`. Methods that test the same draws use the same forecast
    counts.
    """
    if budget <= votes.n0:
        nothing = np.full(votes.selection.shape[1:], ABSTAIN, np.uint8)
        return dict.fromkeys(methods, nothing)
    counted: dict[bool, tuple[Counts, int]] = {}
    certified = {}
    for method in methods:
        together = METHODS[method].all_draws
        if together not in counted:
            counted[together] = forecast_counts(votes, budget - votes.n0, method)
        counts, drawn = counted[together]
        chosen, _ = chosen_class(votes, method)
        threshold = rejection_threshold(counts, drawn, settings["tau"], settings["alpha"], method, settings.get("k", 1))
        certified[method] = np.where(counts >= threshold, chosen, ABSTAIN).astype(np.uint8)
    return certified
