"""Observables of draws (areas, overlaps with the ground truth, measurements and label maps), and the tally of draws."""

import dataclasses
from collections import deque
from collections.abc import Mapping, Sequence
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
    """The observables to compute from each label map.

    A label map is an array of class ids below `num_classes`, of shape `shape` = (H, W). `truth` is the ground truth, a
    uint8 array of the same shape, or None. If `keep_draws` is true, the packed label maps are also kept.
    """

    num_classes: int
    shape: tuple[int, int]
    truth: Array | None = None
    measurements: Sequence[Measurement] = ()
    keep_draws: bool = False

    def __post_init__(self) -> None:
        if self.truth is not None and self.truth.shape != self.shape:
            raise SamplingError(f"truth: found shape {self.truth.shape}; expected class ids of shape {self.shape}")
        if self.truth is not None and self.truth.max() >= self.num_classes:
            raise SamplingError(
                f"truth: found class id {self.truth.max()}, but there are only {self.num_classes} classes"
            )
        names = [measurement.name for measurement in self.measurements]
        if len(set(names)) < len(names):
            raise SamplingError(f"measurements: found the names {', '.join(names)}; expected a different name for each")

    @property
    def overlap_column(self) -> str:
        """Name of the column that contains the overlaps with the ground truth."""
        assert self.truth is not None
        return f"overlaps/{array_digest(self.truth)}"

    @property
    def truth_areas(self) -> Array:
        """Number of pixels of each class in the ground truth, as an array of shape (num_classes,)."""
        assert self.truth is not None
        return np.bincount(self.truth.ravel(), minlength=self.num_classes).astype(np.uint32)

    @property
    def columns(self) -> list[str]:
        """Names of the columns that a block of draws must have."""
        columns = ["areas", *map(self.measurement_column, self.measurements)]
        if self.truth is not None:
            columns.append(self.overlap_column)
        if self.keep_draws:
            columns.append("draws")
        return columns

    def measurement_column(self, measurement: Measurement) -> str:
        """Return the name of a measurement's column."""
        return f"measurement/{measurement.name}/{measurement.digest}"

    def read(self, label_maps: Tensor) -> Block:
        """Compute a block from uint8 label maps of shape (draws, H, W).

        Raises SamplingError if a label is not a valid class id.
        """
        classes = [label_maps == class_id for class_id in range(self.num_classes)]  # arrays of shape (draws, H, W)
        counts = torch.stack([of_class.sum(dim=0, dtype=torch.int32) for of_class in classes])  # (num_classes, H, W)
        areas = torch.stack([of_class.flatten(1).count_nonzero(dim=1) for of_class in classes], dim=1)
        if int(areas.sum()) < label_maps.numel():
            raise SamplingError(
                "model: returned logits that are not finite for a noisy copy of the image, so no labels can be "
                "computed from them. Look for a division by a value that can be 0, such as a standard deviation, "
                "and for NaN in the weights"
            )
        block = Block(counts.cpu().numpy(), {"areas": areas.cpu().numpy().astype(np.uint32)})
        return self._with_columns(block, label_maps)

    def complete(self, block: Block) -> Block | None:
        """Return the block with all required columns, or None if some columns can only be computed from new draws."""
        if block.columns.keys() >= set(self.columns):
            return block
        if "draws" not in block.columns:
            return None
        return self._with_columns(block, torch.from_numpy(unpack_labels(block.columns["draws"], self.shape)))

    def _with_columns(self, block: Block, label_maps: Tensor) -> Block:
        """Return the block with the missing columns added, which are computed from its label maps."""
        columns: dict[str, Array] = {}
        for measurement in self.measurements:
            name = self.measurement_column(measurement)
            if name not in block.columns:
                values = [measurement.function(labels) for labels in label_maps.cpu().numpy()]
                columns[name] = np.array(values, dtype=np.float64)
        if self.truth is not None and self.overlap_column not in block.columns:
            truth = on_device(self.truth, label_maps.device)
            hits = [((label_maps == k) & (truth == k)).flatten(1).count_nonzero(dim=1) for k in range(self.num_classes)]
            columns[self.overlap_column] = torch.stack(hits, dim=1).cpu().numpy().astype(np.uint32)
        if self.keep_draws and "draws" not in block.columns:
            columns["draws"] = pack_labels(label_maps.cpu().numpy(), self.num_classes)
        return block.with_columns(columns)


class Tally:
    """The selection or estimation draws of an image: their counts and columns, and the blocks that are still missing.

    The key of a stored block contains the number of the block's first draw. A stored block may have any length, and the
    next block begins after its last draw. Missing blocks end at multiples of `block_size`.
    """

    def __init__(
        self, key: dict[str, Any], draws: int, observables: Observables, block_size: int, store: BlockStore | None
    ) -> None:
        self.key, self.draws, self.observables, self.store = key, draws, observables, store
        self.counts = np.zeros((observables.num_classes, *observables.shape), np.int32)
        self.columns: dict[str, Array] = {}  # arrays of shape (draws, ...)
        self.missing: deque[range] = deque()  # draw numbers of the blocks that are not stored
        self.waiting: list[Tensor] = []  # label maps that were drawn for the first missing block
        start = 0
        while start < draws:
            if stored := self._stored(start):
                self._count(start, stored)
                start += stored.draws
            else:
                border = min((start // block_size + 1) * block_size, draws)
                self.missing.append(range(start, border))
                start = border

    def add(self, label_maps: Tensor) -> None:
        """Add the uint8 label maps, shape (draws, H, W), of the next missing draws. Count and store complete blocks."""
        while len(label_maps):
            lacking = len(self.missing[0]) - sum(map(len, self.waiting))
            self.waiting.append(label_maps[:lacking])
            if len(label_maps) >= lacking:
                self.finish_block()
            label_maps = label_maps[lacking:]

    def finish_block(self) -> None:
        """Count and store the label maps that were added since the last block, even if the block is incomplete."""
        if self.waiting:
            block, start = self.observables.read(torch.cat(self.waiting)), self.missing.popleft().start
            if self.store:
                self.store.put({**self.key, "start": start}, block)
            self._count(start, block)
            self.waiting = []

    def _stored(self, start: int) -> Block | None:
        """Return the stored block that begins with draw `start`, or None if no such block has all required columns."""
        stored = self.store.get({**self.key, "start": start}) if self.store else None
        if stored is None or not 0 < stored.draws <= self.draws - start:  # a longer block cannot be split
            return None
        return self.observables.complete(stored)

    def _count(self, start: int, block: Block) -> None:
        self.counts += block.counts
        for name in self.observables.columns:
            values = block.columns[name]
            if name not in self.columns:
                self.columns[name] = np.empty((self.draws, *values.shape[1:]), values.dtype)
            self.columns[name][start : start + block.draws] = values


def build_votes(selection: Tally, estimation: Tally, sigma: float, origin: Mapping[str, Any]) -> Votes:
    """Build the votes of an image from its complete selection and estimation draws."""
    observables = selection.observables
    columns = {}
    for name, first in selection.columns.items():
        columns[name] = np.concatenate([first, estimation.columns[name]])
    optional: dict[str, Any] = {}
    if observables.truth is not None:
        optional |= {"overlaps": columns[observables.overlap_column], "truth_areas": observables.truth_areas}
    if observables.keep_draws:
        optional["draws"] = columns["draws"]
    return Votes(
        selection=narrow(selection.counts, selection.draws),
        estimation=narrow(estimation.counts, estimation.draws),
        sigma=sigma,
        areas=columns["areas"],
        measurements={each.name: columns[observables.measurement_column(each)] for each in observables.measurements},
        origin=origin,
        **optional,
    )
