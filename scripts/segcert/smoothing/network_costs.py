"""The cost of a draw: network evaluations, parameters, floating-point operations and seconds."""

import itertools
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from segcert.data.dataset import PreparedDataset
from segcert.io.progress import track
from segcert.smoothing.noise import Draw, image_digest
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.shard import Pairing

SIGMA = 0.5  # noise level at which costs are measured; costs do not depend on it
BATCHES = 3  # number of timed batches
PAIRING = ["dataset", "model", "regime", "denoiser"]
GIGA = 1e9


@torch.inference_mode()
def measure_costs(
    dataset: PreparedDataset,
    pairings: Mapping[tuple[str, str, str], Pairing],
    *,
    settings: Mapping[str, Any],
    pool: int,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Measure the cost of one draw on an image of a data set, for each pairing of networks.

    `pairings` is keyed by (model, regime, denoiser). `settings` is the configuration section `sampling`. Returns one
    row per pairing, with the columns `dataset`, `model`, `regime`, `denoiser`, and:

    - `evaluations`: number of network evaluations, one of the segmenter and `denoising_steps` of the denoiser;
    - `parameters`: number of parameters in both networks;
    - `gflop`: number of floating-point operations, in billions (see `gflop_of`);
    - `seconds`: wall time, the median over three batches after a warm-up, divided by the batch size.
    """
    image = dataset.image(dataset.names("test", 1)[0])
    draws: list[Draw] = [("selection", k) for k in range(settings["batch_size"])]
    rows = []
    for names, pairing in track(pairings.items(), "measuring costs", len(pairings)):
        smoothed = pairing.smoothed_segmenter(
            SIGMA,
            batch_size=len(draws),
            precision=settings["precision"],
            compiled=settings["compile"],
            pool=pool,
            device=device,
        )
        x_noisy = smoothed.noise.copies(torch.from_numpy(image).to(device), image_digest(image), draws, len(draws))
        x = F.avg_pool2d(x_noisy, pool)
        evaluations, parameters, gflop = 1, parameters_of(pairing.model), gflop_of(pairing.model, x)
        if pairing.denoise:
            evaluations += pairing.denoising_steps
            parameters += parameters_of(pairing.denoise)
            gflop += gflop_of(pairing.denoise, x, SIGMA / pool)
        measured = {"evaluations": evaluations, "parameters": parameters, "gflop": gflop}
        seconds = {"seconds": seconds_of(smoothed, x_noisy)}
        rows.append(dict(zip(PAIRING, (dataset.about["name"], *names), strict=True)) | measured | seconds)
    return rows


def parameters_of(network: Any) -> float:
    """Return the number of parameters of a network, or NaN for an exported network that stores them as constants."""
    return sum(parameter.numel() for parameter in network.parameters()) or float("nan")


def gflop_of(network: Any, x: Tensor, *arguments: Any) -> float:
    """Return the number of floating-point operations of a network per image, in billions.

    `x` is a batch of shape (B, C, H, W). The operations are counted with `torch.utils.flop_counter`. Each
    multiplication and each addition in convolutions, matrix products and attention is one operation. Normalisation and
    activations are not counted. The result is NaN if no operations are found, for example in an exported network.
    """
    with FlopCounterMode(display=False) as counter:
        network(x, *arguments)
    return counter.get_total_flops() / len(x) / GIGA or float("nan")


def seconds_of(smoothed: SmoothedSegmenter, x_noisy: Tensor) -> float:
    """Return the wall time per draw, in seconds, for a batch of noisy copies of shape (B, C, H, W).

    The batch is evaluated several times. The first run is a warm-up. The result is the median over the other runs,
    because the time varies from run to run and with the load of the machine.
    """
    times = []
    for _ in range(1 + BATCHES):
        smoothed.logits(x_noisy)
        if smoothed.device.type == "cuda":
            torch.cuda.synchronize(smoothed.device)
        times.append(time.perf_counter())
    return statistics.median(after - before for before, after in itertools.pairwise(times)) / len(x_noisy)
