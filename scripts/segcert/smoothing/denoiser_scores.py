"""PSNR and SSIM of denoisers on validation images, in comparison with two classical methods."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from segcert.data.dataset import PreparedDataset
from segcert.io.progress import track
from segcert.networks.probe import require_finite
from segcert.smoothing.noise import Noise, image_digest

Image = npt.NDArray[np.float32]
Restore = Callable[[Image, float], Image]
IMAGES = 20  # largest number of validation images
SSIM_WINDOW = 7  # width of the window in pixels, skimage's default


@torch.inference_mode()
def denoiser_scores(
    index: str | Path,
    denoisers: Mapping[str, str | Path],
    *,
    denoising_steps: int,
    sigmas: Sequence[float],
    pool: int,
    seed: int,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Score denoising methods on the first validation images (at most 20), at each noise level.

    The methods are "noisy" (no denoising), "nl_means" and "wavelet", which are given the true noise level, and the
    denoisers. The noise is that of the image's first selection draw, so only its scale depends on sigma. As in
    sampling, the noisy image is averaged over blocks of pool x pool pixels and then denoised. The result is clipped to
    [0, 1] and scored.

    `denoisers` maps names to model folders. `sigmas` are noise levels at full resolution, for pixel values in [0, 1].
    Returns one row per sigma and method, with the columns `dataset`, `sigma`, `method`, `images` (the number of
    images), `psnr` (mean, in dB) and `ssim` (mean). Raises ModelError if a denoised image contains values that are not
    finite.
    """
    from segcert.networks.denoiser import DiffusionDenoiser

    dataset = PreparedDataset(Path(index))
    methods: dict[str, Restore] = {"noisy": unchanged, "nl_means": nl_means, "wavelet": wavelet}
    for name, folder in denoisers.items():
        methods[name] = _restorer(DiffusionDenoiser.load(folder, denoising_steps).to(device), str(folder), device)
    names = dataset.names("val", IMAGES)
    scores: dict[tuple[float, str], list[tuple[float, float]]] = {}
    for name in track(names, "scoring denoisers"):
        image = dataset.image(name)
        x = F.avg_pool2d(torch.from_numpy(image), pool).numpy()
        for sigma in sigmas:
            copies = Noise(sigma, seed).copies(torch.from_numpy(image), image_digest(image), [("selection", 0)], 1)
            x_noisy = F.avg_pool2d(copies, pool)[0].numpy()
            for method, restore in methods.items():
                restored = restore(x_noisy, sigma / pool).clip(0, 1)
                scores.setdefault((sigma, method), []).append((psnr(x, restored), ssim(x, restored)))
    rows = []
    for (sigma, method), values in scores.items():
        means = dict(zip(("psnr", "ssim"), np.mean(values, axis=0).tolist(), strict=True))
        rows.append({"dataset": dataset.about["name"], "sigma": sigma, "method": method, "images": len(names)} | means)
    return rows


def unchanged(x_noisy: Image, sigma: float) -> Image:
    """Return the noisy image unchanged, for comparison."""
    return x_noisy


def psnr(x: Image, restored: Image) -> float:
    """Return the peak signal-to-noise ratio of a restored image, in dB, with respect to the clean image x.

    Both images have shape (C, H, W) and values in [0, 1].
    """
    from skimage.metrics import peak_signal_noise_ratio

    return float(peak_signal_noise_ratio(x, restored, data_range=1))


def ssim(x: Image, restored: Image) -> float:
    """Return the structural similarity (Wang et al., IEEE TIP 2004) of two images, averaged over channels.

    The images have shape (C, H, W) and values in [0, 1]. The settings are skimage's defaults: K1 = 0.01, K2 = 0.03,
    sample covariances, and a uniform window of 7 x 7 pixels instead of the Gaussian window of the paper. The result is
    NaN if the image is smaller than the window.
    """
    from skimage.metrics import structural_similarity

    if min(x.shape[1:]) < SSIM_WINDOW:
        return float("nan")
    return float(structural_similarity(x, restored, win_size=SSIM_WINDOW, data_range=1, channel_axis=0))


def nl_means(x_noisy: Image, sigma: float) -> Image:
    """Denoise by non-local means (Buades et al., CVPR 2005), given the true sigma.

    Patches of 5 x 5 pixels are compared within a distance of 6 pixels. The fast variant (Darbon et al., ISBI 2008) is
    used, with h = 0.8 sigma, as recommended in skimage's documentation.
    """
    from skimage.restoration import denoise_nl_means

    channels_last = np.moveaxis(x_noisy, 0, -1)  # skimage requires this order and drops a single channel
    restored: Image = denoise_nl_means(
        channels_last, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma, fast_mode=True, channel_axis=-1
    )
    return np.moveaxis(restored.reshape(channels_last.shape), -1, 0)


def wavelet(x_noisy: Image, sigma: float) -> Image:
    """Denoise by soft wavelet thresholding: BayesShrink (Chang et al., IEEE TIP 2000), given the true sigma."""
    from skimage.restoration import denoise_wavelet

    restored: Image = denoise_wavelet(x_noisy, sigma=sigma, method="BayesShrink", rescale_sigma=True, channel_axis=0)
    return restored


def _restorer(denoiser: Callable[[torch.Tensor, float], torch.Tensor], name: str, device: torch.device) -> Restore:
    def restore(x_noisy: Image, sigma: float) -> Image:
        x = denoiser(torch.from_numpy(x_noisy)[None].to(device), sigma)[0]
        require_finite(x, denoiser, name, f"a validation image at sigma {sigma:g}")
        restored: Image = x.cpu().numpy()
        return restored

    return restore
