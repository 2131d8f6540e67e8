"""Claims of Laousy et al. (2023) and of this project, tested on the results of a run by paired differences over images.

The results of a run can confirm or refute each claim. Certified Dice is nearly always below Dice, so the claim
`collapse` requires a difference of more than 20 points.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from segcert.results.confidence import DIFFERENCE, paired_difference
from segcert.results.labels import BEHIND

PAPER, OURS = "Laousy et al. 2023", "this project"
HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be said"
NOT_TESTED = "not tested"  # shown instead of OPEN if the run lacks a model or noise level
KEYS = ["claim", "dataset", "model", "denoiser", "sigma_low", "sigma"]
COLUMNS = [*KEYS, "compared", *DIFFERENCE, "verdict", "why"]
METRICS = ["dice", "certified_dice", "abstain"]
WITHOUT = {
    "clean": "no network trained on clean images",
    "noise": "no noise-trained network",
    "denoised": "no network tuned on denoised images",
}
# Reasons for the verdict OPEN, by number of images.
UNDECIDED = {0: "certified Dice is not defined on any image", 1: "only one image"}


class ModelOfRun:
    """Metrics of a model on a data set, for each pairing, sigma and image, as means over classes.

    `denoiser` is the denoiser to which the claims refer, or None if the run has no denoiser.
    """

    def __init__(self, rows: pd.DataFrame, denoiser: str | None) -> None:
        self.by_pairing = {
            pairing: group.groupby(["group", "image"], sort=False)[METRICS].mean()
            for pairing, group in rows.groupby(["regime", "denoiser", "sigma"], sort=False)
        }
        self.sigmas: list[float] = sorted(rows["sigma"].unique())
        self.denoiser = denoiser

    def difference(self, claim: "Claim", sigma: float) -> "pd.Series[float]":
        """Return the difference that is tested for a claim at a sigma, as a series indexed by group and image."""
        value = self._by_image(claim.value, sigma)
        return value if claim.less is None else value - self._by_image(claim.less, sigma)

    def _by_image(self, value: "Value", sigma: float) -> "pd.Series[float]":
        denoiser = self.denoiser if value.place == "behind" else "none"
        return self.by_pairing[value.regime, denoiser, sigma][value.metric]

    def missing(self, needs: Sequence["Value"]) -> str:
        """Describe the first value in `needs` that the run lacks. Return "" if the run has all these values."""
        for _, regime, place in needs:
            denoiser, where = "none", "used without a denoiser"
            if place == "behind":
                if self.denoiser is None:
                    return "this run has no denoiser"
                denoiser, where = self.denoiser, f"used {BEHIND[self.denoiser]}"
            if any((regime, denoiser, sigma) not in self.by_pairing for sigma in self.sigmas):
                return f"for this model, the run has {WITHOUT[regime]} and {where}"
        return ""


class Value(NamedTuple):
    """A metric of a model that was trained in a regime. `place` is "alone" without a denoiser and "behind" with one."""

    metric: str
    regime: str
    place: str


class Claim(NamedTuple):
    """A claim as a sentence, with its source and its test.

    Attributes
    ----------
    sign
        Condition for the verdict `holds`. With +1, the entire 95% interval of the difference must be above the bound.
        With -1, the entire interval must be below the bound. With 0, the lower end of the interval must be at or above
        the bound.
    compared
        Description of the difference.
    value, less
        Terms of the difference. For each image, the difference is `value` minus `less`, or `value` if `less` is None.
    between_sigmas
        True if the claim is about the change between neighbouring sigmas, which is the difference at a sigma minus the
        difference at the next lower sigma.
    bound
        Value with which the difference is compared.
    """

    sentence: str
    source: str
    sign: int
    compared: str
    value: Value
    less: Value | None = None
    between_sigmas: bool = False
    bound: float = 0.0

    @property
    def needs(self) -> list[Value]:
        """The values of a model that are needed to test the claim."""
        return [self.value] if self.less is None else [self.value, self.less]


BARE = Value("certified_dice", "clean", "alone")
DENOISED = Value("certified_dice", "clean", "behind")
CLAIMS = {
    "collapse": Claim(
        "Without a denoiser, the certified Dice of a network trained on clean images collapses: it is more than 20 "
        "points below its Dice without noise.",
        PAPER,
        -1,
        "certified Dice without a denoiser minus Dice without noise, trained on clean images (compared with -0.2)",
        BARE,
        less=Value("dice", "clean", "alone"),
        bound=-0.2,
    ),
    "denoiser_raises": Claim(
        "The denoiser raises the certified Dice of a network trained on clean images.",
        PAPER,
        1,
        "certified Dice behind the denoiser minus certified Dice without it, trained on clean images",
        DENOISED,
        less=BARE,
    ),
    "gain_grows": Claim(
        "The gain in certified Dice from the denoiser grows with sigma.",
        PAPER,
        1,
        "gain in certified Dice from the denoiser at this sigma minus the gain at the next lower sigma",
        DENOISED,
        less=BARE,
        between_sigmas=True,
    ),
    "fewer_abstain": Claim(
        "Behind the denoiser, fewer pixels abstain.",
        PAPER,
        -1,
        "share of pixels that abstain behind the denoiser minus the share without it, trained on clean images",
        Value("abstain", "clean", "behind"),
        less=Value("abstain", "clean", "alone"),
    ),
    "no_worse_than_noise_trained": Claim(
        "Behind the denoiser, a network trained on clean images has at least the certified Dice of the noise-trained "
        "network without a denoiser (tested without a margin: the interval must not extend below zero).",
        OURS,
        0,
        "certified Dice of clean training behind the denoiser minus that of noise training without a denoiser",
        DENOISED,
        less=Value("certified_dice", "noise", "alone"),
    ),
    "tuning_raises": Claim(
        "Behind the denoiser, tuning on denoised images gives a higher certified Dice than training on clean images.",
        OURS,
        1,
        "certified Dice behind the denoiser, tuned on denoised images minus trained on clean images",
        Value("certified_dice", "denoised", "behind"),
        less=DENOISED,
    ),
}


def claim_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a row per claim, data set, model and sigma, from the rows of certificates.parquet.

    Metrics are averaged over classes, and differences are computed for each image, as in `pairing_table`. Images with
    an undefined difference are skipped, and `images` is the number of the other images. The verdict depends on the 95%
    interval of the mean difference (see `mean_interval`). It is `holds`, `does not hold` (the interval is on the
    opposite side of the claim's bound) or `cannot be said`, with the reason in `why`. `denoiser` is the first denoiser
    of the run, and `sigma_low` is the next lower sigma. If the run lacks something that a claim needs for a model,
    there is only one row for this claim and model. In this row, `why` states what is missing.

    Each row is a separate test, without a correction for the number of rows. Suppose that the true difference equals
    the bound. If differences are normal, a test finds a difference in a given direction in 2.5% of cases. If
    differences are heavy-tailed or skewed, it does so in up to 4% of cases with 20 images
    (tests/statistics/test_claim_rates.py).
    """
    behind = next((denoiser for denoiser in rows["denoiser"].unique() if denoiser != "none"), None)
    models = {key: ModelOfRun(group, behind) for key, group in rows.groupby(["dataset", "model"], sort=False)}
    made = []
    for slug, claim in CLAIMS.items():
        for (dataset, name), model in models.items():
            about = {"claim": slug, "dataset": dataset, "model": name, "denoiser": behind or "none"}
            about["compared"] = claim.compared
            missing = model.missing(claim.needs)
            if not missing and claim.between_sigmas and len(model.sigmas) < 2:
                missing = "this run has only one sigma"
            if missing:
                made.append({**about, "images": 0, "verdict": OPEN, "why": missing})
                continue
            made += [about | tested for tested in _tested(claim, model)]
    return pd.DataFrame(made, columns=COLUMNS)


def with_untested(table: pd.DataFrame) -> pd.DataFrame:
    """Return a claim table with the verdict NOT_TESTED for claims on networks or noise levels that the run lacks."""
    return table.assign(verdict=table["verdict"].where(table["sigma"].notna(), NOT_TESTED))


def in_sentences(table: pd.DataFrame) -> pd.DataFrame:
    """Return a claim table for display, with full sentences and the verdict NOT_TESTED (see `with_untested`)."""
    return with_untested(table).assign(claim=table["claim"].map(lambda name: CLAIMS[name].sentence))


def verdict(sign: int, low: float, high: float) -> str:
    """Return the verdict on a claim, given its sign and the 95% interval of the difference minus the bound."""
    if math.isnan(low) or math.isnan(high):
        return OPEN
    if sign < 0:
        low, high = -high, -low
    if low > 0 or (sign == 0 and low == 0):
        return HOLDS
    return FAILS if high < 0 else OPEN


def _tested(claim: Claim, model: ModelOfRun) -> Iterator[dict[str, object]]:
    """Yield the result of the test of a claim for each sigma, or for each pair of neighbouring sigmas."""
    values = {sigma: model.difference(claim, sigma) for sigma in model.sigmas}
    if claim.between_sigmas:
        steps = itertools.pairwise(model.sigmas)
        cases = [(low, high, values[high] - values[low]) for low, high in steps]
    else:
        cases = [(math.nan, sigma, difference) for sigma, difference in values.items()]
    for low, sigma, by_image in cases:
        tested = paired_difference(by_image)
        found = verdict(claim.sign, tested["difference_low"] - claim.bound, tested["difference_high"] - claim.bound)
        why = ""
        if found == OPEN:
            why = UNDECIDED.get(int(tested["images"]), f"the interval contains {claim.bound:g}")
        yield {"sigma_low": low, "sigma": sigma, **tested, "verdict": found, "why": why}
