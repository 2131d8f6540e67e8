"""A table of certified Dice and its costs."""

import pandas as pd

PAIRING = ["dataset", "model", "regime", "denoiser"]
DICE = ["certified_dice", "certified_dice_low", "certified_dice_high"]


def cost_table(main: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """A row per data set, model, regime, denoiser and sigma: certified Dice, and what it costs.

    Per draw: network evaluations, parameters and GFLOP. Per image, which takes n0 + n draws: GFLOP.
    """
    per_draw = costs.rename(columns={"gflop": "gflop_per_draw"})
    table = main[[*PAIRING, "sigma", *DICE, "n0", "n"]].merge(per_draw, on=PAIRING, validate="many_to_one")
    return table.assign(gflop_per_image=(table["n0"] + table["n"]) * table["gflop_per_draw"])


def with_seconds(table: pd.DataFrame, seconds: pd.DataFrame) -> pd.DataFrame:
    """The table of costs with the seconds of wall time per draw and per image, which differ from run to run."""
    timed = table.merge(seconds.rename(columns={"seconds": "seconds_per_draw"}), on=PAIRING, validate="many_to_one")
    return timed.assign(seconds_per_image=(timed["n0"] + timed["n"]) * timed["seconds_per_draw"])
