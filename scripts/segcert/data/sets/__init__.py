"""A module for each data set: its catalogue entry (DATASET) and the paths of its files (LAYOUT)."""
