import numpy as np
import pandas as pd

from segcert.reporting.tables import attack_table, measurement_table

MODEL = {"dataset": "d", "model": "unet", "regime": "clean", "denoiser": "none", "sigma": 0.5}


def interval(image, low, median, high, decision=""):
    values = {"radius": 0.3, "alpha": 0.001, "truth": 0.5, "clean": 0.5, "threshold": 0.5}
    about = {"measurement": "ratio", "unit": "", "image": image, "decision": decision}
    return MODEL | about | values | {"low": low, "median": median, "high": high}


def test_unbounded_intervals_are_counted_not_hidden():
    rows = [interval(f"i{k}", -np.inf, np.nan, np.inf, "open") for k in range(7)]
    (row,) = measurement_table(pd.DataFrame([*rows, interval("j", 0.4, 0.44, 0.48, "below")])).to_dict("records")
    assert (row["unbounded"], row["image"], row["open"], row["below"], row["above"]) == (7, 8, 7, 1, 0)
    assert (row["low"], row["high"]) == (0.4, 0.48)


def test_attacks_are_summed_over_images():
    rows = [
        MODEL | {"factor": 1.0, "image": name, "norm": 0.3, "certified": 10, "changed": 2, "refuted": 1}
        for name in "ab"
    ]
    (row,) = attack_table(pd.DataFrame(rows)).to_dict("records")
    assert (row["images"], row["certified"], row["changed"], row["refuted"]) == (2, 20, 4, 2)
    assert attack_table(pd.DataFrame()).empty
