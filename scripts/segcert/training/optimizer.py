"""The optimiser and the learning rate of each step."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def build_optimizer(model: nn.Module, settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The optimiser that the settings name: adamw, adam or sgd."""
    rate, decay = settings["learning_rate"], settings["weight_decay"]
    if settings["optimizer"] == "sgd":
        return torch.optim.SGD(model.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=decay)
    kinds: dict[str, type[torch.optim.Adam]] = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    return kinds[settings["optimizer"]](model.parameters(), rate, weight_decay=decay)


def learning_rate(step: int, steps: int, settings: Mapping[str, Any]) -> float:
    """The learning rate of a step (1, 2, ...): a linear warm-up, then constant or a half cosine towards 0."""
    peak: float = settings["learning_rate"]
    warm_up: int = max(1, round(settings["warm_up"] * steps))
    if step <= warm_up:
        return peak * step / warm_up
    if settings["schedule"] == "constant":
        return peak
    done = (step - 1 - warm_up) / max(1, steps - warm_up)
    return 0.5 * peak * (1 + math.cos(math.pi * done))
