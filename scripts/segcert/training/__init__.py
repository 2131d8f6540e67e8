"""How networks learn: one loop, and the segmenter's and the denoiser's objectives on it."""
