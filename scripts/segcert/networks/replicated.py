"""Adapter that applies a colour network to gray images."""

from torch import Tensor, nn


class Replicated(nn.Module):
    """A module that replicates the channel of gray images and applies a colour network to the result.

    Because noise is added before the channel is replicated, it is the same in all channels.
    """

    def __init__(self, model: nn.Module, channels: int) -> None:
        super().__init__()
        self.model, self.channels = model, channels

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x.expand(-1, self.channels, -1, -1))
        return logits
