"""Repeated draws: their selection, the probability of missing forged draws, and the comparison with the votes."""

import math
import random
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from segcert.measurements import Measurement
from segcert.single_image.schema import DocumentError
from segcert.smoothing.noise import Draw
from segcert.votes import Votes, unpack_labels

Labels = npt.NDArray[np.uint8]
MISSES = (0.5, 0.1, 0.01, 0.001)  # probabilities of missing all forged draws, used in `describe_misses`


def choose_draws(total: int, count: int, seed: int) -> list[int]:
    """Choose `count` of the draws 0, ..., total - 1 at random without replacement. Return them in increasing order."""
    return sorted(random.Random(seed).sample(range(total), count))  # noqa: S311  # the seed is from os.urandom


def miss_probability(total: int, checked: int, forged: int) -> float:
    """Return the probability that a random sample of draws contains no forged draw.

    The sample consists of `checked` of the `total` draws, and `forged` of the `total` draws are forged. The result is
    the hypergeometric probability C(total - forged, checked) / C(total, checked). It is the same for every
    choice of the forged draws.
    """
    return math.comb(total - forged, checked) / math.comb(total, checked)


def describe_misses(total: int, checked: int) -> str:
    """Describe the probability of missing one forged draw, and the numbers of forged draws that are rarely missed."""
    numbers = [1]
    for limit in MISSES:
        numbers.append(next(k for k in range(1, total + 1) if miss_probability(total, checked, k) <= limit))
    parts = [f"{_percent(miss_probability(total, checked, k))} for {k}" for k in dict.fromkeys(numbers)]
    return ", ".join(parts)


def _percent(probability: float) -> str:
    return f"{math.ceil(1000 * probability) / 10:g}%" if probability > 0.001 else f"{100 * probability:.2g}%"


def as_draw(votes: Votes, row: int) -> Draw:
    """Return the stream and the number of the draw in a row of the votes. Selection draws come first."""
    return ("selection", row) if row < votes.n0 else ("estimation", row - votes.n0)


def kept_label_maps(votes: Votes) -> Iterator[tuple[int, Labels]]:
    """Yield the row and the label map, shape (H, W), of each draw, if the votes contain label maps."""
    for row in range(len(votes.draws)):
        yield row, unpack_labels(votes.draws[row : row + 1], votes.estimation.shape[1:])[0]


def require_agreement(
    votes: Votes, label_maps: Iterable[tuple[int, Labels]], measurements: Sequence[Measurement], what: str
) -> None:
    """Raise DocumentError if the votes contradict the label maps of some draws.

    `label_maps` yields the row of a draw in the votes and the label map of this draw, of shape (H, W). For each draw,
    the areas, the measurements and the label map in the votes (if any) must agree with this label map. The counts must
    be at least as large as the counts of the given label maps, and equal to them if all draws are given. `what`
    describes the label maps in the error message, for example "when drawn again".
    """
    classes = len(votes.estimation)
    class_ids = np.arange(classes)[:, None, None]
    left = {"selection": votes.selection.astype(np.int64), "estimation": votes.estimation.astype(np.int64)}
    for row, labels in label_maps:
        if labels.max() >= classes:
            raise DocumentError(f"draw {row} {what} has the label {labels.max()}; expected 0 to {classes - 1}")
        _require_row(votes, row, labels, measurements, what)
        left["selection" if row < votes.n0 else "estimation"] -= labels == class_ids
    # The votes of a pixel sum to the number of draws. So if all draws are given and no count is negative, all are 0.
    for stream, counts in left.items():
        if counts.min() < 0:
            class_id, y, x = np.unravel_index(counts.argmin(), counts.shape)
            raise DocumentError(
                f"{stream}: found {getattr(votes, stream)[class_id, y, x]} votes for class {class_id} at row {y}, "
                f"column {x}; the draws {what} alone give {-counts[class_id, y, x]} more"
            )


def _require_row(votes: Votes, row: int, labels: Labels, measurements: Sequence[Measurement], what: str) -> None:
    areas = np.bincount(labels.ravel(), minlength=len(votes.estimation))
    if not np.array_equal(areas, votes.areas[row]):
        raise DocumentError(
            f"draw {row} {what} has the areas {areas.tolist()}; the votes contain the areas "
            f"{votes.areas[row].tolist()}. (Rounding on a different machine may change a few pixels.)"
        )
    if len(votes.draws):
        kept = unpack_labels(votes.draws[row : row + 1], labels.shape)[0]
        if other := int((kept != labels).sum()):
            raise DocumentError(
                f"draw {row} {what} differs in {other} pixels from the label map in the votes. (Rounding on a "
                "different machine may change a few pixels.)"
            )
    for measurement in measurements:
        value, stored = float(measurement.function(labels)), float(votes.measurements[measurement.name][row])
        if value != stored and not (math.isnan(value) and math.isnan(stored)):
            raise DocumentError(
                f"draw {row} {what} has the {measurement.name} {value:g}; the votes contain the value {stored:g}"
            )
