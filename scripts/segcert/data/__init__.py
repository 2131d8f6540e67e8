"""Data sets: the catalogue, downloads, file readers, the common format, splits and the synthetic phantom."""
