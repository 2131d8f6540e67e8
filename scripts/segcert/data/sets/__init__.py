"""One module a data set: what is known about it (DATASET), and where its files lie (LAYOUT)."""
