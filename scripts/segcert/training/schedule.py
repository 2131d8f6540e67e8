"""Training schedule: the batch, random numbers, optimiser and learning rate of each step.

Batches and random numbers depend only on the seed, the step and the process rank, so any step can be repeated.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ORDER, DRAWS = 0, 1


def batch_indices(step: int, count: int, batch_size: int, seed: int) -> Tensor:
    """Return the indices of the images in the batch of a step.

    The steps are numbered from 1, and the indices are below `count`. In each epoch, the images are shuffled again, and
    batches may extend from one epoch into the next.
    """
    start = (step - 1) * batch_size
    first, last = start // count, (start + batch_size - 1) // count
    shuffled = [torch.randperm(count, generator=_generator(seed, ORDER, number)) for number in range(first, last + 1)]
    offset = start - first * count
    return torch.cat(shuffled)[offset : offset + batch_size]


def steps_of(settings: Mapping[str, Any], count: int) -> int:
    """Return the number of optimiser steps: the setting `steps`, or the number of steps in `epochs` epochs.

    An epoch consists of `count` images.
    """
    if settings["epochs"] is None:
        steps: int = settings["steps"]
        return steps
    batches: float = settings["epochs"] * count / settings["batch_size"]
    return max(1, math.ceil(batches))


def stream(seed: int, step: int, rank: int) -> torch.Generator:
    """Return the random generator for a step in one process.

    torch's global generator, which dropout uses, is given the same seed.
    """
    generator = _generator(seed, DRAWS, step, rank)
    torch.manual_seed(generator.initial_seed())
    return generator


def _generator(*key: int) -> torch.Generator:
    number = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
    generator = torch.Generator()
    generator.manual_seed(number % 2**63)
    return generator


def build_optimizer(model: nn.Module, settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Build the optimiser named in the settings: adamw, adam or sgd."""
    rate, decay = settings["learning_rate"], settings["weight_decay"]
    if settings["optimizer"] == "sgd":
        return torch.optim.SGD(model.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=decay)
    kinds: dict[str, type[torch.optim.Adam]] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    return kinds[settings["optimizer"]](model.parameters(), rate, weight_decay=decay)


def learning_rate(step: int, steps: int, settings: Mapping[str, Any]) -> float:
    """Return the learning rate of a step. The steps are numbered from 1.

    The learning rate increases linearly during the warm-up. After that, it is constant, or it follows a half cosine
    down to 0.
    """
    peak: float = settings["learning_rate"]
    warm_up: int = max(1, round(settings["warm_up"] * steps))
    if step <= warm_up:
        return peak * step / warm_up
    if settings["schedule"] == "constant":
        return peak
    done = (step - 1 - warm_up) / max(1, steps - warm_up)
    return 0.5 * peak * (1 + math.cos(math.pi * done))
