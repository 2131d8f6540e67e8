"""Networks that are half-spaces in the parameter of a threat, so that their smoothed shares are known exactly."""

import numpy as np
import torch
from scipy.stats import norm
from torch import nn

from segcert.smoothing.threats.contrast import Contrast
from segcert.smoothing.threats.exposure import Exposure
from segcert.smoothing.threats.field import Field
from segcert.smoothing.threats.gamma import Gamma
from segcert.smoothing.threats.offset import Offset
from segcert.smoothing.threats.white_balance import WhiteBalance

SIDE = 4
FAMILIES = [Exposure(), Contrast(0.4), Offset(), Gamma(), Field(2), Field(5), WhiteBalance()]


def image_of(family):
    """Return an image without 0, 1 and the fixed gray, so that each value shows the change."""
    values = 0.55 + 0.4 * np.random.default_rng(0).random((family.size if isinstance(family, WhiteBalance) else 1, 16))
    return values.reshape(-1, SIDE, SIDE).astype(np.float32)


class HalfSpaces(nn.Module):
    """Gives pixel p class 1 where w_p . a <= |w_p| sigma Phi^-1(share_p), for a copy that is the image changed by a.

    Each pixel reads w_p . a from its own first value. Under noise of standard deviation sigma on a, the pixel has class
    1 with the probability share_p, of shape (H, W).
    """

    def __init__(self, family, image, sigma, share):
        super().__init__()
        self.family, self.sigma = family, sigma
        self.image = torch.from_numpy(image).double()[0]
        parameters = torch.eye(family.size, dtype=torch.float64)
        copies = family.transform(torch.from_numpy(image).double().expand(family.size, -1, -1, -1), parameters)
        self.length = self.read(copies).norm(dim=0)  # |w_p|, of shape (H, W)
        self.border = self.length * sigma * torch.from_numpy(norm.ppf(np.broadcast_to(share, (SIDE, SIDE))))

    def read(self, x):
        """Return w_p . a of copies (B, C, H, W): shape (B, H, W)."""
        x = x.double()[:, 0]
        if isinstance(self.family, Offset):
            return x - self.image
        if isinstance(self.family, Gamma):
            return (x.log() / self.image.log()).log()
        gray = self.family.gray if isinstance(self.family, Contrast) else 0
        return ((x - gray) / (self.image - gray)).log()

    def margin(self, x):
        """Return the distance of images from the border, in standard deviations: Phi of it is the share of class 1."""
        return (self.border - self.read(x)) / (self.length * self.sigma)

    def forward(self, x):
        margin = self.margin(x)[:, None].float()
        return torch.cat([torch.zeros_like(margin), margin], dim=1)
