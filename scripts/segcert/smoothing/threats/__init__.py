"""Threats other than pixel noise: families of changes that happen when an image is acquired."""
