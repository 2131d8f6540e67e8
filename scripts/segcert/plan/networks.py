"""The networks of a run as its jobs name them, and what one of them costs: arithmetic per image, bytes of weights."""

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from segcert.plan.jobs import Planned

DENOISER, ADM, UNKNOWN = "denoiser", "adm256", "given"


@dataclasses.dataclass(frozen=True)
class Network:
    """A network, hashable.

    architecture: a segmenter's, "denoiser", "adm256", or "given" for a program whose operations are not known.
    arguments: those that it is built with, as JSON.
    """

    architecture: str
    arguments: str = "{}"

    @classmethod
    def of(cls, architecture: str, arguments: Mapping[str, Any]) -> "Network":
        """A network from plain arguments."""
        return cls(architecture, json.dumps(dict(arguments), sort_keys=True))

    @property
    def label(self) -> str:
        """In words: the architecture, and how large it is."""
        values = json.loads(self.arguments)
        sizes = [f"{key} {values[key]}" for key in ("width", "depth", "channels") if key in values]
        return f"{self.architecture} ({', '.join(sizes)})" if sizes else self.architecture


def networks_of(jobs: Iterable[Planned], in_channels: Mapping[str, int]) -> dict[str, Network]:
    """The network in each model folder, from the jobs that make them. `in_channels`: of each data set's images."""
    found = {}
    for job in jobs:
        if "network" in job.params:
            architecture = job.params["network"]["architecture"]
            arguments = job.params["network"]["arguments"]
            found[job.params["folder"]] = Network.of(architecture, arguments) if architecture else Network(UNKNOWN)
        elif job.rule == "train_denoiser":
            sizes = {key: job.params["settings"][key] for key in ("channels", "layers_per_block")}
            channels = in_channels[job.wildcards["source"].split("+")[0]]
            found[job.params["folder"]] = Network.of(DENOISER, sizes | {"in_channels": channels})
        elif job.rule == "import_adm":
            found[job.params["folder"]] = Network(ADM)
    return found


@functools.cache
def gflop(network: Network, channels: int, size: int) -> float:
    """10^9 operations of one call on an image (channels, size, size), as `measure_costs` counts; NaN: not known.

    The network is built without memory for its weights, and nothing is computed.
    """
    from segcert.smoothing.network_costs import gflop_of

    built = _built(network, size)
    if built is None:
        return math.nan
    import torch

    seen = 3 if network.architecture == ADM else channels  # ADM gets a gray image three times
    step = [] if network.architecture not in (DENOISER, ADM) else [torch.zeros((), device="meta")]
    try:
        with torch.no_grad():
            return gflop_of(built, torch.empty(1, seen, size, size, device="meta"), *step)
    except (RuntimeError, NotImplementedError, ValueError, TypeError):  # a network of one's own that must see numbers
        return math.nan


@functools.cache
def weight_bytes(network: Network, size: int) -> float:
    """Bytes of all tensors of a network, as a file of weights holds them but for its header; NaN: not known."""
    built = _built(network, size)
    if built is None:
        return math.nan
    return float(sum(tensor.numel() * tensor.element_size() for tensor in built.state_dict().values()))


@functools.cache
def _built(network: Network, size: int) -> Any:
    """The network on torch's device without memory, or None where it cannot be built there."""
    import torch

    arguments = json.loads(network.arguments)
    if network.architecture == UNKNOWN:
        return None
    with torch.device("meta"):
        if network.architecture == ADM:
            from segcert.networks.adm import adm_config
            from segcert.networks.denoiser import UNet2DModel

            return UNet2DModel(**adm_config()).eval()
        if network.architecture == DENOISER:
            from segcert.training.denoiser import build_unet

            return build_unet(arguments, arguments["in_channels"], size).eval()
        from segcert.networks.registry import build_segmenter

        try:
            return build_segmenter(network.architecture, arguments).eval()
        except RuntimeError:  # a network of one's own that computes while it is built
            return None
