"""How good a certified segmentation is, per image and class."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.certification.certificate import ABSTAIN

Labels = npt.NDArray[np.integer[Any]]


def dice(intersection: float, size_a: float, size_b: float) -> float:
    """2 |A and B| / (|A| + |B|); NaN when both are empty."""
    return 2 * intersection / (size_a + size_b) if size_a + size_b else math.nan


def iou(intersection: float, size_a: float, size_b: float) -> float:
    """|A and B| / |A or B|; NaN when both are empty."""
    union = size_a + size_b - intersection
    return intersection / union if union else math.nan


def class_metrics(truth: Labels, predicted: Labels, certified: Labels, class_id: int) -> dict[str, float]:
    """The metrics of one class on one image.

    Parameters
    ----------
    truth, predicted, certified
        (H, W) class ids: ground truth, the unsmoothed model on the clean image, and certified labels with ABSTAIN.

    Returns
    -------
    dice, iou
        Of the unsmoothed model on the clean image.
    certified_dice, certified_iou
        The published convention (Laousy et al. 2023): abstained pixels are missing from the prediction and present
        in the ground truth. 2TP / (|GT| + |certified|), TP / (|GT| + |certified| - TP).
    worst_case_dice
        The least Dice over everything that the abstained pixels could be: 2TP / (|GT| + |certified| + |abstained
        outside GT|). A true lower bound; the certified Dice is not.
    area_low, area_high
        Pixels certified as the class, and those plus the abstained: the certified interval of its area.
    area
        Pixels of the class in the ground truth.

    A ratio is NaN when the class is absent from both sides. All else in [0, 1] or in pixels.
    """
    true, chosen, sure, unsure = truth == class_id, predicted == class_id, certified == class_id, certified == ABSTAIN
    size, sure_size = int(true.sum()), int(sure.sum())
    clean_hits, hits = int((true & chosen).sum()), int((true & sure).sum())
    return {
        "dice": dice(clean_hits, size, int(chosen.sum())),
        "iou": iou(clean_hits, size, int(chosen.sum())),
        "certified_dice": dice(hits, size, sure_size),
        "certified_iou": iou(hits, size, sure_size),
        "worst_case_dice": dice(hits, size, sure_size + int((unsure & ~true).sum())),
        "area": size,
        "area_low": sure_size,
        "area_high": sure_size + int(unsure.sum()),
    }
