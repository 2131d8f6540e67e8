"""Training: one common loop, and the objectives for segmenters and denoisers."""
