"""Gather the gallery's examples from the files of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from segcert.data.loading import PreparedDataset
from segcert.provenance.arrays import StoredArrays
from segcert.reporting.gallery import Example


def read_examples(
    index: str | Path,
    predictions: Mapping[tuple[str, str], str],
    denoised: Mapping[str, str],
    certificates: Mapping[tuple[str, str, str, str], str],
    count: int,
) -> list[Example]:
    """The first `count` certified test images, from the `.npz` files of each model, sigma and pairing."""
    dataset = PreparedDataset(Path(index))
    prefix = "Synthetic phantom" if dataset.about["synthetic"] else dataset.about["title"]
    with StoredArrays(next(iter(predictions.values()))) as first:
        names = list(first)[:count]
    return [
        Example(
            title=f"{prefix}, {name}",
            image=dataset.image(name),
            truth=dataset.mask(name),
            predictions={model: _array(path, name) for model, path in predictions.items()},
            denoised={sigma: _array(path, name) for sigma, path in denoised.items()},
            certified={
                sigma: {key[:3]: _array(path, name) for key, path in certificates.items() if key[3] == sigma}
                for sigma in dict.fromkeys(key[3] for key in certificates)
            },
        )
        for name in names
    ]


def _array(path: str, name: str) -> npt.NDArray[Any]:
    with StoredArrays(path) as arrays:
        return arrays[name]
