"""What fewer or more draws would cost, whether they could certify anything, and what area they may certify."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from pathlib import Path

from segcert.certification.methods import smallest_n
from segcert.config import Config

NUMBERS = (50, 100, 200, 500, 1000)


@dataclasses.dataclass(frozen=True)
class Draws:
    """So many estimation draws.

    n, evaluations, hours
        Network calls, and device hours, of sampling all images of the run anew.
    feasible
        Whether any pixel can be certified.
    area, dice
        Forecast certified area and certified Dice, means over the run's rows; NaN where there is no forecast.
    """

    n: int
    evaluations: int
    hours: float
    feasible: bool
    area: float = math.nan
    dice: float = math.nan


def least_n(config: Config) -> int:
    """The smallest n with which any pixel of an image can be certified."""
    pixels = config.image_size**2
    return smallest_n(pixels, config.tau, config.alpha, config.method, config.n0, config.kfwer_k)


def draws_table(config: Config, cost_of: Callable[[int], tuple[int, float]], budget: Path) -> list[Draws]:
    """Rows by n: `cost_of` gives network evaluations and hours of a number of draws, `budget` is budget.parquet.

    With a forecast there, its budgets n0 + n are the rows; else some usual numbers. The configured n is always one.
    """
    forecast = read_forecast(budget, config.method)
    numbers: Iterable[int] = {total - config.n0 for total in forecast} if forecast else NUMBERS
    least = least_n(config)
    return [
        Draws(n, *cost_of(n), n >= least, *forecast.get(config.n0 + n, (math.nan, math.nan)))
        for n in sorted({*numbers, config.n} - {n for n in numbers if n < 1})
    ]


def read_forecast(budget: Path, method: str) -> dict[int, tuple[float, float]]:
    """By n0 + n: certified area and Dice that a finished run's votes let one expect, means over its rows."""
    if not budget.exists():
        return {}
    import pandas as pd

    table = pd.read_parquet(budget)
    means = table[table["method"] == method].groupby("draws")[["certified_area", "certified_dice"]].mean()
    columns = (means.index.to_list(), means["certified_area"].to_list(), means["certified_dice"].to_list())
    return {int(draws): (float(area), float(dice)) for draws, area, dice in zip(*columns, strict=True)}
