"""Evaluation of networks on noisy images: noise, sampling and attacks."""
