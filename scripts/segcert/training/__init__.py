"""Training of segmenters and denoisers, which share one training loop."""
