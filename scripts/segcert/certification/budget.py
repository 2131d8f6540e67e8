"""What a number of draws buys: certified Dice at other budgets, forecast from the votes at hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import betabinom, hypergeom

from segcert.certification.certificate import ABSTAIN, chosen_class, rejection_threshold, tested_draws
from segcert.certification.metrics import class_metrics
from segcert.data.loading import PreparedDataset
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
    """A row per budget n0 + n: the forecast certified Dice and abstention, means over images and foreground classes.

    `settings` are those of `certify`. A budget that could not certify anything has certified Dice 0.
    """
    rows = []
    for budget in budgets:
        dice: list[float] = []
        abstain: list[float] = []
        for image, votes in drawn.items():
            labels = forecast_labels(votes, budget, **settings)
            truth = dataset.mask(image)
            dice += [
                class_metrics(truth, labels, labels, class_id)["certified_dice"]
                for class_id in range(1, len(dataset.about["classes"]))
            ]
            abstain.append(float(np.mean(labels == ABSTAIN)))
        shared = {"dataset": dataset.about["name"], **about, "sigma": next(iter(drawn.values())).sigma}
        rows.append({**shared, "draws": budget, "certified_dice": np.nanmean(dice), "abstain": np.mean(abstain)})
    return rows


def forecast_labels(
    votes: Votes, budget: int, *, tau: float, alpha: float, method: str, k: int = 1
) -> npt.NDArray[np.uint8]:
    """Labels (H, W) that n0 + n = budget draws would certify; all ABSTAIN where they could certify nothing."""
    chosen, _ = chosen_class(votes, method)
    if budget <= votes.n0:
        return np.full(chosen.shape, ABSTAIN, np.uint8)
    counts, drawn = forecast_counts(votes, budget - votes.n0, method)
    threshold = rejection_threshold(counts, drawn, tau, alpha, method, k)
    return np.where(counts >= threshold, chosen, ABSTAIN).astype(np.uint8)
