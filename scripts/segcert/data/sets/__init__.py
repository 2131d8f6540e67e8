"""One module per data set, which defines its catalogue entry (DATASET) and its file paths (LAYOUT)."""
