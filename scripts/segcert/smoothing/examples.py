"""Example images for the report: predictions on clean images, and noisy and denoised copies at each noise level."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F

from segcert.data.dataset import PreparedDataset
from segcert.io.arrays import save_arrays
from segcert.io.progress import track
from segcert.networks.probe import require_finite
from segcert.networks.registry import load_segmenter
from segcert.smoothing.noise import Noise, image_digest


@torch.inference_mode()
def predict_clean(
    index: str | Path,
    segmenter: str | Path,
    output: str | Path,
    *,
    test_images: int | None,
    pool: int,
    device: torch.device,
) -> None:
    """Write the unsmoothed model's labels for all clean test images to an `.npz` file, keyed by image name.

    Raises ModelError if logits are not finite. The message names the segmenter and the image.
    """
    dataset = PreparedDataset(Path(index))
    model, _ = load_segmenter(segmenter)
    model.to(device)
    labels = {}
    for name in track(dataset.names("test", test_images), "predicting"):
        x = torch.from_numpy(dataset.image(name)).to(device)[None]
        logits = F.interpolate(model(F.avg_pool2d(x, pool)), scale_factor=pool, mode="bilinear")
        require_finite(logits, model, str(segmenter), f"the image {name}")
        labels[name] = logits[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
    save_arrays(output, labels)


@torch.inference_mode()
def denoise_examples(
    index: str | Path,
    denoiser: str | Path | None,
    *,
    denoising_steps: int,
    outputs: Mapping[float, str | Path],
    examples: int,
    pool: int,
    seed: int,
    device: torch.device,
) -> None:
    """Write a noisy and a denoised copy of each of the first `examples` test images, to one file per sigma.

    Each file contains a uint8 array per image, keyed by image name, of shape (2, C, H / pool, W / pool), with values
    clipped to [0, 255]. The noisy copy comes first. Without a denoiser, there is no denoised copy, and the shape is
    (1, C, H / pool, W / pool). The copies have the resolution of the networks' input, and the noise of the first
    estimation draw. Raises ModelError if a denoised copy contains values that are not finite.
    """
    from segcert.networks.denoiser import DiffusionDenoiser

    dataset = PreparedDataset(Path(index))
    denoise = DiffusionDenoiser.load(denoiser, denoising_steps).to(device) if denoiser else None
    for sigma, output in outputs.items():
        noise = Noise(sigma, seed)
        copies = {}
        for name in dataset.names("test", examples):
            image = dataset.image(name)
            x_noisy = noise.copies(torch.from_numpy(image).to(device), image_digest(image), [("estimation", 0)], 1)
            x_seen = F.avg_pool2d(x_noisy, pool)
            seen = torch.cat([x_seen, denoise(x_seen, sigma / pool)]) if denoise else x_seen
            require_finite(seen, denoise, str(denoiser), f"the image {name}")
            copies[name] = seen.clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy()
        save_arrays(output, copies)
