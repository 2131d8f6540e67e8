"""Data sets: catalogue, fetch, one reader a data set, the common format, splits, the phantom, loading."""
