"""Certificates of one's own images as files: writing them, putting them in words, checking them."""
