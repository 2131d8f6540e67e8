"""Data sets: catalogue, download, readers, the common format, splits, the phantom."""
