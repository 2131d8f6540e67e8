"""Training: one loop, and the objectives of segmenters and denoisers."""
