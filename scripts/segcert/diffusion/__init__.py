"""The one-shot denoiser."""
