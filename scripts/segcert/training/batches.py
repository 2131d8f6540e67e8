"""Which images a step sees and what is random in it: functions of seed and step alone, so that a step can be redone."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

ORDER, DRAWS = 0, 1


def batch_of(step: int, count: int, batch_size: int, seed: int) -> Tensor:
    """Indices below `count` of the batch of a step (1, 2, ...): shuffled passes over all images, joined end to end."""
    start = (step - 1) * batch_size
    first, last = start // count, (start + batch_size - 1) // count
    shuffled = [torch.randperm(count, generator=_generator(seed, ORDER, number)) for number in range(first, last + 1)]
    offset = start - first * count
    return torch.cat(shuffled)[offset : offset + batch_size]


def steps_of(settings: Mapping[str, Any], count: int) -> int:
    """Optimiser steps: `steps`, or as many as `epochs` passes over `count` images take."""
    if settings["epochs"] is None:
        steps: int = settings["steps"]
        return steps
    batches: float = settings["epochs"] * count / settings["batch_size"]
    return max(1, math.ceil(batches))


def stream(seed: int, step: int, rank: int) -> torch.Generator:
    """The generator of all that is random in a step on one process; torch's global one (dropout) is seeded alike."""
    generator = _generator(seed, DRAWS, step, rank)
    torch.manual_seed(generator.initial_seed())
    return generator


def _generator(*key: int) -> torch.Generator:
    number = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
    generator = torch.Generator()
    generator.manual_seed(number % 2**63)
    return generator
