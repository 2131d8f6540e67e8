"""The typical image of a data set, which is shown at the top of the results page."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segcert.io.atomic import atomic_file


@dataclasses.dataclass(frozen=True)
class Typical:
    """The image with the median certified Dice under the best pairing at the middle noise level.

    `dice`, `vote_dice` and `certified_dice` are means over classes. `abstain` is the share of pixels that abstain.
    """

    image: str
    model: str
    regime: str
    denoiser: str
    sigma: float
    dice: float
    vote_dice: float
    certified_dice: float
    abstain: float


def typical_image(metrics: pd.DataFrame, names: Sequence[str]) -> Typical:
    """Return the typical image of a data set under the best pairing at the middle noise level.

    If there are two middle noise levels, the higher one is used. The best pairing has the highest mean certified Dice
    over all images. If several pairings have the same mean, the first of them is used. The typical image has the median
    certified Dice among `names`, or the lower of two middle values. `metrics` contains rows of certificates.parquet.
    """
    sigmas = sorted(metrics["sigma"].unique())
    sigma = sigmas[len(sigmas) // 2]
    keys = ["model", "regime", "denoiser"]
    by_image = metrics[metrics["sigma"] == sigma].groupby([*keys, "image"], sort=False)
    per_image = by_image[["dice", "vote_dice", "certified_dice", "abstain"]].mean()
    model, regime, denoiser = per_image.groupby(keys, sort=False)["certified_dice"].mean().fillna(-1).idxmax()
    # Images with an undefined certified Dice come last. They are only chosen if it is undefined for all images.
    ranked = per_image.xs((model, regime, denoiser)).loc[list(names)].sort_values("certified_dice", kind="stable")
    defined = int(ranked["certified_dice"].count())
    middle = ranked.iloc[max(0, defined - 1) // 2]
    return Typical(
        image=str(middle.name),
        model=model,
        regime=regime,
        denoiser=denoiser,
        sigma=float(sigma),
        dice=float(middle["dice"]),
        vote_dice=float(middle["vote_dice"]),
        certified_dice=float(middle["certified_dice"]),
        abstain=float(middle["abstain"]),
    )


def write_typical(typical: Typical, path: str | Path) -> None:
    """Write a typical image as JSON. Undefined numbers become null."""
    facts = dataclasses.asdict(typical)
    for name, value in facts.items():
        facts[name] = None if isinstance(value, float) and math.isnan(value) else value
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def read_typical(path: str | Path) -> Typical:
    """Read a typical image from its JSON file."""
    facts: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    for name, value in facts.items():
        facts[name] = math.nan if value is None else value
    return Typical(**facts)
