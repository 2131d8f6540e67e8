"""segcert: certified robustness for medical image segmentation.

Public names are imported lazily (PEP 562), so importing one part does not load the others.
"""

import importlib
from typing import Any

_HOME = {
    "ABSTAIN": "segcert.certification.certificate",
    "Certificate": "segcert.certification.certificate",
    "CertifiedInterval": "segcert.certification.median_smoothing",
    "Looks": "segcert.certification.looks",
    "Measurement": "segcert.measurements",
    "DiffusionDenoiser": "segcert.networks.denoiser",
    "Family": "segcert.smoothing.threats.family",
    "RadiusMap": "segcert.certification.radius_map",
    "SmoothedSegmenter": "segcert.smoothing.sampler",
    "Votes": "segcert.votes",
    "attack": "segcert.smoothing.attack",
    "certify": "segcert.certification.certificate",
    "certify_measurements": "segcert.certification.median_smoothing",
    "load_family": "segcert.smoothing.threats.family",
    "measurements_of": "segcert.measurements",
    "median_interval": "segcert.certification.median_smoothing",
    "radius_map": "segcert.certification.radius_map",
    "require_composition": "segcert.smoothing.threats.composition",
    "sample_at_looks": "segcert.smoothing.looks",
    "saturating_share": "segcert.smoothing.threats.saturation",
}
__all__ = sorted(_HOME)  # noqa: PLE0605
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'segcert' has no attribute {name!r}; it provides {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
