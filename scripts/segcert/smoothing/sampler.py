"""The smoothed segmenter: a segmentation model that labels many noisy copies of an image."""

import functools
import importlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segcert.io.interruption import Interrupted, is_interrupted
from segcert.measurements import Measurement
from segcert.networks.failures import refuse
from segcert.networks.folders import ModelError
from segcert.networks.outputs import check_logits
from segcert.networks.runtime import (
    PRECISIONS,
    after_this,
    autocast,
    compile_network,
    is_same,
    on_device,
    ran_out_of_memory,
    rounding,
    rounding_of,
)
from segcert.provenance.digests import array_digest, value_digest
from segcert.smoothing.noise import Draw, KeyedNoise, Noise, SamplingError, checked_image, image_digest
from segcert.smoothing.observables import Observables, Tally, build_votes
from segcert.smoothing.store import BlockStore
from segcert.votes import PIXELS, Votes

if TYPE_CHECKING:
    from segcert.smoothing.threats.family import Family


def module_digest(part: Any) -> str | None:
    """SHA-256 of a module's structure, weights and buffers; None for anything that is not a module."""
    if not isinstance(part, nn.Module):
        return None
    tensors = {name: value for name, value in part.state_dict().items() if isinstance(value, torch.Tensor)}
    digests = {name: array_digest(tensor.detach().cpu().double().numpy()) for name, tensor in tensors.items()}
    return value_digest([str(part), digests])


Model = Callable[[Tensor], Tensor]
Denoise = Callable[[Tensor, float], Tensor]
MOST_CLASSES = 254
NOT_FINITE = 255
CODE, THREAT_CODE, RUNTIME = "code", "threat_code", "runtime"
READ_LATER = 2  # largest number of batches on a GPU whose labels wait to be counted


class SmoothedSegmenter:
    """A segmentation model under Gaussian noise (Fischer et al., ICML 2021), with an optional denoiser in front of it.

    Parameters
    ----------
    model
        Any callable that maps images of shape (B, C, H, W) to logits of shape (B, num_classes, H, W). Modules must be
        in eval mode.
    sigma
        Standard deviation of the noise, above 0, for pixel values in [0, 1]. With another threat than pixels, standard
        deviation of its parameter (the level of the threat).
    num_classes
        Number of classes, including the background: at most 254.
    denoiser
        Any callable that maps a noisy image and its sigma, for pixel values in [0, 1], to an image in [0, 1]; or None.
    batch_size
        Number of noisy copies per model call. The last batch is padded to this size, so all calls have the same shape.
    seed
        Seed of the noise. The same seed, image and draw give the same noise at every sigma. Certificates assume that
        the image was not chosen with knowledge of the seed (docs/noise.md).
    device
        Device of the networks: "cpu" or "cuda".
    precision
        Precision of the networks: "float32" or "bfloat16". On GPUs that support TF32, "float32" convolutions multiply
        in TF32, which is torch's default (torch.backends.cudnn.allow_tf32).
    noise
        "normal", or "exact": Gaussian noise rounded to the image's grid, k / (2^bits - 1), so that the guarantee also
        holds in floating point (docs/noise.md).
    bits
        Bit depth of the image's grid, used only by "exact": 1 to 16.
    pool
        The networks see the noisy image averaged over blocks of pool x pool pixels, which reduces the noise level to
        sigma / pool. Their logits are enlarged to the original size. The noise, radius and certificate refer to the
        original pixels.
    compiled
        True to compile modules with torch.compile (with CUDA graphs on a GPU).
    block_size
        Number of draws that the store keeps together as a block.
    store
        Store of finished blocks, which later calls reuse. With None, blocks are not stored.
    identity
        Digests that identify the sampled function (model, denoiser and code), as plain JSON. The default contains
        digests of the modules' structure and weights. With a store, different models must have different identities.
    packages
        Versions of further packages that the networks use, by name. Votes record them with those of torch and numpy.
    threat
        "pixels": the noise is added to the pixels. The name of a family of changes (exposure, contrast, offset, gamma,
        field, white_balance), your own `package.module:Family`, or a `Family`: noise is added to the parameter of the
        family, and each copy is the image changed by it, without clipping. The radius is then in the parameter.

    Attributes
    ----------
    probed
        Shapes of batches, sigmas and precisions for which the networks were found to treat each noisy copy on its own,
        as certificates assume. Segmenters of the same networks can share this set, so that each case is tested once.

    Raises
    ------
    SamplingError
        If an argument is out of range, or if a module is in train mode.

    Examples
    --------
    >>> import numpy as np, torch, segcert
    >>> def model(x):  # class 1 in bright pixels
    ...     return torch.cat([torch.full_like(x, 0.5), x], dim=1)

    >>> image = np.zeros((1, 4, 4), np.float32)
    >>> image[:, :, 2:] = 1.0

    >>> smoothed = segcert.SmoothedSegmenter(model, sigma=0.1, num_classes=2)
    >>> votes = smoothed.sample(image, n0=10, n=100)
    >>> votes.estimation.shape, votes.areas.shape
    ((2, 4, 4), (110, 2))

    >>> segcert.certify(votes, tau=0.75, alpha=0.001).labels
    array([[0, 0, 1, 1],
           [0, 0, 1, 1],
           [0, 0, 1, 1],
           [0, 0, 1, 1]], dtype=uint8)
    """

    def __init__(
        self,
        model: Model,
        sigma: float,
        num_classes: int,
        denoiser: Denoise | None = None,
        batch_size: int = 32,
        seed: int = 0,
        device: str | torch.device = "cpu",
        precision: str = "float32",
        *,
        noise: str = "normal",
        bits: int = 8,
        pool: int = 1,
        compiled: bool = False,
        block_size: int = 50,
        store: BlockStore | None = None,
        identity: dict[str, Any] | None = None,
        packages: Mapping[str, str] | None = None,
        threat: "str | Family" = PIXELS,
    ) -> None:
        self.noise: KeyedNoise = Noise(float(sigma), seed, noise, bits)
        if threat != PIXELS:
            self.noise = _parameter_noise(threat, self.noise)
        if min(batch_size, block_size, pool) < 1:
            raise SamplingError(
                f"found batch_size {batch_size}, block_size {block_size}, pool {pool}; expected at least 1 for each"
            )
        if not 1 <= num_classes <= MOST_CLASSES:
            raise SamplingError(f"num_classes: found {num_classes}; expected 1 to {MOST_CLASSES}")
        if precision not in PRECISIONS:
            raise SamplingError(f"precision: found {precision!r}; expected one of {', '.join(PRECISIONS)}")
        if store and not identity:
            raise SamplingError(
                "identity: missing; a store needs a value that identifies the model, such as its digest"
            )
        if denoiser is not None and not callable(denoiser):
            raise SamplingError(
                f"denoiser: found a {type(denoiser).__name__}; expected a function that maps (x_noisy, sigma) to "
                "images in [0, 1]. To read a folder, write segcert.DiffusionDenoiser.load(folder)"
            )
        if denoiser is not None and self.noise.threat != PIXELS:
            raise SamplingError(
                f"denoiser: found one with the threat {self.noise.threat}; expected None, because a denoiser removes "
                "noise of a known sigma from pixels, and here the pixels have no noise"
            )
        if store and self.noise.settings.get(THREAT_CODE, "") is None:
            raise SamplingError(
                f"threat {self.noise.threat}: found no file with its code, without which a store cannot tell an edited "
                "family from the one before. Put the family into a module, or use no store"
            )
        for name, part in (("model", model), ("denoiser", denoiser)):
            if isinstance(part, nn.Module):
                if _is_in_train_mode(part):
                    raise SamplingError(
                        f"{name}: is in train mode, in which the output depends on the batch. Call .eval() first"
                    )
                part.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.identity = identity or {"segmenter": module_digest(model), "denoiser": module_digest(denoiser)}
        self.packages = dict(packages or {})
        self.device, self.precision = torch.device(device), precision
        self.model: Model = compile_network(model, self.device) if compiled else model
        self.denoiser: Denoise | None = compile_network(denoiser, self.device) if compiled else denoiser
        self.num_classes, self.batch_size, self.compiled = num_classes, batch_size, compiled
        self.block_size, self.store, self.pool = block_size, store, pool
        self.probed: set[tuple[tuple[int, ...], float, str]] = set()
        self._reader = None if self.device.type == "cpu" else ThreadPoolExecutor(1, "reader")

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise, for pixel values in [0, 1], or of the parameter of another threat."""
        return self.noise.sigma

    def sample(
        self,
        image: npt.ArrayLike,
        n0: int = 10,
        n: int = 100,
        *,
        truth: npt.ArrayLike | None = None,
        measurements: Sequence[Measurement] = (),
        keep_draws: bool = False,
    ) -> Votes:
        """Draw the votes of one image.

        Parameters
        ----------
        image
            Image of shape (C, H, W), float32 in [0, 1].
        n0
            Number of selection draws.
        n
            Number of estimation draws, which are independent of the selection draws.
        truth
            Class ids of the ground truth, shape (H, W). If given, each draw's overlap with the ground truth is counted.
        measurements
            Measurements to take on each draw's label map (see segcert.measurements).
        keep_draws
            True to keep the label map of each draw, so that a new measurement does not need new draws. A label map
            takes ceil(log2(num_classes)) bits per pixel before compression.

        Returns
        -------
        Votes
            The counts of the selection draws and of the estimation draws, both of shape (num_classes, H, W); the class
            areas, of shape (n0 + n, num_classes); and the requested observables.

        Raises
        ------
        SamplingError
            If the image has a wrong shape or range, or if the model's output is unsuitable.

        Notes
        -----
        The noise of a draw depends only on the seed, the image, the kind of draw (selection or estimation) and the
        draw's number. So the votes do not depend on the order of draws, the shard size, the block size or
        interruptions. Memory does not grow with n, except for a few bytes per draw and for the label maps that are
        kept. With a store, only draws that are not stored are computed.
        """
        return self.start(image, n0, n, truth=truth, measurements=measurements, keep_draws=keep_draws)()

    @torch.inference_mode()
    def start(
        self,
        image: npt.ArrayLike,
        n0: int = 10,
        n: int = 100,
        *,
        truth: npt.ArrayLike | None = None,
        measurements: Sequence[Measurement] = (),
        keep_draws: bool = False,
    ) -> Callable[[], Votes]:
        """Run the networks for all draws of one image; return a function that waits for the votes and returns them.

        The arguments are those of `sample`. On a GPU, a second thread counts and stores this image's labels, so the
        caller can start the next image in the meantime. On a CPU, all work is complete when this method returns.
        """
        if min(n0, n) < 1:
            raise SamplingError(f"found n0 {n0}, n {n}; expected at least 1 for each")
        pixels = checked_image(image)
        self.noise.check(pixels)
        observables = Observables(
            self.num_classes,
            pixels.shape[1:],
            None if truth is None else np.ascontiguousarray(truth, dtype=np.uint8),
            measurements,
            keep_draws,
        )
        key = self.key(pixels)

        # Stored draws are only counted. Missing draws are computed in batches, which may contain draws of both streams.
        selection = Tally({**key, "stream": "selection"}, n0, observables, self.block_size, self.store)
        estimation = Tally({**key, "stream": "estimation"}, n, observables, self.block_size, self.store)
        missing: list[Draw] = [("selection", k) for block in selection.missing for k in block]
        missing += [("estimation", k) for block in estimation.missing for k in block]

        def count(batch: Sequence[Draw], label_maps: Tensor) -> None:
            border = sum(stream == "selection" for stream, _ in batch)
            selection.add(label_maps[:border])
            estimation.add(label_maps[border:])

        # While another thread counts the labels of this batch, the GPU continues with the next one.
        counting: deque[Future[None]] = deque()
        for batch, label_maps in self._labelled_batches(pixels, missing):  # (draws, H, W)
            if self._reader is None:
                count(batch, label_maps)
            else:
                counting.append(self._reader.submit(after_this(self.device, count, batch, label_maps)))
            if len(counting) > READ_LATER:  # so that memory does not grow with n
                counting.popleft().result()
            if is_interrupted():
                _wait_for(counting)
                selection.finish_block()
                estimation.finish_block()
                raise Interrupted("SIGTERM. Finished draws are kept")

        def votes() -> Votes:
            _wait_for(counting)
            return build_votes(selection, estimation, self.sigma, key)

        return votes

    @torch.inference_mode()
    def label_maps(self, image: npt.NDArray[np.float32], draws: Sequence[Draw]) -> Iterator[Tensor]:
        """Yield the label map of each draw, shape (H, W), uint8. `image` must come from `checked_image`.

        All labels are 255 (NOT_FINITE) if a logit is not finite.
        """
        for _, label_maps in self._labelled_batches(image, draws):
            yield from label_maps

    def _labelled_batches(
        self, image: npt.NDArray[np.float32], draws: Sequence[Draw]
    ) -> Iterator[tuple[Sequence[Draw], Tensor]]:
        """Yield batches of draws with their label maps, shape (draws, H, W). The first batch probes the networks."""
        for batch, x_noisy in self._noisy_batches(image, draws):  # (batch_size, C, H, W)
            logits = self.logits(x_noisy)
            label_maps = self._labels(logits)[: len(batch)]  # without padding
            function = (tuple(x_noisy.shape), self.sigma, self.precision)
            if function not in self.probed:
                self._probe(x_noisy, logits)
                self.probed.add(function)
            yield batch, label_maps

    def _noisy_batches(
        self, image: npt.NDArray[np.float32], draws: Sequence[Draw]
    ) -> Iterator[tuple[Sequence[Draw], Tensor]]:
        """Yield batches of draws with their noisy copies, shape (batch_size, C, H, W). The last batch is padded.

        On a CPU, a thread draws the noise of the next batch while the networks run on the current one. A GPU needs no
        such thread.
        """
        x, digest = on_device(image, self.device), image_digest(image)
        batches = [draws[first : first + self.batch_size] for first in range(0, len(draws), self.batch_size)]
        if self.device.type != "cpu":
            for batch in batches:
                yield batch, self.noise.copies(x, digest, batch, self.batch_size)
            return
        ahead: deque[tuple[Sequence[Draw], Future[Tensor]]] = deque()
        with ThreadPoolExecutor(1, "noise") as thread:
            for batch in batches:
                ahead.append((batch, thread.submit(self.noise.copies, x, digest, batch, self.batch_size)))
                if len(ahead) > 1:
                    ready, copies = ahead.popleft()
                    yield ready, copies.result()
            for ready, copies in ahead:
                yield ready, copies.result()

    def _probe(self, x_noisy: Tensor, logits: Tensor) -> None:
        """Raise SamplingError unless the logits of a noisy copy depend on this copy only, as certificates assume.

        The first half of a batch is given to the model again, with different copies in the second half.
        """
        half = max(1, len(x_noisy) // 2)
        others = torch.cat([x_noisy[:half], x_noisy[half:] / 2])
        first = logits[:half].clone()  # a compiled model may write the next logits into the same memory
        precision = rounding_of(self.model, self.precision)
        if bool(logits.isfinite().all()) and not is_same(first, self.logits(others)[:half], precision):
            raise SamplingError(
                "model: its logits change from call to call, or with the other images in the batch, so it cannot be "
                "certified. Call .eval() (for an exported network: before the export). Pass `training=self.training` "
                "to functional dropout, and let BatchNorm use running statistics (track_running_stats=True)"
            )

    def _labels(self, logits: Tensor) -> Tensor:
        """Compute uint8 labels, shape (B, H, W), from logits; all are 255 (NOT_FINITE) if a logit is not finite."""
        two = self.num_classes == 2  # comparing is many times faster than argmax, with the same result
        labels = logits[:, 1] > logits[:, 0] if two else logits.argmax(dim=1)
        # The sum of the logits reveals a logit that is not finite, without waiting for a GPU.
        return labels.to(torch.uint8).masked_fill_(~logits.sum().isfinite(), NOT_FINITE)

    def logits(self, x_noisy: Tensor) -> Tensor:
        """Compute the logits, shape (B, num_classes, H, W), of noisy copies, shape (B, C, H, W).

        Raises SamplingError if the model does not accept the copies, or if the logits have an unexpected shape.
        """
        if any(side % self.pool for side in x_noisy.shape[2:]):
            raise SamplingError(
                f"image: found {tuple(x_noisy.shape[2:])} pixels; expected a height and a width divisible by `pool`, "
                f"which is {self.pool}"
            )
        x = F.avg_pool2d(x_noisy, self.pool) if self.pool > 1 else x_noisy
        if self.denoiser is not None:  # a compiled module has no truth value
            denoise = functools.partial(_denoised, self.denoiser)
            x = self._called("denoiser", denoise, x, self.sigma / self.pool)
        logits = self._called("model", self.model, x.contiguous(memory_format=torch.channels_last))
        try:
            check_logits(logits, (len(x), self.num_classes, *x.shape[2:]))
        except ModelError as error:
            raise SamplingError(f"model: {error}") from error
        return F.interpolate(logits, scale_factor=self.pool, mode="bilinear") if self.pool > 1 else logits

    def _called(self, name: str, network: Callable[..., Any], x: Tensor, *arguments: Any) -> Any:
        """Return the output of a network. Raises SamplingError, which says what to change, if the network fails."""
        try:
            with autocast(self.device, self.precision):
                return network(x, *arguments)
        except (SamplingError, ModelError):
            raise
        except Exception as error:  # a user-supplied network can raise anything
            if ran_out_of_memory(error):
                raise SamplingError(
                    f"out of memory with batches of {len(x)} noisy copies. Write, for example, "
                    f"`sampling: {{batch_size: {max(1, len(x) // 2)}}}`, or pass --batch-size to segcert certify"
                ) from error
            if name == "denoiser" and isinstance(error, ValueError):  # for a noise level, for example
                raise SamplingError(f"{name}: {error}") from error
            try:
                refuse(error, network, x)
            except ModelError as refusal:
                raise SamplingError(f"{name}: {refusal}") from error

    def check(self, votes: Votes, image: npt.ArrayLike) -> None:
        """Raise SamplingError, naming the difference, if votes come from a different model, image or settings.

        Other code, versions or threads are not a difference: they may give the same draws (see `differences`).
        """
        if votes.threat != self.noise.threat:
            raise SamplingError(f"votes: found the threat {votes.threat}; expected {self.noise.threat}")
        if votes.sigma != self.sigma:
            raise SamplingError(f"votes: found sigma {votes.sigma}; expected {self.sigma}")
        for name, expected in self.key(checked_image(image)).items():
            if name not in (CODE, THREAT_CODE, RUNTIME) and votes.origin.get(name) != expected:
                raise SamplingError(
                    f"votes: found {name} {votes.origin.get(name)}; expected {expected}. Draw the votes "
                    "again, or use the model, image and settings with which they were drawn"
                )

    def differences(self, votes: Votes) -> list[str]:
        """Return what differs between this process and the one that drew the votes: code, versions and threads."""
        then, now = votes.origin.get(RUNTIME, {}), self.runtime()
        names = sorted(then.keys() | now.keys()) if isinstance(then, dict) else ()
        lines = [f"{name} {now.get(name)} (then {then.get(name)})" for name in names if then.get(name) != now.get(name)]
        codes = (self.identity.get(CODE), self.noise.settings.get(THREAT_CODE))
        if (votes.origin.get(CODE), votes.origin.get(THREAT_CODE)) != codes:
            lines.append("the code that a draw passes through")
        return lines

    def runtime(self) -> dict[str, Any]:
        """Return the versions, kind of processor, threads and settings with which the networks run."""
        return rounding(self.device) | self.packages

    def key(self, image: npt.NDArray[np.float32]) -> dict[str, Any]:
        """Return everything that can change the label map of a draw, except for the draw's stream and number.

        The batch size and the number of threads are included, because they change how logits are rounded.
        """
        return {
            **self.identity,
            "image": image_digest(image),
            "sigma": self.sigma,
            "num_classes": self.num_classes,
            "seed": self.noise.seed,
            **self.noise.settings,
            "pool": self.pool,
            "precision": self.precision,
            "compiled": self.compiled,
            "batch_size": self.batch_size,
            "device": self.device.type,
            RUNTIME: self.runtime(),
        }


def _parameter_noise(threat: "str | Family", noise: Noise) -> KeyedNoise:
    """Return noise on the parameter of a threat, with the sigma and seed of `noise`, which must be normal."""
    if noise.kind != "normal":
        raise SamplingError(f"noise: found {noise.kind!r} with the threat {threat}; expected normal")
    # Loaded by name: this code cannot change votes under pixel noise, so it is not in their code digest.
    home = importlib.import_module(f"{__package__}.threats.parameter_noise")
    found: KeyedNoise = home.parameter_noise(threat, noise.sigma, noise.seed)
    return found


def _denoised(denoiser: Denoise, x_noisy: Tensor, sigma: float) -> Tensor:
    """Denoise a batch. Raises SamplingError unless the result is a batch of images of the same size."""
    x = denoiser(x_noisy, sigma)
    if not isinstance(x, Tensor) or x.ndim != 4 or len(x) != len(x_noisy) or x.shape[2:] != x_noisy.shape[2:]:
        found = tuple(x.shape) if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise SamplingError(
            f"denoiser: returned {found} for images of shape {tuple(x_noisy.shape)}; expected images of this shape, "
            "with values in [0, 1]. To use a diffusers network, write segcert.DiffusionDenoiser.load(folder)"
        )
    return x


def _is_in_train_mode(network: nn.Module) -> bool:
    """Return True if a part of the network is in train mode. The mode of a torch.export program is fixed."""
    # torch replaces the method `eval` of such a program by one that raises an error.
    fixed = {id(part) for each in network.modules() if "eval" in vars(each) for part in each.modules()}
    return any(module.training and id(module) not in fixed for module in network.modules())


def _wait_for(counting: "deque[Future[None]]") -> None:
    while counting:
        counting.popleft().result()
