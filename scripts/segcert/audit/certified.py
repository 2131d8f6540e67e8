"""The certificates of a job: for each noise level some files, whose names begin alike."""

import re
from pathlib import Path

from segcert.audit.lineage import Job

KIND = re.compile(r"(\.(intervals|budget|radii))?\.(npz|parquet)$")


def certificates_of(job: Job) -> list[str]:
    """The beginning of the names of each certificate's files: `.../unet-clean/none/sigma_0.5`."""
    return list(dict.fromkeys(KIND.sub("", path) for path in job.outputs))


def sigma_of(certificate: str) -> str:
    """The noise level of a certificate, as its name has it: `0.5`."""
    return Path(certificate).name.removeprefix("sigma_")
