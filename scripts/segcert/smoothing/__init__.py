"""Noise, sampling, attacks: everything that runs networks on noisy images."""
