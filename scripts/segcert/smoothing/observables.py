"""Observables of draws (areas, overlaps with the ground truth, measurements, the label map itself) and their tally."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
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
from segcert.votes import Votes, narrow, pack_labels, unpack_labels

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
        classes = [label_maps == class_id for class_id in range(self.num_classes)]  # (draws, H, W) each
        counts = torch.stack([of_class.sum(dim=0, dtype=torch.int32) for of_class in classes])  # (num_classes, H, W)
        areas = torch.stack([of_class.flatten(1).count_nonzero(dim=1) for of_class in classes], dim=1)
        if int(areas.sum()) < label_maps.numel():
            raise SamplingError("model: returned logits that are not finite; a label from them would mean nothing")
        block = Block(counts.cpu().numpy(), {"areas": areas.cpu().numpy().astype(np.uint32)})
        return self._with_columns(block, label_maps)

    def votes(self, selection: Block, estimation: Block, sigma: float, origin: Mapping[str, Any]) -> Votes:
        """The votes of all draws of an image."""
        columns = (selection + estimation).columns
        optional: dict[str, Any] = {}
        if self.truth is not None:
            optional |= {"overlaps": columns[self.overlap_column], "truth_areas": self.truth_areas}
        if self.keep_draws:
            optional["draws"] = columns["draws"]
        return Votes(
            selection=narrow(selection.counts, selection.draws),
            estimation=narrow(estimation.counts, estimation.draws),
            sigma=sigma,
            areas=columns["areas"],
            measurements={each.name: columns[self.measurement_column(each)] for each in self.measurements},
            origin=origin,
            **optional,
        )

    def complete(self, block: Block) -> Block | None:
        """The block with all columns that are asked for, or None if they cannot be had without drawing again."""
        if self._readers().keys() <= block.columns.keys():
            return block
        if "draws" not in block.columns:
            return None
        return self._with_columns(block, torch.from_numpy(unpack_labels(block.columns["draws"], self.shape)))

    def _with_columns(self, block: Block, label_maps: Tensor) -> Block:
        """The block with the columns that it lacks, read off its label maps."""
        columns = {name: read(label_maps) for name, read in self._readers().items() if name not in block.columns}
        return block.with_columns(columns)

    def _readers(self) -> dict[str, Callable[[Tensor], Array]]:
        """What gives the values of each column from label maps (draws, H, W)."""
        readers: dict[str, Callable[[Tensor], Array]] = {}
        for measurement in self.measurements:
            readers[self.measurement_column(measurement)] = functools.partial(_measured, measurement)
        if self.truth is not None:
            readers[self.overlap_column] = self._overlaps
        if self.keep_draws:
            readers["draws"] = self._packed
        return readers

    def _packed(self, label_maps: Tensor) -> Array:
        return pack_labels(label_maps.cpu().numpy(), self.num_classes)

    def _overlaps(self, label_maps: Tensor) -> Array:
        assert self.truth is not None
        truth = on_device(self.truth, label_maps.device)
        hits = [((label_maps == k) & (truth == k)).flatten(1).count_nonzero(dim=1) for k in range(self.num_classes)]
        return torch.stack(hits, dim=1).cpu().numpy().astype(np.uint32)


def _measured(measurement: Measurement, label_maps: Tensor) -> Array:
    return np.array([measurement.function(labels) for labels in label_maps.cpu().numpy()], dtype=np.float64)


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
