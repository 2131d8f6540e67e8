"""Names of models and denoisers in tables and texts, and the colours of classes."""

# Okabe and Ito's palette
CLASS_COLORS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2")
TRAINED = {"clean": "on clean images", "noise": "with noise", "denoised": "on denoised images", "given": "elsewhere"}
REGIMES = {"clean": "clean", "noise": "noise", "denoised": "denoised", "given": "elsewhere"}  # for narrow columns
BEHIND = {"none": "no denoiser", "ddpm": "behind the denoiser", "adm256": "behind adm256"}


def describe(model: str, regime: str, denoiser: str) -> str:
    """Describe a model, its training regime and its denoiser as text."""
    return f"{model}, {describe_pairing(regime, denoiser)}"


def describe_pairing(regime: str, denoiser: str) -> str:
    """Describe a training regime and a denoiser as text."""
    return f"trained {TRAINED[regime]}, {BEHIND[denoiser]}"
