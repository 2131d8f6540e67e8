"""The smoothed segmenter: a segmentation model asked for its labels on many noisy copies of an image."""

import contextlib
import functools
import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from segcert.provenance.digests import array_digest
from segcert.smoothing.blocks import Block, BlockStore
from segcert.smoothing.noise import Stream, draw_key, standard_normal_
from segcert.votes import Votes, narrow

Model = Callable[[Tensor], Tensor]
Denoise = Callable[[Tensor, float], Tensor]
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class SamplingError(ValueError):
    """An image or a model that cannot be sampled."""


class SmoothedSegmenter:
    """A segmentation model under Gaussian noise (Fischer et al., ICML 2021), with or without a denoiser in front.

    Parameters
    ----------
    model
        Any callable from images (B, C, H, W) to logits (B, num_classes, H, W); modules must be in eval mode.
    sigma
        Standard deviation of the noise, above 0, in units of pixels in [0, 1].
    num_classes
        Number of classes, background included.
    denoiser
        Any callable (x_noisy in [0, 1] units, sigma) -> x in [0, 1], or None.
    batch_size
        Noisy copies per call. The last batch is padded to this size, so that the model is always asked in the
        same shape.
    seed
        Key of the noise. The same seed, image and draw give the same noise at every sigma.
    device, precision
        Where and in which arithmetic the networks run: "cpu", "cuda"; "float32", "bfloat16".
    block_size
        Draws per block: the unit that a store keeps.
    store
        Where finished blocks are kept between runs; None: nowhere.
    identity
        What names the function that is sampled (digests of model, denoiser and code), as plain JSON. With a
        store it is the caller's promise that two models of the same identity are the same.

    Raises SamplingError for arguments out of range and modules in train mode.
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
        block_size: int = 50,
        store: BlockStore | None = None,
        identity: dict[str, Any] | None = None,
    ) -> None:
        if not 0 < sigma < math.inf:
            raise SamplingError(f"sigma: found {sigma}; expected a noise level above 0, in units of pixels in [0, 1]")
        if min(batch_size, block_size) < 1:
            raise SamplingError(f"batch_size {batch_size}, block_size {block_size}: expected at least 1")
        if store and not identity:
            raise SamplingError("identity: missing; a store needs to know what names the model, such as its digest")
        if precision not in PRECISIONS:
            raise SamplingError(f"precision: found {precision!r}; expected one of {', '.join(PRECISIONS)}")
        for name, part in (("model", model), ("denoiser", denoiser)):
            if isinstance(part, nn.Module):
                if any(module.training for module in part.modules()):
                    raise SamplingError(
                        f"{name}: is in train mode, so its output depends on the batch; call .eval() first"
                    )
                part.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model, self.denoiser = model, denoiser
        self.sigma, self.num_classes = float(sigma), num_classes
        self.batch_size, self.block_size, self.seed = batch_size, block_size, seed
        self.device, self.precision = torch.device(device), precision
        self.store, self.identity = store, identity or {}

    def sample(self, image: npt.ArrayLike, n0: int = 10, n: int = 100) -> Votes:
        """Draw the votes of one image.

        Parameters
        ----------
        image
            (C, H, W) float32 in [0, 1].
        n0, n
            Numbers of selection and estimation draws; the two streams are independent.

        Returns
        -------
        Votes with counts (num_classes, H, W) of both streams and class areas (n0 + n, num_classes).

        Raises SamplingError for an image of another shape or range and for a model whose output does not fit.
        """
        if min(n0, n) < 1:
            raise SamplingError(f"n0 {n0}, n {n}: expected at least one draw of each")
        pixels = checked_image(image)
        key = self._key(pixels)
        selection, estimation = self._stream(pixels, key, "selection", n0), self._stream(pixels, key, "estimation", n)
        return Votes(
            selection=narrow(selection.counts, n0),
            estimation=narrow(estimation.counts, n),
            sigma=self.sigma,
            areas=np.concatenate([selection.areas, estimation.areas]).astype(np.uint32),
            origin=key,
        )

    def draws(
        self, image: npt.NDArray[np.float32], stream: Stream, start: int, stop: int
    ) -> Iterator[tuple[Tensor, int]]:
        """Noisy copies `start` to `stop` of an image: batches (batch_size, C, H, W), and how many are not padding."""
        digest = array_digest(image)
        x = torch.from_numpy(image).to(self.device)
        noise = torch.zeros((self.batch_size, *image.shape), device=self.device)
        for first in range(start, stop, self.batch_size):
            valid = min(self.batch_size, stop - first)
            for row in range(valid):
                standard_normal_(noise[row], draw_key(self.seed, digest, stream, first + row))
            yield torch.add(x, noise, alpha=self.sigma), valid

    def labels(self, x_noisy: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (B, H, W) of noisy copies (B, C, H, W), and whether all logits were finite (a tensor: no waiting)."""
        with self._autocast():
            x = self.denoiser(x_noisy, self.sigma) if self.denoiser else x_noisy
            logits = self.model(x.contiguous(memory_format=torch.channels_last))
        expected = (len(x_noisy), self.num_classes, *x_noisy.shape[2:])
        if not isinstance(logits, Tensor) or tuple(logits.shape) != expected:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise SamplingError(
                f"model: returned {found} for images {tuple(x_noisy.shape)}; expected logits {expected}"
            )
        return logits.argmax(dim=1), logits.isfinite().all()

    def _stream(self, image: npt.NDArray[np.float32], key: dict[str, Any], stream: Stream, draws: int) -> Block:
        blocks = [
            self._block(image, key, stream, start, min(start + self.block_size, draws))
            for start in range(0, draws, self.block_size)
        ]
        return functools.reduce(operator.add, blocks)

    def _block(
        self, image: npt.NDArray[np.float32], key: dict[str, Any], stream: Stream, start: int, stop: int
    ) -> Block:
        if self.store is None:
            return self._draw_block(image, stream, start, stop)
        key = {**key, "stream": stream, "start": start}
        kept = self.store.get(key)
        if kept and kept.draws == stop - start:
            return kept
        if kept and kept.draws > stop - start:  # it cannot be split, and stays as it is
            return self._draw_block(image, stream, start, stop)
        block = self._draw_block(image, stream, start + (kept.draws if kept else 0), stop)
        block = kept + block if kept else block
        self.store.put(key, block)
        return block

    @torch.inference_mode()
    def _draw_block(self, image: npt.NDArray[np.float32], stream: Stream, start: int, stop: int) -> Block:
        classes = torch.arange(self.num_classes, device=self.device).view(-1, 1, 1, 1)
        counts = torch.zeros((self.num_classes, *image.shape[1:]), dtype=torch.int32, device=self.device)
        areas, finite = [], torch.ones((), dtype=torch.bool, device=self.device)
        for x_noisy, valid in self.draws(image, stream, start, stop):
            labels, batch_finite = self.labels(x_noisy)
            chosen = labels[:valid] == classes  # (num_classes, valid, H, W)
            counts += chosen.sum(dim=1, dtype=torch.int32)
            areas.append(chosen.sum(dim=(2, 3)).T)  # (valid, num_classes)
            finite &= batch_finite
        if not finite:
            raise SamplingError("model: returned logits that are not finite; a label from them would mean nothing")
        return Block(counts=counts.cpu().numpy(), areas=torch.cat(areas).cpu().numpy())

    def _key(self, image: npt.NDArray[np.float32]) -> dict[str, Any]:
        """All that a vote depends on, but for stream and draw."""
        return {
            **self.identity,
            "image": array_digest(image),
            "sigma": self.sigma,
            "num_classes": self.num_classes,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "precision": self.precision,
            "device": self.device.type,
        }

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, PRECISIONS[self.precision])


def checked_image(image: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The image as contiguous float32 (C, H, W). Raises SamplingError when its shape or range is another."""
    pixels = np.ascontiguousarray(image, dtype=np.float32)
    if pixels.ndim != 3:
        raise SamplingError(f"image: found shape {pixels.shape}; expected (C, H, W)")
    if not np.isfinite(pixels).all():
        raise SamplingError("image: holds values that are not finite; expected float32 in [0, 1]")
    if pixels.min() < 0 or pixels.max() > 1:
        raise SamplingError(
            f"image: values from {pixels.min():g} to {pixels.max():g}; expected [0, 1]: divide 8-bit pixels by 255"
        )
    return pixels
