"""Compare the methods on the same real votes: python -m benchmarks.statistics ARCHIVES WORK [OUTPUT].

The cached votes of real_votes.py (missing votes are drawn) are replayed at 60 to 300 draws for every method. The
results are certified area, certified Dice, the draws that `holm` saves at equal area, certified Dice at given budgets,
and the widths of median-smoothed area intervals. Intervals are 95% bootstrap intervals over images. An image's draws
are independent, so they are replayed in ORDERS shuffled orders. Results are means over these orders.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # as a script, its folder would hide Python's own `statistics`

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from benchmarks.real_votes import CASES, Case, draw
from segcert.certification.certificate import ABSTAIN, certify
from segcert.certification.median_smoothing import median_interval
from segcert.certification.methods import CertificationError
from segcert.certification.metrics import class_metrics
from segcert.data.dataset import PreparedDataset
from segcert.io.progress import track
from segcert.results.budget_rows import forecast_labels
from segcert.votes import Votes

Array = npt.NDArray[Any]

TAU, ALPHA, KFWER = 0.75, 0.001, 10
TOTALS = tuple(range(60, 301, 10))
BUDGETS = (70, 110, 200, 1000)
PAPER = 110
ORDERS = 4
RESAMPLES = 2000
METHODS: dict[str, tuple[str, int]] = {  # name: (method, n0)
    "uncorrected": ("uncorrected", 0),
    "segcertify": ("segcertify", 10),
    "segcertify_n0_4": ("segcertify", 4),
    "holm": ("holm", 10),
    "kfwer": ("kfwer", 10),
    "by": ("by", 10),
}


class Replay:
    """The draws of one image in a fixed order, from which the votes of the first draws can be counted."""

    def __init__(self, label_maps: Array, num_classes: int, sigma: float) -> None:
        self.label_maps, self.num_classes, self.sigma = label_maps, num_classes, sigma
        self.known = {0: np.zeros((num_classes, *label_maps.shape[1:]), np.uint32)}

    def counts(self, stop: int) -> Array:
        """Return the votes of the first `stop` draws, (num_classes, H, W)."""
        if stop not in self.known:
            start = max(known for known in self.known if known < stop)
            part = self.label_maps[start:stop]
            more = np.stack([(part == k).sum(axis=0) for k in range(self.num_classes)]).astype(np.uint32)
            self.known[stop] = self.known[start] + more
        return self.known[stop]

    def votes(self, n0: int, total: int) -> Votes:
        """Return the votes of the first `total` draws, of which the first n0 are for selection."""
        selection = self.counts(n0)
        return Votes(selection, self.counts(total) - selection, self.sigma)


def labels_of(replay: Replay, method: str, n0: int, total: int) -> Array:
    """Return certified labels, which are all ABSTAIN if nothing could be certified."""
    if method == "uncorrected":
        counts = replay.counts(total)
        passes = binom.sf(np.arange(-1, total), total, TAU) <= ALPHA
        return np.where(passes[counts.max(axis=0)], counts.argmax(axis=0), ABSTAIN)
    try:
        return certify(replay.votes(n0, total), TAU, ALPHA, method, k=KFWER).labels
    except CertificationError:
        return np.full(replay.label_maps.shape[1:], ABSTAIN)


def replay_case(case: Case, drawn: dict[str, Votes], truths: dict[str, Array]) -> dict[str, dict[str, Array]]:
    """Return the results of a case: a dictionary of arrays for each quantity.

    Certified area and Dice are (images, totals) for each method. Forecasts are (images, budgets), and interval widths
    are (images, 4).
    """
    totals = (*TOTALS, *(budget for budget in BUDGETS if TOTALS[-1] < budget <= case.draws))
    area = {name: np.zeros((len(drawn), len(totals))) for name in METHODS}
    dice = {name: np.zeros((len(drawn), len(totals))) for name in METHODS}
    forecast = np.zeros((len(drawn), len(BUDGETS)))
    widths = np.zeros((len(drawn), 4))  # pixelwise at 110, median at 50, median at 110, true area
    for row, (name, votes) in enumerate(track(drawn.items(), case.file)):
        label_maps, truth = votes.label_maps(), truths[name]
        for order in range(ORDERS):
            shuffled = label_maps[np.random.default_rng([row, order]).permutation(len(label_maps))]
            replay = Replay(shuffled, 2, votes.sigma)
            for method, (kind, n0) in METHODS.items():
                for column, total in enumerate(totals):
                    labels = labels_of(replay, kind, n0, total)
                    area[method][row, column] += np.mean(labels != ABSTAIN) / ORDERS
                    dice[method][row, column] += class_metrics(truth, truth, labels, 1)["certified_dice"] / ORDERS
            for column, budget in enumerate(BUDGETS):
                forecasted = replay.votes(10, PAPER)
                labels = forecast_labels(forecasted, budget, ["segcertify"], {"tau": TAU, "alpha": ALPHA})
                forecast[row, column] += class_metrics(truth, truth, labels["segcertify"], 1)["certified_dice"] / ORDERS
            pixelwise = certify(replay.votes(10, PAPER), TAU, ALPHA).labels
            areas = (shuffled[:PAPER] == 1).sum(axis=(1, 2))
            intervals = [median_interval(areas[:draws], votes.sigma, TAU, ALPHA) for draws in (50, PAPER)]
            found = [np.sum(pixelwise == ABSTAIN), *(each.high - each.low for each in intervals), truth.sum()]
            widths[row] += np.array(found) / ORDERS
    return {
        "totals": {"all": np.array(totals)},
        "area": area,
        "dice": dice,
        "forecast": {"segcertify": forecast},
        "widths": {"all": widths},
    }


def bootstrap(statistic: Callable[[Array], float], images: int) -> dict[str, float]:
    """Return a statistic that takes image numbers, and its 95% percentile interval over resampled images."""
    rng = np.random.default_rng(0)
    samples = [statistic(rng.integers(0, images, images)) for _ in range(RESAMPLES)]
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    return {"value": float(statistic(np.arange(images))), "low": float(low), "high": float(high)}


def fewer_draws(area: dict[str, Array], totals: Array, method: str, at: int) -> Callable[[Array], float]:
    """Return a statistic: the factor by which a method needs fewer draws than segcertify (n0 = 10) at equal area."""

    def statistic(images: Array) -> float:
        reference = area["segcertify"][images].mean(axis=0)[list(totals).index(at)]
        curve = np.maximum.accumulate(area[method][images].mean(axis=0))
        return at / float(np.interp(reference, curve, totals))

    return statistic


def summarise(case: Case, results: dict[str, dict[str, Array]]) -> dict[str, Any]:
    """Return a summary of a case's results."""
    totals, area, dice = results["totals"]["all"], results["area"], results["dice"]
    images = len(area["holm"])
    widths = results["widths"]["all"]
    budgets = [budget for budget in BUDGETS if budget in totals]
    return {
        "set": case.name,
        "regime": case.regime,
        "denoiser": case.denoiser,
        "sigma": case.sigma,
        "images": images,
        "totals": totals.tolist(),
        "certified_area": {method: values.mean(axis=0).round(5).tolist() for method, values in area.items()},
        "certified_dice": {method: values.mean(axis=0).round(5).tolist() for method, values in dice.items()},
        "fewer_draws_at_equal_area": {
            method: {
                str(at): bootstrap(fewer_draws(area, totals, method, at), images) for at in (90, 110, 150, 200, 250)
            }
            for method in ("holm", "segcertify_n0_4", "uncorrected")
        },
        "certified_dice_at_budget": {
            str(budget): {
                method: bootstrap(lambda i, m=method, b=budget: dice[m][i].mean(axis=0)[list(totals).index(b)], images)
                for method in ("segcertify", "holm", "uncorrected")
            }
            for budget in budgets
        },
        "forecast_from_110": {
            str(budget): float(value)
            for budget, value in zip(BUDGETS, results["forecast"]["segcertify"].mean(axis=0).round(5), strict=True)
        },
        "area_interval": {
            "pixelwise_at_110": float(widths[:, 0].mean()),
            "median_at_50": float(widths[:, 1].mean()),
            "median_at_110": float(widths[:, 2].mean()),
            "times_narrower_at_50": bootstrap(lambda i: float(widths[i, 0].mean() / widths[i, 1].mean()), images),
            "times_narrower_at_110": bootstrap(lambda i: float(widths[i, 0].mean() / widths[i, 2].mean()), images),
            "pixelwise_share_of_area": float(np.mean(widths[:, 0] / widths[:, 3])),
            "median_at_50_share_of_area": float(np.mean(widths[:, 1] / widths[:, 3])),
        },
    }


def main(archives: Path, work: Path, output: Path) -> None:
    """Replay every case and write the results."""
    summaries = []
    for case in CASES:
        drawn = dict(draw(case, archives, work))
        dataset = PreparedDataset(work / case.name / "data" / "index.csv")
        results = replay_case(case, drawn, {name: dataset.mask(name) for name in drawn})
        summary = summarise(case, results)
        summaries.append(summary)
        fewer = summary["fewer_draws_at_equal_area"]["holm"]["110"]
        narrower = [summary["area_interval"][f"times_narrower_at_{draws}"] for draws in (50, PAPER)]
        print(
            f"{case.file}: certified Dice {summary['certified_dice_at_budget']['110']['segcertify']['value']:.3f}, "
            f"holm {fewer['value']:.3f} [{fewer['low']:.3f}, {fewer['high']:.3f}] times fewer draws, median intervals "
            + " / ".join(f"{each['value']:.1f} [{each['low']:.1f}, {each['high']:.1f}]" for each in narrower)
            + " times narrower at 50 / 110 draws",
            flush=True,
        )
        settings = {"tau": TAU, "alpha": ALPHA, "kfwer_k": KFWER, "orders": ORDERS}
        lines = ",\n".join(map(json.dumps, summaries))  # one case per line
        output.write_text(f'{{"settings": {json.dumps(settings)},\n"cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(*sys.argv[3:4] or ["benchmarks/results/statistics.json"]))
