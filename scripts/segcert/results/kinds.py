"""Kinds of results of certificates and attacks, and their files for a noise level and for an entire run."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class Kind(NamedTuple):
    """A kind of results, which are stored in a table per noise level or pairing, and in a table for the entire run."""

    collected: str  # results/<run>/<collected>.parquet
    suffix: str | None  # suffix of the file for a noise level, or None if a file covers all noise levels


KINDS = {
    "metrics": Kind("certificates", ".parquet"),
    "intervals": Kind("intervals", ".intervals.parquet"),
    "budget": Kind("budget", ".budget.parquet"),
    "radii": Kind("radii", ".radii.parquet"),
    "attacks": Kind("attacks", None),
}
CERTIFIED_TABLES = {kind: each.suffix for kind, each in KINDS.items() if each.suffix}
ARRAYS = {"labels": ".npz", "maps": ".radii.npz"}  # certificate files that are not tables


def kind_of(path: str) -> str:
    """Return the kind of results in a parquet file, given the path of the file."""
    if "/attacks/" in path:
        return "attacks"
    if "/certificates/" in path:
        fitting = {suffix: kind for kind, suffix in CERTIFIED_TABLES.items() if path.endswith(suffix)}
        return fitting[max(fitting, key=len)]
    return next(kind for kind, each in KINDS.items() if each.collected == Path(path).stem)


def read_rows(paths: Iterable[str | Path]) -> "pd.DataFrame":
    """Read parquet files with the same kind of results into a single table, which is empty if there are no files."""
    import pandas as pd  # a slow import, and rules import this module during planning

    frames = [pd.read_parquet(path) for path in paths]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def certificates_of(outputs: Iterable[str]) -> list[str]:
    """Return the path of each certificate without suffixes, for example `.../unet-clean/none/sigma_0.5`."""
    longest_first = sorted([*CERTIFIED_TABLES.values(), *ARRAYS.values()], key=len, reverse=True)
    names: dict[str, None] = {}
    for path in outputs:
        suffix = next((suffix for suffix in longest_first if path.endswith(suffix)), "")
        names[path.removesuffix(suffix)] = None
    return list(names)


def sigma_of(certificate: str) -> str:
    """Return the noise level in a certificate's name, for example `0.5`."""
    return Path(certificate).name.removeprefix("sigma_")
