"""The kinds of results of certificates and attacks: their files at one noise level, and those of a whole run."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class Kind(NamedTuple):
    """A kind of results: one table for each noise level or pairing, and one for the whole run."""

    collected: str  # results/<run>/<collected>.parquet
    suffix: str | None  # of its file at one noise level, after the certificate's name; None: one file for all levels


KINDS = {
    "metrics": Kind("certificates", ".parquet"),
    "intervals": Kind("intervals", ".intervals.parquet"),
    "budget": Kind("budget", ".budget.parquet"),
    "radii": Kind("radii", ".radii.parquet"),
    "attacks": Kind("attacks", None),
}
CERTIFIED_TABLES = {kind: each.suffix for kind, each in KINDS.items() if each.suffix}
ARRAYS = {"labels": ".npz", "maps": ".radii.npz"}  # the files of a certificate that are not tables


def kind_of(path: str) -> str:
    """Return the kind of results in a parquet file, of one noise level or of a whole run."""
    if "/attacks/" in path:
        return "attacks"
    if "/certificates/" in path:
        fitting = {suffix: kind for kind, suffix in CERTIFIED_TABLES.items() if path.endswith(suffix)}
        return fitting[max(fitting, key=len)]
    return next(kind for kind, each in KINDS.items() if each.collected == Path(path).stem)


def read_rows(paths: Iterable[str | Path]) -> "pd.DataFrame":
    """Return the rows of some parquet files of one kind; an empty table without any file."""
    import pandas as pd  # slow, and rules import this module to plan

    frames = [pd.read_parquet(path) for path in paths]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def certificates_of(outputs: Iterable[str]) -> list[str]:
    """Return the common beginning of the files of each certificate: `.../unet-clean/none/sigma_0.5`."""
    longest_first = sorted([*CERTIFIED_TABLES.values(), *ARRAYS.values()], key=len, reverse=True)
    names: dict[str, None] = {}
    for path in outputs:
        suffix = next((suffix for suffix in longest_first if path.endswith(suffix)), "")
        names[path.removesuffix(suffix)] = None
    return list(names)


def sigma_of(certificate: str) -> str:
    """Return the noise level in the name of a certificate: `0.5`."""
    return Path(certificate).name.removeprefix("sigma_")
