"""Noise and sampling: the only torch code that the GPU hours go through."""
