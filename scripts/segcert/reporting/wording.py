"""The names of regimes and denoisers in sentences, titles and tables."""

TRAINED = {"clean": "on clean images", "noise": "with noise", "denoised": "on denoised images", "given": "elsewhere"}
REGIMES = {"clean": "clean", "noise": "noise", "denoised": "denoised", "given": "elsewhere"}  # in narrow columns
BEHIND = {"none": "no denoiser", "ddpm": "behind the denoiser", "adm256": "behind adm256"}
