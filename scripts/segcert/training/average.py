"""The exponential moving average of the weights."""

import copy

import torch
from torch import nn

WARM_UP = 10


class Average:
    """A copy of a network, its weights averaged over the steps, its buffers (batch statistics) those of the last one.

    Early on the decay is (1 + step) / (10 + step), so that short trainings are not averaged with their start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after a step (1, 2, ...)."""
        decay = min(self.decay, (1 + step) / (WARM_UP + step))
        torch._foreach_lerp_(list(self.module.parameters()), list(model.parameters()), 1 - decay)
        for mean, latest in zip(self.module.buffers(), model.buffers(), strict=True):
            mean.copy_(latest)
