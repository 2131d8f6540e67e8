"""Digests, atomic files and run records: on the ground, every script uses them."""
