"""Observables of draws (areas, overlaps with the ground truth, measurements, the label map itself) and their tally."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segcert.measurements import Measurement
from segcert.networks.runtime import on_device
from segcert.provenance.digests import array_digest
from segcert.smoothing.noise import SamplingError
from segcert.smoothing.store import Block, BlockStore
from segcert.votes import pack_labels, unpack_labels

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Observables:
    """What to read off each label map (H, W) of ids below num_classes; truth (H, W) uint8 or None."""

    num_classes: int
    shape: tuple[int, int]
    truth: Array | None = None
    measurements: Sequence[Measurement] = ()
    keep_draws: bool = False

    def __post_init__(self) -> None:
        if self.truth is not None and self.truth.shape != self.shape:
            raise SamplingError(f"truth: found shape {self.truth.shape}; expected class ids of shape {self.shape}")
        if self.truth is not None and self.truth.max() >= self.num_classes:
            raise SamplingError(f"truth: found class id {self.truth.max()}; the model has {self.num_classes} classes")
        names = [measurement.name for measurement in self.measurements]
        if len(set(names)) < len(names):
            raise SamplingError(f"measurements: a name stands twice among {', '.join(names)}")

    @property
    def overlap_column(self) -> str:
        """Name of the overlaps with this ground truth among a block's columns."""
        assert self.truth is not None
        return f"overlaps/{array_digest(self.truth)}"

    @property
    def truth_areas(self) -> Array:
        """(num_classes,) pixels of each class in the ground truth."""
        assert self.truth is not None
        return np.bincount(self.truth.ravel(), minlength=self.num_classes).astype(np.uint32)

    def empty(self) -> Block:
        """A block of no draws."""
        counts = np.zeros((self.num_classes, *self.shape), np.int32)
        return Block(counts, {"areas": np.zeros((0, self.num_classes), np.uint32)})

    def measurement_column(self, measurement: Measurement) -> str:
        """Name of a measurement among a block's columns."""
        return f"measurement/{measurement.name}/{measurement.digest}"

    def read(self, label_maps: Tensor) -> Block:
        """The block of some label maps (draws, H, W) uint8. Raises SamplingError where a label is no class id."""
        chosen = [label_maps == class_id for class_id in range(self.num_classes)]
        counts = torch.stack([of_class.sum(dim=0, dtype=torch.int32) for of_class in chosen])
        areas = torch.stack(
            [of_class.flatten(1).count_nonzero(dim=1) for of_class in chosen], dim=1
        )  # (draws, classes)
        if int(areas.sum()) < label_maps.numel():
            raise SamplingError("model: returned logits that are not finite; a label from them would mean nothing")
        block = Block(counts.cpu().numpy(), {"areas": areas.cpu().numpy().astype(np.uint32)})
        return block.with_columns(self._columns(label_maps, block))

    def complete(self, block: Block) -> Block | None:
        """The block with all columns that are asked for, or None if they cannot be had without drawing again."""
        if self.missing(block) and "draws" not in block.columns:
            return None
        if not self.missing(block):
            return block
        label_maps = torch.from_numpy(unpack_labels(block.columns["draws"], self.shape))
        return block.with_columns(self._columns(label_maps, block))

    def missing(self, block: Block) -> set[str]:
        """The columns that are asked for and that the block lacks."""
        return set(self._readers()) - set(block.columns)

    def _columns(self, label_maps: Tensor, block: Block) -> dict[str, Array]:
        readers = self._readers()
        return {name: readers[name](label_maps) for name in sorted(self.missing(block))}

    def _readers(self) -> dict[str, Callable[[Tensor], Array]]:
        readers: dict[str, Callable[[Tensor], Array]] = {
            self.measurement_column(measurement): _reader_of(measurement) for measurement in self.measurements
        }
        if self.truth is not None:
            readers[self.overlap_column] = self._overlaps
        if self.keep_draws:
            readers["draws"] = lambda label_maps: pack_labels(label_maps.cpu().numpy(), self.num_classes)
        return readers

    def _overlaps(self, label_maps: Tensor) -> Array:
        assert self.truth is not None
        truth = on_device(self.truth, label_maps.device)
        hits = [((label_maps == k) & (truth == k)).flatten(1).count_nonzero(dim=1) for k in range(self.num_classes)]
        return torch.stack(hits, dim=1).cpu().numpy().astype(np.uint32)


def _reader_of(measurement: Measurement) -> Callable[[Tensor], Array]:
    def read(label_maps: Tensor) -> Array:
        return np.array([measurement.function(labels) for labels in label_maps.cpu().numpy()], dtype=np.float64)

    return read


class Tally:
    """The draws of one stream of an image: the stored ones, then new ones, which are stored block by block.

    A block on disk is named by its first draw, and the next one begins where it ends. So blocks may be of any length,
    and those of another block or batch size are used too.
    """

    def __init__(
        self, key: dict[str, Any], draws: int, observables: Observables, block_size: int, store: BlockStore | None
    ) -> None:
        self.key, self.draws, self.observables = key, draws, observables
        self.block_size, self.store = block_size, store
        self.total = observables.empty()
        self.waiting: list[Tensor] = []  # label maps that are not counted yet
        while self.store and self.total.draws < draws:
            stored = self.store.get({**key, "start": self.total.draws})
            stored = observables.complete(stored) if stored else None
            if stored is None or not 0 < stored.draws <= draws - self.total.draws:  # a longer one cannot be parted
                break
            self.total += stored

    def add(self, label_maps: Tensor) -> None:
        """Take new label maps (draws, H, W) uint8. Once they are `block_size`, they are counted and stored."""
        self.waiting.append(label_maps)
        waiting = sum(map(len, self.waiting))
        if waiting >= self.block_size or self.total.draws + waiting == self.draws:
            self.finish_block()

    def finish_block(self) -> None:
        """Count and store the label maps that wait for it."""
        if self.waiting:
            block = self.observables.read(torch.cat(self.waiting))
            if self.store:
                self.store.put({**self.key, "start": self.total.draws}, block)
            self.total += block
            self.waiting = []
