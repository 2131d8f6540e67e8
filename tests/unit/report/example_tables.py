"""Synthetic tables of a report, with the columns of real ones."""

import itertools

import numpy as np
import pandas as pd

from segcert.results.tables import METRICS

PAIRINGS = [("clean", "none"), ("noise", "none"), ("clean", "ddpm"), ("noise", "ddpm"), ("denoised", "ddpm")]
SIGMAS = (0.25, 0.5, 1.0)
HOSTILE = r"a_b% & #1 {x} ~^\$ <[*] | é"


def main_table(datasets=("phantom",), models=("unet",), sigmas=SIGMAS, method="segcertify"):
    """Random numbers, all different."""
    random = np.random.default_rng(0)
    rows = []
    for dataset, model, (regime, denoiser), sigma in itertools.product(datasets, models, PAIRINGS, sigmas):
        row = {
            "dataset": dataset, "model": model, "regime": regime, "denoiser": denoiser, "sigma": sigma, "tau": 0.75,
            "alpha": 0.001, "n0": 10, "n": 100, "looks": "", "method": method, "k": 1,
            "radius": 0.6744897501960817 * sigma,
            "radius_gray_levels": sigma, "images": 8, "groups": 8, "undefined": 0,
            "failed": 0,
        }  # fmt: skip
        for metric in METRICS:
            low, mean, high = np.sort(random.random(3))
            row |= {metric: mean, f"{metric}_low": low, f"{metric}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def measurement_table(main):
    """Two measurements for each row of the main table: an area, and a ratio without a unit and with a threshold."""
    random = np.random.default_rng(1)
    keys = ["dataset", "model", "regime", "denoiser", "sigma", "radius"]
    rows = []
    for row, (name, unit) in itertools.product(
        main[keys].to_dict("records"), [("area_lungs", "mm²"), ("cardiothoracic_ratio", np.nan)]
    ):
        low, median, high = np.sort(random.random(3)) * (1000 if name == "area_lungs" else 1)
        rows.append(row | {
            "measurement": name, "unit": unit, "alpha": 0.0005, "truth": median, "clean": median, "low": low,
            "median": median, "high": high, "width": (high - low) / median,
            "threshold": np.nan if name == "area_lungs" else 0.5, "unbounded": 1 if name != "area_lungs" else 0,
            "above": 3, "below": 4, "open": 1, "right": 5, "wrong": 2, "image": 8,
        })  # fmt: skip
    return pd.DataFrame(rows)


def claim_table(count=3):
    """Claims whose verdicts cycle through all three."""
    return pd.DataFrame([
        {"claim": f"The denoiser raises certified Dice, claim {number % 4}", "dataset": "phantom", "model": "unet",
         "sigma": 0.5, "images": 8, "difference": 0.1 + number / 1000, "difference_low": -0.05, "difference_high": 0.2,
         "verdict": ("holds", "does not hold", "cannot be said")[number % 3], "why": "the interval"}
        for number in range(count)
    ])  # fmt: skip
